from __future__ import annotations

import pytest

from trignb.notebook.errors import UsageError
from trignb.notebook.options import flag, number, parse, word

OPTIONS = {
    "-n": number("db"),
    "-3": flag("resp", 3),
    "--raw": flag("mode", "raw"),
    "--out": word("out"),
}


def test_options_end_at_the_first_other_word() -> None:
    parsed = parse("-n 2 --raw LRANGE l 0 -1", OPTIONS)
    assert parsed.values == {"db": 2, "mode": "raw"}
    assert parsed.rest == "LRANGE l 0 -1"


def test_the_rest_stays_as_it_was_typed() -> None:
    assert parse('-3  SET a  "x  y\\n" --raw', OPTIONS).rest == 'SET a  "x  y\\n" --raw'


def test_dashes_end_the_options() -> None:
    assert parse("--raw -- -3", OPTIONS).rest == "-3"


def test_values_may_be_quoted() -> None:
    assert parse('--out "a b" PING', OPTIONS).get("out") == "a b"


def test_anywhere() -> None:
    parsed = parse("audit --raw --out x", OPTIONS, anywhere=True)
    assert (parsed.rest, parsed.get("out")) == ("audit", "x")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("--rwa GET a", "unknown option --rwa (column 1)", "did you mean --raw?"),
        ("--raw -x", "unknown option -x (column 7)", "a command that begins with"),
        ("--out", "--out needs a value", ""),
        ("-n two GET a", "-n takes a number (column 4)", ""),
    ],
)
def test_faults(line: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line, OPTIONS)
    assert str(caught.value) == message
    assert caught.value.hint.startswith(hint)
