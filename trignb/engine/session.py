"""One client's state: its database, its transaction, its subscriptions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from trignb.engine import spec
from trignb.engine.args import encode_args
from trignb.errors import ResponseError, SessionClosed
from trignb.reply import NULL_ARRAY, QUEUED, NullArray, Reply, Status

if TYPE_CHECKING:
    from trignb.engine.client_memory import Buffers
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.engine.spec import Command
    from trignb.engine.tracking import Tracking

__all__ = ["Link", "Session"]

# What a client in MULTI state still runs at once.
_NOT_QUEUED = frozenset({"exec", "discard", "multi", "watch", "quit", "reset"})

# What is not even queued unless the configuration enables it.
_ENABLED_FIRST = frozenset({"debug", "module|load", "module|loadex", "module|unload"})

# What a RESP2 client that listens may still say.
_WHILE_SUBSCRIBED = frozenset(
    {
        "subscribe",
        "ssubscribe",
        "psubscribe",
        "unsubscribe",
        "sunsubscribe",
        "punsubscribe",
        "ping",
        "quit",
        "reset",
    }
)

# Push messages kept for a client that gave no `on_push` to hand them to.
_INBOX_SIZE = 100_000


class Link(Protocol):
    """What a session knows of its connection: what CLIENT LIST shows, and its end."""

    @property
    def query_bytes(self) -> int:
        """Bytes that came and have not been run."""

    @property
    def output_bytes(self) -> int:
        """Bytes that the client has not read."""

    @property
    def idle_s(self) -> int:
        """Whole seconds since the client was heard of."""

    def buffers(self, *, is_running: bool) -> Buffers:
        """Return what it holds; `is_running` says that its command is at work."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def session_closed(self) -> None:
        """Take note that the session was closed; any thread."""


