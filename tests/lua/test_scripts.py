"""Scripts and functions: what they are to the engine around them."""

from __future__ import annotations

import _thread
import contextlib
import threading
import time
from typing import Any

import pytest

import trignb

LIBRARY = """#!lua name=lib
redis.register_function('put', function(keys, args) return redis.call('set', keys[1], args[1]) end)
redis.register_function{function_name='look', flags={'no-writes'},
  callback=function(keys) return redis.call('get', keys[1]) end}
"""


def test_a_script_is_one_unit(engine: trignb.Engine) -> None:
    batches: list[Any] = []
    engine.core.sinks.append(batches.append)
    engine.core.sinks_changed()
    engine.execute("EVAL", "redis.call('set','a',1) redis.call('incr','a')", 0)
    assert [[args for _, args in batch] for batch in batches] == [
        [[b"MULTI"], [b"set", b"a", b"1"], [b"incr", b"a"], [b"EXEC"]]
    ]


def test_triggers_fire_after_the_script(engine: trignb.Engine) -> None:
    engine.load(
        "#!js api_version=1.0 name=count\n"
        "redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'fired'); });"
    )
    seen = engine.execute(
        "EVAL",
        "redis.call('set','k1',1) redis.call('set','k2',1) return redis.call('get','fired')",
        0,
    )
    assert seen is None
    assert engine.execute("GET", "fired") == b"2"


def test_what_a_script_selects_is_its_own_business(engine: trignb.Engine) -> None:
    engine.execute("EVAL", "redis.call('select', 3) redis.call('set', 'k', 1)", 0)
    assert engine.execute("GET", "k") is None
    engine.execute("SELECT", 3)
    assert engine.execute("GET", "k") == b"1"


def test_an_endless_script_says_busy_and_can_be_killed(engine: trignb.Engine) -> None:
    engine.execute("CONFIG", "SET", "busy-reply-threshold", 20)
    errors: list[str] = []

    def run() -> None:
        try:
            engine.execute("EVAL", "while true do pcall(function() end) end", 0)
        except trignb.ResponseError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 10
    busy = ""
    while not busy and time.monotonic() < deadline:
        try:
            engine.execute("PUBLISH", "c", "m")
        except trignb.ResponseError as error:
            busy = str(error)
        time.sleep(0.01)
    assert busy.startswith(
        "BUSY Redis is busy running a script. You can only call SCRIPT"
    )
    while thread.is_alive() and time.monotonic() < deadline:
        # Between two looks of the hook nobody is let in, and nothing seems to run.
        with contextlib.suppress(trignb.ResponseError):
            engine.execute("SCRIPT", "KILL")
        thread.join(0.05)
    assert errors
    assert errors[0].startswith(
        "ERR Script killed by user with SCRIPT KILL... script: "
    )
    assert errors[0].endswith(", on @user_script:1.")
    assert engine.execute("SET", "k", "v") == "OK"


def test_kill_without_a_script(engine: trignb.Engine) -> None:
    with pytest.raises(trignb.ResponseError, match="^NOTBUSY No scripts in execution"):
        engine.execute("SCRIPT", "KILL")


def test_functions(engine: trignb.Engine) -> None:
    assert engine.execute("FUNCTION", "LOAD", LIBRARY) == b"lib"
    assert engine.execute("FCALL", "put", 1, "k", "v") == "OK"
    assert engine.execute("FCALL_RO", "look", 1, "k") == b"v"
    with pytest.raises(trignb.ResponseError, match="with write flag using"):
        engine.execute("FCALL_RO", "put", 1, "k", "v")


def test_a_failing_replace_keeps_the_library(engine: trignb.Engine) -> None:
    engine.execute("FUNCTION", "LOAD", LIBRARY)
    with pytest.raises(trignb.ResponseError, match="Error compiling function"):
        engine.execute("FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\nfoo bar")
    assert engine.execute("FCALL", "put", 1, "k", "v") == "OK"


def test_dump_and_restore(engine: trignb.Engine) -> None:
    engine.execute("FUNCTION", "LOAD", LIBRARY)
    payload = engine.execute("FUNCTION", "DUMP")
    engine.execute("FUNCTION", "FLUSH")
    assert engine.execute("FUNCTION", "LIST") == []
    assert engine.execute("FUNCTION", "RESTORE", payload) == "OK"
    with pytest.raises(trignb.ResponseError, match="Library lib already exists"):
        engine.execute("FUNCTION", "RESTORE", payload)
    assert engine.execute("FUNCTION", "RESTORE", payload, "REPLACE") == "OK"
    assert engine.execute("FCALL", "put", 1, "k", "v") == "OK"


def test_register_script_of_redis_py(engine: trignb.Engine) -> None:
    client = engine.client(decode_responses=True)
    double = client.register_script("return redis.call('get', KEYS[1]) * ARGV[1]")
    client.set("k", 21)
    assert double(keys=["k"], args=[2]) == 42


def test_binary_chunks_are_refused(engine: trignb.Engine) -> None:
    reply = engine.execute(
        "EVAL", "local f, e = loadstring(string.dump(function() end)) return e", 0
    )
    assert reply == b"[string \"\x1bLuaQ\"]:1: unexpected symbol near 'char(27)'"


@pytest.mark.parametrize(
    "name", ["io", "debug", "require", "dofile", "python", "print"]
)
def test_the_sandbox_has_no(engine: trignb.Engine, name: str) -> None:
    with pytest.raises(trignb.ResponseError, match="nonexistent global variable"):
        engine.execute("EVAL", f"return {name}", 0)


def test_interrupt_is_not_caught_by_the_script(engine: trignb.Engine) -> None:
    engine.execute("CONFIG", "SET", "busy-reply-threshold", 10)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        engine.execute("EVAL", "while true do pcall(function() local x = 1 end) end", 0)
    timer.join()
    assert engine.execute("GET", "k") is None
