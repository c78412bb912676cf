"""The latency monitor: what it notes, and how it shows it."""

from __future__ import annotations

import pytest

from trignb.engine.latency import Sample, Series, graph, report

MS = 1_000_000


@pytest.fixture
def monitor(engine):
    engine.execute("CONFIG", "SET", "latency-monitor-threshold", "5")
    return engine.core.latency


def series(*values, start=100):
    found = Series()
    for time_s, value in enumerate(values, start):
        found.add(Sample(time_s, value))
    return found


def test_nothing_is_noted_below_the_threshold(monitor):
    monitor.note(b"command", 5 * MS - 1)
    assert not monitor.series
    monitor.note(b"command", 5 * MS)
    assert [s.milliseconds for s in monitor.series[b"command"].samples] == [5]


def test_nothing_is_noted_without_a_threshold(engine, monitor):
    engine.execute("CONFIG", "SET", "latency-monitor-threshold", "0")
    monitor.note(b"command", 1000 * MS)
    assert not monitor.series


def test_of_several_in_a_second_the_worst_stays(engine, monitor):
    for milliseconds in (20, 30, 10):
        monitor.note(b"command", milliseconds * MS)
    engine.clock.advance(seconds=2)
    monitor.note(b"command", 7 * MS)
    samples = monitor.series[b"command"].samples
    assert [s.milliseconds for s in samples] == [30, 7]
    assert samples[1].time_s - samples[0].time_s == 2
    assert monitor.series[b"command"].worst == 30


def test_160_samples_are_kept():
    found = series(99, *range(1, 200))
    assert len(found.samples) == 160
    assert found.worst == 199


def test_average_and_deviation():
    found = series(20, 30, 67, 50)
    assert (found.average(), found.deviation()) == (41, 16)


# As a redis-server 7.0 drew it.
BARS = """\
command - high 59 ms, low 13 ms (all time high 59 ms)
--------------------------------------------------------------------------------
# #   o     *
| |  #|   o *
| |  ||_ #|#*
|_|oo|||o|||*
            *
119876543210*
10ssssssssss*
ss          *
"""


def test_graph():
    values = (59, 13, 59, 20, 20, 44, 55, 25, 19, 34, 41, 33)
    assert graph("command", series(*values), 111) == BARS.replace("*", "")


def test_a_graph_of_one_sample_and_of_old_ones():
    found = Series()
    for time_s in (0, 86_400 * 2, 86_400 * 2 + 3600):
        found.add(Sample(time_s, 7))
    bars = graph("x", found, 86_400 * 2 + 3600 + 61).splitlines()[2:]
    assert bars == ["   ", "   ", "   ", "___", "   ", "211", "dhm"]


def test_a_wide_graph_goes_on_below():
    lines = graph("x", series(*range(1, 86)), 200).splitlines()[2:]
    assert [len(line) for line in lines if line] == [80] * 8 + [5] * 8
    assert lines[8] == ""


def test_a_report_tells_of_each_event(monitor):
    monitor.series = {b"command": series(20, 30, 67, 50), b"eviction-cycle": series(9)}
    told = report(monitor, 104)
    assert (
        "1. command: 4 latency spikes (average 41ms, mean deviation 16ms, "
        "period 1.00 sec). Worst all time event 67ms.\n"
    ) in told
    assert "2. eviction-cycle: 1 latency spikes" in told
    assert "slowlog-log-slower-than 5000" in told
    assert "Python's lock" not in told


def test_keys_that_expire_by_themselves_are_timed(engine, monitor, monkeypatch):
    noted = []
    monkeypatch.setattr(
        monitor, "note", lambda event, ns: noted.append((event, ns > 0))
    )
    engine.core.active_expire = False
    engine.execute("SET", "k", "v", "PX", "1")
    engine.clock.advance(milliseconds=5)
    engine.clock.resume()
    engine.core.active_expire = True
    engine.core.cycle.round()
    assert (b"expire-cycle", True) in noted
    assert engine.execute("DBSIZE") == 0


def test_eviction_is_timed(engine, monitor, monkeypatch):
    noted = []
    monkeypatch.setattr(monitor, "note", lambda event, ns: noted.append(event))
    engine.execute("SET", "k", "v" * 1000)
    engine.execute(
        "CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", "1"
    )
    assert b"eviction-cycle" in noted
