"""Servers as processes that are killed: no fixture ends them kindly."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["Process"]


class Process:
    """``trignb serve`` on a directory, with an append-only file that is put on disk always.

    Parameters
    ----------
    directory : path
        The directory.
    *args : str
        More arguments.
    before : callable, optional
        Called in the child before it becomes the server.
    """

    def __init__(
        self, directory: Path, *args: str, before: Callable[[], None] | None = None
    ) -> None:
        command = [sys.executable, "-m", "trignb", "serve", "--port", "0"]
        command += ["--dir", str(directory), "--appendonly", "yes"]
        command += ["--appendfsync", "always", "--save", "", *args]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, preexec_fn=before
        )
        self.lines: list[str] = []
        self.port = self._read_port()
        # Somebody has to read what it says.
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()

    def _read_port(self) -> int:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"Ready to accept connections on \S*?:(\d+)", line)
            if found is not None:
                return int(found[1])
        raise AssertionError("the server does not start:\n" + "".join(self.lines))

    def _read_on(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def kill(self) -> None:
        """End it without a warning, if it is still there."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
