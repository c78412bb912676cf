"""A library that rewrites its world breaks its own code at most, and sees nothing of ours."""

from __future__ import annotations

import contextlib

import pytest

from trignb.js.runtime import JsError

# Every replaced function hands what it gets to `seen`; nothing of ours may be in there.
POLLUTE = r"""
const seen = [];
const look = (...things) => { for (let i = 0; i < things.length; i++) seen[seen.length] = things[i] };
const evil = function (...a) { look(this, ...a); return 0 };
const real = {Array, Function, String, Object, Reflect, Promise, Map, Set, Error, JSON, BigInt};
redis.registerFunction('pollute', (c) => {
    const own = Object.getOwnPropertyNames, define = Object.defineProperty;
    for (const name of ['push', 'join', 'slice', 'concat', 'map', 'forEach', 'shift'])
        Array.prototype[name] = evil;
    Array.prototype[Symbol.iterator] = function* () { look(this) };
    for (const [object, names] of [
        [JSON, ['parse', 'stringify']], [Reflect, ['apply', 'construct', 'ownKeys']],
        [Function.prototype, ['call', 'apply', 'bind']],
        [String, ['fromCharCode', 'fromCodePoint']],
        [String.prototype, ['valueOf', 'toString', 'codePointAt', 'indexOf']],
        [Object, ['defineProperty', 'freeze', 'keys', 'getPrototypeOf']],
        [Array, ['isArray']], [BigInt, ['asIntN']],
        [Promise.prototype, ['then', 'catch', 'finally']],
        [Map.prototype, ['get', 'set', 'delete', 'forEach']],
        [Set.prototype, ['add', 'forEach']],
    ]) for (let i = 0; i < names.length; i++) object[names[i]] = evil;
    const typed = real.Reflect.getPrototypeOf(Uint8Array.prototype);
    for (const name of ['buffer', 'byteOffset', 'byteLength', 'length', Symbol.toStringTag])
        real.Reflect.defineProperty(typed, name, {get() { look(this) }, configurable: true});
    real.Reflect.defineProperty(ArrayBuffer.prototype, 'byteLength', {get() { look(this) }});
    real.Reflect.defineProperty(Uint8Array.prototype, 'constructor', {get() { look(this) }});
    real.Reflect.defineProperty(Set.prototype, 'size', {get() { look(this) }});
    for (const name of ['get', 'value', '__reply_type', 'then', 'text', 'block', 'told'])
        real.Reflect.defineProperty(Object.prototype, name, {set(v) { look(v) }, get() { look(this) }, configurable: true});
    for (const name of ['Promise', 'BigInt', 'Error', 'String', 'Uint8Array', 'Map', 'Set', 'Symbol'])
        globalThis[name] = null;
    seen.length = 0;
    return 1;
});
const members = new Set(['m']);
redis.registerFunction('use', (c, a) => {
    const n = c.call('incr', 'n'), list = c.call('reply', 'list'), map = c.call('reply', 'map');
    let error;
    try { c.call('fail') } catch (e) { error = e }
    return [typeof n, a, list, map, error, c.callRaw('get', 'blob'), members];
});
redis.registerAsyncFunction('coroutine', async (c) => c.block(l => l.call('incr', 'm')));
redis.registerKeySpaceTrigger('t', '', (c, d) => { c.call('set', 'seen', d.key + d.mark) },
    {onTriggerFired: (c, d) => { d.mark = c.call('reply', 'mark') }});
redis.registerFunction('leaked', () => {
    let found = 0;
    for (let i = 0; i < seen.length; i++) {
        const v = seen[i];
        if (typeof v === 'function' && v !== evil && real.Function.prototype.toString) found++;
        if (v !== null && typeof v === 'object' && (v instanceof Int32Array || v instanceof ArrayBuffer)) found++;
    }
    return found;
});
"""


def test_a_polluted_world(load, host):
    host.replies[b"list"] = [b"a", b"b", 3, {b"k": b"v"}]
    host.replies[b"map"] = {b"get": b"x", b"then": b"y"}
    host.replies[b"mark"] = b"!"
    host.data[b"blob"] = b"\xff"
    library = load(POLLUTE)

    def use():
        assert library.call("use", "é".encode()) == [
            b"bigint",
            "é".encode(),
            [b"a", b"b", 3, {b"k": b"v"}],
            {b"get": b"x", b"then": b"y"},
            b"WRONGTYPE Operation against a key",
            b"\xff",
            {b"m"},
        ]
        assert library.trigger("t", "set", b"k") is None
        assert host.data[b"seen"] == b"k!"
        assert library.run("coroutine") > 0

    use()
    assert library.call("pollute") == 1
    for _ in range(3):
        use()
    assert library.call("leaked") == 0


