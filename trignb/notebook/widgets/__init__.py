"""Live views of an engine: a trigger monitor, an event feed, a library editor, a keyspace browser.

Made of ipywidgets' own controls only, so they work wherever those do, without a download. Every view follows
the engine at a bounded rate (`Board`), can be frozen into HTML that outlives the kernel (`Live.freeze`),
and gives the data behind it (`Live.df`).
"""

from __future__ import annotations

from trignb.notebook.widgets.base import Live, is_static
from trignb.notebook.widgets.board import Board
from trignb.notebook.widgets.editor import Editor
from trignb.notebook.widgets.feed import Feed
from trignb.notebook.widgets.keys import Browser
from trignb.notebook.widgets.monitor import Monitor

__all__ = ["Board", "Browser", "Editor", "Feed", "Live", "Monitor", "is_static"]
