"""Fixtures for testing trigger libraries with pytest; installed with trignb, nothing to import.

::

    def test_counts_names(trignb_engine, trignb_library):
        trignb_library("names.js")
        trignb_engine.execute("HSET", "x", "name", "tom")
        assert trignb_engine.execute("GET", "name_tom") == b"1"

The clock stands still: ``trignb_engine.clock.advance(seconds=3600)`` lets keys expire. Chance has a
seed: SPOP and ``Math.random`` choose the same in every run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trignb.api import Engine
    from trignb.functions.library import Library

__all__ = ["FROZEN_AT", "SEED", "LibraryLoader", "trignb_engine", "trignb_library"]

# The moment at which the clock of `trignb_engine` stands, so that tests repeat exactly.
FROZEN_AT = "2026-01-01T00:00:00Z"
# What its chance follows, for the same reason.
SEED = 0


class LibraryLoader(Protocol):
    """What `trignb_library` is."""

    def __call__(
        self, source: str | Path, config: Mapping[str, Any] | str | None = None
    ) -> Library:
        """Load a library from a file or from its code, replacing an older version."""


@pytest.fixture
def trignb_engine() -> Iterator[Engine]:
    """Give a fresh engine, its clock held and its chance seeded; it is closed after the test."""
    # Imported by the first test that wants an engine: pytest loads this module in every run.
    from trignb.api import Engine

    with Engine(seed=SEED) as engine:
        engine.clock.freeze(at=FROZEN_AT)
        yield engine


@pytest.fixture
def trignb_library(
    trignb_engine: Engine, request: pytest.FixtureRequest
) -> LibraryLoader:
    """Give a callable that loads a library into `trignb_engine`.

    It takes the path of a ``.js`` file, relative to the test file or to pytest's root
    directory, or the code itself (which starts with ``#!``), and an optional ``config``.
    """

    def load(
        source: str | Path, config: Mapping[str, Any] | str | None = None
    ) -> Library:
        code = source if _is_code(source) else _find(source, request).read_text("utf-8")
        return trignb_engine.load(str(code), replace=True, config=config)

    return load


def _is_code(source: str | Path) -> bool:
    return isinstance(source, str) and source.startswith("#!")


def _find(source: str | Path, request: pytest.FixtureRequest) -> Path:
    places = [request.path.parent, request.config.rootpath]
    for place in places:
        path = place / source
        if path.is_file():
            return path
    looked = " or ".join(map(str, places))
    raise FileNotFoundError(f"there is no library {str(source)!r} in {looked}")
