"""Fixtures of all tests: an engine whose clock stands still, and a client of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import trignb

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["pytester"]

# The same examples in every run: a test that fails does so for everybody.
settings.register_profile("trignb", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("TRIGNB_HYPOTHESIS", "trignb"))

NOON = "2026-01-01T12:00:00Z"


@pytest.fixture
def engine() -> Iterator[trignb.Engine]:
    """A fresh engine; its clock stands at noon of 1 January 2026."""
    with trignb.Engine() as engine:
        engine.clock.freeze(at=NOON)
        yield engine


@pytest.fixture
def session(engine: trignb.Engine) -> trignb.Session:
    """A client of the engine, RESP3."""
    return engine.session()


@pytest.fixture
def session2(engine: trignb.Engine) -> trignb.Session:
    """A client of the engine, RESP2."""
    return engine.session(resp=2)
