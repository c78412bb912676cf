"""Rows of `make bench` about replicas: what a full sync costs the other clients, and what a write costs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import trignb
from bench.measuring import Contender, Result, at_most, race, us
from oracle.server import RedisServer
from oracle.wire import Connection

__all__ = ["BENCHES"]

KEYS = 1_000_000


def bench_full_sync(server: RedisServer | None) -> list[Result]:
    """How long a full sync of a million keys stops another client."""
    if server is None:
        return []
    results = []
    for name, value in (("strings", None), ("hashes", ("field", "value"))):
        with trignb.Engine(repl_diskless_sync_delay=0) as engine:
            fill(engine, value)
            longest_ms, seconds = sync(engine, server)
        what = f"longest wait of another client: full sync of {KEYS:,} {name}"
        shown = f"{longest_ms:.0f} ms"
        result = at_most(what, longest_ms, 200, ours=shown, unit="ms")
        results.append(result)
        all_there = f"{seconds:.1f} s"
        what = "… until the replica has all of it"
        results.append(Result(what, all_there, "", "", "", None))
    return results


def fill(engine: trignb.Engine, value: tuple[str, str] | None) -> None:
    """Make a million keys."""
    for i in range(KEYS):
        if value is None:
            engine.execute("SET", f"key:{i:07}", f"value:{i:07}")
        else:
            engine.execute("HSET", f"key:{i:07}", *value)


def sync(engine: trignb.Engine, server: RedisServer) -> tuple[float, float]:
    """Have a redis-server become a replica; returns the longest wait in ms, and seconds."""
    replica = server.connect()
    with engine.serve() as ours, looking(engine, ours.port) as waits:
        began = time.perf_counter()
        replica.execute("REPLICAOF", "127.0.0.1", ours.port)
        while b"master_link_status:up" not in replica.execute("INFO", "replication"):
            engine.execute("SET", "written:meanwhile", "x")
            time.sleep(0.01)
        engine.execute("WAIT", 1, 60_000)
        seconds = time.perf_counter() - began
        time.sleep(0.2)
    replica.execute("REPLICAOF", "NO", "ONE")
    replica.execute("FLUSHALL")
    return max(waits) * 1000, seconds


@contextlib.contextmanager
def looking(engine: trignb.Engine, port: int) -> Iterator[list[float]]:
    """Measure how long a look at a key takes, on a thread and over a socket."""
    client = Connection(port)
    waits: list[float] = []
    done = threading.Event()

    def look(ask: Callable[..., object]) -> None:
        while not done.is_set():
            began = time.perf_counter()
            ask("TYPE", "key:0000001")
            waits.append(time.perf_counter() - began)
            time.sleep(0.001)

    threads = [
        threading.Thread(target=look, args=(ask,))
        for ask in (engine.execute, client.execute)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    waits.clear()
    try:
        yield waits
    finally:
        done.set()
        for thread in threads:
            thread.join()
        client.close()


def bench_writes(server: RedisServer | None) -> list[Result]:
    """What a SET costs with replicas, beside one without."""
    results = []
    alone = trignb.Engine()
    with trignb.Engine() as engine, engine.replica():
        results.append(compare("SET with a replica in this process", engine, alone))
    if server is not None:
        replica = server.connect()
        with (
            trignb.Engine(repl_diskless_sync_delay=0) as engine,
            engine.serve() as ours,
        ):
            replica.execute("REPLICAOF", "127.0.0.1", ours.port)
            while not engine.execute("WAIT", 1, 100):
                pass
            results.append(compare("SET with a redis-server behind", engine, alone))
            replica.execute("REPLICAOF", "NO", "ONE")
    alone.close()
    return results


def compare(what: str, engine: trignb.Engine, alone: trignb.Engine) -> Result:
    """Return a row: how many times as long a SET takes."""
    mine, other = race(
        Contender(lambda: engine.execute("SET", "key", "value"), 2000),
        Contender(lambda: alone.execute("SET", "key", "value"), 2000),
    )
    return Result(what, us(mine), us(other), f"{mine / other:.1f} ×", "", None)


BENCHES = (bench_writes, bench_full_sync)
