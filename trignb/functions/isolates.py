"""The isolates made so far, as TFUNCTION DEBUG and INFO count them.

The original keeps every isolate it made in a list from which released ones are taken only
now and then, so that its developers see whether a replaced library let go of its isolate.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trignb.js.runtime import Runtime

__all__ = ["IsolateList"]

# Released isolates stay in the list until a load finds it so long.
_LONG: Final = 100


class IsolateList:
    """The isolates made since the list was last tidied, oldest first."""

    def __init__(self) -> None:
        self._made: list[weakref.ref[Runtime]] = []

    def add(self, runtime: Runtime, in_use: Collection[Runtime]) -> None:
        """Take note of a new isolate; `in_use` has those that are not released."""
        if len(self._made) >= _LONG:
            self.tidy(in_use)
        self._made.append(weakref.ref(runtime))

    def tidy(self, in_use: Collection[Runtime]) -> None:
        """Take the released isolates out of the list."""
        self._made = [ref for ref in self._made if ref() in in_use]

    def are_in_use(self, in_use: Collection[Runtime]) -> Iterator[bool]:
        """Yield for each isolate of the list whether it is not released."""
        return (ref() in in_use for ref in self._made)
