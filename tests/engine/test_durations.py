"""Durations of calls: buckets, cumulative histograms, percentiles."""

from __future__ import annotations

import pytest

from trignb.engine.durations import histogram, note_duration, percentiles


def durations(*usecs):
    found = {}
    for usec in usecs:
        note_duration(found, usec)
    return found


# What a redis-server 7.0 showed for a call of so many microseconds.
@pytest.mark.parametrize(
    ("usec", "step", "lowest", "highest"),
    [
        (1, 1, 1.0, 1.003),
        (2, 2, 2.0, 2.007),
        (4, 4, 4.0, 4.015),
        (5, 8, 4.992, 5.023),
        (12, 16, 11.968, 12.031),
        (49, 66, 48.896, 49.151),
        (56, 66, 55.808, 56.063),
        (99, 132, 98.816, 99.327),
        (1090, 2113, 1089.536, 1097.727),
    ],
)
def test_buckets_are_redis_own(usec, step, lowest, highest):
    found = durations(usec)
    assert list(histogram(found)) == [(step, 1)]
    assert list(percentiles(found, (0.0, 50.0, 100.0))) == [lowest, highest, highest]


def test_histograms_are_cumulative():
    assert list(histogram(durations(1, 1, 5, 100))) == [(1, 2), (8, 3), (132, 4)]
    assert list(histogram({})) == []


def test_percentiles_of_many():
    found = durations(*range(1, 101))
    assert list(percentiles(found, (50.0, 99.0))) == [50.175, 99.327]
    assert list(percentiles(found, ())) == []


def test_the_shortest_and_the_longest():
    assert list(histogram(durations(0))) == [(1, 1)]
    hour_us = 3_600_000_000
    assert list(percentiles(durations(hour_us), (100.0,))) == [
        *percentiles(durations(1_000_000), (100.0,))
    ]
