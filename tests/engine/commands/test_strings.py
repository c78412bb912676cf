from __future__ import annotations

import random

import pytest

import trignb
from trignb.datatypes import string_encoding
from trignb.reply import to_resp2

NOON_MS = 1_767_268_800_000
WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def encoding(engine, key):
    return string_encoding(engine.core.databases[0].data[key.encode()])


# -- SET


def test_set_without_listeners_takes_the_flat_way(engine):
    dirty = engine.core.dirty
    assert engine.execute("SET", "k", "v") == "OK"
    assert engine.execute("GET", "k") == b"v"
    assert engine.core.dirty == dirty + 1


def test_flat_set_drops_the_deadline_of_its_own_key_only(engine):
    engine.execute("SET", "a", "1", "EX", "10")
    engine.execute("SET", "b", "1", "EX", "10")
    engine.execute("SET", "a", "2")
    assert set(engine.core.databases[0].expires) == {b"b"}


def test_flat_set_breaks_a_watch(engine, session):
    session.execute("WATCH", "k")
    engine.execute("SET", "k", "v")
    session.execute("MULTI")
    assert session.execute("EXEC") is None


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ("EX 10", "PXAT %d" % (NOON_MS + 10_000)),
        ("px 10", "PXAT %d" % (NOON_MS + 10)),
        ("EXAT 2000000000", "PXAT 2000000000000"),
        ("EX 5 EX 10", "PXAT %d" % (NOON_MS + 10_000)),
    ],
)
def test_set_with_a_time_is_sent_with_its_deadline(run, options, sent):
    assert run(f"SET k v {options}") == "OK"
    assert run.events == ["new k", "set k", "expire k"]
    assert run.effects == [f"SET k v {sent}"]
    assert run.dirty == 1


def test_set_pxat_is_sent_as_it_came(run):
    run("set k v pxat 2000000000000 get")
    assert run.effects == ["set k v pxat 2000000000000 get"]


def test_set_get_is_sent_without_get(run):
    run("SET k old")
    assert run("set k v GET keepttl get") == b"old"
    assert run.effects == ["set k v keepttl"]
    assert run.events == ["set k"]


def test_set_get_on_a_missing_key_misses_first(run):
    assert run("SET k v GET") is None
    assert run.events == ["keymiss k", "new k", "set k"]


@pytest.mark.parametrize("command", ["SET k v NX", "SET k v NX GET", "SETNX k v"])
def test_a_key_that_exists_is_left_alone(run, command):
    run("SET k old")
    assert run(command) in (None, b"old", 0)
    assert (run.events, run.effects, run.dirty) == ([], [], 0)
    assert run("GET k") == b"old"


def test_set_xx_on_a_key_past_its_deadline(run, engine):
    run.core.active_expire = False
    run("SET k v PX 10")
    engine.clock.advance(milliseconds=11)
    assert run("SET k w XX") is None
    assert run.events == ["expired k"]
    assert run.effects == ["DEL k"]


@pytest.mark.parametrize(
    "options",
    [
        "NX XX",
        "EX",
        "EX 1 PX 1",
        "EX 1 KEEPTTL",
        "KEEPTTL EXAT 5",
        "PERSIST",
        "SOON",
        "EX 0 NX XX",
    ],
)
def test_options_that_do_not_fit(run, options):
    assert str(run(f"SET k v {options}")) == "ERR syntax error"
    assert run.dirty == 0


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("SET k v EX 0", "set"),
        ("SET k v PX -1", "set"),
        ("SET k v EX 9223372036854775", "set"),
        ("SET k v EXAT 9223372036854776", "set"),
        ("SETEX k 0 v", "setex"),
        ("PSETEX k 9223372036854775807 v", "psetex"),
    ],
)
def test_times_out_of_range(run, command, name):
    assert str(run(command)) == f"ERR invalid expire time in '{name}' command"
    assert run("EXISTS k") == 0


def test_set_with_a_past_time_leaves_a_key_that_is_due(run):
    run.core.active_expire = False
    assert run("SET k v EXAT 1") == "OK"
    assert run.events == ["new k", "set k", "expire k"]
    assert run("GET k") is None
    assert run.events == ["expired k", "keymiss k"]


def test_mset_fires_once_per_pair(run):
    assert run("MSET a 1 b 2 a 3") == "OK"
    assert run.events == ["new a", "set a", "new b", "set b", "set a"]
    assert run.effects == ["MSET a 1 b 2 a 3"]
    assert run.dirty == 3


