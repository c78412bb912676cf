"""``%tf engine`` and ``%tf reset``: which engine, and an empty one."""

from __future__ import annotations

from typing import Any

from trignb.api import Engine
from trignb.notebook.display import Note
from trignb.notebook.options import flag
from trignb.notebook.subcommands.registry import Call, subcommand

__all__: list[str] = []


@subcommand(
    "engine",
    new=flag("new", help="create it"),
    close=flag("close", help="close it"),
)
def engine(call: Call) -> Any:
    """``engine [NAME] [--new] [--close]``: list, choose, create or close engines."""
    name, workbench = call.word(), call.magics.workbench
    if name is None:
        return _engines(call)
    if call.get("close"):
        workbench.close(name)
        return Note(f"engine {name} is closed")
    if call.get("new"):
        workbench.create(name)
    elif name not in workbench.benches and isinstance(call.names.get(name), Engine):
        workbench.adopt(name, call.names[name], call.magics.resp)
    chosen = workbench.bench(name).engine
    workbench.current = name
    return chosen


def _engines(call: Call) -> Note:
    workbench = call.magics.workbench
    workbench.bench()
    return Note(
        "\n".join(
            f"{'*' if name == workbench.current else ' '} {name}: {_summary(bench.engine)}"
            for name, bench in workbench.benches.items()
        )
    )


def _summary(engine: Engine) -> str:
    """Say what an engine holds, as its repr does."""
    return repr(engine).removeprefix("<trignb.Engine ").removesuffix(">")


@subcommand(keep_libraries=flag("keep", help="only the keys and counters"))
def reset(call: Call) -> Note:
    """``reset [--keep-libraries]``: an empty engine, empty logs, counters at zero."""
    keep = call.get("keep", False)
    call.bench.reset(keep_libraries=keep)
    return Note("OK  libraries kept" if keep else "OK")
