"""What libraries cost: triggers, functions, streams, loading, and having many of them."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from typing import Any

import redis

import trignb
from bench.measuring import (
    Contender,
    Result,
    at_least,
    at_most,
    race,
    resident_bytes,
    run_child,
    us,
)
from oracle.server import RedisServer

NON_MATCHING = 10_000
LIBRARY_LOADS, LIBRARY_WARMUP = 200, 20
IDLE_LIBRARIES = 100

TRIGGER = """#!js api_version=1.0 name=bench
redis.registerKeySpaceTrigger("count", "user:", (client, data) => {
    client.call("incr", "count");
});
"""
PREFIXES = """#!js api_version=1.0 name=bench
for (let i = 0; i < %d; i++) {
    redis.registerKeySpaceTrigger(`t${i}`, `prefix${i}:`, (client, data) => {});
}
"""
FUNCTION = """#!js api_version=1.0 name=bench
redis.registerFunction("hello", () => "world");
"""
FIVE_CALLS = """#!js api_version=1.0 name=bench
redis.registerKeySpaceTrigger("count", "user:", (client, data) => {
    client.call("incr", "count");
    client.call("hset", "last", "key", data.key);
    client.call("sadd", "seen", data.key);
    client.call("lindex", "list", "0");
    client.call("get", "count");
});
"""
ONE_CALL = """#!js api_version=1.0 name=%s
redis.registerFunction("get", (client, key) => client.call("get", key));
redis.registerAsyncFunction("block", async (client, key) =>
    client.block(c => c.call("get", key)));
"""
LUA_FUNCTION = """#!lua name=bench
redis.register_function("get", function(keys) return redis.call("get", keys[1]) end)
"""
LUA_SCRIPT = 'return redis.call("get", KEYS[1])'
STREAM = """#!js api_version=1.0 name=bench
redis.registerStreamTrigger("count", "stream", (client, data) => {
    client.call("incr", "count");
});
"""
XADD = ("XADD", "stream", "MAXLEN", "~", "1000", "*", "field", "value")


def engine_with(*codes: str) -> trignb.Engine:
    """Return an engine with these libraries."""
    engine = trignb.Engine()
    for code in codes:
        engine.load(code)
    return engine


# -- triggers


def bench_triggered(server: RedisServer | None) -> list[Result]:
    """A SET that fires a trigger: against a bare SET, and against a subscriber."""
    engines = [engine_with(), engine_with(TRIGGER), engine_with(FIVE_CALLS)]
    contenders = [
        Contender(setter(engine), times)
        for engine, times in zip(engines, (20_000, 3000, 2000), strict=True)
    ]
    if server is not None:
        subscriber = Subscriber(server.port)
        contenders.append(Contender(subscriber.set, 300))
    bare, one, five, *others = race(*contenders)
    results = [
        at_most(
            f"SET with trigger of {calls}, above SET without",
            took - bare,
            target,
            ours=us(took),
            peer=us(bare),
        )
        for calls, took, target in (("one call", one, 12), ("five calls", five, 35))
    ]
    if server is not None:
        what = "SET with trigger against SET and a subscriber's INCR"
        results.append(at_least(what, one, others[0], 25))
        subscriber.close()
    for engine in engines:
        engine.close()
    return results


def setter(engine: trignb.Engine) -> Callable[[], object]:
    """Return a SET that fires triggers if there are any."""
    return lambda: engine.execute("SET", "user:1", "value")


class Subscriber:
    """The trigger's effect without triggers: a client that hears of each SET and counts."""

    def __init__(self, port: int) -> None:
        self.client = redis.Redis(port=port)
        self.counter = redis.Redis(port=port)
        self.client.config_set("notify-keyspace-events", "KEA")
        self.pubsub = self.counter.pubsub()
        self.pubsub.psubscribe("__keyevent@0__:set")
        self.pubsub.get_message(timeout=5)
        self.done = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        for message in self.pubsub.listen():
            if message["type"] == "pmessage":
                self.counter.incr("count")
                self.done.release()
            else:
                return

    def set(self) -> None:
        """Set a key; return when it was counted, as a SET that fires a trigger does."""
        self.client.set("user:1", "value")
        self.done.acquire()

    def close(self) -> None:
        """Stop listening."""
        self.pubsub.punsubscribe()
        self.thread.join(5)
        self.client.close()
        self.counter.close()


