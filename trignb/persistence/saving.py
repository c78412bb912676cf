"""Saving: SAVE under the lock, BGSAVE on a thread of its own, and the save points of the configuration."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from trignb.engine.files import replacing
from trignb.engine.sizes import estimate_database
from trignb.engine.spec import WRITE
from trignb.engine.stats import REDIS_VERSION
from trignb.persistence.rdb_file import RdbWriter
from trignb.persistence.shutdown import Shutdown
from trignb.persistence.snapshot import Snapshot

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command
    from trignb.lua.libraries import Libraries
    from trignb.persistence.snapshot import Output

__all__ = ["Saver"]

logger = logging.getLogger(__name__)

Facts = dict[bytes, bytes]
Out = TypeVar("Out", bound="Output")

# How often save points are looked at, and how long a save that failed is not tried again.
_PERIOD_S: Final = 0.1
_RETRY_S: Final = 5

_REFUSAL: Final = (
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to "
    "persist to disk. Commands that may modify the data set are disabled, because this "
    "instance is configured to report errors during writes if RDB snapshotting fails "
    "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about "
    "the RDB error."
)


class Saver:
    """What one engine saves, and when.

    Parameters
    ----------
    core : Core
        The engine.
    libraries : Libraries
        Its libraries of Lua functions, saved with the keys.

    Attributes
    ----------
    has_directory : bool
        Whether ``dir`` was set: save points act only then.
    shutdown : Shutdown
        The end of the servers.
    """

    def __init__(self, core: Core, libraries: Libraries) -> None:
        self.core = core
        self.libraries = libraries
        self.has_directory = False
        self._thread: threading.Thread | None = None
        self._points_thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._is_given_up = False
        self.shutdown = Shutdown(self)
        core.saves.flushed = self._flushed
        self._tried_at = 0.0
        self._directory = core.config.values["dir"]
        core.config.on_change("dir", self._directory_changed)
        core.config.on_change("save", lambda _points: self._watch_points())
        core.config.on_change(
            "stop-writes-on-bgsave-error", lambda _on: self._choose_gate()
        )

    @property
    def path(self) -> str:
        """Where SAVE and BGSAVE write."""
        values = self.core.config.values
        return os.path.join(str(values["dir"]), str(values["dbfilename"]))

    # -- now

    def save(self) -> None:
        """Save, with the lock held; raises OSError."""
        core = self.core
        with replacing(self.path) as file:
            self.write(file)
        core.saves.succeeded(core.clock.read(), core.dirty)
        core.saves.failed = False
        self._choose_gate()

    def write(self, file: BinaryIO, version: int | None = None) -> None:
        """Write the keys and functions there are; the lock is held."""
        with self.begin(
            RdbWriter(file, self.core.config.values, version),
            self.facts(),
            self.codes(),
        ) as out:
            self.write_keys(out)

    def write_keys(self, out: Output) -> None:
        """Write the keys of all databases; the lock is held."""
        core = self.core
        access, policy = core.access, core.config.values["maxmemory-policy"]
        for db in core.databases:
            if not db.data:
                continue
            out.database(db.index, len(db.data), len(db.expires))
            deadlines = db.expires
            for key, value in db.data.items():
                out.key(
                    key,
                    value,
                    deadlines.get(key),
                    access.idle_s(db, key) if policy.endswith("-lru") else None,
                    access.frequency(db, key) if policy.endswith("-lfu") else None,
                )

    def codes(self) -> list[bytes]:
        """Return the code of every library of Lua functions."""
        return [library.code for library in self.libraries.loaded.values()]

    def facts(self, *, is_base: bool = False) -> Facts:
        """Return what a file says of its server; `is_base` is said of an append-only file's."""
        core = self.core
        used = sum(map(estimate_database, core.databases))
        kept = ((each.field, each.value(is_base=is_base)) for each in core.kept)
        return {
            b"redis-ver": REDIS_VERSION.encode(),
            b"redis-bits": b"64",
            b"ctime": b"%d" % (core.clock.read() // 1_000_000_000),
            b"used-mem": b"%d" % used,
            b"aof-base": b"%d" % is_base,
            **{name: value for name, value in kept if value is not None},
        }

    def begin(self, out: Out, facts: Facts, functions: Iterable[bytes]) -> Out:
        """Write what stands before the keys."""
        for name, value in facts.items():
            out.aux(name, value)
        for code in functions:
            out.function(code)
        return out

    # -- in the background

    @property
    def is_saving(self) -> bool:
        """Whether a save in the background is under way."""
        return self.core.saves.started is not None

    @property
    def is_blocked(self) -> bool:
        """Whether another snapshot is being written: there is one at a time."""
        return bool(self.core.snapshots) and not self.is_saving

    def start(self) -> None:
        """Begin a save in the background; the lock is held and none is under way."""
        core, saves = self.core, self.core.saves
        saves.is_scheduled = False
        snapshot = Snapshot(core, self.codes())
        saves.started = self._tried_at = perf_counter()
        saves.keys_done, saves.keys_total = 0, snapshot.size
        self._is_given_up = False
        self._thread = threading.Thread(
            target=self._run,
            args=(snapshot, self.facts(), self.path, core.dirty),
            name="trignb-save",
            daemon=True,
        )
        self._thread.start()

    def _flushed(self) -> None:
        """Give up a save of what FLUSHALL has dropped; with save points save at once."""
        self._is_given_up = True
        if self.has_directory and self.core.config.values["save"]:
            try:
                self.save()
            except OSError as error:
                logger.warning(
                    "the keys could not be saved to %s: %s", self.path, error
                )

    def schedule(self) -> None:
        """Begin a save as soon as the unit under way has ended."""
        self.core.saves.is_scheduled = True
        self.core.queue_job(self.start_scheduled)

    def start_scheduled(self) -> None:
        """Begin the save that is scheduled, if it can begin; the lock is held."""
        if self.core.saves.is_scheduled and not (self.is_saving or self.is_blocked):
            self.start()

    def _run(self, snapshot: Snapshot, facts: Facts, path: str, dirty: int) -> None:
        failed: bool | None = True
        try:
            with replacing(path) as file:
                self._write_snapshot(file, snapshot, facts)
            failed = False
        except _GivenUp:
            failed = None
        except (OSError, _Stopped) as error:
            logger.warning("the keys could not be saved to %s: %s", path, error)
        finally:
            # Also after an error nobody thought of: no engine stays guarded.
            snapshot.close()
            self._ended(dirty, failed=failed)

    def _write_snapshot(self, file: BinaryIO, snapshot: Snapshot, facts: Facts) -> None:
        saves = self.core.saves
        writer = RdbWriter(file, self.core.config.values)
        with self.begin(writer, facts, snapshot.functions) as out:
            for written in snapshot.write(out):
                if self._stop.is_set():
                    raise _Stopped("the engine was closed")
                if self._is_given_up:
                    raise _GivenUp
                saves.keys_done += written

    def _ended(self, dirty: int, *, failed: bool | None) -> None:
        """Note how a save ended; None is one that was given up, which says nothing."""
        core, saves = self.core, self.core.saves
        core.acquire_in_background()
        try:
            if saves.started is not None:
                saves.seconds = int(perf_counter() - saves.started)
            saves.started = None
            if failed is not None:
                saves.failed = failed
            if failed is False:
                saves.succeeded(core.clock.read(), dirty)
            self._choose_gate()
        finally:
            core.lock.release()

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when no save is under way any more."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def close(self) -> None:
        """Give up the save under way and look at no save points any more."""
        self._stop.set()
        self.wait(5.0)

    # -- writes are refused while saves fail

    def _choose_gate(self) -> None:
        core = self.core
        values = core.config.values
        refuses = (
            core.saves.failed
            and bool(values["save"])
            and values["stop-writes-on-bgsave-error"]
        )
        if refuses != (_refuse_writes in core.gates):
            if refuses:
                core.gates.append(_refuse_writes)
            else:
                core.gates.remove(_refuse_writes)
            core.rearm_sessions()

    # -- save points

    def _directory_changed(self, directory: str) -> None:
        if directory != self._directory:
            self.has_directory = True
            self._watch_points()

    def _watch_points(self) -> None:
        """Look at save points from now on, where there are any."""
        self._choose_gate()
        if not (self.core.config.values["save"] and self.has_directory):
            return
        if self._points_thread is None:
            self._points_thread = threading.Thread(
                target=_watch_points,
                args=(weakref.ref(self), self._stop),
                name="trignb-save-points",
                daemon=True,
            )
            self._points_thread.start()

    def look_at_points(self) -> None:
        """Begin a save if one of the save points has been reached."""
        core = self.core
        if not (self.has_directory and self._is_due()):
            return
        core.acquire_in_background()
        try:
            if self._is_due() and not core.nesting:
                self.start()
        finally:
            core.lock.release()

    def _is_due(self) -> bool:
        core, saves = self.core, self.core.saves
        if (self.is_saving or self.is_blocked) or (
            saves.failed and perf_counter() - self._tried_at < _RETRY_S
        ):
            return False
        changes = core.dirty - saves.dirty
        elapsed_s = (core.clock.read() - saves.last_ns) // 1_000_000_000
        return any(
            changes >= enough and elapsed_s > seconds
            for seconds, enough in core.config.values["save"]
        )


class _GivenUp(Exception):
    """FLUSHALL dropped what is being saved."""


class _Stopped(Exception):
    """The engine was closed before a save had ended."""


def _refuse_writes(session: Session, command: Command, _args: list[bytes]) -> None:
    if command.flags & WRITE or command.name == "ping":
        raise session.refuse(command, _REFUSAL)


def _watch_points(saver_ref: weakref.ref[Saver], stop: threading.Event) -> None:
    """Look at the save points until told to stop, or until there is no engine any more."""
    while not stop.wait(_PERIOD_S):
        saver = saver_ref()
        if saver is None:
            return
        saver.look_at_points()
        del saver
