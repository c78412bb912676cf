"""SLOWLOG: the commands that took longest.

Measuring is not free (`trignb.engine.timing`), so it starts when somebody shows an interest: with the first
SLOWLOG command, or when ``slowlog-log-slower-than`` is set.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

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
    """The last slow commands, newest first, in ``records``."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.records: deque[SlowRecord] = deque()
        self._threshold_usec = -1
        self._numbers = count(0)
        self._has_interest = False
        core.config.on_change("slowlog-max-len", self._limit)
        core.config.on_change("slowlog-log-slower-than", self._set_threshold)
        self._has_interest = True

    def begin(self) -> None:
        """Measure commands from now on, unless the threshold forbids it."""
        self.core.timing.want("slow log", on=self._threshold_usec >= 0)

    def _set_threshold(self, usec: int) -> None:
        self._threshold_usec = usec
        if self._has_interest:
            self.begin()

    def _limit(self, size: int) -> None:
        self.records = deque(list(self.records)[:size], maxlen=min(size, 1 << 31))

    def measured(
        self, session: Session, command: Command, args: list[bytes], usec: int
    ) -> None:
        """Take note of a command that ran, if it was slow."""
        if 0 <= self._threshold_usec <= usec and not command.flags & SKIP_SLOWLOG:
            self._note(session, args, usec)

    def _note(self, session: Session, args: list[bytes], usec: int) -> None:
        # What a script runs is no client's.
        in_script = self.core.frame.origin == "script"
        self.records.appendleft(
            SlowRecord(
                next(self._numbers),
                self.core.clock.read() // 1_000_000_000,
                usec,
                shorten(mask_secrets(args)),
                b"" if in_script else session.shown_address.encode(),
                b"" if in_script else session.name,
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
