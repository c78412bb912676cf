"""What a command did besides its reply."""

from __future__ import annotations

import pytest

import trignb
from trignb.engine.events import ALL, KEYMISS, NEW


class Trace:
    """Runs commands as one client and notes events, effects and dirt of each."""

    def __init__(self, engine: trignb.Engine) -> None:
        self.engine = engine
        self.core = engine.core
        self.session = engine.session()
        self.events: list[str] = []
        self.effects: list[str] = []
        self.dirty = 0
        self.core.listen(self._hear, ALL | KEYMISS | NEW)
        self.core.sinks.append(self._take)
        self.core.sinks_changed()

    def _hear(self, db, kind, event, key):
        self.events.append(f"{event.decode()} {key.decode()}")

    def _take(self, effects):
        self.effects += [
            " ".join(arg.decode("latin-1") for arg in argv) for _, argv in effects
        ]

    def __call__(self, text: str | list):
        """Run a command, words separated by blanks; an error is returned."""
        self.events.clear()
        self.effects.clear()
        before = self.core.dirty
        try:
            return self.session.execute(
                *(text.split() if isinstance(text, str) else text)
            )
        except trignb.ResponseError as error:
            return error
        finally:
            self.dirty = self.core.dirty - before


@pytest.fixture
def run(engine):
    """Run a command; `run.events`, `run.effects` and `run.dirty` tell what it did."""
    return Trace(engine)
