"""The way to a primary: a socket, the words before the stream, and the RDB file that may come first."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trignb.errors import TrignbError
from trignb.resp.propagated import encode_request

if TYPE_CHECKING:
    import ssl

__all__ = ["LinkError", "Offer", "PrimarySocket", "shake_hands"]

_CHUNK: Final = 1 << 16
_EOF_MARK: Final = 40


class LinkError(TrignbError):
    """A primary does not do what one does; it is tried again later."""


class PrimarySocket:
    """A connection to a primary, read by one thread.

    Raises
    ------
    OSError
        When there is nobody.
    """

    def __init__(
        self,
        host: str,
        port: int,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sock = socket.create_connection((host, port), timeout_s)
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.sock = tls.wrap_socket(self.sock, server_hostname=host)
        except BaseException:
            self.sock.close()
            raise
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.sock, selectors.EVENT_READ)
        self._buffer = bytearray()
        self.heard_at = time.monotonic()

    def send(self, *args: bytes) -> None:
        """Send one command."""
        self.sock.sendall(encode_request(args))

    def send_sign_of_life(self) -> None:
        """Let the primary know that a long load goes on."""
        with contextlib.suppress(OSError):
            self.sock.sendall(b"\n")

    def _receive(self) -> None:
        data = self.sock.recv(_CHUNK)
        if not data:
            raise LinkError("the primary hung up")
        self.heard_at = time.monotonic()
        self._buffer += data

    def line(self) -> bytes:
        """Return the next line that is not empty: empty ones are signs of life."""
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                self._receive()
                continue
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            if line:
                return line

    def ask(self, *args: bytes) -> bytes:
        """Send one command and return the line that answers it."""
        self.send(*args)
        return self.line()

    def payload(self, progress: Callable[[int, int], None]) -> bytes:
        """Return the RDB file that comes next, in either form.

        ``progress`` is told how many bytes there are, and how many there will be (0: unknown).
        """
        head = self.line()
        if head.startswith(b"$EOF:"):
            return self._until(head[5:], progress)
        if not head.startswith(b"$") or not head[1:].isdigit():
            raise LinkError(f"no RDB file: {_shown(head)}")
        return self._exactly(int(head[1:]), progress)

    def _exactly(self, size: int, progress: Callable[[int, int], None]) -> bytes:
        while len(self._buffer) < size:
            self._receive()
            progress(min(len(self._buffer), size), size)
        return self._take(size)

    def _until(self, mark: bytes, progress: Callable[[int, int], None]) -> bytes:
        if len(mark) != _EOF_MARK:
            raise LinkError("no RDB file: its end mark is too short")
        looked = 0
        while True:
            at = self._buffer.find(mark, looked)
            if at >= 0:
                file = self._take(at)
                del self._buffer[: len(mark)]
                return file
            looked = max(len(self._buffer) - len(mark), 0)
            self._receive()
            progress(len(self._buffer), 0)

    def _take(self, size: int) -> bytes:
        # Two copies of a large file are enough.
        taken = self._buffer
        self._buffer = taken[size:]
        del taken[size:]
        return bytes(taken)

    def some(self, patience_s: float) -> bytes:
        """Return what came, nothing when nothing came in time."""
        if self._buffer:
            return self._take(len(self._buffer))
        if not self._is_ready(patience_s):
            return b""
        self._receive()
        return self._take(len(self._buffer))

    def _is_ready(self, patience_s: float) -> bool:
        # What TLS has decrypted already makes no socket ready.
        pending = getattr(self.sock, "pending", None)
        if pending is not None and pending():
            return True
        return bool(self._selector.select(max(patience_s, 0)))

    def close(self) -> None:
        """Hang up; ends a read of another thread, too."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the socket back; only the thread that reads may do so."""
        self._selector.close()
        self.sock.close()


class Offer(NamedTuple):
    """What a primary answers to PSYNC.

    ``is_full`` says that an RDB file comes first. ``id`` is empty where the stream has kept its
    own, ``offset`` counts where a file comes first.
    """

    is_full: bool
    id: str
    offset: int


def shake_hands(
    link: PrimarySocket,
    values: Mapping[str, Any],
    wanted: str,
    offset: int,
    port: int,
    *,
    hands_over: bool = False,
) -> Offer:
    """Say who we are and what we have.

    Parameters
    ----------
    link : PrimarySocket
        The connection.
    values : mapping
        Parameters by name.
    wanted : str
        The stream we had a part of, ``?`` for none.
    offset : int
        The byte we need next, -1 for all.
    port : int
        Where we listen.
    hands_over : bool
        Whether we are the primary and the other, our replica, is to take over.

    Raises
    ------
    LinkError
        When it is no primary, or does not want us.
    """
    answer = link.ask(b"PING")
    refused = (b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted")
    if not answer.startswith((b"+", *refused)):
        raise LinkError(f"the primary answered PING with {_shown(answer)}")
    if values["masterauth"]:
        user = [_bytes(values["masteruser"])] if values["masteruser"] else []
        _insist(link.ask(b"AUTH", *user, _bytes(values["masterauth"])), "AUTH")
    link.ask(b"REPLCONF", b"listening-port", b"%d" % port)
    if values["replica-announce-ip"]:
        announced = _bytes(values["replica-announce-ip"])
        link.ask(b"REPLCONF", b"ip-address", announced)
    abilities = (b"eof", b"psync2", b"trignb")
    link.ask(b"REPLCONF", *(word for each in abilities for word in (b"capa", each)))
    demand = [b"FAILOVER"] if hands_over else []
    return _read_offer(link.ask(b"PSYNC", wanted.encode(), b"%d" % offset, *demand))


def _read_offer(answer: bytes) -> Offer:
    words = answer.decode("utf-8", "replace").split()
    if words[0] == "+CONTINUE":
        return Offer(is_full=False, id=words[1] if len(words) > 1 else "", offset=0)
    if words[0] == "+FULLRESYNC" and len(words) == 3 and words[2].isdigit():
        return Offer(is_full=True, id=words[1], offset=int(words[2]))
    raise LinkError(f"the primary answered PSYNC with {_shown(answer)}")


def _insist(answer: bytes, name: str) -> None:
    if answer != b"+OK":
        raise LinkError(f"the primary answered {name} with {_shown(answer)}")


def _bytes(value: str | bytes) -> bytes:
    return (
        value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    )


def _shown(line: bytes) -> str:
    return repr(line.decode("utf-8", "replace"))
