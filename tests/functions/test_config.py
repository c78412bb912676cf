"""The parameters ``redisgears_2.…`` (docs/semantics.md, Parameters)."""

from __future__ import annotations

import pytest

import trignb
from trignb.errors import ResponseError


def error(engine, *args) -> str:
    with pytest.raises(ResponseError) as caught:
        engine.execute(*args)
    return str(caught.value)


DEFAULTS = {
    "error-verbosity": "1",
    "execution-threads": "1",
    "remote-task-default-timeout": "500",
    "lock-redis-timeout": "500",
    "db-loading-lock-redis-timeout": "30000",
    "v8-maxmemory": "200000000",
    "v8-library-initial-memory-usage": "2000000",
    "v8-library-initial-memory-limit": "3000000",
    "v8-library-memory-usage-delta": "1000000",
    "gearsbox-address": "http://localhost:3000",
    "v8-plugin-path": "libredisgears_v8_plugin.so",
    "v8-flags": "'--noexpose-wasm'",
    "v8-debug-server-address": "",
    "enable-debug-command": "no",
    "library-fatal-failure-policy": "Abort",
}


IMMUTABLE = (
    "execution-threads",
    "v8-maxmemory",
    "v8-library-initial-memory-usage",
    "v8-library-initial-memory-limit",
    "v8-library-memory-usage-delta",
    "v8-plugin-path",
    "v8-flags",
    "v8-debug-server-address",
    "enable-debug-command",
)


def test_defaults(engine) -> None:
    reply = engine.execute("TCONFIG_GET", *DEFAULTS)
    assert {
        name.decode().removeprefix("redisgears_2."): value.decode()
        for name, value in reply.items()
    } == DEFAULTS


def test_unknown_names(engine) -> None:
    assert engine.execute("TCONFIG_GET", "foo") == {}
    assert error(engine, "TCONFIG_SET", "foo", "x") == (
        "ERR Unknown option or number of arguments for CONFIG SET - 'redisgears_2.foo'"
    )
    assert error(engine, "TCONFIG_SET", "error-verbosity", "1", "hz") == (
        "ERR wrong number of arguments for 'tconfig_set' command"
    )
    assert error(engine, "TCONFIG_SET", "lock-redis-timeout") == (
        "ERR wrong number of arguments for 'tconfig_set' command"
    )
    assert error(engine, "TCONFIG_GET") == (
        "ERR wrong number of arguments for 'tconfig_get' command"
    )
    assert error(engine, "CONFIG", "SET", "redisgears_2.foo", "x") == (
        "ERR Unknown option or number of arguments for CONFIG SET - 'redisgears_2.foo'"
    )
    # Not under other names.
    assert engine.execute("CONFIG", "GET", "lock-redis-timeout") == {}
    assert engine.execute("TCONFIG_GET", "hz") == {}


def test_names_and_patterns(engine) -> None:
    engine.execute("TCONFIG_SET", "LOCK-Redis-Timeout", "700", "error-verbosity", "2")
    assert engine.execute("CONFIG", "GET", "redisgears_2.*timeout") == {
        b"redisgears_2.remote-task-default-timeout": b"500",
        b"redisgears_2.lock-redis-timeout": b"700",
        b"redisgears_2.db-loading-lock-redis-timeout": b"30000",
    }
    both = engine.execute("TCONFIG_GET", "error-*", "lock*")
    assert list(both.values()) == [b"2", b"700"]
    assert len(engine.execute("CONFIG", "GET", "redisgears_2.*")) == len(DEFAULTS)


def failed(name: str, reason: str) -> str:
    return (
        "ERR CONFIG SET failed (possibly related to argument "
        f"'redisgears_2.{name}') - {reason}"
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "lock-redis-timeout",
            "99",
            "argument must be between 100 and 1000000000 inclusive",
        ),
        ("lock-redis-timeout", "x", "argument couldn't be parsed into an integer"),
        ("lock-redis-timeout", "1.5", "argument couldn't be parsed into an integer"),
        ("error-verbosity", "0", "argument must be between 1 and 2 inclusive"),
        ("error-verbosity", "3", "argument must be between 1 and 2 inclusive"),
        (
            "remote-task-default-timeout",
            "0",
            "argument must be between 1 and 9223372036854775807 inclusive",
        ),
        (
            "db-loading-lock-redis-timeout",
            "1000000001",
            "argument must be between 100 and 1000000000 inclusive",
        ),
        *((name, "1", "can't set immutable config") for name in IMMUTABLE),
        (
            "library-fatal-failure-policy",
            "x",
            "argument(s) must be one of the following: Abort, Kill",
        ),
        (
            "db-loading-lock-redis-timeout",
            "499",
            (
                "The db-loading-lock-redis-timeout value can't be less than "
                "lock-redis-timeout value."
            ),
        ),
    ],
)
def test_refused(engine, name, value, reason) -> None:
    assert error(engine, "TCONFIG_SET", name, value) == failed(name, reason)
    assert engine.execute("TCONFIG_GET", name) == {
        b"redisgears_2." + name.encode(): DEFAULTS[name].encode()
    }


