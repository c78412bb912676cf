"""Which arguments are keys, for every command that has some."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trignb
from trignb.engine.keyspecs import has_keys, key_refs, key_specs, keys_of
from trignb.engine.spec import Command, command_facts


def command_of(text):
    words = text.split()
    facts = command_facts()
    name = " ".join(words[:2]).lower()
    if name not in facts:
        name = words[0].lower()
    return Command(facts[name], lambda s, args: None), [w.encode() for w in words]


def shown(text):
    command, args = command_of(text.replace("''", "EMPTY"))
    args = [b"" if arg == b"EMPTY" else arg for arg in args]
    return [key.decode() for key in keys_of(command, args)]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("GET a", "a"),
        ("PING", ""),
        ("DEL a b c", "a b c"),
        ("MSET a 1 b 2", "a b"),
        ("BLPOP a b 0", "a b"),
        ("RENAME a b", "a b"),
        ("BITOP AND d a b", "d a b"),
        ("OBJECT ENCODING a", "a"),
        ("MEMORY USAGE a", "a"),
        ("XINFO STREAM a", "a"),
        ("EVAL x 2 a b c", "a b"),
        ("EVAL x 0", ""),
        ("EVAL x 5 a", ""),
        ("EVAL x -1", ""),
        ("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d a b"),
        ("ZUNIONSTORE d 5 a b", ""),
        ("LMPOP 1 a LEFT", "a"),
        ("XREAD COUNT 2 STREAMS a b 0 0", "a b"),
        ("XREAD COUNT 2 a", ""),
        ("XREADGROUP GROUP g c STREAMS a >", "a"),
        ("SORT a BY w_* GET g_* STORE d", "a d"),
        ("SORT a STORE d STORE e LIMIT 0 STORE", "a e"),
        ("SORT a", "a"),
        ("SORT_RO a GET b", "a"),
        ("GEORADIUS a 1 2 3 m STORE d", "a d"),
        ("GEORADIUS a 1 2 3 m STORE d STOREDIST e", "a d e"),
        ("GEORADIUS a 1 2 3 m", "a"),
        ("MIGRATE h 1 a 0 10", "a"),
        ("MIGRATE h 1 '' 0 10 AUTH2 KEYS x KEYS a b", "a b"),
        ("MIGRATE h 1 a 0 10 KEYS b", ""),
        ("SPUBLISH c m", ""),
        ("CONFIG GET a", ""),
    ],
)
def test_keys(text, keys):
    assert shown(text) == keys.split()


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("GET a", ["RO access"]),
        ("SET a b", ["OW update"]),
        ("SET a b GET", ["RW access update"]),
        ("BITFIELD a GET u4 0", ["RO access"]),
        ("BITFIELD a OVERFLOW SAT INCRBY u4 0 1", ["RW access update"]),
        ("BITFIELD a OVERFLOW WRAP GET u4 0", ["RO access"]),
        ("SORT a STORE d", ["RO access", "OW update"]),
        ("RENAME a b", ["RW access delete", "OW update"]),
    ],
)
def test_what_happens_to_them(text, flags):
    command, args = command_of(text)
    assert [" ".join(ref.flags) for ref in key_refs(command, args)] == flags


def test_every_notation_is_understood():
    for facts in command_facts().values():
        specs = key_specs(facts.key_specs)
        assert bool(specs) == bool(facts.key_specs)
        assert {spec.begin for spec in specs} <= {"index", "keyword", "unknown"}
        assert {spec.find for spec in specs} <= {"range", "keynum", "unknown"}


def test_having_keys_at_all():
    for name, expected in {
        "get": True,
        "sort": True,
        "ping": False,
        "spublish": False,
    }.items():
        assert has_keys(Command(command_facts()[name], lambda s, a: None)) is expected


WORDS = ["a", "b", "0", "1", "2", "-1", "STORE", "KEYS", "STREAMS", "GET", "BY", "SET"]


@given(
    st.sampled_from(sorted(command_facts())),
    st.lists(st.sampled_from(WORDS), max_size=8),
)
def test_no_arguments_are_too_odd(name, words):
    args = [word.encode() for word in [*name.split(), *words]]
    command = Command(command_facts()[name], lambda s, a: None)
    n, arity = len(args), command.declared_arity
    keys = keys_of(command, args)
    assert all(key in args for key in keys)
    if n == arity or (arity < 0 and n >= -arity):
        assert keys == [ref.key for ref in key_refs(command, args)]


@pytest.mark.oracle
def test_as_redis_finds_them(oracle, engine):
    connection, chance = oracle.connect(2), random.Random(7)
    names = sorted(
        name for name in command_facts() if name in engine.core.table.by_name
    )
    for _ in range(3000):
        words = [
            *chance.choice(names).split(),
            *chance.choices(WORDS, k=chance.randrange(9)),
        ]
        theirs = connection.execute("COMMAND", "GETKEYS", *words)
        try:
            ours = engine.execute("COMMAND", "GETKEYS", *words)
        except trignb.ResponseError as error:
            ours = error
        assert repr(ours) == repr(theirs), words
