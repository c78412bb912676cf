"""The library editor: the source of a library, checked, loaded, and compared with what is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from trignb.api import Engine
from trignb.errors import JavaScriptError, TrignbError
from trignb.notebook.display import library_line
from trignb.notebook.javascript import code_frame
from trignb.notebook.widgets.base import Live
from trignb.notebook.widgets.controls import Choice, TwoClicks, bar, button, text_field
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
from trignb.notebook.workbench import Source

if TYPE_CHECKING:
    import pandas as pd

    from trignb.functions.library import Library

__all__ = ["Editor"]

NEW: Final = "a new library"
TEMPLATE: Final = """#!js api_version=1.0 name=mine
redis.registerKeySpaceTrigger("seen", "user:", (client, data) => {
  client.call("incr", "changes");
});
"""

_LINES: Final = 400
# Comparing takes the square of it.
_COMPARED: Final = 5_000

_COLUMNS: Final = (
    Column("Registered", "code"),
    Column("Kind"),
    Column("Works on", "code"),
    Column("Line", "number"),
    Column("Runs", "number"),
    Column("Failed", "number"),
)
_KINDS: Final = {
    "keyspace_trigger": "keyspace trigger",
    "stream_trigger": "stream trigger",
    "cluster_function": "cluster function",
    "function": "function",
}


class Editor(Live):
    """The source of a library, to be changed and loaded.

    Parameters
    ----------
    engine : Engine
        Where libraries are loaded.
    library : str, optional
        The library to begin with; the first one, or a new one, when absent.

    Attributes
    ----------
    code : str
        What is being edited.
    config : str
        What the library is to see as ``redis.config``, a JSON text; empty for nothing.
    """

    kind = "editor"

    def __init__(self, engine: Engine, library: str = "") -> None:
        super().__init__(engine)
        self.library = library or next(iter(self._libraries), NEW)
        self.code = self.config = ""
        # The loaded code from which the edited one came.
        self._origin = ""
        self._message = Html()
        self._fields: dict[str, Any] = {}
        self._chooser: Choice | None = None
        self._take()

    @property
    def _libraries(self) -> dict[str, Library]:
        return self.engine.library_registry.libraries

    @property
    def loaded(self) -> Library | None:
        """The library that is being edited, as it is loaded now."""
        return self._libraries.get(self.library)

    @property
    def is_edited(self) -> bool:
        """Whether the code is another than the one it began with."""
        return self.code != self._origin

    def _take(self) -> None:
        """Begin with what is loaded."""
        loaded = self.loaded
        self._origin = loaded.code if loaded else TEMPLATE
        self._put(self._origin, (loaded.configuration if loaded else "") or "")

    def _put(self, code: str, config: str) -> None:
        self.code, self.config = code, config
        if self._fields:
            self._fields["code"].value = code
            self._fields["config"].value = config

    # -- what it shows

    def stamp(self) -> object:
        """Return what tells whether libraries, code or the message have changed."""
        loaded = self.loaded
        runs = [_runs(item) for item in loaded.registrations()] if loaded else []
        versions = {name: lib.code for name, lib in list(self._libraries.items())}
        return versions, runs, self.library, self.code, self._message

    def html(self) -> Html:
        """Return head, message, differences and what is registered."""
        self._follow()
        parts = [self._head(), self._message, *self._difference()]
        loaded = self.loaded
        if loaded is not None:
            rows = [_cells(item) for item in loaded.registrations()]
            parts.append(table(f"Registered by {self.library}", _COLUMNS, rows))
        return joined(parts)

    def still(self) -> Html:
        """Return the picture with the source that is being edited."""
        lines = self.code.split("\n")
        width = len(str(len(lines)))
        text = joined(
            tag("span", joined([tag("i", f"{number:{width}}  "), line]))
            for number, line in enumerate(lines, 1)
        )
        return joined([self.html(), tag("pre", text, class_="trignb-code")])

    def _follow(self) -> None:
        """Take over a version loaded elsewhere, unless that would lose an edit."""
        loaded = self.loaded
        if loaded is not None and not self.is_edited and self.code != loaded.code:
            self._take()
        if self._chooser is not None:
            self._chooser.offer(self._names(), self.library)

    def _names(self) -> list[str]:
        names = [*self._libraries]
        return [*dict.fromkeys([*names, self.library, NEW])]

    def _head(self) -> Html:
        parts = [tag("b", f"Library {self.library}" if self.loaded else "New library")]
        loaded = self.loaded
        if loaded is not None:
            parts.append(tag("span", f"loaded {count(loaded.loads, 'time')}"))
        parts.append(self._state())
        return tag("div", joined(parts), class_="trignb-head")

    def _state(self) -> Html:
        loaded = self.loaded
        if loaded is None:
            return badge("not loaded", "calm")
        if self.code == loaded.code:
            return badge("as loaded", "good")
        if self._origin != loaded.code:
            return badge("edited; another version was loaded meanwhile", "bad")
        return badge("edited", "busy")

    def _difference(self) -> Iterator[Html]:
        loaded = self.loaded
        if loaded is None or loaded.code == self.code:
            return
        lines = list(difference(loaded.code, self.code))
        more = [("dim", f"{len(lines) - _LINES} more lines")] if lines[_LINES:] else []
        text = joined(
            tag("span", line, class_=kind) for kind, line in [*lines[:_LINES], *more]
        )
        title = "from the loaded version to the text above"
        yield tag("pre", text, class_="trignb-code", aria_label=f"Difference {title}")

    # -- controls

    def layout(self, controls: list[Any], screen: Any) -> list[Any]:
        """Return the choice of a library, the text, the buttons and the picture."""
        text = ipywidgets.Textarea(value=self.code)
        text.layout.width, text.layout.height = "auto", "260px"
        text.description, text.tooltip = "Source", "source of the library"
        text.add_class("trignb-source")
        text.observe(lambda change: self.edit(change["new"]), "value")
        config = text_field(
            "Configuration",
            "JSON that the library sees as redis.config",
            self._configure,
            value=self.config,
            placeholder="{}",
        )
        self._fields = {"code": text, "config": config}
        self._chooser = Choice.of(
            "Library",
            "library to edit",
            self.choose,
            options=self._names(),
            value=self.library,
        )
        return [bar([self._chooser.widget, config]), text, bar(controls), screen]

    def controls(self) -> list[Any]:
        """Return the buttons."""
        self._delete = TwoClicks(
            "Delete",
            "delete this library (TFUNCTION DELETE)",
            self.delete,
            icon="trash",
        )
        buttons = [button(*words, icon=icon) for *words, icon in self._buttons()]
        return [*buttons, self._delete.widget, self.freeze_button()]

    def _buttons(self) -> list[Any]:
        return [
            ("Check", "register it in an engine apart", self.check, "check"),
            ("Load", "load it; refused if there is one", self.load, "upload"),
            ("Replace", "load it in the other's place", self.replace, "refresh"),
            ("Revert", "back to what is loaded", self.revert, "undo"),
        ]

    def choose(self, library: str) -> None:
        """Edit another library, as it is loaded."""
        if library != self.library:
            self.library = library
            self._begin_anew()

    def edit(self, code: str) -> None:
        """Take another text."""
        if code != self.code:
            self._put(code, self.config)
            self._say()

    def _configure(self, config: str) -> None:
        self.config = config

    def revert(self) -> None:
        """Go back to the version that is loaded."""
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._take()
        self._say()

    def check(self) -> None:
        """Load the text into an engine that is thrown away, and say what came of it."""
        try:
            with Engine() as engine:
                line = library_line(engine.load(self.code, config=self.config or None))
        except TrignbError as error:
            self._say_error(error)
        else:
            self._say(f"{line}; checked, not loaded")

    def load(self) -> None:
        """Load the text as a new library."""
        self._load(replace=False)

    def replace(self) -> None:
        """Load the text in the place of the library of its name."""
        self._load(replace=True)

    def _load(self, *, replace: bool) -> None:
        try:
            library = self.engine.load(
                self.code, replace=replace, config=self.config or None
            )
        except TrignbError as error:
            self._say_error(error)
            return
        # The first line of the text says what it is called.
        self.library = library.name
        self._origin = library.code
        self._say(library_line(library))

    def delete(self) -> None:
        """Delete the library; its text stays to be loaded again."""
        try:
            self.engine.execute("TFUNCTION", "DELETE", self.library)
        except TrignbError as error:
            self._say_error(error)
            return
        self._say(f"OK  library {self.library} is deleted; its text is still here")

    def _say(self, text: str = "") -> None:
        """Show what came of a click; screen readers say it."""
        said = tag("div", text, class_="trignb-said", role="status") if text else ""
        self._show_message(said)

    def _say_error(self, error: TrignbError) -> None:
        lines = [str(error)]
        if isinstance(error, JavaScriptError):
            lines += [f"  {line}" for line in code_frame(error, Source(self.code, 0))]
        text = tag(
            "pre", "\n".join(lines), class_="trignb-said trignb-failed", role="alert"
        )
        self._show_message(text)

    def _show_message(self, message: str) -> None:
        self._message = Html(message)
        if self._fields:
            self._delete.forget()
        if self._box is not None:
            self.refresh()

    # -- data

    def df(self) -> pd.DataFrame:
        """Return what `Engine.functions` tells of this library."""
        frame = self.engine.functions()
        chosen = frame.index.get_level_values(0) == self.library
        return frame[chosen]

    def _text(self) -> str:
        return self.code


def difference(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Yield lines of a comparison, each with its kind: ``plus``, ``minus``, ``hunk``, ``same``."""
    before, after = old.split("\n"), new.split("\n")
    if len(before) + len(after) > _COMPARED:
        yield "hunk", f"{len(before):,} lines are loaded, {len(after):,} are here"
        return
    kinds = {"+": "plus", "-": "minus", "@": "hunk", "\\": "hunk"}
    lines = difflib.unified_diff(before, after, "loaded", "edited", lineterm="")
    for number, line in enumerate(lines):
        # The first two name the files.
        if number > 1:
            yield kinds.get(line[:1], "same"), line


def _runs(item: Any) -> tuple[int, int]:
    """Return how often something ran and failed."""
    runs = getattr(item, "calls", getattr(item, "num_triggered", 0))
    return runs, getattr(item, "failures", getattr(item, "num_failed", 0))


def _cells(item: Any) -> Sequence[str]:
    runs, failed = _runs(item)
    kind = _KINDS[getattr(item, "kind", "cluster_function")]
    is_async = "async " if getattr(item, "is_async", False) else ""
    prefix = getattr(item, "prefix", None)
    works_on = (
        ", ".join(getattr(item, "flags", ())) if prefix is None else shown(prefix, 40)
    )
    return (
        tag("span", shown(item.name, 60), title=getattr(item, "description", None)),
        is_async + kind,
        works_on,
        str(item.line or ""),
        f"{runs:,}",
        badge(f"✗ {failed:,}", "bad") if failed else "0",
    )
