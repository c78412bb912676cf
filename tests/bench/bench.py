"""`make bench`: how fast the engine is beside its peers, on this machine, in this run.

Absolute times say little on a machine that others use too; ratios to a peer measured in the
same minutes say much. Every measurement is repeated, ours and the peer's in turn, and the
best of each is taken. Nothing fails here and nothing is written. Rows of libraries are in
`libraries.py`, those of the server in `network.py`, those of DataFrames in `frames.py`,
those of live views in `views.py`.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# A script has its own directory on its path, and needs the one above.
sys.path.insert(0, str(Path(__file__).parents[1]))

import fakeredis
import redis
from rich.console import Console
from rich.table import Table

import trignb
from bench import frames, libraries, network, replication, views
from bench.measuring import (
    Contender,
    Operation,
    Result,
    at_least,
    at_most,
    race,
    resident_bytes,
    run_child,
    us,
)
from oracle.references import find_reference
from oracle.server import ORACLE, RedisServer

MEMORY_KEYS = 1_000_000

# -- what is measured


def bench_commands(server: RedisServer | None) -> list[Result]:
    """SET, GET and HSET against fakeredis, and redis-py on a redis-server."""
    engine = trignb.Engine()
    peers: dict[str, Any] = {"fakeredis": fakeredis.FakeRedis()}
    if server is not None:
        peers["redis-py, redis-server"] = redis.Redis(port=server.port)
    execute = engine.execute
    ours: dict[str, Operation] = {
        "SET": lambda: execute("SET", "key:1", "value"),
        "GET": lambda: execute("GET", "key:1"),
        "HSET": lambda: execute("HSET", "hash:1", "field", "value"),
    }
    results = []
    for name, peer in peers.items():
        theirs = redis_py_operations(peer)
        for command in ("SET", "GET", "HSET"):
            mine, other = race(
                Contender(ours[command], 20_000), Contender(theirs[command], 500)
            )
            results.append(at_least(f"{command} against {name}", mine, other, 40))
    engine.close()
    return results


def redis_py_operations(client: Any) -> dict[str, Operation]:
    """Return what users of redis-py call."""
    return {
        "SET": lambda: client.set("key:1", "value"),
        "GET": lambda: client.get("key:1"),
        "HSET": lambda: client.hset("hash:1", "field", "value"),
    }


# Every type's hot commands; each pair or triple leaves the keyspace as it found it.
HOT: dict[str, list[tuple[str, ...]]] = {
    "INCR": [("INCR", "n")],
    "HGET": [("HGET", "h", "f")],
    "LPUSH, LPOP": [("LPUSH", "l", "x"), ("LPOP", "l")],
    "LRANGE of 10": [("LRANGE", "l10", "0", "-1")],
    "SADD, SREM": [("SADD", "s", "x"), ("SREM", "s", "x")],
    "SISMEMBER": [("SISMEMBER", "s10", "m5")],
    "ZADD, ZREM": [("ZADD", "z", "1", "x"), ("ZREM", "z", "x")],
    "ZSCORE": [("ZSCORE", "z10", "m5")],
    "ZRANK": [("ZRANK", "z10", "m5")],
    "ZRANGE of 10": [("ZRANGE", "z10", "0", "-1")],
    "XADD": [("XADD", "x", "MAXLEN", "~", "1000", "*", "f", "v")],
    "XRANGE of 10": [("XRANGE", "x10", "-", "+")],
    "SETBIT": [("SETBIT", "bits", "77", "1")],
    "PFADD": [("PFADD", "hll", "m5")],
    "EXPIRE": [("EXPIRE", "n", "1000")],
    "SET, DEL": [("SET", "k", "v"), ("DEL", "k")],
    "GEOSEARCH of 10": [
        ("GEOSEARCH", "g10", "FROMLONLAT", "13", "52", "BYRADIUS", "900", "km")
    ],
    "EVAL of one call": [("EVAL", "return redis.call('get', KEYS[1])", "1", "n")],
}


def fill_hot(execute: Callable[..., Any]) -> None:
    """Make the keys that the hot commands look at."""
    execute("SET", "n", "1")
    execute("HSET", "h", "f", "v")
    for i in range(10):
        execute("RPUSH", "l10", f"m{i}")
        execute("SADD", "s10", f"m{i}")
        execute("ZADD", "z10", str(i), f"m{i}")
        execute("XADD", "x10", "*", "f", "v")
        execute("PFADD", "hll", f"m{i}")
        execute("GEOADD", "g10", str(13 + i / 10), "52", f"m{i}")


def bench_types(server: RedisServer | None) -> list[Result]:
    """Every type's hot commands against redis-py on a redis-server."""
    if server is None:
        return []
    engine, peer = trignb.Engine(), redis.Redis(port=server.port)
    peer.flushall()
    fill_hot(engine.execute)
    fill_hot(peer.execute_command)
    results = []
    for name, calls in HOT.items():
        mine, other = race(
            Contender(repeated(engine.execute, calls), 2_000),
            Contender(repeated(peer.execute_command, calls), 100),
        )
        n = len(calls)
        results.append(at_least(name, mine / n, other / n, 20))
    engine.close()
    return results


