from __future__ import annotations

import re
from pathlib import Path

import pytest

from trignb.notebook.widgets import style
from trignb.notebook.widgets.style import (
    Column,
    Html,
    badge,
    count,
    frame,
    shown,
    table,
    tag,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        ("caf\xe9".encode(), "caf\xe9"),
        (b"\xff", "\\xff"),
        (b"a\nb\x00", "a\\nb\\x00"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("x" * 200, "x" * 119 + "…"),
        (b"\xf0\x9f\x98\x80" * 200, "\U0001f600" * 119 + "…"),
        ("\ud800", "\\ud800"),
    ],
)
def test_shown(value: bytes | str, text: str) -> None:
    assert shown(value) == text


def test_text_and_attributes_are_escaped() -> None:
    assert tag("b", "<i>", title='"<', aria_label=None) == (
        '<b title="&quot;&lt;">&lt;i&gt;</b>'
    )
    assert tag("b", tag("i", "x")) == "<b><i>x</i></b>"
    assert "<x>" not in badge("<x>", "bad", "<x>")


def test_table() -> None:
    text = table(
        "What", [Column("<a>"), Column("b", "number")], [("1", Html("<i>2</i>"))]
    )
    assert "<caption>What</caption>" in text
    assert '<th scope="col">&lt;a&gt;</th>' in text
    assert '<th scope="row">1</th><td class="number"><i>2</i></td>' in text


def test_table_refuses_rows_of_another_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        table("What", [Column("a"), Column("b")], [("1",)])


def test_count() -> None:
    assert count(1, "key") == "1 key"
    assert count(1000, "key") == "1,000 keys"
    assert count(2, "entry", "entries") == "2 entries"


def test_still_picture_brings_its_style_and_asks_for_nothing() -> None:
    still = frame("x", "<")
    assert still.startswith('<div class="trignb trignb-still trignb-x"><style>')
    assert still.endswith("&lt;</div>")
    assert not re.search(r"https?:|url\(|@import|<script", still)


def test_every_colour_follows_the_theme() -> None:
    rules = Path(style.__file__).with_name("look.css").read_text("utf-8")
    for line in re.sub(r"/\*.*?\*/", "", rules, flags=re.S).splitlines():
        bare = re.sub(r"var\(--jp-[^()]*\)", "", line)
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b", bare), line
