"""A real server of our own: on a free loopback port, in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Final

import pytest

from oracle.references import REDIS70, Launch, find_reference
from oracle.wire import Connection

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

# What the engine is compared with, unless another is asked for.
ORACLE: Final = os.environ.get("TRIGNB_ORACLE", "redis72")
HOW_TO_GET: Final = {REDIS70: "a redis-server 7.0 is not installed"}

# Restarts with another port when somebody else takes the free one first.
_ATTEMPTS = 3


def missing(name: str) -> str:
    """Return what to say where a server is missing."""
    return HOW_TO_GET.get(
        name, f"{name} is not there (make reference-servers SERVERS={name})"
    )


def require_server(name: str = ORACLE) -> None:
    """Skip the test where a server is missing, or fail it where CI is set."""
    if find_reference(name) is None:
        if os.environ.get("CI"):
            pytest.fail(missing(name))
        pytest.skip(missing(name))


class RedisServer:
    """A running server; a context manager that ends it.

    It is one of `oracle.references` by its name: ``redis72`` without the module, ``module72``
    with it and its ``module_args``, pairs of a name and a value. ``directory`` is one to start
    on, which stays when it ends; ``options`` are directives, with ``_`` for ``-``.
    Raises FileNotFoundError where the server is missing, RuntimeError if it does not start.
    """

    def __init__(
        self,
        kind: str | Launch = ORACLE,
        directory: str | os.PathLike[str] | None = None,
        module_args: Iterable[tuple[str, str]] = (),
        **options: str,
    ) -> None:
        launch = find_reference(kind) if isinstance(kind, str) else kind
        if launch is None:
            raise FileNotFoundError(missing(str(kind)))
        self.launch = launch
        self._own = None
        if directory is None:
            directory = self._own = tempfile.mkdtemp(prefix="trignb-oracle-")
        self.directory = os.fspath(directory)
        self._options = {name.replace("_", "-"): v for name, v in options.items()}
        self._module_args = [word for pair in module_args for word in pair]
        self._open: list[Connection] = []
        for attempt in range(_ATTEMPTS):
            self.port = _free_port()
            self.process = self._start()
            if self._is_up():
                break
            self._stop()
            if attempt == _ATTEMPTS - 1:
                self._remove()
                raise RuntimeError(f"{launch.words[-1]} does not start")

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
        if not self.launch.module:
            return self._run([*self.launch.words, *words])
        # Arguments of the module may begin with two dashes, so they come from standard input.
        process = self._run([*self.launch.words, "-", *words], stdin=subprocess.PIPE)
        assert process.stdin is not None
        with process.stdin as file, contextlib.suppress(BrokenPipeError):
            line = map(_quoted, (*self.launch.module, *self._module_args))
            file.write(b"loadmodule " + b" ".join(line) + b"\n")
        return process

    def _run(
        self, words: list[str], stdin: int | None = None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            words,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | self.launch.environment,
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
        return self.info("redis_version")

    def info(self, field: str) -> str:
        """Return a field of INFO; raises KeyError where there is none of that name."""
        lines = self.connect().execute("INFO", "everything").decode().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return str(fields[field])

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


def _quoted(word: str) -> bytes:
    """Return a word as a configuration file spells it, whatever is in it."""
    return b'"%b"' % b"".join(b"\\x%02x" % byte for byte in word.encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