def repeated(execute: Callable[..., Any], calls: list[tuple[str, ...]]) -> Operation:
    """Return an operation that makes these calls."""

    def run() -> None:
        for call in calls:
            execute(*call)

    return run


# What should cost at most twice as much at a million elements as at a thousand.
GROWING: dict[str, tuple[str, list[tuple[str, ...]]]] = {
    "LPUSH, LPOP": ("RPUSH", [("LPUSH", "big", "x"), ("LPOP", "big")]),
    "SADD, SPOP": (
        "SADD",
        [("SADD", "big", "x"), ("SPOP", "big"), ("SADD", "big", "y")],
    ),
    "ZADD, ZREM": ("ZADD", [("ZADD", "big", "500.5", "x"), ("ZREM", "big", "x")]),
    "ZRANK": ("ZADD", [("ZRANK", "big", "m500")]),
    "ZRANGE of 10": ("ZADD", [("ZRANGE", "big", "490", "499")]),
    "XADD": ("XADD", [("XADD", "big", "*", "f", "v")]),
}


def bench_growth(_server: RedisServer | None) -> list[Result]:
    """The same command on a thousand and on a million elements."""
    results = []
    for name, (filler, calls) in GROWING.items():
        engines = [trignb.Engine(), trignb.Engine()]
        for engine, size in zip(engines, (1_000, 1_000_000), strict=True):
            fill_big(engine, filler, size)
        few, many = race(*(Contender(repeated(e.execute, calls), 500) for e in engines))
        ratio = many / few
        results.append(
            Result(
                f"{name} at 1e6 elements, to 1e3",
                us(many),
                us(few),
                f"{ratio:.2f} ×",
                "≤ 2 ×",
                ratio <= 2,
            )
        )
        for engine in engines:
            engine.close()
    return results


def fill_big(engine: trignb.Engine, command: str, size: int) -> None:
    """Fill the key ``big``, a thousand elements a command."""
    if command == "XADD":
        for _ in range(size):
            engine.execute("XADD", "big", "*", "f", "v")
        return
    for start in range(0, size, 1_000):
        block = range(start, start + 1_000)
        if command == "ZADD":
            words = [word for i in block for word in (str(i), f"m{i}")]
        else:
            words = [f"m{i}" for i in block]
        engine.execute(command, "big", *words)


def bench_memory(_server: RedisServer | None) -> list[Result]:
    """What a small key costs beyond its own bytes."""
    over = run_child("memory")
    what = f"{MEMORY_KEYS:,} small string keys, each above its bytes"
    return [at_most(what, over, 250, ours=f"{over:.0f} B", unit="B")]


# One key with very many elements, or very many keys, per type: how element number i is added.
ELEMENTS: dict[str, Callable[[int], tuple[str, ...]]] = {
    "string": lambda i: ("SET", f"key:{i:08}", f"value:{i:08}"),
    "list": lambda i: ("RPUSH", "big", f"element:{i:08}"),
    "set": lambda i: ("SADD", "big", f"member:{i:08}"),
    "hash": lambda i: ("HSET", "big", f"field:{i:08}", f"value:{i:08}"),
    "sorted set": lambda i: ("ZADD", "big", str(i), f"member:{i:08}"),
    "stream": lambda i: ("XADD", "big", f"{i + 1}-0", "field", f"value:{i:08}"),
}
ELEMENT_COUNT = 200_000
PAUSE_COUNT = 1_000_000


