"""The trigger monitor: every trigger, how often and how fast it runs, and why it failed last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import ipywidgets

from trignb.notebook.widgets.base import Live
from trignb.notebook.widgets.controls import button, text_field
from trignb.notebook.widgets.sparkline import BIN_NS, Series, bars, line
from trignb.notebook.widgets.style import (
    Column,
    Html,
    badge,
    count,
    joined,
    note,
    shown,
    table,
    tag,
)

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine
    from trignb.functions.library import Library
    from trignb.functions.streams import StreamTrigger
    from trignb.functions.triggers import KeyspaceTrigger

__all__ = ["Monitor", "Row"]

_LIMIT: Final = 50

_COLUMNS: Final = (
    Column("Trigger"),
    Column("State"),
    Column("Fires on", "code", "what keys or streams begin with"),
    Column("Rate", "number", "runs begun per second, over the last ten"),
    Column("Fired", "number"),
    Column("OK", "number", "runs that ended well"),
    Column("Failed", "number"),
    Column(
        "Latency", "number", "mean time of a run, and its course over the last 60 s"
    ),
    Column("Last error", "code long"),
)


class Row(NamedTuple):
    """One trigger at one moment; times in ns."""

    library: str
    name: str
    kind: str
    prefix: bytes
    line: int | None
    fired: int
    succeeded: int
    failed: int
    total_ns: int
    error: str | None
    error_line: int | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What no other trigger has; two of different kinds may share a name."""
        return self.library, self.name, self.kind

    @property
    def label(self) -> str:
        """``library.trigger``."""
        return f"{self.library}.{self.name}"

    @property
    def ended(self) -> int:
        """Runs that ended, one way or the other."""
        return self.succeeded + self.failed

    @property
    def mean_ms(self) -> float:
        """How long a run takes on average, in ms; 0 while none has ended."""
        return self.total_ns / self.ended / 1e6 if self.ended else 0.0


_ORDERS: Final[dict[str, Any]] = {
    "name": lambda row: row.label,
    "most fired": lambda row: (-row.fired, row.label),
    "most failed": lambda row: (-row.failed, row.label),
    "slowest": lambda row: (-row.mean_ms, row.label),
}


class Monitor(Live):
    """A table of an engine's triggers that follows them.

    Parameters
    ----------
    engine : Engine
        Whose triggers.
    filter : str
        Show only those whose ``library.trigger`` or prefix contains this.
    """

    kind = "monitor"

    def __init__(self, engine: Engine, filter: str = "") -> None:
        super().__init__(engine)
        self.filter = filter
        self.order = "name"
        self._series: dict[tuple[str, str, str], Series] = {}
        self._rows: list[Row] = []
        self._now_ns = 0

    # -- what it shows

    def stamp(self) -> object:
        """Look at the counters; quiet triggers do not change with time."""
        self._now_ns = now = self.engine.clock.read()
        # Unlocked: a counter that is a run behind is right a moment later.
        self._rows = rows = list(self._read())
        for gone in self._series.keys() - {row.key for row in rows}:
            del self._series[gone]
        for row in rows:
            self._note(row, now)
        is_quiet = all(series.is_quiet(now) for series in self._series.values())
        return rows, self.filter, self.order, None if is_quiet else now // BIN_NS

    def _note(self, row: Row, now_ns: int) -> None:
        series = self._series.get(row.key)
        if series is None:
            series = Series(now_ns, row.fired, row.ended, row.total_ns)
            self._series[row.key] = series
        series.note(now_ns, row.fired, row.ended, row.total_ns)

    def _read(self) -> Iterable[Row]:
        for library in list(self.engine.library_registry.libraries.values()):
            yield from map(_keyspace_row, library.triggers.values())
            yield from map(_stream_row, library.stream_triggers.values())

    def _chosen(self) -> list[Row]:
        wanted = self.filter.strip().lower()
        rows = [
            row
            for row in self._rows
            if wanted in row.label.lower() or wanted in shown(row.prefix).lower()
        ]
        return sorted(rows, key=_ORDERS[self.order])

    def html(self) -> Html:
        """Return head and table."""
        rows = self._chosen()
        drawn = [self._cells(row) for row in rows[:_LIMIT]]
        return joined([self._head(rows), table("Triggers", _COLUMNS, drawn)])

    def still(self) -> Html:
        """Look again, then return head and table."""
        self.stamp()
        return self.html()

    def _head(self, rows: list[Row]) -> Html:
        failing = sum(1 for row in rows if row.failed)
        facts = [count(len(rows), "trigger")]
        if len(rows) < len(self._rows):
            facts[0] += f" of {len(self._rows):,}"
        if len(rows) > _LIMIT:
            facts.append(f"the first {_LIMIT} are shown")
        facts.append(count(sum(row.fired for row in rows), "run"))
        parts = [tag("b", "Triggers"), *(tag("span", fact) for fact in facts)]
        if failing:
            parts.append(badge(f"{failing} failing", "bad"))
        if self.paused:
            parts.append(badge("paused", "busy"))
        if not self._rows:
            parts = [parts[0], note("No library has registered a trigger.")]
        return tag("div", joined(parts), class_="trignb-head")

    def _cells(self, row: Row) -> list[str]:
        series = self._series[row.key]
        return [
            _name(row),
            _state(row),
            _prefix(row),
            _rate(series, self._now_ns),
            f"{row.fired:,}",
            f"{row.succeeded:,}",
            badge(f"✗ {row.failed:,}", "bad") if row.failed else "0",
            _latency(row, series, self._now_ns),
            _error(row),
        ]

    # -- controls

    def controls(self) -> list[Any]:
        """Return filter, order, and the buttons."""
        order = ipywidgets.Dropdown(
            options=list(_ORDERS), value=self.order, description="Sort by"
        )
        order.layout.width = "190px"
        order.observe(lambda change: self.sort(change["new"]), "value")
        return [
            text_field(
                "Filter",
                "part of a name or prefix",
                self.select,
                value=self.filter,
                placeholder="name or prefix",
            ),
            order,
            self.pause_switch(),
            button(
                "Reset counters",
                "start the counters of these triggers from zero",
                self.reset,
                icon="undo",
            ),
            self.freeze_button(),
        ]

    def select(self, text: str) -> None:
        """Show only triggers whose name or prefix contains a text."""
        self.filter = text
        self.refresh()

    def sort(self, order: str) -> None:
        """Sort by ``name``, ``most fired``, ``most failed`` or ``slowest``."""
        self.order = order
        self.refresh()

    def reset(self) -> None:
        """Start the counters of the triggers that are shown from zero."""
        chosen = {row.key for row in self._chosen()}
        with self.engine.core.lock:
            for library in self.engine.library_registry.libraries.values():
                for trigger in _triggers(library):
                    kind = trigger.kind.partition("_")[0]
                    if (trigger.library, trigger.name, kind) in chosen:
                        trigger.reset_statistics()
        for key in chosen:
            self._series.pop(key, None)
        self.refresh()

    def _text(self) -> str:
        columns = ["prefix", "num_triggered", "num_success", "num_failed", "avg_ms"]
        return self.df()[[*columns, "last_error"]].to_string()

    def df(self) -> pd.DataFrame:
        """Return `Engine.triggers` of the keyspace triggers that are shown."""
        frame = self.engine.triggers()
        self.stamp()
        rows = [row for row in self._chosen() if row.kind == "keyspace"]
        chosen = {(row.library, row.name) for row in rows}
        return frame.loc[[label for label in frame.index if label in chosen]]