def bench_non_matching(_server: RedisServer | None) -> list[Result]:
    """A SET beside ten thousand triggers for other prefixes."""
    without, with_many = trignb.Engine(), trignb.Engine()
    # Both have a library, hence both keep the log of notifications.
    without.load(FUNCTION)
    with_many.load(PREFIXES % NON_MATCHING)
    many, none = race(
        Contender(lambda: with_many.execute("SET", "user:1", "value"), 20_000),
        Contender(lambda: without.execute("SET", "user:1", "value"), 20_000),
    )
    without.close()
    with_many.close()
    what = f"SET beside {NON_MATCHING:,} other prefixes, to SET beside none"
    ratio = many / none
    return [
        Result(what, us(many), us(none), f"{ratio:.2f} ×", "≤ 1.15 ×", ratio <= 1.15)
    ]


def bench_one_cpu(_server: RedisServer | None) -> list[Result]:
    """The same where both sides share one CPU."""
    one, five = run_child("one_cpu"), run_child("five_one_cpu")
    what = "SET with trigger of one call on one CPU, above SET without"
    of_five = what.replace("one call", "five calls")
    return [
        at_most(what, one, 120, ours=us(one)),
        Result(of_five, us(five), "", us(five), "", None),
    ]


def child_one_cpu(code: str) -> float:
    """Return µs above an untriggered SET on one CPU, as ``taskset -c 0`` would give."""
    os.sched_setaffinity(0, {0})
    engines = [engine_with(), engine_with(code)]
    bare, triggered = race(*(Contender(setter(engine), 1000) for engine in engines))
    for engine in engines:
        engine.close()
    return triggered - bare


# -- functions


def bench_functions(server: RedisServer | None) -> list[Result]:
    """TFCALL of one call against the same in Lua: here, and by redis-py on a server."""
    engine = engine_with(ONE_CALL % "bench")
    engine.execute("FUNCTION", "LOAD", LUA_FUNCTION)
    digest = engine.execute("SCRIPT", "LOAD", LUA_SCRIPT)
    engine.execute("SET", "k", "value")
    ours = race(
        Contender(caller(engine, "TFCALL", "bench.get", "1", "k"), 3000),
        Contender(caller(engine, "TFCALLASYNC", "bench.block", "1", "k"), 200),
        Contender(caller(engine, "FCALL", "get", "1", "k"), 3000),
        Contender(caller(engine, "EVALSHA", digest, "1", "k"), 3000),
    )
    js, block, fcall, evalsha = ours
    engine.close()
    results = [
        beside("TFCALL of one call, to FCALL of the same in Lua here", js, fcall),
        beside("TFCALL of one call, to EVALSHA of the same here", js, evalsha),
    ]
    if server is not None:
        with redis.Redis(port=server.port) as peer:
            results += functions_of(peer, js, block)
    return results


def functions_of(peer: Any, js: float, block: float) -> list[Result]:
    """Compare with the same in Lua, and in a transaction, by redis-py on a server."""
    peer.set("k", "value")
    peer.function_load(LUA_FUNCTION, replace=True)
    digest = peer.script_load(LUA_SCRIPT)
    fcall, evalsha, transaction = race(
        Contender(lambda: peer.fcall("get", 1, "k"), 200),
        Contender(lambda: peer.evalsha(digest, 1, "k"), 200),
        Contender(lambda: peer.pipeline().get("k").execute(), 200),
    )
    return [
        at_least("TFCALL of one call against FCALL by redis-py", js, fcall, 4),
        at_least("TFCALL of one call against EVALSHA by redis-py", js, evalsha, 4),
        beside("coroutine with block, to MULTI/EXEC by redis-py", block, transaction),
    ]


def caller(engine: trignb.Engine, *words: Any) -> Callable[[], object]:
    """Return an operation that makes this call."""
    execute = engine.execute
    return lambda: execute(*words)


def bench_turns(_server: RedisServer | None) -> list[Result]:
    """Two libraries whose functions are called in turns."""
    engine = engine_with(ONE_CALL % "one", ONE_CALL % "two")
    calls = [
        caller(engine, "TFCALL", f"{name}.get", "1", "k") for name in ("one", "two")
    ]

    def in_turns() -> None:
        calls[0]()
        calls[1]()

    one, both = race(Contender(calls[0], 2000), Contender(in_turns, 300))
    engine.close()
    return [beside("TFCALL, two libraries in turns, to one library", both / 2, one)]


# -- streams


