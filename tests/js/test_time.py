"""What JavaScript knows of time and chance is what it is told."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import random
import statistics
import time
from typing import Any

import pytest

from js.fakes import Library

MOMENT = 1_700_000_000  # 2023-11-14T22:13:20Z
MOMENT_MS = MOMENT * 1000

READS = {
    "Date.now()": "Date.now()",
    "new Date()": "new Date().getTime()",
    "a subclass": "new (class extends Date {})().getTime()",
    "a subclass that says super()": "new (class extends Date { constructor() { super(); } })().getTime()",
    "Reflect.construct": "Reflect.construct(Date, []).getTime()",
    "another new.target": "Date.prototype.getTime.call(Reflect.construct(Date, [], Array))",
    "the constructor of a date": "new (new Date(0).constructor)().getTime()",
    "the constructor's own": "new Date.prototype.constructor().getTime()",
    "bound": "new (Date.bind(null))().getTime()",
    "a proxy": "new (new Proxy(Date, {}))().getTime()",
    "Date() as a function": "Date.parse(Date())",
    "Date.call": "Date.parse(Date.call(new Date(0), 1, 2))",
    "Reflect.apply": "Date.parse(Reflect.apply(Date, undefined, []))",
    "a copy of Date.now": "(0, Date.now)()",
    "format()": "Date.parse(f.format() + 'Z')",
    "format(undefined)": "Date.parse(f.format(undefined) + 'Z')",
    "format, mapped": "Date.parse([undefined].map(f.format)[0] + 'Z')",
    "formatToParts()": "Date.parse(f.formatToParts().map((p) => p.value).join('') + 'Z')",
    "formatToParts(undefined)": "Date.parse(f.formatToParts(undefined).map((p) => p.value).join('') + 'Z')",
    "the getter of format": "Date.parse(Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format').get.call(f)() + 'Z')",
    "a subclass of the formatter": "Date.parse(new (class extends Intl.DateTimeFormat {})('sv', {dateStyle: 'short', timeStyle: 'medium', timeZone: 'UTC'}).format() + 'Z')",
    "after Date was overwritten": "(() => { const D = Date; globalThis.Date = 1; try { return new D().getTime(); } finally { globalThis.Date = D; } })()",
    "after Date.now was deleted": "(() => { const n = Date.now; delete Date.now; try { return new Date().getTime(); } finally { Date.now = n; } })()",
}  # fmt: skip

CODE = """
const f = new Intl.DateTimeFormat('sv', {dateStyle: 'short', timeStyle: 'medium', timeZone: 'UTC'});
redis.registerFunction('f', () => String(%s));
"""


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_whatever_reads_the_time_reads_the_clock(load, host, read):
    host.clock.freeze(at=MOMENT)
    library = load(CODE % read)
    assert int(library.call("f")) == MOMENT_MS
    host.clock.advance(seconds=3600)
    assert int(library.call("f")) == MOMENT_MS + 3_600_000
    host.clock.freeze(at=-1)
    assert int(library.call("f")) == -1000


def now_of(library: Library) -> float:
    return float(library.call("f"))


@pytest.fixture
def clock_of(load):
    return load("redis.registerFunction('f', () => String(Date.now()));")


def test_a_clock_that_runs(clock_of):
    before = time.time() * 1000
    assert before - 1 <= now_of(clock_of) <= time.time() * 1000


def test_a_clock_that_was_moved_and_runs_on(clock_of, host):
    host.clock.advance(seconds=86_400)
    before = host.clock.now_ns() // 1_000_000
    seen = now_of(clock_of)
    assert before <= seen <= host.clock.now_ns() // 1_000_000
    assert seen - time.time() * 1000 > 86_000_000


def test_a_clock_that_was_let_go(clock_of, host):
    host.clock.freeze(at=MOMENT)
    assert now_of(clock_of) == MOMENT_MS
    host.clock.resume()
    assert abs(now_of(clock_of) - time.time() * 1000) < 10_000


def test_parts_of_a_millisecond_are_left_off(clock_of, host):
    host.clock.freeze(at=dt.datetime(2023, 11, 14, 22, 13, 20, 999_999, dt.UTC))
    assert now_of(clock_of) == MOMENT_MS + 999


def test_a_clock_that_is_moved_while_javascript_runs(load, host):
    host.clock.freeze(at=MOMENT)
    host.commands[b"wait"] = lambda: host.clock.advance(seconds=5)
    library = load(
        "redis.registerFunction('f', (c) => {"
        " const a = Date.now(); c.call('wait'); return String(Date.now() - a); });"
    )
    assert library.call("f") == b"5000"


def test_the_load_and_the_background_follow_the_clock_too(load, host):
    host.clock.freeze(at=MOMENT)
    library = load(
        "const loaded = Date.now();"
        "redis.registerAsyncFunction('f', async () => {"
        " const a = Date.now(); await null; return [loaded, a, Date.now()].map(String); });"
    )
    assert library.run("f") == [b"%d" % MOMENT_MS] * 3


def test_an_isolate_that_is_made_anew_follows_the_clock(load, host):
    host.clock.freeze(at=MOMENT)
    library = load("redis.registerFunction('f', () => String(Date.now()));")
    library.runtime._instance.exchange.kill("for a test")
    host.clock.advance(seconds=1)
    assert now_of(library) == MOMENT_MS + 1000


def test_a_clock_outlives_its_libraries(load, host):
    for _ in range(3):
        load("redis.registerFunction('f', () => 1);").runtime.dispose()
        host.clock.freeze(at=MOMENT)
    library = load("redis.registerFunction('f', () => String(Date.now()));")
    assert now_of(library) == MOMENT_MS


ALL_GLOBALS = {"limits": {"all_globals": True}}

TEMPORAL = {
    "instant": "Temporal.Now.instant().toString()",
    "zonedDateTimeISO": "Temporal.Now.zonedDateTimeISO('UTC').toInstant().toString()",
    "plainDateTimeISO": "Temporal.Now.plainDateTimeISO('UTC').toString() + 'Z'",
    "plainDateISO, plainTimeISO": "`${Temporal.Now.plainDateISO('UTC')}T${Temporal.Now.plainTimeISO('UTC')}Z`",
    "another zone": "Temporal.Now.zonedDateTimeISO('Asia/Tokyo').toInstant().toString()",
}  # fmt: skip


@pytest.mark.parametrize("read", TEMPORAL.values(), ids=TEMPORAL)
def test_temporal(load, host, read):
    host.clock.freeze(at=dt.datetime(2023, 11, 14, 22, 13, 20, 123_456, dt.UTC))
    library = load(f"redis.registerFunction('f', () => {read});", **ALL_GLOBALS)
    assert library.call("f") == b"2023-11-14T22:13:20.123456Z"


# Each is true of the builtin in any JavaScript engine.
LIKE_THE_BUILTIN = {
    "length": "Date.length === 7",
    "name": "Date.name === 'Date'",
    "its text": "String(Date) === 'function Date() { [native code] }'",
    "text of now": "Date.now.toString() === 'function now() { [native code] }'",
    "text of random": "`${Math.random}` === 'function random() { [native code] }'",
    "text of toString": "Function.prototype.toString.toString() === 'function toString() { [native code] }'",
    "text of a function": "((a) => a + 1).toString() === '(a) => a + 1'",
    "toString of nothing": "(() => { try { Function.prototype.toString.call({}); } catch (e) { return e instanceof TypeError; } })()",
    "keys": "Reflect.ownKeys(Date).join() === 'length,name,prototype,now,parse,UTC'",
    "prototype": "Object.values(Object.getOwnPropertyDescriptor(Date, 'prototype')).slice(1).join() === 'false,false,false'",
    "constructor": "Object.values(Object.getOwnPropertyDescriptor(Date.prototype, 'constructor')).slice(1).join() === 'true,false,true'",
    "Date in the global object": "Object.values(Object.getOwnPropertyDescriptor(globalThis, 'Date')).slice(1).join() === 'true,false,true'",
    "now": "Object.values(Object.getOwnPropertyDescriptor(Date, 'now')).slice(1).join() === 'true,false,true' && Date.now.length === 0",
    "instanceof": "new Date() instanceof Date && !({} instanceof Date)",
    "instanceof of a subclass": "(() => { class D extends Date { x() { return 5; } } const d = new D(); return d instanceof D && d instanceof Date && d.x() === 5; })()",
    "a subclass with arguments": "new (class extends Date {})(2020, 1, 2).getTime() === new Date(2020, 1, 2).getTime()",
    "constructor of an instance": "new Date().constructor === Date && Date.prototype.constructor === Date",
    "function": "typeof Date === 'function' && typeof Date() === 'string'",
    "no constructors": "[Date.now, Math.random, new Intl.DateTimeFormat().formatToParts].every((f) => { try { new f(); } catch (e) { return e instanceof TypeError; } })",
    "undefined is a value": "Number.isNaN(new Date(undefined).getTime()) && new Date(null).getTime() === 0",
    "a date of a date": "new Date(new Date(7)).getTime() === 7",
    "parts": "new Date(2020, 0).getFullYear() === 2020 && new Date(99, 0).getFullYear() === 1999",
    "UTC": "Date.UTC(2020) === 1577836800000 && Number.isNaN(Date.UTC())",
    "parse": "Date.parse('2020-01-01') === 1577836800000",
    "JSON": "JSON.stringify(new Date(0)) === '\"1970-01-01T00:00:00.000Z\"'",
    "tag": "Object.prototype.toString.call(new Date()) === '[object Date]'",
    "primitive": "`${new Date(0)}`.startsWith('Thu Jan 01 1970')",
    "an argument that throws": "(() => { try { new Date({valueOf() { throw 5; }}); } catch (e) { return e === 5; } })()",
    "one format function": "(() => { const f = new Intl.DateTimeFormat(); return f.format === f.format && f.format !== new Intl.DateTimeFormat().format; })()",
    "format function": "(({format}) => format.name === '' && format.length === 1 && !('prototype' in format))(new Intl.DateTimeFormat())",
    "format of a date": "new Intl.DateTimeFormat('en', {timeZone: 'UTC'}).format(0) === '1/1/1970'",
    "format of null": "new Intl.DateTimeFormat('en', {timeZone: 'UTC'}).format(null) === '1/1/1970'",
    "format of NaN": "(() => { try { new Intl.DateTimeFormat().format(NaN); } catch (e) { return e instanceof RangeError; } })()",
    "formatToParts of another": "(() => { try { Intl.DateTimeFormat.prototype.formatToParts.call({}); } catch (e) { return e instanceof TypeError; } })()",
    "formatRange needs two": "(() => { try { new Intl.DateTimeFormat().formatRange(); } catch (e) { return e instanceof TypeError; } })()",
    "Math.random": "Math.random.length === 0 && Object.keys(Math).length === 0",
}  # fmt: skip


@pytest.mark.parametrize("claim", LIKE_THE_BUILTIN.values(), ids=LIKE_THE_BUILTIN)
def test_what_stands_in_cannot_be_told_from_it(evaluate, claim):
    assert evaluate(f"return {claim};") is True


HIDDEN = """
const seen = [];
Error.prepareStackTrace = (error, frames) => frames;
const look = () => {
    for (const frame of new Error('x').stack) {
        const f = frame.getFunction();
        if (f !== undefined && f !== Date) seen.push(f);
    }
    return 1;
};
new Date({valueOf: look});
new Intl.DateTimeFormat().format({valueOf: look});
Reflect.construct(Date, [{valueOf: look}]);
return seen.some((f) => { try { return new f() instanceof Date; } catch { return false; } });
"""


def test_frames_do_not_give_the_builtin_away(evaluate):
    assert evaluate(HIDDEN) is False


# -- chance

DRAW = "redis.registerFunction('f', () => Array.from({length: 4000}, () => Math.random()).map(String));"


def drawn(library: Library) -> list[float]:
    return [float(text) for text in library.call("f")]


def test_numbers_follow_what_they_start_with(load, host):
    first = drawn(load(DRAW))
    assert drawn(load(DRAW)) == first
    host.chance = b"another sixteen."
    assert drawn(load(DRAW)) != first


def test_numbers_look_like_chance(load, host):
    host.chance = random.Random(1).randbytes(16)
    numbers = drawn(load(DRAW))
    assert all(0 <= n < 1 for n in numbers)
    assert len(set(numbers)) == len(numbers)
    assert abs(statistics.fmean(numbers) - 0.5) < 0.02
    assert abs(statistics.pstdev(numbers) - math.sqrt(1 / 12)) < 0.01
    tenths = [sum(int(n * 10) == i for n in numbers) for i in range(10)]
    assert min(tenths) > 320
    assert max(tenths) < 480
    # The last of 53 bits are as good as the first.
    lows = [int(n * 2**53) & 1 for n in numbers]
    assert 0.46 < statistics.fmean(lows) < 0.54
    pairs = itertools.pairwise(numbers)
    assert abs(statistics.fmean((a - 0.5) * (b - 0.5) for a, b in pairs)) < 0.01


def test_nothing_but_zeros_is_no_start(load, host):
    host.chance = bytes(16)
    assert len(set(drawn(load(DRAW))[50:])) > 3900


def test_chance_goes_on_where_another_left(load, host):
    one, other = load(DRAW), load(DRAW)
    drawn(one)
    other.runtime.set_chance_state(one.runtime.chance_state())
    assert drawn(one) == drawn(other)
    other.runtime.dispose()
    assert other.runtime.chance_state() == b""
    other.runtime.set_chance_state(bytes(range(16)))


@pytest.mark.parametrize(
    "deed",
    [
        "Math.random = () => 1;",
        "delete Math.random;",
        "Object.freeze(Math);",
        "globalThis.Date = Math.imul = undefined;",
        "Object.freeze(Date); Object.freeze(Date.prototype);",
        "Date.now = () => { throw 1; };",
        "Function.prototype.toString = Reflect.construct = Reflect.apply = () => { throw 1; };",
        "WeakMap.prototype.get = WeakMap.prototype.set = Atomics = () => { throw 1; };",
        "Object.defineProperty(Object.prototype, 'get', {get() { throw 1; }});",
        "BigInt = undefined; Float64Array = Int32Array = () => { throw 1; };",
    ],
)
def test_a_library_that_rewrites_its_world_reaches_nothing_of_ours(load, host, deed):
    host.clock.freeze(at=MOMENT)
    library: Any = load(
        "const D = Date, now = Date.now, random = Math.random, f = new Intl.DateTimeFormat('en', {timeZone: 'UTC'});"
        f"{deed}"
        "redis.registerFunction('f', () => [String(now()), String(new D().getTime()), f.format(), String(random() < 1)]);"
    )
    ms = b"%d" % MOMENT_MS
    assert library.call("f") == [ms, ms, b"11/14/2023", b"true"]
