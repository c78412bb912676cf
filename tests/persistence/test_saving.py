"""SAVE, BGSAVE, LASTSAVE, save points."""

from __future__ import annotations

import gc
import os
import threading
import time

import pytest

import trignb
from trignb.persistence.snapshot import GuardedKeys, Snapshot

BUSY = "ERR Background save already in progress"


@pytest.fixture
def engine(tmp_path):
    """An engine with a directory of its own."""
    with trignb.Engine(dir=str(tmp_path)) as engine:
        yield engine


def run(engine, text):
    try:
        return engine.execute(*text.split())
    except trignb.ResponseError as error:
        return str(error)


def info(engine, name):
    for line in run(engine, "INFO persistence").decode().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value
    raise KeyError(name)


def loaded(path):
    """Return what a saved file holds, all values as commands give them."""
    with trignb.Engine.from_rdb(path) as other:
        return {key: other.core.databases[0].data[key] for key in run(other, "KEYS *")}


def test_save(engine, tmp_path):
    engine.clock.freeze(at="2026-01-01T12:00:00Z")
    run(engine, "SET k v")
    assert info(engine, "rdb_changes_since_last_save") == "1"
    engine.clock.advance(seconds=10)
    before = run(engine, "LASTSAVE")
    assert run(engine, "SAVE") == "OK"
    assert run(engine, "LASTSAVE") == 1767268810 != before
    assert info(engine, "rdb_last_save_time") == "1767268810"
    assert info(engine, "rdb_changes_since_last_save") == "0"
    assert info(engine, "rdb_saves") == "1"
    assert os.listdir(tmp_path) == ["dump.rdb"]
    run(engine, "CONFIG RESETSTAT")
    assert info(engine, "rdb_saves") == "0"


def test_save_in_a_transaction_is_refused(engine):
    run(engine, "MULTI")
    assert run(engine, "SAVE") == "ERR Command not allowed inside a transaction"


def test_save_that_fails(engine, tmp_path):
    os.mkdir(tmp_path / "dump.rdb")
    assert run(engine, "SAVE") == "ERR"


def test_bgsave(engine, tmp_path):
    run(engine, "SET k v")
    assert run(engine, "BGSAVE x") == "ERR syntax error"
    assert run(engine, "BGSAVE SCHEDULE x") == "ERR syntax error"
    assert run(engine, "BGSAVE schedule") == "Background saving started"
    engine.saver.wait()
    assert loaded(tmp_path / "dump.rdb") == {b"k": b"v"}
    assert info(engine, "rdb_last_bgsave_status") == "ok"
    assert info(engine, "rdb_bgsave_in_progress") == "0"
    assert info(engine, "rdb_last_bgsave_time_sec") == "0"


def test_bgsave_in_a_transaction_begins_after_it(engine, tmp_path):
    for text in ("MULTI", "SET k 1", "BGSAVE", "BGSAVE", "SET k 2"):
        run(engine, text)
    replies = run(engine, "EXEC")
    assert replies[1] == replies[2] == "Background saving scheduled"
    engine.saver.wait()
    assert loaded(tmp_path / "dump.rdb") == {b"k": b"2"}
    assert info(engine, "rdb_saves") == "1"


def held(engine, monkeypatch):
    """Let the next save wait in the middle of its work; returns what lets it go on."""
    go_on = threading.Event()
    write_some = Snapshot._write_some

    def slow(self, *args):
        assert go_on.wait(10)
        return write_some(self, *args)

    monkeypatch.setattr(Snapshot, "_write_some", slow)
    return go_on


CHANGES = [
    "SET k new",
    "DEL gone",
    "APPEND raw more",
    "SETRANGE raw 0 X",
    "HSET h f new g new",
    "HDEL h f",
    "RPUSH l new",
    "LPOP l",
    "SADD s new",
    "SREM s a",
    "ZADD z 9 a 5 new",
    "ZREM z b",
    "XADD x 9-9 f new",
    "XDEL x 1-1",
    "XREADGROUP GROUP g bob STREAMS x >",
    "XACK x g 1-1",
    "PEXPIRE timed 77",
    "RENAME h h2",
    "HSET h2 f renamed",
    "MOVE l 1",
    "SORT s ALPHA STORE sorted",
    "PFADD hll b c d",
    "PFCOUNT hll",
    "SETBIT bits 9 1",
    "LMOVE l2 l2 LEFT RIGHT",
    "EXPIRE k 100",
    "SET late v",
]


