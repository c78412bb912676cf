"""``%tf monitor``, ``feed`` and the others that show something live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trignb.notebook.options import number, word
from trignb.notebook.subcommands.measures import check_type
from trignb.notebook.subcommands.registry import Call, subcommand
from trignb.notebook.subcommands.tables import no_library

if TYPE_CHECKING:
    from trignb.api import Engine

__all__: list[str] = []


def _watched(call: Call) -> Engine:
    """Return the engine that is meant; its views change as often as the options say."""
    # Imported at the first view: ipywidgets takes a tenth of a second.
    from trignb.notebook.widgets import Board

    Board.of(call.engine).rate = call.magics.feed_rate
    return call.engine


@subcommand("trigger")
def monitor(call: Call) -> Any:
    """``monitor [TEXT]``: a live table of triggers; TEXT is part of a name or prefix."""
    return _watched(call).monitor(call.word() or "")


@subcommand(
    "key",
    event=word("event", "only this event, or a class", of="event"),
    library=word("library", "only what concerns a library", of="library"),
)
def feed(call: Call) -> Any:
    """``feed [PATTERN] [--event E] [--library L]``: keyspace events as they come."""
    return _watched(call).feed(
        call.word() or "*",
        event=call.get("event", ""),
        library=call.get("library", ""),
    )


@subcommand("library")
def editor(call: Call) -> Any:
    """``editor [LIBRARY]``: edit, check, load and replace a library."""
    name, libraries = call.word(), call.engine.library_registry.libraries
    if name is not None and name not in libraries:
        raise no_library(name, libraries)
    return _watched(call).editor(name or "")


@subcommand(
    "key",
    type=word("type", "only keys of this type"),
    db=number("db", "number of the database"),
)
def keys(call: Call) -> Any:
    """``keys [PATTERN] [--type T] [--db N]``: browse keys, and values by their type."""
    kind = check_type(call.get("type"))
    return _watched(call).browse(
        call.word() or "*", type=kind or "", db=call.get("db", 0)
    )
