"""Loading an append-only file: its base, then what came after it, command by command.

Triggers are silent meanwhile and nothing expires. A file whose writer was killed ends within a command or
a transaction; that end is cut off, before the MULTI where there is one, so that what is written next stands
behind whole units. Everything else that is wrong is refused, and nothing has changed then.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final

from trignb.engine.blocking import Blocked
from trignb.engine.files import check_place
from trignb.engine.kept import loading
from trignb.engine.session import Session
from trignb.errors import AofError, RdbError, ResponseError
from trignb.persistence.aof_file import Damaged, Torn, read_commands
from trignb.persistence.loading import install
from trignb.persistence.rdb_file import Contents, Keys, read_rdb

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.spec import Command
    from trignb.lua.libraries import Libraries
    from trignb.persistence.manifest import Manifest, Part
    from trignb.persistence.rdb_file import Progress

__all__ = ["AofLoader"]

logger = logging.getLogger(__name__)

_RDB: Final = b"REDIS"
_FRAME: Final = ("multi", "exec")
# What comes after makes no sense if they fail; of others Redis goes on after an error.
_VITAL: Final = ("select", "_rg_internals.function")

_REPAIR: Final = "make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>"
_CUT_OFF: Final = (
    "Unexpected end of file reading the append only file {}. You can: 1) Make a backup of "
    "your AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively "
    "you can set the 'aof-load-truncated' configuration option to yes and restart the server."
)


class AofLoader:
    """Loads one engine's append-only file.

    Parameters
    ----------
    core : Core
        The engine.
    libraries : Libraries
        Its libraries of Lua functions.
    directory : str
        Where the files are.
    """

    def __init__(self, core: Core, libraries: Libraries, directory: str) -> None:
        self.core = core
        self.libraries = libraries
        self.directory = directory
        self._progress: Progress | None = None
        self._every = self._done = self._total = 0

    def load(
        self,
        manifest: Manifest,
        progress: Progress | None = None,
        every: int = 1 << 20,
    ) -> int:
        """Load all files in place of what there is, with the lock held.

        `progress` is called with the bytes read and the bytes there are, each time `every`
        bytes have been read and no unit is open.

        Returns
        -------
        int
            The bytes of all files, without what was cut off.

        Raises
        ------
        AofError
            When they cannot be loaded; everything is as it was then.
        """
        began = perf_counter()
        parts = manifest.parts
        sizes = [self._size(part) for part in parts]
        self._progress, self._every, self._total = progress, every, sum(sizes)
        self._done = 0
        with (
            loading(self.core, clear=False),
            _unheard(self.core),
            _undone_on_error(self.core, self.libraries),
        ):
            self._install(Contents())
            for part, size in zip(parts, sizes, strict=True):
                self._load_part(part, size, is_last=part is parts[-1])
                self._done += size
        took = perf_counter() - began
        logger.info("DB loaded from append only file: %.3f seconds", took)
        return sum(os.path.getsize(self._path(part)) for part in parts)

    def _path(self, part: Part) -> str:
        return os.path.join(self.directory, part.name)

    def _size(self, part: Part) -> int:
        try:
            check_place(self._path(part))
            return os.path.getsize(self._path(part))
        except OSError as error:
            raise AofError(
                f"Unable to obtain the AOF file {part.name} length. "
                f"stat: {error.strerror}"
            ) from None

    # -- one file

    def _load_part(self, part: Part, size: int, *, is_last: bool) -> None:
        if not size:
            return
        with (
            open(self._path(part), "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            start = self._load_keys(part, data) if data[:5] == _RDB else 0
            replay = _Replay(self.core, part.name, self._install_kept)
            if self._progress is not None:
                replay.every, replay.report = self._every, self._report
            end = replay.run(data, start)
        if end < size:
            self._cut(part, end, is_last=is_last)

    def _load_keys(self, part: Part, data: mmap.mmap) -> int:
        """Load an RDB file; returns where it ends."""
        try:
            contents = read_rdb(
                data[:],
                self.core.config.values,
                None,
                None if self._progress is None else self._report_of_base,
                self._every,
            )
            self._install(contents)
        except RdbError as error:
            raise AofError(
                f"Short read or OOM loading DB. Unrecoverable error, aborting now. "
                f"{part.name}: {error}"
            ) from None
        return contents.size

    def _report(self, done: int) -> None:
        if self._progress is not None:
            self._progress(self._done + done, self._total)

    def _report_of_base(self, done: int, _total: int) -> None:
        self._report(done)

    def _install(self, contents: Contents) -> None:
        install(self.core, self.libraries, contents)

    def _install_kept(self, name: bytes, value: bytes) -> bool:
        """Take in what layers above keep, from an annotation; tells whether it was that."""
        for kept in self.core.kept:
            if kept.field == name:
                kept.prepare(value, upgrade=True).install()
                return True
        return False

    def _cut(self, part: Part, end: int, *, is_last: bool) -> None:
        """Cut off the end of a file whose writer was killed."""
        if not self.core.config.values["aof-load-truncated"]:
            raise AofError(_CUT_OFF.format(part.name))
        logger.warning(
            "!!! Warning: short read while loading the AOF file %s!!!", part.name
        )
        if not is_last:
            raise AofError(
                f"Fatal error: the truncated file is not the last file ({part.name}, "
                f"at offset {end})"
            )
        logger.warning("!!! Truncating the AOF %s at offset %d !!!", *(part.name, end))
        try:
            with open(self._path(part), "r+b") as file:
                file.truncate(end)
                os.fsync(file.fileno())
        except OSError as error:
            raise AofError(
                f"Error truncating the AOF file {part.name}: {error.strerror}"
            ) from None


class _Replay:
    """The commands of one file, run as those of a primary."""

    def __init__(
        self, core: Core, name: str, keep: Callable[[bytes, bytes], bool]
    ) -> None:
        self.core = core
        self.name = name
        self._keep = keep
        self.session = session = Session(core)
        session.is_primary = session.authenticated = True
        del core.sessions[session.id]
        # Called with the bytes read whenever so many more have been.
        self.every = 0
        self.report: Callable[[int], object] = _say_nothing
        # The transaction under way, None outside.
        self._queue: list[tuple[Command, list[bytes]]] | None = None

    def run(self, data: mmap.mmap, start: int) -> int:
        """Run all commands; returns where the last whole unit ends."""
        end = reported = start
        delay_us = self.core.config.values["key-load-delay"]
        try:
            for args, at, after in read_commands(data, start):
                if args:
                    self._take(args, at)
                    if delay_us > 0:
                        sleep(delay_us / 1e6)
                if self._queue is None:
                    end = after
                    if self.every and end - reported >= self.every:
                        reported = end
                        self.report(end)
        except Torn:
            return end
        except Damaged as error:
            raise AofError(
                f"Bad file format reading the append only file {self.name}: {_REPAIR} "
                f"(at offset {error.offset})"
            ) from None
        if self._queue is not None:
            logger.warning(
                "Revert incomplete MULTI/EXEC transaction in AOF file %s", self.name
            )
        return end

    def _take(self, args: list[bytes], at: int) -> None:
        """Run a command, or keep it until the EXEC."""
        command = self.core.table.get(args[0])
        n = len(args)
        if command is None or (
            n != command.arity and (command.arity > 0 or n < -command.arity)
        ):
            if self._keep_fact(args):
                return
            command = self._resolve(args, at)
        if command.name in _FRAME:
            self._frame(command.name)
        elif self._queue is not None:
            self._queue.append((command, args))
        else:
            self._run_unit([(command, args)])

    def _keep_fact(self, args: list[bytes]) -> bool:
        try:
            return len(args) == 2 and self._keep(args[0], args[1])
        except RdbError as error:
            raise AofError(f"{self.name}: {error}") from None

    def _resolve(self, args: list[bytes], at: int) -> Command:
        try:
            return self.core.resolve(self.session, args)
        except ResponseError as error:
            if not str(error).startswith("ERR unknown"):
                raise AofError(f"{error} ({self.name}, at offset {at})") from None
            name = args[0].decode("utf-8", "replace")
            raise AofError(
                f"Unknown command '{name}' reading the append only file {self.name} "
                f"(at offset {at})"
            ) from None

    def _frame(self, name: str) -> None:
        if name == "multi" and self._queue is None:
            self._queue = []
        elif name == "exec" and self._queue is not None:
            queue, self._queue = self._queue, None
            self._run_unit(queue)
        else:
            text = "MULTI calls can not be nested"
            self._complain(name, text if name == "multi" else "EXEC without MULTI")

    def _run_unit(self, commands: list[tuple[Command, list[bytes]]]) -> None:
        self.core.run_unit(partial(self._run_commands, commands))

    def _run_commands(self, commands: list[tuple[Command, list[bytes]]]) -> None:
        core, session = self.core, self.session
        # As within EXEC: nothing waits for a key.
        core.nesting += 1
        for command, args in commands:
            core.argv = args
            try:
                command.handler(session, args)
            except (ResponseError, Blocked) as error:
                if command.name in _VITAL:
                    raise AofError(f"{error} (AOF file {self.name})") from None
                self._complain(command.name, str(error))
        core.nesting -= 1

    def _complain(self, name: str, text: str) -> None:
        logger.warning(
            "== CRITICAL == This server is sending an error to its AOF-loading-client: "
            "'%s' after processing the command '%s'",
            *(text, name),
        )


def _say_nothing(_done: int) -> None:
    """Say nothing of how far it is."""


@contextmanager
def _unheard(core: Core) -> Iterator[None]:
    """Propagate nothing of what is loaded: who gets it has it."""
    sinks, core.sinks = core.sinks, []
    dirty = core.dirty
    core.sinks_changed()
    try:
        yield
    finally:
        core.sinks = sinks
        core.dirty = core.saves.dirty = dirty
        core.sinks_changed()


@contextmanager
def _undone_on_error(core: Core, libraries: Libraries) -> Iterator[None]:
    """Bring back what there was if loading fails; nothing is copied."""
    before = Contents()
    before.functions = [library.code for library in libraries.loaded.values()]
    for kept in core.kept:
        value = kept.value()
        if value is not None:
            before.aux[kept.field] = value
    for db in core.databases:
        before.databases[db.index] = Keys(db.data, db.expires)
    try:
        yield
    except BaseException:
        install(core, libraries, before)
        raise
