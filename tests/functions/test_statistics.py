"""Histograms of run times, and kinds of errors."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.libraries import error_of, eventually, trigger_of
from trignb.errors import ResponseError
from trignb.functions.statistics import (
    BUCKETS,
    TABLE,
    TABLE_NS,
    UNIT_BITS,
    FewTimes,
    Times,
    bucket_bounds,
    bucket_of,
    error_kind,
    merged,
)
from trignb.js.runtime import JsError, JsOom, JsTerminated, JsTimeout

DURATIONS = st.one_of(
    st.integers(0, 5_000), st.integers(0, 3_000_000), st.integers(0, 1 << 45)
)


# -- buckets


def test_buckets_follow_one_another() -> None:
    assert bucket_bounds(0)[0] == 0
    for bucket in range(BUCKETS - 1):
        low, high = bucket_bounds(bucket)
        assert bucket_bounds(bucket + 1)[0] == high
        assert bucket_of(low) == bucket_of(high - 1) == bucket
        # No wider than a sixteenth of what is in it, or a unit.
        assert high - low <= max(low / 16, 1 << UNIT_BITS)


@pytest.mark.parametrize(
    ("elapsed_ns", "bucket"),
    [(-5, 0), (0, 0), (127, 0), (128, 1), (1 << 60, BUCKETS - 1)],
)
def test_the_ends(elapsed_ns, bucket) -> None:
    assert bucket_of(elapsed_ns) == bucket


def test_the_table_says_what_the_function_does() -> None:
    assert len(TABLE) << UNIT_BITS == TABLE_NS
    for elapsed_ns in range(0, TABLE_NS, 100):
        assert TABLE[elapsed_ns >> UNIT_BITS] == bucket_of(elapsed_ns)


# -- times


@given(st.lists(DURATIONS, min_size=1, max_size=200), st.floats(0, 1))
def test_quantiles(durations, q) -> None:
    times, few = Times(), FewTimes()
    for elapsed_ns in durations:
        times.note(elapsed_ns)
        few.note(elapsed_ns)
    assert list(times.filled()) == list(few.filled())
    assert (times.count, times.total_ns) == (len(durations), sum(durations))
    assert (times.min_ns, times.max_ns) == (min(durations), max(durations))
    assert times.last_ns == durations[-1]
    exact = sorted(durations)[max(math.ceil(q * len(durations)) - 1, 0)]
    assert abs(times.quantile_ns(q) - exact) <= exact / 16 + 128


def test_nothing_timed() -> None:
    times = Times()
    assert (times.count, times.min_ns, times.max_ns) == (0, 0, 0)
    assert times.quantile_ns(0.5) == 0.0


@given(st.lists(st.lists(DURATIONS, max_size=20), max_size=4))
def test_merged(parts) -> None:
    histograms, expected = [], Times()
    for part in parts:
        histograms.append(FewTimes())
        for elapsed_ns in part:
            histograms[-1].note(elapsed_ns)
            expected.note(elapsed_ns)
            histograms[-1].note_error(ResponseError("no"))
            expected.note_error(ResponseError("no"))
    whole = merged(histograms)
    assert whole.buckets == expected.buckets
    assert whole.errors == expected.errors
    assert (whole.min_ns, whole.max_ns) == (expected.min_ns, expected.max_ns)
    assert whole.total_ns == expected.total_ns


# -- kinds of errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (JsError("TypeError: no", name="TypeError"), "TypeError"),
        (JsError("Mine: no", name="Mine"), "Mine"),
        (JsError("Error: ERR no", name="Error"), "Error"),
        (JsError("ERR no"), "ERR"),
        (JsError("WRONGTYPE Operation"), "WRONGTYPE"),
        (JsError("NOPERM"), "NOPERM"),
        (JsError("A thing"), "thrown"),
        (JsError("ERRor"), "thrown"),
        (JsError(""), "thrown"),
        (JsTimeout(), "timeout"),
        (JsOom(), "memory"),
        (JsTerminated(), "stopped"),
        (KeyboardInterrupt(), "interrupt"),
        (ResponseError("User 'x' has no permissions on key 'k', ..."), "refused"),
    ],
)
def test_kinds(error, kind) -> None:
    assert error_kind(error) == kind


def test_kinds_without_an_end() -> None:
    """A library chooses its names: they may not fill the memory."""
    times = Times()
    for i in range(1000):
        times.note_error(JsError("x", name=f"Error{i}" + "x" * 1000))
    assert len(times.errors) == 51
    assert times.errors["other"] == 950
    assert max(map(len, times.errors)) == 60


# -- what is noted


def test_triggers(engine, load) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    switch (data.key) {
        case 'k1': null.x;
        case 'k2': client.call('incr', 'k2');
        case 'k3': throw 'mine';
        case 'k4': while (1);
    }
}, {onTriggerFired: (client, data) => { if (data.key == 'k5') throw new RangeError('x'); }});"""
    )
    for key in ("k", "k1", "k1", "k2", "k3", "k4", "k5", "k"):
        engine.execute("SET", key, "v")
    times = trigger_of(engine, "t").times
    assert times.errors == {
        "TypeError": 2,
        "ERR": 1,
        "thrown": 1,
        "timeout": 1,
        "RangeError": 1,
    }
    assert times.count == 8
    assert times.quantile_ns(1) == times.max_ns == 0  # the clock stands still


