"""Measuring commands, for whoever wants to know how long they take.

It costs a third of a GET, so it is done only while somebody wants it: the slow log, the latency monitor, or
whoever asked for histograms. Sessions are unusual meanwhile (`Core.observed`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trignb.engine.blocking import Blocked
from trignb.engine.durations import note_duration
from trignb.engine.spec import FAST

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["Timing"]


class Timing:
    """Measures commands while ``enabled``; INFO COMMANDSTATS has times from then on."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.enabled = False
        self._wanted_by: set[str] = set()
        self._tracks = False
        core.config.on_change("latency-tracking", self._set_tracking)

    def want(self, who: str, *, on: bool) -> None:
        """Measure as long as anybody wants it."""
        (self._wanted_by.add if on else self._wanted_by.discard)(who)
        enabled = bool(self._wanted_by)
        if enabled != self.enabled:
            self.enabled = enabled
            self.core.rearm_sessions()

    def _set_tracking(self, tracks: bool) -> None:
        self._tracks = tracks
        if not tracks:
            self.want("histograms", on=False)

    def want_histograms(self) -> None:
        """Count durations from now on, unless ``latency-tracking`` forbids it."""
        if self._tracks:
            self.want("histograms", on=True)

    def measure(self, session: Session, command: Command, args: list[bytes]) -> Any:
        """Run a command's handler and tell how long it took."""
        started = time.perf_counter_ns()
        try:
            reply = command.handler(session, args)
        except Blocked:
            # It is told of when it ends.
            raise
        except BaseException:
            self._measured(session, command, args, time.perf_counter_ns() - started)
            raise
        self._measured(session, command, args, time.perf_counter_ns() - started)
        return reply

    def now(self) -> int:
        """Return a time in µs for differences, 0 while nothing is measured."""
        return time.perf_counter_ns() // 1000 if self.enabled else 0

    def waited(
        self, session: Session, command: Command, args: list[bytes], usec: int
    ) -> None:
        """Take note of the end of a command that had to wait; its wait is not counted."""
        if self.enabled:
            self._measured(session, command, args, max(usec, 0) * 1000)

    def _measured(
        self, session: Session, command: Command, args: list[bytes], nanoseconds: int
    ) -> None:
        core, usec = self.core, nanoseconds // 1000
        command.usec += usec
        if self._tracks:
            note_duration(command.durations, usec)
        core.slowlog.measured(session, command, args, usec)
        if core.latency.threshold_ms:
            event = b"fast-command" if command.flags & FAST else b"command"
            core.latency.note(event, nanoseconds)