def bench_streams(server: RedisServer | None) -> list[Result]:
    """An XADD whose record a stream trigger processes."""
    plain, triggered = engine_with(), engine_with(STREAM)
    contenders = [
        Contender(caller(triggered, *XADD), 1000),
        Contender(caller(plain, *XADD), 5000),
    ]
    if server is not None:
        consumer = Consumer(server.port)
        contenders.append(Contender(consumer.add, 200))
    with_trigger, without, *others = race(*contenders)
    shown = us(with_trigger - without)
    what = "XADD with stream trigger, above XADD without"
    results = [Result(what, us(with_trigger), us(without), shown, "", None)]
    if server is not None:
        what = "XADD with stream trigger against a consumer's XREAD and INCR"
        results.append(beside(what, with_trigger, others[0]))
        consumer.close()
    plain.close()
    triggered.close()
    return results


class Consumer:
    """A stream trigger's effect without one: a client that reads each record and counts."""

    def __init__(self, port: int) -> None:
        self.client: Any = redis.Redis(port=port)
        self.reader: Any = redis.Redis(port=port)
        self.client.delete("stream")
        self.done = threading.Semaphore(0)
        self.is_closed = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        last: Any = "0"
        while not self.is_closed:
            found = self.reader.xread({"stream": last}, block=200)
            for _, records in found or ():
                for last, _fields in records:  # noqa: B007  # read on from here
                    self.reader.incr("count")
                    self.done.release()

    def add(self) -> None:
        """Add a record; return when it was counted."""
        self.client.execute_command(*XADD)
        self.done.acquire()

    def close(self) -> None:
        """Stop reading."""
        self.is_closed = True
        self.thread.join(5)
        self.client.close()
        self.reader.close()


# -- loading, and having many


def bench_load_time(server: RedisServer | None) -> list[Result]:
    """How long it takes to load a library."""
    engine = engine_with(TRIGGER)
    (js,) = race(Contender(lambda: engine.load(TRIGGER, replace=True), 5))
    engine.close()
    lua = ""
    if server is not None:
        with redis.Redis(port=server.port) as peer:
            load = Contender(lambda: peer.function_load(LUA_FUNCTION, replace=True), 50)
            lua = us(race(load)[0])
    shown = f"{js / 1000:.1f} ms"
    return [
        Result("loading a library, and FUNCTION LOAD", us(js), lua, shown, "", None)
    ]


def bench_idle(_server: RedisServer | None) -> list[Result]:
    """What libraries take that are loaded and do nothing."""
    grown = run_child("idle_libraries")
    each = f"{grown / IDLE_LIBRARIES:.1f} MB"
    what = f"memory of {IDLE_LIBRARIES} idle libraries, and of each"
    return [at_most(what, grown, 400, ours=each, unit="MB")]


def child_idle_libraries() -> float:
    """Return the MB that a hundred libraries take, V8 itself excluded."""
    engine = engine_with(ONE_CALL % "first")
    gc.collect()
    before = resident_bytes()
    for i in range(IDLE_LIBRARIES):
        engine.load(ONE_CALL % f"library{i}")
        engine.execute("TFCALL", f"library{i}.get", "1", "k")
    grown = resident_bytes() - before
    engine.close()
    return grown / 1e6


def bench_library_loads(_server: RedisServer | None) -> list[Result]:
    """What remains in the process of libraries that were deleted."""
    grown = run_child("library_loads")
    count = LIBRARY_LOADS - LIBRARY_WARMUP
    what = f"loading and deleting a library {count} times"
    return [at_most(what, grown, 5, ours=f"{grown:.2f} MB", unit="MB")]


def child_library_loads() -> float:
    """Return MB the process grew by."""
    engine = trignb.Engine()
    before = 0
    for i in range(LIBRARY_LOADS):
        if i == LIBRARY_WARMUP:
            gc.collect()
            before = resident_bytes()
        engine.load(TRIGGER)
        engine.execute("SET", "user:1", "value")
        engine.execute("TFUNCTION", "DELETE", "bench")
    gc.collect()
    grown = resident_bytes() - before
    engine.close()
    return grown / 1e6


def beside(what: str, ours: float, peer: float) -> Result:
    """Build a line that compares and has no target."""
    ratio = ours / peer
    shown = f"{ratio:.2f} ×" if ratio >= 0.1 else f"1/{1 / ratio:.0f} ×"
    return Result(what, us(ours), us(peer), shown, "", None)


BENCHES = (
    bench_triggered,
    bench_non_matching,
    bench_one_cpu,
    bench_functions,
    bench_turns,
    bench_streams,
    bench_load_time,
    bench_idle,
    bench_library_loads,
)

CHILDREN: dict[str, Callable[[], float]] = {
    "one_cpu": lambda: child_one_cpu(TRIGGER),
    "five_one_cpu": lambda: child_one_cpu(FIVE_CALLS),
    "idle_libraries": child_idle_libraries,
    "library_loads": child_library_loads,
}
