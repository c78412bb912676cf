"""DataFrames out of keys and into them: `reading` and `writing`."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import trignb
from functions.libraries import lib
from trignb.errors import ResponseError
from trignb.notebook.columns import TEXT
from trignb.notebook.writing import Written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

PEOPLE = pd.DataFrame(
    {"name": ["Ann", "Tom"], "age": [41, 7], "height": [1.7, np.nan]},
    index=pd.Index(["a", "t"], name="key"),
)


def contents(engine: trignb.Engine) -> dict[bytes, Any]:
    return {key: engine.execute("HGETALL", key) for key in engine.execute("KEYS", "*")}


# -- hashes


def test_rows_become_hashes(engine: trignb.Engine) -> None:
    assert engine.hset_frame(PEOPLE, "user:") == Written(2, 5, 5, 0)
    assert contents(engine) == {
        b"user:a": {b"name": b"Ann", b"age": b"41", b"height": b"1.7"},
        b"user:t": {b"name": b"Tom", b"age": b"7"},
    }
    assert engine.hset_frame(PEOPLE, b"user:") == Written(2, 5, 0, 0)


def test_the_key_may_be_a_column(engine: trignb.Engine) -> None:
    frame = pd.DataFrame({"n": [1, 2], "x": ["a", None]})
    assert engine.hset_frame(frame, "k", key="n") == Written(1, 1, 1, 1)
    assert contents(engine) == {b"k1": {b"x": b"a"}}


def test_hashes_become_rows(engine: trignb.Engine) -> None:
    engine.hset_frame(PEOPLE, "user:")
    engine.execute("SET", "user:count", 2)
    frame = engine.hash_frame("user:*")
    assert frame.index.tolist() == ["user:a", "user:t"]
    assert [str(d) for d in frame.dtypes] == [TEXT, TEXT, TEXT]
    assert frame["age"].tolist() == ["41", "7"]
    assert frame["height"].isna().tolist() == [False, True]
    chosen = engine.hash_frame(["user:t", b"user:none"])
    assert chosen.index.tolist() == ["user:t"]
    assert chosen.columns.tolist() == ["name", "age"]
    assert engine.hash_frame([]).empty


def test_columns_of_numbers_on_request(engine: trignb.Engine) -> None:
    engine.hset_frame(
        PEOPLE.assign(zip=["01", "2"], big=pd.array([2**62 + 1, None])), "user:"
    )
    frame = engine.hash_frame("user:*", numbers=True)
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert dtypes == {
        "name": TEXT,
        "age": "int64",
        "height": "float64",
        # Not how a number is written: it would come back as another text.
        "zip": TEXT,
        "big": "Int64",
    }
    assert frame["big"].iloc[0] == 2**62 + 1
    for text in ("nan", "1.50", "1e3", "0x10", " 1", "1_0", ""):
        engine.execute("HSET", "odd", "f", text)
        assert str(engine.hash_frame(["odd"], numbers=True)["f"].dtype) == TEXT


def test_bytes_that_are_no_text(engine: trignb.Engine) -> None:
    engine.execute("HSET", b"\xff", b"\xfe", b"\xfd", rb"\xfe", "typed")
    frame = engine.hash_frame()
    assert frame.index.tolist() == [r"\xff"]
    assert frame.columns.tolist() == [r"\xfe", r"\xfe"]
    assert frame.iloc[0].tolist() == [r"\xfd", "typed"]
    raw = engine.hash_frame(raw=True)
    assert raw.index.tolist() == [b"\xff"]
    assert raw.iloc[0].to_dict() == {b"\xfe": b"\xfd", rb"\xfe": b"typed"}


def test_reading_is_no_command(engine: trignb.Engine) -> None:
    engine.hset_frame(PEOPLE, "user:")
    before = engine.core.hits, engine.core.misses, engine.core.event_seq
    engine.hash_frame(["user:a", "none"])
    engine.zset_frame("none")
    engine.stream_frame("none")
    assert (engine.core.hits, engine.core.misses, engine.core.event_seq) == before


def test_a_key_whose_time_has_come_is_not_seen(engine: trignb.Engine) -> None:
    engine.execute("HSET", "h", "f", "v")
    engine.execute("PEXPIRE", "h", 10)
    engine.core.active_expire = False
    engine.clock.advance(seconds=1)
    assert engine.hash_frame().empty
    assert engine.hash_frame(["h"]).empty
    assert b"h" in engine.core.databases[0].data


def test_events_and_triggers_fire(engine: trignb.Engine) -> None:
    engine.load(
        lib(
            "redis.registerKeySpaceTrigger('t', 'user:',"
            " (c, d) => c.call('hset', d.key, 'seen', '1'));"
        )
    )
    engine.hset_frame(PEOPLE, "user:")
    assert engine.triggers().loc[("lib", "t"), "num_success"] == 2
    assert engine.hash_frame("user:*")["seen"].tolist() == ["1", "1"]
    assert (engine.notifications()["origin"] == "client").sum() == 4


# -- what is refused


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (True, "a bool has no one text; write column.astype(int)"),
        (np.True_, "a bool has no one text; write column.astype(int)"),
        (pd.Timestamp(0), "a Timestamp has no one text; write column.map(lambda x:"),
        (dt.date(2024, 1, 1), "a date has no one text; write column.map(lambda x:"),
        (pd.Timedelta(1), "a Timedelta has no one text; write column.dt.total_seconds"),
        ([1], "a list has no one text; write column.map(json.dumps)"),
        ({"a": 1}, "a dict has no one text; write column.map(json.dumps)"),
        (1j, "a complex has no one text; write column.astype(str)"),
    ],
)
def test_a_value_without_one_text(
    engine: trignb.Engine, value: Any, advice: str
) -> None:
    frame = pd.DataFrame(
        {"ok": ["x", "y"], "bad": pd.Series(["x", value], dtype=object)}
    )
    with pytest.raises(TypeError) as caught:
        engine.hset_frame(frame)
    assert str(caught.value).startswith(f"'bad', row 1: {advice}")
    assert engine.execute("DBSIZE") == 0


def test_a_column_of_bools_is_refused_even_when_it_is_empty(
    engine: trignb.Engine,
) -> None:
    for frame in (pd.DataFrame({"b": [True]}), pd.DataFrame({"b": []}, dtype=bool)):
        with pytest.raises(TypeError, match="'b', row 0: a bool has no one text"):
            engine.hset_frame(frame)


def test_what_is_no_frame_and_no_key(engine: trignb.Engine) -> None:
    for write in (engine.hset_frame, engine.zadd_frame, engine.xadd_frame):
        args = () if write == engine.hset_frame else ("k",)
        with pytest.raises(TypeError, match="a DataFrame is needed, not a Series"):
            write(PEOPLE["name"], *args)
    engine.execute("HSET", 5, "f", "v")
    numbered: Any = [5]
    assert engine.hash_frame(numbered).index.tolist() == ["5"]
    with pytest.raises(TypeError, match="None has no text"):
        engine.hash_frame([None])
    assert engine.execute("DBSIZE") == 1


def test_frames_without_rows(engine: trignb.Engine) -> None:
    engine.notifications()
    for frame in (pd.DataFrame(), pd.DataFrame({"member": [], "score": []})):
        assert engine.hset_frame(frame) == Written()
        assert engine.xadd_frame(frame, "s") == Written()
    assert engine.zadd_frame(frame, "z") == Written()
    assert engine.hset_frame(pd.DataFrame(index=["a", "b"])) == Written(skipped=2)
    assert engine.notifications().empty


def test_rows_without_a_key(engine: trignb.Engine) -> None:
    frame = pd.DataFrame({"k": ["a", None], "x": [1, 2]})
    with pytest.raises(ValueError, match="row 1 has no key"):
        engine.hset_frame(frame, key="k")
    with pytest.raises(ValueError, match="there are no columns 'z'"):
        engine.hset_frame(frame, key="z")
    twice = pd.concat([frame, frame], axis=1)
    with pytest.raises(ValueError, match="there are 2 columns 'k'"):
        engine.hset_frame(twice, key="k")
    with pytest.raises(ValueError, match="the index has several levels"):
        engine.hset_frame(frame.set_index(["k", "x"]))
    with pytest.raises(TypeError, match=r"the name of column \('a', 'b'\): a tuple"):
        engine.hset_frame(pd.DataFrame([[1]], columns=[("a", "b")]))
    assert engine.execute("DBSIZE") == 0


@pytest.mark.parametrize(
    "write",
    [
        lambda e: e.hset_frame(PEOPLE, "user:"),
        lambda e: e.zadd_frame(pd.DataFrame({"member": ["a"], "score": [1]}), "user:t"),
        lambda e: e.xadd_frame(PEOPLE, "user:t"),
        lambda e: e.hash_frame(["user:a", "user:t"]),
        lambda e: e.zset_frame("user:t"),
        lambda e: e.stream_frame("user:t"),
    ],
)
def test_another_type(engine: trignb.Engine, write: Callable[[Any], object]) -> None:
    engine.execute("SET", "user:t", "x")
    with pytest.raises(ResponseError) as caught:
        write(engine)
    assert str(caught.value) == WRONGTYPE
    assert engine.execute("KEYS", "*") == [b"user:t"]


def test_databases(engine: trignb.Engine) -> None:
    engine.hset_frame(PEOPLE, db=3)
    assert len(engine.hash_frame(db=3)) == 2
    assert engine.hash_frame().empty
    for call in (engine.zset_frame, engine.stream_frame):
        with pytest.raises(ResponseError, match="ERR DB index is out of range"):
            call("k", db=99)


def test_rights_are_the_caller_s(engine: trignb.Engine) -> None:
    engine.execute("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@read")
    engine.execute("AUTH", "reader", "")
    with pytest.raises(ResponseError, match="NOPERM") as caught:
        engine.hset_frame(PEOPLE)
    assert caught.value.__notes__ == ["0 of 2 rows were written"]


# -- others, and interrupts


def test_others_get_in_between(engine: trignb.Engine) -> None:
    frame = pd.DataFrame({"x": range(1000)})
    seen: list[int] = []

    def step(done: int, total: int) -> None:
        assert total == 1000
        other = threading.Thread(target=lambda: seen.append(engine.execute("DBSIZE")))
        other.start()
        other.join(30)
        assert not other.is_alive()

    engine.hset_frame(frame, progress=step)
    assert seen == list(range(100, 1001, 100))


@pytest.mark.parametrize("name", ["hset_frame", "xadd_frame", "zadd_frame"])
def test_an_interrupt_keeps_what_was_written(engine: trignb.Engine, name: str) -> None:
    frame = pd.DataFrame({"member": range(1000), "score": range(1000)})

    def interrupt(done: int, _total: int) -> None:
        if done >= 500:
            raise KeyboardInterrupt

    args = () if name == "hset_frame" else ("k",)
    with pytest.raises(KeyboardInterrupt) as caught:
        getattr(engine, name)(frame, *args, progress=interrupt)
    assert caught.value.__notes__ == ["500 of 1,000 rows were written"]
    written = {
        "hset_frame": lambda: engine.execute("DBSIZE"),
        "xadd_frame": lambda: engine.execute("XLEN", "k"),
        "zadd_frame": lambda: engine.execute("ZCARD", "k"),
    }
    assert written[name]() == 500
    assert not engine.core.nesting
    other = threading.Thread(target=engine.execute, args=("FLUSHALL",))
    other.start()
    other.join(30)
    assert engine.execute("DBSIZE") == 0


# -- sorted sets


def test_sorted_sets(engine: trignb.Engine) -> None:
    frame = pd.DataFrame(
        {"who": ["a", "b", b"\xff", "c"], "points": [2.5, np.inf, 1, np.nan]}
    )
    written = engine.zadd_frame(frame, "z", member="who", score="points")
    assert written == Written(3, 3, 3, 1)
    read = engine.zset_frame("z")
    assert read["member"].tolist() == [r"\xff", "a", "b"]
    assert read["score"].tolist() == [1.0, 2.5, np.inf]
    assert engine.zset_frame("z", raw=True)["member"].tolist() == [b"\xff", b"a", b"b"]
    assert [str(d) for d in engine.zset_frame("none").dtypes] == [TEXT, "float64"]


def test_many_members_are_few_commands(engine: trignb.Engine) -> None:
    frame = pd.DataFrame({"member": range(1200), "score": range(1200)})
    engine.execute("ZADD", "z", 5, "7")
    engine.notifications()
    assert engine.zadd_frame(frame, "z") == Written(1200, 1200, 1199, 0)
    assert engine.execute("ZSCORE", "z", "7") == 7
    assert (engine.notifications()["event"] == "zadd").sum() == 3


def test_scores_and_members_that_are_none(engine: trignb.Engine) -> None:
    with pytest.raises(ValueError, match="could not convert string to float"):
        engine.zadd_frame(pd.DataFrame({"member": ["a"], "score": ["x"]}), "z")
    with pytest.raises(ValueError, match="row 0 has no member"):
        engine.zadd_frame(pd.DataFrame({"member": [None], "score": [1]}), "z")
    assert engine.execute("DBSIZE") == 0


# -- streams


def test_streams(engine: trignb.Engine) -> None:
    engine.execute("XADD", "s", "1704067200123-0", "a", "1", "b", "2")
    engine.execute("XADD", "s", "1704067200124-7", "b", "3")
    frame = engine.stream_frame("s")
    assert (frame.index.name, frame.index.tolist()) == (
        "id",
        ["1704067200123-0", "1704067200124-7"],
    )
    assert str(frame["time"].dtype) == "datetime64[ms, UTC]"
    assert frame["time"].iloc[0] == pd.Timestamp("2024-01-01T00:00:00.123Z")
    assert frame["a"].isna().tolist() == [False, True]
    assert frame["b"].tolist() == ["2", "3"]
    assert len(engine.stream_frame("s", "1704067200124")) == 1
    assert len(engine.stream_frame("s", "-", "(1704067200124-7")) == 1
    assert len(engine.stream_frame("s", count=1)) == 1
    assert engine.stream_frame("s", count=0).empty
    assert engine.stream_frame("s", "+", "-").empty
    assert str(engine.stream_frame("none")["time"].dtype) == "datetime64[ms, UTC]"


def test_fields_may_be_called_as_the_columns_are(engine: trignb.Engine) -> None:
    engine.execute("XADD", "s", "1-0", "id", "7", "time", "noon")
    frame = engine.stream_frame("s")
    assert frame.index.tolist() == ["1-0"]
    assert frame["id"].tolist() == ["7"]
    assert frame["time"].tolist() == ["noon"]
    assert engine.xadd_frame(frame, "copy") == Written(1, 2, 1, 0)
    assert engine.execute("XRANGE", "copy", "-", "+") == [
        [b"1-0", [b"id", b"7", b"time", b"noon"]]
    ]


def test_ids_that_no_calendar_has(engine: trignb.Engine) -> None:
    top = "18446744073709551615-18446744073709551615"
    engine.execute("XADD", "s", "253402300799999-0", "f", "v")
    engine.execute("XADD", "s", top, "f", "v")
    frame = engine.stream_frame("s")
    assert frame.index.tolist()[1] == top
    assert frame["time"].isna().tolist() == [False, True]
    assert "9999-12-31" in repr(frame)


def test_where_the_ids_come_from(engine: trignb.Engine) -> None:
    frame = pd.DataFrame({"n": ["1-1", "1-2"], "x": [1, 2]})
    engine.xadd_frame(frame, "made")
    ms = engine.clock.now_ns() // 1_000_000
    made = engine.stream_frame("made")
    assert made.index.tolist() == [f"{ms}-0", f"{ms}-1"]
    assert made.columns.tolist() == ["time", "n", "x"]
    engine.xadd_frame(frame, "column", "n")
    assert engine.stream_frame("column").index.tolist() == ["1-1", "1-2"]
    engine.xadd_frame(frame.set_index("n").rename_axis("id"), "index")
    assert engine.stream_frame("index").index.tolist() == ["1-1", "1-2"]
    engine.xadd_frame(frame.set_index("n").rename_axis("id"), "index", "*")
    assert engine.execute("XLEN", "index") == 4


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (["1-1", "1-1"], "ERR The ID specified in XADD is equal or smaller than"),
        (["0-0", "1-1"], "ERR The ID specified in XADD"),
        (["2-0", "x"], "ERR Invalid stream ID specified as stream command argument"),
    ],
)
def test_ids_that_cannot_be(engine: trignb.Engine, ids: list[str], text: str) -> None:
    frame = pd.DataFrame({"id": ids, "x": [1, 2]})
    with pytest.raises(ResponseError, match=text):
        engine.xadd_frame(frame, "s", "id")
    assert engine.execute("DBSIZE") == 0
    engine.execute("XADD", "s", "5-0", "f", "v")
    with pytest.raises(ResponseError, match="equal or smaller"):
        engine.xadd_frame(pd.DataFrame({"id": ["5-0"], "x": [1]}), "s", "id")
    assert engine.execute("XLEN", "s") == 1


def test_numbers_are_written_as_they_are_shown(engine: trignb.Engine) -> None:
    frame = pd.DataFrame(
        {
            "f32": np.array([0.1], dtype=np.float32),
            "f64": [0.1],
            "whole": [3.0],
            "u64": np.array([2**64 - 1], dtype=np.uint64),
            "Int64": pd.array([2**62 + 1], dtype="Int64"),
            "dec": [Decimal("1.50")],
            "cat": pd.Categorical(["x"]),
        }
    )
    engine.hset_frame(frame, "k")
    assert list(engine.execute("HGETALL", "k0").values()) == [
        *(b"0.1", b"0.1", b"3", b"18446744073709551615"),
        *(b"4611686018427387905", b"1.50", b"x"),
    ]


# -- there and back


@pytest.fixture(scope="module")
def engines() -> Iterator[Callable[[], tuple[trignb.Engine, trignb.Engine]]]:
    """Two engines, which are empty whenever they are asked for."""
    with trignb.Engine() as one, trignb.Engine() as other:

        def empty() -> tuple[trignb.Engine, trignb.Engine]:
            one.execute("FLUSHALL")
            other.execute("FLUSHALL")
            return one, other

        yield empty


# A hundred would be a second each.
FEWER = settings(max_examples=25)

texts = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.lists(texts, min_size=1, max_size=5, unique=True)


@st.composite
def tables(draw: Callable[..., Any], values: st.SearchStrategy[Any]) -> pd.DataFrame:
    """A frame of which no row and no column is empty."""
    fields, keys = draw(names), draw(names)
    cells = st.lists(values, min_size=len(keys), max_size=len(keys))
    data = {field: draw(cells) for field in fields}
    data[fields[0]] = [draw(values.filter(lambda v: v is not None)) for _ in keys]
    index = pd.Index(keys, name="key", dtype=TEXT)
    frame = pd.DataFrame({f: pd.array(v, dtype=TEXT) for f, v in data.items()}, index)
    return frame.loc[:, frame.notna().any()]


@FEWER
@given(tables(texts | st.none()))
def test_hashes_there_and_back(engines: Any, frame: pd.DataFrame) -> None:
    engine, _ = engines()
    written = engine.hset_frame(frame)
    assert written == Written(len(frame), frame.count().sum(), frame.count().sum())
    read = engine.hash_frame(list(frame.index))
    assert_frame_equal(read, frame, check_like=True)


binary = st.dictionaries(st.binary(max_size=4), st.binary(max_size=8), min_size=1)


@FEWER
@given(st.dictionaries(st.binary(max_size=4), binary, min_size=1, max_size=4))
def test_frames_there_and_back(
    engines: Any, hashes: dict[bytes, dict[bytes, bytes]]
) -> None:
    engine, other = engines()
    for key, fields in hashes.items():
        engine.execute("HSET", key, *(x for pair in fields.items() for x in pair))
    other.hset_frame(engine.hash_frame(raw=True))
    assert contents(other) == hashes


numbers = st.integers(-(2**63), 2**63 - 1) | st.none()
floats = st.floats(allow_nan=False) | st.none()


@FEWER
@given(st.lists(st.tuples(numbers, floats), min_size=1, max_size=5))
def test_numbers_there_and_back(
    engines: Any, rows: list[tuple[int | None, float | None]]
) -> None:
    ints = pd.array([i for i, _ in rows], dtype="Int64")
    doubles = np.array([np.nan if f is None else f for _, f in rows])
    frame = pd.DataFrame({"i": ints, "f": doubles, "all": "x"})
    engine, _ = engines()
    engine.hset_frame(frame)
    read = engine.hash_frame(list(map(str, frame.index)), numbers=True)
    for name in read.columns:
        assert read[name].isna().tolist() == frame[name].isna().tolist()
        assert read[name].dropna().tolist() == frame[name].dropna().tolist()


scores = st.dictionaries(texts, st.floats(allow_nan=False), max_size=6)


@FEWER
@given(scores)
def test_sorted_sets_there_and_back(engines: Any, members: dict[str, float]) -> None:
    engine, _ = engines()
    engine.execute("ZADD", "z", "0", "-")
    for member, score in members.items():
        engine.execute("ZADD", "z", score, member)
    frame = engine.zset_frame("z")
    assert engine.zadd_frame(frame, "copy").added == len(frame)
    assert_frame_equal(engine.zset_frame("copy"), frame)


@FEWER
@given(st.lists(binary, min_size=1, max_size=4))
def test_streams_there_and_back(
    engines: Any, entries: list[dict[bytes, bytes]]
) -> None:
    engine, _ = engines()
    for fields in entries:
        words = (x for pair in fields.items() for x in pair)
        engine.execute("XADD", "s", "*", *words)
    frame = engine.stream_frame("s", raw=True)
    engine.xadd_frame(frame, "copy")
    assert_frame_equal(engine.stream_frame("copy", raw=True), frame, check_like=True)
    found = engine.execute("XRANGE", "copy", "-", "+")
    copied = [dict(zip(i[::2], i[1::2], strict=True)) for _, i in found]
    assert copied == entries
