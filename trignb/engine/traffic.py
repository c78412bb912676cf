"""What goes over the network, counted by the servers for INFO.

The counters belong to the engine, so that they outlive a server and add up over several. Rates are means of the last
samples, which a server's cron takes ten times a second.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

__all__ = ["Rates", "Traffic"]

_SAMPLES: Final = 16
_PERIOD_S: Final = 0.09
# A rate older than that is that of a server which has ended.
_STALE_S: Final = 1.0
# For so long the largest buffers are remembered.
_RECENT_S: Final = 8


class Rates(NamedTuple):
    """Per second: commands, bytes in and out, rounds of the loop; and µs in a round."""

    commands: int = 0
    bytes_in: float = 0.0
    bytes_out: float = 0.0
    cycles: int = 0
    cycle_us: int = 0


class Traffic:
    """Counters of all servers of one engine.

    Attributes
    ----------
    bytes_in, bytes_out : int
        Bytes read and sent.
    reads, writes : int
        How often sockets were read from and written to.
    rejected : int
        Connections that were turned away.
    evicted : int
        Connections that were ended because all together took too much memory.
    cycles, cycles_us : int
        Rounds of the event loops, and how long they worked, in µs.
    largest_in, largest_out : int
        The largest buffers of this second, in bytes.
    """

    def __init__(self) -> None:
        self.largest_in = self.largest_out = 0
        self._recent: deque[tuple[int, int, int]] = deque()
        self.reset()

    def reset(self) -> None:
        """Set the counters to zero (CONFIG RESETSTAT)."""
        self.bytes_in = self.bytes_out = self.reads = self.writes = 0
        self.rejected = self.evicted = self.cycles = self.cycles_us = 0
        self._last: tuple[float, tuple[int, ...]] | None = None
        self._samples: deque[tuple[float, ...]] = deque(maxlen=_SAMPLES)

    def sample(self, now_s: float, commands: int) -> None:
        """Note how much has happened since the last sample; `commands` is their count."""
        if self._last is not None and now_s - self._last[0] < _PERIOD_S:
            return
        counters = (
            commands,
            self.bytes_in,
            self.bytes_out,
            self.cycles,
            self.cycles_us,
        )
        if self._last is not None:
            then_s, before = self._last
            deltas = (new - old for new, old in zip(counters, before, strict=True))
            self._samples.append((now_s - then_s, *deltas))
        self._last = now_s, counters
        self._note_largest(int(now_s))

    def _note_largest(self, second: int) -> None:
        recent = self._recent
        if recent and recent[-1][0] == second:
            _, largest_in, largest_out = recent.pop()
            self.largest_in = max(self.largest_in, largest_in)
            self.largest_out = max(self.largest_out, largest_out)
        recent.append((second, self.largest_in, self.largest_out))
        self.largest_in = self.largest_out = 0
        while recent[0][0] <= second - _RECENT_S:
            recent.popleft()

    def rates(self, now_s: float) -> Rates:
        """Return what happens per second; zeros when no server takes samples."""
        if not self._samples or self._last is None or now_s - self._last[0] > _STALE_S:
            return Rates()
        seconds, commands, bytes_in, bytes_out, cycles, cycles_us = map(
            sum, zip(*self._samples, strict=True)
        )
        return Rates(
            max(int(commands / seconds), 0),
            bytes_in / seconds,
            bytes_out / seconds,
            int(cycles / seconds),
            int(cycles_us / cycles) if cycles else 0,
        )

    def recent_largest(self) -> tuple[int, int]:
        """Return the largest input and output buffer of the last seconds, in bytes."""
        return (
            max([self.largest_in, *(entry[1] for entry in self._recent)]),
            max([self.largest_out, *(entry[2] for entry in self._recent)]),
        )
