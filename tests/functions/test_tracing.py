"""Traces of triggers and functions: who fired whom, in the background too."""

from __future__ import annotations

import os
import threading
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trignb
from functions.libraries import counters, eventually, lib
from trignb.engine.digest import dataset_digest
from trignb.errors import JavaScriptError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trignb.notebook.trace import Trace


def text(*lines: str) -> str:
    return dedent("\n".join(lines)).strip("\n")


def ended(trace: Trace) -> Trace:
    """Return a trace whose background work has ended."""
    assert trace.wait(10)
    assert not trace.pending
    assert not trace.engine.core.tracing.is_armed
    return trace


def test_a_trigger_stands_below_the_event_that_fired_it(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerKeySpaceTrigger('stamp', 'user:', (client, data) => {
        client.call('hset', data.key, 'at', client.call('time')[0]);
    });"""
    )
    with engine.trace() as trace:
        engine.execute("HSET", "user:1", "name", "tom")
    assert trace.text() == text(
        "HSET user:1 name tom → (integer) 1",
        '├─ user:1 (hash, new): + name "tom"',
        "└─ event hset user:1",
        "   └─ trigger lib.stamp: ok",
        "      ├─ time → (array, 2)",
        "      └─ hset user:1 at 1767268800 → (integer) 1",
        '         ├─ user:1 (hash): + at "1767268800"',
        "         └─ event hset user:1",
    )
    assert repr(trace.diff()) == 'user:1 (hash, new): + name "tom", + at "1767268800"'


def test_on_trigger_fired_and_what_it_read(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerKeySpaceTrigger('last', 'k', (client, data) => {
        client.call('set', 'seen', data.value);
    }, {onTriggerFired: (client, data) => { data.value = client.call('get', data.key); }});"""
    )
    session = engine.session()
    with engine.trace() as trace:
        for words in (["MULTI"], ["SET", "k", "1"], ["SET", "k", "2"], ["EXEC"]):
            session.execute(*words)
    assert trace.text().partition("EXEC")[2] == text(
        " → (array, 2)",
        "├─ SET k 1 → OK",
        '│  ├─ k (string, new): "1"',
        "│  └─ event set k",
        "│     ├─ onTriggerFired of lib.last: ok",
        '│     │  └─ get k → "1"',
        "│     └─ trigger lib.last: ok",
        "│        └─ set seen 1 → OK",
        '│           ├─ seen (string, new): "1"',
        "│           └─ event set seen",
        "└─ SET k 2 → OK",
        '   ├─ k (string): "1" → "2"',
        "   └─ event set k",
        "      ├─ onTriggerFired of lib.last: ok",
        '      │  └─ get k → "2"',
        "      └─ trigger lib.last: ok",
        "         └─ set seen 2 → OK",
        '            ├─ seen (string): "1" → "2"',
        "            └─ event set seen",
    )


def test_a_failure_names_its_line(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerKeySpaceTrigger('bad', 'k', () => {
        throw new TypeError('boom');
    });
    redis.registerKeySpaceTrigger('early', 'k', () => {}, {onTriggerFired: () => {
        throw new Error('not now');
    }});
    redis.registerFunction('f', () => { throw new Error('two\\nlines'); });"""
    )
    with engine.trace() as trace:
        engine.execute("SET", "k", "v")
        with pytest.raises(JavaScriptError):
            engine.execute("TFCALL", "lib.f", 0)
    lines = trace.text().split("\n")
    assert "   ├─ onTriggerFired of lib.early: failed: Error: not now (line 6)" in lines
    assert "   └─ trigger lib.bad: failed: TypeError: boom (line 3)" in lines
    assert r"└─ function lib.f: failed: Error: two\nlines (line 8)" in lines
    frame = trace.df()
    failed = frame[frame["outcome"] == "failed"]
    assert failed["line"].dropna().tolist() == [6, 3, 8, 8]
    assert set(failed["library"].dropna()) == {"lib"}


def test_a_refused_command_of_a_library_is_there(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerFunction('f', (client) => {
        try { client.call('nosuch'); } catch (e) {}
        try { client.call('set', 'k', '1'); } catch (e) {}
        try { client.call('subscribe', 'c'); } catch (e) {}
        return client.call('get', 'k');
    }, {flags: ['no-writes']});"""
    )
    with engine.trace() as trace:
        engine.execute("TFCALL", "lib.f", 0)
    lines = trace.text().split("\n")
    assert len(lines) == 7
    assert lines[2].startswith("   ├─ nosuch → (error) ERR unknown command")
    assert lines[3].startswith("   ├─ set k 1 → (error) ERR Write command")
    assert lines[4].startswith("   ├─ subscribe c → (error) ERR command")
    assert lines[5:] == ["   └─ get k → (nil)", "      └─ event keymiss k"]


