"""Traces as HTML: nested lists that fold, in the theme's own colours.

`<details>` folds by click and by keyboard and needs no script, so a trace stays what it is in a saved
notebook, in an exported page and in one that is not trusted. Everything users wrote is escaped; what an
outcome is stands in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from trignb.engine.spans import CHANGE
from trignb.notebook.trace_text import branches, change_text, describe, visible

if TYPE_CHECKING:
    from trignb.engine.differences import Change
    from trignb.engine.spans import Span

__all__ = ["changes_html", "frame_html", "tree_html"]

# Spans of one page, and how many of them may stand open at first.
MOST: Final = 2_000
_OPEN: Final = 200
# Levels of lists: browsers give up on very deep ones.
_DEEPEST: Final = 100

_FONT: Final = (
    "font-family:var(--jp-code-font-family,monospace);"
    "font-size:var(--jp-code-font-size,13px);line-height:1.5;"
    "color:var(--jp-content-font-color1,inherit)"
)
_LIST: Final = (
    "list-style:none;margin:0 0 0 0.4em;padding:0 0 0 1.1em;"
    "border-left:1px solid var(--jp-border-color2,#8888)"
)
_QUIET: Final = "color:var(--jp-content-font-color2,#6a6a6a)"
_BAD: Final = "color:var(--jp-error-color1,#c62828)"
_TEXT: Final = "white-space:pre-wrap;overflow-wrap:anywhere"


def tree_html(
    spans: Sequence[Span],
    *,
    times: bool = False,
    clients: bool = False,
    notes: Iterable[str] = (),
) -> str:
    """Return a tree of spans as HTML; parameters as of `trace_text.tree_lines`.

    `notes` are lines below it.
    """
    spans = visible(spans)
    shown = spans[:MOST]
    if len(spans) > MOST:
        notes = [*notes, f"… {len(spans) - MOST:,} more: text() and df() have all"]
    tree = _Tree(shown, times=times, clients=clients)
    return frame_html(tree.html(), notes)


def frame_html(body: str, notes: Iterable[str] = ()) -> str:
    """Return a trace's own HTML with the font around it and some lines below."""
    below = "".join(f'<div style="{_QUIET}">{escape(note)}</div>' for note in notes)
    return f'<div class="trignb-trace" style="{_FONT}">{body}{below}</div>'


def changes_html(
    changes: Sequence[Change], *, title: str = "", notes: Iterable[str] = ()
) -> str:
    """Return what became of keys as a list, with a line above and some below."""
    items = "".join(
        f'<li style="{_TEXT}">{escape(change_text(change))}</li>'
        for change in changes[:MOST]
    )
    hidden = len(changes) - MOST
    if hidden > 0:
        notes = [f"… {hidden:,} more: text() and df() have all", *notes]
    above = f"<div>{escape(title)}</div>" if title else ""
    below = f'<ul style="{_LIST}">{items}</ul>' if items else ""
    return frame_html(above + below, notes)


class _Tree:
    """One tree on its way to HTML."""

    def __init__(self, spans: Sequence[Span], *, times: bool, clients: bool) -> None:
        self.below = branches(spans)
        self.times = times
        self.clients = clients
        self.started_ns = spans[0].start_ns if spans else 0
        self.is_open = " open" if len(spans) <= _OPEN else ""

    def html(self) -> str:
        """Return the lists."""
        return self._list(self.below[None], 0)

    def _list(self, spans: Sequence[Span], depth: int) -> str:
        items = "".join(f"<li>{self._item(span, depth)}</li>" for span in spans)
        return f'<ul style="{_LIST}">{items}</ul>'

    def _item(self, span: Span, depth: int) -> str:
        line = self._line(span, depth)
        children = self.below.get(id(span), ())
        if not children:
            return line
        if depth >= _DEEPEST:
            return f'{line} <span style="{_QUIET}">… deeper: text() has all</span>'
        below = self._list(children, depth + 1)
        # The first level is always open: it is what was run.
        is_open = self.is_open or (" open" if not depth else "")
        return f"<details{is_open}><summary>{line}</summary>{below}</details>"

    def _line(self, span: Span, depth: int) -> str:
        label, text = describe(span, client=self.clients and not depth)
        style = f"{_TEXT};{_BAD}" if span.outcome == "failed" else _TEXT
        if span.kind == CHANGE:
            style = f"{_TEXT};font-weight:600"
        named = f'<span style="{_QUIET}">{escape(label)}</span> ' if label else ""
        return f'{named}<span style="{style}">{escape(text)}</span>{self._time(span)}'

    def _time(self, span: Span) -> str:
        if not self.times or span.kind == CHANGE:
            return ""
        took = (span.end_ns - span.start_ns) / 1000
        text = f"{took:,.1f} µs" if span.end_ns else "runs"
        began = (span.start_ns - self.started_ns) / 1000
        return (
            f' <small style="{_QUIET}" title="began at {began:,.1f} µs">{text}</small>'
        )
