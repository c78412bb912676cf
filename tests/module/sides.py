"""The two servers that are compared: ``trignb serve`` and Redis with the module.

Each has, beside the clients of a case, a subscriber that hears every keyspace event and a
connection that poses as a replica, so that what a step caused can be told in order.
"""

from __future__ import annotations

import re
import select
import subprocess
import sys
import tempfile
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from module.wire import Link, Raw, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["DEFAULTS", "Effects", "Server", "Side", "TrignbServer"]

Effects = tuple[list[str], list[str]]
"""Events and propagated commands, each as a text."""

_CHANNEL = "__mark__"
_PATIENCE_S = 15.0

# What a case may have changed, back to what it was before the next one.
DEFAULTS = {
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "redisgears_2.error-verbosity": "1",
    "redisgears_2.lock-redis-timeout": "500",
    "redisgears_2.db-loading-lock-redis-timeout": "30000",
    "redisgears_2.remote-task-default-timeout": "500",
    "redisgears_2.library-fatal-failure-policy": "Abort",
    "redisgears_2.gearsbox-address": "http://localhost:3000",
    "min-replicas-to-write": "0",
}
_EVENTS = "KEAmn"


class Server(Protocol):
    """A server that listens at a loopback port."""

    port: int

    def close(self) -> None:
        """End it."""


class TrignbServer:
    """A process with ``trignb serve``; ``gears`` are pairs of a name and a value."""

    def __init__(self, *args: str, gears: Iterable[tuple[str, str]] = ()) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="trignb-module-")
        command = [sys.executable, "-m", "trignb", "serve", "--port", "0"]
        command += ["--dir", self._directory.name, "--save", "", *args]
        command += ["--enable-debug-command", "yes"]
        for name, value in gears:
            command += ["--gears-config", f"{name}={value}"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        # Lines that are not read later fit into the pipe: a case causes none.
        self.port = self._read_port()

    def _read_port(self) -> int:
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line.decode())
            found = re.search(r"Ready to accept connections on \S*?:(\d+)", lines[-1])
            if found is not None:
                return int(found[1])
        raise RuntimeError("trignb serve does not start:\n" + "".join(lines))

    def close(self) -> None:
        """End it, at once if it does not end by itself."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._directory.cleanup()


class Side:
    """One of the two servers, with the clients of the case that runs."""

    def __init__(self, name: str, server: Server) -> None:
        self.name = name
        self.server = server
        self.control = Link(server.port)
        self.resp = 2
        self._clients: dict[str, Link] = {}
        self._marks = 0
        self._subscriber = Link(server.port)
        self._subscriber.execute("PSUBSCRIBE", "__keyspace@*__:*")
        self._subscriber.execute("SUBSCRIBE", _CHANNEL)
        self._replica = ReplicaLink(server.port)
        self._wait_for_replica()

    def _wait_for_replica(self) -> None:
        # A stream starts once the server considers the replica to be on line.
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            self._replica.link.send("REPLCONF", "ACK", "0")
            self._mark()
            if select.select([self._replica.link.socket], [], [], 0.05)[0]:
                break
            assert time.monotonic() < deadline, "the replica gets no stream"
        self._replica.until(b"%d" % self._marks)

    def close(self) -> None:
        """Hang up, and end the server."""
        self.hang_up()
        for link in (self.control, self._subscriber, self._replica.link):
            link.close()
        self.server.close()

    # -- a case

    def begin(self, resp: int, verbosity: int) -> None:
        """Make the server as it was when it started, for clients of a protocol."""
        self.resp = resp
        self.hang_up()
        ask = self.control.ask
        ask("CLIENT", "UNPAUSE")
        ask("REPLICAOF", "NO", "ONE")
        for user in ask("ACL", "USERS").items:
            if user.value != b"default" and isinstance(user.value, bytes):
                ask("ACL", "DELUSER", user.value)
        for library in self.libraries():
            ask("TFUNCTION", "DELETE", library)
        ask("CONFIG", "SET", "notify-keyspace-events", "")
        for name, value in DEFAULTS.items():
            ask("CONFIG", "SET", name, value)
        ask("CONFIG", "SET", "redisgears_2.error-verbosity", str(verbosity))
        for command in ("FUNCTION FLUSH", "SCRIPT FLUSH", "FLUSHALL"):
            ask(*command.split())
        ask("CONFIG", "SET", "notify-keyspace-events", _EVENTS)
        self.drain()

    def libraries(self) -> list[bytes]:
        """Return the names of the loaded libraries."""
        # Eight pairs before it: the module sorts the fields of its maps by name.
        names = []
        for library in self.control.ask("TFUNCTION", "LIST").items:
            fields = library.items
            pairs = zip(fields[::2], fields[1::2], strict=True)
            names += [v.value for k, v in pairs if k.value == b"name"]
        return [name for name in names if isinstance(name, bytes)]

    def hang_up(self) -> None:
        """Hang up the clients of the last case."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def client(self, name: str) -> Link:
        """Return a client of the case, connected at its first command."""
        if name not in self._clients:
            self._clients[name] = Link(self.server.port, self.resp)
        return self._clients[name]

    def start(self, name: str, args: Iterable[str | bytes]) -> None:
        """Send a command that may wait; returns once it waits, or has been answered."""
        link = self.client(name)
        number = str(link.execute("CLIENT", "ID"))
        link.send(*args)
        self.poll(
            lambda: (
                bool(select.select([link.socket], [], [], 0)[0])
                or b"b" in self._flags(number)
            ),
            f"{name} neither waits nor has an answer",
        )

    def _flags(self, number: str) -> bytes:
        line = self.control.execute("CLIENT", "LIST", "ID", number)
        found = re.search(rb" flags=(\w+)", line)
        return found[1] if found else b"b"

    def poll(self, check: Callable[[], bool], what: str) -> None:
        """Wait for something that happens in the background."""
        deadline = time.monotonic() + _PATIENCE_S
        while not check():
            assert time.monotonic() < deadline, f"{self.name}: {what}"
            time.sleep(0.005)

    # -- what a step caused

    def drain(self) -> Effects:
        """Return events and propagated commands since the last call."""
        self._mark()
        mark = b"%d" % self._marks
        return self._events_until(mark), self._replica.until(mark)

    def _mark(self) -> None:
        self._marks += 1
        self.control.ask("PUBLISH", _CHANNEL, str(self._marks))

    def _events_until(self, mark: bytes) -> list[str]:
        events = []
        while True:
            message = [part.value for part in self._subscriber.raw_reply().items]
            if message[0] == b"pmessage":
                events.append(f"{message[3]!r} {message[2]!r}")
            elif message[2] == mark:
                return events


