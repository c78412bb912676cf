"""The clock: running, frozen, moved."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from trignb.clock import Clock

SECOND = 1_000_000_000
NOON_NS = 1_767_268_800 * SECOND


def is_near(ns, other):
    return abs(ns - other) < 5 * SECOND


def test_a_new_clock_is_the_systems():
    clock = Clock()
    assert not clock.frozen
    assert clock.read is time.time_ns
    assert is_near(clock.now_ns(), time.time_ns())
    assert clock.now().tzinfo is dt.UTC


@pytest.mark.parametrize(
    "moment",
    [
        1_767_268_800,
        1_767_268_800.0,
        "2026-01-01T12:00:00Z",
        "2026-01-01 12:00",
        "2026-01-01T13:00:00+01:00",
        dt.datetime(2026, 1, 1, 12),
        dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 1, 6, tzinfo=dt.timezone(dt.timedelta(hours=-6))),
    ],
)
def test_freeze_at_a_moment(moment):
    clock = Clock()
    clock.freeze(at=moment)
    assert clock.frozen
    assert clock.now_ns() == NOON_NS
    assert clock.now_ns() == NOON_NS
    assert clock.now() == dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def test_freeze_now_and_resume():
    clock = Clock()
    clock.freeze()
    ns = clock.now_ns()
    assert is_near(ns, time.time_ns())
    time.sleep(0.002)
    assert clock.now_ns() == ns
    clock.freeze(at=1)
    clock.resume()
    assert not clock.frozen
    assert is_near(clock.now_ns(), time.time_ns())


def test_fractions_of_a_second_are_exact_to_the_microsecond():
    clock = Clock()
    clock.freeze(at=1_767_268_800.000001)
    assert clock.now_ns() == NOON_NS + 1000
    assert clock.now().microsecond == 1
    clock.freeze(at=dt.datetime(2026, 1, 1, 12, 0, 0, 5))
    assert clock.now_ns() == NOON_NS + 5000


def test_before_1970():
    clock = Clock()
    clock.freeze(at="1969-12-31T23:59:59.5Z")
    assert clock.now_ns() == -SECOND // 2
    assert clock.now().year == 1969


def test_advance_a_frozen_clock():
    clock = Clock()
    clock.freeze(at=NOON_NS // SECOND)
    clock.advance(1.5)
    clock.advance(milliseconds=250)
    clock.advance(seconds=1, milliseconds=1)
    assert clock.now_ns() == NOON_NS + 2_751_000_000
    assert clock.frozen
    clock.advance()
    assert clock.now_ns() == NOON_NS + 2_751_000_000


def test_advance_a_running_clock():
    clock = Clock()
    clock.advance(3600)
    assert not clock.frozen
    assert is_near(clock.now_ns(), time.time_ns() + 3600 * SECOND)
    before = clock.now_ns()
    time.sleep(0.002)
    assert clock.now_ns() > before
    clock.advance(3600)
    assert is_near(clock.now_ns(), time.time_ns() + 7200 * SECOND)
    clock.resume()
    assert is_near(clock.now_ns(), time.time_ns())


def test_a_frozen_clock_that_goes_on_from_where_it_was_moved():
    clock = Clock()
    clock.advance(3600)
    clock.freeze()
    clock.advance(60)
    assert is_near(clock.now_ns(), time.time_ns() + 3660 * SECOND)


def test_time_does_not_run_backwards_by_advance():
    clock = Clock()
    with pytest.raises(ValueError, match="negative"):
        clock.advance(-1)


def test_what_a_moment_cannot_be():
    clock = Clock()
    with pytest.raises(TypeError):
        clock.freeze(at=True)
    with pytest.raises(TypeError):
        clock.freeze(at=[1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="isoformat"):
        clock.freeze(at="noon")
    assert not clock.frozen


def test_repr_tells_state_and_time():
    clock = Clock()
    assert "running" in repr(clock)
    clock.freeze(at="2026-01-01T12:00:00Z")
    assert repr(clock) == "<Clock frozen at 2026-01-01T12:00:00.000+00:00>"
