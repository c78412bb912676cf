"""One call of a script. Knows no Lua state."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from trignb.lua.constants import REPL_ALL

if TYPE_CHECKING:
    from trignb.engine.session import Session

__all__ = ["Killed", "Run", "busy_text"]


class Killed(Exception):
    """The script was killed by SCRIPT KILL or FUNCTION KILL."""


class Run:
    """One call of a script or function.

    ``kind`` is ``eval`` or ``function``; ``name`` what errors call it (the digest or the
    function's name); ``resp`` the protocol the script reads replies in.
    ``target`` is where its effects go, as ``redis.set_repl`` takes it.
    ``may_grow`` says that memory is no reason to refuse it a command.
    """

    __slots__ = (
        "killed",
        "kind",
        "may_grow",
        "name",
        "place",
        "read_only",
        "resp",
        "session",
        "started",
        "target",
        "thread",
        "wrote",
    )

    def __init__(self, session: Session, kind: str, name: str, read_only: bool) -> None:
        self.session = session
        self.kind = kind
        self.name = name
        self.read_only = read_only
        self.may_grow = False
        self.target = REPL_ALL
        self.resp = 2
        self.wrote = False
        self.killed = False
        # Source and line at which it was killed.
        self.place: tuple[bytes, int] | None = None
        self.started = time.monotonic()
        self.thread = threading.get_ident()


def busy_text(kind: str) -> str:
    """Return what clients hear while a script or function (see `Run`) runs too long."""
    kill = "SCRIPT" if kind == "eval" else "FUNCTION"
    return (
        f"BUSY Redis is busy running a script. You can only call {kill} KILL or "
        "SHUTDOWN NOSAVE."
    )
