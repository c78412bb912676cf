"""The keyspace browser: the keys there are, as a tree, and the value of the one that is chosen.

Looking changes nothing: no hit is counted, no access time moves, no event fires, nothing expires. Only the
buttons that say so change something, by the commands one would type.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import ipywidgets

from trignb.datatypes import TYPE_NAMES
from trignb.engine.commands.keys import encoding_of
from trignb.engine.sizes import estimate_key
from trignb.errors import TrignbError
from trignb.glob import matcher
from trignb.notebook.keyspace import TYPES, of_number, values_of
from trignb.notebook.text import quote_argument
from trignb.notebook.widgets.base import Live
from trignb.notebook.widgets.controls import (
    Choice,
    TwoClicks,
    bar,
    button,
    text_field,
)
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
from trignb.notebook.widgets.tree import Entry, tree
from trignb.notebook.widgets.values import READERS, Sample, sample, value_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from trignb.api import Engine
    from trignb.engine.database import Database

__all__ = ["Browser"]

ANY: Final = "any type"
PAGE: Final = 200
# Keys among which a pattern is looked for: two hundredths of a second.
_LOOKED: Final = 100_000
_STILL: Final = 50

_COLUMNS: Final = (
    Column("Key", "code"),
    Column("Type"),
    Column("Size", "number", "elements; bytes of a string"),
    Column("Time to live", "number"),
)


class _Key(NamedTuple):
    """One key of the page."""

    name: bytes
    type: str
    size: int
    ttl_ms: int | None


class _Chosen(NamedTuple):
    """The key that is looked at, at one moment."""

    key: _Key
    encoding: str
    memory: int
    value: Sample


class Browser(Live):
    """The keys of one database, and the value of one of them.

    Parameters
    ----------
    engine : Engine
        Whose keys.
    pattern : str
        As KEYS takes it.
    type : str
        Only keys of this type, as TYPE names it; all when empty.
    db : int
        Number of the database.
    """

    kind = "keys"

    def __init__(
        self,
        engine: Engine,
        pattern: str = "*",
        *,
        type: str = "",
        db: int = 0,
    ) -> None:
        super().__init__(engine)
        of_number(engine.core, db)
        if type and type not in TYPES:
            raise ValueError(f"there is no type {type}; there are {', '.join(TYPES)}")
        self.pattern = pattern
        self.type = type or ANY
        self.db = db
        self.page = 0
        self.selected: Entry | None = None
        self._message = Html()
        self._list: Choice | None = None
        # The page in the list, and its rows: values change more often than names.
        self._page: list[tuple[bytes, str]] = []
        self._rows: list[tuple[str, Entry]] = []
        self._fields: dict[str, Any] = {}

    @property
    def _database(self) -> Database:
        return self.engine.core.databases[self.db]

    # -- looking

    def stamp(self) -> object:
        """Return what tells whether keys, or what is asked for, have changed."""
        core = self.engine.core
        asked = (self.pattern, self.type, self.db, self.page, self.selected)
        # What has a deadline changes with time.
        second = core.clock.read() // 10**9 if self._database.expires else 0
        libraries = list(self.engine.library_registry.libraries.values())
        # What replaces all keys at once (RESTORE of a snapshot, a load) tells nobody.
        data = id(self._database.data), len(self._database.data)
        return core.dirty, data, asked, self._message, second, libraries

    def _matching(self) -> tuple[list[bytes], bool]:
        """Return the keys of this page and of the pages behind it, and whether all were looked at.

        A dict's keys are copied in one go, so the engine need not stand still.
        """
        data = self._database.data
        skipped = self.page * PAGE
        if self.pattern in ("", "*") and self.type == ANY:
            return list(islice(data, skipped, skipped + PAGE + 1)), True
        keys = list(islice(data, _LOOKED))
        if self.pattern not in ("", "*"):
            keys = list(filter(matcher(self.pattern.encode()), keys))
        if self.type != ANY:
            names, get = TYPE_NAMES, data.get
            keys = [key for key in keys if names.get(type(get(key))) == self.type]
        return keys[skipped:], len(data) <= _LOOKED

    def _look(self, names: Sequence[bytes]) -> list[_Key]:
        core = self.engine.core
        with core.lock:
            db, now_ms = self._database, core.now_ms()
            return [_key(db, *pair, now_ms) for pair in values_of(db, names)]

    def _look_at(self, name: bytes) -> _Chosen | None:
        core = self.engine.core
        with core.lock:
            db, now_ms = self._database, core.now_ms()
            for key, value in values_of(db, [name]):
                return _Chosen(
                    _key(db, key, value, now_ms),
                    encoding_of(value),
                    estimate_key(db, key),
                    sample(value),
                )
        return None

    def html(self) -> Html:
        """Bring the list up to date; return what belongs to the key that is chosen."""
        matching, is_all = self._matching()
        keys = self._look(matching[:PAGE])
        self._offer(keys, more=len(matching) > PAGE)
        head = self._head(len(keys), more=len(matching) > PAGE, is_all=is_all)
        return joined([head, self._message, self._view(keys)])

    def _view(self, keys: Sequence[_Key]) -> Html:
        entry = self.selected
        if entry is None:
            hint = "Choose a key to see its value."
            return tag("p", hint if keys else "", class_="trignb-note")
        if entry.is_folder:
            return _folder(entry, keys)
        chosen = self._look_at(entry.name)
        if chosen is None:
            gone = f"{shown(entry.name)} is not there."
            return tag("p", gone, class_="trignb-note", role="status")
        return joined([self._about(chosen), value_html(chosen.value)])

    def _about(self, chosen: _Chosen) -> Html:
        key = chosen.key
        facts = [
            tag("b", shown(key.name, 60), class_="trignb-key"),
            badge(key.type, "calm"),
            tag("span", _size(key)),
            tag("span", chosen.encoding, title="encoding"),
            tag("span", f"{chosen.memory:,} bytes in memory"),
            _deadline(key),
            *(badge(f"fires {name}", "good") for name in self._triggers(key)),
        ]
        verb, *rest = READERS[key.type]
        line = " ".join([verb, quote_argument(key.name), *rest])
        return joined(
            [
                tag("div", joined(facts), class_="trignb-head"),
                tag("p", tag("code", shown(line, 200)), class_="trignb-note"),
            ]
        )

    def _triggers(self, key: _Key) -> list[str]:
        """Return the triggers that hear of a key."""
        return [
            f"{trigger.library}.{trigger.name}"
            for library in list(self.engine.library_registry.libraries.values())
            for trigger in (
                *library.triggers.values(),
                *(library.stream_triggers.values() if key.type == "stream" else ()),
            )
            if key.name.startswith(trigger.prefix)
        ]

    def _head(self, number: int, *, more: bool, is_all: bool) -> Html:
        total = len(self._database.data)
        facts = [f"{count(number, 'key')} of {total:,} in database {self.db}"]
        if self.page or more:
            facts.append(f"page {self.page + 1}")
        if not is_all:
            facts.append(f"the first {_LOOKED:,} were looked at")
        parts = [tag("b", "Keys"), *(tag("span", fact) for fact in facts)]
        if self.paused:
            parts.append(badge("paused", "busy"))
        return tag("div", joined(parts), class_="trignb-head")

    def still(self) -> Html:
        """Return the first page as a table, and the value that is chosen."""
        matching, _ = self._matching()
        keys = self._look(sorted(matching[:PAGE]))[:_STILL]
        rows = [
            (shown(k.name, 80), k.type, f"{k.size:,}", _duration(k.ttl_ms))
            for k in keys
        ]
        return joined([self.html(), table("Keys", _COLUMNS, rows)])

    # -- controls

    def layout(self, controls: list[Any], screen: Any) -> list[Any]:
        """Return filters above a list of keys with the value beside it."""
        keys = ipywidgets.Select(description="Keys of this page", rows=18)
        keys.layout.width, keys.layout.flex = "100%", "0 1 380px"
        keys.tooltip = "keys; arrow keys move"
        keys.add_class("trignb-tree")
        self._list = Choice(keys, self._choose)
        screen.layout.flex, screen.layout.min_width = "1 1 380px", "0"
        pair = ipywidgets.HBox([keys, screen])
        pair.add_class("trignb-pair")
        return [bar(controls), bar(self._actions()), pair]

    def controls(self) -> list[Any]:
        """Return filters and pages."""
        databases = range(len(self.engine.core.databases))
        pattern = text_field(
            "Pattern",
            "pattern, as KEYS takes one",
            lambda text: self._set(pattern=text),
            value=self.pattern,
            placeholder="user:*",
        )
        kinds = Choice.of(
            "Type",
            "only keys of a type",
            lambda name: self._set(type=name),
            options=[ANY, *TYPES],
            value=self.type,
        )
        numbers = Choice.of(
            "Database",
            "number of the database",
            lambda number: self._set(db=number, selected=None),
            options=list(databases),
            value=self.db,
        )
        for chooser, width in ((kinds, "150px"), (numbers, "140px")):
            chooser.widget.layout.width = width
        back = button("Previous page", "go a page back", lambda: self.turn(-1))
        forth = button("Next page", "go a page on", lambda: self.turn(1))
        self._fields = {"pattern": pattern, "back": back, "forth": forth}
        return [pattern, kinds.widget, numbers.widget, back, forth]

    def _actions(self) -> list[Any]:
        """Return what is done with the key that is chosen."""
        self._delete = TwoClicks(
            "Delete", "delete the key that is chosen (DEL)", self.delete, icon="trash"
        )
        seconds = ipywidgets.Text(description="Seconds to live", placeholder="never")
        seconds.tooltip = "empty: the key stays"
        seconds.layout.width = "190px"
        self._fields["seconds"] = seconds
        return [
            self._finder(),
            button("Only these", "show only the folder that is chosen", self.narrow),
            seconds,
            button("Set", "set the time to live (EXPIRE)", self._set_seconds),
            self._delete.widget,
            self.pause_switch(),
            self.freeze_button(),
        ]

    def _finder(self) -> Any:
        """Return a field for a key's name: JupyterLab keeps the arrow keys from a list."""
        finder = ipywidgets.Combobox(description="Key", placeholder="name of a key")
        finder.layout.width = "240px"
        finder.tooltip = "key to look at; those of this page are suggested"
        finder.observe(lambda given: self._find(given["new"]), "value")
        self._fields["finder"] = finder
        return finder

    def _find(self, text: str) -> None:
        """Look at a key that is there; half a name is none."""
        if text.encode() in self._database.data:
            self.select(text)

    def _offer(self, keys: Sequence[_Key], *, more: bool) -> None:
        """Let one choose from these keys."""
        if self._list is None:
            return
        page = [(key.name, key.type) for key in keys]
        if page != self._page:
            self._page, self._rows = page, tree(page)
        rows = self._rows
        is_there = any(entry == self.selected for _, entry in rows)
        self._list.offer(rows, self.selected if is_there else None)
        names = [entry.name for _, entry in rows if not entry.is_folder]
        suggested = tuple(name.decode() for name in names if name.isascii())
        if self._fields["finder"].options != suggested:
            self._fields["finder"].options = suggested
        for name, is_off in (("back", self.page == 0), ("forth", not more)):
            if self._fields[name].disabled != is_off:
                self._fields[name].disabled = is_off

    def _set(self, **asked: Any) -> None:
        """Ask for something else, from its first page on."""
        self.page = 0
        for name, value in asked.items():
            setattr(self, name, value)
        self._say()

    def _choose(self, entry: Entry | None) -> None:
        self.selected = entry
        self._say()

    def turn(self, pages: int) -> None:
        """Go some pages on, or back."""
        self.page = max(self.page + pages, 0)
        self.refresh()

    def select(self, key: str | bytes) -> None:
        """Look at a key, whether it is on this page or not."""
        name = key.encode() if isinstance(key, str) else key
        self._choose(Entry(name, is_folder=False))

    def narrow(self) -> None:
        """Show only the keys of the folder that is chosen, or the key."""
        if self.selected is not None:
            self._fields["pattern"].value = self.selected.pattern

    def delete(self) -> None:
        """Delete the key that is chosen."""
        self._run("DEL")

    def _set_seconds(self) -> None:
        text = self._fields["seconds"].value.strip()
        self._run("EXPIRE", text) if text else self._run("PERSIST")

    def _run(self, command: str, *args: str) -> None:
        """Run a command on the key that is chosen, as a client of its own."""
        entry = self.selected
        if entry is None or entry.is_folder:
            self._say("choose a key first")
            return
        session = self.engine.session(name="keyspace browser")
        words = [command, quote_argument(entry.name), *args]
        try:
            session.execute("SELECT", self.db)
            reply = session.execute(command, entry.name, *args)
        except TrignbError as error:
            self._say(str(error), "alert")
        else:
            self._say(f"{shown(' '.join(words), 200)} → {reply}")
        finally:
            session.close()

    def _say(self, text: str = "", role: str = "status") -> None:
        failed = " trignb-failed" if role == "alert" else ""
        said = tag("div", text, class_=f"trignb-said{failed}", role=role)
        self._message = said if text else Html()
        if self._box is not None:
            self._delete.forget()
            self.refresh()

    def df(self) -> pd.DataFrame:
        """Return what `Engine.keys_frame` tells of the keys that fit the filters."""
        kind = None if self.type == ANY else self.type
        return self.engine.keys_frame(
            self.pattern or "*", type=kind, db=self.db, memory=False
        )

    def _text(self) -> str:
        return self.df().sort_index().head(_STILL).to_string()


