"""The append-only file of one engine: what units propagate, written and put on disk as ``appendfsync`` says.

Units hand their effects over under the engine's lock. What a server's own thread ran is written once for
all commands of its round, before their replies leave; everybody else's is written at once. The files are
those of Redis 7: a manifest, a base, and what came after it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.spec import WRITE
from trignb.errors import AofError, RepliesWithheld, ResponseError
from trignb.persistence.aof_directory import AofDirectory
from trignb.persistence.aof_encoding import AofEncoder
from trignb.persistence.aof_loading import AofLoader
from trignb.persistence.aof_output import AofOutput
from trignb.persistence.aof_rewriting import AofRewriter

if TYPE_CHECKING:
    from trignb.engine.core import Core, Effect
    from trignb.engine.session import Session
    from trignb.engine.spec import Command
    from trignb.persistence.rdb_file import Progress
    from trignb.persistence.saving import Saver

__all__ = ["AppendOnlyFile"]

logger = logging.getLogger(__name__)

_PERIOD_S: Final = 0.1
_SYNC_S: Final = 1.0
_RETRY_S: Final = 1.0
# How long a server's write waits for the disk.
_PATIENCE_S: Final = 2.0


class AppendOnlyFile:
    """What one engine writes down as it goes.

    Parameters
    ----------
    core : Core
        The engine.
    saver : Saver
        Writes the keys where a base is needed.

    Attributes
    ----------
    directory : AofDirectory or None
        Where the files are, None while there is nothing to write.
    output : AofOutput or None
        The file that is written to.
    """

    # What `Core.withhold` calls the append-only file.
    target = 1

    def __init__(self, core: Core, saver: Saver) -> None:
        self.core = core
        self.saver = saver
        self.state = core.aof
        self.directory: AofDirectory | None = None
        self.output: AofOutput | None = None
        self.rewriter = AofRewriter(self)
        self._encoder = AofEncoder(core)
        # Bytes in the files that are not written to any more.
        self._older_bytes = 0
        self._policy = "everysec"
        self._synced_at = self._tried_at = self._waits_since = 0.0
        self._reason = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._follow_config()
        core.replaced_listeners.append(self._contents_replaced)

    def _follow_config(self) -> None:
        def policy(word: str) -> None:
            self._policy = word

        def stamps(is_on: bool) -> None:
            self._encoder.is_stamped = is_on

        on_change = self.core.config.on_change
        on_change("appendfsync", policy)
        on_change("aof-timestamp-enabled", stamps)
        on_change("appendonly", self._switched)

    # -- turning it on and off

    def start(
        self, progress: Progress | None = None, every: int = 1 << 20
    ) -> int | None:
        """Load what there is and go on from there, if ``appendonly`` says so.

        Called once, when a new engine has its configuration. `progress` and `every` are those
        of `AofLoader.load`.

        Returns
        -------
        int or None
            The bytes that were loaded, None where there is to be no append-only file.

        Raises
        ------
        AofError
            When it cannot be loaded, or another engine writes it.
        OSError
            When its directory cannot be written.
        """
        if not self.core.config.values["appendonly"]:
            return None
        with self.core.lock:
            directory = self.enter_directory()
            try:
                loaded = self._load(directory, progress, every)
                self._open_last(directory)
            except BaseException:
                self.leave_directory(directory)
                raise
            self.state.base_size = self.state.size
            self.state.is_on = True
            self.start_ticking()
        return loaded

    def _load(
        self,
        directory: AofDirectory,
        progress: Progress | None = None,
        every: int = 1 << 20,
    ) -> int:
        loader = AofLoader(self.core, self.saver.libraries, directory.path)
        if not directory.manifest.parts:
            return 0
        return loader.load(directory.manifest, progress, every)

    def _open_last(self, directory: AofDirectory) -> None:
        """Go on writing behind what was loaded; makes what is missing."""
        manifest = directory.manifest
        if not manifest.parts:
            base = manifest.next_base(directory.file_name, self.rewriter.suffix)
            self.rewriter.write_base(directory.file(base.name))
            manifest = manifest.rewritten(base, ())
        if not manifest.increments:
            part = manifest.next_increment(directory.file_name)
            AofOutput(directory.file(part.name), is_new=True).close()
            manifest = manifest.with_increment(part)
        if manifest is not directory.manifest:
            directory.write(manifest)
        self.switch_to(AofOutput(directory.file(manifest.increments[-1].name)))
        self.count_size()

    def _switched(self, is_on: bool) -> None:
        """Follow CONFIG SET appendonly; a new engine calls `start`."""
        if self.core.config.is_initial or is_on == self.state.is_on:
            return
        with self.core.lock:
            if not is_on:
                self._turn_off()
                return
            try:
                self._turn_on()
            except (AofError, OSError) as error:
                logger.warning("the append-only file cannot be turned on: %s", error)
                raise ResponseError(
                    "Unable to turn on AOF. Check server logs."
                ) from None

    def _turn_on(self) -> None:
        """Write down what comes, and what there is in the background."""
        directory = self.directory or self.enter_directory()
        state = self.state
        state.is_on = state.is_rewrite_pending = True
        try:
            if self.rewriter.is_running:
                # It writes nothing down for us: it was begun while we were off.
                self.rewriter.give_up()
                state.is_scheduled = True
            else:
                self.rewriter.begin_or_schedule()
        except BaseException:
            state.is_on = state.is_rewrite_pending = False
            self.leave_directory(directory)
            raise

    def _turn_off(self) -> None:
        self.rewriter.give_up()
        self._detach()
        self._set_failed("")
        state = self.state
        state.is_on = state.is_rewrite_pending = state.is_scheduled = False
        state.size = state.base_size = state.buffered = 0
        if self.directory is not None and not self.rewriter.is_running:
            self.leave_directory(self.directory)

    def enter_directory(self) -> AofDirectory:
        """Take hold of the directory; errors as of `AofDirectory`."""
        self.directory = AofDirectory(self.core.config.values)
        return self.directory

    def leave_directory(self, directory: AofDirectory) -> None:
        """Let others have it."""
        directory.close()
        self.directory = None

    def reload(self) -> None:
        """Load the files there are in place of what the engine holds (DEBUG LOADAOF).

        Raises
        ------
        AofError
            When there are none, or they cannot be loaded; nothing has changed then.
        """
        if self.state.is_rewrite_pending:
            self.rewriter.rewrite_now()
        if self.directory is None and not AofDirectory.exists(self.core.config.values):
            raise AofError("there is no append-only file")
        directory = self.directory or self.enter_directory()
        try:
            self._flush()
            if not directory.manifest.parts:
                raise AofError("there is no append-only file")
            self._load(directory)
        finally:
            if not self.state.is_on and not self.rewriter.is_running:
                self.leave_directory(directory)

    def settle(self) -> None:
        """End a first rewrite, while the engine still has everything: until then nothing is kept."""
        if self.state.is_rewrite_pending:
            self.rewriter.wait()
        with self.core.lock:
            if not (self.state.is_on and self.state.is_rewrite_pending):
                return
            try:
                self.rewriter.rewrite_now()
            except OSError as error:
                logger.warning("there is no append-only file yet: %s", error)

    def close(self) -> None:
        """Write everything down and let go of the files; the engine takes no more commands."""
        with self.core.lock:
            self._stop.set()
            self.rewriter.give_up()
        self.rewriter.wait()
        with self.core.lock:
            if self.state.is_on:
                self._turn_off()

    # -- the file that is written to

    def switch_to(self, output: AofOutput) -> AofOutput | None:
        """Write to another file from now on; returns the one that was written to."""
        core, old = self.core, self.output
        self.output = output
        self._encoder.restart()
        if old is None:
            core.sinks.append(self.take)
            core.sinks_changed()
            core.before_replies.append(self.before_replies)
            self.state.sync = self.sync
        return old

    def _detach(self) -> None:
        output = self.output
        if output is None:
            return
        self.core.sinks.remove(self.take)
        self.core.sinks_changed()
        self.core.before_replies.remove(self.before_replies)
        self.output = None
        try:
            output.write()
            output.sync()
        except OSError as error:
            logger.warning("the last writes are not in %s: %s", output.path, error)
        output.close()

    def count_size(self) -> None:
        """Count the bytes of all files anew."""
        assert self.directory is not None
        sizes = 0
        for part in self.directory.manifest.parts:
            with contextlib.suppress(OSError):
                sizes += os.path.getsize(self.directory.file(part.name))
        own = self.output.size if self.output is not None else 0
        self._older_bytes = sizes - own
        self.state.size = sizes

    # -- from units to the file

    def take(self, batch: list[Effect]) -> None:
        """Take what a unit propagates: a sink."""
        output = self.output
        assert output is not None
        self._encoder.add(batch, output)
        for server in self.core.servers:
            if server.loop.thread_id == get_ident():
                # Written at the end of the round.
                return
        was_well = not self.state.write_failed
        if self._flush() or not was_well or self._policy != "always":
            return
        # Who waits for no reply (an expired key, a background job) is not told.
        if self.core.argv is not None:
            raise ResponseError(self._refusal())

    def before_replies(self) -> None:
        """Write what a round of a server has done.

        Raises
        ------
        RepliesWithheld
            When that fails under ``appendfsync always``: nobody may be told that it was done.
        """
        output = self.output
        if output is None or not output.waiting:
            return
        with self.core.lock:
            was_well = not self.state.write_failed
            if self._flush(is_patient=True) or not was_well:
                return
            if self._policy == "always":
                raise RepliesWithheld(self._refusal())

    def _flush(self, *, is_patient: bool = False) -> bool:
        """Write what waits; tells whether all is as it should be. The lock is held."""
        output, state = self.output, self.state
        if output is None:
            return True
        if state.write_failed and not self._may_retry():
            return False
        if is_patient and state.is_syncing and self._waits_for_disk(output):
            return True
        try:
            output.write()
            if self._policy == "always" and not self._leaves_the_disk():
                output.sync()
        except OSError as error:
            self._set_failed(error.strerror or str(error))
            state.buffered = len(output.waiting)
            return False
        self._waits_since = 0.0
        state.buffered = 0
        state.size = self._older_bytes + output.size
        if state.write_failed:
            self._set_failed("")
        return True

    def _may_retry(self) -> bool:
        now = monotonic()
        if now - self._tried_at < _RETRY_S:
            return False
        self._tried_at = now
        return True

    def _waits_for_disk(self, output: AofOutput) -> bool:
        """Whether a write is to wait, as the disk is busy and would hold it up."""
        now = monotonic()
        self._waits_since = self._waits_since or now
        if now - self._waits_since < _PATIENCE_S:
            self.state.buffered = len(output.waiting)
            return True
        self.state.delayed += 1
        return False

    def _leaves_the_disk(self) -> bool:
        """Whether the disk is left to a rewrite (``no-appendfsync-on-rewrite``)."""
        core = self.core
        return bool(core.config.values["no-appendfsync-on-rewrite"]) and (
            self.state.started is not None or core.saves.started is not None
        )

    def sync(self) -> bool:
        """Write what waits and have it put on disk; tells whether all of it is."""
        output = self.output
        if output is None or not self._flush():
            return output is None
        try:
            output.sync()
        except OSError as error:
            self._set_failed(error.strerror or str(error))
        return output.synced == output.size

    # -- when it cannot be written

    def _set_failed(self, reason: str) -> None:
        """Refuse writes from now on, or let them through again."""
        core, state = self.core, self.state
        if reason:
            self._tried_at = monotonic()
        if reason != self._reason:
            text = f"failed: {reason}" if reason else "is possible again"
            logger.warning("writing to the append-only file %s", text)
        self._reason = reason
        if bool(reason) == state.write_failed:
            return
        state.write_failed = bool(reason)
        if reason:
            core.gates.append(self._refuse_writes)
        else:
            core.gates.remove(self._refuse_writes)
        core.rearm_sessions()

    def _refusal(self) -> str:
        return f"MISCONF Errors writing to the AOF file: {self._reason}"

    def _refuse_writes(self, session: Session, command: Command, _args: Any) -> None:
        if command.flags & WRITE or command.name == "ping":
            raise session.refuse(command, self._refusal())

    def _contents_replaced(self) -> None:
        """Begin anew: contents came or went that were not propagated."""
        if not self.state.is_on or self.core.is_loading:
            return
        try:
            self.rewriter.rewrite_now()
        except OSError as error:
            # What is written from now on would stand behind other keys.
            self.state.is_rewrite_pending = True
            self._set_failed(error.strerror or str(error))

    # -- in the background

    def start_ticking(self) -> None:
        """Have `tick` called from now on."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=_tick,
                args=(weakref.ref(self), self._stop),
                name="trignb-aof",
                daemon=True,
            )
            self._thread.start()

    def tick(self) -> None:
        """Do what is due: put on disk, try again, rewrite."""
        output, core = self.output, self.core
        if output is not None and self._policy == "everysec":
            self._sync_aside(output)
        if not (
            self.rewriter.is_due()
            or core.saves.is_scheduled
            or self.state.write_failed
            or (output is not None and output.waiting)
        ):
            return
        core.acquire_in_background()
        try:
            if self._stop.is_set():
                return
            self._flush(is_patient=True)
            self._rewrite_if_due()
            self.saver.start_scheduled()
        finally:
            core.lock.release()

    def _rewrite_if_due(self) -> None:
        if not self.rewriter.is_due():
            return
        try:
            self.rewriter.begin_or_schedule()
        except (AofError, OSError) as error:
            logger.warning("the append-only file cannot be rewritten: %s", error)

    def _sync_aside(self, output: AofOutput) -> None:
        """Put on disk what a second has brought, while commands go on."""
        now = monotonic()
        if (
            output.synced == output.size
            or now - self._synced_at < _SYNC_S
            or self._leaves_the_disk()
        ):
            return
        self._synced_at = now
        self.state.is_syncing = True
        try:
            output.sync_aside()
        except OSError as error:
            if output is self.output:
                self._cannot_sync(error)
        finally:
            self.state.is_syncing = False

    def _cannot_sync(self, error: OSError) -> None:
        self.core.acquire_in_background()
        try:
            self._set_failed(error.strerror or str(error))
        finally:
            self.core.lock.release()


def _tick(aof_ref: weakref.ref[AppendOnlyFile], stop: threading.Event) -> None:
    """Tick until told to stop, or until there is no engine any more."""
    while not stop.wait(_PERIOD_S):
        aof = aof_ref()
        if aof is None:
            return
        aof.tick()
        del aof
