"""What happened in the last minute, second by second, and small pictures of it.

A `Series` is given counters that only grow and keeps what they grew by, by the engine's clock. The pictures are
inline SVG of a few hundred bytes that take their colour from the text around them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from trignb.notebook.widgets.style import Html, joined, tag

__all__ = ["BINS", "BIN_NS", "Bin", "Series", "bars", "line"]

BIN_NS: Final = 1_000_000_000
BINS: Final = 60
_RATE_BINS: Final = 10

# A pixel a second.
_WIDTH: Final = BINS
_HEIGHT: Final = 16


class Bin(NamedTuple):
    """One second: how many runs began, how many ended and how long those took together."""

    number: int
    fired: int
    ended: int
    total_ns: int


class Series:
    """The last minute of one trigger.

    Parameters
    ----------
    now_ns : int
        Engine time of the first look, in ns.
    fired, ended, total_ns : int
        The counters then.
    """

    def __init__(self, now_ns: int, fired: int, ended: int, total_ns: int) -> None:
        self.bins: deque[Bin] = deque(maxlen=BINS)
        self.since_ns = now_ns
        self._last = (fired, ended, total_ns)

    def note(self, now_ns: int, fired: int, ended: int, total_ns: int) -> None:
        """Take the counters as they are now; counters that were reset start at zero."""
        counters = (fired, ended, total_ns)
        if counters == self._last:
            return
        before = self._last if fired >= self._last[0] else (0, 0, 0)
        grown = [max(new - old, 0) for new, old in zip(counters, before, strict=True)]
        self._last = counters
        number = now_ns // BIN_NS
        if self.bins and self.bins[-1].number == number:
            last = self.bins.pop()
            grown = [a + b for a, b in zip(last[1:], grown, strict=True)]
        self.bins.append(Bin(number, *grown))

    def is_quiet(self, now_ns: int) -> bool:
        """Whether nothing happened in the last minute."""
        return not self.bins or self.bins[-1].number <= now_ns // BIN_NS - BINS

    def rate(self, now_ns: int) -> float | None:
        """Return runs begun per second over the last ten; None while no time has passed."""
        end = now_ns // BIN_NS
        seconds = min((now_ns - self.since_ns) / BIN_NS, float(_RATE_BINS))
        if seconds <= 0:
            return None
        first = end - _RATE_BINS
        # The first of the seconds is over only in part.
        fired = sum(b.fired for b in self.bins if first < b.number <= end)
        return fired / max(seconds, 1.0)

    def fired(self, now_ns: int) -> list[int]:
        """Return runs begun, a number for each of the last 60 s."""
        by_number = {b.number: b.fired for b in self.bins}
        end = now_ns // BIN_NS
        return [by_number.get(n, 0) for n in range(end - BINS + 1, end + 1)]

    def latency_ms(self, now_ns: int) -> list[float | None]:
        """Return the mean time of runs in ms for each of the last 60 s; None without runs."""
        means = {b.number: b.total_ns / b.ended / 1e6 for b in self.bins if b.ended}
        end = now_ns // BIN_NS
        return [means.get(n) for n in range(end - BINS + 1, end + 1)]


def line(values: Sequence[float | None], label: str) -> Html:
    """Return a line through values from 0 to their largest; None interrupts it."""
    top = max((value for value in values if value is not None), default=0) or 1
    path, is_on = [], False
    for i, value in enumerate(values):
        if value is None:
            is_on = False
            continue
        point = f"{i} {_y(value, top)}"
        # A dot where there is one value alone: a line of no length with round ends.
        path.append(f"L{point}" if is_on else f"M{point}h0")
        is_on = True
    return _picture(path, label, "1.4")


def bars(values: Sequence[int], label: str) -> Html:
    """Return a bar for each value."""
    top = max(values, default=0) or 1
    path = [
        f"M{i}.5 {_HEIGHT}V{_y(value, top)}" for i, value in enumerate(values) if value
    ]
    return _picture(path, label, "1", cap="butt")


def _y(value: float, top: float) -> str:
    return f"{_HEIGHT - 1 - (_HEIGHT - 2) * value / top:.1f}".removesuffix(".0")


def _picture(path: Iterable[str], label: str, width: str, cap: str = "round") -> Html:
    ground = tag(
        "path",
        d=f"M0 {_HEIGHT}H{_WIDTH}",
        stroke="currentColor",
        stroke_opacity=".25",
    )
    drawn = tag(
        "path",
        d="".join(path),
        fill="none",
        stroke="currentColor",
        stroke_width=width,
        stroke_linecap=cap,
        stroke_linejoin="round",
    )
    return tag(
        "svg",
        joined([tag("title", label), ground, drawn]),
        class_="trignb-spark",
        role="img",
        width=_WIDTH,
        height=_HEIGHT,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )
