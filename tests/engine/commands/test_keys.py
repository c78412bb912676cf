"""Keys of any type: names, copies, OBJECT. Events and propagation are in the event table."""

from __future__ import annotations

import pytest

import trignb
from trignb.datatypes import SortedSet

FILL = {
    "string": ["SET k v"],
    "list": ["RPUSH k a b"],
    "set": ["SADD k a b"],
    "zset": ["ZADD k 1 a 2 b"],
    "hash": ["HSET k f v"],
}
SWITCHING = (
    " Please note that when switching between policies at runtime LRU and LFU data will"
    " take some time to adjust."
)


def run(engine, *commands):
    return [engine.execute(*command.split()) for command in commands][-1]


def refusal(engine, command):
    with pytest.raises(trignb.ResponseError) as error:
        run(engine, command)
    return str(error.value)


@pytest.mark.parametrize("kind", FILL)
def test_every_type_has_a_name_and_moves_as_a_whole(engine, kind):
    run(engine, *FILL[kind], "EXPIRE k 100")
    value = engine.core.databases[0].data[b"k"]
    assert run(engine, "TYPE k") == kind
    assert run(engine, "RENAME k r") == "OK"
    assert run(engine, "COPY r c") == 1
    assert run(engine, "MOVE r 1") == 1
    assert run(engine, "EXISTS k r c") == 1
    first, second = engine.core.databases[:2]
    assert second.data[b"r"] is value
    assert first.data[b"c"] == value
    assert kind == "string" or first.data[b"c"] is not value
    assert first.expires.keys() == {b"c"}
    assert second.expires.keys() == {b"r"}


def test_counting_and_deleting(engine):
    run(engine, "MSET a 1 b 2")
    assert run(engine, "EXISTS a b c a") == 3
    assert run(engine, "TOUCH a c") == 1
    assert run(engine, "DEL a a c") == 1
    assert run(engine, "UNLINK b") == 1
    assert run(engine, "TYPE b") == "none"


def test_rename(engine):
    run(engine, "MSET a 1 b 2", "EXPIRE b 100")
    assert run(engine, "RENAMENX a b") == 0
    assert run(engine, "RENAME a b") == "OK"
    assert run(engine, "TTL b") == -1
    assert run(engine, "RENAME b b") == "OK"
    assert run(engine, "RENAMENX b b") == 0
    assert run(engine, "RENAMENX b c") == 1
    assert refusal(engine, "RENAME none none") == "ERR no such key"
    assert refusal(engine, "RENAMENX none c") == "ERR no such key"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("COPY a a", "ERR source and destination objects are the same"),
        ("COPY none none", "ERR source and destination objects are the same"),
        ("COPY a b DB 16", "ERR DB index is out of range"),
        ("COPY a b DB -1", "ERR DB index is out of range"),
        ("COPY a b DB x", "ERR value is not an integer or out of range"),
        (
            "COPY a b DB 2147483648",
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        ("COPY a b DB", "ERR syntax error"),
        ("COPY a b REPLACES", "ERR syntax error"),
        ("MOVE a 0", "ERR source and destination objects are the same"),
        ("MOVE none 0", "ERR source and destination objects are the same"),
        ("MOVE a 16", "ERR DB index is out of range"),
        ("MOVE a one", "ERR value is not an integer or out of range"),
        ("OBJECT", "ERR wrong number of arguments for 'object' command"),
        ("OBJECT NOSUCH", "ERR unknown subcommand 'NOSUCH'. Try OBJECT HELP."),
        (
            "OBJECT FREQ a",
            "ERR An LFU maxmemory policy is not selected, access frequency not"
            " tracked." + SWITCHING,
        ),
    ],
)
def test_errors(engine, command, error):
    run(engine, "SET a 1")
    assert refusal(engine, command) == error


def test_copy_over_a_key_and_into_another_database(engine):
    run(engine, "MSET a 1 b 2")
    assert run(engine, "COPY a b") == 0
    assert run(engine, "COPY a b REPLACE") == 1
    assert run(engine, "GET b") == b"1"
    assert run(engine, "COPY a a DB 1") == 1
    assert run(engine, "COPY a a DB 1") == 0
    assert run(engine, "COPY a a REPLACE DB 1 DB 1") == 1
    assert run(engine, "COPY none b") == 0


def test_a_copy_changes_on_its_own(engine):
    run(engine, "RPUSH l a", "COPY l m", "RPUSH l b", "APPEND s x", "COPY s t")
    run(engine, "APPEND s y")
    assert run(engine, "LRANGE m 0 -1") == [b"a"]
    assert run(engine, "GET t") == b"x"


# -- OBJECT


@pytest.mark.parametrize(
    ("commands", "encoding"),
    [
        (["SET k 12"], b"int"),
        (["SET k -9223372036854775808"], b"int"),
        (["SET k 9223372036854775808"], b"embstr"),
        (["SET k 012"], b"embstr"),
        (["SET k " + "x" * 44], b"embstr"),
        (["SET k " + "x" * 45], b"raw"),
        (["SET k x", "APPEND k y"], b"raw"),
        (["RPUSH k a"], b"listpack"),
        (["RPUSH k " + "x" * 9000], b"quicklist"),
        (["SADD k 1 2"], b"intset"),
        (["SADD k a"], b"listpack"),
        (["SADD k " + "x" * 65], b"hashtable"),
        (["HSET k f v"], b"listpack"),
        (["HSET k f " + "x" * 65], b"hashtable"),
        (["ZADD k 1 a"], b"listpack"),
        (["ZADD k 1 " + "x" * 65], b"skiplist"),
        # SORT converts what it cannot walk.
        (["ZADD k 1 1", "SORT k"], b"skiplist"),
        ([], None),
    ],
)
def test_encodings(engine, commands, encoding):
    assert run(engine, *commands, "OBJECT ENCODING k") == encoding


def test_references(engine):
    assert run(engine, "SET k 9999", "OBJECT REFCOUNT k") == 2147483647
    assert run(engine, "SET k 10000", "OBJECT REFCOUNT k") == 1
    assert run(engine, "SET k -1", "OBJECT REFCOUNT k") == 1
    assert run(engine, "RPUSH l 1", "OBJECT REFCOUNT l") == 1
    assert run(engine, "OBJECT REFCOUNT none") is None


def test_object_counts_a_miss_and_tells_nobody(engine):
    missed = []
    engine.core.listen(lambda *args: missed.append(args), 1 << 11)
    misses = engine.core.misses
    assert run(engine, "OBJECT ENCODING none") is None
    assert run(engine, "OBJECT FREQ none") is None
    assert run(engine, "OBJECT IDLETIME none") is None
    assert engine.core.misses == misses + 3
    assert missed == []


def test_help(engine):
    lines = run(engine, "OBJECT HELP")
    assert lines[0].startswith("OBJECT <subcommand>")
    assert lines[-1] == "    Prints this help."


def test_a_sorted_set_copied_keeps_its_order(engine):
    run(engine, "ZADD z 3 c 1 a 2 b", "COPY z y", "ZREM z a")
    copied = engine.core.databases[0].data[b"y"]
    assert type(copied) is SortedSet
    assert list(copied) == [b"a", b"b", b"c"]
