"""Libraries that load, replace and delete themselves, and what goes on after that."""

from __future__ import annotations

import threading
from typing import Any

import trignb
from hostile.arena import ANY, TERMINATED, Case, function, outcome, outcome_of_trigger

GONE = "#!js api_version=1.0 name=lib\\nredis.registerFunction('f', () => 'new');"

SCRIPT_MODE = "!ERR command '{}' is not allowed on script mode"


def _twice(engine: trignb.Engine) -> Any:
    """Call ``f`` again from a second thread while it runs."""
    replies: list[Any] = []
    thread = threading.Thread(
        target=lambda: replies.append(outcome(lambda: engine.call("lib.f")))
    )
    thread.start()
    first = outcome(lambda: engine.call("lib.f"))
    thread.join(5)
    return [first, *replies]


def _replaced_while_it_waits(engine: trignb.Engine) -> Any:
    """Replace the library while its coroutine waits for a list; the result is dropped."""
    replies: list[Any] = []

    def call() -> None:
        reply = outcome(lambda: engine.session().execute("TFCALLASYNC", "lib.f", 0))
        replies.append(reply)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    while not engine.library_registry.libraries["lib"].pending_async_calls:
        pass
    code = (
        "#!js api_version=1.0 name=lib\nredis.registerFunction('after', () => 'fine');"
    )
    engine.load(code, replace=True)
    engine.execute("RPUSH", "l", "x")
    thread.join(0.1)
    return replies


def _deleted_while_it_computes(engine: trignb.Engine) -> Any:
    """Delete the library while its coroutine does not end."""
    session = engine.session()
    thread = threading.Thread(
        target=lambda: outcome(lambda: session.execute("TFCALLASYNC", "lib.f", 0)),
        daemon=True,
    )
    thread.start()
    while not engine.execute("GET", "begun"):
        pass
    return engine.execute("TFUNCTION", "DELETE", "lib")


def _deleted_by_a_client(engine: trignb.Engine) -> Any:
    """Delete the library in the transaction whose write fired it."""
    session = engine.session()
    session.execute("MULTI")
    session.execute("SET", "k", "v")
    session.execute("SET", "k", "w")
    session.execute("EXEC")
    return outcome_of_trigger(engine)


DRIVES = {
    "twice": _twice,
    "replaced": _replaced_while_it_waits,
    "deleted": _deleted_while_it_computes,
    "transaction": _deleted_by_a_client,
}

