"""Scripts that both sides run: the cases of ``tests/data/lua_cases.txt``, in both protocols."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import trignb
from oracle.wire import Connection
from trignb.reply import NullArray, Status, to_resp2

if TYPE_CHECKING:
    from oracle.server import RedisServer

pytestmark = pytest.mark.oracle

CASES = (
    (Path(__file__).parents[1] / "data" / "lua_cases.txt")
    .read_text("utf-8")
    .rstrip("\n")
    .split("\n%%\n")
)


def plain(value: Any) -> Any:
    """Return a reply in a form both sides share."""
    if isinstance(value, Exception):
        return ("error", str(value))
    if isinstance(value, NullArray):
        return None
    if isinstance(value, Status):
        return ("status", str(value))
    if isinstance(value, (set, frozenset)):
        return ("set", sorted(map(repr, map(plain, value))))
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def ours(session: trignb.Session, *args: Any) -> Any:
    try:
        reply = session.execute(*args)
    except trignb.ResponseError as error:
        return plain(error)
    return plain(to_resp2(reply) if session.resp == 2 else reply)


@pytest.mark.parametrize("resp", [2, 3])
def test_scripts(oracle: RedisServer, engine: trignb.Engine, resp: int) -> None:
    session = engine.session(resp=resp)
    connection = Connection(oracle.port, resp)
    connection.execute("FLUSHALL")
    different = []
    for case in CASES:
        call = ("EVAL", case, "2", "k1", "k2", "a1", "a2")
        theirs, mine = plain(connection.execute(*call)), ours(session, *call)
        if theirs != mine:
            different.append((case, theirs, mine))
    connection.close()
    assert not different
    assert len(CASES) > 80
