from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import trignb
from functions.libraries import lib
from trignb.engine.events import EVICTED, EXPIRED, HASH, KEYMISS, NEW, STRING
from trignb.engine.logs import CommandRecord, NotificationRecord
from trignb.errors import ResponseError
from trignb.notebook.columns import TEXT
from trignb.notebook.frames import commands_frame, fired_frame, notifications_frame
from trignb.reply import NULL_ARRAY, OK

NOTIFICATION_DTYPES = {
    "time": "datetime64[ms, UTC]",
    "db": "int64",
    "event": TEXT,
    "event_class": "category",
    "key": TEXT,
    "key_type": TEXT,
    "origin": "category",
    "command_seq": "Int64",
    "cause_seq": "Int64",
    "depth": "int64",
    "num_triggers": "int64",
    "triggers": "object",
    "outcome": "category",
}
COMMAND_DTYPES = {
    "time": "datetime64[ms, UTC]",
    "db": "int64",
    "client": TEXT,
    "command": TEXT,
    "args": "object",
    "n_args": "int64",
    "key": TEXT,
    "reply_type": "category",
    "error": TEXT,
    "elapsed_ms": "float64",
    "in_multi": "bool",
    "from_library": TEXT,
    "n_notifications": "int64",
}


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def notification(**fields: Any) -> tuple[Any, ...]:
    record = NotificationRecord(
        1, 1_704_067_200_123_456_789, 0, HASH, b"hset", b"k", "hash", "client",
        [b"HSET", b"k", b"a", b"1"], 1, None, 0, [],
    )  # fmt: skip
    return tuple(record._replace(**fields))


STREAMS = lib(
    """redis.registerStreamTrigger('s', 'st:', (client, data) => {
    if (data.record[0][1] === 'bad') throw new RangeError('bad record');
}, {isStreamTrimmed: true, description: 'd'});
redis.registerStreamTrigger('idle', 'none:', () => {});
redis.registerStreamTrigger('slow', 'bg:', (client, data) =>
    client.callAsync('blpop', 'go', '0'), {window: 2});"""
)


def run(outcome: str, trigger: str = "t") -> Any:
    return SimpleNamespace(library="lib", trigger=trigger, outcome=outcome)


def command(reply: Any = OK, **fields: Any) -> CommandRecord:
    record = CommandRecord(
        1, 1_704_067_200_000_000_000, 0, "notebook", [b"set", b"k", b"\xff"], reply,
        None, 1_500_000, False, None, 2,
    )  # fmt: skip
    return record._replace(**fields)


@pytest.mark.parametrize("rows", [0, 3])
def test_notification_schema(rows: int) -> None:
    frame = notifications_frame([notification(seq=i) for i in range(rows)])
    assert dtypes(frame) == NOTIFICATION_DTYPES
    assert list(frame.columns) == list(NOTIFICATION_DTYPES)
    assert (frame.index.name, str(frame.index.dtype)) == ("seq", "int64")
    assert list(frame["event_class"].cat.categories) == list("g$lshzxetdmn")
    assert list(frame["origin"].cat.categories) == [
        "client", "trigger", "function", "expire", "evict", "script",
    ]  # fmt: skip
    assert list(frame["outcome"].cat.categories) == ["none", "ok", "failed", "pending"]


def test_notification_values() -> None:
    frame = notifications_frame(
        [
            notification(fired=[run("ok"), run("failed", "u")]),
            notification(seq=2, kind=EXPIRED, event=b"expired", origin="expire"),
            notification(seq=3, cause_seq=1, command_seq=None, fired=[run("pending")]),
            notification(seq=4, kind=KEYMISS, key=b"\xff", fired=[run("ok")]),
        ]
    )
    assert frame["time"].iloc[0] == pd.Timestamp("2024-01-01T00:00:00.123Z")
    assert frame["event_class"].tolist() == ["h", "x", "h", "m"]
    assert frame["key"].tolist() == ["k", "k", "k", r"\xff"]
    assert frame["outcome"].tolist() == ["failed", "none", "pending", "ok"]
    assert frame["triggers"].tolist() == [["lib.t", "lib.u"], [], ["lib.t"], ["lib.t"]]
    assert frame["num_triggers"].tolist() == [2, 0, 1, 1]
    assert frame["command_seq"].isna().tolist() == [False, False, True, False]
    assert frame["cause_seq"].iloc[2] == 1


def test_raw_keys_on_request() -> None:
    frame = notifications_frame([notification(key=b"\xff")], raw=True)
    assert frame["key_raw"].tolist() == [b"\xff"]
    assert dtypes(notifications_frame([], raw=True))["key_raw"] == "object"


@pytest.mark.parametrize("kind", [STRING, NEW, EVICTED])
def test_every_class_has_a_letter(kind: int) -> None:
    assert notifications_frame([notification(kind=kind)])["event_class"].notna().all()


