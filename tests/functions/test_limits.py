"""Timeouts, memory, interrupts: the right text, right counters, an engine that is whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

import trignb
from functions.libraries import counters, error_of, eventually, lib, listed, trigger_of

TERMINATED = "Err Execution was terminated due to OOM or timeout"
FULL = "JS engine reached OOM state and can not run any more code"


def is_whole(engine) -> None:
    """The engine is unlocked and clean, and another thread can use it."""
    core = engine.core
    assert core.nesting == 0
    assert not core.jobs
    assert core.frame.origin == "client"
    assert engine.library_registry.in_library is False
    replies = []
    thread = threading.Thread(target=lambda: replies.append(engine.execute("PING")))
    thread.start()
    thread.join(5)
    assert replies == ["PONG"]


@pytest.fixture
def impatient(engine):
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    return engine


LOOPS = [
    "while (true);",
    "while (true) { try { while (true); } catch (e) {} finally { while (true); } }",
    "for (;;) client.call('ping');",
]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_function_that_never_ends(impatient, load, loop) -> None:
    load(
        "redis.registerFunction('hang', (client) => { client.call('set', 'k', 'v'); %s });"
        "redis.registerFunction('f', () => 'fine');" % loop
    )
    assert error_of(impatient.call, "lib.hang") == TERMINATED
    is_whole(impatient)
    assert impatient.execute("GET", "k") == b"v"
    assert impatient.call("lib.f") == b"fine"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_trigger_that_never_ends(impatient, load, loop) -> None:
    load(
        "redis.registerKeySpaceTrigger('t', 'k', (client, data) => {"
        "if (data.key == 'kbad') { %s } });" % loop
    )
    assert impatient.execute("SET", "kbad", "v") == "OK"
    trigger = trigger_of(impatient, "t")
    assert counters(trigger) == (1, 1, 0, 1)
    assert trigger.last_error == TERMINATED
    is_whole(impatient)
    impatient.execute("SET", "kgood", "v")
    assert counters(trigger) == (2, 2, 1, 1)


def test_loading_that_never_ends(impatient, load) -> None:
    assert error_of(load, "while (true);") == f"Failed loading library: {TERMINATED}."
    assert listed(impatient) == []
    is_whole(impatient)


def test_other_jobs_of_the_unit_go_on_after_a_timeout(impatient, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('a', 'k', () => { while (true); });
redis.registerKeySpaceTrigger('b', 'k', c => { c.call('incr', 'n'); });"""
    )
    impatient.execute("SET", "k", "v")
    assert impatient.execute("GET", "n") == b"1"


def test_under_policy_kill_nothing_is_terminated(impatient, load) -> None:
    impatient.clock.resume()
    impatient.execute("TCONFIG_SET", "library-fatal-failure-policy", "Kill")
    load(
        """redis.registerFunction('slow', () => {
    const end = Date.now() + 300;
    while (Date.now() < end);
    return 'done';
});"""
    )
    assert impatient.call("lib.slow") == b"done"


# -- memory

GREEDY = """let kept = [];
redis.registerFunction('eat', () => { while (true) kept.push(new Array(1000).fill(1.5)); });
redis.registerFunction('waste', () => {
    const a = [];
    while (true) a.push(new Array(1000).fill(1.5));
});
redis.registerFunction('f', () => 'fine');
redis.registerKeySpaceTrigger('t', 'k', () => {});"""


@pytest.fixture
def small():
    with trignb.Engine(**{"redisgears_2.v8_maxmemory": 50_000_000}) as engine:
        engine.execute("TCONFIG_SET", "lock-redis-timeout", "20000")
        yield engine


@pytest.mark.parametrize("how", ["eat", "waste"])
def test_memory_that_ran_out(small, how) -> None:
    """It is not asked how much is garbage: V8 has it all, as long as nothing runs."""
    small.load(lib("redis.registerFunction('f', () => 1);", "innocent"))
    small.load(lib(GREEDY))
    assert error_of(small.call, f"lib.{how}") == TERMINATED
    is_whole(small)
    assert error_of(small.call, "lib.f") == FULL
    assert error_of(small.call, "innocent.f") == FULL
    assert small.execute("SET", "k", "v") == "OK"
    trigger = trigger_of(small, "t")
    assert counters(trigger) == (1, 1, 0, 1)
    assert trigger.last_error == FULL
    text = error_of(small.load, lib("redis.registerFunction('f', () => 1);", "other"))
    assert text == f"Failed library compilation: {FULL}"
    again = lib(GREEDY.replace("kept", "held"))
    text = error_of(small.load, again, replace=True)
    assert text == f"Failed library compilation: {FULL}"
    small.execute("TFUNCTION", "DELETE", "innocent")
    assert error_of(small.call, "lib.f") == FULL
    small.execute("TFUNCTION", "DELETE", "lib")
    small.load(lib("redis.registerFunction('f', () => 'again');", "other"))
    assert small.call("other.f") == b"again"


RAN_OUT = {
    "onTriggerFired": (
        "redis.registerKeySpaceTrigger('t', 'go', () => 1, {onTriggerFired: () => { %s }});"
    ),
    "a trigger": "redis.registerKeySpaceTrigger('t', 'go', () => { %s });",
    "a trigger's coroutine": (
        "redis.registerKeySpaceTrigger('t', 'go', async () => { %s });"
    ),
    "a stream trigger": "redis.registerStreamTrigger('t', 'stream', () => { %s });",
    "block": "redis.registerAsyncFunction('go', async c => c.block(() => { %s }));",
    "a coroutine": "redis.registerAsyncFunction('go', async () => { %s });",
    "a microtask": "redis.registerAsyncFunction('go', async () => { await null; %s });",
    "typed arrays": (
        "redis.registerFunction('go', () => {"
        " const a = []; while (true) a.push(new Uint8Array(1e6).fill(1)); });"
    ),
}


