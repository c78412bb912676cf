"""A connection to a real server that answers in the engine's own reply types.

`trignb.reply` types are what `Session.execute` returns, so a reply of the oracle and
one of the engine are compared with ``==`` and rendered by the same code.
"""

from __future__ import annotations

import socket
from typing import Any

from trignb.errors import ResponseError
from trignb.reply import NULL_ARRAY, BigNumber, SetOfLists, Status, Verbatim

Argument = str | bytes | float


class Push(list[Any]):
    """A RESP3 push message."""


class Connection:
    """One client of a server at a loopback port.

    Pushes that arrive before a reply wait in `pushes`.
    """

    def __init__(self, port: int, resp: int = 2) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self.pushes: list[Push] = []
        if resp == 3:
            self.execute("HELLO", 3)

    def send(self, *args: Argument) -> None:
        """Send one command without waiting."""
        words = [as_bytes(arg) for arg in args]
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(parts))

    def execute(self, *args: Argument) -> Any:
        """Send one command and return its reply; an error is returned, not raised."""
        self.send(*args)
        return self.read()

    def read(self) -> Any:
        """Return the next reply, keeping the pushes before it."""
        while True:
            message = self.read_message()
            if not isinstance(message, Push):
                return message
            self.pushes.append(message)

    def read_message(self) -> Any:
        """Return whatever comes next."""
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        return self._parse(line[:1], line[1:-2])

    def _parse(self, kind: bytes, rest: bytes) -> Any:
        match kind:
            case b"+":
                return Status(rest.decode())
            case b"-":
                return ResponseError(rest.decode("utf-8", "surrogateescape"))
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._payload(int(rest))
            case b"*":
                return NULL_ARRAY if rest == b"-1" else self._items(int(rest))
            case b"_":
                return None
            case b",":
                return float(rest)
            case b"#":
                return rest == b"t"
            case b"(":
                return BigNumber(rest)
            case b"=":
                return Verbatim(self._payload(int(rest))[4:])
            case b"%":
                items = self._items(2 * int(rest))
                return dict(zip(items[::2], items[1::2], strict=True))
            case b"~":
                members = self._items(int(rest))
                # What COMMAND tells of keys: Python cannot hash it.
                nested = any(isinstance(m, (list, dict)) for m in members)
                return SetOfLists(members) if nested else set(members)
            case b">":
                return Push(self._items(int(rest)))
        raise ValueError(f"unknown reply type {kind!r}")

    def _payload(self, size: int) -> bytes:
        return self.reader.read(size + 2)[:-2]

    def _items(self, count: int) -> list[Any]:
        return [self.read_message() for _ in range(count)]

    def close(self) -> None:
        """Hang up."""
        self.reader.close()
        self.socket.close()


def as_bytes(arg: Argument) -> bytes:
    """Return an argument as it goes over the wire."""
    if isinstance(arg, bytes):
        return arg
    return str(arg).encode("utf-8", "surrogateescape")
