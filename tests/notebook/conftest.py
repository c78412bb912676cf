"""A stage for the real redis-cli: a server that answers what the test wants."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kernels import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MISSING = "redis-cli is not installed: text and quoting were not compared with it"
MARK = b"+---- next ----\r\n"
SHOWN_MARK = {
    "standard": b"---- next ----\n",
    "raw": b"---- next ----\n",
    "json": b'"---- next ----"\n',
    "csv": b'"---- next ----"\n',
}
FLAGS = {"standard": "--no-raw", "raw": "--raw", "json": "--json", "csv": "--csv"}


class Stage:
    """Answers every command with the next reply of a list and notes what it was sent."""

    def __init__(self, replies: Sequence[bytes]) -> None:
        self.replies = iter(replies)
        self.received: list[list[bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        client, _ = self.listener.accept()
        with client, client.makefile("rb") as stream:
            while header := stream.readline():
                args = []
                for _ in range(int(header[1:])):
                    size = int(stream.readline()[1:])
                    args.append(stream.read(size))
                    stream.read(2)
                client.sendall(self._answer(args))

    def _answer(self, args: list[bytes]) -> bytes:
        if args[0].upper() == b"HELLO":
            return b"%1\r\n+server\r\n+stage\r\n"
        if args[0].upper() == b"COMMAND":
            return b"*0\r\n"
        self.received.append(args)
        return next(self.replies)

    def close(self) -> None:
        self.listener.close()
        self.thread.join(5)


class RedisCli:
    """The redis-cli of this machine."""

    def _run(self, stage: Stage, lines: bytes, *options: str) -> bytes:
        try:
            done = subprocess.run(
                ["redis-cli", "-p", str(stage.port), *options],
                input=lines,
                capture_output=True,
                timeout=30,
                check=False,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/nonexistent"},
            )
        finally:
            stage.close()
        assert not done.stderr, done.stderr
        return done.stdout

    def prints(self, replies: Sequence[bytes], mode: str, resp: int) -> list[bytes]:
        """Return what it prints for each reply, given as it stands on the wire."""
        stage = Stage([part for reply in replies for part in (reply, MARK)])
        lines = b"X\n" * (2 * len(replies))
        output = self._run(stage, lines, FLAGS[mode], f"-{resp}")
        shown = output.split(SHOWN_MARK[mode])
        assert shown.pop() == b""
        assert len(shown) == len(replies)
        return shown

    def splits(self, lines: Sequence[bytes]) -> list[list[bytes] | None]:
        """Return the words it makes of each line, None for ``Invalid argument(s)``."""
        stage = Stage([b"+ok\r\n"] * (2 * len(lines)))
        typed = b"".join(b"X " + line + b"\nMARK\n" for line in lines)
        self._run(stage, typed, "--no-raw")
        words: list[list[bytes] | None] = []
        pending: list[bytes] | None = None
        for args in stage.received:
            if args == [b"MARK"]:
                words.append(pending)
                pending = None
            else:
                pending = args[1:]
        return words


@pytest.fixture(scope="session")
def redis_cli() -> RedisCli:
    """The oracle of text; without it the test is skipped, or failed where CI is set."""
    if shutil.which("redis-cli") is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return RedisCli()


@pytest.fixture(scope="session")
def _interactive_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One shell for the session: IPython has one a process."""
    os.environ["IPYTHONDIR"] = str(tmp_path_factory.mktemp("ipython"))
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(colors="nocolor", history_length=0)
    shell.history_manager.enabled = False
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(_interactive_shell: Any) -> Iterator[Any]:
    """A shell with the extension loaded and an engine that is empty."""
    names = set(_interactive_shell.user_ns)
    _interactive_shell.run_line_magic("load_ext", "trignb")
    yield _interactive_shell
    _interactive_shell.run_line_magic("unload_ext", "trignb")
    _interactive_shell.config.pop("TrignbMagics", None)
    # The engines are closed when a cell ends.
    _interactive_shell.run_cell("pass")
    for name in set(_interactive_shell.user_ns) - names:
        del _interactive_shell.user_ns[name]


@pytest.fixture(scope="session")
def kernel() -> Iterator[Kernel]:
    """One kernel for all tests that speak to one."""
    kernel = Kernel()
    yield kernel
    kernel.close()
