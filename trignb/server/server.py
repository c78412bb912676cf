"""A port for an engine: listens, accepts, looks after its connections.

The loop's thread runs the clients' commands; each takes the engine's lock for its unit only, so
the engine stays usable from the notebook meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import ssl
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.client_memory import total_memory
from trignb.engine.commands.clients import client_type
from trignb.engine.dispatch import make_run
from trignb.engine.stats import calls_of_all
from trignb.errors import RepliesWithheld
from trignb.server.connection import Connection
from trignb.server.logs import VERBOSE
from trignb.server.loop import Loop
from trignb.server.sockets import (
    Listener,
    address_of,
    listen_tcp_all,
    listen_unix,
    tls_context,
)

if TYPE_CHECKING:
    from types import TracebackType

    from trignb.engine.blocking import Waiter
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.server.loop import Timer

__all__ = ["Server"]

logger = logging.getLogger(__name__)

_CRON_S: Final = 0.1
# In so many calls of the cron each connection's buffers are looked at once.
_TURNS: Final = 10
# A pause is looked at again that long after its end, and at the latest then.
_POSTPONED_S: Final = 0.001
_LONGEST_S: Final = 3600.0
# So many are accepted before others are served again.
_ACCEPTS: Final = 1000

# Descriptors or memory are used up.
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_FULL: Final = b"-ERR max number of clients reached\r\n"
_PROTECTED: Final = (
    b"-DENIED Redis is running in protected mode because protected mode is enabled and no "
    b"password is set for the default user. In this mode connections are only accepted from "
    b"the loopback interface. If you want to connect from external computers to Redis you "
    b"may adopt one of the following solutions: 1) Just disable protected mode sending the "
    b"command 'CONFIG SET protected-mode no' from the loopback interface by connecting to "
    b"Redis from the same host the server is running, however MAKE SURE Redis is not "
    b"publicly accessible from internet if you do so. Use CONFIG REWRITE to make this "
    b"change permanent. 2) Alternatively you can just disable the protected mode by editing "
    b"the Redis configuration file, and setting the protected mode option to 'no', and then "
    b"restarting the server. 3) If you started the server manually just for testing, "
    b"restart it with the '--protected-mode no' option. 4) Set up an authentication "
    b"password for the default user. NOTE: You only need to do one of the above things in "
    b"order for the server to start accepting connections from the outside.\r\n"
)


class Server:
    """An engine on a port.

    Parameters
    ----------
    core : Core
        The engine's core.
    host : str
        Addresses to listen on, with blanks between; one that begins with ``-`` may be missing
        on this machine, ``*`` is every one.
    port : int or None
        TCP port; 0 is any free one, None listens on no TCP port.
    unixsocket : str
        Path of a unix socket, empty for none.
    tls_port : int or None
        Port for TLS, with the ``tls-…`` parameters of the configuration.

    Attributes
    ----------
    port : int
        The port it listens on, 0 without one.
    connections : dict of Connection
        Who is connected.
    """

    def __init__(
        self,
        core: Core,
        host: str = "127.0.0.1",
        port: int | None = 0,
        *,
        unixsocket: str = "",
        tls_port: int | None = None,
    ) -> None:
        self.core = core
        self.host = host
        self.connections: dict[Connection, None] = {}
        self.to_flush: list[Connection] = []
        self.postponed: dict[Connection, None] = {}
        self._turn = 0
        self._pause_timer: Timer | None = None
        # Who has not read all that was sent.
        self.slow: dict[Connection, None] = {}
        self.traffic = core.traffic
        # Read where they are needed, which is on no hot path.
        self.values = core.config.values
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self.run = make_run(core, _as_reply)
        self.loop = Loop(core.traffic, self._before_send, self._flush, self._on_error)
        self.listeners: list[Listener] = []
        try:
            self._listen(port, unixsocket, tls_port)
        except BaseException:
            self._close_listeners()
            raise
        self.port = next((x.port for x in self.listeners if x.port and not x.tls), 0)
        self.tls_port = next((x.port for x in self.listeners if x.tls), 0)
        core.servers.append(self)
        core.pause.on_release.append(self._release)
        core.breathe = partial(_breathe, core)

    # -- setting up

    def _listen(self, port: int | None, unixsocket: str, tls_port: int | None) -> None:
        values = self.values
        backlog = values["tcp-backlog"]
        if port is not None:
            self.listeners += listen_tcp_all(self.host, port, backlog, None)
            values["port"] = self.listeners[0].port
        if tls_port is not None:
            context = tls_context(values)
            self.listeners += listen_tcp_all(self.host, tls_port, backlog, context)
        if unixsocket:
            permissions = values["unixsocketperm"]
            self.listeners.append(listen_unix(unixsocket, permissions, backlog))
        for listener in self.listeners:
            self.loop.add(listener.sock, _Acceptor(self, listener))

    def move(self, hosts: str, port: int) -> None:
        """Listen elsewhere for clients in the clear, and no longer where it was; port 0 is nowhere.

        Connections stay. The engine's lock is held.

        Raises
        ------
        OSError
            When that address cannot be had; it listens where it was then.
        """
        if (hosts, port) == (self.host, self.port):
            return
        before = [each for each in self.listeners if not (each.path or each.tls)]
        # First closed: the new addresses may be among the old ones.
        for listener in before:
            self.loop.remove(listener.sock)
            listener.close()
            self.listeners.remove(listener)
        try:
            self._listen_in_the_clear(hosts, port)
        except OSError:
            self._listen_in_the_clear(self.host, self.port)
            raise
        self.host, self.port = hosts, port

    def _listen_in_the_clear(self, hosts: str, port: int) -> None:
        if not port:
            return
        found = listen_tcp_all(hosts, port, self.values["tcp-backlog"], None)
        for listener in found:
            self.loop.add(listener.sock, _Acceptor(self, listener))
        self.listeners += found

    def places(self) -> list[str]:
        """Return where it listens, as INFO tells it: ``name=tcp,bind=127.0.0.1,port=6379``."""
        bound = "".join(f"bind={host}," for host in self.host.split())
        found = [
            f"name={name},{bound}port={port}"
            for name, port in (("tcp", self.port), ("tls", self.tls_port))
            if port
        ]
        return found + [f"name=unix,bind={x.path}" for x in self.listeners if x.path]

    # -- running

    def start(self) -> Server:
        """Serve on a thread of its own; returns the server."""
        self._thread = threading.Thread(
            target=self.run_forever, name="trignb-server", daemon=True
        )
        self._thread.start()
        return self

    def run_forever(self) -> None:
        """Serve on this thread until `close`."""
        self.loop.call_soon(self._cron)
        try:
            self.loop.run()
        finally:
            self._close_listeners()
            for connection in list(self.connections):
                connection.close()
            with contextlib.suppress(ValueError):
                self.core.servers.remove(self)
                self.core.pause.on_release.remove(self._release)
            self._ended.set()

    def close(self) -> None:
        """Stop listening and end all connections; the engine goes on."""
        if self._thread is None and not self.loop.is_running:
            self._close_listeners()
            return
        self.loop.stop()
        if not self.loop.is_mine:
            self._ended.wait(5)

    def close_soon(self) -> None:
        """End after the round under way; any thread, also under the engine's lock."""
        self.loop.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server has ended; tells whether it has."""
        return self._ended.wait(timeout)

    def _close_listeners(self) -> None:
        for listener in self.listeners:
            listener.close()

    @property
    def listening(self) -> list[str]:
        """Where it listens, as INFO tells it: a line for each kind of socket."""
        lines = []
        for is_tls, name in ((False, "tcp"), (True, "tls")):
            found = [x for x in self.listeners if not x.path and bool(x.tls) == is_tls]
            if found:
                hosts = "".join(f",bind={x.host}" for x in found)
                lines.append(f"name={name}{hosts},port={found[0].port}")
        paths = [x.path for x in self.listeners if x.path]
        return lines + [f"name=unix,bind={path}" for path in paths]

    # -- each round

    def _before_send(self) -> None:
        try:
            for call in self.core.before_replies:
                call()
        except RepliesWithheld as error:
            # As if the server had ended before it could answer, as Redis does.
            logger.warning("clients are hung up on: %s", error)
            for connection in self.to_flush:
                connection.close()
            self.to_flush.clear()

    def _flush(self) -> None:
        while self.to_flush:
            waiting, self.to_flush = self.to_flush, []
            for connection in waiting:
                try:
                    connection.flush()
                except Exception:
                    logger.exception(
                        "a client is hung up on after an unforeseen failure"
                    )
                    connection.close()

    def _on_error(self, error: BaseException) -> None:
        logger.error("a client's request failed in an unforeseen way", exc_info=error)

    def _cron(self) -> None:
        self.loop.call_later(_CRON_S, self._cron)
        self.traffic.sample(time.monotonic(), calls_of_all(self.core))
        self.core.access.sample()
        for connection in list(self.slow):
            connection.check_output_limit()
        self._adapt_buffers()
        if self.values["timeout"]:
            self._close_idle(self.values["timeout"])
        if self.values["maxmemory-clients"]:
            self._evict_clients()

    def _adapt_buffers(self) -> None:
        """Look at the buffers for replies, at each about once a second."""
        self._turn = (self._turn + 1) % _TURNS
        now = self.loop.now
        for number, connection in enumerate(self.connections):
            if number % _TURNS == self._turn:
                connection.reply.adapt(now)

    def _close_idle(self, limit_s: int) -> None:
        for connection in list(self.connections):
            if (
                connection.idle_s > limit_s
                and not connection.is_waiting
                and not connection.session.subscription_count
                and client_type(connection.session) == b"normal"
            ):
                logger.log(VERBOSE, "Closing idle client")
                connection.close()

    def _evict_clients(self) -> None:
        """End the clients with the largest buffers while all together take too much."""
        limit = self.values["maxmemory-clients"]
        if limit < 0:
            # A percentage of maxmemory, which may be unlimited.
            limit = -limit * self.values["maxmemory"] // 100
        sizes = {c: total_memory(c.session) for c in self.connections}
        total = sum(sizes.values())
        for connection in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if not limit or total <= limit:
                return
            session = connection.session
            if session.no_evict or client_type(session) not in (b"normal", b"pubsub"):
                continue
            logger.info("Evicting client: %s", connection.description)
            connection.close()
            total -= sizes[connection]
            self.traffic.evicted += 1

    def postpone(self, connection: Connection) -> None:
        """Have a connection try its command again when the pause is over."""
        self.postponed[connection] = None
        if self._pause_timer is not None:
            self._pause_timer.cancel()
        rest_s = min(self.core.pause.rest_s + _POSTPONED_S, _LONGEST_S)
        self._pause_timer = self.loop.call_later(rest_s, self._try_postponed)

    def _release(self) -> None:
        """Take note that a pause is over; any thread."""
        if self.postponed:
            self.loop.call_soon(self._try_postponed)

    def _try_postponed(self) -> None:
        postponed, self.postponed = self.postponed, {}
        for connection in postponed:
            self.core.pause.held.discard(connection.session)
            connection.go_on()

    # -- connections

    def accept(self, listener: Listener) -> None:
        """Accept who waits at a listener."""
        for _ in range(_ACCEPTS):
            try:
                sock, name = listener.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._rest_from_accepting(listener, error)
                return
            try:
                self._greet(sock, name, listener)
            except OSError:
                sock.close()

    def _rest_from_accepting(self, listener: Listener, error: OSError) -> None:
        """Look again in a while: who waits makes the listener ready all the time."""
        logger.warning("Accepting client connection: %s", error.strerror)
        self.loop.remove(listener.sock)
        self.loop.call_later(_CRON_S, partial(self._accept_again, listener))

    def _accept_again(self, listener: Listener) -> None:
        if listener.sock.fileno() >= 0:
            self.loop.add(listener.sock, _Acceptor(self, listener))

    def _greet(self, sock: socket.socket, name: Any, listener: Listener) -> None:
        sock.setblocking(False)
        is_local = bool(listener.path) or _is_loopback(name[0])
        if not listener.path:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._keep_alive(sock)
        if len(self.connections) >= self.values["maxclients"]:
            self.traffic.rejected += 1
            return _turn_away(sock, _FULL)
        protected = self.values["protected-mode"]
        if protected and not is_local and self.core.permissions.is_open():
            self.traffic.rejected += 1
            return _turn_away(sock, _PROTECTED)
        address = address_of(sock, name, listener.path)
        local = address_of(sock, sock.getsockname(), listener.path)
        logger.log(VERBOSE, "Accepted %s", address)
        if listener.tls is not None:
            sock = listener.tls.wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            )
        connection = Connection(self, sock, address, local)
        connection.session.is_local = is_local
        self.connections[connection] = None
        self.loop.add(sock, connection)

    def _keep_alive(self, sock: socket.socket) -> None:
        seconds = self.values["tcp-keepalive"]
        if not seconds:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
            interval = max(seconds // 3, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)

    def forget(self, connection: Connection) -> None:
        """Take note that a connection has ended."""
        self.connections.pop(connection, None)
        if connection in self.postponed:
            del self.postponed[connection]
            self.core.pause.held.discard(connection.session)
        self.slow.pop(connection, None)

    def output_limit(self, session: Session) -> tuple[int, int, int]:
        """Return hard limit, soft limit in bytes and its seconds; 0 is no limit."""
        kind = client_type(session).decode()
        limits: dict[str, tuple[int, int, int]] = self.values[
            "client-output-buffer-limit"
        ]
        return limits.get(kind, limits["normal"])

    # -- as a context manager

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._ended.is_set() else f"{len(self.connections)} clients"
        return f"<trignb.Server {self.host}:{self.port} {state}>"


class _Acceptor:
    """A listener's handler."""

    def __init__(self, server: Server, listener: Listener) -> None:
        self.server = server
        self.listener = listener

    def ready(self, _mask: int) -> None:
        """Accept."""
        self.server.accept(self.listener)


def _breathe(core: Core, seconds: float) -> None:
    """Serve others from within a script; on a thread that serves nobody just sleep."""
    for server in core.servers:
        if server.loop.is_mine:
            server.loop.pump(seconds)
            return
    time.sleep(seconds)


def _as_reply(waiter: Waiter) -> Waiter:
    """Give back a waiter: nobody may sleep on the loop's thread."""
    return waiter


def _turn_away(sock: socket.socket, text: bytes) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        sock.send(text)
    sock.close()


def _is_loopback(address: str) -> bool:
    """Whether Redis takes a client's address for this machine's own."""
    return address.startswith("127.") or address == "::1"
