"""``%tf plot``: pictures of what happened."""

from __future__ import annotations

from typing import Any

from trignb.notebook.errors import UsageError, suggestion
from trignb.notebook.options import word
from trignb.notebook.subcommands.registry import Call, subcommand

__all__: list[str] = []

_KINDS = ("events", "latency", "graph")


@subcommand(
    "|".join(_KINDS),
    freq=word("freq", "length of a step: 1s, 5min"),
    by=word("by", "what colours stand for: event, event_class, key_type, origin"),
    library=word("library", "only this library", of="library"),
)
def plot(call: Call) -> Any:
    """``plot events|latency|graph``: events over time, how long runs take, who writes what."""
    kind = call.word() or ""
    if kind not in _KINDS:
        error = UsageError(f"%tf plot takes {', '.join(_KINDS)}")
        error.hint = suggestion(kind, _KINDS)
        raise error
    plots = call.engine.plot
    try:
        if kind == "events":
            return plots.events(call.get("freq"), call.get("by", "event"))
        return (
            plots.latency(call.get("library")) if kind == "latency" else plots.graph()
        )
    except (ImportError, ValueError) as error:
        raise UsageError(str(error)) from None
