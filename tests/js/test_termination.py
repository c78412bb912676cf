"""Whatever a library does, it ends, and the library can be used afterwards."""

from __future__ import annotations

import gc
import os
import queue
import signal
import threading
import time

import pytest

from js.fakes import Library
from trignb.js import v8
from trignb.js.runtime import JsError, JsOom, JsTerminated, JsTimeout

LIMIT_MS = 200
HEAP = {"heap_bytes": 48 << 20, "slack_bytes": 64 << 20}

ENDLESS = {
    "loop": "while (true);",
    "caught loop": "while (true) try { while (true); } catch {}",
    "finally": "try { while (true); } finally { while (true); }",
    "regexp": "/(a+)+$/.test('a'.repeat(50) + 'b')",
    "sort": "[1, 2].sort(() => { while (true); })",
    "generator": "function* g() { while (true) yield 1 } for (const x of g());",
    "getter of the result": "return {get x() { while (true); }}",
    "toString of the thrown": "throw {toString() { while (true); }}",
    "stack of the thrown": "const e = new Error(); e.name = {toString() { while (true); }}; throw e",
    "proxy": "return new Proxy({}, {ownKeys() { while (true); }})",
    "commands": "while (true) client.call('incr', 'n')",
    "failing commands": "while (true) try { client.call('fail') } catch {}",
    "raw commands": "while (true) client.callRaw('get', 'n')",
    "log": "while (true) redis.log('x')",
    "large commands": "while (true) client.call('set', 'n', 'x'.repeat(1e6))",
    "recursion": "const f = () => { try { f() } finally { f() } }; f()",
    "many promises": "const f = async () => { while (true); }; return f()",
    "then": "return {then(resolve) { while (true); }}.then(() => 1)",
    "json": "JSON.stringify({toJSON() { while (true); }})",
    "microtask": "return (async () => { await null; while (true); })()",
    "chain of microtasks": "const f = () => Promise.resolve().then(f); return f()",
}  # fmt: skip


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_timeouts(load, code):
    library = load(
        f"""redis.registerFunction('f', (client) => {{ {code} }});
        redis.registerFunction('after', (client) => client.call('incr', 'after'));"""
    )
    library.timeout_ms = LIMIT_MS
    started = time.monotonic()
    with pytest.raises(JsTimeout, match="^Err Execution was terminated due to OOM or"):
        library.call("f")
    assert time.monotonic() - started < 3
    library.timeout_ms = 5000
    assert [library.call("after") for _ in range(3)] == [1, 2, 3]


def test_timeouts_of_triggers(load, host):
    library = load(
        """const f = (client, data) => { if (data.key === 'bad') while (true); };
        redis.registerKeySpaceTrigger('main', '', f);
        redis.registerKeySpaceTrigger('fired', '', () => 1, {onTriggerFired: f});"""
    )
    library.timeout_ms = LIMIT_MS
    for name in ("main", "fired"):
        with pytest.raises(JsTimeout):
            library.trigger(name, "set", b"bad")
        assert library.trigger(name, "set", b"good") is None


def test_no_timeout(load):
    library = load(
        """redis.registerFunction('f', () => {
            const end = Date.now() + 300; while (Date.now() < end); return 1
        })"""
    )
    library.timeout_ms = 0
    assert library.call("f") == 1


def test_slow_commands_count(load, host):
    host.commands[b"slow"] = lambda: time.sleep(0.02)
    library = load(
        "redis.registerFunction('f', (c) => { while (true) c.call('slow') })"
    )
    library.timeout_ms = LIMIT_MS
    started = time.monotonic()
    with pytest.raises(JsTimeout):
        library.call("f")
    assert time.monotonic() - started < 1


GREEDY = {
    "array": "const a = []; while (true) a.push({})",
    "map": "const m = new Map(); for (let i = 0; ; i++) m.set(i, {})",
    "closures": "const a = []; while (true) a.push(() => a)",
    "strings": "const a = []; for (let i = 0; ; i++) a.push('x'.repeat(1000) + i)",
    "one string": "let s = 'x'; const a = []; while (true) { s += s.length; a.push(s) }",
    "promises": "const a = []; while (true) a.push(new Promise(() => 1))",
    "caught": "const a = []; while (true) try { while (true) a.push([a]) } catch {}",
    "typed arrays": "const a = []; while (true) a.push(new Uint8Array(1e6).fill(1))",
}