class ReplicaLink:
    """Poses as a replica to see what a real one would receive."""

    def __init__(self, port: int) -> None:
        self.link = Link(port)
        self._db = 0
        # Internal commands of libraries are for replicas that know them.
        self.link.execute("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "trignb")
        self.link.send("PSYNC", "?", "-1")
        self._skip_snapshot()

    def _skip_snapshot(self) -> None:
        reader = self.link.reader
        start = b""
        while not start.startswith(b"$"):
            start = reader.readline().lstrip(b"\n")
        if not start.startswith(b"$EOF:"):
            reader.read(int(start[1:]))
            return
        end = start[5:].rstrip()
        tail: deque[int] = deque(maxlen=len(end))
        while bytes(tail) != end:
            tail.append(reader.read(1)[0])

    def until(self, mark: bytes) -> list[str]:
        """Return the commands before a mark, each with its database."""
        commands = []
        while True:
            raw = self.link.raw_reply()
            args = [part.value for part in raw.items]
            name = args[0].upper() if isinstance(args[0], bytes) else b""
            if name == b"PUBLISH" and args[1] == _CHANNEL.encode():
                if args[2] == mark:
                    return commands
            elif name == b"SELECT" and isinstance(args[1], bytes):
                self._db = int(args[1])
            elif name not in (b"PING", b"REPLCONF"):
                commands.append(self._told(name, raw))

    def _told(self, name: bytes, raw: Raw) -> str:
        # The database of a transaction's frame is that of whatever came before.
        db = "" if name in (b"MULTI", b"EXEC") else f"{self._db}: "
        return db + " ".join(show(part)[1:] for part in raw.items)