@pytest.mark.parametrize("rows", [0, 2])
def test_fired_schema(rows: int) -> None:
    frame = fired_frame([notification(fired=[run("ok")])] * rows)
    assert dtypes(frame) == {
        "library": TEXT, "trigger": TEXT, "event": TEXT, "key": TEXT,
        "outcome": "category",
    }  # fmt: skip
    assert len(frame) == rows


@pytest.mark.parametrize("rows", [0, 3])
def test_command_schema(rows: int) -> None:
    frame = commands_frame([command(seq=i) for i in range(rows)], [b"k"] * rows)
    assert dtypes(frame) == COMMAND_DTYPES
    assert (frame.index.name, str(frame.index.dtype)) == ("seq", "int64")


def test_command_values() -> None:
    frame = commands_frame([command(), command(error="ERR no")], [b"k", None])
    assert frame["command"].tolist() == ["SET", "SET"]
    assert frame["args"].tolist()[0] == ["k", r"\xff"]
    assert frame["n_args"].tolist() == [2, 2]
    assert frame["key"].isna().tolist() == [False, True]
    assert frame["elapsed_ms"].tolist() == [1.5, 1.5]
    assert frame["reply_type"].tolist() == ["status", "error"]


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (OK, "status"),
        (b"x", "string"),
        (1, "integer"),
        (1.5, "double"),
        (True, "boolean"),
        (None, "nil"),
        (NULL_ARRAY, "nil"),
        ([], "array"),
        ({}, "map"),
        (set(), "set"),
        (ResponseError("ERR"), "error"),
    ],
)
def test_reply_types(reply: Any, name: str) -> None:
    assert commands_frame([command(reply)], [None])["reply_type"].tolist() == [name]


def test_stream_triggers(engine: trignb.Engine) -> None:
    engine.load(STREAMS)
    now_ms = engine.clock.now_ns() // 1_000_000
    engine.execute("XADD", "st:1", f"{now_ms - 40}-7", "f", "v")
    engine.execute("XADD", "st:1", f"{now_ms}-0", "f", "bad")
    for i in range(1, 6):
        engine.execute("XADD", "bg:1", f"{i}-0", "f", "v")
    frame = engine.stream_triggers()
    assert list(frame.index.get_level_values("trigger")) == ["s", "idle", "slow"]
    done = frame.loc[("lib", "s", "st:1")]
    assert done["prefix"] == "st:"
    assert done["trimmed"]
    assert done[["total_processed", "pending", "backlog"]].tolist() == [2, 0, 0]
    assert done[["last_lag_ms", "avg_lag_ms"]].tolist() == [0.0, 20.0]
    assert done["id_to_read_from"] == f"{now_ms}-0"
    assert done["last_error"] == "RangeError: bad record"
    slow = frame.loc[("lib", "slow", "bg:1")]
    assert slow["window"] == 2
    assert slow["pending_ids"] == ["1-0", "2-0"]
    assert slow["id_to_read_from"] == "2-0"
    assert slow[["pending", "backlog"]].tolist() == [2, 3]
    # What was deleted is no backlog any more.
    engine.execute("XDEL", "bg:1", "4-0")
    assert engine.stream_triggers().loc[("lib", "slow", "bg:1"), "backlog"] == 2
    idle = frame.iloc[1]
    assert pd.isna(frame.index[1][2])
    assert pd.isna(idle["id_to_read_from"])
    assert idle["pending_ids"] == []


def test_latencies(engine: trignb.Engine) -> None:
    engine.load(
        lib(
            """redis.registerKeySpaceTrigger('t', 'user:', (client, data) => {
    if (data.key === 'user:bad') throw new TypeError('boom'); });
redis.registerAsyncFunction('f', () => 1);"""
        )
    )
    times = engine.library_registry.libraries["lib"].triggers["t"].statistics
    for us in range(1, 101):
        times.note(us * 1000)
    engine.execute("SET", "user:bad", "x")
    frame = engine.latencies()
    row = frame.loc[("lib", "t")]
    assert row["runs"] == 101
    assert row["failures"] == 1
    assert row["errors"] == {"TypeError": 1}
    assert row["min_us"] == 0
    assert row["max_us"] == 100
    assert row["mean_us"] == pytest.approx(5050 / 101)
    for name, us in (("p50_us", 50), ("p90_us", 90), ("p99_us", 99)):
        assert row[name] == pytest.approx(us, rel=1 / 16)
    never = frame.loc[("lib", "f")]
    assert never["kind"] == "async_function"
    assert never[["runs", "p99_us", "failures"]].tolist() == [0, 0.0, 0]


def test_a_large_log_is_quick_to_read(long: bool) -> None:
    # A million in two seconds is the aim, measured by `make bench`; here with slack for a
    # busy machine.
    n, limit_s = (1_000_000, 5) if long else (100_000, 2)
    fired = [run("ok")]
    records = [
        notification(seq=i, key=b"key:%d" % i, fired=[] if i % 50 else fired)
        for i in range(n)
    ]
    started = time.process_time()
    frame = notifications_frame(records)
    assert time.process_time() - started < limit_s
    assert len(frame) == n
    assert frame["num_triggers"].sum() == n / 50
