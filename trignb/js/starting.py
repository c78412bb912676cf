"""How V8 is started, once per process, and what a thread does before it makes an isolate.

On x86-64 CPUs with memory protection keys V8 guards its tables with a key of its own. The right
to use a key belongs to a thread, which has it from the thread that created it: any thread that
is no descendant of the one that started V8 would die at its first isolate. So V8 is told to use
no keys. Where other code in the process has started V8 before, that is too late, and each
thread takes the rights that V8 gives to handlers of signals, which any thread may need.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trignb.js.room import check_start

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FLAGS",
    "Start",
    "callback_type",
    "has_protection_keys",
    "prepare_thread",
    "start",
]

FLAGS: Final = ("--single-threaded", "--no-memory-protection-keys")
_CPUINFO: Final = Path("/proc/cpuinfo")
# MemoryProtectionKey::SetDefaultPermissionsForAllKeysInSignalHandler(bool), exported by V8.
_TAKE_RIGHTS: Final = (
    "_ZN2v84base19MemoryProtectionKey46SetDefaultPermissionsForAllKeysInSignalHandlerEb"
)


def has_protection_keys(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether the CPU has memory protection keys and the system uses them."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    try:
        with cpuinfo.open() as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return False
    return "ospke" in flags.split()


def _is_started_elsewhere() -> bool:
    module = sys.modules.get("py_mini_racer._dll")
    return getattr(module, "_dll_handle", None) is not None


class Start:
    """V8 started by `launch`, by us or by other code in this process before.

    Parameters
    ----------
    launch : callable
        py_mini_racer's ``init_mini_racer``.
    already : type
        The exception it raises if V8 has been started before.
    keys : callable
        Whether this computer has protection keys; asked only if it matters.

    check : callable
        Raises where V8 would not start; called with the flags, if nobody has started it yet.

    Attributes
    ----------
    dll : ctypes.CDLL
        V8 behind mini-racer's C interface.
    """

    def __init__(
        self,
        launch: Callable[..., Any],
        already: type[Exception],
        keys: Callable[[], bool] = has_protection_keys,
        check: Callable[[tuple[str, ...]], None] = check_start,
    ) -> None:
        self._rights: Callable[[bool], object] | None = None
        self._prepared = threading.local()
        if not _is_started_elsewhere():
            check(FLAGS)
        try:
            self.dll = launch(flags=FLAGS)
        except already:
            self.dll = launch(ignore_duplicate_init=True)
            if keys():
                self._rights = self._find_rights()

    def _find_rights(self) -> Callable[[bool], object] | None:
        function = getattr(self.dll, _TAKE_RIGHTS, None)
        if function is not None:
            function.argtypes = [ctypes.c_bool]
            function.restype = None
        return function

    def prepare_thread(self) -> None:
        """Give the calling thread the rights that V8's memory asks for, if it may lack them."""
        if self._rights is not None and not hasattr(self._prepared, "done"):
            self._rights(False)
            self._prepared.done = True


_starting = threading.Lock()
_started: Start | None = None


def start() -> Start:
    """Return V8, started if it is not yet; any thread."""
    global _started
    with _starting:
        if _started is None:
            # Imported when the first isolate is made: `import trignb` must not load V8.
            from py_mini_racer import LibAlreadyInitializedError, init_mini_racer

            _started = Start(init_mini_racer, LibAlreadyInitializedError)
        return _started


def callback_type() -> Any:
    """Return the type of what mini-racer calls."""
    from py_mini_racer._dll import MR_CALLBACK

    return MR_CALLBACK


def prepare_thread() -> None:
    """Prepare the calling thread for a V8 that has been started."""
    if _started is not None:
        _started.prepare_thread()


def _renew_lock() -> None:
    global _starting
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread may have held it.
    os.register_at_fork(after_in_child=_renew_lock)