def bench_element_memory(server: RedisServer | None) -> list[Result]:
    """Memory per element, beside redis-server's."""
    if server is None:
        return []
    results = []
    for name, element in ELEMENTS.items():
        ours = run_child(f"elements of a {name}")
        theirs = server_bytes_per_element(server, element)
        results.append(
            Result(
                f"memory per element of a {name}",
                f"{ours:.0f} B",
                f"{theirs:.0f} B",
                f"{ours / theirs:.1f} times",
                "",
                None,
            )
        )
    return results


def server_bytes_per_element(
    server: RedisServer, element: Callable[[int], tuple[str, ...]]
) -> float:
    """Return what redis-server's used memory grows by."""
    with redis.Redis(port=server.port) as client:
        client.flushall()
        before = client.info("memory")["used_memory"]
        pipeline = client.pipeline(transaction=False)
        for i in range(ELEMENT_COUNT):
            pipeline.execute_command(*element(i))
            if i % 10_000 == 0:
                pipeline.execute()
        pipeline.execute()
        grown = client.info("memory")["used_memory"] - before
        client.flushall()
        return float(grown) / ELEMENT_COUNT


def child_elements(name: str) -> float:
    """Return our resident bytes per element."""
    element = ELEMENTS[name]
    with trignb.Engine() as engine:
        for i in range(1000):
            engine.execute(*element(i))
        gc.collect()
        before = resident_bytes()
        for i in range(1000, 1000 + ELEMENT_COUNT):
            engine.execute(*element(i))
        gc.collect()
        return (resident_bytes() - before) / ELEMENT_COUNT


def bench_pauses(_server: RedisServer | None) -> list[Result]:
    """How long DEL and FLUSHALL of a million stop another client."""
    results = []
    for name, element in ELEMENTS.items():
        with trignb.Engine() as engine:
            for i in range(PAUSE_COUNT):
                engine.execute(*element(i))
            command = ("FLUSHALL",) if name == "string" else ("DEL", "big")
            longest_ms = longest_wait_ms(engine, command)
        what = f"longest wait of another client: {command[0]} of a {name} of 1,000,000"
        shown = f"{longest_ms:.1f} ms"
        results.append(at_most(what, longest_ms, 100, ours=shown, unit="ms"))
    return results


def longest_wait_ms(engine: trignb.Engine, command: tuple[str, ...]) -> float:
    """Return the longest time a GET of another thread takes while the command runs."""
    waits: list[float] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            began = time.perf_counter()
            engine.execute("GET", "k")
            waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(0.1)
    waits.clear()
    engine.execute(*command)
    time.sleep(0.5)
    done.set()
    thread.join()
    return max(waits) * 1000


# -- measurements that need a process of their own


def child_memory() -> float:
    """Return bytes per key above key and value."""
    engine = trignb.Engine()
    engine.execute("SET", "key:0000000", "value:0000000")
    before, raw = resident_bytes(), 0
    for i in range(MEMORY_KEYS):
        key, value = f"key:{i:07}", f"value:{i:07}"
        engine.execute("SET", key, value)
        raw += len(key) + len(value)
    gc.collect()
    grown = resident_bytes() - before
    engine.close()
    return (grown - raw) / MEMORY_KEYS


CHILDREN: dict[str, Callable[[], float]] = {
    "memory": child_memory,
    **libraries.CHILDREN,
    **frames.CHILDREN,
    **{f"elements of a {name}": partial(child_elements, name) for name in ELEMENTS},
}


# -- the table


def show(console: Console, results: list[Result]) -> None:
    """Print the table."""
    table = Table(title="trignb beside its peers, best of each")
    for name in ("what", "ours", "peer", "outcome", "target", "reached"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for result in results:
        table.add_row(
            result.what,
            result.ours,
            result.peer,
            result.outcome,
            result.target,
            {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[result.reached],
        )
    console.print(table)


BENCHES = (
    bench_commands,
    bench_types,
    bench_growth,
    network.bench_server,
    network.bench_append_only,
    *libraries.BENCHES,
    *frames.BENCHES,
    *views.BENCHES,
    bench_memory,
    bench_element_memory,
    bench_pauses,
    *replication.BENCHES,
)


def main() -> None:
    """Measure everything and print the table."""
    console = Console()
    server = RedisServer() if find_reference(ORACLE) else None
    if server is None:
        console.print("[yellow]no redis-server: what needs it is left out[/]")
    results = []
    try:
        for bench in BENCHES:
            console.print(f"[dim]{bench.__doc__}[/]")
            results += bench(server)
    finally:
        if server is not None:
            server.close()
    show(console, results)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(CHILDREN[sys.argv[1]]()))
    else:
        main()
