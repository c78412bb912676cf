"""What the tests of live views share: a library of triggers, and a screen to show views on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ipywidgets.widgets import widget as registry

LIBRARY = """#!js api_version=1.0 name=audit
redis.registerKeySpaceTrigger("stamp", "user:", (client, data) => {
    client.call("hset", data.key, "at", "1");
});
redis.registerKeySpaceTrigger("deny", "orc:", () => {
    throw new TypeError("no <b>orcs</b>");
});
redis.registerStreamTrigger("reader", "log:", () => 1);
"""


class Place:
    """One place on the screen, in the stead of IPython's handle of it."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.number = len(screen.bundles)

    def display(self, bundle: dict[str, Any], *, raw: bool) -> None:
        assert raw
        self.screen.bundles.append(bundle)

    def update(self, bundle: dict[str, Any], *, raw: bool) -> None:
        assert raw
        self.screen.updates.append((self.number, bundle))


class Screen:
    """What was displayed, in order, and what took its place later."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, Any]] = []
        self.updates: list[tuple[int, dict[str, Any]]] = []


def picture(view: Any) -> str:
    """Return what a view shows now."""
    assert view.box
    return str(view._screen.value)


def control(view: Any, label: str) -> Any:
    """Return the control with a label."""
    found = [w for w in within(view.box) if getattr(w, "description", None) == label]
    assert len(found) == 1, [getattr(w, "description", w) for w in within(view.box)]
    return found[0]


def within(box: Any) -> Iterator[Any]:
    """Go through everything in a box."""
    for child in getattr(box, "children", ()):
        yield child
        yield from within(child)


def models() -> int:
    """Return how many ipywidgets models are alive."""
    return len(registry._instances)
