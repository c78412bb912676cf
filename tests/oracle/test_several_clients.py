"""Clients that block, and that are paused: what each hears, and what INFO and SLOWLOG tell of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle.server import RedisServer, require_server
from oracle.several import play, sessions
from trignb import Engine

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]

FOLDER = Path(__file__).parent / "sessions"
SESSIONS = [
    pytest.param(text, id=f"{path.stem}: {name}")
    for path in sorted(FOLDER.glob("*.txt"))
    for name, text in sessions(path)
]


@pytest.fixture(scope="module")
def alone() -> Iterator[RedisServer]:
    """A server without the clients of other tests, which INFO would count."""
    require_server()
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with Engine() as engine:
        yield engine.serve().port


@pytest.mark.parametrize("text", SESSIONS)
def test_sessions_of_several_clients(
    text: str, port: int, alone: RedisServer, counts: Counter[str]
) -> None:
    assert play(text, alone.port, port) == []
    counts["sessions of several clients, all agree"] += 1
