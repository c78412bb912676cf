"""Where V8 would end the process: the isolate is given up instead.

V8 compiles regular expressions by recursion and ends the process where its stack ends, whatever
the pattern is and whoever made it; it does so too when it cannot go on without more memory. Before,
it calls a function of ours on the isolate's thread, which must not return: it never does. The
thread sleeps for good, with what the isolate has; the library gets a new isolate when it is used again.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from trignb.js.native import Native

__all__ = ["LOST", "Owner", "guard"]

LOST: Final = "V8 had no stack or memory left to go on"


class Owner(Protocol):
    """Who has an isolate."""

    def given_up(self) -> None:
        """Take note that the isolate never runs again; called on its thread, once."""


# By the thread of the isolate.
_owners: dict[int, weakref.ref[Owner]] = {}

# Taken for good: who asks for it sleeps, without the interpreter's lock.
_never: Final = threading.Lock()
_never.acquire()


def _sleep_for_good(_location: int, _details: int) -> None:
    try:
        owner = _owners.pop(threading.get_ident(), None)
        isolate = None if owner is None else owner()
        if isolate is not None:
            isolate.given_up()
    finally:
        while True:
            _never.acquire()


_give_up: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(
    _sleep_for_good
)


def guard(native: Native, isolate: int, owner: Owner) -> None:
    """Have `owner` told instead of the process ended; on the isolate's thread."""
    _owners[threading.get_ident()] = weakref.ref(owner)
    native.on_exhaustion(isolate, _give_up)
