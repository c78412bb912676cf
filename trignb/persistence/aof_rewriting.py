"""Rewriting an append-only file: the keyspace as it is becomes its base, what comes then is written behind.

Commands go on meanwhile: what is written is a `Snapshot`, as of BGSAVE, and only one of the two runs at a
time. The next file is begun when the snapshot is taken; the manifest names both once the base is complete.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from itertools import count
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from trignb.engine.files import replace
from trignb.persistence.aof_output import AofOutput
from trignb.persistence.command_writer import CommandWriter
from trignb.persistence.rdb_file import RdbWriter
from trignb.persistence.snapshot import Snapshot

if TYPE_CHECKING:
    from trignb.persistence.aof import AppendOnlyFile
    from trignb.persistence.aof_directory import AofDirectory
    from trignb.persistence.manifest import Part
    from trignb.persistence.snapshot import Output

__all__ = ["AofRewriter"]

logger = logging.getLogger(__name__)

# After so many failures in a row the automatic rewrite waits, a minute and twice as long each time.
_PATIENT_FAILURES: Final = 3
_FIRST_PAUSE_S: Final = 60
_LONGEST_PAUSE_S: Final = 3600
# A rewrite that has to be is tried again so soon.
_RETRY_S: Final = 1.0


class _GivenUp(Exception):
    """The rewrite is of no use any more."""


class _Job:
    """One rewrite under way."""

    def __init__(self, snapshot: Snapshot, facts: dict[bytes, bytes]) -> None:
        self.snapshot = snapshot
        self.facts = facts
        self.is_given_up = False
        # The file that was written to before, and those that stay.
        self.old: AofOutput | None = None
        self.increments: tuple[Part, ...] = ()


class AofRewriter:
    """Rewrites one engine's append-only file."""

    def __init__(self, aof: AppendOnlyFile) -> None:
        self.aof = aof
        self.core, self.saver, self.state = aof.core, aof.saver, aof.core.aof
        self._job: _Job | None = None
        self._thread: threading.Thread | None = None
        self._tried_at = 0.0
        self._numbers = count(1)

    # -- when

    @property
    def is_running(self) -> bool:
        """Whether one is under way."""
        return self._job is not None

    def begin_or_schedule(self) -> bool:
        """Begin a rewrite, or as soon as it can be; tells whether it has begun.

        The lock is held and none is under way. What the unit under way has done already is in the
        snapshot and must not be written behind it too; so it has to end first.

        Raises
        ------
        OSError
            When a file cannot be written.
        AofError
            When another engine has the directory.
        """
        core = self.core
        self.aof.start_ticking()
        if core.snapshots or core.nesting > 1 or core.effects:
            self.state.is_scheduled = True
            return False
        self._tried_at = monotonic()
        directory = self.aof.directory or self.aof.enter_directory()
        try:
            self._begin(directory)
        except OSError:
            self._note_failure()
            if not self.state.is_on:
                self.aof.leave_directory(directory)
            raise
        return True

    def is_due(self) -> bool:
        """Whether it is time for a rewrite that nobody asked for, or one that waits."""
        state = self.state
        if self.is_running or self.core.snapshots:
            return False
        waited = monotonic() - self._tried_at
        if state.is_scheduled or state.is_rewrite_pending:
            return waited >= _RETRY_S or not state.failures
        return self._has_grown() and waited >= self._pause_s()

    def _has_grown(self) -> bool:
        values, state = self.core.config.values, self.state
        percentage: int = values["auto-aof-rewrite-percentage"]
        if not (percentage and self.aof.output is not None):
            return False
        size = state.size
        if size < values["auto-aof-rewrite-min-size"]:
            return False
        return size * 100 // (state.base_size or 1) - 100 >= percentage

    def _pause_s(self) -> float:
        exponent = self.state.failures - _PATIENT_FAILURES
        if exponent < 0:
            return 0.0
        return min(_FIRST_PAUSE_S * 2.0 ** min(exponent, 16), _LONGEST_PAUSE_S)

    # -- beginning

    def _begin(self, directory: AofDirectory) -> None:
        state = self.state
        old, increments = self._next_increment(directory)
        facts = self.saver.facts(is_base=True)
        job = self._job = _Job(Snapshot(self.core, self.saver.codes()), facts)
        job.old, job.increments = old, increments
        state.started = perf_counter()
        state.is_scheduled = False
        state.rewrites += 1
        self._thread = threading.Thread(
            target=self._run, args=(job, directory), name="trignb-rewrite", daemon=True
        )
        self._thread.start()

    def _next_increment(
        self, directory: AofDirectory
    ) -> tuple[AofOutput | None, tuple[Part, ...]]:
        """Begin the file behind the new base; returns the old one, and what stays."""
        aof = self.aof
        if self.state.is_rewrite_pending:
            output = AofOutput(directory.temporary_increment, is_new=True)
            return aof.switch_to(output), ()
        if aof.output is None:
            return None, ()
        aof.output.write()
        part = directory.manifest.next_increment(directory.file_name)
        output = AofOutput(directory.file(part.name), is_new=True)
        try:
            directory.write(directory.manifest.with_increment(part))
        except BaseException:
            output.close()
            os.unlink(output.path)
            raise
        return aof.switch_to(output), (part,)

    # -- under way

    def _run(self, job: _Job, directory: AofDirectory) -> None:
        temporary = directory.temporary_base(next(self._numbers))
        is_done = False
        try:
            if job.old is not None:
                _finish(job.old)
            with open(temporary, "wb") as file:
                self._write_snapshot(file, job)
                file.flush()
                os.fsync(file.fileno())
            is_done = True
        except _GivenUp:
            pass
        except OSError as error:
            logger.warning("the append-only file cannot be rewritten: %s", error)
        finally:
            # Also after an error nobody thought of: no engine stays guarded.
            job.snapshot.close()
            self._ended(job, directory, temporary, is_done=is_done)

    def _write_snapshot(self, file: BinaryIO, job: _Job) -> None:
        writer = self._writer(file)
        with self.saver.begin(writer, job.facts, job.snapshot.functions) as out:
            for _ in job.snapshot.write(out):
                if job.is_given_up:
                    raise _GivenUp

    def _ended(
        self, job: _Job, directory: AofDirectory, temporary: str, *, is_done: bool
    ) -> None:
        core, state = self.core, self.state
        core.acquire_in_background()
        try:
            self._job = None
            if state.started is not None:
                state.seconds = int(perf_counter() - state.started)
            state.started = None
            if is_done and not job.is_given_up:
                self._install(job, directory, temporary)
            elif not job.is_given_up:
                self._note_failure()
            if not state.is_on:
                self.aof.leave_directory(directory)
        except OSError as error:
            logger.warning("the append-only file cannot be rewritten: %s", error)
            self._note_failure()
        finally:
            core.lock.release()
            with contextlib.suppress(OSError):
                os.unlink(temporary)

    def _install(self, job: _Job, directory: AofDirectory, temporary: str) -> None:
        """Make what was written the base; the lock is held."""
        base = directory.manifest.next_base(
            directory.file_name, self.suffix_of(temporary)
        )
        replace(temporary, directory.file(base.name))
        increments = job.increments
        if self.state.is_rewrite_pending:
            part = directory.manifest.next_increment(directory.file_name)
            replace(directory.temporary_increment, directory.file(part.name))
            increments = (part,)
        directory.write(directory.manifest.rewritten(base, increments))
        directory.remove_history()
        self._note_success()

    def _note_success(self) -> None:
        state = self.state
        state.failed, state.failures = False, 0
        state.is_rewrite_pending = False
        self.aof.count_size()
        state.base_size = state.size

    def _note_failure(self) -> None:
        self.state.failed = True
        self.state.failures += 1

    # -- at once

    def rewrite_now(self) -> None:
        """Rewrite while everybody waits; the lock is held. Raises OSError.

        A rewrite that is under way is given up: what it writes is out of date.
        """
        aof, state = self.aof, self.state
        self.give_up()
        directory = aof.directory
        assert directory is not None
        manifest = directory.manifest
        base = manifest.next_base(directory.file_name, self.suffix)
        part = manifest.next_increment(directory.file_name)
        temporary = directory.temporary_base(next(self._numbers))
        self.write_base(temporary)
        replace(temporary, directory.file(base.name))
        output = AofOutput(directory.file(part.name), is_new=True)
        try:
            directory.write(manifest.rewritten(base, (part,)))
        except BaseException:
            output.close()
            raise
        old = aof.switch_to(output)
        if old is not None:
            # What was still to be written is in the base.
            old.close()
        if state.is_rewrite_pending:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(directory.temporary_increment)
        state.is_scheduled = False
        directory.remove_history()
        self._note_success()

    def write_base(self, path: str) -> None:
        """Write the keys there are to a file; the lock is held. Raises OSError."""
        facts = self.saver.facts(is_base=True)
        with open(path, "wb") as file:
            writer = self._writer(file)
            with self.saver.begin(writer, facts, self.saver.codes()) as out:
                self.saver.write_keys(out)
            file.flush()
            os.fsync(file.fileno())

    @property
    def suffix(self) -> str:
        """How the name of a base ends."""
        return "rdb" if self.core.config.values["aof-use-rdb-preamble"] else "aof"

    def suffix_of(self, path: str) -> str:
        """Return how the name of a base has to end that was written already."""
        with open(path, "rb") as file:
            return "rdb" if file.read(5) == b"REDIS" else "aof"

    def _writer(self, file: BinaryIO) -> Output:
        values: dict[str, Any] = self.core.config.values
        if values["aof-use-rdb-preamble"]:
            return RdbWriter(file, values)
        writer = CommandWriter(file, [kept.field for kept in self.core.kept])
        if values["aof-timestamp-enabled"]:
            writer.remark(b"#TS:%d\r\n" % (self.core.clock.read() // 1_000_000_000))
        return writer

    # -- the end

    def give_up(self) -> None:
        """Stop the rewrite under way, of which nothing stays; the lock is held."""
        if self._job is not None:
            self._job.is_given_up = True

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when none is under way; the lock is not held."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)


def _finish(output: AofOutput) -> None:
    """Have the last of a file put on disk."""
    try:
        output.sync()
    finally:
        output.close()
