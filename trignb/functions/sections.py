"""Under what a library's commands run: user, database, rights.

A `LibrarySection` is what `trignb.js` hands back with every command, an `Origin` what background work
inherits from where it was started.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trignb.engine.logs import Frame
from trignb.engine.spec import NOSCRIPT, WRITE

if TYPE_CHECKING:
    from trignb.engine.database import Database
    from trignb.engine.session import Session

__all__ = ["LibrarySection", "Origin"]


@dataclass(frozen=True, slots=True)
class Origin:
    """On whose behalf background work runs; equal ones share everything.

    ``kind``, and ``trigger`` where there is one, are what its commands and their events are
    put down to; ``span`` numbers what a trace saw begin it (see
    `trignb.functions.tracing`), 0 without one.
    """

    library: str
    kind: Literal["function", "trigger"]
    user: str
    no_writes: bool = False
    allow_oom: bool = False
    trigger: str | None = None
    span: int = 0

    def frame(self) -> Frame:
        """Return what a section of this origin does is put down to."""
        depth = int(self.kind == "trigger")
        return Frame(self.kind, self.library, None, depth, self.trigger)


class LibrarySection:
    """One stretch of synchronous JavaScript.

    ``refused`` is the mask of command flags that need a second look before a command is
    called; ``db`` changes from run to run, as a section serves many, one after another.
    """

    __slots__ = ("block_allowed", "db", "frame", "origin", "refused", "session")

    def __init__(
        self, origin: Origin, session: Session, *, block_allowed: bool
    ) -> None:
        self.origin = origin
        self.session = session
        self.block_allowed = block_allowed
        self.db: Database = session.db
        self.frame = origin.frame()
        self.refused = NOSCRIPT | WRITE if origin.no_writes else NOSCRIPT

    def __repr__(self) -> str:
        return f"<LibrarySection of {self.origin.library} as {self.origin.user}>"
