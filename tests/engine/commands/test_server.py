"""CONFIG, TIME, ROLE, LOLWUT, MODULE, SLOWLOG, MEMORY."""

from __future__ import annotations

import pytest

import trignb
from trignb.errors import ResponseError
from trignb.reply import Verbatim


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


# -- CONFIG


def test_config(engine):
    assert engine.execute("CONFIG", "SET", "hz", "20", "maxmemory", "1mb") == "OK"
    assert engine.execute("CONFIG", "GET", "hz", "maxmemory") == {
        b"hz": b"20",
        b"maxmemory": b"1048576",
    }


def test_config_takes_any_bytes(engine):
    engine.execute("CONFIG", "SET", "ignore-warnings", b"\xff\xfe")
    assert engine.execute("CONFIG", "GET", "ignore-*") == {
        b"ignore-warnings": b"\xff\xfe"
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("SET hz", "ERR wrong number of arguments for 'config|set' command"),
        ("SET hz 1 maxmemory", "ERR syntax error"),
        ("REWRITE", "ERR The server is running without a config file"),
        ("NOPE", "ERR unknown subcommand 'NOPE'. Try CONFIG HELP."),
    ],
)
def test_config_refused(engine, words, message):
    assert refused(engine, "CONFIG", *words.split()) == message


