"""HTML that the views are made of, and how it looks.

Keys and values are the user's data: `table` and its friends escape whatever is not `Html` already. Colours are
Jupyter's own variables, so light and dark themes fit; the values behind them serve a plain HTML page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

from trignb.notebook.text import readable

__all__ = [
    "STYLE",
    "Column",
    "Html",
    "badge",
    "count",
    "frame",
    "joined",
    "note",
    "shown",
    "table",
    "tag",
]


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


class Column(NamedTuple):
    """A column of a table: its head, a class for its cells, what the head explains."""

    head: str
    kind: str = ""
    title: str = ""


def safe(text: str) -> Html:
    """Return text as HTML; `Html` stays as it is."""
    return text if isinstance(text, Html) else Html(escape(text))


def shown(value: bytes | str, limit: int = 120) -> str:
    """Return a key or value as readable text of one line, not longer than `limit`.

    What cannot be seen (control characters, marks that turn the direction of text round) is
    written as an escape, so that nothing looks like something else.
    """
    if isinstance(value, bytes):
        # A character has four bytes at most.
        value = readable(value[: 4 * limit + 4])
    if len(value) > limit:
        value = value[: limit - 1] + "…"
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() else _escaped(char) for char in value)


def _escaped(char: str) -> str:
    return repr(char)[1:-1]


def tag(name: str, content: str = "", **attributes: str | int | None) -> Html:
    """Return an element; ``class_`` stands for ``class``, ``_`` in a name for ``-``."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>{safe(content)}</{name}>")


def joined(parts: Iterable[str]) -> Html:
    """Return parts one after the other."""
    return Html("".join(map(safe, parts)))


def badge(text: str, kind: str, title: str | None = None) -> Html:
    """Return a small coloured label; `kind` is ``good``, ``bad``, ``busy`` or ``calm``."""
    return tag("span", text, class_=f"trignb-badge trignb-{kind}", title=title)


def note(text: str, *, is_status: bool = True) -> Html:
    """Return a line of small print; screen readers are told when it changes."""
    return tag("p", text, class_="trignb-note", role="status" if is_status else None)


def table(
    caption: str, columns: Sequence[Column], rows: Iterable[Sequence[str]]
) -> Html:
    """Return a table; the first cell of each row is its head.

    `caption` is read to those who cannot see, and shown to the others by the view itself.
    """
    heads = joined(
        tag("th", c.head, scope="col", class_=c.kind or None, title=c.title or None)
        for c in columns
    )
    body = joined(_row(columns, row) for row in rows)
    inner = joined(
        [
            tag("caption", caption),
            tag("thead", tag("tr", heads)),
            tag("tbody", body),
        ]
    )
    return tag(
        "div",
        tag("table", inner),
        class_="trignb-scroll",
        role="region",
        aria_label=caption,
        tabindex=0,
    )


def _row(columns: Sequence[Column], row: Sequence[str]) -> Html:
    head, *rest = columns
    cells = [tag("th", row[0], scope="row", class_=head.kind or None)]
    cells += [
        tag("td", cell, class_=column.kind or None)
        for column, cell in zip(rest, row[1:], strict=True)
    ]
    return tag("tr", joined(cells))


def count(number: int, one: str, many: str = "") -> str:
    """Return ``1 key``, ``2 keys``, ``1,000 keys``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def frame(kind: str, *parts: str) -> Html:
    """Return a still picture: parts below each other with the style they need."""
    return tag(
        "div", joined([STYLE, *parts]), class_=f"trignb trignb-still trignb-{kind}"
    )


STYLE: Final = Html(
    f"<style>{Path(__file__).with_name('look.css').read_text('utf-8')}</style>"
)