CASES = [
    function("it deletes itself", "client.call('tfunction', 'delete', 'lib')", expect=SCRIPT_MODE.format("tfunction")),
    function("it replaces itself", f"client.call('tfunction', 'load', 'replace', \"{GONE}\")", expect=SCRIPT_MODE.format("tfunction")),
    function("it calls itself", "client.call('tfcall', 'lib.f', '0')", expect=SCRIPT_MODE.format("tfcall")),
    function("it starts a transaction", "client.call('multi')", expect=SCRIPT_MODE.format("multi")),
    function("it subscribes", "client.call('subscribe', 'c')", expect=SCRIPT_MODE.format("subscribe")),
    function("it ends the server", "client.call('shutdown', 'nosave')", expect=SCRIPT_MODE.format("shutdown")),
    function("it sleeps", "client.call('debug', 'sleep', '10')", expect=ANY),
    function("it flushes everything", "client.call('flushall'); return client.call('dbsize')", expect=0),
    function("it waits for ever", "return client.call('blpop', 'nothing', '0')", expect=None),
    function("it waits for replicas", "return client.call('wait', '1', '0')", expect=ANY),
    function("it runs a script", "client.call('eval', 'while true do end', '0')", expect=SCRIPT_MODE.format("eval")),
    function("it kills its client", "client.call('client', 'kill', 'skipme', 'no', 'type', 'normal')", expect=ANY),
    function("it pauses everybody", "client.call('client', 'pause', '100000')", expect=ANY),
    function("it changes the configuration", "client.call('config', 'set', 'maxmemory', '1')", expect=SCRIPT_MODE.format("config|set")),
    function("a client kept for later", "if (globalThis.kept) return kept.call('ping'); globalThis.kept = client; return 'kept'", expect=b"kept"),
    Case("a client of a block kept for later", "let kept; redis.registerAsyncFunction('f', async (c) => { c.block((l) => { kept = l }); return c.block(() => kept.call('ping')) });", "async", "!Used on invalid client"),
    Case("a block within a block", "redis.registerAsyncFunction('f', async (c) => c.block(() => c.block(() => 1)));", "async", "!Main thread is already blocked"),
    Case("a call without the lock", "redis.registerAsyncFunction('f', async (c) => { let l; c.block((x) => { l = x }); return l.call('ping') });", "async", "!Main thread is not locked"),
    Case("an async function in a block", "redis.registerAsyncFunction('f', async (c) => { let l; const p = c.block(async (x) => { l = x; await null; return x.call('ping') }); return await p });", "async", ANY),
    Case("a trigger that writes its own key", "redis.registerKeySpaceTrigger('t', 'k', (c, d) => { c.call('set', d.key, 'again'); c.call('del', d.key); c.call('set', d.key, 'again') });", "set", 1),
    Case("a stream trigger that adds what it reads", "let n = 0; redis.registerStreamTrigger('t', 's', (c, d) => { if (n++ < 500) c.call('xadd', 's', '*', 'f', 'v') });", "add", 501),
    Case("a stream trigger that deletes its stream", "redis.registerStreamTrigger('t', 's', (c) => { c.call('del', 's') });", "add", None),
    Case("a trigger that expires its key", "redis.registerKeySpaceTrigger('t', 'k', (c, d) => { c.call('pexpire', d.key, '100000') });", "set", 1),
    Case("onTriggerFired that writes", "redis.registerKeySpaceTrigger('t', 'k', () => 1, {onTriggerFired: (c) => { c.call('set', 'x', 'y') }});", "set", "!ERR Write command 'set' was called while write is not allowed."),
    Case("two callers of one loop", "redis.registerFunction('f', () => { for (;;); });", "twice", [f"!{TERMINATED}"] * 2, tolerance_s=2),
    Case("replaced while it waits", "redis.registerAsyncFunction('f', async (c) => { const p = c.block((l) => l.callAsync('blpop', 'l', '0')); return await p });", "replaced", []),
    Case("deleted while it computes", "redis.registerAsyncFunction('f', async (c) => { c.block((l) => l.call('set', 'begun', '1')); await null; for (;;); });", "deleted", "OK", after=None),
    Case("two triggers in a transaction", "redis.registerKeySpaceTrigger('t', 'k', (c) => { c.call('incr', 'runs') });", "transaction", 2),
    Case("a promise resolved with itself", "redis.registerAsyncFunction('f', async () => { let r; const p = new Promise((resolve) => { r = resolve }); r(p); return p });", "async", ANY),
    Case("a promise that is settled a thousand times", "redis.registerAsyncFunction('f', async () => new Promise((r, j) => { for (let i = 0; i < 1000; i++) { r(i); j(i) } }));", "async", 0),
    Case("a promise that nobody settles", "redis.registerAsyncFunction('f', async () => { await new Promise(() => {}); });", "async", "!Promise was dropped without been resolved. Usually happened because of timeout or OOM."),
    Case("rejected and not handled", "redis.registerAsyncFunction('f', async () => { Promise.reject; (async () => { throw 'lost' })(); return 1 });", "async", 1),
    Case("a generator that is entered twice", "redis.registerFunction('f', () => { let g; function* h() { g.next() } g = h(); g.next() });", expect="!TypeError: Generator is already running"),
    Case("a getter that registers while another registration is read", "redis.registerFunction('f', () => 1, {get description() { redis.registerFunction('g', () => 2); return 'd' }});", "call", 1),
    Case("registrations without an end", "for (let i = 0; ; i++) redis.registerFunction('f' + i, () => i);", "load", ANY, after=None, tolerance_s=5),
    Case("ten thousand triggers", "for (let i = 0; i < 1e4; i++) redis.registerKeySpaceTrigger('t' + i, 'x' + i, () => 1); redis.registerFunction('f', () => 1);", "call", 1, limit_ms=20_000),
    Case("a name of a megabyte", "redis.registerFunction('f'.repeat(1 << 20), () => 1);", "load", b"loaded", after=None),
    Case("a prefix of a megabyte", "redis.registerKeySpaceTrigger('t', 'k'.repeat(1 << 20), () => 1);", "load", b"loaded", after=None),
    Case("a library of a megabyte", "redis.registerFunction('f', () => 1);" + "// nothing\n" * 100_000, "call", 1, limit_ms=5000),
    Case("deeply nested text", "redis.registerFunction('f', () => " + "(" * 3000 + "1" + ")" * 3000 + ");", "load", "!Failed library compilation: RangeError: Maximum call stack size exceeded", after=None),
    Case("a deep regular expression", "redis.registerFunction('f', () => /" + "(" * 20000 + ")" * 20000 + "/.test(''));", "load", "!Failed library compilation: RangeError: Maximum call stack size exceeded", after=None),
    Case("a null byte in the text", "redis.registerFunction('f', () => 'a\0b');", "call", b"a\0b"),
    Case("it logs megabytes", "redis.registerFunction('f', () => { for (let i = 0; i < 50; i++) redis.log('x'.repeat(1e5)); return 1 });", "call", 1, limit_ms=5000),
]  # fmt: skip
