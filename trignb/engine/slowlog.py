"""SLOWLOG: the commands that took longest, and the times of all commands.

Measuring costs a third of a GET, so it starts when somebody shows an interest: with the first SLOWLOG
command, or when ``slowlog-log-slower-than`` is set. From then on INFO COMMANDSTATS has times, too.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trignb.engine.logs import mask_secrets
from trignb.engine.spec import SKIP_SLOWLOG

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["SlowLog", "SlowRecord"]

# Redis's limits of what an entry keeps.
_MAX_ARGS: Final = 32
_MAX_ARG_LENGTH: Final = 128


class SlowRecord(NamedTuple):
    """One slow command, as SLOWLOG GET shows it."""

    id: int
    time_s: int
    usec: int
    args: list[bytes]
    address: bytes
    name: bytes


class SlowLog:
    """The last slow commands, newest first, in ``records``; filled while ``enabled``."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.records: deque[SlowRecord] = deque()
        self.enabled = False
        self._threshold_usec = -1
        self._numbers = count(0)
        self._has_interest = False
        core.config.on_change("slowlog-max-len", self._limit)
        core.config.on_change("slowlog-log-slower-than", self._set_threshold)
        self._has_interest = True

    def begin(self) -> None:
        """Measure commands from now on, unless the threshold forbids it."""
        enabled = self._threshold_usec >= 0
        if enabled != self.enabled:
            self.enabled = enabled
            self.core.rearm_sessions()

    def _set_threshold(self, usec: int) -> None:
        self._threshold_usec = usec
        if self._has_interest:
            self.begin()

    def _limit(self, size: int) -> None:
        self.records = deque(list(self.records)[:size], maxlen=min(size, 1 << 31))

    def measure(self, session: Session, command: Command, args: list[bytes]) -> Any:
        """Run a command's handler and note how long it took."""
        started = time.perf_counter_ns()
        try:
            return command.handler(session, args)
        finally:
            usec = (time.perf_counter_ns() - started) // 1000
            command.usec += usec
            if usec >= self._threshold_usec and not command.flags & SKIP_SLOWLOG:
                self._note(session, args, usec)

    def _note(self, session: Session, args: list[bytes], usec: int) -> None:
        self.records.appendleft(
            SlowRecord(
                next(self._numbers),
                self.core.clock.read() // 1_000_000_000,
                usec,
                shorten(mask_secrets(args)),
                session.shown_address.encode(),
                session.name,
            )
        )

    def clear(self) -> None:
        """Forget what was noted; numbers go on."""
        self.records.clear()


def shorten(args: list[bytes]) -> list[bytes]:
    """Return arguments as the slow log keeps them: not too many, not too long."""
    kept = args
    if len(args) > _MAX_ARGS:
        more = len(args) - _MAX_ARGS + 1
        kept = [*args[: _MAX_ARGS - 1], b"... (%d more arguments)" % more]
    return [
        arg
        if len(arg) <= _MAX_ARG_LENGTH
        else arg[:_MAX_ARG_LENGTH]
        + b"... (%d more bytes)" % (len(arg) - _MAX_ARG_LENGTH)
        for arg in kept
    ]
