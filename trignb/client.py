"""redis-py without a network: a `redis.Redis` whose connections are sessions of an engine.

Only the lowest layer is ours. `EngineConnection` gives redis-py a `Wire` where it expects a socket, and
`WireParser` takes replies from it where redis-py expects bytes to parse. Pools, pipelines, transactions,
pub/sub, response callbacks and error classes are redis-py's own, so code written for a server behaves here
as it does there.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import redis
import redis.utils
from redis._parsers.resp3 import _RESP3Parser
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from trignb.errors import EngineClosed, ResponseError
from trignb.reply import NO_REPLY, NullArray, Reply, to_resp2

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.engine.session import Session

__all__ = ["engine_client"]

Command = tuple[Any, ...]

# Stands for a timeout that was not given; redis-py has one of its own since 7.1.
_UNSET: Any = object()
_REDIS_PY_UNSET: Any = getattr(redis.utils, "SENTINEL", _UNSET)

# A reader looks this often whether the engine was closed under it.
_LOOK_SECONDS = 0.2


def engine_client(engine: Engine, **kwargs: Any) -> redis.Redis:
    """Return a `redis.Redis` connected to an engine in this process.

    Parameters
    ----------
    engine : Engine
        The engine; it has to outlive the client.
    **kwargs
        Those of `redis.Redis` that make sense without a network: ``db``,
        ``decode_responses``, ``encoding``, ``protocol``, ``client_name``,
        ``max_connections``, ``single_connection_client``, ``health_check_interval`` …

    Raises
    ------
    TypeError
        For an argument about hosts, ports, sockets or TLS.
    """
    single = kwargs.pop("single_connection_client", False)
    _refuse_network(kwargs)
    pool = ConnectionPool(
        connection_class=EngineConnection, engine=engine, **(_defaults() | kwargs)
    )
    client = redis.Redis(connection_pool=pool, single_connection_client=single)
    # As with a client that made its own pool: closing the one closes the other.
    client.auto_close_connection_pool = True
    return client


def _defaults() -> dict[str, Any]:
    """Return what an in-process client wants otherwise than redis-py does."""
    # There is nothing to reconnect to once the engine is closed.
    defaults: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
    known = inspect.signature(AbstractConnection).parameters
    # An in-process client needs no name tag in CLIENT LIST.
    if "driver_info" in known:
        defaults["driver_info"] = None
    elif "lib_name" in known:
        defaults |= {"lib_name": None, "lib_version": None}
    if find_spec("redis.maint_notifications") is not None:
        from redis.maint_notifications import MaintNotificationsConfig

        defaults["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    return defaults


def _refuse_network(kwargs: dict[str, Any]) -> None:
    known = {"max_connections", *inspect.signature(AbstractConnection).parameters}
    for name in kwargs:
        if name not in known:
            raise TypeError(f"an in-process client takes no argument {name!r}")


class Wire:
    """What stands for the socket: commands in, replies and pushes out, in order."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.closed = False
        self._messages: deque[tuple[bool, Reply]] = deque()
        self._arrived = threading.Condition()
        # Pushes caused by a command of this very session wait for its reply.
        self._held: list[Reply] | None = None
        session.on_push = session.on_line = self._push

    def execute(self, args: Iterable[bytes]) -> None:
        """Run a command on the calling thread; its reply waits to be taken."""
        self._held = []
        try:
            reply = self.session.execute(*args)
        except ResponseError as error:
            reply = error
        finally:
            held, self._held = self._held, None
        with self._arrived:
            if reply is not NO_REPLY:
                self._messages.append((False, self._shape(reply)))
            self._messages.extend((True, self._shape(push)) for push in held)
            self._arrived.notify_all()

    def _push(self, message: Reply) -> None:
        held = self._held
        if held is not None:
            held.append(message)
            return
        with self._arrived:
            self._messages.append((True, self._shape(message)))
            self._arrived.notify_all()

    def _shape(self, reply: Reply) -> Reply:
        return reply if self.session.resp == 3 else to_resp2(reply)

    def wait(self, timeout: float | None) -> bool:
        """Wait until there is something to take; None waits for ever."""
        with self._arrived:
            if self.session.closed and not self._messages:
                self._check_open()
            while not self._messages and timeout != 0:
                self._check_open()
                step = _LOOK_SECONDS if timeout is None else min(timeout, _LOOK_SECONDS)
                self._arrived.wait(step)
                timeout = None if timeout is None else max(0, timeout - step)
            return bool(self._messages)

    def take(self, timeout: float | None) -> tuple[bool, Reply]:
        """Return the next message and whether it is a push."""
        if not self.wait(timeout):
            self._check_open()
            raise TimeoutError("timed out")
        return self._messages.popleft()

    def _check_open(self) -> None:
        if self.closed or self.session.closed or self.session.core.closed:
            raise ConnectionResetError("Connection closed by the engine")

    def shutdown(self, _how: int) -> None:
        """Do what a socket does before it is closed: wake the readers."""
        self.closed = True
        with self._arrived:
            self._arrived.notify_all()

    def close(self) -> None:
        """End the session."""
        self.session.close()


