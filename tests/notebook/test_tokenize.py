from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from trignb.notebook.errors import UsageError
from trignb.notebook.text import quote, quote_argument
from trignb.notebook.tokenize import read_cell, read_line, split


def words(text: str) -> list[bytes]:
    return [token.value for token in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("   ", []),
        ("SET a b", [b"SET", b"a", b"b"]),
        ("\tSET  a\r\n"[:-2], [b"SET", b"a"]),
        ('SET a "hello world"', [b"SET", b"a", b"hello world"]),
        (r'SET a "\n\r\t\b\a"', [b"SET", b"a", b"\n\r\t\b\a"]),
        (r'"\x00\xfF\xzz\q\"\\"', [b'\x00\xffxzzq"\\']),
        (r"'\n \' \\ '", [rb"\n ' \\ "]),
        ('a"b c"', [b"ab c"]),
        ("a'b c' d", [b"ab c", b"d"]),
        ('""', [b""]),
        ("''", [b""]),
        ("caf\u00e9", ["caf\u00e9".encode()]),
        ('"caf\u00e9"', ["caf\u00e9".encode()]),
        ("a\vb \vc", [b"a\vb", b"c"]),
        ("# not a comment", [b"#", b"not", b"a", b"comment"]),
    ],
)
def test_words(text: str, expected: list[bytes]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ('SET a "b"c', 10, "a closing quote must be followed by a space"),
        ("SET a 'b'c", 10, "a closing quote must be followed by a space"),
        ('SET a "b', 7, "this quote is never closed"),
        ("SET a don't", 10, "this quote is never closed"),
        ('SET a "b\\', 7, "this quote is never closed"),
        ('SET caf\u00e9 "', 10, "this quote is never closed"),
        ('SET a """b', 7, "these three quotes are never closed"),
        ('SET a """b"""c', 14, "a closing quote must be followed by a space"),
    ],
)
def test_fault_names_the_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        split(text)
    assert str(caught.value) == f"{reason} (column {column})"
    assert caught.value.detail == (text, " " * (column - 1) + "^")


def test_fault_is_shown_with_a_caret() -> None:
    with pytest.raises(UsageError) as caught:
        split('SET a "b"c')
    assert caught.value.lines() == [
        "UsageError: a closing quote must be followed by a space (column 10)",
        '    SET a "b"c',
        "             ^",
    ]


def test_caret_stands_right_behind_a_tab() -> None:
    with pytest.raises(UsageError) as caught:
        split('SET\ta "b')
    assert caught.value.detail[1] == "   \t  ^"


def test_apostrophe_gets_a_hint() -> None:
    with pytest.raises(UsageError) as caught:
        split("SET a don't")
    assert "double quotes" in caught.value.hint


def test_tokens_know_their_column_and_quotes() -> None:
    tokens = split("SET  'a' \"b\" c'd'")
    assert [token.column for token in tokens] == [1, 6, 10, 14]
    assert [token.literal for token in tokens] == [False, True, False, True]


def test_repeat_count() -> None:
    command = read_line("3 INCR x")
    assert command is not None
    assert command.repeat == 3
    assert [token.value for token in command.tokens] == [b"INCR", b"x"]
    # Alone it is the command's name, as in redis-cli.
    alone = read_line("3")
    assert alone is not None
    assert alone.repeat == 1


@pytest.mark.parametrize("text", ["0 PING", "-2 PING"])
def test_repeat_count_must_be_positive(text: str) -> None:
    with pytest.raises(UsageError, match="a repeat count must be 1 or more"):
        read_line(text)


def test_cell() -> None:
    cell = "\n# a comment\n  // another\nSET a 1\n\n  2 INCR a # no comment\n"
    first, second = read_cell(cell)
    assert (first.line, first.text, first.repeat) == (4, "SET a 1", 1)
    assert (second.line, second.repeat) == (6, 2)
    assert second.tokens[-1].value == b"comment"


def test_cell_with_a_value_of_several_lines() -> None:
    cell = 'SET a """one\n  "two" \\n\n# three"""\nGET a\nSET b \'\'\'{{x}}\n\'\'\' XX'
    first, second, third = read_cell(cell)
    assert first.tokens[2].value == b'one\n  "two" \\n\n# three'
    assert first.text == 'SET a """one\n  "two" \\n\n# three"""'
    assert (second.line, second.text) == (4, "GET a")
    assert third.tokens[2].literal
    assert third.tokens[3].value == b"XX"


def test_fault_in_a_cell_names_the_line() -> None:
    with pytest.raises(UsageError) as caught:
        read_cell('SET a 1\nSET a "1')
    assert str(caught.value) == "line 2: this quote is never closed (column 7)"
    assert caught.value.detail[0] == 'SET a "1'


def test_a_line_does_not_run_on() -> None:
    with pytest.raises(UsageError, match="a command ends with its line"):
        split("GET a\nGET b")


@given(st.lists(st.binary(max_size=20), max_size=5))
@example([b"'", b'"""', b"\\x41", b"{{x}}"])
def test_quoting_round_trip(values: list[bytes]) -> None:
    assert words(" ".join(map(quote, values))) == values
    tokens = split(" ".join(map(quote_argument, values)))
    assert [token.value for token in tokens] == values


@given(st.lists(st.text(max_size=12), max_size=4))
def test_plain_text_in_single_quotes(values: list[str]) -> None:
    assume(not any("\n" in value or value.endswith("\\") for value in values))
    typed = [value.replace("\\'", "\\\\'").replace("'", "\\'") for value in values]
    assume(all("\\" not in value for value in values))
    assume(not any("\ud800" <= char <= "\udfff" for v in values for char in v))
    assert words(" ".join(f"'{v}'" for v in typed)) == [v.encode() for v in values]


LINES = st.text(alphabet="ab \t\v\f\"'\\xn09fF{}#\u00e9", max_size=14)


@settings(max_examples=40, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=60))
def test_splits_as_redis_cli_does(redis_cli, lines: list[str]) -> None:
    # Three quotes are ours.
    lines = [line for line in lines if '"""' not in line and "'''" not in line]
    expected = redis_cli.splits([line.encode() for line in lines])
    for line, theirs in zip(lines, expected, strict=True):
        try:
            ours = words(line)
        except UsageError:
            ours = None
        assert ours == theirs, repr(line)
