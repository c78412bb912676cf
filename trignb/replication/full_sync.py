"""A full sync: a replica gets everything there is at one moment, as an RDB file.

The file is written by a thread while commands go on (`trignb.persistence.snapshot`). It goes straight to the
sockets of replicas that can tell its end by a mark, or through a file on disk, as its length has to be said
first to the others. What happens meanwhile waits at the replica until it has got the file.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

from trignb.persistence.rdb_file import RdbWriter
from trignb.persistence.snapshot import Snapshot
from trignb.replication.replica import SENDING, WAITING, Replica

if TYPE_CHECKING:
    from trignb.persistence.saving import Saver
    from trignb.replication.feed import Feed

__all__ = ["FullSyncs"]

logger = logging.getLogger(__name__)

Facts = dict[bytes, bytes]

# Bytes on their way to the slowest replica before the thread waits for it, and how long at a time.
_ON_THE_WAY: Final = 1 << 20
_WAIT_S: Final = 0.002
_CHUNK: Final = 1 << 18


class FullSyncs:
    """The full syncs of one engine, one after another.

    Attributes
    ----------
    waiting : dict of Replica
        Who has asked for one that has not begun.
    count : int
        How many replicas have got one.
    """

    def __init__(self, saver: Saver, feed: Feed) -> None:
        self.core = saver.core
        self._saver = saver
        self._feed = feed
        self.waiting: dict[Replica, None] = {}
        self.count = 0
        self._group: list[Replica] = []
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def is_running(self) -> bool:
        """Whether a snapshot is on its way."""
        return bool(self._group)

    def ask(self, replica: Replica) -> None:
        """Take note that a replica wants everything; the lock is held."""
        replica.state = WAITING
        replica.asked_at = time.monotonic()
        self.waiting[replica] = None
        self.count += 1
        self.look()

    def leave(self, replica: Replica) -> None:
        """Forget a replica that went away."""
        self.waiting.pop(replica, None)

    def look(self) -> None:
        """Begin the next sync if it is time; the lock is held, and no other unit is open."""
        if self._group or not self.waiting or self.core.snapshots:
            return
        first = next(iter(self.waiting))
        streamed = self._is_streamed(first)
        group = [r for r in self.waiting if self._is_streamed(r) == streamed]
        if streamed and not self._is_due(group):
            return
        for replica in group:
            del self.waiting[replica]
        self._begin(group, streamed=streamed)

    def _is_streamed(self, replica: Replica) -> bool:
        return (
            b"eof" in replica.capabilities
            and self.core.config.values["repl-diskless-sync"]
        )

    def _is_due(self, group: list[Replica]) -> bool:
        """Whether no more replicas are waited for that might share the sync."""
        values = self.core.config.values
        enough = values["repl-diskless-sync-max-replicas"]
        waited_s = time.monotonic() - group[0].asked_at
        return bool(
            waited_s >= values["repl-diskless-sync-delay"]
            or (enough and len(group) >= enough)
        )

    def _begin(self, group: list[Replica], *, streamed: bool) -> None:
        feed, saver = self._feed, self._saver
        feed.start()
        # Their stream begins here, whatever is selected for the others.
        feed.say_select()
        snapshot = Snapshot(self.core, saver.codes())
        facts = saver.facts() | {
            b"repl-stream-db": b"%d" % feed.selected,
            b"repl-id": feed.id.encode(),
            b"repl-offset": b"%d" % feed.offset,
        }
        for replica in group:
            replica.state = SENDING
            replica.ack_offset = feed.offset
            if not replica.is_old:
                answer = f"+FULLRESYNC {feed.id} {feed.offset}\r\n"
                replica.link.send_soon(answer.encode())
        self._group = group
        self._thread = threading.Thread(
            target=self._run,
            args=(snapshot, facts, streamed),
            name="trignb-full-sync",
            daemon=True,
        )
        self._thread.start()

    # -- on the thread

    def _run(self, snapshot: Snapshot, facts: Facts, streamed: bool) -> None:
        done = False
        try:
            send = self._stream if streamed else self._send_file
            done = send(snapshot, facts)
        except OSError as error:
            logger.warning("the snapshot for a replica could not be written: %s", error)
        finally:
            snapshot.close()
            self._ended(done=done, streamed=streamed)

    def _stream(self, snapshot: Snapshot, facts: Facts) -> bool:
        """Send the file as it is written, with a mark at its end."""
        mark = secrets.token_hex(20).encode()
        self._send(b"$EOF:%b\r\n" % mark)
        out = cast("BinaryIO", _Writing(self._send))
        if not self._write(out, snapshot, facts):
            return False
        self._send(mark)
        return True

    def _send_file(self, snapshot: Snapshot, facts: Facts) -> bool:
        """Write the file, then send its length and the file."""
        from tempfile import TemporaryFile

        with TemporaryFile() as file:
            if not self._write(cast("BinaryIO", file), snapshot, facts):
                return False
            self._send(b"$%d\r\n" % file.tell())
            file.seek(0)
            return self._copy(file)

    def _copy(self, file: IO[bytes]) -> bool:
        while chunk := file.read(_CHUNK):
            if not self._has_time():
                return False
            self._send(chunk)
        return True

    def _write(self, file: BinaryIO, snapshot: Snapshot, facts: Facts) -> bool:
        only_functions = all(r.wants_only_functions for r in self._group)
        out = RdbWriter(file, self.core.config.values)
        with self._saver.begin(out, facts, snapshot.functions):
            if only_functions:
                return True
            return all(self._has_time() for _ in snapshot.write(out))

    def _send(self, data: bytes) -> None:
        for replica in self._alive():
            replica.link.send_soon(data)

    def _alive(self) -> list[Replica]:
        return [r for r in self._group if not r.session.closed]

    def _has_time(self) -> bool:
        """Wait for the slowest replica; tells whether there is any left."""
        patience_s = self.core.config.values["repl-timeout"]
        deadline = time.monotonic() + patience_s
        while not self._stop.is_set():
            alive = self._alive()
            slow = [r for r in alive if r.link.output_bytes > _ON_THE_WAY]
            if not slow:
                return bool(alive)
            if time.monotonic() > deadline:
                for replica in slow:
                    replica.session.close()
                continue
            time.sleep(_WAIT_S)
        return False

    def _ended(self, *, done: bool, streamed: bool) -> None:
        core = self.core
        core.acquire_in_background()
        try:
            group, self._group = self._alive(), []
            for replica in group:
                if not done:
                    replica.session.close()
                elif replica.wants_only_rdb:
                    replica.link.end_soon()
                elif streamed and not replica.is_old:
                    # Only when it has loaded the file can it tell the stream from it.
                    replica.goes_online_by_ack = True
                else:
                    replica.go_online()
            if not self._stop.is_set() and not core.nesting:
                self.look()
        finally:
            core.lock.release()

    def close(self) -> None:
        """Give up the sync under way."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)


class _Writing:
    """A file whose bytes are sent."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def write(self, data: bytes | bytearray) -> int:
        """Send some bytes."""
        self._send(bytes(data))
        return len(data)
