"""One client on a socket: bytes in, commands run, bytes out.

A connection belongs to the loop's thread. Other threads reach it by `Loop.call_soon` only: who is
served while it waits for a key, messages it gets from channels, its end by CLIENT KILL.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.blocking import Waiter
from trignb.engine.client_memory import Buffers, ReplyBuffer
from trignb.engine.pause import Postponed
from trignb.engine.permissions import describe_client
from trignb.engine.session import Session
from trignb.errors import EngineClosed, ResponseError
from trignb.reply import NO_REPLY, OK, Status
from trignb.resp.encode import encode, encode_error, encode_push
from trignb.resp.parse import RequestParser
from trignb.server.logs import VERBOSE

if TYPE_CHECKING:
    from trignb.server.loop import Timer
    from trignb.server.server import Server

__all__ = ["Connection"]

logger = logging.getLogger(__name__)

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

_CHUNK: Final = 64 * 1024
# Smaller replies are not worth counting before the round ends.
_LARGE_REPLY: Final = 1024
_OK: Final = b"+OK\r\n"
# What Redis reads into, and how many seconds it stays.
_QUERY_BUFFER: Final = 20474
_FRESH_S: Final = 2.0

# What browsers say to a port they were lured to.
_HTTP: Final = frozenset({b"post", b"host:"})


class Connection:
    """A client of the server.

    Attributes
    ----------
    session : Session
        Its session in the engine.
    out : list of bytes
        What this round has to send.
    """

    __slots__ = (
        "_answered",
        "_backlog",
        "_backlog_bytes",
        "_chunk",
        "_held",
        "_is_called",
        "_is_closing",
        "_is_queued",
        "_is_tls",
        "_outbox",
        "_parser",
        "_round_bytes",
        "_soft_since",
        "_timer",
        "_unsent",
        "_unsent_bytes",
        "_waiter",
        "last_seen",
        "out",
        "reply",
        "server",
        "session",
        "sock",
        "traffic",
    )

    def __init__(
        self, server: Server, sock: socket.socket, address: str, local: str
    ) -> None:
        self.server = server
        self.traffic = server.core.traffic
        self.sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self.last_seen = time.monotonic()
        self.session = session = Session(server.core, 2)
        session.address, session.local_address = address, local
        session.on_push = self._push
        session.on_line = self._line
        session.link = self
        self.out: list[bytes] = []
        self._parser = RequestParser()
        # Commands that came while one of them waits.
        self._backlog: deque[list[bytes]] = deque()
        self._backlog_bytes = 0
        self._waiter: Waiter | None = None
        self._answered: Waiter | None = None
        self._timer: Timer | None = None
        # The size of what was read last; what a buffer for replies would be like.
        self._chunk = 0
        self.reply = ReplyBuffer()
        # Messages to a client that is running a command follow the reply.
        self._held: list[list[Any]] | None = None
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = self._round_bytes = 0
        self._soft_since = 0.0
        self._is_closing = self._is_queued = False
        # What other threads have for this client, and whether the loop will look at it.
        self._outbox: deque[bytes] = deque()
        self._is_called = False

    # -- what the loop tells

    def ready(self, mask: int) -> None:
        """Read what came, or write what waits."""
        try:
            if mask & WRITE:
                self._send_more()
            if mask & READ and not self._is_closing:
                self._receive()
        except Exception:
            # A bug of ours: better no client than one that waits for ever.
            logger.exception("a client is hung up on after an unforeseen failure")
            self.close()

    def _receive(self) -> None:
        try:
            data = self.sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            data = b""
        if not data:
            if logger.isEnabledFor(VERBOSE):
                logger.log(VERBOSE, "Client closed connection %s", self.description)
            self.close()
            return
        self.last_seen = self.server.loop.now
        self.traffic.reads += 1
        self.take(data)
        # What TLS has decrypted already makes no socket ready.
        while self._is_tls and self.sock.pending():  # type: ignore[attr-defined]
            self.take(self.sock.recv(_CHUNK))

    def take(self, data: bytes) -> None:
        """Run the commands in some bytes."""
        parser, traffic = self._parser, self.traffic
        size = self._chunk = len(data)
        traffic.bytes_in += size
        if size > traffic.largest_in:
            traffic.largest_in = size
        parser.max_bulk = self.server.values["proto-max-bulk-len"]
        parser.is_stranger = not self.session.authenticated
        commands = parser.feed(data)
        self._run_or_keep(commands, size)
        while commands and parser.is_stranger and not self._is_closing:
            parser.is_stranger = not self.session.authenticated
            commands = parser.feed(b"")
            self._run_or_keep(commands, 0)
        if (parser.buffered or self._backlog) and self._asks_too_much(data):
            return
        if parser.error is not None and not self._backlog:
            self._refuse_protocol()

    def _asks_too_much(self, data: bytes) -> bool:
        """End a client whose query has become too large, and tell whether it was."""
        size = self.query_bytes
        self.traffic.largest_in = max(self.traffic.largest_in, size)
        if size <= self.server.values["client-query-buffer-limit"]:
            return False
        logger.warning(
            "Closing client that reached max query buffer length: %s "
            "(qbuf initial bytes: %r)",
            self.description,
            data[:64],
        )
        self.close()
        return True

    def _run_or_keep(self, commands: list[list[bytes]], size: int) -> None:
        if self._waiter is not None or self._backlog or self._held is not None:
            self._backlog.extend(commands)
            self._backlog_bytes += size
        elif commands:
            self._process(commands)

    def _refuse_protocol(self) -> None:
        if not self._is_closing:
            if self.session.reply_mode == "on":
                error = ResponseError(f"ERR Protocol error: {self._parser.error}")
                self.out.append(encode_error(error))
            self._is_closing = True
            self.queue()

    # -- commands

    def _process(self, commands: list[list[bytes]] | deque[list[bytes]]) -> None:
        session, run, out = self.session, self.server.run, self.out
        held: list[list[Any]] = []
        self._held = held
        done = 0
        try:
            for args in commands:
                done += 1
                try:
                    reply = run(session, args)
                except ResponseError as error:
                    out.append(encode_error(error))
                    if args[0].lower() in _HTTP:
                        out.clear()
                        self._is_closing = True
                        break
                else:
                    # The most frequent replies are spelled out: a call is a tenth of a GET.
                    if reply is OK:
                        out.append(_OK)
                    elif type(reply) is bytes:
                        size = len(reply)
                        out.append(b"$%d\r\n%b\r\n" % (size, reply))
                        if size > _LARGE_REPLY and self._answers_too_much(size):
                            break
                    elif type(reply) is int:
                        out.append(b":%d\r\n" % reply)
                    elif type(reply) is Waiter:
                        self._suspend(reply)
                    elif reply is not NO_REPLY:
                        piece = encode(reply, session.resp)
                        out.append(piece)
                        size = len(piece)
                        if size > _LARGE_REPLY and self._answers_too_much(size):
                            break
                if held:
                    out.extend(encode_push(message, session.resp) for message in held)
                    held.clear()
                if self._waiter is not None or session.closed:
                    break
        except Postponed:
            done -= 1
            self.server.postpone(self)
        except EngineClosed:
            # Of the session's own end the reply before it is still sent.
            self._is_closing = True
        except Exception:
            # A bug of ours: better no client than one that waits for ever.
            logger.exception("a command failed in an unforeseen way")
            self._is_closing = True
        finally:
            self._held = None
        if session.closed:
            self._is_closing = True
        elif done < len(commands):
            rest = list(commands)[done:]
            self._backlog.extendleft(reversed(rest))
            self._backlog_bytes += sum(len(arg) for args in rest for arg in args)
        elif self._backlog:
            # They came while a script of this client let others in.
            self.server.loop.call_soon(self.go_on)
        if out or self._is_closing:
            self.queue()

    def _answers_too_much(self, size: int) -> bool:
        """Count a large reply; tells whether the client was ended for those of this round.

        A packet may ask for gigabytes: nobody waits for the end of the round then.
        """
        self._round_bytes += size
        hard, _, _ = self.server.output_limit(self.session)
        if not hard or self._unsent_bytes + self._round_bytes <= hard:
            return False
        self._end_for_output()
        return True

    def go_on(self) -> None:
        """Run the commands that came meanwhile."""
        if self._held is not None or self._waiter is not None or self._is_closing:
            return
        if self._backlog:
            backlog, self._backlog = self._backlog, deque()
            self._backlog_bytes = 0
            self._process(backlog)
        if self._parser.error is not None and not self._backlog:
            self._refuse_protocol()

    # -- waiting for a key

    def _suspend(self, waiter: Waiter) -> None:
        self._waiter = waiter
        if waiter.timeout_s:
            time_out = partial(self.server.core.blocking.time_out, waiter)
            self._timer = self.server.loop.call_later(waiter.timeout_s, time_out)
        waiter.on_done = self._on_done
        if waiter.is_done:
            self._on_done(waiter)

    def _on_done(self, waiter: Waiter) -> None:
        """Take note that the wait is over; any thread, under the engine's lock."""
        if self.server.loop.is_mine:
            # Messages that come from now on are behind the reply.
            self._answer(waiter)
        self.server.loop.call_soon(partial(self._resume, waiter))

    def _resume(self, waiter: Waiter) -> None:
        if self._waiter is not waiter:
            return
        self._answer(waiter)
        self._waiter = self._answered = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.go_on()

    def _answer(self, waiter: Waiter) -> None:
        """Write the reply of a wait that is over, once."""
        if self._waiter is not waiter or self._answered is waiter:
            return
        self._answered = waiter
        if isinstance(waiter.error, ResponseError):
            self.out.append(encode_error(waiter.error))
        elif waiter.error is not None:
            self._is_closing = True
        elif waiter.reply is not NO_REPLY:
            self.out.append(encode(waiter.reply, self.session.resp))
        if waiter.hangs_up:
            self._is_closing = True
        self.queue()

    # -- messages

    def _push(self, message: list[Any]) -> None:
        """Send a push message; any thread."""
        if not self.server.loop.is_mine:
            self.server.loop.call_soon(partial(self._push, message))
        elif self._held is not None:
            self._held.append(message)
        else:
            self.send(encode_push(message, self.session.resp))

    def _line(self, line: Status) -> None:
        """Send a line of MONITOR; any thread. One's own MONITOR has been answered by then."""
        self.server.loop.call_soon(partial(self.send, encode(line, 2)))

    def send(self, data: bytes) -> None:
        """Send bytes at the end of the round."""
        if not self._is_closing:
            self.out.append(data)
            self.queue()

    # -- the stream of a replica

    def send_soon(self, data: bytes) -> None:
        """Send bytes, in the order of the calls; any thread, under the engine's lock."""
        self._outbox.append(data)
        if self.server.loop.is_mine:
            self._empty_outbox()
        elif not self._is_called:
            self._is_called = True
            self.server.loop.call_soon(self._empty_outbox)

    def _empty_outbox(self) -> None:
        self._is_called = False
        outbox = self._outbox
        while outbox:
            self.send(outbox.popleft())

    def end_soon(self) -> None:
        """Hang up when everything has been sent; any thread."""
        self.server.loop.call_soon(self._end)

    def _end(self) -> None:
        self._empty_outbox()
        self._is_closing = True
        self.queue()

    # -- sending

    def queue(self) -> None:
        """Have the loop call `flush` at the end of the round."""
        if not self._is_queued:
            self._is_queued = True
            self.server.to_flush.append(self)

    def flush(self) -> None:
        """Send what there is, as far as the socket takes it."""
        self._is_queued = False
        if self.sock.fileno() < 0:
            return
        out = self.out
        self._round_bytes = 0
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            if self._unsent:
                self._hold_back(memoryview(data))
            else:
                self._send(data)
        if self._is_closing:
            self._close_after_sending()

    def _close_after_sending(self) -> None:
        if self._unsent:
            # Nothing is read any more: what comes would make the socket ready all the time.
            self.server.loop.change(self.sock, self, WRITE)
        else:
            self.close()

    def _send(self, data: bytes) -> None:
        traffic, size = self.traffic, len(data)
        # Counted before it is sent: who has its reply may ask.
        traffic.writes += 1
        traffic.bytes_out += size
        if size > traffic.largest_out:
            traffic.largest_out = size
        if size > self.reply.peak:
            self.reply.peak = min(size, self.reply.size)
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        except OSError:
            self.close()
            return
        if sent < size:
            traffic.bytes_out -= size - sent
            self.server.loop.change(self.sock, self, READ | WRITE)
            self._hold_back(memoryview(data)[sent:])

    def _hold_back(self, data: memoryview) -> None:
        self._unsent.append(data)
        self.server.slow[self] = None
        self._unsent_bytes += len(data)
        self.traffic.largest_out = max(self.traffic.largest_out, self._unsent_bytes)
        self.check_output_limit()

    def _send_more(self) -> None:
        unsent = self._unsent
        try:
            while unsent:
                data = unsent[0]
                sent = self.sock.send(data)
                self.traffic.writes += 1
                self.traffic.bytes_out += sent
                self._unsent_bytes -= sent
                if sent < len(data):
                    unsent[0] = data[sent:]
                    return
                unsent.popleft()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self.close()
            return
        self.server.slow.pop(self, None)
        self.server.loop.change(self.sock, self, READ)
        if self._is_closing:
            self.close()

    def check_output_limit(self) -> None:
        """End the connection when too much waits for a client that does not read."""
        replica = self.session.replica
        hard, soft, seconds = self.server.output_limit(self.session)
        waiting, now = self._unsent_bytes, time.monotonic()
        if replica is not None and replica.is_attached:
            # A snapshot on its way is no stream that has got out of hand.
            waiting = replica.owed_bytes
        if soft and waiting > soft:
            self._soft_since = self._soft_since or now
        else:
            self._soft_since = 0.0
        is_long = self._soft_since and now - self._soft_since > seconds
        if (hard and waiting > hard) or is_long:
            self._end_for_output()

    def _end_for_output(self) -> None:
        logger.warning(
            "Client %s scheduled to be closed ASAP for overcoming of output buffer limits.",
            self.description,
        )
        self.out.clear()
        self.close()

    # -- for CLIENT LIST

    @property
    def query_bytes(self) -> int:
        """Bytes that came and have not been run."""
        return self._parser.buffered + self._backlog_bytes

    @property
    def idle_s(self) -> int:
        """Whole seconds since the client was heard of."""
        return int(time.monotonic() - self.last_seen)

    @property
    def output_bytes(self) -> int:
        """Bytes that the client has not read."""
        waiting = sum(map(len, self.out)) + sum(map(len, self._outbox.copy()))
        return self._unsent_bytes + waiting

    def buffers(self, *, is_running: bool) -> Buffers:
        """Return what the connection holds; a query buffer goes when it was not used."""
        query = self.query_bytes + (self._chunk if is_running else 0)
        is_fresh = self.server.loop.now - self.last_seen <= _FRESH_S
        room = max(_QUERY_BUFFER - query, 0) if is_fresh and self._chunk else 0
        args: list[bytes] | None = None
        if self._waiter is not None:
            args = self._waiter.args
        elif self._backlog and self in self.server.postponed:
            args = self._backlog[0]
            query = max(query - sum(map(len, args)), 0)
        unsent, reply = self.output_bytes, self.reply
        chunks = len(self._unsent) or int(unsent > reply.size)
        return Buffers(query, room, args, reply.size, reply.peak, unsent, chunks)

    @property
    def description(self) -> str:
        """What CLIENT LIST says of this client."""
        line = describe_client(self.session)
        return line.decode("utf-8", "replace")

    @property
    def is_waiting(self) -> bool:
        """Whether a command of this client waits for something."""
        return self._waiter is not None

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed."""
        return self.sock.fileno()

    # -- the end

    def session_closed(self) -> None:
        """Take note that the session was closed; any thread."""
        if self._held is None:
            self.server.loop.call_soon(self.close)

    def close(self) -> None:
        """Leave at once."""
        if self.sock.fileno() < 0:
            return
        self._is_closing = True
        self.server.loop.remove(self.sock)
        self.sock.close()
        self.server.forget(self)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            with self.server.core.lock:
                self.server.core.blocking.forget(waiter)
        if self._timer is not None:
            self._timer.cancel()
        self.session.close()
