"""Trying something on a copy of an engine that is thrown away.

The copy is an engine of its own, with isolates of its own: whatever is done to it, the keys, libraries with
their globals, statistics, logs, positions of stream triggers, watches and clients of the engine itself are
not touched. Commands that reach outside of an engine are refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from trignb.api import Engine
from trignb.clock import Clock
from trignb.datatypes import STRING_TYPES, Stream
from trignb.engine.differences import Change, change_of
from trignb.engine.images import Image, image_of
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.acl import User
    from trignb.engine.chance import Chance
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.engine.session import Session
    from trignb.engine.spec import Command
    from trignb.notebook.trace import KeyDiff
    from trignb.replication.role import Upstream
    from trignb.reply import Reply

__all__ = ["DryRun"]

Contents = list[tuple[dict[bytes, Any], dict[bytes, int]]]

# What is done by these stays when the copy has gone, or goes on elsewhere.
_OUTSIDE: Final = frozenset(
    {
        "acl|load",
        "acl|save",
        "bgrewriteaof",
        "bgsave",
        "cluster|saveconfig",
        "config|rewrite",
        "debug",
        "failover",
        "migrate",
        "module|load",
        "module|loadex",
        "psync",
        "replicaof",
        "save",
        "shutdown",
        "slaveof",
        "sync",
    }
)

# Parameters about files, sockets and other servers: the copy has its defaults.
_NOT_COPIED: Final = (
    "acl",
    "aof",
    "append",
    "bind",
    "cluster",
    "databases",
    "dbfilename",
    "dir",
    "logfile",
    "pidfile",
    "port",
    "repl-",
    "replica-announce",
    "replicaof",
    "save",
    "slave-announce",
    "slaveof",
    "tls",
    "unixsocket",
)

# Keys that a diff names.
MOST_CHANGES: Final = 10_000


class DryRun:
    """A copy of an engine, while a ``with`` block lasts; made by `trignb.Engine.dry_run`.

    Libraries are loaded again from their source, so their globals start afresh; streams are read on
    from where their triggers are. The copy's clock shows the same time, and its chance is going to
    choose what the engine's is.
    """

    def __init__(self, source: Engine) -> None:
        self.source = source
        self._engine: Engine | None = None
        self._before: Contents = []
        self._began_ms = 0

    # -- the copy

    def __enter__(self) -> DryRun:
        """Make the copy.

        Raises
        ------
        RdbError
            When a library cannot be loaded again.
        """
        if self._engine is not None:
            raise RuntimeError("a dry run is used once; engine.dry_run() makes another")
        with self.source.core.lock:
            state = _State.of(self.source)
        self._before = state.contents
        self._began_ms = state.clock.read() // 1_000_000
        self._engine = state.engine()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Throw the copy away."""
        self.engine.close()

    @property
    def engine(self) -> Engine:
        """The copy."""
        if self._engine is None:
            raise RuntimeError("the copy is made by `with engine.dry_run() as dry:`")
        return self._engine

    def execute(self, *args: str | bytes | float) -> Reply:
        """Run one command on the copy; see `trignb.Engine.execute`."""
        return self.engine.execute(*args)

    def session(self, like: Session | None = None) -> Session:
        """Return a client of the copy: a new one, or one in the state of another engine's.

        Raises
        ------
        ValueError
            When `like` is in the middle of a MULTI.
        """
        if like is None:
            return self.engine.session()
        if like.queue is not None:
            raise ValueError("the client is in the middle of a MULTI")
        session = self.engine.session(resp=like.resp)
        session.name = like.name
        session.user, session.authenticated = like.user, like.authenticated
        for db, key, _ in like.watched:
            session.db = self.engine.core.databases[db.index]
            session.watch(key)
        session.watch_broken = like.watch_failed()
        session.db = self.engine.core.databases[like.db.index]
        session.rearm()
        return session

    # -- what became of it

    def diff(self, title: str = "") -> KeyDiff:
        """Return what became of the keys so far; `title` is a line above it."""
        from trignb.notebook.trace import KeyDiff

        core = self.engine.core
        with core.lock:
            now_ms = core.clock.read() // 1_000_000
            changes: list[Change] = []
            hidden = 0
            for db, (data, expires) in zip(core.databases, self._before, strict=True):
                for key in _changed_keys(db, data, expires):
                    if len(changes) >= MOST_CHANGES:
                        hidden += 1
                        continue
                    before = _image(data, expires, key, self._began_ms)
                    after = _image(db.data, db.expires, key, now_ms)
                    change = change_of(db.index, key, before, after, was_heard=True)
                    if change is not None:
                        changes.append(change)
        return KeyDiff(changes, hidden=hidden, title=title)


@dataclass(slots=True)
class _SilentPrimary:
    """What stands for a replica's primary: the copy looks as if it still had it."""

    host: str
    port: int
    state: str
    down_since: float | None
    sync_bytes: int
    sync_total: int
    is_up: bool
    silence_s: int

    @classmethod
    def of(cls, upstream: Upstream | None) -> _SilentPrimary | None:
        """Return what stands for a primary, None on a primary."""
        if upstream is None:
            return None
        return cls(*(getattr(upstream, field.name) for field in fields(cls)))

    def acknowledge(self) -> None:
        """Tell nobody."""

    def close(self) -> None:
        """Leave nobody."""

    def join(self) -> None:
        """Wait for nobody."""


