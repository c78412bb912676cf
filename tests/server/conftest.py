"""A served engine, and raw sockets on it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from trignb import Engine
from trignb.server.server import Server

# Programs whose packages do not get on with ours have an environment beside it.
BESIDE_US = f"{sys.prefix}/iredis/bin"

# Colours, and what moves the cursor.
_CONTROL = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>]|\][^\x07]*\x07)")


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

    def read_until(self, end: bytes) -> bytes:
        """Read up to some bytes, and no further."""
        got = b""
        while not got.endswith(end):
            data = self.sock.recv(1)
            assert data, got
            got += data
        return got

    def ask(self, request: bytes, reply: bytes) -> None:
        """Send and compare what comes back."""
        self.send(request)
        self.receive(reply)

    def ends_within(self, size: int) -> bool:
        """Whether the server ends the connection after so many bytes at most."""
        self.sock.settimeout(10)
        received = 0
        try:
            while received <= size:
                data = self.sock.recv(1 << 20)
                if not data:
                    return True
                received += len(data)
        except ConnectionResetError:
            return True
        return False

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


def tool(name: str) -> str:
    """Return the path of a program; without it the test is skipped, or failed where CI is set."""
    path = shutil.which(name) or shutil.which(name, path=BESIDE_US)
    if path is None:
        text = f"{name} is not installed: the server was not driven by it"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return path


class Tool:
    """A program on a terminal of its own."""

    def __init__(self, args: list[str], **environment: str) -> None:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, 200))
        self._screen = ours
        self._seen = ""
        self.process = subprocess.Popen(
            args,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", **environment},
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._screen, text.encode())

    def wait_for(self, pattern: str, seconds: float = 20) -> str:
        """Return what matches on the screen, after what matched before; fails in the end."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self._seen)) is None:
            left = deadline - time.monotonic()
            readable, _, _ = select.select([self._screen], [], [], max(left, 0))
            if not readable:
                pytest.fail(f"{pattern!r} did not appear in {self._seen!r}")
            try:
                data = os.read(self._screen, 65536)
            except OSError:
                pytest.fail(f"the program ended: {self._seen!r}")
            self._seen += _CONTROL.sub("", data.decode("utf-8", "replace"))
        self._seen = self._seen[found.end() :]
        return found[0]

    def close(self) -> None:
        """End the program."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._screen)
