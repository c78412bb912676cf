"""Clients that come while a server's data is read: they hear LOADING, and may ask how far it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.saves import Reading
from trignb.engine.spec import LOADING

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.engine.spec import Command
    from trignb.server.server import Server

__all__ = ["ServedWhileLoading"]

logger = logging.getLogger(__name__)

_TEXT: Final = "LOADING Redis is loading the dataset in memory"


class ServedWhileLoading:
    """A context in which a server answers from within the reading of its data.

    Who reads calls `step` now and then. A SHUTDOWN, or a signal, ends the process from there by
    SystemExit: nothing is saved.
    """

    def __init__(self, server: Server, began: Callable[[], None]) -> None:
        self.server = server
        # Called when the first of the data has been read.
        self._began: Callable[[], None] | None = began
        self.core = server.core

    def __enter__(self) -> ServedWhileLoading:
        core = self.core
        core.saves.reading = Reading(core.clock.read() / 1e9)
        core.is_loading = True
        core.gates.insert(0, self._gate)
        core.rearm_sessions()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        core = self.core
        core.is_loading = False
        core.saves.reading = None
        core.gates.remove(self._gate)
        core.rearm_sessions()

    @property
    def every(self) -> int:
        """After so many bytes the reader should call `step`."""
        return int(self.core.config.values["loading-process-events-interval-bytes"])

    def step(self, done: int, total: int) -> None:
        """Take note of how far the reader is, and serve who is there."""
        reading = self.core.saves.reading
        if reading is not None:
            reading.done, reading.total = done, total
        if self._began is not None:
            self._began()
            self._began = None
        self.server.loop.pump(0)
        if self.server.loop.is_stopped:
            logger.warning("trignb is now ready to exit, bye bye...")
            raise SystemExit(0)

    def _gate(self, session: Session, command: Command, _args: list[bytes]) -> Any:
        if not command.flags & LOADING:
            raise session.refuse(command, _TEXT)
