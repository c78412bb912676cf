"""Buttons and fields of the views: ipywidgets' own, each with a label or a title to be read aloud."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

__all__ = ["Choice", "TwoClicks", "bar", "button", "switch", "text_field"]


def bar(controls: Sequence[Any]) -> Any:
    """Return controls beside each other."""
    made = ipywidgets.HBox(list(controls))
    made.add_class("trignb-bar")
    return made


def button(label: str, title: str, click: Callable[[], object], **more: Any) -> Any:
    """Return a button; `title` says what it does."""
    made = ipywidgets.Button(description=label, tooltip=title, **more)
    made.layout.width = "auto"
    made.on_click(lambda _: click())
    return made


def switch(label: str, title: str, turn: Callable[[bool], object], **more: Any) -> Any:
    """Return a button that stays down; `turn` gets whether it is."""
    made = ipywidgets.ToggleButton(description=label, tooltip=title, **more)
    made.layout.width = "auto"
    made.observe(lambda change: turn(change["new"]), "value")
    return made


def text_field(
    label: str, title: str, change: Callable[[str], object], **more: Any
) -> Any:
    """Return a line of text; `change` gets it when it was changed."""
    made = ipywidgets.Text(description=label, tooltip=title, **more)
    made.layout.width = "220px"
    made.observe(lambda given: change(given["new"]), "value")
    return made


class Choice:
    """A list to choose from, whose options may change.

    Parameters
    ----------
    widget : Dropdown or Select
        The list itself.
    change : callable
        Gets what was chosen, by whoever is in front of it or by `offer`.
    """

    def __init__(self, widget: Any, change: Callable[[Any], object]) -> None:
        self.widget = widget
        self._change = change
        # The thread that exchanges the options just now.
        self._offering: int | None = None
        widget.observe(self._chosen, "value")

    @classmethod
    def of(
        cls, label: str, title: str, change: Callable[[Any], object], **more: Any
    ) -> Choice:
        """Return a drop-down list."""
        made = ipywidgets.Dropdown(description=label, tooltip=title, **more)
        made.layout.width = "200px"
        return cls(made, change)

    def _chosen(self, given: Any) -> None:
        # New options choose their first one, which nobody meant; a click that comes in between is
        # of another thread.
        if self._offering != threading.get_ident():
            self._change(given["new"])

    def offer(self, options: Sequence[Any], chosen: Any) -> None:
        """Let one choose from these, of which one is chosen already; nobody is told."""
        widget = self.widget
        if list(widget.options) == list(options) and widget.value == chosen:
            return
        self._offering = threading.get_ident()
        try:
            with widget.hold_sync():
                if list(widget.options) != list(options):
                    widget.options = list(options)
                widget.value = chosen
        finally:
            self._offering = None


class TwoClicks:
    """A button that asks once more before it does what cannot be undone.

    Attributes
    ----------
    widget : Button
        The button itself.
    """

    def __init__(
        self, label: str, title: str, act: Callable[[], object], **more: Any
    ) -> None:
        self.label = label
        self._act = act
        self._asks = False
        self.widget = button(label, title, self._clicked, **more)

    def _clicked(self) -> None:
        if self._asks:
            self.forget()
            self._act()
            return
        self._asks = True
        self.widget.description = f"Really {self.label.lower()}?"
        self.widget.button_style = "danger"

    def forget(self) -> None:
        """Ask anew."""
        self._asks = False
        self.widget.description = self.label
        self.widget.button_style = ""
