"""SAVE, BGSAVE, LASTSAVE, SHUTDOWN, and DEBUG RELOAD."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

from trignb.datatypes.rdb import RDB_VERSION
from trignb.engine.args import syntax_error
from trignb.engine.commands.internals import Subcommand
from trignb.engine.spec import CommandFamily
from trignb.errors import RdbError, ResponseError
from trignb.persistence.loading import load
from trignb.reply import NO_REPLY, OK, NoReply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.persistence.saving import Saver

__all__ = ["reload_subcommand", "save_family"]

logger = logging.getLogger(__name__)

Args = list[bytes]

_BUSY = "ERR Background save already in progress"
_OTHER = (
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE "
    "SCHEDULE in order to schedule a BGSAVE whenever possible."
)


def save_family(saver: Saver) -> CommandFamily:
    """Return the commands that save one engine."""
    family = CommandFamily("server")
    command = family.command

    @command("SAVE")
    def save(s: Session, args: Args) -> Status:
        """Writes all keys to disk; nothing else runs meanwhile."""
        if saver.is_saving:
            raise ResponseError(_BUSY)
        _save(saver)
        return OK

    @command("BGSAVE")
    def bgsave(s: Session, args: Args) -> Status:
        """Writes all keys to disk as they are now, while commands go on."""
        if len(args) > 2 or (len(args) == 2 and args[1].upper() != b"SCHEDULE"):
            raise syntax_error()
        if saver.is_saving:
            raise ResponseError(_BUSY)
        if saver.is_blocked and len(args) == 1:
            raise ResponseError(_OTHER)
        if s.core.nesting > 1 or saver.is_blocked:
            saver.schedule()
            return Status("Background saving scheduled")
        saver.start()
        return Status("Background saving started")

    @command("LASTSAVE")
    def lastsave(s: Session, args: Args) -> int:
        """Tells when the keys were last saved, in seconds since the epoch."""
        return s.core.saves.last_ns // 1_000_000_000

    @command("SHUTDOWN")
    def shutdown(s: Session, args: Args) -> NoReply | Status:
        """Ends the servers of this engine, after saving if there are save points."""
        words = {word.upper() for word in args[1:]}
        if not words <= {b"SAVE", b"NOSAVE", b"NOW", b"FORCE", b"ABORT"}:
            raise syntax_error()
        if (b"ABORT" in words and len(words) > 1) or {b"SAVE", b"NOSAVE"} <= words:
            raise syntax_error()
        if b"ABORT" in words:
            if not saver.shutdown.abort():
                raise ResponseError("ERR No shutdown in progress.")
            return OK
        busy = None if s.core.busy is None else s.core.busy()
        if busy is not None and b"NOSAVE" not in words:
            # What a script has done by half is not to be saved.
            raise ResponseError(busy)
        saver.shutdown.ask(s, words)
        return NO_REPLY

    return family


def _save(saver: Saver) -> None:
    try:
        saver.save()
    except OSError as error:
        logger.warning("the keys could not be saved to %s: %s", saver.path, error)
        raise ResponseError("ERR") from None


def reload_subcommand(saver: Saver) -> Subcommand:
    """Return DEBUG RELOAD for one engine."""

    def reload(s: Session, args: Args) -> Status:
        """Saves the keys and loads them again; NOSAVE loads the file there is."""
        words = {word.upper() for word in args[2:]}
        if not words <= {b"MERGE", b"NOFLUSH", b"NOSAVE"}:
            raise ResponseError(
                "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."
            )
        try:
            data = _read(saver) if b"NOSAVE" in words else _write(saver)
            load(
                s.core,
                saver.libraries,
                data,
                flush=b"NOFLUSH" not in words,
                merge=b"MERGE" in words,
            )
        except (RdbError, OSError) as error:
            logger.warning("the keys could not be loaded: %s", error)
            raise ResponseError(
                "ERR Error trying to load the RDB dump, check server logs."
            ) from None
        return OK

    return Subcommand(reload, -2)


def _read(saver: Saver) -> bytes:
    with open(saver.path, "rb") as file:
        return file.read()


def _write(saver: Saver) -> bytes:
    """Save to memory, in the newest form: nothing is lost, and no file is left behind."""
    core = saver.core
    file = io.BytesIO()
    saver.write(file, RDB_VERSION)
    core.saves.succeeded(core.clock.read(), core.dirty)
    return file.getvalue()