@pytest.mark.parametrize("code", RAN_OUT.values(), ids=RAN_OUT)
def test_wherever_memory_ran_out_nothing_runs_any_more(small, code) -> None:
    waste = "const a = []; while (true) a.push(new Array(1000).fill(1.5));"
    small.load(
        lib(
            (code % waste if "%s" in code else code)
            + "redis.registerFunction('f', () => 1);"
            "redis.registerKeySpaceTrigger('other', 'other', () => 1);"
        )
    )
    if "'go', (" in code and "Function" in code:
        assert error_of(small.call, "lib.go") == TERMINATED
    elif "AsyncFunction" in code:
        text = error_of(small.execute, "TFCALLASYNC", "lib.go", 0)
        assert text == TERMINATED or text.startswith("Promise was dropped")
    elif "Stream" in code:
        small.execute("XADD", "stream", "*", "f", "v")
    else:
        small.execute("SET", "go", "v")

    def refused() -> bool:
        try:
            small.call("lib.f")
        except trignb.JavaScriptError as error:
            return str(error) == FULL
        return False

    eventually(refused)
    small.execute("SET", "other", "v")
    assert trigger_of(small, "other").last_error == FULL
    is_whole(small)
    small.execute("TFUNCTION", "DELETE", "lib")
    small.load(lib("redis.registerFunction('f', () => 1);"))
    assert small.call("lib.f") == 1


def test_a_load_that_wants_too_much_leaves_nothing_behind(small) -> None:
    small.load(lib("redis.registerFunction('f', () => 1);", "innocent"))
    text = error_of(small.load, lib("const a = []; while (true) a.push([a]);"))
    assert text == f"Failed loading library: {TERMINATED}."
    assert small.call("innocent.f") == 1
    small.load(lib("redis.registerFunction('f', () => 2);"))
    assert small.call("lib.f") == 2


# -- interrupts


def interrupt_soon(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    return timer


@pytest.mark.parametrize("loop", LOOPS)
def test_interrupting_a_function(engine, load, loop) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "20000")
    load(
        "redis.registerFunction('hang', (client) => { %s });"
        "redis.registerFunction('f', () => 'fine');" % loop
    )
    timer = interrupt_soon(0.2)
    with pytest.raises(KeyboardInterrupt):
        engine.call("lib.hang")
    timer.join()
    is_whole(engine)
    function = engine.library_registry.libraries["lib"].functions["hang"]
    assert (function.calls, function.failures) == (1, 1)
    assert engine.call("lib.f") == b"fine"


@pytest.mark.parametrize("where", ["callback", "onTriggerFired"])
def test_interrupting_a_trigger(engine, load, where) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "20000")
    hang = "(client, data) => { if (data.key == 'kbad') while (true); }"
    body = (
        f"redis.registerKeySpaceTrigger('t', 'k', {hang});"
        if where == "callback"
        else "redis.registerKeySpaceTrigger('t', 'k', () => {}, {onTriggerFired: %s});"
        % hang
    )
    load(body + "redis.registerKeySpaceTrigger('after', 'k', () => {});")
    timer = interrupt_soon(0.2)
    with pytest.raises(KeyboardInterrupt):
        engine.execute("SET", "kbad", "v")
    timer.join()
    is_whole(engine)
    assert engine.execute("GET", "kbad") == b"v"
    assert counters(trigger_of(engine, "t")) == (1, 1, 0, 1)
    # Its job was dropped with the unit, or its event never came about.
    after = trigger_of(engine, "after")
    assert after.running == 0
    assert after.num_success == 0
    engine.execute("SET", "kgood", "v")
    assert counters(trigger_of(engine, "t")) == (2, 2, 1, 1)
    assert trigger_of(engine, "t").last_error == "Err Execution was interrupted"


def test_interrupting_a_client_that_waits(engine, load) -> None:
    load("redis.registerAsyncFunction('never', () => new Promise(() => {}));")
    timer = interrupt_soon(0.2)
    with pytest.raises(KeyboardInterrupt):
        engine.execute("TFCALLASYNC", "lib.never", 0)
    timer.join()
    is_whole(engine)


def test_interrupting_a_load(engine) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "20000")
    timer = interrupt_soon(0.2)
    with pytest.raises(KeyboardInterrupt):
        engine.load(lib("while (true);"))
    timer.join()
    is_whole(engine)
    assert listed(engine) == []
    engine.load(lib("redis.registerFunction('f', () => 'fine');"))
    assert engine.call("lib.f") == b"fine"


# -- what remains of libraries that are gone

CHURN = """
    import json, os, sys
    import trignb

    def rss():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    CODE = '''#!js api_version=1.0 name=lib
    redis.registerFunction("f", () => "x".repeat(100));
    redis.registerKeySpaceTrigger("t", "k", c => { c.call("incr", "n"); });'''

    engine = trignb.Engine()
    for i in range(200):
        if i == 20:
            before = rss()
        engine.load(CODE)
        engine.call("lib.f")
        engine.execute("SET", "k", "v")
        engine.execute("TFUNCTION", "DELETE", "lib")
    grown = rss() - before
    engine.close()
    print(json.dumps(grown))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_libraries_that_come_and_go_leave_no_memory_behind() -> None:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHURN)],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    assert json.loads(result.stdout) < 5_000_000
