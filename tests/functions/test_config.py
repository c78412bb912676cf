"""The parameters ``redisgears_2.…``, section 11 of the specification."""

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
        ("error-verbosity", "3", "argument must be between 1 and 2 inclusive"),
        ("v8-maxmemory", "60mb", "can't set immutable config"),
        ("enable-debug-command", "yes", "can't set immutable config"),
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


def test_the_lock_timeout_raises_the_loading_timeout(engine) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "40000")
    assert list(
        engine.execute("TCONFIG_GET", "db-loading-lock-redis-timeout").values()
    ) == [b"40000"]


def test_the_policy_is_shown_capitalised(engine) -> None:
    engine.execute("TCONFIG_SET", "library-fatal-failure-policy", "kill")
    assert engine.execute("TCONFIG_GET", "library-fatal-failure-policy") == {
        b"redisgears_2.library-fatal-failure-policy": b"Kill"
    }


def test_set_at_the_start() -> None:
    with trignb.Engine(**{"redisgears_2.v8_maxmemory": "60mb"}) as engine:
        assert list(engine.execute("TCONFIG_GET", "v8-maxmemory").values()) == [
            b"62914560"
        ]
    with pytest.raises(ResponseError, match="argument must be between"):
        trignb.Engine(**{"redisgears_2.v8_maxmemory": "10mb"})