@pytest.mark.parametrize("code", GREEDY.values(), ids=GREEDY)
def test_memory(load, code):
    library = load(
        f"""redis.registerFunction('f', () => {{ {code} }});
        redis.registerFunction('after', (client) => client.call('incr', 'after'));""",
        limits=HEAP,
    )
    with pytest.raises(JsOom, match="^Err Execution was terminated due to OOM or"):
        library.call("f")
    assert [library.call("after") for _ in range(3)] == [1, 2, 3]
    assert library.runtime.heap_statistics().used < 20 << 20


@pytest.mark.parametrize(
    "code",
    [
        "new ArrayBuffer(1e12)",
        "'x'.repeat(2 ** 30)",
        "new Array(1e9).fill(0)",
        "[].fill.call({length: 2 ** 40}, 0)",
        "new Array(4e9).reverse()",
        "'x'.repeat(2 ** 28).split('')",
        "'x'.repeat(2 ** 28).replaceAll('x', 'y')",
        "[].concat(new Array(1e9))",
        "new Array(4e9).forEach((x) => x)",
        "const a = []; a[4e9] = 1; a.map((x) => x)",
        "[].shift.call({length: 2 ** 53 - 1})",
        "Array.from({length: 1e9})",
        "Uint8Array.from({length: 1e9})",
        "'x'.repeat(2 ** 28).match(/x/g)",
        "'\ufdfa'.repeat(2 ** 26).normalize('NFKD')",
        "JSON.parse('['.repeat(2 ** 26))",
        "JSON.stringify(new Uint8Array(1e8))",
        "Object.entries(new Uint8Array(1e8))",
        "Reflect.ownKeys(new Float64Array(1e7))",
        "new ArrayBuffer(1, {maxByteLength: 2 ** 32}).resize(2 ** 32)",
    ],
)
def test_absurd_sizes(evaluate, code):
    assert evaluate(
        f"try {{ {code} }} catch (e) {{ return e instanceof RangeError }}"
    ) in (True, b"undefined")


def test_what_is_bounded_looks_like_what_it_was(evaluate):
    assert (
        evaluate(
            """const odd = [];
        for (const [object, name, length] of [
            [Array.prototype, 'map', 1], [Array.prototype, 'splice', 2], [Array, 'from', 1],
            [String.prototype, 'replace', 2], [JSON, 'parse', 2], [JSON, 'stringify', 3],
            [Object, 'keys', 1], [ArrayBuffer.prototype, 'resize', 1],
        ]) {
            const f = object[name];
            if (f.name !== name || f.length !== length || Object.keys(object).includes(name)) odd.push(name);
        }
        return odd"""
        )
        == []
    )
    assert evaluate("return [1, , 3].map((x, i, a) => a.length + i)[2]") == 5
    assert evaluate("return [].reduce((a, b) => a + b, 7)") == 7
    assert evaluate("return JSON.parse({toString: () => '[1]'})[0]") == 1
    assert evaluate("return Object.keys(new Uint8Array(3)).length") == 3
    assert evaluate("const a = []; a[4e9] = 1; return Object.keys(a)") == [
        b"4000000000"
    ]


def test_a_typed_array_of_a_hundred_million_elements_is_no_reply(evaluate):
    with pytest.raises(JsError, match="^ERR value too large$"):
        evaluate("return new Uint8Array(1e8)")
    assert evaluate("return new Uint8Array(2)") == {0: 0, 1: 0}


def test_nobody_waits_for_a_builtin_that_notices_nothing(load, host):
    """It lies about its length, so no bound helps; the isolate is left to itself."""
    library = load(
        """redis.registerFunction('f', () => {
            let n = 0;
            [].fill.call({get length() { return n++ ? 1e8 : 1 }}, 0);
        });
        redis.registerFunction('after', () => 1);"""
    )
    library.timeout_ms = 100
    started = time.monotonic()
    with pytest.raises(JsTimeout):
        library.call("f")
    assert time.monotonic() - started < 2
    assert host.lost == ["JavaScript did not stop"]
    assert library.call("after") == 1


def test_the_heap_has_a_limit_that_v8_survives(load):
    library = load(
        "redis.registerFunction('f', () => [...(function* () { for (;;) yield 1 })()]);"
        "redis.registerFunction('after', () => 1);",
        limits={"heap_bytes": 1_000_000_000},
    )
    library.timeout_ms = 20_000
    with pytest.raises(JsOom):
        library.call("f")
    assert library.call("after") == 1


# Control-C ----------------------------------------------------------------------------

