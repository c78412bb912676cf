"""``%tf trace`` and ``%tf explain``: who caused what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trignb.notebook.errors import UsageError
from trignb.notebook.options import flag, number
from trignb.notebook.subcommands.registry import Call, subcommand
from trignb.notebook.tokenize import split

if TYPE_CHECKING:
    from trignb.notebook.explain import Explanation
    from trignb.notebook.trace import Trace

__all__: list[str] = []


@subcommand("on|off", df=flag("df", True, "as a DataFrame"))
def trace(call: Call) -> Any:
    """``trace [on|off] [--df]``: trace all clients over several cells, and show it."""
    action, bench = call.word() or "show", call.bench
    if action not in ("on", "off", "show"):
        raise UsageError(f"%tf trace takes on or off, not {action}")
    if action == "on":
        bench.start_trace()
        return None
    shown = _latest(call)
    if action == "off":
        bench.end_trace()
    return shown.df() if call.get("df") else shown


def _latest(call: Call) -> Trace:
    found = call.bench.trace
    if found is None:
        error = UsageError("nothing was traced")
        error.hint = "%tf trace on begins, and %%redis --trace traces one cell"
        raise error
    return found


@subcommand("key", db=number("db", "its database"))
def explain(call: Call) -> Explanation:
    """``explain KEY [--db N]``: who changed a key last, and through which chain."""
    words = split(call.options.rest)
    if not words:
        raise UsageError("%tf explain takes a key")
    db = call.get("db", call.bench.session.db.index)
    try:
        return call.engine.explain(words[0].value, db)
    except ValueError as error:
        raise UsageError(f"--db: {error}") from None
