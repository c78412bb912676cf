"""LATENCY."""

from __future__ import annotations

import time

import pytest

from trignb.errors import ResponseError


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


@pytest.fixture
def monitored(engine):
    engine.core.config.values["enable-debug-command"] = "yes"
    engine.execute("CONFIG", "SET", "latency-monitor-threshold", "10")
    return engine


def test_nothing_to_tell(engine):
    assert engine.execute("LATENCY", "LATEST") == []
    assert engine.execute("LATENCY", "HISTORY", "x") == []
    assert engine.execute("LATENCY", "RESET", "x") == 0
    assert engine.execute("LATENCY", "HISTOGRAM") == {}
    assert engine.execute("LATENCY", "DOCTOR").startswith(b"I'm sorry, Dave")
    engine.execute("CONFIG", "SET", "latency-monitor-threshold", "100")
    assert engine.execute("LATENCY", "DOCTOR").startswith(b"Dave, no latency spike")
    assert refused(engine, "LATENCY", "GRAPH", "x") == (
        "ERR No samples available for event 'x'"
    )


def test_slow_commands_are_spikes(monitored):
    now_s = int(monitored.execute("TIME")[0])
    monitored.execute("DEBUG", "SLEEP", "0.02")
    ((event, time_s, last, worst),) = monitored.execute("LATENCY", "LATEST")
    assert (event, time_s) == (b"command", now_s)
    assert last == worst >= 20
    assert monitored.execute("LATENCY", "HISTORY", "command") == [[now_s, last]]
    assert monitored.execute("LATENCY", "HISTORY", "COMMAND") == []
    assert monitored.execute("LATENCY", "GRAPH", "command").startswith(
        b"command - high"
    )
    assert b"1. command: 1 latency spikes" in monitored.execute("LATENCY", "DOCTOR")


def test_slow_commands_of_a_transaction_are_spikes(monitored, session):
    for words in ("MULTI", "DEBUG SLEEP 0.02", "EXEC"):
        session.execute(*words.split())
    assert monitored.execute("LATENCY", "LATEST")[0][0] == b"command"


def test_commands_said_to_be_fast_have_an_event_of_their_own(monitored, monkeypatch):
    command = monitored.core.table[b"PING"]

    def slow(_session, _args):
        time.sleep(0.02)

    monkeypatch.setattr(command, "handler", slow)
    monitored.execute("PING")
    assert [entry[0] for entry in monitored.execute("LATENCY", "LATEST")] == [
        b"fast-command"
    ]


def test_reset(monitored):
    for event in (b"a", b"b", b"c"):
        monitored.core.latency.note(event, 10**9)
    assert monitored.execute("LATENCY", "RESET", "a", "nope") == 1
    assert monitored.execute("LATENCY", "RESET") == 2
    assert monitored.execute("LATENCY", "LATEST") == []


def test_plain_sessions_pay_nothing_until_the_threshold_is_set(engine, session):
    assert session.intercept is None
    engine.execute("CONFIG", "SET", "latency-monitor-threshold", "10")
    assert session.intercept is not None
    engine.execute("CONFIG", "SET", "latency-monitor-threshold", "0")
    assert session.intercept is None


# -- HISTOGRAM


def test_histograms_begin_with_the_first_question(engine, session):
    session.execute("SET", "k", "v")
    assert engine.execute("LATENCY", "HISTOGRAM", "set") == {}
    for _ in range(3):
        session.execute("SET", "k", "v")
    session.execute("CONFIG", "GET", "hz")
    found = engine.execute("LATENCY", "HISTOGRAM", "SET", "nope", "get")
    assert list(found) == [b"set"]
    assert found[b"set"][b"calls"] == 3
    assert list(found[b"set"][b"histogram_usec"].values())[-1] == 3
    assert list(engine.execute("LATENCY", "HISTOGRAM", "config")) == [b"config|get"]
    assert b"latency|histogram" in engine.execute("LATENCY", "HISTOGRAM")


def test_histograms_end_with_tracking_and_with_resetstat(engine, session):
    engine.execute("LATENCY", "HISTOGRAM")
    session.execute("SET", "k", "v")
    engine.execute("CONFIG", "SET", "latency-tracking", "no")
    assert session.intercept is None
    assert engine.execute("LATENCY", "HISTOGRAM", "set")[b"set"][b"calls"] == 1
    engine.execute("CONFIG", "RESETSTAT")
    assert engine.execute("LATENCY", "HISTOGRAM", "set") == {}
    assert session.intercept is None


def test_info_has_percentiles(engine, session):
    def section():
        return engine.execute("INFO", "latencystats").decode().splitlines()

    assert section() == ["# Latencystats"]
    session.execute("SET", "k", "v")
    (line,) = (line for line in section() if "_set:" in line)
    name, _, shown = line.partition(":")
    assert name == "latency_percentiles_usec_set"
    assert [part.partition("=")[0] for part in shown.split(",")] == [
        "p50",
        "p99",
        "p99.9",
    ]
    engine.execute("CONFIG", "SET", "latency-tracking-info-percentiles", "")
    assert "latency_percentiles_usec_set:" in section()
    engine.execute("CONFIG", "SET", "latency-tracking", "no")
    assert section() == ["# Latencystats"]
