"""Memory without an end: on V8's heap, beside it, and in replies and arguments."""

from __future__ import annotations

from hostile.arena import ANY, TERMINATED, Case, function

# V8 counts the heap, nobody counts what lies beside it; both have a limit.
SMALL = {"redisgears_2.v8-maxmemory": 50_000_000}
DROPPED = "Promise was dropped without been resolved. Usually happened because of timeout or OOM."

# The time limit is far away: memory has to be what ends these.
HEAP = {
    "strings": "const a = []; for (let i = 0; ; i++) a.push(('' + i).repeat(1000))",
    "one string that doubles": "let s = 'x'; for (;;) { s += s; s.charCodeAt(s.length - 1) }",
    "strings that are kept flat": "const a = []; for (;;) a.push([...'abcdefgh'].join('').padEnd(100000, 'é'))",
    "arrays": "const a = []; for (;;) a.push(new Array(1000).fill(0))",
    "an array that grows": "const a = []; for (;;) a.push(1.5)",
    "an array of arrays of arrays": "let a = []; for (;;) a = [a, a, a]",
    "objects": "const a = []; for (let i = 0; ; i++) a.push({i, a: {}, b: []})",
    "one object": "const o = {}; for (let i = 0; ; i++) o['k' + i] = i",
    "a list": "let l = null; for (;;) l = {l}",
    "a map": "const m = new Map(); for (let i = 0; ; i++) m.set(i, {})",
    "a set": "const m = new Set(); for (let i = 0; ; i++) m.add('k' + i)",
    "closures": "let f = () => 1; for (;;) { const g = f; f = () => g }",
    "functions from text": "const a = []; for (let i = 0; ; i++) a.push(Function('return ' + i))",
    "generators": "const a = []; function* g() { yield 1 } for (;;) { const i = g(); i.next(); a.push(i) }",
    "big integers": "const a = []; for (let n = 1n; ; n <<= 64n) a.push(n)",
    "regular expressions": "const a = []; for (let i = 0; ; i++) { const r = new RegExp('a'.repeat(1000) + i); r.test('a'); a.push(r) }",
    "symbols": "const o = {}; for (;;) o[Symbol('x')] = 1",
    "dates": "const a = []; for (;;) a.push(new Date())",
    "proxies": "const a = []; for (;;) a.push(new Proxy({}, {}))",
    "errors with stacks": "const a = []; for (;;) a.push(new Error('x'.repeat(100)))",
    "promises": "const a = []; for (;;) a.push(new Promise(() => {}))",
    "promises that wait for each other": "let p = Promise.resolve(); for (;;) p = p.then(() => 1)",
    "weak references": "const a = []; for (;;) a.push(new WeakRef({}))",
    "registered for finalization": "const r = new FinalizationRegistry(() => 1), a = []; for (;;) { const o = {}; a.push(o); r.register(o, {}) }",
    "results of commands": "const a = []; client.call('set', 'k', 'v'.repeat(10000)); for (;;) a.push(client.call('get', 'k'))",
    "caught each time": "const a = []; for (;;) try { for (;;) a.push(new Array(1000).fill(0)) } catch {}",
}  # fmt: skip

OUTSIDE = {
    "buffers that are written": "const a = []; for (;;) a.push(new Uint8Array(1 << 22).fill(1))",
    "buffers that grow": "const a = []; for (;;) { const b = new ArrayBuffer(0, {maxByteLength: 1 << 24}); b.resize(1 << 24); new Uint8Array(b).fill(1); a.push(b) }",
    "raw results of commands": "const a = []; client.call('set', 'k', 'v'.repeat(1 << 20)); for (;;) a.push(client.callRaw('get', 'k'))",
    "slices of buffers": "const b = new Uint8Array(1 << 22).fill(1).buffer, a = []; for (;;) a.push(b.slice(0))",
}  # fmt: skip

