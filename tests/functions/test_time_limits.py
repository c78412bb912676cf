"""A limit of 100 ms ends what runs, wherever it runs and whatever it does; others wait no longer."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

import trignb
from functions.libraries import counters, eventually, lib, trigger_of

TERMINATED = "Err Execution was terminated due to OOM or timeout"
# A quarter of a second on a machine that has nothing else to do; tests share theirs.
ENOUGH_S = 1.5

ENDLESS = {
    "loop": "for (;;);",
    "caught": "for (;;) try { for (;;); } catch {} finally { for (;;); }",
    "generator": "for (const x of (function* () { for (;;) yield 1; })());",
    "recursion": "const f = () => { try { f() } finally { f() } }; f();",
    "sort": "[2, 1].sort(() => { for (;;); });",
    "regular expression": "/(a+)+$/.test('a'.repeat(60) + 'b');",
    "toJSON": "JSON.stringify({toJSON() { for (;;); }});",
    "valueOf of an argument": "client.call('set', 'k', `${{toString() { for (;;); }}}`);",
    "a proxy's trap": "Object.keys(new Proxy({}, {ownKeys() { for (;;); }}));",
    "an iterator without an end": (
        "Array.from({[Symbol.iterator]: () => ({next: () => ({value: 1})})});"
    ),
    "waiting for a clock that is held": (
        "const end = Date.now() + 5; while (Date.now() < end);"
    ),
    "commands": "for (;;) client.call('ping');",
    "caught commands": "for (;;) try { client.call('nothing'); } catch {}",
    "bytes": "for (;;) client.callRaw('ping');",
    "logging": "for (;;) redis.log('x');",
    "a world that is frozen": (
        "for (const o of [Object, Promise, Array, Function]) Object.freeze(o.prototype); for (;;);"
    ),
}

PLACES = {
    "a function": "redis.registerFunction('go', (client) => { %s });",
    "a trigger": "redis.registerKeySpaceTrigger('go', 'go', (client) => { %s });",
    "onTriggerFired": (
        "redis.registerKeySpaceTrigger('go', 'go', () => 1, {onTriggerFired: (client) => { %s }});"
    ),
    "a stream trigger": "redis.registerStreamTrigger('go', 'go', (client) => { %s });",
    "block": (
        "redis.registerAsyncFunction('go', async (c) => c.block((client) => { %s }));"
    ),
    "block behind an await": (
        "redis.registerAsyncFunction('go', async (c) => {"
        " await null; return c.block((client) => { %s }); });"
    ),
    "block of executeAsync": (
        "redis.registerFunction('go', (s) => s.executeAsync(async (c) => {"
        " await null; return c.block((client) => { %s }); }));"
    ),
    "block of a trigger": (
        "redis.registerKeySpaceTrigger('go', 'go', async (c) => { await null;"
        " c.block((client) => { %s }); });"
    ),
}


@pytest.fixture
def impatient(engine):
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    return engine


def start(engine, place: str) -> None:
    """Have the code run, and wait until it has ended."""
    if place == "a stream trigger":
        engine.execute("XADD", "go", "*", "f", "v")
    elif "rigger" in place:
        engine.execute("SET", "go", "v")
        eventually(lambda: counters(trigger_of(engine, "go")) == (1, 1, 0, 1))
    else:
        with pytest.raises(trignb.JavaScriptError, match=f"^{TERMINATED}"):
            engine.execute("TFCALLASYNC", "lib.go", 0)


class Bystander:
    """Another client that asks all the time, and how long it waited at most."""

    def __init__(self, engine) -> None:
        self.longest_s = 0.0
        self._engine = engine
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._is_over.is_set():
            began = time.monotonic()
            self._engine.execute("PING")
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self._is_over.wait(0.001)


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("place", PLACES)
def test_a_limit(impatient, place, code) -> None:
    impatient.load(
        lib("redis.registerFunction('f', () => 'fine');" + PLACES[place] % code)
    )
    began = time.monotonic()
    with Bystander(impatient) as other:
        start(impatient, place)
    assert time.monotonic() - began < ENOUGH_S
    assert other.longest_s < ENOUGH_S
    assert impatient.call("lib.f") == b"fine"
    assert impatient.core.nesting == 0


LOADS = {
    "the script": "for (;;);",
    "behind an await": "(async () => { await null; for (;;); })();",
    "a chain of awaits": "(async () => { for (;;) await null; })();",
}


@pytest.mark.parametrize("code", LOADS.values(), ids=LOADS)
def test_a_load(impatient, code) -> None:
    began = time.monotonic()
    # What is behind an await may be terminated after the library was loaded.
    with contextlib.suppress(trignb.JavaScriptError):
        impatient.load(lib(code + "redis.registerFunction('f', () => 'fine');"))
    assert time.monotonic() - began < ENOUGH_S
    impatient.load(lib("redis.registerFunction('f', () => 'fine');"), replace=True)
    assert impatient.call("lib.f") == b"fine"


LEFT_BEHIND = {
    "a loop behind an await": "(async () => { await null; for (;;); })(); return 1;",
    "a chain of awaits": "(async () => { for (;;) await null; })(); return 1;",
    "promises that make promises": (
        "const f = () => { then(f); }; const then = (g) => (async () => {})().then(g);"
        " f(); return 1;"
    ),
    "an async iterator": (
        "(async () => { for await (const x of (async function* () { for (;;) yield 1; })()); })();"
        " return 1;"
    ),
    "a thenable": "(async () => { await {then() { for (;;); }}; })(); return 1;",
    "a coroutine": "client.executeAsync(async () => { for (;;); }); return 1;",
    "a coroutine behind an await": (
        "client.executeAsync(async () => { await null; for (;;); }); return 1;"
    ),
}


@pytest.mark.parametrize("code", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_a_run_leaves_behind_keeps_nobody(impatient, code) -> None:
    """It is terminated for the next run, once that has waited for as long as it may run."""
    impatient.load(
        lib(
            "redis.registerFunction('f', () => 'fine');"
            "redis.registerFunction('go', (client) => { %s });" % code
        )
    )
    assert impatient.call("lib.go") == 1
    for _ in range(2):
        began = time.monotonic()
        assert impatient.call("lib.f") == b"fine"
        assert time.monotonic() - began < ENOUGH_S
