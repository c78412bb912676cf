from __future__ import annotations

import random

import pytest

import trignb
from trignb.reply import to_resp2

WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def hash_at(engine, key="h"):
    return engine.core.databases[0].data[key.encode()]


# -- writing


def test_hset_fires_once_and_counts_every_field(run):
    assert run("HSET h a 1 b 2 a 3") == 2
    assert run.events == ["new h", "hset h"]
    assert run.effects == ["HSET h a 1 b 2 a 3"]
    assert run.dirty == 3


def test_hset_of_one_field_takes_the_flat_way(engine):
    engine.execute("HSET", "h", "a", "1")
    dirty = engine.core.dirty
    assert engine.execute("HSET", "h", "a", "2") == 0
    assert engine.execute("HSET", "h", "b", "2") == 1
    assert engine.core.dirty == dirty + 2
    assert engine.execute("HGETALL", "h") == {b"a": b"2", b"b": b"2"}


def test_the_flat_way_fires(run):
    run("HSET h a 1")
    assert run("HSET h a 1") == 0
    assert (run.events, run.effects) == (["hset h"], ["HSET h a 1"])


def test_hmset_answers_ok(run):
    assert run("HMSET h a 1") == "OK"
    assert run.events == ["new h", "hset h"]


def test_pairs_have_to_be_complete(run):
    error = "ERR wrong number of arguments for 'hset' command"
    assert str(run("HSET h a 1 b")) == error
    assert str(run("HMSET h a 1 b")) == error.replace("hset", "hmset")
    assert run("EXISTS h") == 0


def test_hsetnx(run):
    assert run("HSETNX h a 1") == 1
    assert run("HSETNX h a 2") == 0
    assert (run.events, run.dirty) == ([], 0)
    assert run("HGET h a") == b"1"


def test_hincrby(run):
    assert run("HINCRBY h a 5") == 5
    assert run.events == ["new h", "hincrby h"]
    assert run("HINCRBY h a -7") == -2
    run("HSET h t x")
    assert str(run("HINCRBY h t 1")) == "ERR hash value is not an integer"
    assert str(run("HINCRBY h a x")) == "ERR value is not an integer or out of range"
    run("HSET h a 9223372036854775807")
    assert str(run("HINCRBY h a 1")) == "ERR increment or decrement would overflow"


def test_hincrbyfloat_is_sent_as_hset(run):
    run("HSET h a 10.50")
    assert run("HINCRBYFLOAT h a 0.1") == b"10.6"
    assert (run.events, run.effects) == (["hincrbyfloat h"], ["HSET h a 10.6"])


def test_hincrbyfloat_errors(run):
    run("HSET h t x")
    assert str(run("HINCRBYFLOAT h t 1")) == "ERR hash value is not a float"
    assert str(run("HINCRBYFLOAT h a x")) == "ERR value is not a valid float"
    assert str(run("HINCRBYFLOAT h a inf")) == "ERR value is NaN or Infinity"


def test_hdel_takes_the_key_with_its_last_field(run):
    run("HSET h a 1 b 2")
    assert run("HDEL h a x a") == 1
    assert (run.events, run.dirty) == (["hdel h"], 1)
    assert run("HDEL h b") == 1
    assert run.events == ["hdel h", "del h"]
    assert run.effects == ["HDEL h b"]
    assert run("HDEL h b") == 0
    assert run.events == []


# -- reading


def test_reading_a_missing_key(run):
    for command, reply in {
        "HGET h a": None,
        "HMGET h a b": [None, None],
        "HGETALL h": {},
        "HKEYS h": [],
        "HVALS h": [],
        "HLEN h": 0,
        "HEXISTS h a": 0,
        "HSTRLEN h a": 0,
        "HRANDFIELD h": None,
        "HRANDFIELD h -3": [],
        "HSCAN h 0 NONSENSE": [b"0", []],
    }.items():
        assert run(command) == reply
        assert run.events == ["keymiss h"]


def test_reading_another_type(run):
    run("SET h v")
    for command in ("HGET h a", "HGETALL h", "HSET h a 1", "HDEL h a", "HSCAN h 0"):
        assert str(run(command)) == WRONGTYPE


def test_replies_do_not_change_with_the_hash(run):
    run("HSET h a 1")
    reply = run("HGETALL h")
    run("HSET h b 2")
    assert reply == {b"a": b"1"}


def test_hrandfield(session, session2):
    session.execute("HSET", "h", "a", "1", "b", "2", "c", "3")
    assert session.execute("HRANDFIELD", "h") in (b"a", b"b", b"c")
    assert sorted(session.execute("HRANDFIELD", "h", "9")) == [b"a", b"b", b"c"]
    assert len(set(session.execute("HRANDFIELD", "h", "2"))) == 2
    assert len(session.execute("HRANDFIELD", "h", "-9")) == 9
    pairs = session.execute("HRANDFIELD", "h", "3", "WITHVALUES")
    assert sorted(pairs) == [[b"a", b"1"], [b"b", b"2"], [b"c", b"3"]]
    flat = session2.execute("HRANDFIELD", "h", "3", "WITHVALUES")
    assert sorted(flat) == [b"1", b"2", b"3", b"a", b"b", b"c"]