@dataclass(frozen=True, slots=True)
class _State:
    """What a copy is made of; taken at one moment."""

    contents: Contents
    clock: Clock
    chance: Chance
    configuration: dict[str, str]
    users: dict[str, User]
    primary: _SilentPrimary | None
    log_size: int | None
    scripts: list[bytes]
    lua_libraries: list[bytes]
    kept: list[bytes | None]
    positions: dict[tuple[str, str, str], int]
    library_chance: dict[str, bytes]

    @classmethod
    def of(cls, source: Engine) -> _State:
        """Return the state of an engine; its lock is held."""
        core = source.core
        return cls(
            contents=[db.copy_data() for db in core.databases],
            clock=_same_clock(core.clock),
            chance=core.chance.copy(),
            configuration=_configuration(core),
            users={n: user.copy() for n, user in core.permissions.users.items()},
            primary=_SilentPrimary.of(source.replication.upstream),
            log_size=core.notifications.records.maxlen,
            scripts=[script.source for script in source.scripts.cache.values()],
            lua_libraries=[lib.code for lib in source.lua_libraries.loaded.values()],
            kept=[kept.value() for kept in core.kept],
            positions={place: t.position for place, t in _triggers(source)},
            library_chance={
                name: library.runtime.chance_state()
                for name, library in source.library_registry.libraries.items()
            },
        )

    def engine(self) -> Engine:
        """Return an engine in this state."""
        engine = Engine(clock=self.clock, databases=len(self.contents))
        try:
            self._fill(engine)
        except BaseException:
            engine.close()
            raise
        return engine

    def _fill(self, engine: Engine) -> None:
        core, registry = engine.core, engine.library_registry
        core.config.set_initial(self.configuration)
        core.permissions.replace_users(self.users)
        core.record_notifications(self.log_size)
        for source in self.scripts:
            engine.scripts.load(source)
        for code in self.lua_libraries:
            engine.lua_libraries.load(code, replace=True)
        # Before there are keys: of streams only what comes is read.
        with registry.streams.scan.awaited(), core.lock:
            for value, own in zip(self.kept, core.kept, strict=True):
                own.prepare(value, upgrade=False).install()
            self._order(engine)
            # Loading took from it what it took in the engine itself.
            core.chance = self.chance
            for name, library in registry.libraries.items():
                library.runtime.set_chance_state(self.library_chance[name])
        core.restore(self.contents)
        if self.primary is not None:
            with core.lock:
                engine.replication.become_replica(self.primary)
        core.gates.append(_refuse_outside)
        core.rearm_sessions()

    def _order(self, engine: Engine) -> None:
        """Have triggers fire in the order in which they fire in the engine itself."""
        for place, trigger in _triggers(engine):
            trigger.position = self.positions[place]
        engine.library_registry.triggers.replace((), ())
        engine.library_registry.streams.replace((), ())


def _triggers(engine: Engine) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """Yield all triggers, each with its library, kind and name."""
    registry = engine.library_registry
    for trigger in chain(registry.triggers, registry.streams):
        yield (trigger.library, trigger.kind, trigger.name), trigger


def _same_clock(source: Clock) -> Clock:
    """Return a clock that shows the same time, and stands or runs as the other does."""
    clock = Clock()
    if source.frozen:
        clock.frozen = True
        clock.set_ns(source.read())
    elif source.read is not time.time_ns:
        clock.set_ns(source.read())
    return clock


def _configuration(core: Core) -> dict[str, str]:
    """Return the parameters that are not what they are by default, as texts."""
    config = core.config
    return {
        name: config.text(name)
        for name, parameter in config.parameters.items()
        if name == parameter.name
        and config.values[name] != parameter.default
        and not name.startswith(_NOT_COPIED)
    }


def _refuse_outside(_session: Session, command: Command, args: list[bytes]) -> None:
    """Refuse what would leave something behind."""
    name = command.name
    outside = name in _OUTSIDE or name.partition("|")[0] in _OUTSIDE
    if name == "config|set":
        words = (arg.decode("latin-1").lower() for arg in args[2::2])
        outside = any(word.startswith(_NOT_COPIED) for word in words)
    if outside:
        shown = name.replace("|", " ").upper()
        raise ResponseError(
            f"ERR {shown} reaches outside of the engine: not in a dry run"
        )


def _changed_keys(
    db: Database, data: dict[bytes, Any], expires: dict[bytes, int]
) -> list[bytes]:
    """Return the keys that are not what they were, those that were there first."""
    new_data, new_expires = db.data, db.expires
    found = [
        key
        for key, value in data.items()
        if _differs(value, new_data.get(key))
        or expires.get(key) != new_expires.get(key)
    ]
    return found + [key for key in new_data if key not in data]


def _differs(before: Any, after: Any) -> bool:
    if type(before) is Stream and type(after) is Stream:
        # Streams do not compare; their images do.
        text = (before.length, before.last_id, before.entries_added)
        return bool(before.groups or after.groups) or text != (
            after.length,
            after.last_id,
            after.entries_added,
        )
    if type(before) in STRING_TYPES and type(after) in STRING_TYPES:
        return bytes(before) != bytes(after)
    return type(before) is not type(after) or before != after


def _image(
    data: dict[bytes, Any], expires: dict[bytes, int], key: bytes, now_ms: int
) -> Image | None:
    value, deadline = data.get(key), expires.get(key)
    if value is None or (deadline is not None and deadline < now_ms):
        return None
    ttl = None if deadline is None else deadline - now_ms
    return image_of(value, deadline, ttl)
