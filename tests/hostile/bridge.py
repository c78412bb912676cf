"""Libraries that bend everything the bridge touches, and look for ways out of it."""

from __future__ import annotations

from hostile.arena import ANY, Case, function

# Each bends something while the library loads; commands, triggers and replies work all the same.
BENT = {
    "everything on Object.prototype": "for (const k of ['get', 'set', 'value', 'then', 'length', 'kind', 'id', 'state', 'told', 'work', 'lost', 'key', 'event', '__reply_type', 'toJSON', 'raw', 'next', 'done']) Object.defineProperty(Object.prototype, k, {__proto__: null, configurable: true, get() { throw 'bent' }, set() { throw 'bent' }});",
    "methods of arrays": "for (const k of Object.getOwnPropertyNames(Array.prototype)) if (k !== 'length' && k !== 'constructor') Array.prototype[k] = () => { throw 'bent' };",
    "methods of strings": "for (const k of Object.getOwnPropertyNames(String.prototype)) try { String.prototype[k] = () => { throw 'bent' } } catch {}",
    "methods of functions": "for (const k of ['call', 'apply', 'bind', 'toString']) Function.prototype[k] = () => { throw 'bent' };",
    "methods of promises": "Promise.prototype.then = () => { throw 'bent' }; Promise.prototype.catch = Promise.prototype.finally = Promise.prototype.then; const P = (async () => 1)().constructor; P.prototype.then = () => { throw 'bent' };",
    "maps and sets": "for (const C of [Map, Set, WeakMap, WeakSet, WeakRef, FinalizationRegistry]) for (const k of Object.getOwnPropertyNames(C.prototype)) try { C.prototype[k] = () => { throw 'bent' } } catch {}",
    "buffers and views": "for (const C of [ArrayBuffer, Uint8Array, Int32Array, DataView, Object.getPrototypeOf(Uint8Array)]) for (const k of Object.getOwnPropertyNames(C.prototype)) try { Object.defineProperty(C.prototype, k, {get() { throw 'bent' }, configurable: true}) } catch {}",
    "species": "for (const C of [Array, ArrayBuffer, Map, Set, RegExp, Promise, Object.getPrototypeOf(Uint8Array)]) try { Object.defineProperty(C, Symbol.species, {get() { throw 'bent' }, configurable: true}) } catch {}",
    "iterators": "const ai = Object.getPrototypeOf([][Symbol.iterator]()); ai.next = () => { throw 'bent' }; Array.prototype[Symbol.iterator] = () => { throw 'bent' }; Map.prototype[Symbol.iterator] = Set.prototype[Symbol.iterator] = () => { throw 'bent' };",
    "Symbol.toPrimitive": "Object.prototype[Symbol.toPrimitive] = Object.prototype.toString = Object.prototype.valueOf = () => { throw 'bent' };",
    "Error": "Error.prototype.toString = () => { throw 'bent' }; Error.prepareStackTrace = () => { throw 'bent' }; Error.stackTraceLimit = -1; Error.captureStackTrace = () => { throw 'bent' };",
    "JSON": "JSON.stringify = JSON.parse = () => { throw 'bent' }; Object.defineProperty(Object.prototype, 'toJSON', {value() { throw 'bent' }});",
    "Reflect and Object": "const names = Object.getOwnPropertyNames; for (const C of [Reflect, Object, Math, JSON, BigInt, Number, String, Symbol]) for (const k of names(C)) try { C[k] = () => { throw 'bent' } } catch {}",
    "the global names": "for (const k of Object.getOwnPropertyNames(globalThis)) if (k !== 'redis') try { globalThis[k] = undefined } catch {}",
    "no prototypes": "for (const C of [Array, Function, String, Map, Set, Promise]) Object.setPrototypeOf(C.prototype, null);",
    "everything is frozen": "for (const k of Object.getOwnPropertyNames(globalThis)) { const v = globalThis[k]; if (v && (typeof v === 'function' || typeof v === 'object')) { Object.freeze(v); if (v.prototype) Object.freeze(v.prototype) } }",
}  # fmt: skip

WORKS = """
redis.registerFunction('f', (client) => {
    client.call('set', 'bent:1', 'v');
    client.call('hset', 'h', 'a', '1', 'b', '2');
    return [client.call('get', 'bent:1'), client.call('incr', 'n'), client.call('hgetall', 'h'), client.callRaw('get', 'bent:1')];
});
redis.registerAsyncFunction('g', async (client) => client.block((c) => c.call('incr', 'n')));
redis.registerKeySpaceTrigger('t', 'k', (client, data) => { client.call('set', 'seen', data.key) });
"""