@pytest.mark.parametrize(
    "changes",
    [
        CHANGES,
        [*CHANGES, "FLUSHDB", *CHANGES],
        ["SWAPDB 0 1", *CHANGES, "SWAPDB 0 1", *CHANGES],
        ["EVAL redis.call('HSET',KEYS[1],'f','lua') 1 h", "COPY h hc", "HSET hc f v"],
    ],
    ids=["changes", "flush", "swap", "script"],
)
def test_what_happens_meanwhile_is_not_in_the_file(
    engine, tmp_path, monkeypatch, changes
):
    for text in (
        "SET k old",
        "SET gone old",
        "SET timed v PX 100000000",
        "APPEND raw old",
        "HSET h f old",
        "RPUSH l a b",
        "RPUSH l2 a b c",
        "SADD s a b",
        "ZADD z 1 a 2 b",
        "XADD x 1-1 f old",
        "XADD x 1-2 f old",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g bob COUNT 1 STREAMS x >",
        "PFADD hll a",
        "SETBIT bits 7 1",
    ):
        assert not str(run(engine, text)).startswith("ERR"), text
    engine.save(tmp_path / "before.rdb")
    go_on = held(engine, monkeypatch)
    assert run(engine, "BGSAVE") == "Background saving started"
    assert isinstance(engine.core.databases[0].data, GuardedKeys)
    for text in changes:
        run(engine, text)
    assert run(engine, "BGSAVE") == run(engine, "SAVE") == BUSY
    assert info(engine, "rdb_bgsave_in_progress") == "1"
    go_on.set()
    engine.saver.wait()
    assert all(type(db.data) is dict for db in engine.core.databases)
    with (
        trignb.Engine.from_rdb(
            tmp_path / "before.rdb", enable_debug_command="yes"
        ) as before,
        trignb.Engine.from_rdb(
            tmp_path / "dump.rdb", enable_debug_command="yes"
        ) as saved,
    ):
        assert run(saved, "DEBUG DIGEST") == run(before, "DEBUG DIGEST")
        assert run(saved, "PEXPIRETIME timed") == run(before, "PEXPIRETIME timed")
        pending = "XPENDING x g - + 10"
        assert len(run(saved, pending)) == len(run(before, pending)) == 1


def test_a_save_in_the_middle_of_writes_is_of_one_moment(engine, tmp_path):
    """Two counters in two hashes move together; whatever is saved has them equal."""
    for number in range(3000):
        run(engine, f"HSET pad{number} f v")
    stop = threading.Event()

    def write():
        session = engine.session()
        number = 0
        while not stop.is_set():
            number += 1
            for text in ("MULTI", f"HSET a n {number}", f"HSET b n {number}", "EXEC"):
                session.execute(*text.split())

    run(engine, "HSET a n 0")
    run(engine, "HSET b n 0")
    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            assert run(engine, "BGSAVE") == "Background saving started"
            engine.saver.wait()
            contents = loaded(tmp_path / "dump.rdb")
            assert contents[b"a"] == contents[b"b"]
            assert len(contents) == 3002
    finally:
        stop.set()
        thread.join()


def test_changes_since_then_are_those_since_it_began(engine, monkeypatch):
    run(engine, "SET a 1")
    go_on = held(engine, monkeypatch)
    run(engine, "BGSAVE")
    run(engine, "SET b 1")
    run(engine, "SET c 1")
    go_on.set()
    engine.saver.wait()
    assert info(engine, "rdb_changes_since_last_save") == "2"


def test_closing_gives_a_save_up(engine, tmp_path, monkeypatch):
    run(engine, "SET a 1")
    go_on = held(engine, monkeypatch)
    run(engine, "BGSAVE")
    threading.Timer(0.05, go_on.set).start()
    engine.close()
    engine.saver.wait()
    assert os.listdir(tmp_path) == []


# -- writes are refused while saves fail


