"""How long and how large a run may get."""

from __future__ import annotations

import math
import os
from time import monotonic
from typing import Final

from trignb.js.runtime import JsOom, JsTimeout, RuntimeLimits

__all__ = ["Watch", "due", "resident_bytes"]

_STATM: Final = "/proc/self/statm"
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# What block() runs where V8 cannot end it alone is refused commands for so long.
_GRACE_S: Final = 0.025
_LOOK_S: Final = 0.05


def resident_bytes() -> int:
    """Return the memory of this process, 0 where the system does not tell."""
    try:
        # No file object: Control-C may come while it is open.
        number = os.open(_STATM, os.O_RDONLY)
        text = os.read(number, 100)
        os.close(number)
        return int(text.split()[1]) * _PAGE
    except (OSError, ValueError):
        return 0


def due(timeout_ms: int) -> float:
    """Return when a limit that begins now ends, as `time.monotonic` tells it."""
    return monotonic() + timeout_ms / 1000 if timeout_ms else math.inf


class Watch:
    """Called by whoever waits for JavaScript; raises when it has been enough.

    Made when a run turns out not to be over in microseconds, so that the others do not
    pay for it.

    Parameters
    ----------
    limits : RuntimeLimits
        Typed arrays live outside the heap and V8 does not count them: what bounds them is
        the growth of the process since the first look.
    timeout_ms : int
        0 for ever.
    lenient : bool
        Of ``client.block`` where V8 cannot end what it runs alone: its commands are refused
        for a moment before JavaScript is stopped. A refused command can be caught like any
        other.
    deadline : float
        When time is up, as `time.monotonic` tells it, if it began to run out before; else 0.
    """

    __slots__ = ("_base", "_end", "_limits", "deadline")

    def __init__(
        self,
        limits: RuntimeLimits,
        timeout_ms: int,
        lenient: bool,
        deadline: float = 0.0,
    ) -> None:
        self._limits = limits
        self.deadline = deadline or due(timeout_ms)
        self._end = self.deadline + (_GRACE_S if lenient else 0)
        self._base = 0

    def end_now(self) -> None:
        """Have time be up, at the next look; any thread."""
        self.deadline = self._end = 0.0

    @property
    def patience_s(self) -> float:
        """Seconds until the next look: time is up at a moment, and not a slice later."""
        return min(_LOOK_S, max(self._end - monotonic(), 0.0))

    def __call__(self) -> None:
        """Look.

        Raises
        ------
        JsTimeout
            Time is up.
        JsOom
            The process has grown by more than the limits allow.
        """
        if monotonic() > self._end:
            raise JsTimeout("the time limit was reached")
        self._look_at_memory()

    def _look_at_memory(self) -> None:
        now = resident_bytes()
        if not self._base:
            self._base = now
        elif now - self._base > self._limits.heap_bytes + self._limits.slack_bytes:
            raise JsOom("the process grew beyond the memory limit")
