"""The event feed: keyspace events as they come, below what caused them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from trignb.engine.events import CLASS_LETTERS, NEW
from trignb.engine.logs import NotificationRecord
from trignb.glob import matcher
from trignb.notebook.widgets.base import Live
from trignb.notebook.widgets.controls import Choice, button, text_field
from trignb.notebook.widgets.style import (
    Column,
    Html,
    badge,
    count,
    joined,
    shown,
    table,
    tag,
)

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine

__all__ = ["Feed"]

# A screen shows some fifteen; more would be drawn ten times a second for nobody.
_LIMIT: Final = 50

# What the library list says besides the libraries' names.
ALL: Final = "all events"
FIRED: Final = "what fired triggers"

_COLUMNS: Final = (
    Column("Event", "code"),
    Column("Key", "code"),
    Column("Type"),
    Column("Caused by"),
    Column("Triggers"),
    Column("Time", "number", "engine time, UTC"),
)

_SIGNS: Final = {"ok": ("✓", "good"), "failed": ("✗", "bad"), "pending": ("…", "busy")}
# Plural, where an event may have the name of a class: `set`.
_CLASSES: Final = {
    "g": "generic",
    "$": "strings",
    "l": "lists",
    "s": "sets",
    "h": "hashes",
    "z": "sorted sets",
    "x": "expiries",
    "e": "evictions",
    "t": "streams",
    "d": "modules",
    "m": "key misses",
    "n": "new keys",
}


class Feed(Live):
    """An engine's keyspace events, newest first, that follows them.

    Parameters
    ----------
    engine : Engine
        Whose events; its notification log starts if it has not.
    pattern : str
        Keys, as KEYS takes a pattern.
    event, library : str
        Only events of this name (a pattern), or of a class (``hashes``, ``expiries``, …); only
        what fired a trigger of this library, or came of one. ``new`` is shown when it is
        asked for.
    """

    kind = "feed"

    def __init__(
        self, engine: Engine, pattern: str = "*", *, event: str = "", library: str = ""
    ) -> None:
        super().__init__(engine)
        self.pattern = pattern
        self.event = event
        self.library = library or ALL
        self._chooser: Choice | None = None
        # Events before this one were cleared away.
        self._after_seq = 0
        engine.core.record_notifications()

    # -- what it shows

    def stamp(self) -> object:
        """Return what tells whether there are other events, outcomes or libraries."""
        core = self.engine.core
        return (
            core.event_seq,
            self._outcomes,
            list(self.engine.library_registry.libraries),
            (self.pattern, self.event, self.library, self._after_seq),
            len(core.notifications.records),
        )

    @property
    def _outcomes(self) -> list[str]:
        """How the runs stand that had not ended when they were drawn."""
        return [run.outcome for run in self._pending]

    _pending: Sequence[Any] = ()

    def html(self) -> Html:
        """Return head and table."""
        self._show_libraries()
        records = self.records(_LIMIT)
        self._pending = [
            run for r in records for run in r.fired if run.outcome == "pending"
        ]
        rows = [_cells(record, depth) for record, depth in in_chains(records)]
        return joined([self._head(len(rows)), table("Events", _COLUMNS, rows)])

    def records(self, limit: int) -> list[NotificationRecord]:
        """Return the newest events that fit the filters, oldest first."""
        log = self.engine.core.notifications.records
        found: list[NotificationRecord] = []
        fits = self._filters()
        # A copy is made in one go; a deque may not be walked while it grows.
        for record in reversed(log.copy()):
            if record[0] <= self._after_seq or len(found) == limit:
                break
            if fits(record):
                found.append(NotificationRecord._make(record))
        return found[::-1]

    def _filters(self) -> Callable[[tuple[Any, ...]], object]:
        """Return a test of a record; what is not asked for is not tested."""
        tests: list[Callable[[tuple[Any, ...]], object]] = []
        if self.pattern not in ("", "*"):
            matches = matcher(self.pattern.encode())
            tests.append(lambda record: matches(record[_KEY]))
        if self.event:
            tests.append(self._event_test())
        else:
            tests.append(lambda record: record[_KIND] != NEW)
        if self.library == FIRED:
            tests.append(lambda record: record[_FIRED] or record[_CAUSE] is not None)
        elif self.library != ALL:
            tests.append(self._library_test())
        return lambda record: all(test(record) for test in tests)

    def _event_test(self) -> Callable[[tuple[Any, ...]], object]:
        """Return a test for an event's name, or for a class as CONFIG spells them."""
        matches = matcher(self.event.encode())
        kinds = [
            bit for bit, x in CLASS_LETTERS.items() if _CLASSES.get(x) == self.event
        ]
        return lambda record: record[_KIND] in kinds or matches(record[_EVENT])

    def _library_test(self) -> Callable[[tuple[Any, ...]], object]:
        """Return a test for what fired a trigger of the library, or came of one."""
        log = self.engine.core.notifications.records
        library = self.library
        causes = {
            record[0]
            for record in log.copy()
            if any(run.library == library for run in record[_FIRED])
        }
        return lambda record: record[0] in causes or record[_CAUSE] in causes

    def _head(self, number: int) -> Html:
        log = self.engine.core.notifications.records
        facts = [
            count(number, "event") + (" or more" if number == _LIMIT else ""),
            f"of {len(log):,} in the log",
        ]
        parts = [tag("b", "Events"), *(tag("span", fact) for fact in facts)]
        if self.paused:
            parts.append(badge("paused", "busy"))
        return tag("div", joined(parts), class_="trignb-head")

    # -- controls

    def controls(self) -> list[Any]:
        """Return the filters and the buttons."""
        self._chooser = Choice.of(
            "Show",
            "all events, or those that concern a library",
            lambda name: self._set(library=name),
            options=self._library_names(),
            value=self.library,
        )
        names = ["hset", "set", "del", "expired", *_CLASSES.values()]
        event = ipywidgets.Combobox(
            options=names, value=self.event, description="Event", placeholder="any"
        )
        event.layout.width = "160px"
        event.tooltip = "name of an event, a pattern, or a class: hashes, expiries …"
        event.observe(lambda given: self._set(event=given["new"].strip()), "value")
        return [
            text_field(
                "Keys",
                "pattern of keys, as KEYS takes one",
                lambda text: self._set(pattern=text),
                value=self.pattern,
                placeholder="user:*",
            ),
            event,
            self._chooser.widget,
            self.pause_switch(),
            button(
                "Clear", "show only what is still to come", self.clear, icon="trash"
            ),
            self.freeze_button(),
        ]

    def _library_names(self) -> list[str]:
        names = [ALL, FIRED, *self.engine.library_registry.libraries]
        return names if self.library in names else [*names, self.library]

    def _show_libraries(self) -> None:
        """Let the list follow the libraries there are."""
        if self._chooser is not None:
            self._chooser.offer(self._library_names(), self.library)

    def _set(self, **filters: str) -> None:
        for name, value in filters.items():
            setattr(self, name, value)
        self.refresh()

    def select(
        self,
        pattern: str | None = None,
        *,
        event: str | None = None,
        library: str | None = None,
    ) -> None:
        """Show other events; what is not given stays as it is."""
        if library is not None:
            self.library = library or ALL
        if event is not None:
            self.event = event
        if pattern is not None:
            self.pattern = pattern
        self.refresh()

    def clear(self) -> None:
        """Show only what is still to come; the log keeps what it has."""
        self._after_seq = self.engine.core.event_seq
        self.refresh()

    def df(self) -> pd.DataFrame:
        """Return what `Engine.notifications` tells of the events that fit the filters."""
        from trignb.notebook import frames

        return frames.notifications_frame(self.records(len_of(self.engine)))

    def _text(self) -> str:
        columns = ["event", "key", "key_type", "origin", "triggers", "outcome"]
        frame = self.df()[columns].tail(_LIMIT)
        return frame.iloc[::-1].to_string()


