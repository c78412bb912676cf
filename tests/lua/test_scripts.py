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


def test_effects_go_where_the_script_wants_them(engine: trignb.Engine) -> None:
    class Sink:
        def __init__(self, target: int) -> None:
            self.target = target
            self.keys: list[bytes] = []

        def take(self, batch: list[Any]) -> None:
            self.keys += [args[1] for _, args in batch if len(args) > 1]

    file, replicas, log = Sink(1), Sink(2), []
    engine.core.sinks += [file.take, replicas.take, log.extend]
    engine.core.sinks_changed()
    engine.execute(
        "EVAL",
        "redis.call('set', 'all', 1) "
        "redis.set_repl(redis.REPL_NONE) redis.call('set', 'none', 1) "
        "redis.set_repl(redis.REPL_AOF) redis.call('set', 'file', 1) "
        "redis.set_repl(redis.REPL_REPLICA) redis.call('set', 'replica', 1)",
        0,
    )
    # The next script begins anew.
    engine.execute("EVAL", "redis.call('set', 'later', 1)", 0)
    assert file.keys == [b"all", b"file", b"later"]
    assert replicas.keys == [b"all", b"replica", b"later"]
    assert b"none" not in [args[1] for _, args in log if len(args) > 1]


def test_a_library_that_does_not_end_is_refused(engine: trignb.Engine) -> None:
    with pytest.raises(trignb.ResponseError, match="FUNCTION LOAD timeout"):
        engine.execute("FUNCTION", "LOAD", "#!lua name=lib\nwhile true do end")
    assert engine.execute("FUNCTION", "LIST") == []
    engine.execute("FUNCTION", "LOAD", LIBRARY)


def test_replies_go_as_deep_as_redis_goes(engine: trignb.Engine) -> None:
    reply = engine.execute("EVAL", "local t = {} t[1] = t return t", 0)
    depth = 0
    while isinstance(reply, list):
        depth, reply = depth + 1, reply[0]
    assert depth == 7995
    assert str(reply) == "ERR reached lua stack limit"


def test_metatables_have_no_say_in_replies(engine: trignb.Engine) -> None:
    script = "return setmetatable({1}, {__index = function() error('boom') end})"
    assert engine.execute("EVAL", script, 0) == [1]


def test_finalizers_do_not_run(engine: trignb.Engine) -> None:
    script = """
        local p = newproxy(true)
        getmetatable(p).__gc = function() error('later') end
        rawset(getmetatable(p), '__gc', function() error('later') end)
        p = nil
        collectgarbage()
        return tostring(rawget(getmetatable(newproxy(true)), '__gc'))
    """
    assert engine.execute("EVAL", script, 0) == b"nil"


def test_tail_calls_of_a_script_take_no_stack(engine: trignb.Engine) -> None:
    script = """
        local function down(n) if n == 0 then return 'end' end return down(n - 1) end
        return down(100000)
    """
    assert engine.execute("EVAL", script, 0) == b"end"


def test_errors_name_the_line_of_a_call_in_tail_position(engine: trignb.Engine) -> None:
    script = "local call = redis.call\nreturn call('nope')"
    with pytest.raises(trignb.ResponseError, match=r"on @user_script:2\.$"):
        engine.execute("EVAL", script, 0)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("error({})", "ERR unknown error script: "),
        ("error({1, 2})", "ERR unknown error script: "),
        ("error('a\\r\\nb', 0)", "ERR a  b script: "),
    ],
)
def test_errors_that_redis_cannot_tell(
    engine: trignb.Engine, script: str, text: str
) -> None:
    with pytest.raises(trignb.ResponseError) as caught:
        engine.execute("EVAL", script, 0)
    assert str(caught.value).startswith(text)


def test_strings_keep_their_methods(engine: trignb.Engine) -> None:
    engine.execute("EVAL", "getmetatable('').__index = nil", 0)
    assert engine.execute("EVAL", "return ('x'):rep(3)", 0) == b"xxx"


def test_functions_are_listed_as_they_were_registered(engine: trignb.Engine) -> None:
    engine.execute("FUNCTION", "LOAD", LIBRARY)
    (library,) = engine.execute("FUNCTION", "LIST")
    assert [f[b"name"] for f in library[b"functions"]] == [b"put", b"look"]


def test_the_log_has_what_has_a_text(
    engine: trignb.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "trignb.lua"):
        engine.execute(
            "EVAL", "redis.log(redis.LOG_WARNING, 'a', 1.5, nil, {}, true, 'b')", 0
        )
    assert [record.getMessage() for record in caplog.records] == ["a 1.5 b"]


def test_info_tells_what_scripts_take(engine: trignb.Engine) -> None:
    def taken(name: bytes) -> int:
        for line in engine.execute("INFO", "memory").splitlines():
            key, _, value = line.partition(b":")
            if key == name:
                return int(value)
        raise AssertionError(name)

    assert taken(b"used_memory_scripts") == 0
    engine.execute("SCRIPT", "LOAD", "return 'some text'")
    scripts = taken(b"used_memory_scripts_eval")
    engine.execute("FUNCTION", "LOAD", LIBRARY)
    assert taken(b"used_memory_scripts") > scripts > len("return 'some text'")
    assert taken(b"used_memory_vm_eval") > 0
    engine.execute("SCRIPT", "FLUSH")
    assert taken(b"used_memory_scripts_eval") == 0
