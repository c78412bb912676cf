"""Primaries and replicas: engines on ports, and redis-servers that each test has for itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oracle.server import RedisServer, require_server
from oracle.wire import Connection
from trignb import Engine
from trignb.server.server import Server

# Triggers whose effects a replica has to get with their cause.
LIBRARY = """#!js api_version=1.0 name=lib
redis.registerKeySpaceTrigger("count", "user:", (client, data) => {
    client.call("incr", "count");
    client.call("hset", "last", "key", data.key, "event", data.event);
});
"""


def until(holds: Callable[[], Any], seconds: float = 10) -> Any:
    """Return what holds, as soon as it does."""
    deadline = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


class Peer:
    """A server, ours or Redis's, spoken to the same way: errors are returned."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = Connection(port)

    def __call__(self, *args: Any) -> Any:
        return self.connection.execute(*args)

    def info(self, section: str = "replication") -> dict[str, str]:
        """Return a section of INFO."""
        lines = self("INFO", section).decode().splitlines()
        pairs = (line.partition(":") for line in lines if ":" in line)
        return {name: value for name, _, value in pairs}

    def follow(self, other: Peer) -> None:
        """Become a replica, and wait until that is so."""
        assert self("REPLICAOF", "127.0.0.1", other.port) == "OK"
        until(self.is_up)

    def is_up(self) -> bool:
        """Whether the link to the primary is up."""
        return self.info()["master_link_status"] == "up"

    def settle(self, *replicas: Peer) -> None:
        """Wait until replicas have everything."""
        for _ in range(2):
            assert self("WAIT", len(replicas), 10_000) >= len(replicas)


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Engine, Peer]]]:
    opened: list[Engine] = []
    peers: list[Peer] = []

    def start(**config: Any) -> tuple[Engine, Peer]:
        options = {"repl_diskless_sync_delay": 0, "enable_debug_command": "yes"}
        engine = Engine(**(options | config))
        opened.append(engine)
        server: Server = engine.serve()
        peers.append(Peer(server.port))
        return engine, peers[-1]

    yield start
    for peer in peers:
        peer.connection.close()
    for engine in opened:
        engine.close()


@pytest.fixture
def start_redis() -> Iterator[Callable[[], Peer]]:
    require_server()
    servers: list[RedisServer] = []
    peers: list[Peer] = []

    def start() -> Peer:
        servers.append(RedisServer())
        peers.append(Peer(servers[-1].port))
        return peers[-1]

    yield start
    for peer in peers:
        peer.connection.close()
    for server in servers:
        server.close()


@pytest.fixture
def redis(start_redis: Callable[[], Peer]) -> Peer:
    return start_redis()
