"""DEBUG, for those who enabled it."""

from __future__ import annotations

import time

import pytest

import trignb
from trignb.errors import ResponseError


@pytest.fixture
def engine():
    with trignb.Engine(enable_debug_command="yes") as engine:
        yield engine


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


def test_it_has_to_be_enabled():
    with trignb.Engine() as engine:
        assert refused(engine, "DEBUG", "SLEEP", "0").startswith(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to"
        )


def test_sleep(engine):
    started = time.monotonic()
    assert engine.execute("DEBUG", "SLEEP", "0.02") == "OK"
    assert time.monotonic() - started >= 0.02
    assert engine.execute("DEBUG", "SLEEP", "x") == "OK"


def test_active_expiry(engine):
    engine.execute("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    assert not engine.core.active_expire
    engine.execute("DEBUG", "SET-ACTIVE-EXPIRE", "1")
    assert engine.core.active_expire


def test_object(engine):
    engine.execute("SET", "k", "abc")
    text = engine.execute("DEBUG", "OBJECT", "k")
    assert text.startswith("Value at:0x")
    assert " refcount:1 encoding:embstr serializedlength:4 lru:" in text
    assert text.endswith(" lru_seconds_idle:0")
    assert refused(engine, "DEBUG", "OBJECT", "absent") == "ERR no such key"


def test_listpack(engine):
    engine.execute("HSET", "h", "f", "v")
    engine.execute("SET", "s", "v")
    assert (
        engine.execute("DEBUG", "LISTPACK", "h")
        == "Listpack structure printed on stdout"
    )
    assert (
        refused(engine, "DEBUG", "LISTPACK", "s")
        == "ERR Not a listpack encoded object."
    )
    assert refused(engine, "DEBUG", "LISTPACK", "absent") == "ERR no such key"


def test_stringmatch(engine):
    assert engine.execute("DEBUG", "STRINGMATCH-LEN", "a*c", "abbc") == 1
    assert engine.execute("DEBUG", "STRINGMATCH-LEN", "a?c", "abbc") == 0


def test_replication_id(engine):
    before = engine.core.replication_id
    assert engine.execute("DEBUG", "CHANGE-REPL-ID") == "OK"
    assert engine.core.replication_id != before


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", b"Hello World"),
        ("integer", 12345),
        ("double", 3.141),
        ("bignum", 1234567999999999999999999999999999999),
        ("null", None),
        ("array", [0, 1, 2]),
        ("set", {0, 1, 2}),
        ("map", {0: False, 1: True, 2: False}),
        ("verbatim", b"This is a verbatim\nstring"),
        ("true", True),
        ("false", False),
    ],
)
def test_protocol(engine, kind, value):
    assert engine.execute("DEBUG", "PROTOCOL", kind) == value


def test_protocol_push(engine):
    session = engine.session()
    assert session.execute("DEBUG", "PROTOCOL", "push") == (
        b"Some real reply following the push reply"
    )
    assert list(session.inbox) == [[b"server-cpu-usage", 42]]
    assert refused(engine.session(resp=2), "DEBUG", "PROTOCOL", "push") == (
        "ERR RESP2 is not supported by this command"
    )
    assert refused(engine, "DEBUG", "PROTOCOL", "x").startswith(
        "ERR Wrong protocol type"
    )


def test_odds(engine):
    assert refused(engine, "DEBUG", "ERROR", "MY\r\nERROR") == "MY  ERROR"
    assert engine.execute("DEBUG", "LOG", "x") == "OK"
    assert engine.execute("DEBUG", "QUICKLIST-PACKED-THRESHOLD", "10b") == "OK"
    assert refused(engine, "DEBUG", "QUICKLIST-PACKED-THRESHOLD", "x") == (
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb"
    )
    assert engine.execute("DEBUG", "HELP")[-1] == "    Prints this help."


@pytest.mark.parametrize("words", ["NOPE", "SLEEP", "SLEEP 1 2", "OBJECT"])
def test_wrong_arguments(engine, words):
    assert refused(engine, "DEBUG", *words.split()) == (
        f"ERR unknown subcommand or wrong number of arguments for '{words.split()[0]}'. "
        "Try DEBUG HELP."
    )


def test_populate_creates_keys_silently(engine):
    engine.core.config.values["enable-debug-command"] = "yes"
    events = []
    engine.core.listen(lambda db, kind, event, key: events.append(event), -1)
    engine.execute("SET", "key:0", "mine")
    events.clear()
    assert engine.execute("DEBUG", "POPULATE", "2") == "OK"
    assert engine.execute("DEBUG", "POPULATE", "1", "p", "4") == "OK"
    assert engine.execute("DEBUG", "POPULATE", "1", "q", "9") == "OK"
    assert engine.execute("MGET", "key:0", "key:1", "p:0", "q:0") == [
        b"mine",
        b"value:1",
        b"valu",
        b"value:0\0\0",
    ]
    assert not {b"set", b"mset"} & set(events)


@pytest.mark.parametrize("count", ["-1", "x"])
def test_populate_takes_a_count(engine, count):
    engine.core.config.values["enable-debug-command"] = "yes"
    with pytest.raises(
        ResponseError, match="^ERR value is out of range, must be positive$"
    ):
        engine.execute("DEBUG", "POPULATE", count)


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("PAUSE-CRON 1", "OK"),
        ("SET-DISABLE-DENY-SCRIPTS 1", "OK"),
        ("REPLYBUFFER RESIZING 0", "OK"),
        ("REPLYBUFFER PEAK-RESET-TIME never", "OK"),
    ],
)
def test_settings_of_what_is_not_there_are_accepted(engine, words, reply):
    engine.core.config.values["enable-debug-command"] = "yes"
    assert engine.execute("DEBUG", *words.split()) == reply