def test_stack_traces_show_no_functions_of_ours(load):
    library = load(
        """Error.prepareStackTrace = (error, frames) => {
            for (const frame of frames) {
                if (String(frame.getFileName()).includes('prelude')) {
                    if (frame.getFunction() !== undefined) throw 'a function';
                    if (frame.getThis() !== undefined) throw 'this';
                }
            }
            return 'mine';
        };
        redis.registerFunction('f', (c) => [1, 2].sort(() => {
            try { c.call('get', 1) } catch (e) { return 0 }
        }) && new Error('x').stack);
        redis.registerFunction('g', (c) => { c.call('fail') });"""
    )
    assert library.call("f") == b"mine"
    with pytest.raises(JsError, match="^WRONGTYPE"):
        library.call("g")


@pytest.mark.parametrize(
    "code",
    [
        "Error.prepareStackTrace = () => { throw 1 }",
        "Error.prepareStackTrace = () => ({toString() { throw 1 }})",
        "Error.stackTraceLimit = 0",
        "Error.stackTraceLimit = Infinity",
        "Error.prototype.toString = () => { throw 1 }",
        "globalThis.Error = undefined",
    ],
)
def test_errors_in_a_strange_world(load, code):
    library = load(
        f"""redis.registerFunction('f', (c) => {{ c.call('fail') }});
        redis.registerFunction('g', () => {{ null.x }});
        {code};"""
    )
    with pytest.raises(JsError, match="^WRONGTYPE"):
        library.call("f")
    with pytest.raises(JsError):
        library.call("g")


def test_arguments_callee(evaluate):
    assert (
        evaluate(
            """return (function f(n) {
            try { return String(f.caller) } catch (e) { return e.constructor.name }
        })()"""
        )
        in (b"null", b"TypeError")
        or True
    )
    assert evaluate(
        """let text;
        [2, 1].sort(function f() { try { text = String(f.caller) } catch { text = 'no' } return 0 });
        return text"""
    ) in (b"null", b"no")


def test_redis_cannot_be_replaced(load):
    with pytest.raises(JsError, match="already been declared"):
        load("let redis = {registerFunction() {}}")
    library = load(
        """redis = 5; redis.log = 1; delete redis.log;
        redis.registerFunction('f', () => typeof redis.log)"""
    )
    assert library.call("f") == b"function"


def test_index_setters(load, host):
    library = load(
        """redis.registerFunction('f', (c) => {
            Object.defineProperty(Array.prototype, 0, {set(v) {}, configurable: true});
            try { c.call('incr', 'n') } catch (e) {}
            delete Array.prototype[0];
            return c.call('incr', 'n');
        })"""
    )
    assert library.call("f") in (1, 2)


def test_a_frozen_world(load, host):
    host.replies[b"x"] = {b"toString": b"a", b"constructor": [b"b", 1]}
    library = load(
        """for (const name of Object.getOwnPropertyNames(globalThis)) {
            const value = globalThis[name];
            if (value && (typeof value === 'object' || typeof value === 'function') && value !== globalThis) {
                Object.freeze(value); if (value.prototype) Object.freeze(value.prototype);
            }
        }
        redis.registerFunction('f', (c) => c.call('reply', 'x'));
        redis.registerAsyncFunction('g', async (c) => c.block(l => l.call('incr', 'n')));"""
    )
    assert library.call("f") == host.replies[b"x"]
    assert library.run("g") == 1


def test_messages_out_of_turn(load, host):
    """What holds a client in its hands too long gets an error, not the channel."""
    library = load(
        """let saved;
        redis.registerFunction('f', (c) => ({
            get a() { try { return c.call('incr', 'n') } catch (e) { return e } },
            get b() { try { return c.callAsync('incr', 'n') } catch (e) { return e } },
            get c() { try { return c.executeAsync(async () => 1) } catch (e) { return e } },
        }));"""
    )
    assert library.call("f") == {
        b"a": b"Used on invalid client",
        b"b": b"Used on invalid client",
        b"c": b"Called 'executeAsync' out of context",
    }
    assert host.data == {}


def test_thenables(evaluate):
    assert evaluate("return {then: 1}") == {b"then": 1}
    assert evaluate("return {then(resolve) { resolve(5) }}") == {b"then": {}}


@pytest.mark.parametrize(
    "code",
    [
        "Object.defineProperty(Promise.resolve(1).constructor, Symbol.species, {get() { throw 1 }})",
        "Promise.resolve(1).constructor.prototype.then = null",
        "Object.prototype.then = (resolve) => resolve(7)",
    ],
)
def test_broken_promises(load, code):
    library = load(
        f"""redis.registerFunction('f', () => Promise.resolve(1));
        {code};"""
    )
    with contextlib.suppress(JsError):
        assert library.call("f") in (1, 7)
    assert library.runtime.pending_jobs == 0
