"""The engine's live views: the methods of `Engine` that give something to look at in a notebook.

ipywidgets is imported with the first of them, by `trignb.notebook.widgets`, where the work is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.notebook.widgets import Board, Browser, Editor, Feed, Monitor

__all__ = ["Views"]


class Views:
    """Live views: shown when they are the last value of a cell, ended by ``close``.

    Attributes
    ----------
    board : Board or None
        What keeps the views that are shown up to date; the first one makes it.
    """

    board: Board | None = None

    def monitor(self, filter: str = "") -> Monitor:
        """Return a table of the triggers that follows them: rates, times, errors.

        ``filter`` is a part of a trigger's name or prefix.
        """
        from trignb.notebook.widgets import Monitor

        return Monitor(cast("Engine", self), filter)

    def feed(self, pattern: str = "*", *, event: str = "", library: str = "") -> Feed:
        """Return a feed of keyspace events, what caused them and what they fired.

        Parameters
        ----------
        pattern : str
            Keys, as KEYS takes a pattern.
        event : str
            Only events of this name (a pattern), or of this class (``hashes``, ``expiries``).
        library : str
            Only what fired a trigger of this library, or came of one.
        """
        from trignb.notebook.widgets import Feed

        return Feed(cast("Engine", self), pattern, event=event, library=library)

    def editor(self, library: str = "") -> Editor:
        """Return an editor of a library: check, load, replace, compare with what is loaded.

        Without a name it begins with the first library, or with a new one.
        """
        from trignb.notebook.widgets import Editor

        return Editor(cast("Engine", self), library)

    def browse(self, pattern: str = "*", *, type: str = "", db: int = 0) -> Browser:
        """Return a browser of keys, as a tree, with a viewer for each type of value.

        Parameters
        ----------
        pattern : str
            Keys, as KEYS takes a pattern.
        type : str
            Only keys of this type, as TYPE names it.
        db : int
            Number of the database.

        Raises
        ------
        ValueError
            When there is no such type.
        ResponseError
            When there is no such database.
        """
        from trignb.notebook.widgets import Browser

        return Browser(cast("Engine", self), pattern, type=type, db=db)