def test_times_of_a_trigger(engine, load) -> None:
    """A run that ends at once and one that does not end in the same histogram."""
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) =>
    data.key == 'k' ? 1 : client.callAsync('blpop', 'go', '0'));"""
    )
    trigger = trigger_of(engine, "t")
    for ms in (1, 1, 1, 1, 1, 1, 1, 1, 1, 10):
        engine.execute("SET", "kwait", "v")
        engine.clock.advance(milliseconds=ms)
        engine.execute("RPUSH", "go", "x")
        eventually(lambda: not trigger.running)
    engine.execute("SET", "k", "v")
    times = trigger.times
    assert (times.count, times.min_ns, times.max_ns) == (11, 0, 10_000_000)
    assert abs(times.quantile_ns(0.5) - 1e6) < 1e6 / 16
    assert abs(times.quantile_ns(0.95) - 10e6) < 10e6 / 16
    # They outlive a REPLACE, as all statistics of a trigger do.
    load("redis.registerKeySpaceTrigger('t', 'k', () => {});", replace=True)
    assert trigger_of(engine, "t").times.count == 11


def test_functions(engine, load) -> None:
    library = load(
        """redis.registerFunction('f', (client, what) => { if (what) throw new Error(what); });
redis.registerAsyncFunction('pop', client => client.callAsync('blpop', 'l', '0'));
redis.registerAsyncFunction('fails', async () => { throw 'x'; });"""
    )
    engine.call("lib.f")
    error_of(engine.call, "lib.f", (), ("x",))
    error_of(engine.execute, "TFCALLASYNC", "lib.fails", 0)
    engine.execute("RPUSH", "l", "x")
    engine.execute("TFCALLASYNC", "lib.pop", 0)
    found = {
        name: (f.calls, f.times.count, f.failures, f.times.errors)
        for name, f in library.functions.items()
    }
    assert found == {
        "f": (2, 2, 1, {"Error": 1}),
        "pop": (1, 1, 0, {}),
        "fails": (1, 1, 1, {"thrown": 1}),
    }
    engine.reset(keep_libraries=True)
    assert library.functions["f"].times.count == 0
    assert library.functions["f"].times.errors == {}


def test_stream_triggers(engine, load) -> None:
    library = load(
        """redis.registerStreamTrigger('s', 'st', (client, data) =>
    client.callAsync('blpop', `go:${data.id[0]}`, '0').then(() => {
        if (data.id[0] > 1n) throw new Error('x');
    }), {window: 2});"""
    )
    trigger = library.stream_triggers["s"]
    for name in ("st1", "st2"):
        for i in (1, 2):
            engine.execute("XADD", name, f"{i}-0", "f", "v")
    assert (trigger.calls, trigger.failures, trigger.times.count) == (4, 0, 0)
    engine.clock.advance(milliseconds=3)
    for i in (1, 1, 2, 2):
        engine.execute("RPUSH", f"go:{i}", "x")
    eventually(lambda: trigger.times.count == 4)
    assert (trigger.calls, trigger.failures) == (4, 2)
    assert trigger.times.errors == {"Error": 2}
    assert trigger.times.min_ns == trigger.times.max_ns == 3_000_000
    where = trigger.streams[b"st1"]
    assert (where.times.count, where.failed) == (2, 1)
    engine.library_registry.reset_statistics()
    assert (where.times.count, where.failed, where.total_record_processed) == (0, 0, 0)
    assert where.last_read == 2 << 64  # the position is no statistic
