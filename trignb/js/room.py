"""Whether this process lets V8 start and make isolates: V8 ends the process where it does not.

What is asked every time costs microseconds. Only where there are limits that V8 may not get by
with is it tried out, in a process of its own that has as little room as this one.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trignb.errors import JavaScriptUnavailable

__all__ = ["check_isolate", "check_start", "large_stacks"]

_PROBE_S: Final = 60
# What an isolate may need at once: its thread's stack, its tables.
_ISOLATE_BYTES: Final = 64 << 20
# V8 uses a megabyte of its thread's stack, and calls what looks at no limit.
_STACK_BYTES: Final = 8 << 20
_SMALL_STACK: Final = 4 << 20

_PROBE: Final = """
import mmap, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.path.append(sys.argv[1])
sizes = dict(line.split(":") for line in open("/proc/self/status"))
kept = []
for name, size, access in (("VmData", sys.argv[3], 3), ("VmSize", sys.argv[2], 0)):
    more = int(size) - 1024 * int(sizes[name].split()[0])
    if more > 0:
        kept.append(mmap.mmap(-1, more, mmap.MAP_PRIVATE, access))
from py_mini_racer import MiniRacer, init_mini_racer
init_mini_racer(flags=sys.argv[4:])
code = "let s = 0; for (let i = 0; i < 100000; i++) s += /a(b|c)/.test('ab' + i) ? 1 : 0; s"
assert MiniRacer().eval(code) == 100000
"""


def check_start(flags: tuple[str, ...]) -> None:
    """See to it that V8 can be started; nothing is tried where nothing is limited.

    Raises
    ------
    JavaScriptUnavailable
        It cannot; the text says which limit there is.
    """
    limits = _limits()
    if not limits:
        return
    used = _used()
    package = importlib.util.find_spec("py_mini_racer")
    if package is None or package.origin is None or not sys.executable:
        return
    site = str(Path(package.origin).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", _PROBE, site, *map(str, used), *flags]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_S,
        )
    except (OSError, subprocess.SubprocessError, MemoryError):
        raise _unavailable(limits) from None
    if done.returncode:
        raise _unavailable(limits)


def check_isolate() -> None:
    """See to it that there is a thread and some memory for an isolate.

    Raises
    ------
    JavaScriptUnavailable
        There is not.
    """
    try:
        thread = threading.Thread(target=int, name="trignb-room", daemon=True)
        thread.start()
    except (RuntimeError, MemoryError):
        raise _unavailable(["no thread can be started"]) from None
    thread.join()
    limits = _memory_limits()
    if limits:
        try:
            mmap.mmap(-1, _ISOLATE_BYTES, mmap.MAP_PRIVATE).close()
        except (OSError, MemoryError):
            raise _unavailable(limits) from None


def _unavailable(limits: list[str]) -> JavaScriptUnavailable:
    reasons = " and ".join(limits)
    return JavaScriptUnavailable(
        f"ERR JavaScript cannot be used in this process: V8 does not start where {reasons}"
    )


def _limits() -> list[str]:
    found = _memory_limits()
    if not _maps_code():
        found.append("no memory may be made executable")
    return found


def _memory_limits() -> list[str]:
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return []
    found = []
    for name, shown in (("RLIMIT_AS", "-v"), ("RLIMIT_DATA", "-d")):
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY:
            found.append(f"{name} is {limit} bytes (ulimit {shown} {limit >> 10})")
    return found


def _maps_code() -> bool:
    prot = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    try:
        mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE, prot).close()
    except (OSError, MemoryError):
        return False
    return True


def _used() -> tuple[int, int]:
    """Return the bytes of address space and of data this process has."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
            facts = dict(line.split(":", 1) for line in lines)
        kilobytes = [int(facts[name].split()[0]) for name in ("VmSize", "VmData")]
    except (OSError, KeyError, ValueError):
        return 0, 0
    return kilobytes[0] << 10, kilobytes[1] << 10


_sizing = threading.Lock()


@contextlib.contextmanager
def large_stacks() -> Iterator[None]:
    """Have threads that C code starts meanwhile get a stack that is large enough for V8.

    They get what ``ulimit -s`` says, and V8 does not look.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "pthread_setattr_default_np"):
        yield
        return
    attributes = ctypes.create_string_buffer(256)
    size = ctypes.c_size_t()
    with _sizing:
        libc.pthread_getattr_default_np(attributes)
        libc.pthread_attr_getstacksize(attributes, ctypes.byref(size))
        if size.value >= _SMALL_STACK:
            yield
            return
        _set_stack_size(libc, attributes, _STACK_BYTES)
        try:
            yield
        finally:
            _set_stack_size(libc, attributes, size.value)


def _set_stack_size(
    libc: ctypes.CDLL, attributes: ctypes.Array[ctypes.c_char], size: int
) -> None:
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(size))
    libc.pthread_setattr_default_np(attributes)


def _renew_lock() -> None:
    global _sizing
    _sizing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
