"""CLIENT TRACKING: who read which keys, and the messages that tell them to forget.

Nobody pays for it while nobody tracks: sessions that track go through their gate, and a key's change is
seen because the databases are made to look watched (`Database.touch`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.keyspecs import keys_of
from trignb.engine.spec import READONLY
from trignb.reply import Encoded

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["Tracking", "TrackingTable"]

CHANNEL: Final = b"__redis__:invalidate"
_SCRIPTS: Final = frozenset({"eval_ro", "evalsha_ro", "fcall_ro"})


@dataclass(slots=True)
class Tracking:
    """One session's choice; ``caching`` is what CLIENT CACHING said for the next command."""

    redirect: int = 0
    prefixes: list[bytes] = field(default_factory=list)
    bcast: bool = False
    optin: bool = False
    optout: bool = False
    noloop: bool = False
    caching: bool = False
    broken: bool = False


class TrackingTable:
    """What the tracking sessions have read, by key name; databases do not matter."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.readers: dict[bytes, dict[int, None]] = {}
        self.sessions: dict[int, Session] = {}
        self.is_on = False
        # The session at work, as far as it tracks itself.
        self.caller: Session | None = None
        # What the caller, or its listener, hears when its command has ended.
        self._own: list[tuple[Session, list[Any]]] = []
        self._pending: dict[bytes, dict[bytes, Session | None]] = {}
        # The command that emptied a database last: it may empty several, and is told of once.
        self._flushed_by: list[bytes] | None = None
        self._is_flushing = False

    # -- turning it on and off

    def start(self, session: Session, choice: Tracking) -> None:
        """Let a session track, or change how it does."""
        session.tracking = choice
        self.sessions[session.id] = session
        if choice.bcast and self._end_round not in self.core.before_replies:
            self.core.before_replies.append(self._end_round)
        self._watch_writes(True)
        session.rearm()

    def stop(self, session: Session) -> None:
        """End a session's tracking; what it read is remembered until it changes, as in Redis."""
        if session.tracking is None:
            return
        session.tracking = None
        del self.sessions[session.id]
        if not self._prefixes():
            self._pending.clear()
            if self._end_round in self.core.before_replies:
                self.core.before_replies.remove(self._end_round)
        self._stop_watching()
        session.rearm()

    def _stop_watching(self) -> None:
        if not self.sessions and not self.readers:
            self._watch_writes(False)

    def _watch_writes(self, on: bool) -> None:
        """Make every write look whether its key is watched, or stop that."""
        if on == self.is_on:
            return
        self.is_on = on
        for db in self.core.databases:
            if on:
                db.watched[_NO_KEY] = {}
            else:
                del db.watched[_NO_KEY]

    # -- what is read

    def remember(self, session: Session, command: Command, args: list[bytes]) -> None:
        """Note the keys that a tracking session's command reads."""
        choice = session.tracking
        if choice is None or choice.bcast or not command.flags & READONLY:
            return
        if command.name in _SCRIPTS:
            # What they read is noted as they read it.
            return
        if (choice.optin and not choice.caching) or (choice.optout and choice.caching):
            return
        for key in keys_of(command, args):
            self.readers.setdefault(key, {})[session.id] = None
        limit = self.core.config.values["tracking-table-max-keys"]
        while limit and len(self.readers) > limit:
            self.invalidate(next(iter(self.readers)), None)

    def command_ended(
        self, session: Session, command: Command, args: list[bytes]
    ) -> None:
        """Note what a tracking session's own command read; CACHING was for this one.

        What it changed itself it hears now, behind the messages it sent to itself.
        """
        own, self._own = self._own, []
        for target, message in own:
            target.push(message)
        self.remember(session, command, args)
        choice = session.tracking
        is_client = command.name.startswith("client")
        if choice is not None and session.queue is None and not is_client:
            choice.caching = False

    # -- what changes

    def changed(self, key: bytes) -> None:
        """Tell whoever read a key, or tracks its prefix, that a command changed it."""
        caller = self.caller
        # To who tracks prefixes a script of its own is another client, as in Redis.
        is_direct = self.core.frame.origin == "client"
        self.invalidate(key, caller, caller if is_direct else None)

    def invalidate(
        self, key: bytes, by: Session | None, broadcast_by: Session | None = None
    ) -> None:
        """Tell whoever read a key, or tracks its prefix, that it changed.

        `by` is the session that changed it, as far as it tracks itself: NOLOOP spares it.
        `broadcast_by` is that for who tracks prefixes.
        """
        for session_id in sorted(self.readers.pop(key, ())):
            session = self.sessions.get(session_id)
            if session is not None and not _is_own(session, by):
                choice = session.tracking
                if choice is not None and not choice.bcast:
                    self._send(session, [key])
        self._stop_watching()
        for prefix in self._prefixes():
            if key.startswith(prefix):
                if not self._pending and not self._is_in_a_round():
                    self.core.queue_job(self._broadcast)
                self._pending.setdefault(prefix, {})[key] = broadcast_by

    def _prefixes(self) -> set[bytes]:
        """Return the prefixes that somebody tracks."""
        return {
            prefix
            for session in self.sessions.values()
            if session.tracking is not None and session.tracking.bcast
            for prefix in session.tracking.prefixes
        }

    def invalidate_all(self) -> None:
        """Tell everybody to forget everything, once per command (FLUSHALL, FLUSHDB)."""
        self.readers.clear()
        self._stop_watching()
        argv = self.core.argv
        if argv is None:
            # No command: a snapshot is restored, database by database.
            if not self._is_flushing:
                self._is_flushing = True
                self.core.queue_job(self._tell_of_flush)
        elif argv is not self._flushed_by:
            self._flushed_by = argv
            self._tell_of_flush()

    def _tell_of_flush(self) -> None:
        self._is_flushing = False
        for _, session in sorted(self.sessions.items()):
            self._send(session, None)

    def _is_in_a_round(self) -> bool:
        """Whether a server's thread is at work: it tells of all changes of its round at once."""
        return any(server.loop.is_mine for server in self.core.servers)

    def _end_round(self) -> None:
        if self._pending and self._is_in_a_round():
            with self.core.lock:
                self._broadcast()

    def _broadcast(self) -> None:
        """Tell of the changes so far, one message for each prefix."""
        pending, self._pending = self._pending, {}
        for prefix, changes in sorted(pending.items()):
            for session in list(self.sessions.values()):
                if session.tracking is None or prefix not in session.tracking.prefixes:
                    continue
                # Who changed a key last decides whether it was one's own change.
                keys = [k for k, by in changes.items() if not _is_own(session, by)]
                if keys:
                    self._send(session, sorted(keys))

    def _send(self, session: Session, keys: list[bytes] | Encoded | None) -> None:
        choice = session.tracking
        if choice is None:
            return
        target, redirected = session, bool(choice.redirect)
        if redirected:
            found = self.core.sessions.get(choice.redirect)
            if found is None:
                choice.broken = True
                if session.protocol == 3:
                    session.push([b"tracking-redir-broken", choice.redirect])
                return
            target = found
        message: list[Any]
        if keys is None and redirected:
            keys = _null_of(session, target)
        if target.protocol == 3:
            message = [b"invalidate", keys]
        elif redirected and target.is_resp2_subscriber:
            message = [b"message", CHANNEL, keys]
        else:
            return
        if session is self.caller:
            self._own.append((target, message))
        else:
            target.push(message)

    # -- counting

    @property
    def item_count(self) -> int:
        """How many (key, session) pairs are remembered."""
        return sum(map(len, self.readers.values()))

    @property
    def prefix_count(self) -> int:
        """How many prefixes somebody tracks."""
        return len(self._prefixes())


def _null_of(session: Session, target: Session) -> Encoded | None:
    """Return the null of a client's own protocol, in which Redis writes it to its listener."""
    if target.link is None or session.protocol == target.protocol:
        return None
    return Encoded(b"_\r\n" if session.protocol == 3 else b"$-1\r\n")


def _is_own(session: Session, by: Session | None) -> bool:
    choice = session.tracking
    return session is by and choice is not None and choice.noloop


# Stands in `Database.watched` for "somebody tracks"; no key is None.
_NO_KEY: Any = None