class WireParser(_RESP3Parser):
    """Takes replies from a `Wire` and turns them into what redis-py's parsers give."""

    # redis-py 5 hands on how the reply was asked for, and makes nothing of it.
    _push_flags = (
        (False, False)
        if "push_request"
        in inspect.signature(_RESP3Parser.handle_push_response).parameters
        else ()
    )

    def on_connect(self, connection: EngineConnection) -> None:
        """Take over the connection's wire and encoder."""
        self._sock: Wire | None = connection._sock
        self._timeout: float | None = connection.socket_timeout
        self.encoder = connection.encoder

    def on_disconnect(self) -> None:
        """Let go of the wire."""
        self._sock = None
        self.encoder = None

    def can_read(self, timeout: float | None = 0) -> bool:
        """Whether a message is there, waiting for one at most so long."""
        return self._sock is not None and self._sock.wait(timeout)

    def read_response(
        self,
        disable_decoding: bool = False,
        push_request: bool = False,
        timeout: Any = _UNSET,
    ) -> Any:
        """Return the next reply; of pushes only when they are asked for."""
        if timeout is _UNSET or timeout is _REDIS_PY_UNSET:
            timeout = self._timeout
        while True:
            if self._sock is None or self.encoder is None:
                raise RedisConnectionError("Connection closed by the engine")
            decode = bytes if disable_decoding else self.encoder.decode
            is_push, message = self._sock.take(timeout)
            response = _to_redis_py(message, decode)
            if is_push and self._sock.session.resp == 3:
                response = self.handle_push_response(response, *self._push_flags)
                if not push_request:
                    continue
            if isinstance(response, RedisConnectionError):
                raise response
            return response


def _to_redis_py(reply: Reply, decode: Callable[[bytes], Any]) -> Any:
    """Return a reply as redis-py's parsers would: sets as lists, errors as its own."""
    if isinstance(reply, bytes):
        return decode(bytes(reply))
    if isinstance(reply, str):
        return decode(reply.encode())
    if reply is None or isinstance(reply, NullArray):
        return None
    if isinstance(reply, dict):
        return {
            _to_redis_py(key, decode): _to_redis_py(item, decode)
            for key, item in reply.items()
        }
    if isinstance(reply, (list, tuple, set, frozenset)):
        return [_to_redis_py(item, decode) for item in reply]
    if isinstance(reply, ResponseError):
        return WireParser.parse_error(str(reply))
    if isinstance(reply, (bool, float)):
        return reply
    # A big number is an int of a class of its own here.
    return int(reply)


class EngineConnection(AbstractConnection):
    """A connection of redis-py that is a session of an engine."""

    # What redis-py's metrics and messages call the other side.
    host = "in-process"
    port = 0
    # The base class calls it a socket and knows no type of it.
    _sock: Any

    def __init__(self, engine: Engine, **kwargs: Any) -> None:
        self.engine = engine
        super().__init__(**kwargs)

    def repr_pieces(self) -> list[tuple[str, Any]]:
        """Say which engine and which database."""
        return [("engine", self.engine), ("db", self.db)]

    def set_parser(self, _parser_class: type) -> None:
        """Use our parser, whichever redis-py would choose."""
        self._parser = WireParser(socket_read_size=self._socket_read_size)

    def _connect(self) -> Wire:
        if self.engine.core.closed:
            raise ConnectionRefusedError("the engine is closed")
        return Wire(self.engine.session(resp=2))

    def _host_error(self) -> str:
        return "the engine"

    def pack_command(self, *args: Any) -> list[Command]:
        """Return a command as `send_packed_command` takes it: not packed at all."""
        return [args]

    def pack_commands(self, commands: Iterable[Command]) -> list[Command]:
        """Return commands as `send_packed_command` takes them."""
        return list(commands)

    def send_command(self, *args: Any, **kwargs: Any) -> None:
        """Run one command."""
        self.send_packed_command([args], kwargs.get("check_health", True))

    def send_packed_command(
        self, command: Iterable[Command], check_health: bool = True
    ) -> None:
        """Run commands; their replies wait to be read."""
        if self._sock is None:
            self.connect_check_health(check_health=False)
        if check_health:
            self.check_health()
        try:
            # All are encoded before the first is run, as a socket sends all or nothing.
            for args in [self._encode(args) for args in command]:
                self._sock.execute(args)
        except EngineClosed as error:
            self.disconnect()
            raise RedisConnectionError(str(error)) from error
        except BaseException:
            # An interrupt leaves replies unread: nobody could tell whose they are.
            self.disconnect()
            raise

    def _encode(self, args: Command) -> list[bytes]:
        name, *rest = args
        # redis-py names some commands by two words: CONFIG GET.
        words = (name.encode() if isinstance(name, str) else name).split()
        return [*words, *(bytes(self.encoder.encode(arg)) for arg in rest)]