def test_refused_commands_of_scripts_and_of_coroutines(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', async (client) => {
        try { await client.block(c => c.callAsync('subscribe', 'x')); } catch (e) {}
    });"""
    )
    with engine.trace() as trace:
        engine.execute(
            "EVAL", "redis.pcall('nosuch'); redis.pcall('subscribe', 'x')", 0
        )
        engine.execute("SET", "k", "v")
    lines = ended(trace).text().split("\n")
    assert lines[1] == (
        "├─ nosuch → (error) ERR Unknown Redis command called from script"
    )
    assert lines[2] == (
        "└─ subscribe x → (error) ERR This Redis command is not allowed from script"
    )
    assert lines[-1].endswith(
        "└─ subscribe x → (error) ERR command 'subscribe' is not allowed on script mode"
    )


def test_a_coroutine_is_followed_to_its_end(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerKeySpaceTrigger('later', 'k', async (client, data) => {
        client.block(c => c.call('incr', 'n'));
        client.block(c => c.call('incr', 'n'));
    });"""
    )
    with engine.trace() as trace:
        engine.execute("SET", "k", "v")
    assert ended(trace).text() == text(
        "SET k v → OK",
        '├─ k (string, new): "v"',
        "└─ event set k",
        "   └─ trigger lib.later (async): ok",
        "      ├─ client.block of lib.later",
        "      │  └─ incr n → (integer) 1",
        '      │     ├─ n (string, new): "1"',
        "      │     └─ event incrby n",
        "      └─ client.block of lib.later",
        "         └─ incr n → (integer) 2",
        '            ├─ n (string): "1" → "2"',
        "            └─ event incrby n",
    )
    frame = trace.df()
    units = frame.loc[frame["kind"] == "block", "unit"].tolist()
    assert units == sorted({*units, frame["unit"].max()})


def test_coroutines_of_one_trigger_are_told_apart(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerKeySpaceTrigger('copy', 'k', async (client, data) => {
        client.block(c => c.call('set', 'copy:' + data.key, '1'));
    });"""
    )
    with engine.trace() as trace:
        for i in range(5):
            engine.execute("SET", f"k{i}", "v")
    frame = ended(trace).df()
    for i in range(5):
        row = frame[frame["command"] == f"set copy:k{i} 1"].iloc[0]
        chain = []
        while row["depth"]:
            row = frame.loc[row["parent"]]
            chain.append(row["kind"])
        assert chain == ["block", "trigger", "event", "command"]
        assert row["command"] == f"SET k{i} v"


def test_a_failing_coroutine(engine: trignb.Engine, load: Callable[..., Any]) -> None:
    load(
        """redis.registerKeySpaceTrigger('later', 'k', async () => {
        throw new Error('late');
    });"""
    )
    with engine.trace() as trace:
        engine.execute("SET", "k", "v")
    assert (
        "trigger lib.later (async): failed: Error: late (line 3)" in ended(trace).text()
    )


def test_async_functions_and_what_they_begin(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerAsyncFunction('f', async (client) => {
        return client.block(c => c.call('incr', 'n'));
    });
    redis.registerAsyncFunction('g', (client) => client.executeAsync(async (c) => {
        return c.block(c => c.call('incr', 'm'));
    }));
    redis.registerAsyncFunction('h', async () => { throw new Error('no'); });"""
    )
    with engine.trace() as trace:
        assert engine.call("lib.f", timeout=10) == 1
        assert engine.call("lib.g", timeout=10) == 1
        with pytest.raises(ResponseError):
            engine.call("lib.h", timeout=10)
    assert ended(trace).text() == text(
        "TFCALLASYNC lib.f 0 → (waiting)",
        "└─ function lib.f (async): ok",
        "   └─ client.block of lib",
        "      └─ incr n → (integer) 1",
        '         ├─ n (string, new): "1"',
        "         └─ event incrby n",
        "TFCALLASYNC lib.g 0 → (waiting)",
        "└─ function lib.g (async): ok",
        "   └─ client.block of lib",
        "      └─ incr m → (integer) 1",
        '         ├─ m (string, new): "1"',
        "         └─ event incrby m",
        "TFCALLASYNC lib.h 0 → (waiting)",
        "└─ function lib.h (async): failed: Error: no (line 8)",
    )


