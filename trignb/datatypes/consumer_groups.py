"""Consumer groups of a stream: who was given what and has not acknowledged it yet."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

__all__ = ["UNKNOWN", "Consumer", "ConsumerGroup", "PendingEntry", "PendingList"]

# Stands for a count of read entries that cannot be told, and for a time that never was.
UNKNOWN: Final = -1

# Ids of entries no longer pending that a list may keep before it is cleaned.
_STALE_FLOOR: Final = 64


class PendingEntry:
    """One delivered entry: to whom, when last, how often."""

    __slots__ = ("consumer", "delivered_ms", "deliveries")

    def __init__(
        self, consumer: Consumer, delivered_ms: int, deliveries: int = 1
    ) -> None:
        self.consumer = consumer
        self.delivered_ms = delivered_ms
        self.deliveries = deliveries


class PendingList:
    """Pending entries by id, in the order of ids.

    Ids come in order nearly always and leave at the front mostly, so they stay in a plain
    list; those that left elsewhere are skipped until enough of them are found.
    """

    __slots__ = ("_entries", "_head", "_ids")

    def __init__(self) -> None:
        self._entries: dict[int, PendingEntry] = {}
        self._ids: list[int] = []
        self._head = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, entry_id: int) -> PendingEntry | None:
        """Return the entry of an id."""
        return self._entries.get(entry_id)

    def put(self, entry_id: int, entry: PendingEntry) -> None:
        """Add an entry, or replace the one of this id."""
        ids = self._ids
        if not ids or entry_id > ids[-1]:
            ids.append(entry_id)
        elif entry_id not in self._entries:
            at = bisect_left(ids, entry_id)
            if ids[at] != entry_id:
                ids.insert(at, entry_id)
            self._head = min(self._head, at)
        self._entries[entry_id] = entry

    def pop(self, entry_id: int) -> PendingEntry | None:
        """Take an entry out."""
        entry = self._entries.pop(entry_id, None)
        if entry is not None and len(self._ids) > 2 * len(self._entries) + _STALE_FLOOR:
            self._ids = [i for i in self._ids if i in self._entries]
            self._head = 0
        return entry

    def first(self) -> int:
        """Return the smallest id; there is one."""
        ids, entries = self._ids, self._entries
        while ids[self._head] not in entries:
            self._head += 1
        return ids[self._head]

    def last(self) -> int:
        """Return the largest id; there is one."""
        ids, entries = self._ids, self._entries
        while ids[-1] not in entries:
            ids.pop()
        return ids[-1]

    def since(self, start: int = 0) -> Iterator[tuple[int, PendingEntry]]:
        """Yield id and entry from an id on; nothing may be taken out meanwhile."""
        ids, entries = self._ids, self._entries
        for at in range(bisect_left(ids, start, self._head), len(ids)):
            entry = entries.get(ids[at])
            if entry is not None:
                yield ids[at], entry


class Consumer:
    """A member of a group.

    ``seen_ms`` is when it last tried to read or claim, ``active_ms`` when it last got
    something.
    """

    __slots__ = ("active_ms", "name", "pending", "seen_ms")

    def __init__(self, name: bytes, seen_ms: int) -> None:
        self.name = name
        self.seen_ms = seen_ms
        self.active_ms = UNKNOWN
        self.pending = PendingList()


class ConsumerGroup:
    """Readers that share a stream.

    ``entries_read`` counts the entries of the stream up to ``last_id``, `UNKNOWN` where
    deletions have made that impossible.
    """

    __slots__ = ("consumers", "entries_read", "last_id", "pending")

    def __init__(self, last_id: int, entries_read: int = UNKNOWN) -> None:
        self.last_id = last_id
        self.entries_read = entries_read
        self.pending = PendingList()
        self.consumers: dict[bytes, Consumer] = {}

    def sorted_consumers(self) -> list[Consumer]:
        """Return the consumers in the order of their names, which is how Redis lists them."""
        return [self.consumers[name] for name in sorted(self.consumers)]

    def deliver(self, entry_id: int, consumer: Consumer, now_ms: int) -> PendingEntry:
        """Make an entry pending, taking it from whoever had it."""
        entry = self.pending.get(entry_id)
        if entry is None:
            entry = PendingEntry(consumer, now_ms)
            self.pending.put(entry_id, entry)
            consumer.pending.put(entry_id, entry)
        else:
            self.give(entry_id, entry, consumer)
            entry.delivered_ms = now_ms
            entry.deliveries = 1
        return entry

    def give(self, entry_id: int, entry: PendingEntry, consumer: Consumer) -> None:
        """Hand a pending entry over to another consumer."""
        if entry.consumer is not consumer:
            entry.consumer.pending.pop(entry_id)
            consumer.pending.put(entry_id, entry)
            entry.consumer = consumer

    def acknowledge(self, entry_id: int) -> bool:
        """Take an entry off the pending ones; tell whether it was there."""
        entry = self.pending.pop(entry_id)
        if entry is None:
            return False
        entry.consumer.pending.pop(entry_id)
        return True

    def remove_consumer(self, name: bytes) -> int:
        """Remove a consumer with all it has pending; return how much that was."""
        consumer = self.consumers.pop(name)
        for entry_id, _ in consumer.pending.since():
            self.pending.pop(entry_id)
        return len(consumer.pending)

    def copy(self) -> ConsumerGroup:
        """Return a group that shares nothing with this one."""
        twin = ConsumerGroup(self.last_id, self.entries_read)
        for name, consumer in self.consumers.items():
            other = twin.consumers[name] = Consumer(name, consumer.seen_ms)
            other.active_ms = consumer.active_ms
        for entry_id, entry in self.pending.since():
            owner = twin.consumers[entry.consumer.name]
            copied = PendingEntry(owner, entry.delivered_ms, entry.deliveries)
            twin.pending.put(entry_id, copied)
            owner.pending.put(entry_id, copied)
        return twin
