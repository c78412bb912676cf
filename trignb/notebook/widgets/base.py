"""What the views have in common: how they are shown, followed, frozen and closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle

from trignb.notebook.display import Note
from trignb.notebook.widgets.board import Board
from trignb.notebook.widgets.controls import bar, button, switch
from trignb.notebook.widgets.style import STYLE, Html, frame

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine

__all__ = ["Live", "is_static"]

_VIEW: Final = "application/vnd.jupyter.widget-view+json"


def is_static() -> bool:
    """Whether views are to be still pictures from the start (``TRIGNB_STATIC=1``)."""
    return bool(os.environ.get("TRIGNB_STATIC"))


class Live:
    """A view of an engine that follows what happens there.

    In a notebook it shows itself when it is the last value of a cell. It begins to follow
    the engine when it is first shown, and ends with `close`, with its engine, or when its
    cell runs again.

    Attributes
    ----------
    engine : Engine
        What it shows.
    paused : bool
        Whether it stands still.
    is_closed : bool
        Whether it has ended; what it showed last stays.
    """

    kind: ClassVar[str] = ""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.board = Board.of(engine)
        self.paused = False
        self.is_closed = False
        self._box: Any = None
        self._screen: Any = None
        self._seen: object = None
        self._last = Html()
        self._shown: list[_Shown] = []
        # Clicks come on the kernel's thread, updates on the board's; a synchronous view is
        # drawn inside units, so a lock of its own could be waited for crosswise.
        is_synchronous = self.board.is_synchronous
        self._lock = engine.core.lock if is_synchronous else threading.RLock()

    # -- what a view has of its own

    def stamp(self) -> object:
        """Return something that differs once there is something new to show."""
        raise AssertionError("a view says what it shows")

    def html(self) -> Html:
        """Return what is shown now."""
        raise AssertionError("a view says how it shows it")

    def still(self) -> Html:
        """Return what a still picture shows, the same unless a view says otherwise."""
        return self.html()

    def controls(self) -> list[Any]:
        """Return what stands above the picture."""
        return []

    def pause_switch(self) -> Any:
        """Return the control that makes the view stand still."""
        return switch("Pause", "stand still, or go on", self.pause, icon="pause")

    def freeze_button(self) -> Any:
        """Return the control that ends the view and leaves a picture."""
        title = "put a still picture in the place of this view; it can be saved"
        return button("Freeze", title, self.freeze, icon="camera")

    def layout(self, controls: list[Any], screen: Any) -> list[Any]:
        """Return controls and picture below each other."""
        return [bar(controls), screen]

    def df(self) -> pd.DataFrame:
        """Return the data behind the view."""
        raise AssertionError("a view has data")

    # -- following

    @property
    def box(self) -> Any:
        """The ipywidgets box; made when it is first needed."""
        if self._box is None:
            self._build()
        return self._box

    def _build(self) -> None:
        self._screen = ipywidgets.HTML()
        # As wide as the cell; 100 % would come on top of the margins.
        self._screen.layout.width = "auto"
        parts = self.layout(self.controls(), self._screen)
        self._box = ipywidgets.VBox([ipywidgets.HTML(STYLE), *parts])
        for name in ("trignb", f"trignb-{self.kind}"):
            self._box.add_class(name)
        self.refresh()

    def update(self) -> None:
        """Draw what has changed; what nobody can see is left alone."""
        if self.paused or self._is_hidden():
            return
        with self._lock:
            if self.is_closed:
                return
            stamp = self.stamp()
            if stamp != self._seen:
                self._seen = stamp
                self._draw()

    def refresh(self) -> None:
        """Draw now, paused or not."""
        with self._lock:
            if not self.is_closed:
                self._seen = self.stamp()
                self._draw()

    def _draw(self) -> None:
        html = self.html()
        if html != self._last and self._screen is not None:
            self._last = html
            self._screen.value = html

    def _is_hidden(self) -> bool:
        if self._box is None:
            return True
        layout = self._box.layout
        return bool(layout.display == "none" or layout.visibility == "hidden")

    def pause(self, paused: bool = True) -> None:
        """Stand still, or go on."""
        self.paused = paused
        self.refresh()

    # -- showing

    def _ipython_display_(self) -> None:
        if self.is_closed or is_static():
            _new_handle().display(self._picture(), raw=True)
            return
        self.show()

    def show(self) -> None:
        """Show the view below the cell at work, and follow the engine from now on."""
        cell, run = _cell_at_work()
        for view in tuple(self.board.views):
            if isinstance(view, Live):
                view._cell_ran_again(cell, run)
        handle = _new_handle()
        bundle = {_VIEW: self.box._repr_mimebundle_()[_VIEW], **self._picture()}
        handle.display(bundle, raw=True)
        self._shown.append(_Shown(handle, cell, run))
        self.board.add(self)

    def _cell_ran_again(self, cell: str, run: str) -> None:
        """Close when the only cell that shows this view shows something else now."""
        gone = [s for s in self._shown if cell and s.cell == cell and s.run != run]
        if not gone:
            return
        self._shown = [s for s in self._shown if s not in gone]
        if not self._shown:
            self.close()

    # -- the end

    def static(self) -> Note:
        """Return what is shown as HTML that needs no kernel."""
        return Note(self._text(), frame(self.kind, self.still()))

    def _text(self) -> str:
        return self.df().to_string()

    def _picture(self) -> Mapping[str, str]:
        if self.is_closed:
            return self._left
        note = self.static()
        return {"text/plain": str(note), "text/html": note.html}

    def freeze(self) -> None:
        """Put the still picture in the place of the view, where a notebook keeps it.

        A live view is gone when a saved notebook is opened again; this stays.
        """
        self.close()

    def close(self) -> None:
        """Follow the engine no more; a still picture stays where the view was shown."""
        with self._lock:
            if self.is_closed:
                return
            self._left = self._picture()
            self.is_closed = True
        self.board.remove(self)
        for shown in self._shown:
            shown.handle.update(self._left, raw=True)
        self._shown = []
        if self._box is not None:
            _close_all(self._box)
            self._box = self._screen = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "paused" if self.paused else "live"
        return f"<{type(self).__name__} {state}>"


class _Shown:
    """One place where a view is shown: its handle, the cell, and that cell's run."""

    def __init__(self, handle: Any, cell: str, run: str) -> None:
        self.handle = handle
        self.cell = cell
        self.run = run


def _new_handle() -> Any:
    # Untyped upstream: mypy is told so in the line that calls it.
    make: Any = DisplayHandle
    return make()


def _cell_at_work() -> tuple[str, str]:
    """Return the ids of the cell that runs now and of its run; empty where there is none."""
    find_shell: Any = get_ipython
    kernel = getattr(find_shell(), "kernel", None)
    if kernel is None:
        return "", ""
    parent = kernel.get_parent()
    cell = parent.get("metadata", {}).get("cellId", "")
    return str(cell), str(parent.get("header", {}).get("msg_id", ""))


def _close_all(widget: Any) -> None:
    """Close a widget with everything in it: models are kept alive by ipywidgets."""
    for child in getattr(widget, "children", ()):
        _close_all(child)
    for part in ("layout", "style"):
        model = getattr(widget, part, None)
        if isinstance(model, ipywidgets.Widget):
            model.close()
    widget.close()
