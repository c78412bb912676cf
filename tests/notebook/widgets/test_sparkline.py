from __future__ import annotations

import re

from trignb.notebook.widgets.sparkline import BINS, Series, bars, line

S = 1_000_000_000


def test_bins_by_second() -> None:
    series = Series(100 * S, 5, 5, 0)
    series.note(100 * S, 7, 6, 4_000_000)
    series.note(100 * S + 1, 8, 8, 10_000_000)
    series.note(102 * S, 9, 8, 10_000_000)
    assert series.fired(102 * S)[-3:] == [3, 0, 1]
    assert series.latency_ms(102 * S)[-3:] == [10 / 3, None, None]
    assert len(series.fired(102 * S)) == BINS


def test_rate_over_the_last_ten_seconds() -> None:
    series = Series(100 * S, 0, 0, 0)
    assert series.rate(100 * S) is None
    series.note(100 * S, 20, 20, 0)
    assert series.rate(100 * S + S // 2) == 20
    assert series.rate(104 * S) == 5
    assert series.rate(109 * S) == 20 / 9
    assert series.rate(110 * S) == 0


def test_counters_that_were_reset_start_anew() -> None:
    series = Series(100 * S, 50, 50, 9_000)
    series.note(101 * S, 2, 2, 500)
    assert series.fired(101 * S)[-1] == 2
    series.note(102 * S, 3, 3, 700)
    assert series.fired(102 * S)[-2:] == [2, 1]


def test_quiet_after_a_minute() -> None:
    series = Series(100 * S, 0, 0, 0)
    assert series.is_quiet(100 * S)
    series.note(100 * S, 1, 1, 1)
    assert not series.is_quiet(159 * S)
    assert series.is_quiet(160 * S)


def test_only_a_minute_is_kept() -> None:
    series = Series(0, 0, 0, 0)
    for second in range(1000):
        series.note(second * S, second + 1, 0, 0)
    assert len(series.bins) == BINS


def points(picture: str) -> str:
    """Return the path of a picture."""
    return re.findall(r' d="([^"]*)"', picture)[1]


def test_line_is_interrupted_where_nothing_ran() -> None:
    assert points(line([1.0, 2.0, None, 2.0], "x")) == "M0 8h0L1 1M3 1h0"


def test_bars_leave_out_zeros() -> None:
    assert points(bars([0, 1, 2], "x")) == "M1.5 16V8M2.5 16V1"


def test_empty_pictures_and_labels() -> None:
    assert points(line([None], "x")) == ""
    assert points(bars([], "x")) == ""
    assert "<title>&lt;b&gt;</title>" in line([], "<b>")


def test_pictures_are_small() -> None:
    assert len(line([1.234 * i for i in range(BINS)], "x")) < 1_500
    assert len(bars(list(range(BINS)), "x")) < 1_500
