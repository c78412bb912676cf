"""What a process tells its surroundings."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from trignb.server.process import Signals, notify_supervisor, pid_file


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        supervisor.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify_supervisor()
        assert supervisor.recv(100) == b"READY=1\n"
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify_supervisor()


def test_a_pid_file_is_there_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "trignb.pid"
    with pid_file(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()
    with pid_file(""):
        assert not list(tmp_path.iterdir())


@pytest.fixture
def handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_request_to_end_is_made_once_until_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[signal.Signals] = []
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    signals = Signals(asked.append)
    for _ in range(2):
        signal.raise_signal(signal.SIGTERM)
    assert asked == [signal.SIGTERM]
    assert left == []
    signals.pending = None
    signal.raise_signal(signal.SIGINT)
    assert asked == [signal.SIGTERM, signal.SIGINT]
    # Who insists is not kept waiting.
    signal.raise_signal(signal.SIGINT)
    assert left == [1]