# Ways out, each of which ends before anything is reached.
WAYS_OUT = [
    function("the constructor of a bridge function", "return client.call.constructor('return typeof process + typeof require + typeof Deno')()", expect=b"undefinedundefinedundefined"),
    function("the caller", "function f() { return f.caller } return String(Object.getOwnPropertyDescriptor(client.call, 'caller'))", expect=b"undefined"),
    function("arguments of the bridge", "try { return String(client.call.arguments) } catch (e) { return e.name }", expect=b"TypeError"),
    function("functions in stack frames", "Error.prepareStackTrace = (e, frames) => frames; const s = new Error().stack; return s.map((f) => typeof f.getFunction() + typeof f.getThis()).join()", expect=ANY),
    function("eval", "return typeof eval + typeof globalThis.eval", expect=b"undefinedundefined"),
    function("indirect eval", "return Function('return typeof eval')()", expect=b"undefined"),
    function("shared memory", "return typeof SharedArrayBuffer + typeof Atomics + typeof WebAssembly", expect=b"undefined" * 3),
    function("import", "return import('fs').then(() => 'in', (e) => String(e).slice(0, 5))", expect=b"Error"),
    function("another library's globals", "return typeof n", expect=b"undefined"),
    function("symbols of redis", "return Reflect.ownKeys(redis).filter((k) => typeof k === 'symbol').length", expect=0),
    function("redis replaced", "redis = 1; return typeof redis", expect=b"object"),
    function("redis deleted", "delete globalThis.redis; return typeof redis", expect=b"object"),
    function("a method of redis replaced", "redis.log = 1; return typeof redis.log", expect=b"function"),
    function("a registration at run time", "redis.registerFunction('late', () => 1)", expect=ANY),
    function("a client made from another", "const c = Object.create(client); return c.call('ping')", expect=b"PONG"),
    function("a client behind a proxy", "return new Proxy(client, {}).call('ping')", expect=b"PONG"),
    function("a call without its client", "const {call} = client; return call('ping')", expect=ANY),
    function("a call on something else", "return client.call.call({}, 'ping')", expect=ANY),
    function("a client's call replaced", "try { client.call = () => 'mine' } catch {} return client.call('ping')", expect=ANY),
    function("an argument that changes while it is read", "let n = 0; const s = new String('k'); s.toString = () => n++ ? 'b' : 'a'; client.call('set', s, 'v'); return client.call('get', 'k')", expect=b"v"),
    function("an argument whose buffer goes away", "const b = new ArrayBuffer(4); const c = b.transfer(); return client.call('append', 'k', b)", expect="!TypeError: Cannot perform Construct on a detached ArrayBuffer"),
    function("an argument that shrinks", "const b = new ArrayBuffer(8, {maxByteLength: 8}); const a = {get [Symbol.toStringTag]() { b.resize(0); return 'x' }}; client.call('set', 'k', b); return client.call('strlen', 'k')", expect=8),
    function("a result that answers while it is read", "return {get a() { return client.call('ping') }, get b() { return this.a }}", expect=ANY),
    function("a result that throws while it is read", "return [1, {get a() { throw 'no' }}]", expect="!no"),
    function("a result that changes its length", "const a = [1, 2, 3]; Object.defineProperty(a, 0, {get() { a.length = 1; return 0 }}); return a", expect=ANY),
    function("a result that contains itself", "const a = []; a.push(a); return a", expect="!nesting level reached"),
    function("a result of proxies of proxies", "let p = [1]; for (let i = 0; i < 90; i++) p = new Proxy(p, {}); return p", expect=ANY),
    function("a revoked proxy", "const {proxy, revoke} = Proxy.revocable({}, {}); revoke(); return proxy", expect=ANY),
    function("lone surrogates", "client.call('set', 'k', '\\ud800x\\udfff'); return client.call('strlen', 'k')", expect=7),
    function("a surrogate in a reply", "return 'a\\ud800b'", expect="a\ufffdb".encode()),
    function("zero bytes", "client.call('set', 'a\\0b', 'c\\0d'); return client.call('get', 'a\\0b')", expect=b"c\0d"),
    function("a line break in an error", "throw 'a\\r\\nb\\0c'", expect="!a  b c"),
    function("a command's name with a line break", "client.call('x\\r\\ny')", expect="!ERR unknown command 'x  y', with args beginning with: "),
    function("a command that is no string", "client.call({toString() { return 'ping' }})", expect=ANY),
    function("log of everything", "redis.log(Symbol('x'))", expect=ANY),
    function("log without an argument", "redis.log()", expect=ANY),
    function("log of a proxy that throws", "redis.log(new Proxy({}, {get() { throw 'no' }}))", expect=ANY),
    function("Error without a message", "throw Object.create(Error.prototype)", expect="!Error"),
    function("null thrown", "throw null", expect="!null"),
    function("nothing thrown", "throw undefined", expect="!undefined"),
    function("a symbol thrown", "throw Symbol('x')", expect=ANY),
    function("a proxy thrown", "throw new Proxy({}, {get() { throw 1 }, getPrototypeOf() { throw 2 }})", expect=ANY),
    function("a function thrown", "throw () => 1", expect=ANY),
    function("an exception whose toString throws itself", "const e = {toString() { throw e }}; throw e", expect=ANY),
    function("an exception with a huge message", "throw new Error('x'.repeat(1e6))", expect=ANY),
    function("a big name", "const e = new Error('x'); e.name = 'n'.repeat(1e6); throw e", expect=ANY),
]  # fmt: skip

# It stands in its own way only.
INDEX_SETTERS = Case(
    "index setters",
    "for (let i = 0; i < 64; i++) for (const p of new Set([Object.prototype, Array.prototype])) Object.defineProperty(p, i, {__proto__: null, configurable: true, get() { throw 'bent' }, set() { throw 'bent' }});"
    + WORKS,
    "load",
    ANY,
    after=None,
)

CASES = (
    [
        Case(name, code + WORKS, expect=[b"v", 1, {b"a": b"1", b"b": b"2"}, b"v"])
        for name, code in BENT.items()
    ]
    + WAYS_OUT
    + [INDEX_SETTERS]
)
