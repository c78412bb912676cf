"""What several clients hear of users, tracking, channels and transactions is what they hear of Redis."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oracle.dialogue import Side, dialogues, differences
from oracle.server import RedisServer, require_server
from oracle.wire import Connection
from trignb import Engine

if TYPE_CHECKING:
    from collections import Counter

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]

FOLDER = Path(__file__).parent / "dialogues"
ALL = {
    f"{path.stem}: {title}": lines
    for path in sorted(FOLDER.glob("*.txt"))
    for title, lines in dialogues(path.read_text("utf-8"))
}


@pytest.mark.parametrize("title", ALL)
def test_clients_hear_the_same(title: str, counts: Counter[str]) -> None:
    require_server("redis72")
    lines = ALL[title]
    # Both are new: what is counted since the start is compared as well.
    with RedisServer("redis72") as server, Engine(enable_debug_command="yes") as engine:
        theirs, ours = Side(server.port), Side(engine.serve().port)
        for port in (theirs.port, ours.port):
            # Keys expire when they are asked for, not a moment earlier or later.
            with contextlib.closing(Connection(port)) as connection:
                connection.execute("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        try:
            found = differences(theirs, ours, lines)
        finally:
            theirs.close()
            ours.close()
    assert not found, "\n".join(found)
    counts["lines of dialogues, each client hears the same"] += len(lines)
