"""The latency monitor: spikes of commands and of the engine's own chores, by event.

It notes nothing until ``latency-monitor-threshold`` is set; then commands are measured by
`trignb.engine.timing`, and expiry and eviction look at the clock around what they do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from trignb.engine.core import Core

__all__ = ["LatencyMonitor", "Series"]

# Samples kept of an event, as in Redis.
_SAMPLES: Final = 160

_NANOSECONDS_PER_MS: Final = 1_000_000


class Sample(NamedTuple):
    """The worst of one event in one second."""

    time_s: int
    milliseconds: int


class Series:
    """The samples of one event, oldest first, and the worst ever."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=_SAMPLES)
        self.worst = 0

    def add(self, sample: Sample) -> None:
        """Take in a sample; of several in one second the worst stays."""
        self.worst = max(self.worst, sample.milliseconds)
        if self.samples and self.samples[-1].time_s == sample.time_s:
            sample = max(sample, self.samples.pop())
        self.samples.append(sample)

    def average(self) -> int:
        """Return the mean in milliseconds, rounded down."""
        return sum(s.milliseconds for s in self.samples) // len(self.samples)

    def deviation(self) -> int:
        """Return how far samples are from the average, in the mean."""
        average = self.average()
        distances = (abs(s.milliseconds - average) for s in self.samples)
        return sum(distances) // len(self.samples)


class LatencyMonitor:
    """Events with spikes, by name in ``series``; noted while ``threshold_ms`` is not 0."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.series: dict[bytes, Series] = {}
        self.threshold_ms = 0
        core.config.on_change("latency-monitor-threshold", self._set_threshold)

    def _set_threshold(self, milliseconds: int) -> None:
        self.threshold_ms = milliseconds
        self.core.timing.want("latency monitor", on=milliseconds > 0)

    def note(self, event: bytes, nanoseconds: int) -> None:
        """Note how long something took, if that is a spike."""
        milliseconds = nanoseconds // _NANOSECONDS_PER_MS
        if 0 < self.threshold_ms <= milliseconds:
            now_s = self.core.clock.read() // 1_000_000_000
            series = self.series.setdefault(event, Series())
            series.add(Sample(now_s, milliseconds))

    def reset(self, events: Iterable[bytes]) -> int:
        """Forget some events, or all; returns how many there were."""
        wanted = list(events) or list(self.series)
        return sum(1 for event in wanted if self.series.pop(event, None) is not None)


# -- what LATENCY GRAPH and DOCTOR show

_WIDTH: Final = 80
_ROWS: Final = 4
# A bar's top, in three heights, and what is below it.
_TOPS: Final = "_o#"
_BELOW: Final = "|"
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def graph(event: str, series: Series, now_s: int) -> str:
    """Draw the samples of an event as bars, each with its age below."""
    values = [sample.milliseconds for sample in series.samples]
    low, high = min(values), max(values)
    head = (
        f"{event} - high {high} ms, low {low} ms (all time high {series.worst} ms)\n"
        f"{'-' * _WIDTH}\n"
    )
    steps = _ROWS * len(_TOPS)
    heights = [
        min((value - low) * steps // (high - low or 1), steps - 1) for value in values
    ]
    ages = [_age(now_s - sample.time_s) for sample in series.samples]
    blocks = [
        _draw(heights[i : i + _WIDTH], ages[i : i + _WIDTH])
        for i in range(0, len(values), _WIDTH)
    ]
    return head + "\n".join(blocks)


def _draw(heights: list[int], ages: list[str]) -> str:
    rows = [
        "".join(_cell(height, row) for height in heights) for row in range(_ROWS)[::-1]
    ]
    longest = max(map(len, ages))
    labels = zip(*(age.ljust(longest) for age in ages), strict=True)
    lines = [*rows, " " * len(heights), *map("".join, labels)]
    return "".join(line + "\n" for line in lines)


def _cell(height: int, row: int) -> str:
    top, step = divmod(height, len(_TOPS))
    if row == top:
        return _TOPS[step]
    return _BELOW if row < top else " "


def _age(seconds: int) -> str:
    size, unit = next((s, u) for s, u in _UNITS if seconds >= s or s == 1)
    return f"{seconds // size}{unit}"


_GREETING: Final = (
    "Dave, I have observed latency spikes in this Redis instance. "
    "You don't mind talking about it, do you Dave?\n\n"
)

# What may help, and the events for which it does; {} is the threshold in microseconds.
_ADVICE: Final = (
    (
        {b"command"},
        """Let the slow log show you which commands they were: CONFIG SET \
slowlog-log-slower-than {}, then SLOWLOG GET.""",
    ),
    (
        {b"command", b"expire-cycle", b"eviction-cycle"},
        """A large value takes long to write, to expire and to evict. Several smaller \
ones do not.""",
    ),
    (
        {b"fast-command"},
        """Commands that do next to nothing were slow, so something else was at work: \
another process on this machine, or a thread of this one that held Python's lock.""",
    ),
    (
        {b"eviction-cycle"},
        """After a sudden rise in memory, or a lower maxmemory, many keys have to go.""",
    ),
)


def report(monitor: LatencyMonitor, now_s: int) -> str:
    """Tell of each event how often and how long it was slow, and what may help."""
    lines = [
        _summary(number, event.decode(), series, now_s)
        for number, (event, series) in enumerate(monitor.series.items(), 1)
    ]
    advice = [
        f"- {text.format(monitor.threshold_ms * 1000)}\n"
        for events, text in _ADVICE
        if events & monitor.series.keys()
    ]
    told = "\nI have a few advices for you:\n\n" + "".join(advice) if advice else ""
    return _GREETING + "".join(lines) + told


def _summary(number: int, event: str, series: Series, now_s: int) -> str:
    count = len(series.samples)
    period = max(now_s - series.samples[0].time_s, 1) / count
    return (
        f"{number}. {event}: {count} latency spikes (average {series.average()}ms, "
        f"mean deviation {series.deviation()}ms, period {period:.2f} sec). "
        f"Worst all time event {series.worst}ms.\n"
    )
