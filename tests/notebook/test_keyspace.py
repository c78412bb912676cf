from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from trignb.engine.events import KEYMISS
from trignb.errors import ResponseError

if TYPE_CHECKING:
    import trignb


def fill(engine: trignb.Engine) -> None:
    for line in [
        "SET n 12",
        "SET text hello PX 1500",
        "RPUSH l a b c",
        "SADD ints 1 2",
        "ZADD z 1 a",
        "HSET h f v g w",
        "XADD x 1-0 f v",
    ]:
        engine.execute(*line.split())


def test_values_are_those_of_the_commands(engine: trignb.Engine) -> None:
    fill(engine)
    frame = engine.keys_frame()
    assert list(frame.index) == ["n", "text", "l", "ints", "z", "h", "x"]
    for key, row in frame.iterrows():
        assert row["type"] == str(engine.execute("TYPE", key))
        assert row["encoding"] == engine.execute("OBJECT", "ENCODING", key).decode()
        assert row["memory"] == engine.execute("MEMORY", "USAGE", key)
    assert frame["size"].tolist() == [2, 5, 3, 2, 1, 2, 1]
    assert frame["ttl_ms"].isna().tolist() == [k != "text" for k in frame.index]
    assert frame.loc["text", "ttl_ms"] == 1500


def test_pattern_type_and_database(engine: trignb.Engine) -> None:
    fill(engine)
    engine.execute("SELECT", 3)
    engine.execute("SET", b"\xff", "v")
    assert list(engine.keys_frame("?").index) == ["n", "l", "z", "h", "x"]
    assert list(engine.keys_frame(type="zset").index) == ["z"]
    assert list(engine.keys_frame(b"*t*", type="string").index) == ["text"]
    other = engine.keys_frame(db=3, raw=True, memory=False)
    assert list(other.index) == [r"\xff"]
    assert other["key_raw"].tolist() == [b"\xff"]
    assert other["db"].tolist() == [3]
    assert "memory" not in other.columns


def test_what_there_is_not_is_said(engine: trignb.Engine) -> None:
    with pytest.raises(ValueError, match="there is no type sorted; there are string"):
        engine.keys_frame(type="sorted")
    for number in (16, -1):
        with pytest.raises(ResponseError, match="ERR DB index is out of range"):
            engine.keys_frame(db=number)


def test_looking_changes_nothing(engine: trignb.Engine) -> None:
    fill(engine)
    engine.execute("OBJECT", "IDLETIME", "n")
    engine.clock.advance(seconds=1)
    engine.core.active_expire = False
    engine.clock.advance(seconds=100)
    heard: list[bytes] = []
    engine.core.listen(lambda *event: heard.append(event[2]), engine.core.notifications.mask | KEYMISS)  # fmt: skip
    before = engine.core.hits, engine.core.misses, engine.core.dirty
    due = "text" in engine.keys_frame().index
    assert not due
    assert b"text" in engine.core.databases[0].data
    assert not heard
    assert (engine.core.hits, engine.core.misses, engine.core.dirty) == before
    assert engine.execute("OBJECT", "IDLETIME", "n") == 101


def test_others_get_in_between(engine: trignb.Engine) -> None:
    for i in range(1200):
        engine.execute("SET", f"k{i}", i)
    steps: list[tuple[int, int]] = []

    def step(done: int, total: int) -> None:
        steps.append((done, total))
        # On another thread: this one may have the lock twice.
        other = threading.Thread(target=engine.execute, args=("DEL", "k1100"))
        other.start()
        other.join(30)
        assert not other.is_alive()

    frame = engine.keys_frame(progress=step)
    assert steps == [(500, 1200), (1000, 1200), (1200, 1200)]
    assert len(frame) == 1199


def test_an_interrupt_leaves_the_engine_to_others(engine: trignb.Engine) -> None:
    for i in range(600):
        engine.execute("SET", f"k{i}", i)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.keys_frame(progress=interrupt)
    done: list[Any] = []
    other = threading.Thread(target=lambda: done.append(engine.execute("PING")))
    other.start()
    other.join(30)
    assert done == ["PONG"]


def test_subcommand(shell: Any) -> None:
    shell.run_line_magic("redis", "SET user:1 x")
    shell.run_line_magic("redis", "-n 2 HSET user:2 a b")
    run = shell.run_line_magic
    assert list(run("tf", "keyspace user:*").index) == ["user:1"]
    assert list(run("tf", "keyspace --db 2 --type hash").index) == ["user:2"]
    assert run("tf", "keyspace --type string --db 2").empty
    assert run("tf", "streams").empty
    assert run("tf", "latencies").empty
