"""A trace as text, as a tree of HTML, as a table; the net change of keys."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import trignb
from trignb.engine.spans import KINDS, OUTCOMES, Recorder, Span
from trignb.notebook.columns import TEXT
from trignb.notebook.trace import KeyDiff
from trignb.notebook.trace_frames import spans_frame
from trignb.notebook.trace_html import MOST, tree_html
from trignb.notebook.trace_text import one_line, tree_lines

if TYPE_CHECKING:
    from trignb.notebook.trace import Trace

EVIL = "<img src=x onerror=alert(1)>"

DTYPES = {
    "parent": "Int64",
    "depth": "int64",
    "unit": "int64",
    "kind": "category",
    "name": TEXT,
    "command": TEXT,
    "client": TEXT,
    "library": TEXT,
    "trigger": TEXT,
    "db": "Int64",
    "key": TEXT,
    "event": TEXT,
    "event_class": "category",
    "is_async": "bool",
    "outcome": "category",
    "error": TEXT,
    "line": "Int64",
    "reply": TEXT,
    "start_us": "float64",
    "elapsed_us": "float64",
    "before": TEXT,
    "after": TEXT,
    "diff": TEXT,
}


@pytest.fixture
def trace(engine: trignb.Engine) -> Trace:
    with engine.trace() as trace:
        engine.execute("HSET", "h", "f", "v")
        engine.execute("HGETALL", "h")
        engine.execute("DEL", "h")
    return trace


# -- text


def test_text_is_the_same_every_time(engine: trignb.Engine) -> None:
    texts = set()
    for _ in range(2):
        with engine.trace() as trace:
            engine.execute("SET", "k", "v", "EX", 5)
            engine.execute("DEL", "k")
        texts |= {trace.text(), repr(trace)}
        assert trace.html() == trace._repr_html_()
    assert len(texts) == 1


def test_times_stand_in_the_text_when_asked_for(trace: Trace) -> None:
    timed = trace.text(times=True).split("\n")
    plain = trace.text().split("\n")
    assert len(timed) == len(plain)
    assert re.search(r"  \[0\.0 µs, took [\d.]+ µs\]$", timed[0])
    assert [re.sub(r"  \[.*\]$", "", line) for line in timed] == plain


def test_a_repr_is_not_endless(engine: trignb.Engine) -> None:
    with engine.trace() as trace:
        for i in range(400):
            engine.execute("SET", f"k{i}", "v")
    lines = repr(trace).split("\n")
    assert len(lines) == 501
    assert lines[-1] == "… 700 more lines: text() has all"
    assert len(trace.text().split("\n")) == 1200
    assert len(repr(trace.diff()).split("\n")) == 400


def test_a_chain_longer_than_python_recurses() -> None:
    spans = [Span("event", "e", key=b"k") for _ in range(5000)]
    for parent, span in pairwise(spans):
        span.parent = parent
    assert len(list(tree_lines(spans))) == 5000
    assert len(spans_frame(spans, 0)) == 5000
    assert "… deeper: text() has all" in tree_html(spans[:MOST])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[1m", r"\x1b[1m"),
        ("größe", "größe"),
        ("\u202e", r"\u202e"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


# -- html


class Outline(HTMLParser):
    """Notes tags and checks that they are closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.append(tag)
        self.styles += [value or "" for name, value in attrs if name == "style"]
        assert {name for name, _ in attrs} <= {"style", "class", "open", "title"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def test_html_is_a_tree_that_folds_without_a_script(trace: Trace) -> None:
    found = outline(trace._repr_html_())
    assert set(found.tags) == {"div", "ul", "li", "details", "summary", "span"}
    assert found.tags.count("summary") == found.tags.count("details") == 2
    colours = [style for style in found.styles if "color:" in style]
    assert colours
    # Each colour is the theme's, with one for where there is no theme.
    assert all(re.search(r"color:var\(--jp-[\w-]+,[^)]+\)", style) for style in colours)


def test_everything_is_escaped(engine: trignb.Engine) -> None:
    with engine.trace() as trace:
        engine.execute("HSET", EVIL, EVIL, EVIL)
        engine.session(name="<b>").execute("TYPE", EVIL)
        with pytest.raises(trignb.ResponseError):
            engine.execute(EVIL)
    for html in (trace.html(times=True), trace.diff()._repr_html_()):
        assert "<img" not in html
        assert "&lt;img" in html
        outline(html)


def test_outcomes_stand_in_words(engine: trignb.Engine) -> None:
    engine.execute("SET", "k", "v")
    with engine.trace() as trace, pytest.raises(trignb.ResponseError):
        engine.execute("INCR", "k")
    assert "(error) ERR value is not an integer or out of range" in trace.html()


def test_times_of_a_running_clock() -> None:
    with trignb.Engine() as engine:
        with engine.trace() as trace:
            engine.execute("SET", "k", "v")
        assert "µs" in trace._repr_html_()
        assert "µs" not in trace.html()


def test_large_traces_are_folded_and_cut(engine: trignb.Engine) -> None:
    with engine.trace() as trace:
        for i in range(900):
            engine.execute("SET", f"k{i}", "v")
    html = trace.html()
    assert html.count("<li>") == MOST
    # Of each SET three are shown: the event ``new`` fires nothing.
    assert f"… {2700 - MOST:,} more: text() and df() have all" in html
    outline(html)


# -- tables


def test_table_has_the_documented_columns(trace: Trace) -> None:
    frame = trace.df()
    assert frame.index.name == "span"
    assert str(frame.index.dtype) == "int64"
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert tuple(frame["kind"].cat.categories) == KINDS
    assert tuple(frame["outcome"].cat.categories) == OUTCOMES


def test_the_page_says_what_the_columns_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "notebook.md").read_text("utf-8")
    section = page.partition("\n## Traces\n")[2].partition("\n### Dry runs\n")[0]
    rows = re.findall(r"^\| (`.*?) \| (\S+) \|(.*)\|$", section, re.M)
    names = [(name, row) for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    dtypes = [(name, TEXT if row[1] == "str" else row[1]) for name, row in names]
    assert dtypes == list(DTYPES.items())
    notes = {name: row[2].strip() for name, row in names}
    assert notes["kind"] == ", ".join(KINDS)
    assert notes["outcome"] == ", ".join(OUTCOMES)


def test_an_empty_table_is_the_same(engine: trignb.Engine) -> None:
    with engine.trace() as trace:
        pass
    for frame in (trace.df(), engine.trace().df()):
        assert len(frame) == 0
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert list(engine.trace()) == []
    assert engine.trace().keys() == []
    assert "(nothing was traced)" in trace._repr_html_()


def test_rows_join_by_parent(trace: Trace) -> None:
    frame = trace.df()
    parents = frame[["command"]].add_suffix("_parent")
    joined = frame.join(parents, on="parent")
    events = joined[joined["kind"] == "event"]
    assert events["name"].tolist() == ["new", "hset", "del"]
    assert events["command_parent"].tolist() == ["HSET h f v"] * 2 + ["DEL h"]
    assert events["event_class"].tolist() == ["n", "h", "g"]
    changes = frame[frame["kind"] == "change"]
    assert changes["before"].isna().tolist() == [True, False]
    assert changes["after"].tolist()[0] == 'hash {f: "v"}'
    assert changes["diff"].tolist()[0] == '+ f "v"'
    assert (frame["start_us"].diff().dropna() >= 0).all()
    assert (frame["elapsed_us"] >= 0).all()
    assert frame["reply"].dropna().tolist() == [
        "(integer) 1",
        "(map, 1)",
        "(integer) 1",
    ]


def test_the_diff_is_a_table_too(engine: trignb.Engine) -> None:
    engine.execute("SET", "a", "1")
    engine.execute("SET", "gone", "1")
    with engine.trace() as trace:
        engine.execute("INCR", "a")
        engine.execute("SELECT", 1)
        engine.execute("SET", "b", "1", "EX", 10)
        engine.execute("SELECT", 0)
        engine.execute("DEL", "gone")
    frame = trace.diff().df()
    assert frame.index.names == ["db", "key"]
    assert list(frame.index) == [(0, "a"), (0, "gone"), (1, "b")]
    assert frame["change"].tolist() == ["changed", "gone", "new"]
    assert frame["after"].tolist()[::2] == ['string "2"', 'string "1" (TTL 10 s)']
    assert frame["changes"].tolist() == [1, 1, 1]
    empty = KeyDiff([]).df()
    assert dict(empty.dtypes) == dict(frame.dtypes)
    assert isinstance(frame.index, pd.MultiIndex)


def test_a_diff_is_a_sequence(trace: Trace, engine: trignb.Engine) -> None:
    with engine.trace() as other:
        engine.execute("MSET", "a", "1", "b", "2", "c", "3")
    diff = other.diff()
    assert len(diff) == 3
    assert diff[0].key == b"a"
    assert diff[1:].keys() == ["b", "c"]
    assert repr(trace.diff()) == "(no key changed)"
    assert "(no key changed)" in trace.diff()._repr_html_()


def test_kept_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trignb.engine.spans._KEPT_BYTES", 10_000)
    with trignb.Engine() as engine:
        with engine.trace() as trace:
            for i in range(40):
                engine.execute("SET", f"k{i}", "x" * 1000)
        kept = [i for i in trace._opened().last.values() if i and i.value is not None]
        assert len(kept) == 10
        assert len(trace.diff()) == 40


def test_keys_that_are_followed_are_bounded() -> None:
    recorder = Recorder(everybody=True, max_spans=3)
    for i in range(5):
        recorder.note((0, b"%d" % i), None, None)
    assert len(recorder.first) == len(recorder.last) == 3
