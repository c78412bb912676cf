"""A server whose disk is full: it says so, breaks nothing, and goes on when there is room again."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oracle.wire import Connection
from persistence.aof_files import files, words
from server.processes import Process
from trignb.errors import ResponseError

ROOM = 128 * 1024
VALUE = "x" * 5000


@dataclass
class Disk:
    """A small one: a file system of its own, or a limit for files where one may not mount."""

    path: Path
    is_mounted: bool

    @property
    def reason(self) -> str:
        """What the operating system says when it is full."""
        return os.strerror(28 if self.is_mounted else 27)

    def limit(self) -> None:
        """Limit the process that this is called in."""
        if not self.is_mounted:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))

    def make_room(self, server: Process) -> None:
        """Let the server write again."""
        if self.is_mounted:
            mount(self.path, f"remount,size={64 * ROOM}")
        else:
            pid, kind = server.process.pid, resource.RLIMIT_FSIZE
            hard = resource.prlimit(pid, kind)[1]
            resource.prlimit(pid, kind, (hard, hard))


def mount(path: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    is_mounted = request.param == "a file system" and mount(tmp_path, f"size={ROOM}")
    try:
        yield Disk(tmp_path, is_mounted)
    finally:
        if is_mounted:
            subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("disk", "policy"),
    [("a file system", "always"), ("a limit", "everysec")],
    indirect=["disk"],
)
def test_full(disk: Disk, policy: str) -> None:
    server = Process(disk.path, "--appendfsync", policy, before=disk.limit)
    try:
        promised = fill(server)
        refusal = f"MISCONF Errors writing to the AOF file: {disk.reason}"
        with contextlib.closing(Connection(server.port)) as connection:
            ask = connection.execute
            for args in (("SET", "k", "v"), ("PING",), ("INCR", "n")):
                reply = ask(*args)
                assert isinstance(reply, ResponseError)
                assert str(reply) == refusal
            assert ask("GET", "key:0") == VALUE.encode()
            assert b"aof_last_write_status:err" in ask("INFO", "persistence")
            # Nothing in half is in the file, though half of it had room.
            data = files(disk.path)["appendonly.aof.1.incr.aof"]
            written = len(words(data)) - 1
            assert written >= promised - (policy == "everysec")
            disk.make_room(server)
            promised = go_on(connection)
    finally:
        server.kill()
    server = Process(disk.path)
    try:
        with contextlib.closing(Connection(server.port)) as connection:
            assert connection.execute("EXISTS", "after") == 1
            keys = [f"key:{i}" for i in range(promised)]
            assert connection.execute("EXISTS", *keys) == promised
    finally:
        server.kill()


def fill(server: Process) -> int:
    """Write until it is full; returns how many writes were acknowledged."""
    with contextlib.closing(Connection(server.port)) as connection:
        for i in range(100):
            try:
                reply = connection.execute("SET", f"key:{i}", VALUE)
            except ConnectionError:
                # Under `always` nobody is told what became of it.
                return i
            if isinstance(reply, ResponseError):
                return i
    raise AssertionError("the disk is never full")


def go_on(connection: Connection) -> int:
    """Wait until writes go through; returns how many keys there are."""
    end = time.monotonic() + 10
    while isinstance(connection.execute("SET", "after", "1"), ResponseError):
        assert time.monotonic() < end
        time.sleep(0.02)
    # With everysec a write waits while the disk is at the one before, as in Redis.
    while b"aof_buffer_length:0\r\n" not in connection.execute("INFO", "persistence"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(connection.execute("DBSIZE")) - 1
