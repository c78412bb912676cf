"""What makes a process a daemon: a fork that reports back, a pid file, signals, systemd."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

__all__ = [
    "Daemon",
    "Signals",
    "ignore_signals",
    "notify_supervisor",
    "pid_file",
    "room_for",
]

logger = logging.getLogger(__name__)

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_READY: Final = b"\1"
# Kept for listeners, files, the log.
_OWN_FILES: Final = 32


class Daemon:
    """A process that goes on in the background once it is ready.

    The process that was started waits for it: its exit status says whether the server runs, and until then errors
    still reach the terminal.
    """

    def __init__(self) -> None:
        self._pipe = -1

    def leave(self) -> None:
        """Go on as another process, no longer the terminal's; threads come later."""
        parent_end, self._pipe = os.pipe()
        if os.fork():
            os.close(self._pipe)
            is_ready = os.read(parent_end, 1) == _READY
            os._exit(0 if is_ready else 1)
        os.close(parent_end)
        os.setsid()

    def ready(self) -> None:
        """Let the parent go and the terminal with it."""
        if self._pipe < 0:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
        os.write(self._pipe, _READY)
        os.close(self._pipe)
        self._pipe = -1


@contextlib.contextmanager
def pid_file(path: str) -> Iterator[None]:
    """Keep the process's number in a file meanwhile; an empty path is none.

    Where it cannot be written the log says so, and nothing else happens.
    """
    if path:
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            logger.warning("Failed to write PID file: %s", error.strerror)
            path = ""
    try:
        yield
    finally:
        if path:
            with contextlib.suppress(OSError):
                os.unlink(path)


class Signals:
    """SIGTERM and SIGINT as requests to end; who insists by a second SIGINT is not kept waiting.

    ``pending`` is the signal that is being followed, None when there is none; whoever refuses
    one sets it back.
    """

    def __init__(self, end: Callable[[signal.Signals], None]) -> None:
        self.pending: signal.Signals | None = None
        self._end = end
        for number in _ENDING:
            signal.signal(number, self._caught)

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if self.pending is None:
            self.pending = signal.Signals(number)
            self._end(self.pending)
        elif number == signal.SIGINT:
            # Who insists is not kept waiting.
            os._exit(1)


def ignore_signals() -> None:
    """Let requests to end a process that ends already change nothing of its exit status."""
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_IGN)


def room_for(clients: int) -> int:
    """Have the system allow descriptors for so many clients; returns how many it does."""
    wanted = clients + _OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return clients
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return max(min(clients, soft - _OWN_FILES), 1)


def notify_supervisor() -> None:
    """Tell systemd that the service is ready, if that is who started it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        # A leading @ is a name without a file.
        sock.sendto(b"READY=1\n", address.replace("@", "\0", 1))
