from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from trignb.errors import ResponseError
from trignb.notebook.columns import TEXT
from trignb.notebook.reply import Replies, Reply, Style
from trignb.reply import NULL_ARRAY, OK, Status, Verbatim


def frame_of(value: Any, *args: str) -> pd.DataFrame:
    return Reply(value, [arg.encode() for arg in args]).df()


def test_stands_for_its_value() -> None:
    number = Reply(41)
    assert int(number) + 1 == 42
    assert number == 41
    assert number != 42
    assert [0] * Reply(2).__index__() == [0, 0]
    assert float(Reply(b"1.5")) == 1.5
    assert Reply([b"a", b"b"])[1] == b"b"
    assert list(Reply([b"a", b"b"])) == [b"a", b"b"]
    assert len(Reply({b"a": 1})) == 1
    assert b"a" in Reply([b"a"])
    assert "a" in Reply({b"a": 1})
    assert bytes(Reply(b"\xff")) == b"\xff"
    assert f"{Reply(3):>3}|{Reply(b'x'):>3}|{Reply(OK)}" == "  3|  x|OK"


def test_text_compares_and_indexes_as_text() -> None:
    assert Reply(b"hello") == "hello"
    assert Reply(b"hello") == b"hello"
    assert Reply(b"hello") == Reply(b"hello")
    fields = Reply({b"name": b"Ann"})
    assert fields["name"] == b"Ann"
    assert fields == {"name": "Ann"}
    assert Reply([b"a", [b"b", None]]) == ["a", ["b", None]]
    assert Reply({b"a"}) == {"a"}
    assert str(Reply(b"caf\xc3\xa9")) == "caf\u00e9"


@pytest.mark.parametrize("value", [None, NULL_ARRAY, 0, b"", [], ResponseError("ERR")])
def test_false_replies(value: Any) -> None:
    assert not Reply(value)
    assert Reply(OK)


def test_forms() -> None:
    reply = Reply({b"a": 1.5}, [b"HGETALL", b"k 1"], resp=2, elapsed_ms=12.0)
    assert reply.raw == [b"a", b"1.5"]
    assert reply.text == '1) "a"\n2) "1.5"'
    assert reply.json() == '{"a":1.5}'
    assert reply.csv() == '"a","1.5"'
    assert reply.cli() == 'HGETALL "k 1"'
    assert reply.decode() == {"a": 1.5}
    assert Reply({b"a": 1}, resp=3).text == '1# "a" => (integer) 1'
    assert reply.error is None
    assert str(Reply(ResponseError("ERR no")).error) == "ERR no"


def test_decode() -> None:
    assert Reply(b"\xff").decode() == b"\xff"
    assert Reply([OK, Verbatim(b"v"), NULL_ARRAY, {b"x"}, 1]).decode() == [
        "OK",
        "v",
        None,
        {"x"},
        1,
    ]


def test_style() -> None:
    assert Reply([b"a", 1], style=Style(mode="raw")).text == "a\n1"
    json = Reply({b"a": 1}, resp=2, style=Style(mode="json"))
    assert json.text == '{"a":1}'
    assert Reply("\u00e9".encode(), style=Style(utf8=True)).text == '"\u00e9"'
    assert Reply(OK, elapsed_ms=1234.0, style=Style(timed=True)).text == "OK\n(1.23s)"


def test_info_is_printed_as_text() -> None:
    assert Reply(Verbatim(b"# Server\r\n"), [b"INFO"], resp=2).text == "# Server\r"


def test_repr_is_what_redis_cli_prints() -> None:
    assert repr(Reply(b"x", elapsed_ms=3.0)) == '"x"'
    assert repr([Reply(1)]) == "[(integer) 1]"


def test_bundle_of_a_plain_reply_is_text() -> None:
    assert Reply(b"x", [b"GET", b"k"])._repr_mimebundle_() == {"text/plain": '"x"'}


def test_bundle_of_a_hash_has_a_table() -> None:
    value = {b"<img onerror=x>": b"a&b"}
    bundle = Reply(value, [b"HGETALL", b"k"], resp=2)._repr_mimebundle_()
    html = bundle["text/html"]
    assert "<td>&lt;img onerror=x&gt;</td><td>a&amp;b</td>" in html
    assert "<img" not in html
    assert "<details>" in html
    text_only = Reply(value, [b"HGETALL", b"k"], style=Style(display="text"))
    assert "text/html" not in text_only._repr_mimebundle_()
    always = Reply(b"x", [b"GET", b"k"], style=Style(display="html"))
    assert "<td>x</td>" in always._repr_mimebundle_()["text/html"]


