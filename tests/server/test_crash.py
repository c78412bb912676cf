"""A server that is killed in the middle of its work, again and again, and started again.

Clients write as fast as they can; with ``appendfsync always`` a reply is a promise. After each kill the
server that starts next has to hold everything that was promised, whole units only, and the streams have
to be read on from just where they were.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oracle.wire import Connection
from server.processes import Process

ROUNDS, LONG_ROUNDS = 10, 200
WRITERS = 2
# How long the clients write, at most.
LOAD_S = 0.25

LIBRARY = """#!js api_version=1.0 name=lib
redis.registerKeySpaceTrigger("count", "user:", (client, data) => {
    client.call("incr", "fired");
    client.call("rpush", "log", data.key);
});
redis.registerStreamTrigger("reader", "events:", (client, data) => {
    const name = data.stream_name.replace("events", "seen");
    client.call("rpush", name, data.record[0][1]);
});
redis.registerStreamTrigger("trimmer", "queue:", (client, data) => {
    client.call("incr", data.stream_name.replace("queue", "done"));
}, {isStreamTrimmed: true});
"""


@dataclass
class Writer:
    """A client; what it was promised, and what it has sent."""

    name: int
    number: int = 0
    entry: int = 0
    promised: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)

    def write(self, port: int, seed: int) -> None:
        """Send batches until the server is gone."""
        rng = random.Random(seed)
        connection = Connection(port)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            while True:
                kinds = [rng.choice(KINDS) for _ in range(rng.randint(1, 12))]
                promises = [self._send(connection, kind) for kind in kinds]
                for what, value, replies in promises:
                    for _ in range(replies):
                        reply = connection.read()
                        assert not isinstance(reply, Exception), reply
                    self.promised[what] = value

    def _send(self, connection: Connection, kind: str) -> tuple[str, int, int]:
        """Send a unit; returns what is promised by how many replies."""
        if kind == "entry":
            self.entry += 1
            self.sent["entry"] = self.entry
            for stream in ("events", "queue"):
                connection.send("XADD", f"{stream}:{self.name}", "*", "n", self.entry)
            return "entry", self.entry, 2
        self.number += 1
        self.sent["number"] = self.number
        key = f"user:{self.name}:{self.number}"
        words = [("SET", key, self.number), ("SET", f"last:{self.name}", self.number)]
        if kind == "transaction":
            words = [("MULTI",), *words, ("EXEC",)]
        else:
            text = "for i = 1, 2 do redis.call('set', KEYS[i], ARGV[1]) end"
            words = [("EVAL", text, 2, key, f"last:{self.name}", self.number)]
        for args in words:
            connection.send(*args)
        return "number", self.number, len(words)


KINDS = ("transaction", "script", "entry")


def run_round(server: Process, writers: list[Writer], rng: random.Random) -> None:
    """Have everybody write, and kill the server at some moment."""
    threads = [
        threading.Thread(target=writer.write, args=(server.port, rng.random()))
        for writer in writers
    ]
    for thread in threads:
        thread.start()
    time_left = rng.uniform(0.01, LOAD_S)
    if rng.random() < 0.5:
        # Within a rewrite, too.
        time.sleep(time_left / 2)
        with contextlib.closing(Connection(server.port)) as connection:
            connection.execute("BGREWRITEAOF")
        time_left = rng.uniform(0, time_left / 2)
    time.sleep(time_left)
    server.kill()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def check(server: Process, writers: list[Writer]) -> None:
    """See that everything promised is there, and nothing in half."""
    with contextlib.closing(Connection(server.port)) as connection:
        ask = connection.execute
        total = 0
        for writer in writers:
            writer.number = check_numbers(
                writer, int(ask("GET", f"last:{writer.name}") or 0)
            )
            total += writer.number
            seen = [int(n) for n in ask("LRANGE", f"seen:{writer.name}", 0, -1)]
            there = int(ask("XLEN", f"events:{writer.name}"))
            done = int(ask("GET", f"done:{writer.name}") or 0)
            # The two streams are two units.
            assert seen == list(range(1, len(seen) + 1))
            assert there == len(seen)
            assert done in (there, there - 1)
            assert ask("XLEN", f"queue:{writer.name}") == 0
            assert writer.promised.get("entry", 0) <= done
            assert there <= writer.sent.get("entry", 0)
            writer.entry = there
            if done < there:
                # As if the other one had been sent.
                assert ask("XADD", f"queue:{writer.name}", "*", "n", there)
        assert int(ask("GET", "fired") or 0) == total
        log = ask("LRANGE", "log", 0, -1)
        assert len(log) == total
        for writer in writers:
            mine = [n for n in log if n.startswith(b"user:%d:" % writer.name)]
            assert mine == [
                b"user:%d:%d" % (writer.name, n) for n in range(1, writer.number + 1)
            ]
        if log:
            assert ask("EXISTS", *log) == total


def check_numbers(writer: Writer, found: int) -> int:
    """Return how many of a writer's units are there."""
    assert writer.promised.get("number", 0) <= found <= writer.sent.get("number", 0)
    return found


@pytest.fixture
def running() -> Iterator[list[Process]]:
    servers: list[Process] = []
    yield servers
    for server in servers:
        server.kill()


@pytest.mark.timeout(1800)
def test_killed_at_random(running: list[Process], tmp_path: Path, long: bool) -> None:
    rng = random.Random(os.environ.get("TRIGNB_CRASH_SEED", "trignb"))
    library = tmp_path / "lib.js"
    library.write_text(LIBRARY)
    writers = [Writer(name) for name in range(WRITERS)]
    server = Process(tmp_path, "--load", str(library))
    running.append(server)
    for _ in range(LONG_ROUNDS if long else ROUNDS):
        run_round(server, writers, rng)
        # The library comes from the append-only file from now on.
        server = Process(tmp_path)
        running.append(server)
        check(server, writers)
    assert all(min(writer.number, writer.entry) > 5 for writer in writers)
