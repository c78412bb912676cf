"""A replica with an append-only file of its own, and snapshots that take turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from persistence.aof_files import LIBRARY, digest, engine_on, last_file, run, words
from trignb.persistence.snapshot import Snapshot


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_replica_keeps_what_it_gets(tmp_path: Path) -> None:
    (tmp_path / "primary").mkdir()
    (tmp_path / "replica").mkdir()
    quick = {"repl_diskless_sync_delay": 0}
    with (
        engine_on(tmp_path / "primary", **quick) as primary,
        engine_on(tmp_path / "replica") as replica,
        primary.serve() as server,
    ):
        primary.load(LIBRARY)
        run(primary, "SET user:1 tom")
        run(replica, "SET old gone")
        run(replica, f"REPLICAOF 127.0.0.1 {server.port}")
        eventually(lambda: run(replica, "GET fired") == b"1")
        # What came by the full sync is a base of its own.
        assert words(last_file(tmp_path / "replica").read_bytes()) == []
        run(primary, "SET user:2 tim")
        run(primary, "XADD log 5-1 f v")
        run(primary, "PUBLISH channel message")
        assert run(primary, "WAITAOF 1 1 10000") == [1, 1]
        assert words(last_file(tmp_path / "replica").read_bytes()) == [
            *(b"MULTI", b"SELECT 0", b"SET user:2 tim", b"incr fired", b"EXEC"),
            *(b"MULTI", b"XADD log 5-1 f v", b"rpush seen 5"),
            b"_rg_internals.update_stream_last_read_id lib reader log 5 1",
            b"EXEC",
        ]
        before = digest(primary)
    with engine_on(tmp_path / "replica") as promoted:
        assert digest(promoted) == before
        run(promoted, "XADD log 6-1 f v")
        assert run(promoted, "LRANGE seen 0 -1") == [b"5", b"6"]


def test_a_full_sync_waits_for_a_rewrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    write_some = Snapshot._write_some

    def slow(self, *args):
        assert go_on.wait(10)
        assert self.core.snapshots == 1
        return write_some(self, *args)

    monkeypatch.setattr(Snapshot, "_write_some", slow)
    (tmp_path / "replica").mkdir()
    quick = {"repl_diskless_sync_delay": 0}
    with (
        engine_on(tmp_path, **quick) as primary,
        engine_on(tmp_path / "replica", appendonly=False) as replica,
        primary.serve() as server,
    ):
        run(primary, "RPUSH l a")
        run(primary, "BGREWRITEAOF")
        run(replica, f"REPLICAOF 127.0.0.1 {server.port}")
        eventually(lambda: b"state=wait_bgsave" in run(primary, "INFO replication"))
        assert primary.core.snapshots == 1
        run(primary, "RPUSH l b")
        go_on.set()
        eventually(lambda: run(replica, "LRANGE l 0 -1") == [b"a", b"b"])
        primary.aof.rewriter.wait()
        run(primary, "RPUSH l c")
    with engine_on(tmp_path) as again:
        assert run(again, "LRANGE l 0 -1") == [b"a", b"b", b"c"]
