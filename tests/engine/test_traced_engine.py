"""An engine that is traced does what one does that nobody traces.

Replies, events with their order and class, the dirty counter, propagation, counters: the rows of the
event table and random sessions give the same with a trace open.
"""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

import trignb
from engine.test_core import Struck, lock_is_free, run_on_event, sink_of, strike
from oracle.exclusions import exclusions_of
from oracle.runners import ALL_FLAGS, EVERYTHING, EngineRunner
from oracle.table import RowRun
from oracle.test_differential import ODD, PRELUDE, names_under_test, sessions
from oracle.test_events_table import RUN_HERE, disagreements
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from oracle.wire import Argument


class TracedRunner(EngineRunner):
    """A fresh engine that is traced from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.trace = self.engine.trace("all")
        self.trace.__enter__()

    def close(self) -> None:
        """Close the engine; what it says of its trace must be readable."""
        self.trace.__exit__(None, None, None)
        assert not self.trace.is_open
        assert self.trace.text()
        super().close()


def test_rows_of_the_event_table_hold_while_a_trace_is_open(long: bool) -> None:
    rows = [row for row in RUN_HERE if not row.needs_peer]
    wrong = []
    for row in rows if long else rows[::6]:
        let_off = exclusions_of(row, "engine")
        if any(not exclusion.fields for exclusion in let_off):
            continue
        runner = TracedRunner()
        outcome = RowRun(runner, 0).run(row)
        runner.close()
        lines = disagreements(row, outcome, let_off)
        if lines:
            wrong.append("\n".join([str(row), *lines]))
    assert not wrong, "\n\n".join(wrong)


class Side:
    """One engine and everything that can be told from outside."""

    def __init__(self) -> None:
        self.engine = trignb.Engine(notify_keyspace_events=ALL_FLAGS)
        self.engine.clock.freeze(at=1_700_000_000)
        self.engine.core.active_expire = False
        self.told: list[Any] = []
        core = self.engine.core
        core.listen(self._hear, EVERYTHING)
        self.engine.core.sinks.append(lambda effects: self.told.append(list(effects)))
        core.sinks_changed()
        subscriber = self.engine.session()
        subscriber.on_push = self.told.append
        subscriber.execute("PSUBSCRIBE", "__key*__:*")
        self.clients = {resp: self.engine.session(resp) for resp in (2, 3)}

    def _hear(self, db: Any, kind: int, event: bytes, key: bytes) -> None:
        self.told.append((db.index, kind, event, key))

    def step(self, resp: int, args: tuple[Argument, ...]) -> list[Any]:
        """Run a command; returns all it led to."""
        try:
            reply = self.clients[resp].execute(*args)
        except ResponseError as error:
            reply = str(error)
        told, self.told = self.told, []
        core = self.engine.core
        counters = core.dirty, core.hits, core.misses, dict(core.errors)
        return [repr(reply), told, counters]


@settings(
    max_examples=300 if os.environ.get("TRIGNB_LONG") else 8,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=sessions)
def test_random_sessions_give_the_same_with_and_without_a_trace(
    steps: list[tuple[int, tuple[Argument, ...]]],
) -> None:
    plain, traced = Side(), Side()
    by_chance = {b"RANDOMKEY", b"SPOP", b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER"}
    try:
        with traced.engine.trace("all") as trace:
            for resp, args in steps:
                name = str(args[0]).upper().encode()
                expected, got = plain.step(resp, args), traced.step(resp, args)
                if name not in by_chance:
                    assert got == expected, args
        assert plain.engine.snapshot() == traced.engine.snapshot() or any(
            "X" in str(args[0]).upper() for _, args in steps
        )
        assert len(trace) >= len(steps)
        assert len(trace.df()) == len(trace)
        calls = [
            {n: (c.calls, c.failed, c.rejected) for n, c in table.by_name.items()}
            for table in (plain.engine.core.table, traced.engine.core.table)
        ]
        assert calls[0] == calls[1]
    finally:
        plain.engine.close()
        traced.engine.close()


def test_odd_arguments_give_the_same_with_and_without_a_trace(long: bool) -> None:
    choose = random.Random(1)
    plain, traced = Side(), Side()
    # They choose by chance themselves.
    left_out = {"randomkey", "spop", "srandmember", "hrandfield", "zrandmember", "scan"}
    names = [n for n in names_under_test() if n.split()[0] not in left_out]
    with traced.engine.trace("all", max_spans=10**6):
        for name in names:
            for words in PRELUDE:
                assert traced.step(2, words)[0] == plain.step(2, words)[0]
            for number in range(30 if long else 3):
                count = number % 6 if long else number + 1
                args = (*name.upper().split(), *choose.choices(ODD, k=count))
                assert traced.step(3, args) == plain.step(3, args), args
                traced.step(3, ("DISCARD",)), plain.step(3, ("DISCARD",))
    plain.engine.close()
    traced.engine.close()


# -- interrupts


@pytest.mark.parametrize(
    "words",
    [("HSET", "k", "f", "v"), ("EVAL", "redis.call('set',KEYS[1],'1')", 1, "k")],
    ids=lambda words: words[0],
)
def test_an_interrupt_anywhere_leaves_engine_and_trace_in_order(
    words: Any, long: bool
) -> None:
    # Every place, or some of them; which ones is different from command to command.
    at, step = (0, 1) if long else (len(words), 11)
    while True:
        with trignb.Engine() as engine:
            sink_of(engine)
            run_on_event(engine, lambda engine=engine: engine.execute("INCR", "n"))
            with engine.trace() as trace:
                struck = strike(at, lambda engine=engine: engine.execute(*words))
                core = engine.core
                assert core.nesting == 0
                assert not core.jobs
                assert not core.effects
                assert not core.tracing.stack
                assert core.tracing.root is None
                assert lock_is_free(core)
                assert engine.session().execute("SET", "after", "1") == "OK"
            assert not core.tracing.is_armed
            assert trace.spans[-1].parent is not None
            assert trace.text()
        if not struck:
            break
        at += step
    assert at > 30


def test_an_interrupt_of_the_tracing_itself_comes_when_the_unit_is_over(
    engine: trignb.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = sink_of(engine)
    run_on_event(engine, lambda: engine.execute("INCR", "n"))
    looks = 0

    def interrupted(db: Any, key: bytes) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise KeyboardInterrupt

    with engine.trace():
        monkeypatch.setattr("trignb.engine.tracing.take_image", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.execute("SET", "k", "v")
    # What the command did and what came of it went out together.
    sent = [args for _, args in batches[0]]
    assert sent == [[b"MULTI"], [b"SET", b"k", b"v"], [b"INCR", b"n"], [b"EXEC"]]
    assert lock_is_free(engine.core)
    assert engine.execute("GET", "n") == b"1"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_signals_at_random_while_traces_come_and_go() -> None:
    hits = 0

    def on_signal(_number: int, _frame: Any) -> None:
        raise Struck

    outer = signal.signal(signal.SIGVTALRM, on_signal)
    try:
        with trignb.Engine() as engine:
            while hits < 40:
                trace = engine.trace(max_spans=50)
                try:
                    trace.__enter__()
                    signal.setitimer(signal.ITIMER_VIRTUAL, 1e-4 * (1 + hits % 40))
                    for _ in range(5000):
                        engine.execute("SET", "k", "v")
                except Struck:
                    hits += 1
                finally:
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                trace.close()
                assert engine.core.nesting == 0
                assert lock_is_free(engine.core)
                assert not engine.core.tracing.is_armed
                assert engine.execute("SET", "k", "v") == "OK"
    finally:
        signal.signal(signal.SIGVTALRM, outer)
