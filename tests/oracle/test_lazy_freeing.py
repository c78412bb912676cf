"""What INFO counts as freed in the background, compared with a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oracle.wire import Connection
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from oracle.server import RedisServer
    from trignb import Engine

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]

Command = tuple[Any, ...]

LONG = "x" * 70
FREED: list[tuple[str, Callable[[int], list[Command]]]] = [
    (
        "hash",
        lambda n: [("HSET", "k", *[w for i in range(n) for w in (i, LONG)])],
    ),
    ("hash in a listpack", lambda n: [("HSET", "k", *range(2 * n))]),
    ("set", lambda n: [("SADD", "k", LONG, *range(n - 1))]),
    ("set of integers", lambda n: [("SADD", "k", *range(n))]),
    ("sorted set", lambda n: [("ZADD", "k", 0, LONG, *range(2 * n - 2))]),
    ("list", lambda n: [("RPUSH", "k", *["x" * 8000] * n)]),
    ("list in a listpack", lambda n: [("RPUSH", "k", *["x"] * n)]),
    ("string", lambda n: [("SET", "k", "x" * 1000 * n)]),
    ("stream of single entries", lambda n: _entries(n, per_node=1)),
    ("stream of far ids", lambda n: _entries(n, per_node=1, step=1 << 33)),
    ("stream", lambda n: _entries(n, per_node=100)),
    ("pending entries", lambda n: [*_entries(n, per_node=100), *_read("g")]),
    (
        "pending entries of the second group",
        lambda n: [
            *_entries(n, per_node=100),
            ("XGROUP", "CREATE", "k", "a", "0"),
            *_read("g"),
        ],
    ),
    (
        "groups",
        lambda n: [
            *_entries(1, per_node=100),
            *[("XGROUP", "CREATE", "k", f"g{i}", "0") for i in range(n)],
        ],
    ),
]


def _entries(n: int, *, per_node: int, step: int = 1) -> list[Command]:
    limit = ("CONFIG", "SET", "stream-node-max-entries", per_node)
    adds = [("XADD", "k", f"{(i + 1) * step}-1", "f", "v") for i in range(n)]
    return [limit, *adds, ("CONFIG", "SET", "stream-node-max-entries", 100)]


def _read(group: str) -> list[Command]:
    return [
        ("XGROUP", "CREATE", "k", group, "0"),
        ("XREADGROUP", "GROUP", group, "c", "STREAMS", "k", ">"),
    ]


def _freed(execute: Callable[..., Any], commands: list[Command]) -> int:
    """Return how many values were freed in the background, once all of them are."""
    execute("FLUSHALL", "SYNC")
    execute("CONFIG", "RESETSTAT")
    for command in commands:
        reply = execute(*command)
        assert not isinstance(reply, ResponseError), (command, reply)
    while True:
        info = execute("INFO", "memory").decode()
        numbers = dict(
            line.split(":") for line in info.splitlines() if line.startswith("lazyfree")
        )
        if numbers["lazyfree_pending_objects"] == "0":
            return int(numbers["lazyfreed_objects"])


@pytest.fixture
def connection(oracle: RedisServer) -> Connection:
    return oracle.connect()


def both(
    engine: Engine, connection: Connection, commands: list[Command]
) -> tuple[int, int]:
    return (
        _freed(engine.execute, commands),
        _freed(connection.execute, commands),
    )


@pytest.mark.parametrize(
    ("make", "n"),
    [
        pytest.param(make, n, id=f"{name}, {n}")
        for name, make in FREED
        for n in (20, 32, 33, 34, 61, 62, 63, 64, 65, 66, 600)
    ],
)
def test_unlinked_values(
    make: Callable[[int], list[Command]],
    n: int,
    engine: Engine,
    connection: Connection,
    counts: Counter[str],
) -> None:
    ours, theirs = both(engine, connection, [*make(n), ("UNLINK", "k")])
    assert ours == theirs
    counts["values unlinked, all counted alike"] += 1


HASH = FREED[0][1](100)
WAYS: list[tuple[str, list[Command]]] = [
    ("lazyfree-lazy-user-del", [("DEL", "k")]),
    ("lazyfree-lazy-user-flush", [("SET", "a", 1), ("FLUSHALL",)]),
    ("lazyfree-lazy-user-flush", [("SET", "a", 1), ("FLUSHDB", "SYNC")]),
    ("lazyfree-lazy-user-flush", [("SET", "a", 1), ("FLUSHDB", "ASYNC")]),
    ("lazyfree-lazy-server-del", [("SET", "k", 1)]),
    ("lazyfree-lazy-server-del", [("SET", "q", 1), ("RENAME", "q", "k")]),
    ("lazyfree-lazy-server-del", [("SET", "q", 1), ("COPY", "q", "k", "REPLACE")]),
    ("lazyfree-lazy-server-del", [("SUNIONSTORE", "k", "none")]),
    ("lazyfree-lazy-server-del", [("SORT", "none", "STORE", "k")]),
    ("lazyfree-lazy-server-del", [("BITOP", "NOT", "k", "none")]),
    ("lazyfree-lazy-server-del", [("HDEL", "k", *range(100))]),
    ("lazyfree-lazy-expire", [("EXPIRE", "k", -1)]),
]


@pytest.mark.parametrize("is_lazy", ["yes", "no"])
@pytest.mark.parametrize(
    ("parameter", "commands"), WAYS, ids=[commands[-1][0] for _, commands in WAYS]
)
def test_values_deleted_in_other_ways(
    parameter: str,
    commands: list[Command],
    is_lazy: str,
    engine: Engine,
    connection: Connection,
    counts: Counter[str],
) -> None:
    lazily = [
        ("CONFIG", "SET", parameter, is_lazy),
        *HASH,
        *commands,
        ("CONFIG", "SET", parameter, "no"),
    ]
    ours, theirs = both(engine, connection, lazily)
    assert ours == theirs
    counts["values unlinked, all counted alike"] += 1
