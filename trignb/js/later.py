"""The reply of a command that JavaScript does not wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from trignb.reply import Reply

__all__ = ["NOT_YET", "Later"]

Settle: TypeAlias = Callable[[int, bool, Reply], None]

NOT_YET: Final = object()


class Later:
    """The reply of one ``callAsync``, at once or later."""

    __slots__ = ("_guard", "_left", "_number", "_raw", "_reply", "_settle")

    def __init__(self, settle: Settle, number: int, raw: bool) -> None:
        self._settle = settle
        self._number = number
        self._raw = raw
        self._reply: Any = NOT_YET
        self._left = False
        self._guard = threading.Lock()

    def done(self, reply: Reply) -> None:
        """Take the reply; whoever asked before is told."""
        with self._guard:
            if not self._left:
                self._reply = reply
                return
        self._settle(self._number, self._raw, reply)

    def reply_now(self) -> Any:
        """Return the reply, or `NOT_YET` and have it told later."""
        with self._guard:
            self._left = True
            return self._reply
