"""DEBUG, for those who enabled it."""

from __future__ import annotations

import time

import pytest

import trignb
from trignb.engine.commands.internals import INTERNALS
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


# -- Redis's own structures


@pytest.fixture
def values(engine):
    engine.execute("SET", "text", "hello")
    engine.execute("SET", "number", "1")
    engine.execute("SADD", "table", "a", "x" * 100)
    engine.execute("HSET", "small", "f", "v")
    engine.execute("CONFIG", "SET", "list-max-listpack-size", "3")
    engine.execute("RPUSH", "list", *"abcdefg")
    return engine


# What a redis-server 7.0 said of the same list.
def test_object_of_a_list_of_several_nodes(values):
    text = values.execute("DEBUG", "OBJECT", "list")
    assert "encoding:quicklist serializedlength:49 " in text
    assert text.endswith(
        " ql_nodes:3 ql_avg_node:2.33 ql_listpack_max:3 ql_compressed:0 "
        "ql_uncompressed_size:42"
    )


def test_quicklist(values):
    shown = "Quicklist structure printed on stdout"
    assert values.execute("DEBUG", "QUICKLIST", "list") == shown
    assert values.execute("DEBUG", "QUICKLIST", "list", "1") == shown
    assert refused(values, "DEBUG", "QUICKLIST", "text") == (
        "ERR Not a quicklist encoded object."
    )
    assert refused(values, "DEBUG", "QUICKLIST", "absent") == "ERR no such key"


@pytest.mark.parametrize(
    ("key", "value", "rooms"),
    [
        ("k", "v", (8, 16)),
        ("b" * 60, "v" * 60, (64, 64)),
        ("k" * 31, "v" * 300, (48, 320)),
    ],
)
def test_sdslen(values, key, value, rooms):
    values.execute("SET", key, value)
    assert values.execute("DEBUG", "SDSLEN", key) == (
        f"key_sds_len:{len(key)}, key_sds_avail:0, key_zmalloc: {rooms[0]}, "
        f"val_sds_len:{len(value)}, val_sds_avail:0, val_zmalloc: {rooms[1]}"
    )


@pytest.mark.parametrize("key", ["number", "list"])
def test_sdslen_of_what_is_no_text(values, key):
    assert refused(values, "DEBUG", "SDSLEN", key) == "ERR Not an sds encoded string."


def test_htstats(values):
    values.execute("EXPIRE", "text", "100")
    assert values.execute("DEBUG", "HTSTATS", "0") == (
        b"[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: 8\n"
        b" number of elements: 5\n"
        b"[Expires HT]\nHash table 0 stats (main hash table):\n table size: 4\n"
        b" number of elements: 1\n"
    )
    assert b"No stats available for empty dictionaries" in (
        values.execute("DEBUG", "HTSTATS", "1")
    )
    assert refused(values, "DEBUG", "HTSTATS", "16") == "ERR Out of range database"
    assert b" number of elements: 2\n" in values.execute(
        "DEBUG", "HTSTATS-KEY", "table"
    )
    assert refused(values, "DEBUG", "HTSTATS-KEY", "small").endswith("an hash table")


def test_client_eviction(engine):
    assert refused(engine, "DEBUG", "CLIENT-EVICTION") == (
        "ERR maxmemory-clients is disabled."
    )
    engine.execute("CONFIG", "SET", "maxmemory-clients", "1gb")
    lines = engine.execute("DEBUG", "CLIENT-EVICTION").decode().splitlines()
    assert lines[0] == "bucket          0 -      32767: tot-mem:          0, clients: 1"
    assert lines[1] == "bucket      32768 -      65535: tot-mem:          0, clients: 0"
    assert (
        lines[-1] == "bucket 4294967296+            : tot-mem:          0, clients: 0"
    )
    assert len(lines) == 19


def test_checksums_may_be_skipped(engine):
    engine.execute("SET", "k", "v")
    payload = engine.execute("DUMP", "k")
    wrong = payload[:-1] + bytes([payload[-1] ^ 1])
    for on in ("0", "x"):
        engine.execute("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", on)
        assert refused(engine, "RESTORE", "copy", "0", wrong) == (
            "ERR DUMP payload version or checksum are wrong"
        )
    engine.execute("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1")
    assert engine.execute("RESTORE", "copy", "0", wrong) == "OK"
    assert engine.execute("GET", "copy") == b"v"


@pytest.mark.parametrize(
    "word", ["SEGFAULT", "PANIC", "ASSERT", "OOM", "RESTART", "CRASH-AND-RECOVER 10"]
)
def test_nothing_ends_the_process(engine, word):
    assert refused(engine, "DEBUG", *word.split()) == (
        f"ERR DEBUG {word.split()[0]} would end this process and is refused."
    )
    assert engine.execute("PING") == "PONG"


def test_layers_above_come_first(engine):
    mine = INTERNALS[b"LEAK"]._replace(run=lambda _session, _args: b"mine")
    engine.core.debug_subcommands[b"LEAK"] = mine
    assert engine.execute("DEBUG", "LEAK", "x") == b"mine"


def test_peak_reset_time_is_a_number_or_a_word(engine):
    assert engine.execute("DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "100") == "OK"
    assert refused(engine, "DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", "x") == (
        "ERR value is not an integer or out of range"
    )


@pytest.mark.parametrize("word", ["LISTPACK", "QUICKLIST", "HTSTATS-KEY"])
def test_a_key_that_is_not_there_counts_as_a_miss_without_an_event(run, word):
    assert str(run(f"DEBUG {word} none")) == "ERR no such key"
    assert run.events == []
    assert run.core.misses == 1
