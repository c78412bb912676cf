"""An engine with a library of triggers, and what views do with the display."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import trignb
from live_views import LIBRARY, Place, Screen


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """What takes the place of a front end."""
    screen = Screen()
    monkeypatch.setattr(
        "trignb.notebook.widgets.base.DisplayHandle", lambda: Place(screen)
    )
    return screen


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[trignb.Engine]:
    """An engine whose views change at the end of each unit; its clock stands still."""
    monkeypatch.setenv("TRIGNB_SYNC", "1")
    with trignb.Engine() as engine:
        engine.clock.freeze(at="2026-01-01T12:00:00Z")
        engine.load(LIBRARY)
        yield engine