def test_misconf(engine, tmp_path):
    os.mkdir(tmp_path / "dump.rdb")
    run(engine, "CONFIG SET save 3600\n1")
    engine.execute("CONFIG", "SET", "save", "3600 1")
    run(engine, "SET a 1")
    run(engine, "BGSAVE")
    engine.saver.wait()
    assert info(engine, "rdb_last_bgsave_status") == "err"
    assert run(engine, "SET a 2").startswith(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable"
    )
    assert run(engine, "PING").startswith("MISCONF")
    assert run(engine, "GET a") == b"1"
    run(engine, "CONFIG SET stop-writes-on-bgsave-error no")
    assert run(engine, "SET a 3") == "OK"
    run(engine, "CONFIG SET stop-writes-on-bgsave-error yes")
    assert run(engine, "SET a 4").startswith("MISCONF")
    os.rmdir(tmp_path / "dump.rdb")
    run(engine, "SAVE")
    assert run(engine, "SET a 5") == "OK"


# -- save points


def wait_for(path, seconds=5.0):
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return path.exists()


def test_save_points_act_where_a_directory_was_given(tmp_path):
    with trignb.Engine(dir=str(tmp_path), save="1 2") as engine:
        run(engine, "SET a 1")
        engine.clock.freeze()
        engine.clock.advance(seconds=3)
        time.sleep(0.25)
        assert not (tmp_path / "dump.rdb").exists()
        run(engine, "SET a 2")
        assert wait_for(tmp_path / "dump.rdb")
        engine.saver.wait()
        assert info(engine, "rdb_changes_since_last_save") == "0"


def test_without_a_directory_they_do_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with trignb.Engine(save="1 1") as engine:
        run(engine, "SET a 1")
        engine.clock.freeze()
        engine.clock.advance(seconds=3)
        time.sleep(0.25)
        assert os.listdir(tmp_path) == []
        assert run(engine, "SAVE") == "OK"
        assert os.listdir(tmp_path) == ["dump.rdb"]


def test_large_values_are_saved_too(engine, tmp_path):
    engine.execute("RPUSH", "l", *range(5000))
    engine.execute("SET", "k", "v")
    engine.execute("SETRANGE", "raw", "9000", "x")
    run(engine, "BGSAVE")
    engine.saver.wait()
    contents = loaded(tmp_path / "dump.rdb")
    assert len(contents[b"l"]) == 5000
    assert len(contents[b"raw"]) == 9001
    assert contents[b"k"] == b"v"
    assert engine.core.saves.keys_done == 3


# -- guarded keys


def test_guarded_keys_copy_what_may_change(engine):
    run(engine, "SET text v")
    run(engine, "HSET h f v")
    db = engine.core.databases[0]
    with engine.core.lock:
        snapshot = Snapshot(engine.core, [])
    guarded = db.data
    assert isinstance(guarded, GuardedKeys)
    first = guarded.pending[b"h"]
    assert guarded.get(b"h") is first
    assert guarded.pending[b"h"] is not first
    assert guarded.pending[b"h"] == first
    assert guarded.pop(b"none", 5) == 5
    assert guarded[b"text"] == b"v"
    snapshot.close()
    assert type(db.data) is dict


def test_flushall_gives_a_save_up(engine, tmp_path):
    for number in range(50_000):
        engine.execute("SET", f"k{number}", "v")
    before = info(engine, "rdb_saves")
    with engine.core.lock:
        run(engine, "BGSAVE")
        run(engine, "FLUSHALL")
    engine.saver.wait()
    assert info(engine, "rdb_last_bgsave_status") == "ok"
    assert info(engine, "rdb_saves") == before
    assert os.listdir(tmp_path) == []


def test_flushall_saves_where_there_are_save_points(engine, tmp_path):
    engine.execute("CONFIG", "SET", "save", "3600 1")
    run(engine, "SET k v")
    run(engine, "FLUSHALL")
    assert info(engine, "rdb_changes_since_last_save") == "0"
    assert loaded(tmp_path / "dump.rdb") == {}


def test_python_s_collector_leaves_the_keys_alone_meanwhile(engine):
    run(engine, "HSET h f v")
    snapshot = Snapshot(engine.core, [])
    assert gc.get_freeze_count() > 0
    other = Snapshot(engine.core, [])
    other.close()
    assert gc.get_freeze_count() > 0
    snapshot.close()
    snapshot.close()
    assert gc.get_freeze_count() == 0


def test_what_others_froze_stays_frozen(engine):
    gc.freeze()
    try:
        Snapshot(engine.core, []).close()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