class Session:
    """A client of the engine.

    Attributes
    ----------
    db : Database
        The selected database.
    resp : int
        3 or 2: decides null arrays and nested pairs; see `trignb.reply.to_resp2` for the rest.
    protocol : int
        What the client itself speaks: `resp` is a script's own while one runs.
    queue : list or None
        Commands queued since MULTI, None outside a transaction.
    on_push : callable or None
        Gets every push message (a list); without it they wait in `inbox`.
    reply_mode : str
        ``on``, ``off`` or ``skip`` (the next reply only), as CLIENT REPLY sets it; what is not
        to be sent is `NO_REPLY`.
    on_line : callable or None
        Gets the lines of MONITOR; without it they come as push messages of one item.
    link : Link or None
        The connection of a client that is not in this process.
    tracking : Tracking or None
        What CLIENT TRACKING turned on.
    is_local : bool
        The client is on this machine.
    is_primary : bool
        Its commands come from our primary or from an append-only file: those that nobody else may
        send are accepted, and nothing is refused.
    replica : object or None
        What `trignb.replication` knows of a client that is a replica.
    intercept : callable or None
        Set when anything about the session is unusual; the fast path makes this one test.
    """

    __slots__ = (
        "__weakref__",
        "address",
        "authenticated",
        "channels",
        "closed",
        "core",
        "created_ns",
        "db",
        "id",
        "inbox",
        "intercept",
        "is_local",
        "is_primary",
        "last_command",
        "lib_name",
        "lib_version",
        "link",
        "local_address",
        "name",
        "no_evict",
        "no_touch",
        "null_array",
        "on_line",
        "on_push",
        "patterns",
        "protocol",
        "queue",
        "queue_failed",
        "replica",
        "reply_mode",
        "resp",
        "shard_channels",
        "tracking",
        "user",
        "watch_broken",
        "watched",
    )

    def __init__(self, core: Core, resp: int = 3) -> None:
        self.core = core
        self.id = core.next_session_id()
        self.name = b""
        self.user = "default"
        self.address = self.local_address = ""
        self.is_local = True
        self.lib_name = self.lib_version = b""
        self.created_ns = core.clock.read()
        self.last_command: Command | None = None
        self.closed = False
        self.no_evict = self.no_touch = self.is_primary = False
        self.tracking: Tracking | None = None
        self.replica: Any = None
        self.on_push: Callable[[list[Any]], None] | None = None
        self.on_line: Callable[[Status], None] | None = None
        self.link: Link | None = None
        self.inbox: deque[list[Any]] = deque(maxlen=_INBOX_SIZE)
        # Insertion-ordered, as Redis unsubscribes in the order of subscription.
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shard_channels: dict[bytes, None] = {}
        self.watched: list[tuple[Database, bytes, bool]] = []
        self._start(resp)
        core.sessions[self.id] = self

    def _start(self, resp: int) -> None:
        self.db = self.core.databases[0]
        self.queue: list[tuple[Command, list[bytes]]] | None = None
        self.queue_failed = False
        self.watch_broken = False
        self.reply_mode = "on"
        self.authenticated = self.core.default_user_is_open()
        self.intercept: Callable[[Command, list[bytes]], Reply] | None = None
        self.set_resp(resp)

    def __repr__(self) -> str:
        state = " in MULTI" if self.queue is not None else ""
        return f"<Session {self.id} db={self.db.index} RESP{self.resp}{state}>"

    # -- what people call

    def execute(self, *args: str | bytes | float) -> Reply:
        """Run one command as this client; see `trignb.Engine.execute`."""
        return self.core.run(self, encode_args(args))

    def close(self) -> None:
        """Leave: unwatch, unsubscribe, drop the transaction; later commands are refused."""
        if self.closed:
            return
        with self.core.lock:
            self.discard_transaction()
            self.core.pubsub.leave(self)
            self.core.tracking.stop(self)
            self.core.monitors.stop(self)
            self.core.sessions.pop(self.id, None)
            self.closed = True
            self.intercept = _refuse_closed
        if self.link is not None:
            self.link.session_closed()

    def authenticate(self, user: bytes, password: bytes) -> None:
        """Become a user, or raise WRONGPASS."""
        name = user.decode("utf-8", "surrogateescape")
        self.core.permissions.authenticate(self, name, password)
        self.user = name
        self.authenticated = True
        self.rearm()

    # -- protocol

    def set_resp(self, resp: int) -> None:
        """Speak RESP2 or RESP3 from now on."""
        self.resp = self.protocol = resp
        self.null_array: NullArray | None = None if resp == 3 else NULL_ARRAY
        self.rearm()

    def reply_ended(self) -> None:
        """Note that a reply was left out: CLIENT REPLY SKIP is over."""
        if self.reply_mode == "skip":
            self.reply_mode = "on"
            self.rearm()

    def push(self, message: list[Any]) -> None:
        """Hand a push message to the client."""
        if self.on_push is not None:
            self.on_push(message)
        else:
            self.inbox.append(message)

    @property
    def shown_address(self) -> str:
        """The client's address, made up where there is no network: one per session."""
        return self.address or f"in-process:{self.id}"

    def push_line(self, line: Status) -> None:
        """Hand a line to the client that is no push message to it either (MONITOR)."""
        if self.on_line is not None:
            self.on_line(line)
        else:
            self.push([line])

    @property
    def subscription_count(self) -> int:
        """Channels and patterns, as SUBSCRIBE counts them."""
        return len(self.channels) + len(self.patterns)

    # -- the gate: everything unusual sits behind one attribute

    def rearm(self) -> None:
        """Set `intercept` for the state the session is in now."""
        if self.closed:
            return
        unusual = (
            self.core.closed
            or self.queue is not None
            or self.core.observed
            or self.core.access.is_on
            or (not self.is_primary and self._is_watched_over)
        )
        self.intercept = self._gate if unusual else None

    @property
    def _is_watched_over(self) -> bool:
        """Whether a command of this client may be refused."""
        return bool(
            not self.authenticated
            or self.is_resp2_subscriber
            or self.reply_mode != "on"
            or self.tracking is not None
            or self.core.gates
            or self.core.permission is not None
        )

    @property
    def is_resp2_subscriber(self) -> bool:
        """Whether only the commands of a listener are allowed."""
        return self.protocol == 2 and bool(
            self.channels or self.patterns or self.shard_channels
        )

    def _gate(self, command: Command, args: list[bytes]) -> Reply:
        """Return None to let the command through, or the reply that stands for it."""
        self.last_command = command
        if not self.is_primary:
            self._check(command, args)
        elif self.core.access.is_on:
            self.core.access.note(self, command, args)
        if self.queue is not None and command.name not in _NOT_QUEUED:
            return self._enqueue(command, args)
        return None

    def _check(self, command: Command, args: list[bytes]) -> None:
        """Raise the error for a command that is not to be run."""
        if not self.authenticated and not command.flags & spec.NO_AUTH:
            raise self.refuse(command, "NOAUTH Authentication required.")
        if self.core.permission is not None:
            try:
                self.core.permission(self, command, args)
            except ResponseError as error:
                raise self.refuse(command, str(error)) from None
        # A pause may end meanwhile, and its gate with it.
        for gate in self.core.gates.copy():
            gate(self, command, args)
        if self.is_resp2_subscriber and command.name not in _WHILE_SUBSCRIBED:
            raise self._refuse_to_listener(command)

    def _refuse_to_listener(self, command: Command) -> ResponseError:
        return self.refuse(
            command,
            f"ERR Can't execute '{command.name}': only (P|S)SUBSCRIBE / "
            "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        )

    def _enqueue(self, command: Command, args: list[bytes]) -> Reply:
        """Queue a command of a transaction."""
        assert self.queue is not None
        if command.flags & spec.NO_MULTI:
            raise self.refuse(command, "ERR Command not allowed inside a transaction")
        if command.name in _ENABLED_FIRST:
            refusal = self.core.config.refusal_of(command.name, is_local=self.is_local)
            if refusal is not None:
                raise self.refuse(command, refusal)
        # What will not run need not be kept.
        if not (self.queue_failed or self.watch_broken):
            self.queue.append((command, args))
        return QUEUED

    def refuse(self, command: Command | None, text: str) -> ResponseError:
        """Return the error for a command that is not run; it fails a transaction.

        An EXEC that is refused ends its transaction.
        """
        if command is not None:
            command.rejected += 1
            if command.name == "exec":
                self.discard_transaction()
                reason = text.removeprefix("ERR ")
                text = f"EXECABORT Transaction discarded because of: {reason}"
        self.fail_transaction()
        if self.tracking is not None and self.queue is None:
            self.tracking.caching = False
        error = ResponseError(text)
        self.core.count_error(error)
        return error

    def refuse_busy(
        self, command: Command, args: list[bytes], text: str
    ) -> ResponseError:
        """Return the error for a command that has to wait until a script ends."""
        if not self.authenticated and not command.flags & spec.NO_AUTH:
            return self.refuse(command, "NOAUTH Authentication required.")
        if self.core.permission is not None:
            try:
                self.core.permission(self, command, args)
            except ResponseError as error:
                return self.refuse(command, str(error))
        if self.is_resp2_subscriber and command.name not in _WHILE_SUBSCRIBED:
            return self._refuse_to_listener(command)
        return self.refuse(command, text)

    # -- transactions

    def fail_transaction(self) -> None:
        """Remember that a command could not be queued: EXEC will refuse."""
        if self.queue is not None:
            self.queue_failed = True

    def discard_transaction(self) -> None:
        """Forget queue and watches, as DISCARD and EXEC do."""
        self.queue = None
        self.queue_failed = False
        self.unwatch()
        self.rearm()

    def watch(self, key: bytes) -> None:
        """Watch a key of the selected database."""
        db = self.db
        if any(d is db and k == key for d, k, _ in self.watched):
            return
        self.watched.append((db, key, db.is_due(key)))
        db.watched.setdefault(key, {})[self] = None

    def unwatch(self) -> None:
        """Forget all watches."""
        for db, key, _ in self.watched:
            watchers = db.watched.get(key)
            if watchers is not None:
                watchers.pop(self, None)
                if not watchers:
                    del db.watched[key]
        self.watched.clear()
        self.watch_broken = False

    def watch_failed(self) -> bool:
        """Whether a watched key changed, or passed its deadline since it was watched."""
        return self.watch_broken or any(
            not was_due and db.is_due(key) for db, key, was_due in self.watched
        )

    def reset(self) -> None:
        """Return to the state of a new connection (RESET)."""
        self.discard_transaction()
        self.core.pubsub.leave(self)
        self.core.tracking.stop(self)
        self.core.monitors.stop(self)
        self.name = b""
        self.user = "default"
        self.no_evict = self.no_touch = False
        self._start(2)


def _refuse_closed(_command: Command, _args: list[bytes]) -> Reply:
    raise SessionClosed("the session was closed")
