"""A redis-server of our own: on a free loopback port, in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from oracle.wire import Connection

if TYPE_CHECKING:
    from types import TracebackType

# Restarts with another port when somebody else takes the free one first.
_ATTEMPTS = 3


def find_redis_server() -> str | None:
    """Return the path of redis-server, None where it is not installed."""
    return shutil.which("redis-server")


class RedisServer:
    """A running redis-server; a context manager that ends it.

    ``directory`` is one to start on, which stays when it ends; ``options`` are directives, with
    ``_`` for ``-``.
    """

    def __init__(
        self,
        binary: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        **options: str,
    ) -> None:
        path = binary or find_redis_server()
        if path is None:
            raise FileNotFoundError("redis-server is not installed")
        self.binary = path
        self._own = None
        if directory is None:
            directory = self._own = tempfile.mkdtemp(prefix="trignb-oracle-")
        self.directory = os.fspath(directory)
        self._options = {name.replace("_", "-"): v for name, v in options.items()}
        self._open: list[Connection] = []
        for attempt in range(_ATTEMPTS):
            self.port = _free_port()
            self.process = self._start()
            if self._is_up():
                break
            self._stop()
            if attempt == _ATTEMPTS - 1:
                self._remove()
                raise RuntimeError("redis-server does not start")

    def _start(self) -> subprocess.Popen[bytes]:
        # hz 100 makes the active expiry cycle quick, so that waits can be short.
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "save": "",
            "appendonly": "no",
            "enable-debug-command": "yes",
            "repl-diskless-sync": "yes",
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 3600,
            "repl-timeout": 100000,
            "hz": 100,
            "dynamic-hz": "no",
            **self._options,
        }
        words = [word for k, v in options.items() for word in (f"--{k}", str(v))]
        return subprocess.Popen(
            [self.binary, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _is_up(self) -> bool:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                with contextlib.closing(Connection(self.port)) as connection:
                    is_ours = connection.execute("CONFIG", "GET", "dir")
                    is_loading = str(connection.execute("DBSIZE")).startswith("LOADING")
                if not is_loading:
                    return isinstance(is_ours, list) and is_ours[1] == (
                        self.directory.encode()
                    )
            time.sleep(0.02)
        return False

    def connect(self, resp: int = 2) -> Connection:
        """Return a new client, hung up at the end at the latest."""
        connection = Connection(self.port, resp)
        self._open.append(connection)
        return connection

    @property
    def version(self) -> str:
        """``redis_version`` of INFO."""
        text = self.connect().execute("INFO", "server").decode()
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name == "redis_version":
                return str(value)
        raise ValueError("INFO has no redis_version")

    def close(self) -> None:
        """Hang up all clients, end the process, remove its directory."""
        for connection in self._open:
            connection.close()
        self._stop()
        self._remove()

    def _remove(self) -> None:
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)

    def _stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
