"""What rows of the event table run on: our engine, or a real redis-server."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import trignb
from oracle.table import Event
from oracle.wire import Connection, as_bytes
from trignb.engine.events import ALL, CLASS_LETTERS, KEYMISS, NEW
from trignb.errors import ResponseError
from trignb.reply import OK, to_resp2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracle.server import RedisServer
    from oracle.table import Argument
    from trignb.engine.database import Database

EVERYTHING = ALL | KEYMISS | NEW
ALL_FLAGS = "KEAmn"
STILL_BLOCKED = "(still blocked)"
FROZEN_AT = 1_700_000_000

# What a row or another test may have changed, back to its default before the next.
DEFAULT_CONFIG = {
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "lazyfree-lazy-user-del": "no",
    "lazyfree-lazy-expire": "no",
    "lazyfree-lazy-eviction": "no",
    "lazyfree-lazy-server-del": "no",
    "stream-node-max-entries": "100",
    "stream-node-max-bytes": "4096",
    "hash-max-listpack-entries": "512",
    "hash-max-listpack-value": "64",
    "list-max-listpack-size": "-2",
    "set-max-intset-entries": "512",
    "set-max-listpack-entries": "128",
    "set-max-listpack-value": "64",
    "zset-max-listpack-entries": "128",
    "zset-max-listpack-value": "64",
    "requirepass": "",
    "rdbcompression": "yes",
    "proto-max-bulk-len": "536870912",
}


class KeyspaceMessages:
    """Collects keyspace notifications; both channel forms have to agree."""

    def __init__(self) -> None:
        self.by_key: list[Event] = []
        self.by_event: list[Event] = []

    def add(self, channel: bytes, message: bytes) -> None:
        """Take in one message of ``__keyspace@N__:…`` or ``__keyevent@N__:…``."""
        head, _, subject = channel.partition(b"__:")
        kind, _, number = head.partition(b"@")
        db = int(number)
        if kind == b"__keyspace":
            self.by_key.append(Event(db, message, subject))
        else:
            self.by_event.append(Event(db, subject, message))

    def drain(self) -> list[Event]:
        """Return the events since the last call."""
        events, others = self.by_key, self.by_event
        self.by_key, self.by_event = [], []
        assert events == others, "the two channel forms disagree"
        return events


class EngineRunner:
    """A fresh engine with a clock that stands still."""

    def __init__(self) -> None:
        self.engine = trignb.Engine(
            notify_keyspace_events=ALL_FLAGS, enable_debug_command="yes"
        )
        self.core = self.engine.core
        self.engine.clock.freeze(at=FROZEN_AT)
        self.core.active_expire = False
        self.sessions = {"main": self.engine.session(resp=2)}
        self.late: dict[str, LateCall] = {}
        self.heard: list[Event] = []
        self.effects: list[tuple[int, list[bytes]]] = []
        self.messages = KeyspaceMessages()
        self.core.sinks.append(self.effects.extend)
        self.core.sinks_changed()
        self.core.listen(self._hear, EVERYTHING)
        self._subscribe()

    def _hear(self, db: Database, kind: int, event: bytes, key: bytes) -> None:
        self.heard.append(Event(db.index, event, key, CLASS_LETTERS[kind]))

    def _subscribe(self) -> None:
        self.subscriber = self.engine.session(resp=2)
        self.subscriber.on_push = self._receive
        self.subscriber.execute("PSUBSCRIBE", "__key*__:*")

    def _receive(self, message: list[Any]) -> None:
        if message[0] == b"pmessage":
            self.messages.add(message[2], message[3])

    def execute(self, client: str, args: Sequence[Argument]) -> Any:
        """Run a command as a client; errors are returned."""
        words = [as_bytes(arg).lower() for arg in args[:2]]
        if words == [b"debug", b"set-active-expire"]:
            # Here, not by DEBUG: what expires at a moment that is travelled to is at issue.
            self.core.active_expire = args[2] == "1"
            return OK
        if client not in self.sessions:
            self.sessions[client] = self.engine.session(resp=2)
        try:
            return to_resp2(self.sessions[client].execute(*args))
        except ResponseError as error:
            return error

    def send(self, client: str, args: Sequence[Argument]) -> None:
        """Run a command on a thread of its own: it may wait for a key."""
        self.late[client] = call = LateCall(self, client, args)
        call.start()
        while call.is_alive() and not self.is_blocked(client):
            call.join(0.001)

    def late_reply(self, client: str) -> Any:
        """Return the reply to `send`."""
        if self.is_blocked(client):
            return STILL_BLOCKED
        call = self.late[client]
        call.join(5)
        return call.reply

    def is_blocked(self, client: str) -> bool:
        """Whether a client waits for a key."""
        session = self.sessions.get(client)
        return session is not None and session.id in self.core.blocking.sessions

    def wait(self, milliseconds: int) -> None:
        """Move the clock."""
        self.engine.clock.advance(milliseconds=milliseconds)

    def now_ms(self) -> int:
        """Return the engine's time."""
        return self.engine.clock.now_ns() // 1_000_000

    def dirty(self) -> int:
        """Return the engine's count of changes."""
        return self.core.dirty

    def drain(self) -> tuple[list[Event], list[tuple[int, list[bytes]]]]:
        """Return what listeners and sinks got; pub/sub has to tell the same."""
        heard, self.heard = self.heard, []
        effects = self.effects[:]
        self.effects.clear()
        published = self.messages.drain()
        told = [Event(event.db, event.name, event.key) for event in heard]
        assert published == told, "pub/sub and listeners disagree"
        return heard, effects

    def close(self) -> None:
        """Close the engine; whoever still waits for a key is let go."""
        self.engine.close()
        for call in self.late.values():
            call.join(5)


