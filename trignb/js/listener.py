"""What an isolate tells whoever speaks to it, and an exchange whoever it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

    from trignb.js.runtime import Job
    from trignb.reply import Reply

__all__ = ["Listener", "Owner"]


class Listener(Protocol):
    """Who hears what happens on the isolate's thread."""

    def called(self) -> None:
        """JavaScript called ``hostCall``: wake Python, or sleep until its message."""

    def noticed(self) -> None:
        """JavaScript called ``notify``: look at the notice words."""

    def pump_ended(self, kind: int) -> None:
        """Take note of a pump's end; `kind` is at least `EXCEPTION` if it was ended."""

    def job_ended(self, kind: int) -> None:
        """Take note of the end of a task that ran a background job."""

    def mail_ended(self) -> None:
        """Take note of the end of a task that fetched mail."""

    def isolate_lost(self) -> None:
        """Take note that nothing runs and ends any more."""


class Owner(Protocol):
    """What an exchange needs from the runtime it belongs to."""

    def origin_number(self, origin: Hashable) -> int:
        """Return the number by which JavaScript knows an origin."""

    def settle(self, number: int, raw: bool, reply: Reply) -> None:
        """Tell JavaScript the reply of a ``callAsync``."""

    def log(self, line: bytes) -> None:
        """Write a line that JavaScript encoded."""

    def promised(self, number: int, origin: Hashable) -> Job:
        """Return a new job for a promise."""

    def forget(self, number: int) -> None:
        """Drop it again: the promise is settled already."""

    def killed(self, reason: str, expected: bool) -> None:
        """Take note that the isolate is gone, as somebody wanted or not."""