# What one call may ask for and does not get, or gets.
SINGLE = [
    function("buffers that nobody writes", "const a = []; for (;;) a.push(new ArrayBuffer(1 << 24))", expect="!RangeError: Array buffer allocation failed", limit_ms=5000),
    function("a buffer of ten gigabytes", "new ArrayBuffer(1e10)", expect="!RangeError: Array buffer allocation failed"),
    function("a string of half a gigabyte", "'x'.repeat(2 ** 29)", expect="!RangeError: Invalid string length"),
    function("padding without an end", "'x'.padStart(2 ** 30, 'ab')", expect="!RangeError: Invalid string length"),
    function("an array of minus one", "new Array(-1)", expect="!RangeError: Invalid array length"),
    function("a sparse array's last element", "const a = []; a[4294967294] = 1; return a.length", expect=4294967295.0),
    function("a result of 64 MB", "return 'x'.repeat(1 << 26)", limit_ms=5000, expect=b"x" * (1 << 26)),
    function("an argument of 64 MB", "client.call('set', 'big', 'é'.repeat(1 << 25)); return client.call('strlen', 'big')", limit_ms=5000, expect=1 << 26),
    function("a key of 16 MB", "return client.call('set', 'k'.repeat(1 << 24), '')", limit_ms=5000, expect=b"OK"),
    function("many arguments", "return client.call('rpush', 'l', ...new Array(50000).fill('x'))", limit_ms=5000, expect=50000),
    function("a million elements", "return new Array(1e6).fill(1)", limit_ms=10_000, expect=[1] * 1_000_000),
    function("an object of many properties", "const o = {}; for (let i = 0; i < 1e5; i++) o['k' + i] = i; return Object.keys(o).length", limit_ms=5000, expect=100_000),
    function("a reply of 256 MB", "return 'x'.repeat(1 << 28)", expect=ANY, alone=True, limit_ms=20_000, tolerance_s=20, long=True),
    function("an argument of 256 MB", "client.call('set', 'big', 'x'.repeat(1 << 28)); return client.call('strlen', 'big')", expect=ANY, alone=True, limit_ms=20_000, tolerance_s=20, long=True),
    function("an argument of 400 MB that cannot be flat", "let s = 'x'; while (s.length < 4e8) s += s; client.call('set', 'big', s)", expect=ANY, alone=True, limit_ms=20_000, tolerance_s=20, long=True),
]  # fmt: skip

STORMS = [
    Case("a million microtasks", "redis.registerAsyncFunction('f', async () => { let n = 0; const step = async () => { n++ }; const all = []; for (let i = 0; i < 1e6; i++) all.push(step()); for (const p of all) await p; return n });", limit_ms=20_000, expect=1_000_000, tolerance_s=20, drive="async"),
    Case("jobs in the background's queue", "redis.registerAsyncFunction('f', async () => { let n = 0; await new Promise((resolve) => { for (let i = 0; i < 2e4; i++) new Promise((r) => r(i)).then(() => { if (++n === 2e4) resolve(1) }) }); return n });", limit_ms=20_000, expect=20_000, tolerance_s=20, drive="async"),
    Case("a coroutine that gathers promises", "redis.registerAsyncFunction('f', async () => { const a = []; for (;;) { a.push(new Array(1000).fill(0)); await null } });", drive="async", expect=f"!{DROPPED}", alone=True, config=SMALL, limit_ms=5000, tolerance_s=30, after=ANY),
    Case("a trigger that gathers", "redis.registerKeySpaceTrigger('t', 'k', () => { const a = []; for (;;) a.push(new Array(1000).fill(0)) });", drive="set", alone=True, config=SMALL, limit_ms=30_000, tolerance_s=20),
    Case("a library that gathers while it loads", "const a = []; for (;;) a.push(new Array(1000).fill(0))", drive="load", alone=True, config=SMALL, limit_ms=30_000, tolerance_s=20, after=None, expect=f"!Failed loading library: {TERMINATED}."),
]  # fmt: skip

# The others take as long and end as these do.
QUICK = {"strings", "arrays", "a map", "closures", "promises", "results of commands", "caught each time", "buffers that are written", "slices of buffers"}  # fmt: skip


def without_end(name: str, body: str) -> Case:
    """Return the case of a function that takes memory until somebody ends it."""
    return function(
        f"without end: {name}",
        body,
        alone=True,
        config=SMALL,
        limit_ms=30_000,
        tolerance_s=20,
        long=name not in QUICK,
    )


CASES = [
    *(without_end(name, body) for name, body in (HEAP | OUTSIDE).items()),
    *SINGLE,
    *STORMS,
]