class LateCall(threading.Thread):
    """A command whose reply may come later, or never."""

    def __init__(
        self, runner: EngineRunner, client: str, args: Sequence[Argument]
    ) -> None:
        super().__init__(daemon=True)
        self.runner = runner
        self.client = client
        self.args = args
        self.reply: Any = None

    def run(self) -> None:
        """Run the command."""
        with contextlib.suppress(trignb.EngineClosed):
            self.reply = self.runner.execute(self.client, self.args)


class OracleRunner:
    """A real server, with a subscriber and a replica that only listens.

    After every step a message on a channel of our own goes the way of the events and of
    the replication stream; it marks where the step ends in both.
    """

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.version = server.version
        self.control = server.connect()
        self.marker = server.connect()
        self.subscriber = server.connect()
        self.subscriber.execute("PSUBSCRIBE", "__key*__:*")
        self.subscriber.execute("SUBSCRIBE", "__mark__")
        self.replica = ReplicaLink(server.connect())
        self.marks = 0
        self.clients: dict[str, Connection] = {}

    def close(self) -> None:
        """Hang up the clients of the last row."""
        for client in self.clients.values():
            client.close()
        self.clients.clear()

    def reset(self, flags: str = ALL_FLAGS) -> None:
        """Empty the server and forget the clients of the last row."""
        self.close()
        words = [word for pair in DEFAULT_CONFIG.items() for word in pair]
        self.control.execute("CONFIG", "SET", *words, "notify-keyspace-events", "")
        self.control.execute("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        self.control.execute("FUNCTION", "FLUSH")
        self.control.execute("SCRIPT", "FLUSH")
        self.control.execute("FLUSHALL")
        self.control.execute("CONFIG", "SET", "notify-keyspace-events", flags)
        self.drain()

    def client(self, name: str) -> Connection:
        """Return the connection of a client, opened at its first command."""
        if name not in self.clients:
            self.clients[name] = Connection(self.server.port)
        return self.clients[name]

    def execute(self, client: str, args: Sequence[Argument]) -> Any:
        """Run a command as a client; errors are returned."""
        return self.client(client).execute(*args)

    def send(self, client: str, args: Sequence[Argument]) -> None:
        """Send a command without waiting for its reply."""
        self.client(client).send(*args)
        time.sleep(0.02)

    def late_reply(self, client: str) -> Any:
        """Return the reply to `send`, if it comes soon."""
        connection = self.client(client)
        connection.socket.settimeout(0.3)
        with contextlib.suppress(TimeoutError, ConnectionError):
            return connection.read()
        return STILL_BLOCKED

    def wait(self, milliseconds: int) -> None:
        """Wait."""
        time.sleep(milliseconds / 1000)

    def now_ms(self) -> int:
        """Return the time."""
        return time.time_ns() // 1_000_000

    def dirty(self) -> int:
        """Return the server's count of changes."""
        for line in self.control.execute("INFO", "persistence").decode().splitlines():
            name, _, value = line.partition(":")
            if name == "rdb_changes_since_last_save":
                return int(value)
        raise ValueError("INFO tells no changes")

    def drain(self) -> tuple[list[Event], list[tuple[int, list[bytes]]]]:
        """Return what subscriber and replica received since the last call."""
        self.marks += 1
        mark = b"%d" % self.marks
        self.marker.execute("PUBLISH", "__mark__", mark)
        return self._events_until(mark), self.replica.commands_until(mark)

    def _events_until(self, mark: bytes) -> list[Event]:
        messages = KeyspaceMessages()
        while (message := self.subscriber.read()) != [b"message", b"__mark__", mark]:
            messages.add(message[2], message[3])
        return messages.drain()


class ReplicaLink:
    """Poses as a replica to see what a real one would receive."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.db = 0
        connection.execute("REPLCONF", "capa", "eof", "capa", "psync2")
        connection.send("PSYNC", "?", "-1")
        self._skip_snapshot()
        # The stream starts only after an acknowledgement that comes once the server
        # considers this replica to be on line; an earlier one is ignored.
        for _ in range(10):
            connection.send("REPLCONF", "ACK", "0")
            time.sleep(0.05)

    def _skip_snapshot(self) -> None:
        reader = self.connection.reader
        start = b""
        while not start.startswith(b"$EOF:"):
            start = reader.readline().lstrip(b"\n")
        end, tail = start[5:].rstrip(), b""
        while tail != end:
            tail = tail[-len(end) + 1 :] + reader.read(1)

    def commands_until(self, mark: bytes) -> list[tuple[int, list[bytes]]]:
        """Return the (db, command) pairs before a mark."""
        commands: list[tuple[int, list[bytes]]] = []
        while True:
            args = self.connection.read()
            name = args[0].upper()
            if args[1:] == [b"__mark__", mark]:
                return commands
            if name == b"SELECT":
                self.db = int(args[1])
            elif name not in (b"PING", b"REPLCONF"):
                commands.append((self.db, args))
