"""MONITOR: every command that runs, told to whoever wants to see it.

Sessions are unusual while somebody looks (`Core.observed`), so it costs nothing otherwise. Which commands
are shown, when and how was observed on the oracle: after they ran, an EXEC after what it ran, but scripts
before what they call; what administrates is not shown, passwords are not either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trignb.engine.logs import mask_secrets
from trignb.engine.spec import ADMIN, SKIP_MONITOR
from trignb.reply import Status

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["Monitors"]

_NAMED: Final = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    13: "\\r",
    34: '\\"',
    92: "\\\\",
}
_SHOWN: Final = [
    _NAMED.get(byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
    for byte in range(256)
]


class Monitors:
    """Who looks: ``sessions``, in the order in which they came."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.sessions: dict[Session, None] = {}

    def start(self, session: Session) -> None:
        """Tell a session of every command from now on."""
        self.sessions[session] = None
        self.core.rearm_sessions()

    def stop(self, session: Session) -> None:
        """Tell it no more."""
        if self.sessions.pop(session, self) is None and not self.sessions:
            self.core.rearm_sessions()

    def starts(self, session: Session, command: Command, args: list[bytes]) -> None:
        """Show a command whose own calls are to follow it: a script."""
        if command.flags & SKIP_MONITOR:
            self._show(session, args)

    def ended(self, session: Session, command: Command, args: list[bytes]) -> None:
        """Show a command that ran."""
        if not command.flags & (SKIP_MONITOR | ADMIN):
            self._show(session, args)

    def _show(self, session: Session, args: list[bytes]) -> None:
        seconds, rest = divmod(self.core.clock.read(), 1_000_000_000)
        in_script = self.core.frame.origin == "script"
        who = "lua" if in_script else session.shown_address
        words = " ".join(map(_quoted, mask_secrets(args)))
        text = f"{seconds}.{rest // 1000:06} [{session.db.index} {who}] {words}"
        for watcher in list(self.sessions):
            watcher.push_line(Status(text))


def _quoted(arg: bytes) -> str:
    return '"' + "".join([_SHOWN[byte] for byte in arg]) + '"'