def test_mset_with_a_key_too_many(run):
    want = "ERR wrong number of arguments for 'mset' command"
    assert str(run("MSET a 1 b")) == want
    assert str(run("MSETNX a 1 b")) == want.replace("mset", "msetnx")


def test_msetnx_is_all_or_nothing(run):
    run("SET b 1")
    assert run("MSETNX a 1 b 2") == 0
    assert run("EXISTS a") == 0
    assert run("MSETNX x 1 x 2") == 1
    assert run("GET x") == b"2"


# -- GET and what it is part of


def test_get_counts_hits_and_misses(engine):
    core = engine.core
    engine.execute("SET", "k", "v")
    engine.execute("GET", "k")
    engine.execute("MGET", "k", "k", "x")
    assert (core.hits, core.misses) == (3, 1)


def test_get_returns_bytes_of_a_string_changed_in_place(engine):
    engine.execute("SET", "k", "a")
    engine.execute("APPEND", "k", "b")
    for reply in (engine.execute("GET", "k"), engine.execute("MGET", "k")[0]):
        assert type(reply) is bytes
        assert reply == b"ab"


def test_mget_gives_null_for_another_type(run):
    run("HSET h f v")
    run("SET k v")
    assert run("MGET k h x") == [b"v", None, None]
    assert run.events == ["keymiss x"]


def test_wrong_type(run):
    run("HSET h f v")
    for command in ("GET h", "APPEND h x", "INCR h", "SET h v GET", "GETDEL h"):
        assert str(run(command)) == WRONGTYPE
        assert run.dirty == 0
    assert run("SET h v") == "OK"


def test_getdel_is_sent_as_del(run):
    run("SET k v")
    assert run("GETDEL k") == b"v"
    assert (run.events, run.effects) == (["del k"], ["DEL k"])


def test_getset_is_sent_as_set(run):
    run("SET k v EX 10")
    assert run("GETSET k w") == b"v"
    assert (run.events, run.effects) == (["set k"], ["SET k w"])
    assert run("TTL k") == -1


@pytest.mark.parametrize(
    ("options", "events", "effects"),
    [
        ("", [], []),
        ("EX 10", ["expire k"], ["PEXPIREAT k %d" % (NOON_MS + 10_000)]),
        ("PXAT 2000000000000", ["expire k"], ["PEXPIREAT k 2000000000000"]),
        ("EXAT 1", ["del k"], ["DEL k"]),
        ("PERSIST", ["persist k"], ["PERSIST k"]),
    ],
)
def test_getex(run, options, events, effects):
    run("SET k v EX 100")
    assert run(f"GETEX k {options}") == b"v"
    assert (run.events, run.effects) == (events, effects)


def test_getex_reads_the_time_only_where_there_is_a_key(run):
    assert run("GETEX k EX 0") is None
    run("SET k v")
    assert str(run("GETEX k EX 0")) == "ERR invalid expire time in 'getex' command"
    assert str(run("GETEX k NX")) == "ERR syntax error"


# -- parts


def test_setrange_fills_the_gap(run):
    assert run("SETRANGE k 3 abc") == 6
    assert run("GET k") == b"\0\0\0abc"
    assert run("SETRANGE k 1 x") == 6
    assert run("GET k") == b"\0x\0abc"


def test_setrange_of_nothing_changes_nothing(run):
    assert run(["SETRANGE", "k", "3", ""]) == 0
    assert run.dirty == 0
    assert run("EXISTS k") == 0


@pytest.mark.parametrize(
    "command", ["SETRANGE k 536870912 x", "SETRANGE k 536870911 xy"]
)
def test_strings_have_a_greatest_length(run, command):
    error = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
    assert str(run(command)) == error
    run("CONFIG SET proto-max-bulk-len 1mb")
    run(["SET", "k", "x" * (1 << 20)])
    assert str(run("APPEND k x")) == error


@pytest.mark.parametrize(
    ("start", "end", "part"),
    [
        (0, -1, b"hello"),
        (-3, -1, b"llo"),
        (-1, -3, b""),
        (3, 1, b""),
        (-100, 1, b"he"),
        (2, 100, b"llo"),
        (5, 9, b""),
        (0, -100, b"h"),
    ],
)
def test_getrange(run, start, end, part):
    run("SET k hello")
    assert run(f"GETRANGE k {start} {end}") == part
    assert run(f"SUBSTR k {start} {end}") == part


# -- counting