@pytest.mark.parametrize("name", ["CONFIG", "MEMORY", "LATENCY", "SLOWLOG", "MODULE"])
def test_help(engine, name):
    lines = engine.execute(name, "HELP")
    assert (
        lines[0] == f"{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    )
    assert lines[-2:] == ["HELP", "    Prints this help."]
    subcommands = engine.core.table[name.encode()].subcommands
    shown = [line.split()[0] for line in lines[1::2]]
    assert shown[:-1] == [
        w.decode() for w in subcommands if w.isupper() and w != b"HELP"
    ]


# -- odds and ends


def test_time_is_the_engines(engine):
    engine.clock.freeze(at=1_700_000_000)
    engine.clock.advance(milliseconds=1.5)
    assert engine.execute("TIME") == [b"1700000000", b"1500"]


def test_role(engine):
    assert engine.execute("ROLE") == [b"master", 0, []]


@pytest.mark.parametrize("words", [[], ["VERSION", "7"], ["whatever"]])
def test_lolwut(engine, words):
    reply = engine.execute("LOLWUT", *words)
    assert isinstance(reply, Verbatim)
    assert reply == b"Redis ver. 7.2.6\n"
    assert refused(engine, "LOLWUT", "VERSION", "x") == (
        "ERR value is not an integer or out of range"
    )


def test_modules(engine):
    (module,) = engine.execute("MODULE", "LIST")
    assert module[b"name"] == b"redisgears_2"
    for words in (["LOAD", "x"], ["LOADEX", "x"], ["UNLOAD", "x"]):
        assert refused(engine, "MODULE", *words).startswith(
            "ERR MODULE command not allowed. If the enable-module-command option is set"
        )


def test_no_room_for_compiled_modules():
    with trignb.Engine(enable_module_command="local") as engine:
        assert refused(engine, "MODULE", "LOAD", "x.so") == (
            "ERR Error loading the extension. Please check the server logs."
        )
        assert refused(engine, "MODULE", "UNLOAD", "x") == (
            "ERR Error unloading module: no such module with that name"
        )


# -- SLOWLOG


def test_measuring_begins_with_interest(engine, session):
    assert session.intercept is None
    engine.execute("CONFIG", "SET", "slowlog-log-slower-than", "0")
    assert session.intercept is not None
    session.execute("CLIENT", "SETNAME", "me")
    session.execute("SET", "k", "v")
    entries = engine.execute("SLOWLOG", "GET", "2")
    assert [entry[3] for entry in entries] == [
        [b"SET", b"k", b"v"],
        [b"CLIENT", b"SETNAME", b"me"],
    ]
    number, stamp, usec, _, address, name = entries[0]
    assert (number, name) == (entries[1][0] + 1, b"me")
    assert stamp == int(engine.execute("TIME")[0])
    assert usec >= 0
    assert address == f"in-process:{session.id}".encode()


def test_slowlog_get_starts_it(engine, session):
    assert engine.execute("SLOWLOG", "GET") == []
    assert session.intercept is not None
    engine.execute("CONFIG", "SET", "slowlog-log-slower-than", "-1")
    assert session.intercept is None


def test_slowlog_length_and_reset(engine):
    engine.execute(
        "CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "3"
    )
    for i in range(10):
        engine.execute("SET", "k", i)
    assert engine.execute("SLOWLOG", "LEN") == 3
    newest = engine.execute("SLOWLOG", "GET", "-1")
    assert len(newest) == 3
    assert [entry[0] for entry in newest] == sorted(
        (e[0] for e in newest), reverse=True
    )
    engine.execute("CONFIG", "SET", "slowlog-log-slower-than", "1000000")
    assert engine.execute("SLOWLOG", "RESET") == "OK"
    assert engine.execute("SLOWLOG", "LEN") == 0


def test_slowlog_shortens_and_masks(engine, session):
    engine.execute("CONFIG", "SET", "slowlog-log-slower-than", "0")
    session.execute("DEL", *(f"k{i}" for i in range(40)))
    session.execute("SET", "k", "x" * 200)
    session.execute("AUTH", "default", "secret")
    auth, set_, del_ = (entry[3] for entry in engine.execute("SLOWLOG", "GET", "3"))
    assert auth == [b"AUTH", b"(redacted)", b"(redacted)"]
    assert set_[2] == b"x" * 128 + b"... (72 more bytes)"
    assert len(del_) == 32
    assert del_[-1] == b"... (10 more arguments)"


def test_slowlog_has_the_commands_of_a_transaction(engine, session):
    engine.execute("CONFIG", "SET", "slowlog-log-slower-than", "0")
    for words in (["MULTI"], ["SET", "k", "v"], ["EXEC"]):
        session.execute(*words)
    logged = [entry[3] for entry in engine.execute("SLOWLOG", "GET", "2")]
    assert logged == [[b"SET", b"k", b"v"], [b"MULTI"]]


def test_measured_commands_have_times(engine):
    engine.execute("CONFIG", "SET", "slowlog-log-slower-than", "1000000")
    for _ in range(50):
        engine.execute("SET", "k", "x" * 100_000)
    text = engine.execute("INFO", "commandstats").decode()
    assert "cmdstat_set:calls=50,usec=" in text


@pytest.mark.parametrize("count", ["x", "-2", ""])
def test_slowlog_get_refused(engine, count):
    assert refused(engine, "SLOWLOG", "GET", count) == (
        "ERR count should be greater than or equal to -1"
    )


def test_slowlog_get_takes_one_number(engine):
    assert refused(engine, "SLOWLOG", "GET", "1", "2") == (
        "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."
    )


# -- MEMORY


def test_memory_usage(engine):
    engine.execute("SET", "s", "x" * 1000)
    engine.execute("RPUSH", "l", *("y" * 100 for _ in range(100)))
    assert 1000 < engine.execute("MEMORY", "USAGE", "s") < 1500
    assert 10_000 < engine.execute("MEMORY", "USAGE", "l") < 30_000
    assert engine.execute("MEMORY", "USAGE", "l", "SAMPLES", "0") > 10_000
    assert engine.execute("MEMORY", "USAGE", "absent") is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("x", "ERR syntax error"),
        ("SAMPLES", "ERR syntax error"),
        ("SAMPLES -1", "ERR syntax error"),
        ("SAMPLES x", "ERR value is not an integer or out of range"),
    ],
)
def test_memory_usage_refused(engine, words, message):
    assert refused(engine, "MEMORY", "USAGE", "k", *words.split()) == message


def test_memory_stats(engine):
    engine.execute("SET", "k", "x" * 1000)
    stats = engine.execute("MEMORY", "STATS")
    assert stats[b"keys.count"] == 1
    assert stats[b"keys.bytes-per-key"] > 1000
    assert b"overhead.hashtable.main" in stats[b"db.0"]


def test_memory_odds(engine):
    assert engine.execute("MEMORY", "PURGE") == "OK"
    assert engine.execute("MEMORY", "DOCTOR").startswith(
        b"Hi Sam, this instance is empty"
    )
    assert engine.execute("MEMORY", "MALLOC-STATS") == (
        b"Stats not supported for the current allocator"
    )
    engine.execute("SET", "k", "x" * (6 << 20))
    assert engine.execute("MEMORY", "DOCTOR").startswith(b"Hi Sam, I can't find any")
