"""What was propagated, kept to be looked at."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from trignb.engine.core import NO_DB

if TYPE_CHECKING:
    from trignb.engine.core import Core, Effect

__all__ = ["PropagatedCommand", "PropagationLog"]

_SIZE: Final = 10_000


class PropagatedCommand(NamedTuple):
    """One command of the stream.

    ``seq`` and ``unit`` count from 1, ``db`` is None for a MULTI or EXEC that the engine put around
    the effects of one unit; ``is_multi`` says that the command stands in such a pair or is one of it.
    """

    seq: int
    unit: int
    time_ns: int
    db: int | None
    args: list[bytes]
    is_multi: bool


class PropagationLog:
    """The last commands that an engine propagated; notes nothing before `start`.

    Attributes
    ----------
    records : deque of PropagatedCommand
        Oldest first.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.records: deque[PropagatedCommand] = deque(maxlen=_SIZE)
        self._numbers, self._units = count(1), count(1)

    def start(self, size: int | None = None) -> None:
        """Note what is propagated from now on; `size` changes how much is kept (0: nothing)."""
        core = self._core
        with core.lock:
            if size is not None and size != self.records.maxlen:
                self.records = deque(self.records, maxlen=size)
            wanted = bool(self.records.maxlen)
            if wanted != (self._sink in core.sinks):
                if wanted:
                    core.sinks.append(self._sink)
                else:
                    core.sinks.remove(self._sink)
                core.sinks_changed()

    def clear(self) -> None:
        """Forget what was noted; counting goes on."""
        self.records.clear()

    def _sink(self, batch: list[Effect]) -> None:
        unit, time_ns = next(self._units), self._core.now_ns()
        is_multi = batch[0][0] == NO_DB
        self.records.extend(
            PropagatedCommand(
                next(self._numbers),
                unit,
                time_ns,
                None if db == NO_DB else db,
                args,
                is_multi,
            )
            for db, args in batch
        )
