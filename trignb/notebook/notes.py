"""What stands below a cell: what libraries logged meanwhile, and which triggers failed.

A trigger that fails fails nobody's command, so without this its author would not know.
While the clock is frozen only that is shown which is certain to have happened by the end of the
cell: on the cell's own thread, or in a function that a command waited for. So a notebook's
outputs repeat. With the real clock all that came since the cell before is shown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from IPython.display import display

from trignb.notebook.display import Note
from trignb.notebook.javascript import code_frame
from trignb.notebook.text import readable
from trignb.notebook.workbench import last_line

if TYPE_CHECKING:
    from trignb.functions.failures import ErrorRecord
    from trignb.functions.host import LogLine
    from trignb.notebook.magics import TrignbMagics
    from trignb.notebook.workbench import Bench

__all__ = ["CellNotes", "news"]

LINES_SHOWN: Final = 50
FAILURES_SHOWN: Final = 5

_TRIGGERS: Final = {"keyspace_trigger": "trigger", "stream_trigger": "stream trigger"}
_STYLE: Final = (
    "margin:0;padding-left:8px;border-left:3px solid var(--jp-warn-color1,#b26a00);"
    "color:var(--jp-content-font-color2,inherit);white-space:pre-wrap;"
    "font-family:var(--jp-code-font-family,monospace);"
    "font-size:var(--jp-code-font-size,13px)"
)


class CellNotes:
    """Shows, when a cell of a shell has run, what its engines have to tell."""

    def __init__(self, magics: TrignbMagics) -> None:
        self.magics = magics

    def __call__(self, *_: object) -> None:
        """Show what is new; the hook ``post_run_cell``."""
        lines = [
            line
            for bench in list(self.magics.workbench.benches.values())
            for line in news(bench)
        ]
        if lines and self.magics.notes:
            text = "\n".join(lines)
            html = f'<pre style="{_STYLE}">{escape(text)}</pre>'
            publish: Any = display  # untyped upstream
            publish(Note(text, html))


def news(bench: Bench) -> Iterator[str]:
    """Yield the lines that tell what is new to a bench."""
    carried, bench.carried = bench.carried, []
    yield from carried
    logged, failed = _new_lines(bench), _new_failures(bench)
    if len(logged) > LINES_SHOWN:
        yield f"log  {len(logged) - LINES_SHOWN} earlier lines: %tf log"
    for library, line in logged[-LINES_SHOWN:]:
        # A line that console.log broke goes on below its beginning.
        yield f"log  {library}: {line.text}".replace("\n", "\n     ")
    alike = _grouped(failed)
    for group in alike[:FAILURES_SHOWN]:
        yield from _failure(group, bench)
    if len(alike) > FAILURES_SHOWN:
        yield f"{len(alike) - FAILURES_SHOWN} other failures: %tf errors"


def _new_lines(bench: Bench) -> list[tuple[str, LogLine]]:
    """Take the lines that are new to the bench."""
    seen, bench.lines_seen = bench.lines_seen, last_line(bench.engine)
    awaited, bench.awaited = bench.awaited, []
    if bench.lines_seen == seen:
        return []
    # Libraries log without the engine's lock: a deque may not be walked while it grows.
    lines = bench.engine.library_registry.lines.copy()
    return [
        (library, line)
        for library, line in lines
        if seen < line.seq <= bench.lines_seen
        and (_is_certain(bench, line) or _was_awaited(awaited, library, line))
    ]


def _is_certain(bench: Bench, what: LogLine | ErrorRecord) -> bool:
    """Whether it happens at the same place whenever the cell runs, or need not to."""
    return what.thread == threading.get_ident() or not bench.engine.clock.frozen


def _was_awaited(
    awaited: Sequence[tuple[str, int, int]], library: str, line: LogLine
) -> bool:
    return any(
        name == library and before < line.seq <= behind
        for name, before, behind in awaited
    )


def _new_failures(bench: Bench) -> list[ErrorRecord]:
    """Take the failures of triggers that are new to the bench."""
    registry = bench.engine.library_registry
    if registry.errors_noted == bench.errors_seen:
        return []
    with bench.engine.core.lock:
        new = registry.errors_noted - bench.errors_seen
        bench.errors_seen = registry.errors_noted
        records = list(registry.errors)[-new:]
    return [r for r in records if r.kind in _TRIGGERS and _is_certain(bench, r)]


def _grouped(records: Sequence[ErrorRecord]) -> list[list[ErrorRecord]]:
    """Return failures together that are one and the same, in the order of the first."""
    groups: dict[object, list[ErrorRecord]] = {}
    for record in records:
        what = (record.library, record.kind, record.item, record.message, record.line)
        groups.setdefault(what, []).append(record)
    return list(groups.values())


def _failure(group: Sequence[ErrorRecord], bench: Bench) -> Iterator[str]:
    first, times = group[0], len(group)
    often = f" {times} times, first" if times > 1 else ""
    yield (
        f"{_TRIGGERS[first.kind]} {first.library}.{first.item} failed{often} on "
        f"{_occasion(first)}: {first.message}"
    )
    for line in code_frame(first, bench.source(first.library)):
        yield f"  {line}"


def _occasion(record: ErrorRecord) -> str:
    key = readable(record.key)
    if record.kind == "stream_trigger":
        return f"record {record.event} of {key}"
    return f"{record.event} {key}"
