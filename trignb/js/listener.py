"""What an isolate tells whoever speaks to it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Listener"]


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