@pytest.mark.parametrize("start", ["0", "9", "-1", "-5", "999999999999999999"])
def test_counting(run, start):
    run(f"SET k {start}")
    assert run("INCR k") == int(start) + 1
    assert run.events == ["incrby k"]
    assert run("DECR k") == int(start)
    assert run("INCRBY k -7") == int(start) - 7
    assert run("DECRBY k -7") == int(start)
    assert encoding(run.engine, "k") == "int"


def test_counting_keeps_the_deadline(run):
    run("SET k 5 EX 10")
    run("INCR k")
    assert run("TTL k") == 10


@pytest.mark.parametrize("text", ["", "01", "+1", " 1", "1 ", "1.0", "-0", "1_0", "x"])
def test_what_is_no_integer(run, text):
    run(["SET", "k", text])
    for command in ("INCR k", "DECRBY k 1"):
        assert str(run(command)) == "ERR value is not an integer or out of range"


def test_integers_end_at_64_bits(run):
    run("SET k 9223372036854775807")
    assert str(run("INCR k")) == "ERR increment or decrement would overflow"
    assert str(run("DECRBY k -9223372036854775808")) == "ERR decrement would overflow"
    assert run("GET k") == b"9223372036854775807"


def test_incrbyfloat_is_sent_as_set(run):
    run("SET k 10.5")
    assert run("INCRBYFLOAT k 0.1") == b"10.6"
    assert (run.events, run.effects) == (["incrbyfloat k"], ["SET k 10.6 KEEPTTL"])


def test_incrbyfloat_errors(run):
    run("SET k 1")
    assert str(run("INCRBYFLOAT k abc")) == "ERR value is not a valid float"
    assert str(run("INCRBYFLOAT k inf")) == (
        "ERR increment would produce NaN or Infinity"
    )


# -- encodings


@pytest.mark.parametrize(
    ("commands", "want"),
    [
        (["SET k 123"], "int"),
        (["SET k -9223372036854775808"], "int"),
        (["SET k 9223372036854775808"], "embstr"),
        (["SET k 0123"], "embstr"),
        ([f"SET k {'x' * 44}"], "embstr"),
        ([f"SET k {'x' * 45}"], "raw"),
        (["APPEND k 12"], "int"),
        (["SET k 1", "APPEND k 2"], "raw"),
        (["SET k abc", "SETRANGE k 0 b"], "raw"),
        (["SET k 1.5", "INCRBYFLOAT k 1"], "embstr"),
        (["SET k a", "APPEND k b", "SET k a"], "embstr"),
    ],
)
def test_encodings(run, commands, want):
    for command in commands:
        run(command)
    assert encoding(run.engine, "k") == want


# -- LCS


def test_lcs(run):
    run("MSET a ohmytext b mynewtext")
    assert run("LCS a b") == b"mytext"
    assert run("LCS a b LEN") == 6
    assert run("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN") == {
        b"matches": [[[4, 7], [5, 8], 4]],
        b"len": 6,
    }


def test_lcs_errors(run):
    run("HSET h f v")
    assert str(run("LCS h x NONSENSE")) == (
        "ERR The specified keys must contain string values"
    )
    assert str(run("LCS a b IDX LEN")) == (
        "ERR If you want both the length and indexes, please just use IDX."
    )
    assert str(run("LCS a b MINMATCHLEN")) == "ERR syntax error"


# -- against a real Redis


@pytest.mark.oracle
def test_random_commands_answer_as_redis_does(oracle, session2):
    choose = random.Random(7)
    client = oracle.connect()
    client.execute("FLUSHALL")
    values = ["", "1", "-1", "10.25", "hello", "9223372036854775807", "01", "x" * 45]
    numbers = ["0", "1", "-1", "3", "-4", "x", "9223372036854775807", "1e3", "0.1"]
    shapes = [
        *["SET k v", "SET k v GET", "SET k v NX", "SET k v XX GET", "GETSET k v"],
        *["APPEND k v", "SETNX k v", "GET k", "GETDEL k", "STRLEN k", "MGET k k k"],
        *["INCR k", "DECR k", "INCRBY k n", "DECRBY k n", "INCRBYFLOAT k n"],
        *["GETRANGE k n n", "MSET k v k v", "MSETNX k v k v", "LCS k k IDX", "LCS k k"],
    ]
    for _ in range(3000):
        words = {"k": ["a", "b", "c"], "v": values, "n": numbers}
        shape = choose.choice(shapes).split(" ")
        command = [choose.choice(words.get(word, [word])) for word in shape]
        want = client.execute(*command)
        try:
            got = to_resp2(session2.execute(*command))
        except trignb.ResponseError as error:
            got = error
        assert repr(got) == repr(want), command