def test_hrandfield_errors(run):
    for command, error in {
        "HRANDFIELD h x": "ERR value is not an integer or out of range",
        "HRANDFIELD h 1 VALUES": "ERR syntax error",
        "HRANDFIELD h 1 WITHVALUES x": "ERR syntax error",
        "HRANDFIELD h 9223372036854775807 WITHVALUES": "ERR value is out of range",
        "HRANDFIELD h -9223372036854775808": (
            "ERR value is out of range, value must between "
            "-9223372036854775807 and 9223372036854775807"
        ),
    }.items():
        assert str(run(command)) == error


# -- encodings


@pytest.mark.parametrize(
    "command",
    [
        f"HSET h f {'x' * 65}",
        f"HSET h {'x' * 65} v",
        f"HSETNX h f {'x' * 65}",
        f"HINCRBY h {'x' * 65} 1",
        f"HMSET h a 1 f {'x' * 65}",
    ],
)
def test_a_long_text_ends_the_listpack_for_good(engine, command):
    engine.execute("HSET", "h", "a", "1")
    assert hash_at(engine).encoding == "listpack"
    engine.execute(*command.split())
    assert hash_at(engine).encoding == "hashtable"
    for field in engine.execute("HKEYS", "h")[1:]:
        engine.execute("HDEL", "h", field)
    assert hash_at(engine).encoding == "hashtable"


def test_64_bytes_are_not_long(engine):
    engine.execute("HSET", "h", "x" * 64, "y" * 64)
    assert hash_at(engine).encoding == "listpack"


def test_many_fields_end_the_listpack(engine):
    engine.execute("CONFIG", "SET", "hash-max-listpack-entries", "3")
    for field in "abc":
        engine.execute("HSET", "h", field, "1")
    assert hash_at(engine).encoding == "listpack"
    engine.execute("HSET", "h", "d", "1")
    assert hash_at(engine).encoding == "hashtable"


def test_redis_counts_arguments_not_fields(engine):
    engine.execute("CONFIG", "SET", "hash-max-listpack-entries", "2")
    engine.execute("HSET", "h", "a", "1", "a", "2", "a", "3")
    assert hash_at(engine).encoding == "hashtable"


# -- HSCAN


def test_hscan_gives_a_small_hash_at_once(run):
    run("HSET h a 1 b 2 c 3")
    assert run("HSCAN h 0 COUNT 1") == [b"0", [b"a", b"1", b"b", b"2", b"c", b"3"]]
    assert run("HSCAN h 0 MATCH [ab]") == [b"0", [b"a", b"1", b"b", b"2"]]


def test_hscan_walks_a_large_one(run):
    run("CONFIG SET hash-max-listpack-entries 0")
    run(["HSET", "h", *(str(i) for i in range(100))])
    found, cursor = {}, b"0"
    while True:
        cursor, page = run(["HSCAN", "h", cursor, "COUNT", "7"])
        assert len(page) <= 14
        found |= dict(zip(page[::2], page[1::2], strict=True))
        if cursor == b"0":
            break
    assert found == run("HGETALL h")


def test_hscan_errors(run):
    run("HSET h a 1")
    for command, error in {
        "HSCAN h x": "ERR invalid cursor",
        "HSCAN h 18446744073709551616": "ERR invalid cursor",
        "HSCAN h 0 COUNT 0": "ERR syntax error",
        "HSCAN h 0 COUNT x": "ERR value is not an integer or out of range",
        "HSCAN h 0 MATCH": "ERR syntax error",
        "HSCAN h 0 TYPE hash": "ERR syntax error",
    }.items():
        assert str(run(command)) == error


# -- against a real Redis


@pytest.mark.oracle
def test_random_commands_answer_as_redis_does(oracle, session2):
    choose = random.Random(7)
    client = oracle.connect()
    client.execute("FLUSHALL")
    values = ["", "1", "-1", "10.25", "hello", "9223372036854775807", "01", "x" * 65]
    numbers = ["0", "1", "-1", "3", "x", "9223372036854775807", "1e3", "0.1", "inf"]
    shapes = [
        *["HSET k f v", "HSET k f v f v", "HMSET k f v", "HSETNX k f v", "HDEL k f f"],
        *["HINCRBY k f n", "HINCRBYFLOAT k f n", "HGET k f", "HMGET k f f", "HLEN k"],
        *["HGETALL k", "HKEYS k", "HVALS k", "HEXISTS k f", "HSTRLEN k f", "DEL k"],
        *["HSCAN k 0", "HSET k f", "GET k", "SET s v", "HGET s f", "HSET s f v"],
    ]
    words = {"k": ["h", "i"], "f": ["a", "b", "1"], "v": values, "n": numbers}
    for _ in range(3000):
        shape = choose.choice(shapes).split(" ")
        command = [choose.choice(words.get(word, [word])) for word in shape]
        want = client.execute(*command)
        try:
            got = to_resp2(session2.execute(*command))
        except trignb.ResponseError as error:
            got = error
        assert _unordered(command, got) == _unordered(command, want), command


def _unordered(command, reply):
    if isinstance(reply, list) and command[0] != "HMGET":
        # A hashtable's order is nobody's.
        return sorted(reply[1] if command[0] == "HSCAN" else reply)
    return repr(reply)
