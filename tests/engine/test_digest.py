"""DEBUG DIGEST; `tests/oracle/test_rdb_files.py` compares it with Redis."""

from __future__ import annotations

import pytest

import trignb


@pytest.fixture
def engine():
    with trignb.Engine(enable_debug_command="yes") as engine:
        yield engine


def digest(engine):
    return engine.execute("DEBUG", "DIGEST")


def test_nothing_is_zero(engine):
    assert digest(engine) == "0" * 40
    assert engine.execute("DEBUG", "DIGEST-VALUE", "none") == ["0" * 40]
    assert engine.execute("DEBUG", "DIGEST-VALUE") == []


def test_order_of_keys_does_not_matter_that_of_elements_does(engine):
    engine.execute("SET", "a", "1")
    engine.execute("RPUSH", "l", "x", "y")
    engine.execute("SADD", "s", "x", "y")
    first = digest(engine)
    engine.execute("FLUSHALL")
    assert digest(engine) == "0" * 40
    engine.execute("SADD", "s", "y", "x")
    engine.execute("RPUSH", "l", "x", "y")
    engine.execute("SET", "a", "1")
    assert digest(engine) == first
    engine.execute("LMOVE", "l", "l", "LEFT", "RIGHT")
    assert digest(engine) != first


def test_a_deadline_counts_but_not_when_it_is(engine):
    engine.execute("SET", "a", "1")
    first = digest(engine)
    engine.execute("EXPIRE", "a", "100")
    second = digest(engine)
    assert second != first
    engine.execute("EXPIRE", "a", "200")
    assert digest(engine) == second


def test_the_database_counts(engine):
    engine.execute("SET", "a", "1")
    first = digest(engine)
    engine.execute("MOVE", "a", "1")
    assert digest(engine) != first