def test_table_is_cut_and_the_text_is_not() -> None:
    value = {b"f%d" % i: b"v" for i in range(9)}
    reply = Reply(value, [b"HGETALL", b"k"], style=Style(limit=3))
    bundle = reply._repr_mimebundle_()
    assert bundle["text/html"].count("<tr>") == 1 + 3
    assert "6 more" in bundle["text/html"]
    assert bundle["text/plain"].count("\n") == 8


# -- tables


def test_frame_of_a_hash() -> None:
    frame = frame_of({b"a": b"1", b"b": b"\xff"}, "HGETALL", "k")
    assert list(frame.columns) == ["field", "value"]
    assert frame["value"].tolist() == ["1", r"\xff"]
    assert [str(dtype) for dtype in frame.dtypes] == [TEXT, TEXT]


def test_frame_of_a_set() -> None:
    assert frame_of({b"b", b"a"}, "SMEMBERS", "k")["member"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "value", [[[b"a", 1.5], [b"b", 2.0]], [b"a", b"1.5", b"b", b"2"]]
)
def test_frame_of_a_sorted_set(value: Any) -> None:
    frame = frame_of(value, "ZRANGE", "k", "0", "-1", "WITHSCORES")
    assert frame["member"].tolist() == ["a", "b"]
    assert frame["score"].tolist() == [1.5, 2.0]
    assert str(frame["score"].dtype) == "float64"


def test_a_stream_s_fields_may_have_any_name() -> None:
    far, asked = b"18446744073709551615-1", ("XRANGE", "s", "-", "+")
    entries = [[b"1000-0", [b"id", b"7"]], [far, [b"time", b"noon"]]]
    frame = frame_of(entries, *asked)
    assert list(frame.index) == ["1000-0", far.decode()]
    assert frame["id"].tolist()[0] == "7"
    assert frame["time"].tolist()[1] == "noon"
    # Where a calendar ends, and where nanoseconds do.
    times = frame_of([[far, [b"a", b"1"]], [b"9999999999999-0", []]], *asked)["time"]
    assert times.isna().tolist() == [True, False]


def test_frame_of_a_stream() -> None:
    frame = frame_of(
        [[b"1000-0", [b"a", b"1"]], [b"2000-1", [b"b", b"2"]]], "XRANGE", "s", "-", "+"
    )
    assert frame.index.tolist() == ["1000-0", "2000-1"]
    assert list(frame.columns) == ["time", "a", "b"]
    assert str(frame["time"].dtype) == "datetime64[ms, UTC]"
    assert frame["a"].isna().tolist() == [False, True]


def test_frame_of_anything_else() -> None:
    assert frame_of([b"a", None], "LRANGE", "l")["value"].tolist()[0] == "a"
    assert frame_of(5, "INCR", "k")["value"].tolist() == [5]
    assert frame_of(1.5, "ZSCORE", "k")["value"].tolist() == [1.5]
    assert frame_of([b"a", 1, [b"x"]], "X")["value"].tolist() == ["a", 1, '["x"]']
    assert frame_of(Status("OK"), "SET")["value"].tolist() == ["OK"]
    assert frame_of(ResponseError("ERR no"), "HGETALL")["value"].tolist() == [
        'error:"ERR no"'
    ]


@pytest.mark.parametrize("shape", ["map", "flat"])
def test_frame_of_function_list(shape: str) -> None:
    entry: Any = {
        b"engine": b"js", b"api_version": b"1.0", b"name": b"lib", b"user": b"default",
        b"pending_jobs": 0, b"functions": [b"f", b"g"], b"keyspace_triggers": [b"t"],
        b"stream_triggers": [], b"cluster_functions": [],
    }  # fmt: skip
    if shape == "flat":
        entry = [part for pair in entry.items() for part in pair]
    frame = frame_of([entry], "TFUNCTION", "LIST")
    assert frame.loc["lib", ["functions", "keyspace_triggers"]].tolist() == [2, 1]


# -- several


def test_transcript() -> None:
    replies = Replies(
        [Reply(OK, [b"SET", b"a", b"1"]), Reply(1), Reply(2)],
        ["redis> SET a 1", "redis> 2 INCR a", ""],
    )
    assert replies.text == (
        "redis> SET a 1\nOK\nredis> 2 INCR a\n(integer) 1\n(integer) 2"
    )
    assert replies == ["OK", 1, 2]
    assert replies[-1] == 2
    assert replies[:1] == ["OK"]
    assert replies.value == ["OK", 1, 2]
    assert replies._repr_mimebundle_() == {"text/plain": replies.text}
    assert replies.df()["reply"].tolist() == ["OK", "(integer) 1", "(integer) 2"]
    assert replies[:1].script() == "SET a 1"


def test_a_single_reply_without_echo_is_shown_as_itself() -> None:
    bundle = Replies([Reply({b"a": b"b"}, [b"HGETALL", b"k"])])._repr_mimebundle_()
    assert "text/html" in bundle