def test_stream_triggers_and_their_trims(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerStreamTrigger('count', 's', (client, data) => {
        if (data.record[0][0] === 'bad') throw new Error('bad record');
        client.call('incr', 'n');
    }, {isStreamTrimmed: true});"""
    )
    with engine.trace() as trace:
        engine.execute("XADD", "s", "1-1", "f", "v")
        engine.execute("XADD", "s", "1-2", "bad", "v")
    assert trace.text() == text(
        'XADD s 1-1 f v → "1-1"',
        '├─ s (stream, new): + 1-1 "f v"',
        "├─ event xadd s",
        "│  └─ stream trigger lib.count, record 1-1 of s: ok",
        "│     └─ incr n → (integer) 1",
        '│        ├─ n (string, new): "1"',
        "│        └─ event incrby n",
        "└─ trimmed s",
        '   └─ s (stream): - 1-1 "f v"',
        'XADD s 1-2 bad v → "1-2"',
        '├─ s (stream): + 1-2 "bad v"',
        "├─ event xadd s",
        "│  └─ stream trigger lib.count, record 1-2 of s: failed: Error: bad record (line 3)",
        "└─ trimmed s",
        '   └─ s (stream): - 1-2 "bad v"',
    )


def test_async_stream_triggers_with_a_window(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerStreamTrigger('count', 's', async (client, data) => {
        client.block(c => c.call('incr', 'n'));
    }, {window: 1});"""
    )
    with engine.trace() as trace:
        for i in range(1, 4):
            engine.execute("XADD", "s", f"{i}-1", "f", "v")
    eventually(lambda: engine.execute("GET", "n") == b"3")
    assert ended(trace).text().count("stream trigger lib.count (async), record") == 3
    assert trace.text().count(": ok") == 3


def test_a_chain_over_a_stream(engine: trignb.Engine, load: Callable[..., Any]) -> None:
    load(
        """redis.registerKeySpaceTrigger('feed', 'k', (client, data) => {
        client.call('xadd', 's', '1-1', 'key', data.key);
    });
    redis.registerStreamTrigger('drain', 's', (client) => { client.call('incr', 'n'); });"""
    )
    with engine.trace() as trace:
        engine.execute("SET", "k", "v")
    last = trace.df().iloc[-1]
    assert last["key"] == "n"
    assert last["depth"] == 7
    assert trace.keys() == ["k", "s", "n"]


def test_expired_keys_fire_below_their_event(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerKeySpaceTrigger('gone', 'k', (client, data) => {
        if (data.event === 'expired') client.call('incr', 'n');
    });"""
    )
    engine.execute("SET", "k", "v", "PX", 10)
    with engine.trace() as trace:
        engine.clock.advance(1)
    assert trace.text() == text(
        "expired k",
        '├─ k (string, gone): was "v" (TTL 0 s)',
        "└─ event expired k",
        "   └─ trigger lib.gone: ok",
        "      └─ incr n → (integer) 1",
        '         ├─ n (string, new): "1"',
        "         └─ event incrby n",
    )


HANGING = """redis.registerKeySpaceTrigger('wait', 'k', async (client, data) => {
    await client.block(c => c.callAsync('blpop', 'q', '0'));
    client.block(c => c.call('incr', 'n'));
});"""


def test_background_work_that_waits_is_told_and_can_be_left(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(HANGING)
    with engine.trace() as trace:
        engine.execute("SET", "k", "v")
    assert not trace.wait(0.2)
    assert trace.text().endswith("… 1 in the background: not ended yet")
    assert "trigger lib.wait (async): pending" in trace.text()
    assert engine.core.tracing.is_armed
    trace.close()
    assert trace.wait(0)
    assert not engine.core.tracing.is_armed
    shown = trace.text()
    assert shown.endswith("… 1 in the background: not ended when the trace was closed")
    engine.execute("RPUSH", "q", "x")
    eventually(lambda: engine.execute("GET", "n") == b"1")
    assert trace.text() == shown


def test_background_work_goes_on_being_traced_after_the_block(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(HANGING)
    with engine.trace() as trace:
        engine.execute("SET", "k", "v")
    eventually(lambda: engine.core.blocking.queues)
    engine.execute("RPUSH", "q", "x")
    assert "incr n → (integer) 1" in ended(trace).text()
    # What this thread did afterwards is not part of it.
    assert "RPUSH" not in trace.text()


def test_background_work_that_began_before_is_everybodys(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(HANGING)
    engine.execute("SET", "k", "v")
    eventually(lambda: engine.core.blocking.queues)
    with engine.trace("all") as trace:
        engine.execute("RPUSH", "q", "x")
        eventually(lambda: engine.core.databases[0].data.get(b"n") == b"1")
        eventually(lambda: "event incrby n" in trace.text())
    assert "client.block of lib.wait" in trace.text()


def test_a_library_that_is_replaced_or_deleted_meanwhile(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(HANGING)
    with engine.trace() as trace:
        engine.execute("SET", "k", "v")
        eventually(lambda: engine.core.blocking.queues)
        load(HANGING.replace("'wait'", "'other'"), replace=True)
        engine.execute("SET", "k", "w")
        engine.execute("TFUNCTION", "DELETE", "lib")
    assert "trigger lib.other (async): pending" in trace.text()
    trace.close()
    assert not engine.core.tracing.is_armed


def test_the_runs_are_counted_as_without_a_trace(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    library = load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
        if (client.call('get', 'k') === 'bad') throw new Error('x');
    });
    redis.registerKeySpaceTrigger('a', 'k', async () => {});
    redis.registerFunction('f', () => 1);
    redis.registerStreamTrigger('s', 's', () => {});"""
    )
    with engine.trace() as trace:
        engine.execute("SET", "k", "good")
        engine.execute("SET", "k", "bad")
        engine.execute("TFCALL", "lib.f", 0)
        engine.execute("XADD", "s", "1-1", "f", "v")
    ended(trace)
    triggers = engine.triggers()
    assert triggers["num_triggered"].tolist() == [2, 2]
    assert triggers["num_success"].tolist() == [1, 2]
    assert triggers["num_failed"].tolist() == [1, 0]
    assert library.functions["f"].calls == 1
    where = library.stream_triggers["s"].streams[b"s"]
    assert where.total_record_processed == 1
    assert not where.pending


