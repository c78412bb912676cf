"""Giving memory back without holding the engine's lock.

A value with very many elements takes long to be freed: a million sorted-set entries a fifth of a
second. Whoever takes such a value out of the keyspace hands it over here, and a thread of its own
takes it apart in small steps.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import Any, Final

__all__ = ["LARGE", "Freeing"]

# From this many elements on; fewer are freed in less than a millisecond.
LARGE: Final = 20_000
# Values that are freed in one go whatever their length.
_FLAT: Final = (bytes, bytearray)
# Elements freed between two chances for other threads.
_STEP: Final = 1_000
# Who called may still have the value in a local variable.
_GRACE_S: Final = 0.002


class Freeing:
    """Values to be freed, and the thread that is there while there are any."""

    def __init__(self) -> None:
        self._queue: deque[Any] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, value: Any) -> None:
        """Free a container in the background; the caller keeps no reference to it."""
        self._queue.append(value)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._main, name="trignb-freeing", daemon=True
                )
                self._thread.start()

    def wait(self) -> None:
        """Return when everything handed over so far is free."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _main(self) -> None:
        value: Any = []
        alone = sys.getrefcount(value)
        while True:
            time.sleep(_GRACE_S)
            while self._queue:
                value = self._queue.popleft()
                # Somebody else may still have it, as a reply; its last user frees it then.
                if sys.getrefcount(value) == alone:
                    self._take_apart(value)
            value = None
            with self._lock:
                if not self._queue:
                    self._thread = None
                    return

    def _take_apart(self, value: Any) -> None:
        if type(value) is dict:
            self._empty(value, of_values=True)
        elif isinstance(value, dict):
            self._empty(value)
        elif hasattr(value, "parts"):
            for part in value.parts():
                self._empty(part) if isinstance(part, dict) else self._shorten(part)

    def _empty(self, container: dict[Any, Any], *, of_values: bool = False) -> None:
        """Empty a hash or a set, or a whole keyspace, whose values may be large too."""
        while container:
            for _ in range(min(_STEP, len(container))):
                value = container.popitem()[1]
                if of_values and type(value) not in _FLAT and len(value) >= LARGE:
                    self._queue.append(value)
            value = None
            time.sleep(0)

    def _shorten(self, elements: list[Any]) -> None:
        # A sorted set's list holds lists of some thousand entries.
        step = 1 if elements and isinstance(elements[0], list) else _STEP
        while elements:
            del elements[-step:]
            time.sleep(0)
