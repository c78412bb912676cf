"""Channels, patterns and shard channels: who listens to what, and the delivery."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trignb.engine.events import CLASS_LETTERS, KEYEVENT, KEYSPACE
from trignb.glob import matcher

if TYPE_CHECKING:
    from trignb.engine.database import Database
    from trignb.engine.session import Session

__all__ = ["PubSub"]

_CLASSES = sum(CLASS_LETTERS) & ~(KEYSPACE | KEYEVENT)


class PubSub:
    """Subscriptions of all sessions.

    ``channels``, ``patterns`` and ``shard_channels`` map a name to its subscribers, in the
    order in which they came.
    """

    def __init__(self) -> None:
        self.channels: dict[bytes, dict[Session, None]] = {}
        self.patterns: dict[bytes, dict[Session, None]] = {}
        self.shard_channels: dict[bytes, dict[Session, None]] = {}
        self._match: dict[bytes, Callable[[bytes], object]] = {}
        self.flags = 0

    # -- subscribing

    def subscribe(self, session: Session, channel: bytes) -> None:
        """Add a session to a channel."""
        session.channels[channel] = None
        self.channels.setdefault(channel, {})[session] = None

    def psubscribe(self, session: Session, pattern: bytes) -> None:
        """Add a session to a pattern."""
        session.patterns[pattern] = None
        self.patterns.setdefault(pattern, {})[session] = None
        self._match[pattern] = matcher(pattern)

    def ssubscribe(self, session: Session, channel: bytes) -> None:
        """Add a session to a shard channel."""
        session.shard_channels[channel] = None
        self.shard_channels.setdefault(channel, {})[session] = None

    def unsubscribe(self, session: Session, channel: bytes) -> None:
        """Take a session out of a channel."""
        session.channels.pop(channel, None)
        _leave(self.channels, channel, session)

    def punsubscribe(self, session: Session, pattern: bytes) -> None:
        """Take a session out of a pattern."""
        session.patterns.pop(pattern, None)
        _leave(self.patterns, pattern, session)
        if pattern not in self.patterns:
            self._match.pop(pattern, None)

    def sunsubscribe(self, session: Session, channel: bytes) -> None:
        """Take a session out of a shard channel."""
        session.shard_channels.pop(channel, None)
        _leave(self.shard_channels, channel, session)

    def leave(self, session: Session) -> None:
        """Drop every subscription of a session."""
        for channel in list(session.channels):
            self.unsubscribe(session, channel)
        for pattern in list(session.patterns):
            self.punsubscribe(session, pattern)
        for channel in list(session.shard_channels):
            self.sunsubscribe(session, channel)

    # -- delivering

    def publish(self, channel: bytes, message: bytes) -> int:
        """Deliver a message; returns how many subscriptions received it."""
        receivers = 0
        for session in list(self.channels.get(channel, ())):
            session.push([b"message", channel, message])
            receivers += 1
        for pattern, matches in list(self._match.items()):
            if matches(channel):
                for session in list(self.patterns.get(pattern, ())):
                    session.push([b"pmessage", pattern, channel, message])
                    receivers += 1
        return receivers

    def spublish(self, channel: bytes, message: bytes) -> int:
        """Deliver a message to a shard channel."""
        receivers = list(self.shard_channels.get(channel, ()))
        for session in receivers:
            session.push([b"smessage", channel, message])
        return len(receivers)

    # -- keyspace events

    def event_mask(self, flags: int) -> int:
        """Return the classes to listen to for a ``notify-keyspace-events`` mask."""
        self.flags = flags
        return flags & _CLASSES if flags & (KEYSPACE | KEYEVENT) else 0

    def on_event(self, db: Database, _kind: int, event: bytes, key: bytes) -> None:
        """Publish an event, the keyspace channel first (docs/semantics.md, Events)."""
        if not (self.channels or self.patterns):
            return
        if self.flags & KEYSPACE:
            self.publish(b"__keyspace@%d__:%b" % (db.index, key), event)
        if self.flags & KEYEVENT:
            self.publish(b"__keyevent@%d__:%b" % (db.index, event), key)


def _leave(
    table: dict[bytes, dict[Session, None]], name: bytes, session: Session
) -> None:
    subscribers = table.get(name)
    if subscribers is not None:
        subscribers.pop(session, None)
        if not subscribers:
            del table[name]
