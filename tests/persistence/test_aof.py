"""The append-only file while the engine runs: what is in it, when, and what INFO says."""

from __future__ import annotations

import gc
import os
import stat
import threading
import time

import pytest

import trignb
from persistence.aof_files import (
    LIBRARY,
    LUA,
    digest,
    engine_on,
    files,
    last_file,
    run,
    run_all,
    words,
)
from trignb.persistence import aof, aof_output
from trignb.persistence.aof_output import AofOutput

MISCONF = "MISCONF Errors writing to the AOF file: No space left on device"


@pytest.fixture
def engine(tmp_path):
    with engine_on(tmp_path) as engine:
        yield engine


def written(tmp_path) -> list[bytes]:
    return words(last_file(tmp_path).read_bytes())


def info(engine, name):
    for line in run(engine, "INFO persistence").decode().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value
    raise KeyError(name)


def eventually(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# -- what is in it


def test_a_new_directory(engine, tmp_path):
    names = ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"]
    assert list(files(tmp_path)) == [*names, "appendonly.aof.manifest"]
    assert files(tmp_path)["appendonly.aof.manifest"] == (
        b"file appendonly.aof.1.base.rdb seq 1 type b\n"
        b"file appendonly.aof.1.incr.aof seq 1 type i\n"
    )
    assert last_file(tmp_path).read_bytes() == b""


def test_a_command_is_written_when_it_returns(engine, tmp_path):
    run(engine, "SET k v")
    assert written(tmp_path) == [b"SELECT 0", b"SET k v"]
    run(engine, "GET k")
    run(engine, "set k w")
    assert written(tmp_path)[2:] == [b"set k w"]


def test_a_unit_is_one_transaction(engine, tmp_path):
    engine.load(LIBRARY)
    before = len(written(tmp_path))
    run(engine, "SET user:1 tom")
    assert written(tmp_path)[before:] == [
        *(b"MULTI", b"SELECT 0", b"SET user:1 tom", b"incr fired", b"EXEC"),
    ]
    run_all(engine, "MULTI\nSET a 1\nSELECT 3\nINCR b\nEXEC\nSET c 1")
    assert written(tmp_path)[before + 5 :] == [
        *(b"MULTI", b"SET a 1", b"SELECT 3", b"INCR b", b"EXEC", b"SET c 1"),
    ]


def test_messages_are_not_in_it(engine, tmp_path):
    session = engine.session()
    core = engine.core

    def propagate(*batch):
        core.effects = [(0, text.encode().split()) for text in batch]
        with core.lock:
            core.flush_effects()

    # As with replicas, which get PUBLISH too.
    propagate("PUBLISH a b")
    propagate("publish a b", "SPUBLISH a b")
    assert written(tmp_path) == []
    propagate("PUBLISH a b", "SET k v", "PUBLISH a b")
    assert written(tmp_path) == [b"SELECT 0", b"SET k v"]
    propagate("PUBLISH a b", "SET k v", "INCR n")
    assert written(tmp_path)[2:] == [b"MULTI", b"SET k v", b"INCR n", b"EXEC"]
    session.close()


def test_libraries_are_annotations(engine, tmp_path):
    engine.load(LIBRARY + "// " + "long " * 1000, config={"a": "x"})
    data = last_file(tmp_path).read_bytes()
    lines = data.splitlines(keepends=True)
    assert len(lines) > 5
    assert all(len(x) < 1024 and x.endswith(b"\r\n") for x in lines)
    assert all(
        x.startswith(b"#trignb+ _rg" if x is lines[0] else b"#trignb") for x in lines
    )
    run(engine, "XADD log 5-1 f v")
    assert written(tmp_path)[-1:] == [b"EXEC"]
    assert written(tmp_path)[-2] == (
        b"_rg_internals.update_stream_last_read_id lib reader log 5 1"
    )
    run(engine, "TFUNCTION DELETE lib")
    assert (
        last_file(tmp_path)
        .read_bytes()
        .endswith(b"#trignb: _rg_internals.function del lib\r\n")
    )


def test_times(engine, tmp_path):
    engine.clock.freeze(at="2026-01-01T12:00:00Z")
    run(engine, "SET a 1")
    run(engine, "CONFIG SET aof-timestamp-enabled yes")
    run_all(engine, "SET a 2\nSET a 3")
    engine.clock.advance(seconds=1)
    run_all(engine, "MULTI\nSET a 4\nSELECT 2\nSET a 5\nEXEC")
    parts = last_file(tmp_path).read_bytes().split(b"#TS:")
    assert [part[:12] for part in parts[1:]] == [b"1767268800\r\n", b"1767268801\r\n"]
    assert [words(part.partition(b"\r\n")[2]) for part in parts[1:]] == [
        [b"SET a 2", b"SET a 3"],
        [b"MULTI", b"SET a 4", b"SELECT 2", b"SET a 5", b"EXEC"],
    ]


def test_keys_that_expire(engine, tmp_path):
    engine.core.active_expire = False
    engine.clock.freeze()
    run(engine, "SET k v PX 10")
    engine.clock.advance(seconds=1)
    run(engine, "GET k")
    assert written(tmp_path)[-1] == b"DEL k"


# -- it comes back


def test_everything_comes_back(tmp_path):
    with engine_on(tmp_path) as engine:
        engine.load(LIBRARY, config={"a": "x"})
        engine.execute("FUNCTION", "LOAD", LUA)
        run_all(
            engine,
            """
            SET user:1 tom
            SET user:1 tim EX 1000
            HSET user:2 f v
            RPUSH l a b
            SADD s x y
            ZADD z 1 a 2.5 b
            XADD log 5-1 f v
            XADD log 6-1 f v
            XGROUP CREATE log g 0
            XREADGROUP GROUP g c COUNT 1 STREAMS log >
            SELECT 7
            SET far away
            """,
        )
        before = digest(engine)
    with engine_on(tmp_path) as engine:
        assert digest(engine) == before
        assert run(engine, "GET fired") == b"4"
        assert run(engine, "FCALL f 0") == b"hi"
        assert run(engine, "LRANGE seen 0 -1") == [b"5", b"6"]
        library = run(engine, "TFUNCTION LIST vvv")[0]
        assert library[b"configuration"] == b'{"a": "x"}'
        run(engine, "XADD log 7-1 f v")
        run(engine, "SET user:3 tam")
        assert run(engine, "GET fired") == b"5"
        assert run(engine, "LRANGE seen 0 -1") == [b"5", b"6", b"7"]
        run(engine, "TFUNCTION DELETE lib")
    with engine_on(tmp_path) as engine:
        assert run(engine, "TFUNCTION LIST") == []
        assert run(engine, "GET fired") == b"5"


def test_debug_loadaof(engine, tmp_path):
    engine.load(LIBRARY)
    run_all(engine, "SET user:1 a\nSET b 2")
    before = digest(engine)
    subscriber = engine.session()
    run(engine, "CONFIG SET notify-keyspace-events KEA")
    subscriber.execute("PSUBSCRIBE", "__keyevent*")
    subscriber.inbox.clear()
    assert run(engine, "DEBUG LOADAOF") == "OK"
    assert digest(engine) == before
    # As in Redis those who listen hear it all again; triggers are silent.
    assert [message[3] for message in subscriber.inbox] == [b"user:1", b"fired", b"b"]
    run(engine, "SET user:2 c")
    assert run(engine, "GET fired") == b"2"
    assert written(tmp_path)[-2:] == [b"incr fired", b"EXEC"]


def test_debug_loadaof_that_fails(engine, tmp_path):
    engine.load(LIBRARY)
    run_all(engine, "SET user:1 a\nSET b 2")
    engine.execute("FUNCTION", "LOAD", LUA)
    before = digest(engine)
    path = last_file(tmp_path)
    data = path.read_bytes()
    path.write_bytes(
        data.replace(b"*3\r\n$3\r\nSET\r\n$1\r\nb", b"*x\r\n$3\r\nSET\r\n$1\r\nb")
    )
    assert run(engine, "DEBUG LOADAOF") == (
        "ERR Error trying to load the AOF files, check server logs."
    )
    assert digest(engine) == before
    assert run(engine, "FCALL f 0") == b"hi"
    run(engine, "SET user:2 c")
    assert run(engine, "GET fired") == b"2"


def test_debug_loadaof_without_one(tmp_path):
    with engine_on(tmp_path, appendonly=False) as engine:
        run(engine, "SET a 1")
        assert run(engine, "DEBUG LOADAOF") == (
            "ERR Error trying to load the AOF files, check server logs."
        )
        assert run(engine, "GET a") == b"1"
    assert os.listdir(tmp_path) == []


# -- on and off


def test_on_and_off_at_run_time(tmp_path):
    with engine_on(tmp_path, appendonly=False) as engine:
        run(engine, "SET a 1")
        assert run(engine, "CONFIG SET appendonly yes") == "OK"
        run(engine, "SET b 2")
        eventually(lambda: info(engine, "aof_pending_rewrite") == "0")
        assert list(files(tmp_path)) == [
            *("appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"),
            "appendonly.aof.manifest",
        ]
        assert written(tmp_path) == [b"SELECT 0", b"SET b 2"]
        assert run(engine, "CONFIG SET appendonly no") == "OK"
        run(engine, "SET c 3")
        assert written(tmp_path) == [b"SELECT 0", b"SET b 2"]
        assert run(engine, "CONFIG SET appendonly yes") == "OK"
        # Closing waits for the first rewrite: until then nothing is kept.
    assert list(files(tmp_path))[:2] == [
        *("appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof"),
    ]
    with engine_on(tmp_path) as engine:
        assert sorted(run(engine, "KEYS *")) == [b"a", b"b", b"c"]


def test_it_cannot_be_turned_on(tmp_path):
    (tmp_path / "appendonlydir").write_text("")
    refusal = "ERR CONFIG SET failed (possibly related to argument 'appendonly') - "
    with engine_on(tmp_path, appendonly=False) as engine:
        assert run(engine, "CONFIG SET appendonly yes") == (
            f"{refusal}Unable to turn on AOF. Check server logs."
        )
        assert run(engine, "CONFIG GET appendonly") == {b"appendonly": b"no"}
        assert run(engine, "SET a 1") == "OK"
    with pytest.raises(FileExistsError):
        engine_on(tmp_path)


def test_one_engine_at_a_time(engine, tmp_path):
    with pytest.raises(trignb.AofError, match="is in use by another engine of this"):
        engine_on(tmp_path)
    with engine_on(tmp_path, appendonly=False) as other:
        assert "Unable to turn on" in run(other, "CONFIG SET appendonly yes")
        assert "Can't execute an AOF" in run(other, "BGREWRITEAOF")
    engine.close()
    engine_on(tmp_path).close()


def test_an_engine_that_nobody_closed(tmp_path):
    engine = engine_on(tmp_path)
    run(engine, "SET a 1")
    del engine
    gc.collect()
    with engine_on(tmp_path) as engine:
        assert run(engine, "GET a") == b"1"


def test_names_are_parameters(tmp_path):
    names = {"appenddirname": "aof", "appendfilename": "log file"}
    with engine_on(tmp_path, **names) as engine:
        run(engine, "SET a 1")
        run(engine, "BGREWRITEAOF")
        engine.aof.rewriter.wait()
    assert sorted(os.listdir(tmp_path / "aof")) == [
        *("log file.2.base.rdb", "log file.2.incr.aof", "log file.lock"),
        "log file.manifest",
    ]
    with engine_on(tmp_path, **names) as engine:
        assert run(engine, "GET a") == b"1"


def test_contents_that_were_not_propagated(engine, tmp_path):
    run(engine, "SET a 1")
    snapshot = engine.snapshot()
    run(engine, "SET a 2")
    engine.restore(snapshot)
    run(engine, "SET b 2")
    assert written(tmp_path) == [b"SELECT 0", b"SET b 2"]
    assert run(engine, "DEBUG RELOAD") == "OK"
    engine.save(tmp_path / "other.rdb")
    engine.close()
    with engine_on(tmp_path) as engine:
        assert sorted(run(engine, "KEYS *")) == [b"a", b"b"]
        assert run(engine, "GET a") == b"1"
        engine.reset()
    with engine_on(tmp_path) as engine:
        assert run(engine, "DBSIZE") == 0
        engine.load_rdb(tmp_path / "other.rdb")
    with engine_on(tmp_path) as engine:
        assert run(engine, "DBSIZE") == 2


# -- on disk


@pytest.fixture
def synced(monkeypatch):
    """The sizes at which files were put on disk."""
    sizes = []
    sync = aof_output._sync

    def note(fd):
        sizes.append(os.fstat(fd).st_size)
        sync(fd)

    monkeypatch.setattr(aof_output, "_sync", note)
    return sizes


def test_always(tmp_path, synced):
    with engine_on(tmp_path, appendfsync="always") as engine:
        run(engine, "SET a 1")
        run(engine, "SET a 2")
        assert synced == [50, 77]
        run(engine, "CONFIG SET appendfsync no")
        run(engine, "SET a 2")
        assert synced == [50, 77]
    assert synced == [50, 77, 104]


def test_everysec(engine, synced):
    run(engine, "SET a 1")
    eventually(lambda: engine.aof.output.synced == 50)
    assert synced == [50]
    assert run(engine, "WAITAOF 1 0 0") == [1, 0]
    run(engine, "SET a 2")
    assert run(engine, "WAITAOF 1 0 0") == [1, 0]
    assert synced == [50, 77]


def test_the_disk_is_left_to_a_rewrite(tmp_path, synced):
    with engine_on(
        tmp_path, appendfsync="always", no_appendfsync_on_rewrite=True
    ) as engine:
        engine.core.aof.started = 1.0
        run(engine, "SET a 1")
        assert synced == []
        engine.core.aof.started = None
        run(engine, "SET a 2")
        assert synced == [77]


# -- when it cannot be written


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What failed is tried again soon."""
    monkeypatch.setattr(aof, "_RETRY_S", 0.05)


@pytest.fixture
def full(monkeypatch):
    """A disk with room for so many bytes, where a number is put in the list."""
    room: list[int] = []
    write = os.write

    def limited(fd, data):
        if not (room and stat.S_ISREG(os.fstat(fd).st_mode)):
            return write(fd, data)
        if room[0] <= 0:
            raise OSError(28, os.strerror(28))
        part = memoryview(data)[: room[0]]
        room[0] -= len(part)
        return write(fd, part)

    monkeypatch.setattr(aof_output.os, "write", limited)
    return room


def test_a_full_disk(engine, tmp_path, full):
    run(engine, "SET a 1")
    full.append(10)
    before = last_file(tmp_path).read_bytes()
    # This one is in memory, as in Redis; it is written when there is room.
    assert run(engine, "SET a 2") == "OK"
    assert last_file(tmp_path).read_bytes() == before
    assert info(engine, "aof_last_write_status") == "err"
    assert int(info(engine, "aof_buffer_length")) > 0
    assert run(engine, "SET a 3") == MISCONF
    assert run(engine, "PING") == MISCONF
    assert run(engine, "GET a") == b"2"
    with pytest.raises(trignb.ResponseError, match="MISCONF.* script: "):
        engine.execute("EVAL", "return redis.call('set', 'a', '3')", 0)
    full.clear()
    eventually(lambda: info(engine, "aof_last_write_status") == "ok")
    assert run(engine, "SET a 4") == "OK"
    assert written(tmp_path) == [b"SELECT 0", b"SET a 1", b"SET a 2", b"SET a 4"]
    assert info(engine, "aof_buffer_length") == "0"


def test_a_full_disk_with_always(tmp_path, full):
    with engine_on(tmp_path, appendfsync="always") as engine:
        run(engine, "SET a 1")
        full.append(10)
        # Nobody is told that it was kept.
        assert run(engine, "SET a 2") == MISCONF
        assert run(engine, "SET a 3") == MISCONF
        full.clear()
        eventually(lambda: info(engine, "aof_last_write_status") == "ok")
    with engine_on(tmp_path) as engine:
        assert run(engine, "GET a") == b"2"


def test_what_cannot_be_put_on_disk(tmp_path, monkeypatch):
    def fail(_fd):
        raise OSError(5, os.strerror(5))

    text = "MISCONF Errors writing to the AOF file: Input/output error"
    with engine_on(tmp_path, appendfsync="always") as engine:
        with monkeypatch.context() as patch:
            patch.setattr(aof_output, "_sync", fail)
            assert run(engine, "SET a 1") == text
            assert run(engine, "SET a 2") == text
        eventually(lambda: info(engine, "aof_last_write_status") == "ok")
        assert run(engine, "SET a 3") == "OK"
        assert written(tmp_path) == [b"SELECT 0", b"SET a 1", b"SET a 3"]


def test_a_short_write_is_cut_back(tmp_path, full):
    output = AofOutput(str(tmp_path / "file"))
    output.waiting += b"whole" * 10
    output.write()
    full.append(7)
    output.waiting += b"half" * 10
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            output.write()
        assert (tmp_path / "file").read_bytes() == b"whole" * 10
    full.clear()
    output.write()
    assert (tmp_path / "file").read_bytes() == b"whole" * 10 + b"half" * 10
    assert output.size == 90
    output.close()


def test_an_interrupt_within_a_write(tmp_path, monkeypatch):
    output = AofOutput(str(tmp_path / "file"))
    write = os.write

    def interrupted(fd, data):
        write(fd, data)
        raise KeyboardInterrupt

    output.waiting += b"once"
    with monkeypatch.context() as patch:
        patch.setattr(aof_output.os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            output.write()
    output.waiting += b" more"
    output.write()
    assert (tmp_path / "file").read_bytes() == b"once more"
    output.close()


# -- other threads


def test_threads_write_in_the_order_of_their_units(engine, tmp_path):
    def work(name):
        for _ in range(200):
            engine.execute("RPUSH", "l", name)

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elements = run(engine, "LRANGE l 0 -1")
    assert [text.split()[-1] for text in written(tmp_path)[1:]] == elements
