"""HTML beside the text, where a table reads better.

Keys and values are the user's data: everything is escaped. Colours come from Jupyter's own
CSS variables, so tables fit light and dark themes, and a plain HTML export too.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

    from trignb.functions.library import Library
    from trignb.notebook.reply import Reply

__all__ = [
    "Note",
    "library_line",
    "reply_html",
    "source_html",
    "table_html",
    "text_html",
]

_TABLES: Final = frozenset(
    [
        "hgetall",
        "xrange",
        "xrevrange",
        "zpopmin",
        "zpopmax",
        "zrange",
        "zrevrange",
        "zrangebyscore",
        "zrevrangebyscore",
    ]
)
_STYLE: Final = (
    "font-family:var(--jp-code-font-family,monospace);"
    "font-size:var(--jp-code-font-size,13px)"
)


def reply_html(reply: Reply) -> str | None:
    """Return a reply as an HTML table, None where the text says it as well."""
    style = reply.style
    if style.mode != "standard" or style.display == "text" or reply.error is not None:
        return None
    if style.display == "auto" and not _has_table(reply):
        return None
    return (
        table_html(reply.df(), style.limit)
        + f'<details><summary>redis-cli</summary><pre style="{_STYLE}">'
        + f"{escape(reply.text)}</pre></details>"
    )


def _has_table(reply: Reply) -> bool:
    words = [arg.decode("latin-1").lower() for arg in reply.args[:2]]
    if words == ["tfunction", "list"]:
        return bool(reply.value)
    asked = words[:1] and words[0] in _TABLES and isinstance(reply.value, (list, dict))
    return bool(asked and reply.value) and len(reply.df().columns) > 1


def table_html(frame: pd.DataFrame, limit: int) -> str:
    """Return a frame as an HTML table of at most `limit` rows, everything escaped."""
    named = frame.reset_index() if frame.index.names[0] else frame
    head = "".join(f"<th>{escape(str(name))}</th>" for name in named.columns)
    rows = [
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>"
        for row in named.head(limit).itertuples(index=False, name=None)
    ]
    hidden = len(named) - limit
    more = f"<p>{hidden} more</p>" if hidden > 0 else ""
    return (
        f'<table style="{_STYLE}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{more}"
    )


def _cell(value: Any) -> str:
    # A missing value is the only one that differs from itself.
    return "" if value is None or value != value else escape(str(value))


def text_html(text: str) -> str:
    """Return text as it stands."""
    return f'<pre style="{_STYLE}">{escape(text)}</pre>' if text else ""


def source_html(code: str, caption: str) -> str:
    """Return JavaScript in colour below a caption, as static HTML."""
    from IPython.display import Code

    # Untyped upstream: mypy is told so in the one line that calls it.
    coloured: Any = Code
    source = coloured(code, language="javascript")._repr_html_()
    return f'<pre style="{_STYLE}">{escape(caption)}</pre>{source}'


class Note(str):
    """A line or two for people; its repr is the text itself.

    Parameters
    ----------
    text : str
        What a terminal shows.
    html : str
        What a browser shows instead, if anything.
    """

    html: str

    def __new__(cls, text: str, html: str = "") -> Note:
        """Return the text, with `html` beside it."""
        note = super().__new__(cls, text)
        note.html = html
        return note

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        bundle = {"text/plain": str(self)}
        return {"text/html": self.html, **bundle} if self.html else bundle


def library_line(library: Library) -> str:
    """Return the summary of a loaded library.

    For instance ``OK  library audit: 1 keyspace trigger (stamp)``.
    """
    parts = [
        f"{len(names)} {kind}{'s' if len(names) > 1 else ''} ({', '.join(names)})"
        for kind, names in library.registered.items()
        if names
    ]
    return f"OK  library {library.name}: {', '.join(parts)}"
