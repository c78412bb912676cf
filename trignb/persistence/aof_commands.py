"""BGREWRITEAOF and DEBUG LOADAOF."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trignb.engine.commands.internals import Subcommand
from trignb.engine.spec import CommandFamily
from trignb.errors import AofError, ResponseError
from trignb.reply import OK, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.persistence.aof import AppendOnlyFile

__all__ = ["aof_family", "load_aof_subcommand"]

logger = logging.getLogger(__name__)

Args = list[bytes]


def aof_family(aof: AppendOnlyFile) -> CommandFamily:
    """Return the commands of one engine's append-only file."""
    family = CommandFamily("server")

    @family.command("BGREWRITEAOF")
    def bgrewriteaof(s: Session, args: Args) -> Status:
        """Rewrites the append-only file to what the keys are now, while commands go on."""
        if aof.rewriter.is_running:
            raise ResponseError(
                "ERR Background append only file rewriting already in progress"
            )
        try:
            has_begun = aof.rewriter.begin_or_schedule()
        except (AofError, OSError) as error:
            logger.warning("the append-only file cannot be rewritten: %s", error)
            raise ResponseError(
                "ERR Can't execute an AOF background rewriting. Please check the server "
                "logs for more information."
            ) from None
        word = "started" if has_begun else "scheduled"
        return Status(f"Background append only file rewriting {word}")

    return family


def load_aof_subcommand(aof: AppendOnlyFile) -> Subcommand:
    """Return DEBUG LOADAOF for one engine."""

    def load_aof(s: Session, args: Args) -> Status:
        """Loads the append-only file in place of the keys there are."""
        try:
            aof.reload()
        except (AofError, OSError) as error:
            # Redis ends in such a case.
            logger.warning("the append-only file cannot be loaded: %s", error)
            raise ResponseError(
                "ERR Error trying to load the AOF files, check server logs."
            ) from None
        return OK

    return Subcommand(load_aof, -2)