_KIND, _EVENT, _KEY, _CAUSE, _FIRED = map(
    NotificationRecord._fields.index, ("kind", "event", "key", "cause_seq", "fired")
)


def len_of(engine: Engine) -> int:
    """Return how many events the log holds."""
    return len(engine.core.notifications.records)


def in_chains(
    records: Iterable[NotificationRecord],
) -> list[tuple[NotificationRecord, int]]:
    """Return events with how far they are moved in: newest first, effects below causes.

    An effect whose cause is not among the events stands by itself.
    """
    effects: dict[int | None, list[NotificationRecord]] = {}
    seen: set[int] = set()
    for record in records:
        seen.add(record.seq)
        cause = record.cause_seq if record.cause_seq in seen else None
        effects.setdefault(cause, []).append(record)
    found: list[tuple[NotificationRecord, int]] = []
    waiting = [(record, 0) for record in effects.get(None, ())]
    while waiting:
        record, depth = waiting.pop()
        found.append((record, depth))
        below = effects.get(record.seq, ())
        waiting += [(effect, depth + 1) for effect in reversed(below)]
    return found


def _cells(record: NotificationRecord, depth: int) -> list[str]:
    return [
        _event(record, depth),
        _key(record),
        "" if record.key_type == "none" else record.key_type,
        _origin(record),
        _runs(record.fired),
        _time(record.time_ns),
    ]


def _event(record: NotificationRecord, depth: int) -> Html:
    lead = tag("span", "\u2003" * (depth - 1) + "└ ", class_="dim") if depth else ""
    return joined([lead, shown(record.event, 40)])


def _key(record: NotificationRecord) -> Html:
    key = tag("span", shown(record.key, 60), title=shown(record.key, 1000))
    db = tag("span", f" db {record.db}", class_="dim") if record.db else ""
    return joined([key, db])


def _origin(record: NotificationRecord) -> Html:
    if record.origin != "client":
        return Html(record.origin)
    words = b" ".join((record.args or [])[:1]).upper()
    return joined(["client ", tag("span", shown(words, 30), class_="dim")])


def _runs(runs: Iterable[Any]) -> Html:
    parts: list[str] = []
    for run in runs:
        sign, kind = _SIGNS[run.outcome]
        name = f"{shown(run.library, 40)}.{shown(run.trigger, 40)}"
        parts.append(badge(f"{sign} {name}", kind, f"{name}: {run.outcome}"))
    return Html(" ".join(parts))


def _time(time_ns: int) -> str:
    moment = dt.datetime.fromtimestamp(time_ns // 10**6 / 1000, dt.UTC)
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03}"
