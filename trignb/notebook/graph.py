"""Which keys fire which triggers, and what these write: a picture, its text and its table.

On the left the prefixes, in the middle the triggers in the order in which they fire, on the right the keys
that the triggers wrote, as the notification log knows them. A static SVG: it is kept with a saved notebook and
looks the same in every viewer. In HTML its colours are Jupyter's own, so that it fits light and dark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import pandas as pd

from trignb.engine.events import KEYMISS, NEW
from trignb.functions.streams import StreamTrigger
from trignb.notebook import columns
from trignb.notebook.drawing import DARK, INLINE, LIGHT, Box, Line, draw, printable
from trignb.notebook.text import readable

if TYPE_CHECKING:
    from os import PathLike

    from trignb.api import Engine
    from trignb.engine.logs import NotificationRecord
    from trignb.functions.triggers import KeyspaceTrigger
    from trignb.notebook.drawing import Palette

__all__ = ["TriggerGraph", "trigger_graph"]

KINDS: Final = ("fires", "writes")

# Keys of one prefix that are shown one by one.
_FEW: Final = 2
# Right-hand boxes; the rarest keys share the last one.
_MOST_TARGETS: Final = 30
_MOST_TRIGGERS: Final = 60

# Events that are no writes: a key that was missed, and what comes before each first write.
_NO_WRITES: Final = KEYMISS | NEW


class Node(NamedTuple):
    """One trigger as the picture shows it."""

    library: str
    name: str
    source: str
    runs: int
    failed: int
    writes: Mapping[str, Counter[str]]

    @property
    def full_name(self) -> str:
        """Library and name."""
        return f"{self.library}.{self.name}"

    def told(self) -> str:
        """Return the counts in words."""
        runs = _times(self.runs, "run")
        return f"{runs}, {self.failed:,} failed" if self.failed else runs


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


class TriggerGraph:
    """Prefixes, the triggers they fire, and the keys these wrote.

    The last expression of a cell shows it; ``str()`` is the same as text.

    Attributes
    ----------
    hidden : int
        Triggers that are left out, the least busy ones, when there are very many.
    """

    def __init__(self, nodes: Sequence[Node], hidden: int = 0) -> None:
        self._nodes = tuple(nodes)
        self.hidden = hidden

    def df(self) -> pd.DataFrame:
        """Return the edges.

        Returns
        -------
        DataFrame
            ``kind`` category (fires: a prefix a trigger; writes: a trigger keys), ``source``
            and ``target`` str, ``library`` and ``trigger`` str, ``count`` int64 (runs,
            or events in the notification log), ``events`` str (their names).
        """
        rows = [row for node in self._nodes for row in _edges(node)]
        data = {
            "kind": columns.category([KINDS.index(row[0]) for row in rows], KINDS),
            "source": columns.text(row[1] for row in rows),
            "target": columns.text(row[2] for row in rows),
            "library": columns.text(row[3].library for row in rows),
            "trigger": columns.text(row[3].name for row in rows),
            "count": columns.count(row[4] for row in rows),
            "events": columns.text(row[5] for row in rows),
        }
        return pd.DataFrame(data, index=pd.RangeIndex(len(rows)))

    def svg(self, theme: Literal["light", "dark"] = "light") -> str:
        """Return the picture as an SVG document with colours of its own."""
        return self._draw({"light": LIGHT, "dark": DARK}[theme])

    def save(
        self, path: str | PathLike[str], theme: Literal["light", "dark"] = "light"
    ) -> None:
        """Write the picture into a file."""
        Path(path).write_text(self.svg(theme), "utf-8")

    def _draw(self, palette: Palette) -> str:
        nodes = self._nodes
        sources = list(dict.fromkeys(node.source for node in nodes))
        targets = list(dict.fromkeys(key for node in nodes for key in node.writes))
        place = {label: i for i, label in enumerate(sources)}
        at = {label: i for i, label in enumerate(targets)}
        written: Counter[str] = Counter()
        lines = []
        for i, node in enumerate(nodes):
            lines.append(Line(0, place[node.source], i, node.runs))
            for key, events in node.writes.items():
                written[key] += events.total()
                told = f"{node.full_name} → {key}: {_told(events)}"
                lines.append(Line(1, i, at[key], events.total(), told))
        boxes = [Box(node.full_name, node.told(), bool(node.failed)) for node in nodes]
        keys = [Box(key, _times(written[key], "write")) for key in targets]
        return draw(
            ("keys", "fire triggers", "which write"),
            ([Box(label) for label in sources], boxes, keys),
            lines,
            palette,
            note=f"{self.hidden:,} more triggers" if self.hidden else "",
            empty="no trigger is loaded",
        )

    def _repr_html_(self) -> str:
        return self._draw(INLINE)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        if not self._nodes:
            return "no trigger is loaded"
        lines = [
            f"{node.source} → {node.full_name} ({node.told()}){_arrow(node)}"
            for node in self._nodes
        ]
        more = [f"… {self.hidden:,} more triggers"] if self.hidden else []
        return "\n".join(map(printable, [*lines, *more]))


def _arrow(node: Node) -> str:
    keys = ", ".join(f"{k} ({n.total():,})" for k, n in node.writes.items())
    return f" → {keys}" if keys else ""


def _edges(node: Node) -> list[tuple[str, str, str, Node, int, str | None]]:
    first = ("fires", node.source, node.full_name, node, node.runs, None)
    return [
        first,
        *(
            ("writes", node.full_name, key, node, n.total(), ", ".join(n))
            for key, n in node.writes.items()
        ),
    ]


def _told(events: Counter[str]) -> str:
    return ", ".join(f"{event} {n:,}" for event, n in events.items())


# -- from an engine


def trigger_graph(engine: Engine) -> TriggerGraph:
    """Return the graph of an engine's keyspace and stream triggers.

    What they wrote is what the notification log still has; the first call starts it.
    """
    engine.core.record_notifications()
    with engine.core.lock:
        records = engine.core.notifications.entries()
        written = _written(records)
        groups = _groups({key for events in written.values() for key, _ in events})
        registry = engine.library_registry
        nodes = [
            _node(trigger, _grouped(written.get(_name(trigger), {}), groups))
            for trigger in (*registry.triggers, *registry.streams)
        ]
    return TriggerGraph(*_busiest(nodes))


def _name(trigger: KeyspaceTrigger | StreamTrigger) -> tuple[str, str]:
    return trigger.library, trigger.name


def _node(
    trigger: KeyspaceTrigger | StreamTrigger, writes: dict[str, Counter[str]]
) -> Node:
    source = f"{readable(trigger.prefix)}*"
    if isinstance(trigger, StreamTrigger):
        source = f"stream {source}"
        runs, failed = trigger.calls, trigger.failures
    else:
        runs, failed = trigger.num_triggered, trigger.num_failed
    return Node(trigger.library, trigger.name, source, runs, failed, writes)


def _written(
    records: Iterable[NotificationRecord],
) -> dict[tuple[str, str], Counter[tuple[bytes, str]]]:
    """Return what each trigger wrote: keys and events, and how often."""
    found: dict[tuple[str, str], Counter[tuple[bytes, str]]] = {}
    for record in records:
        author = record.author
        if record.origin == "trigger" and not record.kind & _NO_WRITES:
            who = (author.library, author.trigger)
            found.setdefault(who, Counter())[record.key, readable(record.event)] += 1
    return found


def _groups(keys: Iterable[bytes]) -> dict[bytes, str]:
    """Return the box of every key: its own, or that of all keys of its prefix."""
    by_prefix: dict[bytes, list[bytes]] = {}
    for key in sorted(keys):
        head, colon, _ = key.rpartition(b":")
        by_prefix.setdefault(head + colon, []).append(key)
    return {
        key: readable(key)
        if len(some) <= _FEW or not prefix
        else f"{readable(prefix)}*"
        for prefix, some in by_prefix.items()
        for key in some
    }


def _grouped(
    written: Mapping[tuple[bytes, str], int], groups: Mapping[bytes, str]
) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for (key, event), n in written.items():
        found.setdefault(groups[key], Counter())[event] += n
    return found


def _busiest(nodes: Sequence[Node]) -> tuple[list[Node], int]:
    """Return the nodes that are shown, in their order, and how many are not."""
    by_runs = sorted(nodes, key=lambda node: -node.runs)[:_MOST_TRIGGERS]
    kept = {id(node) for node in by_runs}
    shown = _with_few_targets([node for node in nodes if id(node) in kept])
    # Those of one prefix stand together.
    first = {s: i for i, s in enumerate(dict.fromkeys(node.source for node in shown))}
    shown.sort(key=lambda node: first[node.source])
    return shown, len(nodes) - len(shown)


def _with_few_targets(nodes: Sequence[Node]) -> list[Node]:
    """Put the keys that were written least into one box when there are too many."""
    totals: Counter[str] = Counter()
    for node in nodes:
        for key, events in node.writes.items():
            totals[key] += events.total()
    if len(totals) <= _MOST_TARGETS:
        return list(nodes)
    kept = {key for key, _ in totals.most_common(_MOST_TARGETS - 1)}
    rest = f"{len(totals) - len(kept):,} other keys"
    shown = []
    for node in nodes:
        writes: dict[str, Counter[str]] = {}
        for key, events in node.writes.items():
            writes.setdefault(key if key in kept else rest, Counter()).update(events)
        shown.append(node._replace(writes=writes))
    return shown