LOCK, LOADING = "lock-redis-timeout", "db-loading-lock-redis-timeout"
TOO_SHORT = failed(
    LOADING,
    "The db-loading-lock-redis-timeout value can't be less than "
    "lock-redis-timeout value.",
)


@pytest.mark.parametrize(
    ("pairs", "lock", "loading"),
    [
        ([LOCK, "40000"], b"40000", b"40000"),
        ([LOCK, "600"], b"600", b"30000"),
        ([LOADING, "500"], b"500", b"500"),
        # Each in its turn.
        ([LOCK, "50000", LOADING, "60000"], b"50000", b"60000"),
        ([LOADING, "40000", LOCK, "50000"], b"50000", b"50000"),
        ([LOCK, "50000", LOADING, "40000"], None, None),
        ([LOADING, "499", LOCK, "400"], None, None),
    ],
)
def test_the_lock_timeout_and_the_loading_timeout(engine, pairs, lock, loading) -> None:
    if lock is None:
        assert error(engine, "TCONFIG_SET", *pairs) == TOO_SHORT
        lock, loading = b"500", b"30000"
    else:
        assert engine.execute("TCONFIG_SET", *pairs) == "OK"
    assert list(engine.execute("TCONFIG_GET", LOCK, LOADING).values()) == [
        lock,
        loading,
    ]


def test_a_refused_line_changes_nothing(engine) -> None:
    error(engine, "TCONFIG_SET", LOCK, "40000", "error-verbosity", "3")
    assert list(engine.execute("TCONFIG_GET", LOCK, LOADING).values()) == [
        b"500",
        b"30000",
    ]
    assert engine.library_registry.timeout_ms == 500


def test_the_timeout_of_shards_may_change_at_any_time(engine, load) -> None:
    load(
        """redis.registerClusterFunction('never', async () => new Promise(() => 1));
redis.registerAsyncFunction('f', async c => c.runOnShards('never'));"""
    )
    for timeout in (str((1 << 63) - 1), "20"):
        engine.execute("TCONFIG_SET", "remote-task-default-timeout", timeout)
    assert engine.execute("TFCALLASYNC", "lib.f", 0) == [[], [b"Timeout"]]


def test_the_policy_is_shown_capitalised(engine) -> None:
    engine.execute("TCONFIG_SET", "library-fatal-failure-policy", "kill")
    assert engine.execute("TCONFIG_GET", "library-fatal-failure-policy") == {
        b"redisgears_2.library-fatal-failure-policy": b"Kill"
    }


@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("v8-maxmemory", "60mb", b"62914560"),
        ("v8_maxmemory", 50_000_000, b"50000000"),
        ("v8-library-initial-memory-usage", "3m", b"3000000"),
        ("v8-library-initial-memory-limit", 20_000_000, b"20000000"),
        ("v8-library-memory-usage-delta", "10000000", b"10000000"),
        ("execution-threads", 32, b"32"),
        ("error_verbosity", 2, b"2"),
        ("lock-redis-timeout", 40_000, b"40000"),
        ("remote-task-default-timeout", (1 << 63) - 1, b"9223372036854775807"),
        ("enable-debug-command", True, b"yes"),
        ("enable_debug_command", "YES", b"yes"),
        ("library-fatal-failure-policy", "KILL", b"Kill"),
        ("gearsbox-address", "", b""),
        ("v8-flags", "--x", b"--x"),
        ("v8-plugin-path", "here", b"here"),
        ("v8-debug-server-address", "localhost:9005", b"localhost:9005"),
    ],
)
def test_set_at_the_start(name, given, shown) -> None:
    with trignb.Engine(**{"redisgears_2." + name: given}) as engine:
        assert list(engine.execute("TCONFIG_GET", name.replace("_", "-")).values()) == [
            shown
        ]


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("v8-maxmemory", "10mb", "between 50000000 and 1000000000 inclusive"),
        ("v8-maxmemory", 1_000_000_001, "between 50000000 and 1000000000 inclusive"),
        ("v8-maxmemory", "much", "argument must be a memory value"),
        (
            "v8-library-initial-memory-usage",
            999_999,
            "between 1000000 and 10000000 inclusive",
        ),
        (
            "v8-library-initial-memory-usage",
            4_000_000,
            "initial memory usage can't be greater than its limit",
        ),
        (
            "v8-library-initial-memory-limit",
            20_000_001,
            "between 2000000 and 20000000 inclusive",
        ),
        (
            "v8-library-memory-usage-delta",
            10_000_001,
            "between 1000000 and 10000000 inclusive",
        ),
        ("execution-threads", 0, "between 1 and 32 inclusive"),
        ("execution-threads", 33, "between 1 and 32 inclusive"),
        ("enable-debug-command", "maybe", "argument must be 'yes' or 'no'"),
        ("db-loading-lock-redis-timeout", 400, "can't be less than"),
        ("foo", 1, "Unknown option"),
    ],
)
def test_refused_at_the_start(name, given, reason) -> None:
    with pytest.raises(ResponseError) as caught:
        trignb.Engine(**{"redisgears_2." + name: given})
    assert reason in str(caught.value)