def _key(db: Database, name: bytes, value: Any, now_ms: int) -> _Key:
    deadline = db.expires.get(name)
    left = None if deadline is None else deadline - now_ms
    return _Key(name, TYPE_NAMES[type(value)], len(value), left)


_UNITS: Final = {
    "string": "byte",
    "list": "element",
    "set": "member",
    "zset": "member",
    "hash": "field",
    "stream": "entry",
}


def _size(key: _Key) -> str:
    unit = _UNITS[key.type]
    return count(key.size, unit, "entries" if unit == "entry" else "")


def _deadline(key: _Key) -> Html:
    if key.ttl_ms is None:
        return tag("span", "no deadline")
    return badge(f"expires in {_duration(key.ttl_ms)}", "busy")


def _duration(ms: int | None) -> str:
    if ms is None:
        return ""
    seconds = -(-ms // 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join(f"{n} {unit}" for n, unit in parts if n) or "0 s"


def _folder(entry: Entry, keys: Sequence[_Key]) -> Html:
    """Return what there is below a folder, by type."""
    inside = [key for key in keys if key.name.startswith(entry.name)]
    kinds = [
        badge(f"{sum(k.type == kind for k in inside):,} {kind}", "calm")
        for kind in TYPES
        if any(k.type == kind for k in inside)
    ]
    head = [tag("b", shown(entry.name, 60), class_="trignb-key")]
    number = tag("span", f"{count(len(inside), 'key')} on this page")
    return tag("div", joined([*head, number, *kinds]), class_="trignb-head")
