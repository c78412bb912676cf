"""How commands are written, compared with what the engine says of them."""

from __future__ import annotations

from typing import Any

import pytest

from trignb.notebook import signatures
from trignb.notebook.signatures import signature

TABLE = signatures._table()


def shortest(node: Any) -> int:
    """Return how few words a part of a signature can be."""
    kind = type(node).__name__
    if kind == "_Sequence":
        return sum(map(shortest, node.parts))
    if kind == "_Choice":
        return min(map(shortest, node.parts))
    if kind == "_Repeated":
        return shortest(node.part)
    return {"_Options": 0, "_Counted": 1}.get(kind, 1)


# Alternatives that Redis counts otherwise: keys that may be none, choices of options.
OTHERWISE = {
    *("EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO"),
    *("TFCALL", "TFCALLASYNC"),
}


def test_as_many_words_as_the_engine_wants(engine: Any) -> None:
    wrong = []
    for name, written in TABLE.items():
        numbered = "#keys" in written.notation and name not in OTHERWISE
        words = len(name.split()) + shortest(written._root) + numbered
        if words != abs(engine.core.table.by_name[name.lower()].facts.arity):
            wrong.append(written.text)
    assert wrong == []


def test_every_command_of_the_data_has_one(engine: Any) -> None:
    data = {
        *("string", "list", "set", "hash", "sorted-set", "stream", "geo", "bitmap"),
        *("hyperloglog", "pubsub", "transactions", "scripting"),
    }
    missing = [
        name
        for name, command in engine.core.table.by_name.items()
        if command.facts.group in data
        and not command.subcommands
        and not name.startswith("pf")
        and not name.endswith("help")
        and signature(name) is None
    ]
    assert missing == []


def after(line: str) -> tuple[list[str], list[str]]:
    name, *words = line.split()
    found = signature(name)
    assert found is not None
    expected = found.expected(words)
    return list(expected.literals), list(expected.values)


@pytest.mark.parametrize(
    ("line", "literals", "values"),
    [
        ("SET", [], ["key"]),
        ("SET k v EX", [], ["seconds"]),
        ("SET k v nx EX 5", ["GET"], []),
        ("MSET a", [], ["value"]),
        ("MSET a b", [], ["key"]),
        ("XREAD COUNT 5", ["BLOCK", "STREAMS"], []),
        ("XREAD STREAMS s", [], ["key", "id"]),
        ("EVAL s 2 a", [], ["key"]),
        ("EVAL s 1 a", [], ["arg"]),
        ("EVAL s", [], ["numkeys"]),
        ("EVAL s x", [], ["arg"]),
        ("BITFIELD k OVERFLOW", ["WRAP", "SAT", "FAIL"], []),
        ("SORT k BY x GET y", ["GET", "LIMIT", "ASC", "DESC", "ALPHA", "STORE"], []),
        ("TFUNCTION DELETE", [], ["library"]),
        ("GEODIST k a b m x", [], []),
        ("DBSIZE", [], []),
    ],
)
def test_what_may_follow(line: str, literals: list[str], values: list[str]) -> None:
    assert after(line) == (literals, values)


def test_pasted_data_is_not_looked_at() -> None:
    assert after("DEL " + "k " * 100)[1] == ["key"]
    assert after("DEL " + "k " * 1000) == ([], [])


def test_text_for_people() -> None:
    found = signature("eval")
    assert found is not None
    assert found.text == "EVAL script numkeys key … [arg …]"
    assert signature("nonsense") is None
