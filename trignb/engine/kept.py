"""What layers above keep in RDB files beside the keys, and the time while anything is loaded.

Such a thing registers in `Core.kept`. Whoever loads (an RDB file, an append-only file, what a primary
sends) does it inside `loading`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trignb.engine.core import Core

__all__ = ["Kept", "Prepared", "loading"]


class Prepared(Protocol):
    """What was read from a file and can take its place now, without failing."""

    def install(self) -> None:
        """Put it in place of what is there."""

    def discard(self) -> None:
        """Drop it: something else of the file cannot be loaded."""


class Kept(Protocol):
    """Something that RDB files hold under a field of its own.

    Such fields are what a file says about its server, and a server that does not know one goes on, so
    any Redis loads the file.
    """

    @property
    def field(self) -> bytes:
        """Name of the field."""

    def value(self, *, is_base: bool = False) -> bytes | None:
        """Return what the field says now, None for no field; the lock is held.

        `is_base` makes it that of an append-only file, which changes are written behind.
        """

    def prepare(self, value: bytes | None, *, upgrade: bool) -> Prepared:
        """Get ready what a file says; `upgrade` adds to what is there.

        Raises
        ------
        RdbError
            When it cannot be loaded; nothing has changed then.
        """

    def clear(self) -> None:
        """Forget everything: loading starts."""

    def loading_ended(self) -> None:
        """Go on with what had to wait for the end of loading."""


@contextmanager
def loading(core: Core, *, clear: bool = True) -> Iterator[None]:
    """Have triggers silent and nothing expire while something is loaded; the lock is held.

    Parameters
    ----------
    core : Core
        The engine.
    clear : bool
        Whether the layers above forget what they keep first, as they do before a full load. An RDB
        file needs no such thing: what it holds takes the place of what is there.
    """
    was_loading, core.is_loading = core.is_loading, True
    try:
        if clear:
            for each in core.kept:
                each.clear()
        yield
    finally:
        core.is_loading = was_loading
        if not was_loading:
            for each in core.kept:
                each.loading_ended()
