"""A served engine, and raw sockets on it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from trignb import Engine
from trignb.server.server import Server


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(**{"enable-debug-command": "yes"}) as engine:
        yield engine


@pytest.fixture
def server(engine: Engine) -> Server:
    return engine.serve()


class Wire:
    """A socket that says what it means."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 5)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def receive(self, expected: bytes) -> None:
        """Read as much as is expected; it has to be just that."""
        got = b""
        while len(got) < len(expected):
            data = self.sock.recv(len(expected) - len(got))
            if not data:
                break
            got += data
        assert got == expected

    def ask(self, request: bytes, reply: bytes) -> None:
        """Send and compare what comes back."""
        self.send(request)
        self.receive(reply)

    def is_closed(self) -> bool:
        """Whether the server ends the connection (waits for it)."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[[], Wire]]:
    wires: list[Wire] = []

    def make() -> Wire:
        wires.append(Wire(server.port))
        return wires[-1]

    yield make
    for wire in wires:
        wire.sock.close()