def test_the_order_of_triggers_is_the_same(engine: trignb.Engine) -> None:
    body = """redis.registerKeySpaceTrigger('t', 's', (client) => {
        client.call('rpush', 'log', '%s');
    });
    redis.registerStreamTrigger('s', 's', (client) => {
        client.call('rpush', 'log', 's%s');
    });"""
    engine.load(lib(body % ("one", "one"), "one"))
    engine.load(lib(body % ("two", "two"), "two"))
    engine.load(lib(body % ("one", "one"), "one"), replace=True)
    orders = []
    for traced in (False, True, False):
        engine.execute("DEL", "log")
        trace = engine.trace()
        if traced:
            trace.__enter__()
        engine.execute("XADD", "s", "*", "f", "v")
        if traced:
            trace.__exit__(None, None, None)
        orders.append(engine.execute("LRANGE", "log", 0, -1))
        engine.clock.advance(1)
    assert orders[0] == orders[1] == orders[2]
    assert len(orders[0]) == 4


def test_origins_do_not_pile_up_from_trace_to_trace(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    library = load("""redis.registerKeySpaceTrigger('t', 'k', () => {});
    redis.registerKeySpaceTrigger('a', 'k', async client => { client.block(() => {}); });""")
    kept = set()
    for _ in range(5):
        with engine.trace() as trace:
            for _ in range(20):
                engine.execute("SET", "k", "v")
        assert ended(trace).df()["outcome"].eq("ok").all()
        assert not engine.core.tracing.origins
        assert not engine.core.tracing.events
        # What waits for a coroutine's end may be told before it counts as ended.
        eventually(lambda: not library.host.is_busy)
        kept.add(len(library.runtime._origins._origins))
    assert max(kept) <= 2 * min(kept)


def test_numbers_of_origins_are_not_given_twice_while_one_is_at_work(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(HANGING)
    with engine.trace() as left:
        engine.execute("SET", "k", "v")
    left.close()
    with engine.trace() as trace:
        engine.execute("SET", "k2", "v")
        eventually(lambda: len(engine.core.blocking.queues.get((0, b"q"), ())) == 2)
        engine.execute("RPUSH", "q", "x", "y")
        eventually(lambda: engine.execute("GET", "n") == b"2")
    # Of the two that go on, one is the trace's.
    assert ended(trace).text().count("incr n") == 1
    assert "incr n" not in left.text()


def test_server_clients_and_triggers_while_a_trace_is_open(
    engine: trignb.Engine, load: Callable[..., Any]
) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
        client.call('incr', 'n:' + data.key);
    });"""
    )
    stop = threading.Event()

    def write(name: str) -> None:
        session = engine.session(name=name)
        while not stop.is_set():
            session.execute("SET", f"k{name}", "v")

    threads = [threading.Thread(target=write, args=(str(i),)) for i in range(2)]
    for thread in threads:
        thread.start()
    with engine.trace() as trace:
        for _ in range(30):
            engine.execute("SET", "k", "mine")
    stop.set()
    for thread in threads:
        thread.join()
    frame = trace.df()
    assert set(frame["key"].dropna()) == {"k", "n:k"}
    assert (frame["kind"] == "trigger").sum() == 30


# -- the same with and without

MIXED = """redis.registerKeySpaceTrigger('stamp', 'k', (client, data) => {
    if (data.event === 'del') throw new Error('gone');
    client.call('rpush', 'log', data.event + ':' + data.was);
}, {onTriggerFired: (client, data) => {
    data.was = client.call('exists', data.key);
    if (data.event === 'expired') throw new Error('too late');
}});
redis.registerKeySpaceTrigger('all', '', (client, data) => { client.call('incr', 'n'); });
redis.registerStreamTrigger('read', 's', (client, data) => {
    client.call('lpush', 'read', data.id.join('-'));
    if (data.record[0][0] === 'bad') throw new Error('bad');
}, {isStreamTrimmed: true});
redis.registerFunction('f', (client, key) => {
    client.call('set', key, 'f');
    return client.call('incrby', 'm', '2');
});
redis.registerFunction('ro', (client) => client.call('set', 'k', 'x'), {flags: ['no-writes']});"""

STEPS = [
    "SET k 1",
    "SET k 2 PX 5",
    "INCR k",
    "DEL k",
    "HSET h f v",
    "GET k",
    "GET none",
    "RENAME h k",
    "XADD s * f v",
    "XADD s * bad v",
    "DEL s",
    "TFCALL lib.f 1 k",
    "TFCALL lib.ro 0",
    "TFCALL lib.none 0",
    "EVAL redis.call('set','k','lua') 0",
    "MULTI",
    "EXEC",
    "FLUSHALL",
    "LPOP log",
    "advance",
]


class Twin:
    """An engine with a library, and all that can be told of what it does."""

    def __init__(self) -> None:
        self.engine = trignb.Engine()
        self.engine.clock.freeze(at="2026-01-01T12:00:00Z")
        self.engine.load(lib(MIXED))
        self.effects: list[Any] = []
        self.engine.core.sinks.append(
            lambda effects: self.effects.append(list(effects))
        )
        self.engine.core.sinks_changed()

    def run(self, steps: list[str]) -> list[Any]:
        """Run commands as a new client; returns what they led to."""
        engine = self.engine
        engine.reset(keep_libraries=True)
        engine.clock.freeze(at="2026-01-01T12:00:00Z")
        self.effects.clear()
        session = engine.session()
        replies = [self.step(session, step) for step in steps]
        session.close()
        registry = engine.library_registry
        library = registry.libraries["lib"]
        return [
            replies,
            self.effects[:],
            [self.told(record) for record in engine.core.notifications.entries()],
            [counters(trigger) for trigger in library.triggers.values()],
            [
                (name, w.last_read, w.total_record_processed, w.failed)
                for name, w in library.stream_triggers["read"].streams.items()
            ],
            [(f.calls, f.failures) for f in library.functions.values()],
            [(e.kind, e.item, e.message, e.line) for e in registry.errors],
            dataset_digest(engine.core.databases),
            engine.core.dirty,
        ]

    def step(self, session: Any, step: str) -> str:
        """Run one command."""
        if step == "advance":
            self.engine.clock.advance(milliseconds=10)
            return ""
        try:
            return repr(session.execute(*step.split(" ")))
        except ResponseError as error:
            return str(error)

    def told(self, record: Any) -> tuple[Any, ...]:
        """Return an entry of the log, with the runs as they ended."""
        fired = [(run.trigger, run.outcome) for run in record.fired]
        return (*record[:12], fired, record.author.library, record.author.trigger)


@pytest.fixture(scope="module")
def twins() -> Iterator[tuple[Twin, Twin]]:
    plain, traced = Twin(), Twin()
    yield plain, traced
    plain.engine.close()
    traced.engine.close()


@settings(
    max_examples=400 if os.environ.get("TRIGNB_LONG") else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=12))
def test_libraries_do_the_same_with_and_without_a_trace(
    twins: tuple[Twin, Twin], steps: list[str]
) -> None:
    plain, traced = twins
    expected = plain.run(steps)
    with traced.engine.trace("all") as trace:
        got = traced.run(steps)
    assert got == expected
    assert len(list(trace)) >= len([step for step in steps if step != "advance"])
