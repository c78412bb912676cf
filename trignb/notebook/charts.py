"""The plots that matplotlib draws.

Their figures belong to no pyplot: nothing stays open, no backend is chosen, and a notebook shows the axes because
they are a cell's last expression. What was drawn is matplotlib's own, to go on with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from trignb.functions.statistics import Times, bucket_bounds, merged

__all__ = ["events", "latency"]

BY: Final = ("event", "event_class", "key_type", "origin")

# Okabe and Ito's, which colour-blind people tell apart; grey is for all others.
_COLOURS: Final = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#D55E00", "#F0E442", "#000000"),
)
_GREY: Final = "#999999"

_STEPS_MS: Final = (
    *(1, 10, 100, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000),
    *(3_600_000, 21_600_000, 86_400_000, 604_800_000),
)
_FITTING_STEPS: Final = 120
_MOST_STEPS: Final = 100_000


class ShownAxes(Axes):
    """Axes that a notebook shows by themselves, without pyplot."""

    def _repr_png_(self) -> bytes | None:
        figure = self.get_figure(root=True)
        if figure is None:
            return None
        out = BytesIO()
        # Without the version, so that the same data give the same bytes.
        figure.savefig(out, dpi=110, metadata={"Software": None})
        return out.getvalue()


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot(axes_class=ShownAxes)


def _finish(ax: Axes, empty: str) -> Axes:
    """Add the legend, or say that there is nothing to see."""
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    else:
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, empty, transform=ax.transAxes, ha="center", color=_GREY)
    return ax


# -- events over time


def events(
    frame: pd.DataFrame, freq: str | None, by: str, ax: Axes | None = None
) -> Axes:
    """Plot a frame of notifications; see `Plots.events`."""
    if by not in BY:
        raise ValueError(f"by is {by!r}; it may be {', '.join(BY)}")
    moments = frame["time"].to_numpy(dtype="M8[ms]").astype(np.int64)
    step_ms = _step_ms(moments) if freq is None else _milliseconds(freq)
    ax = _axes(ax)
    if len(moments):
        _draw_events(ax, moments // step_ms, step_ms, frame[by].astype(str))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("time (UTC)")
    ax.set_ylabel(f"events per {_duration(step_ms * 1000)}")
    return _finish(ax, "no events yet")


def _draw_events(
    ax: Axes, steps: npt.NDArray[np.int64], step_ms: int, kinds: pd.Series[str]
) -> None:
    first = int(steps.min())
    count = int(steps.max()) - first + 1
    if count > _MOST_STEPS:
        raise ValueError(f"{count:,} steps are too many: choose a longer freq")
    edges = date2num((np.arange(first, first + count + 1) * step_ms).astype("M8[ms]"))
    below = np.zeros(count, dtype=np.int64)
    for label, colour, chosen in _colours(kinds):
        top = below + np.bincount(steps[chosen] - first, minlength=count)
        ax.stairs(top, edges, baseline=below, fill=True, color=colour, label=label)
        below = top
    ax.xaxis_date()
    ax.xaxis.set_major_locator(locator := AutoDateLocator())
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    # A single step is shown among empty ones: it is a moment, not all of time.
    margin = (edges[1] - edges[0]) * max(1, count // 40)
    ax.set_xlim(edges[0] - margin, edges[-1] + margin)
    ax.set_ylim(0, max(below.max() * 1.05, 1))


def _colours(
    kinds: pd.Series[str],
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Yield label, colour and rows, the most frequent first."""
    counts = kinds.value_counts()
    names = sorted(counts.index, key=lambda name: (-counts[name], name))
    rest = names[len(_COLOURS) :]
    for name, colour in zip(names, _COLOURS, strict=False):
        yield f"{name} ({counts[name]:,})", colour, (kinds == name).to_numpy()
    if rest:
        chosen = kinds.isin(rest).to_numpy()
        yield f"{len(rest)} others ({chosen.sum():,})", _GREY, chosen


def _step_ms(moments: npt.NDArray[np.int64]) -> int:
    """Return a length of steps that gives a hundred of them or fewer."""
    span = int(moments.max() - moments.min()) if len(moments) else 0
    if not span:
        return 1_000
    fitting = (ms for ms in _STEPS_MS if span / ms <= _FITTING_STEPS)
    return next(fitting, span // _FITTING_STEPS)


def _milliseconds(freq: str) -> int:
    try:
        step_ms = int(pd.tseries.frequencies.to_offset(freq).nanos) // 1_000_000
    except (ValueError, TypeError):
        step_ms = 0
    if step_ms < 1:
        raise ValueError(f"freq is {freq!r}; write 1s, 5min, 1h or 1D")
    return step_ms


# -- how long runs take


def latency(timed: Mapping[str, Times], ax: Axes | None = None) -> Axes:
    """Plot histograms of times by name; see `Plots.latency`."""
    ax = _axes(ax)
    for number, (label, times) in enumerate(_busiest(timed)):
        colour = _COLOURS[number] if number < len(_COLOURS) else _GREY
        _draw_times(ax, label, times, colour)
    ax.set_xscale("log")
    # Less than a decade would have no label on it.
    low, high = ax.get_xlim()
    ax.set_xlim(low, max(high, low * 12))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda us, _: _duration(us)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel("from event to end")
    ax.set_ylabel("share of runs")
    ax.set_ylim(bottom=0)
    return _finish(ax, "nothing has run yet")


def _busiest(timed: Mapping[str, Times]) -> list[tuple[str, Times]]:
    """Return those that ran, the busiest first; beyond eight they are put together."""
    counts = {name: times.count for name, times in timed.items() if times.count}
    names = sorted(counts, key=lambda name: -counts[name])
    shown = [(name, timed[name]) for name in names[: len(_COLOURS)]]
    rest = names[len(_COLOURS) :]
    if rest:
        shown.append((f"{len(rest)} others", merged(timed[name] for name in rest)))
    return [(_legend(name, times), times) for name, times in shown]


def _legend(name: str, times: Times) -> str:
    p50, p99 = (_duration(times.quantile_ns(q) / 1000) for q in (0.5, 0.99))
    return f"{name} ({times.count:,})\n  p50 {p50}, p99 {p99}"


# Buckets are a sixteenth of an octave wide, which is more than an eye can use: four make one.
_TOGETHER_BITS: Final = 2


def _draw_times(ax: Axes, label: str, times: Times, colour: str) -> None:
    groups: dict[int, int] = {}
    for bucket, n in times.filled():
        group = bucket >> _TOGETHER_BITS
        groups[group] = groups.get(group, 0) + n
    numbers = range(min(groups), max(groups) + 1)
    total = sum(groups.values())
    shares = [groups.get(number, 0) / total for number in numbers]
    edges = _edges(numbers)
    ax.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
    ax.stairs(shares, edges, color=colour, label=label)
    for q, style in ((0.5, "--"), (0.99, ":")):
        at = max(times.quantile_ns(q) / 1000, edges[0])
        ax.axvline(at, color=colour, linestyle=style, linewidth=1)


def _edges(numbers: Sequence[int]) -> list[float]:
    """Return where groups of buckets begin, in µs; 0 has no place on a logarithmic axis."""
    begins = [
        bucket_bounds(n << _TOGETHER_BITS)[0] for n in (*numbers, numbers[-1] + 1)
    ]
    return [max(ns, 64) / 1000 for ns in begins]


def _duration(us: float) -> str:
    """Return a time as people say it."""
    for unit, size in (("h", 3.6e9), ("min", 6e7), ("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:.3g} {unit}"
    return f"{us:.3g} µs"