INTERRUPTED = {
    "loop": "while (true);",
    "commands": "while (true) client.call('incr', 'n')",
    "slow commands": "while (true) client.call('slow')",
    "microtask": "return (async () => { await null; while (true); })()",
}


@pytest.fixture(scope="module")
def interrupted():
    """Call a function; Control-C comes after a while.

    One thread sends them all and nothing is collected meanwhile: an interrupt that comes
    during a collection hits the callback of a weak reference, where Python ignores it.
    """
    delays = queue.SimpleQueue()

    def send():
        while (delay_s := delays.get()) is not None:
            time.sleep(delay_s)
            os.kill(os.getpid(), signal.SIGINT)

    def interrupted(delay_s, function):
        delays.put(delay_s)
        function()

    thread = threading.Thread(target=send)
    thread.start()
    gc.collect()
    gc.disable()
    yield interrupted
    gc.enable()
    delays.put(None)
    thread.join()


@pytest.mark.parametrize("code", INTERRUPTED.values(), ids=INTERRUPTED)
@pytest.mark.parametrize("delay_s", [0.01, 0.2])
def test_keyboard_interrupt(load, host, interrupted, code, delay_s):
    host.commands[b"slow"] = lambda: time.sleep(0.01)
    library = load(
        f"""redis.registerFunction('f', (client) => {{ {code} }});
        redis.registerFunction('after', (client) => client.call('incr', 'after'));"""
    )
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted(delay_s, lambda: library.call("f"))
    assert time.monotonic() - started < delay_s + 2
    assert [library.call("after") for _ in range(3)] == [1, 2, 3]


def test_keyboard_interrupts_in_a_row(load, interrupted):
    library = load(
        """redis.registerFunction('f', (client) => { while (true) client.call('incr', 'n') });
        redis.registerFunction('after', (client) => client.call('incr', 'after'));"""
    )
    for i in range(20):
        with pytest.raises(KeyboardInterrupt):
            interrupted(0.002 * (i + 1), lambda: library.call("f"))
        assert library.call("after") == i + 1


def test_keyboard_interrupt_while_loading(host, interrupted):
    with pytest.raises(KeyboardInterrupt):
        interrupted(0.1, lambda: Library(host, "while (true);"))


# A new isolate ------------------------------------------------------------------------

STUCK = """
let n = 0;
redis.registerFunction('count', () => ++n);
redis.registerFunction('stuck', () => (async () => { await null; while (true); })());
redis.registerKeySpaceTrigger('t', '', (client, data) => {
    client.call('set', 'seen', String(data.mark));
}, {onTriggerFired: (client, data) => { data.mark = 'live' }});
redis.registerAsyncFunction('never', () => new Promise(() => 1));
redis.registerAsyncFunction('a', async () => new Promise(() => 1));
"""


def test_a_stuck_isolate_is_replaced(load, host):
    library = load(STUCK)
    assert library.call("count") == 1
    assert library.call("count") == 2
    job = library.start("a")
    runtime, each, section = library.runtime, library["t"], library.section
    data = runtime.fire(each.on_fired, section, "set", b"k", 500)
    runtime._instance.exchange.kill("JavaScript did not stop")
    assert host.lost == ["JavaScript did not stop"]
    with pytest.raises(JsTerminated):
        job.result(5)
    assert runtime.heap_statistics().total == 0
    assert runtime.pending_jobs == 0
    runtime.drop_data(data)
    # The same numbers, other globals; data of the old isolate is made again.
    assert library.call("count") == 1
    runtime.run_trigger(each.callback, section, "set", b"k", 500, data)
    assert host.data[b"seen"] == b"undefined"
    assert library.trigger("t", "set", b"k") is None
    assert host.data[b"seen"] == b"live"


def test_a_library_that_does_not_load_again(load, host):
    library = load(
        """if (redis.config.once && globalThis.no) throw 1;
        redis.registerFunction('f', () => (async () => { await null; while (true); })());""",
        config_json='{"once": true}',
    )
    library.runtime._instance.exchange.kill("for a test")
    library.runtime._source.text = "throw new Error('different')"
    with pytest.raises(JsError, match="different"):
        library.call("f")
    library.runtime._source.text = "redis.registerFunction('g', () => 1)"
    with pytest.raises(JsTerminated) as caught:
        library.call("f")
    assert caught.value.reason == "the library registers something else now"


def test_everything_is_disposed_of_at_exit(load):
    library = load("redis.registerFunction('f', () => 1)")
    assert library.runtime in v8._living
    library.runtime.dispose()
    assert library.runtime not in v8._living