# -- rows


def _triggers(library: Library) -> list[KeyspaceTrigger | StreamTrigger]:
    return [*library.triggers.values(), *library.stream_triggers.values()]


def _keyspace_row(trigger: KeyspaceTrigger) -> Row:
    statistics = trigger.statistics
    return Row(
        trigger.library,
        trigger.name,
        "keyspace",
        trigger.prefix,
        trigger.line,
        statistics.triggered,
        statistics.succeeded,
        statistics.failed,
        statistics.total_ns,
        trigger.last_error,
        trigger.last_error_line,
    )


def _stream_row(trigger: StreamTrigger) -> Row:
    positions = list(trigger.streams.values())
    done = sum(where.total_record_processed for where in positions)
    failed = sum(where.failed for where in positions)
    errors = [where.last_error for where in positions if where.last_error is not None]
    verbosity = trigger.owner.registry.error_verbosity
    return Row(
        trigger.library,
        trigger.name,
        "stream",
        trigger.prefix,
        trigger.line,
        done + sum(len(where.pending) for where in positions),
        done - failed,
        failed,
        sum(where.times.total_ns for where in positions),
        errors[-1].text(verbosity) if errors else None,
        errors[-1].line if errors else None,
    )


# -- cells


def _name(row: Row) -> Html:
    library = tag("span", f"{shown(row.library, 40)}.", class_="dim")
    return tag(
        "span",
        joined([library, shown(row.name, 40)]),
        title=f"{row.kind} trigger of library {row.library}"
        + (f", line {row.line}" if row.line else ""),
    )


def _state(row: Row) -> Html:
    running = row.fired - row.ended
    if running > 0:
        return badge(f"{running:,} running", "busy")
    if row.failed:
        return badge("failing", "bad")
    return badge("ok", "good") if row.fired else badge("idle", "calm")


def _prefix(row: Row) -> Html:
    kind = tag("span", " stream", class_="dim") if row.kind == "stream" else ""
    if not row.prefix:
        return joined([tag("span", "everything", class_="dim"), kind])
    return joined([shown(row.prefix, 40), kind])


def _rate(series: Series, now_ns: int) -> Html:
    rate = series.rate(now_ns)
    text = "–" if rate is None else f"{rate:,.1f}/s" if rate < 100 else f"{rate:,.0f}/s"
    return joined([text, bars(series.fired(now_ns), "runs begun, the last 60 s")])


def _latency(row: Row, series: Series, now_ns: int) -> Html:
    values = series.latency_ms(now_ns)
    most = max((value for value in values if value is not None), default=0.0)
    label = f"mean time of a run, the last 60 s, at most {_ms(most)}"
    text = _ms(row.mean_ms) if row.ended else "–"
    return joined([text, line(values, label)])


def _ms(value: float) -> str:
    return f"{value:,.2f} ms" if value < 10 else f"{value:,.0f} ms"


def _error(row: Row) -> Html:
    if row.error is None:
        return Html("")
    where = (
        tag("span", f"line {row.error_line}: ", class_="dim") if row.error_line else ""
    )
    return tag(
        "span",
        joined([where, shown(row.error, 80)]),
        class_="trignb-error",
        title=shown(row.error, 1000),
    )
