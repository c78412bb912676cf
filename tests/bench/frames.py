"""Rows of `make bench` about DataFrames: a million events, a million keys, many rows written.

Each runs in a process of its own: a million of anything would be in the way of the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pandas as pd

import trignb
from bench.measuring import Result, at_most, run_child
from oracle.server import RedisServer

MILLION = 1_000_000
ROWS = 100_000

TRIGGER = """#!js api_version=1.0 name=bench
redis.registerKeySpaceTrigger('t', 'fired:', () => {});"""


def bench_frames(_server: RedisServer | None) -> list[Result]:
    """A million events and keys as DataFrames, and a DataFrame as hashes."""
    events, keys = run_child("events as a frame"), run_child("keys as a frame")
    row_us = run_child("rows as hashes")
    return [
        at_most(
            "1,000,000 events as a DataFrame",
            events,
            2,
            ours=f"{events:.2f} s",
            unit="s",
        ),
        at_most(
            "1,000,000 keys as a DataFrame, with memory",
            keys,
            4,
            ours=f"{keys:.2f} s",
            unit="s",
        ),
        at_most(
            "a row of a DataFrame as a hash of three fields",
            row_us,
            20,
            ours=f"{row_us:.1f} µs",
        ),
    ]


def best_of_three_s(run: Callable[[], object]) -> float:
    """Return the shortest of three times."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def child_events() -> float:
    """Return the seconds for a full log of which every hundredth event fired a trigger."""
    with trignb.Engine(log_size=MILLION) as engine:
        engine.load(TRIGGER)
        for i in range(MILLION // 2):
            engine.execute("HSET", f"{'plain' if i % 50 else 'fired'}:{i}", "f", "v")
        assert len(engine.core.notifications.records) == MILLION
        return best_of_three_s(engine.notifications)


def child_keys() -> float:
    """Return the seconds for a million strings."""
    with trignb.Engine() as engine:
        for i in range(MILLION):
            engine.execute("SET", f"key:{i}", f"value:{i}")
        return best_of_three_s(engine.keys_frame)


def child_rows() -> float:
    """Return the microseconds for one row of text, integer and float."""
    names = [f"name {i}" for i in range(ROWS)]
    frame = pd.DataFrame({"name": names, "age": range(ROWS)}).assign(
        height=lambda table: table["age"] / 7
    )
    with trignb.Engine() as engine:
        return best_of_three_s(lambda: engine.hset_frame(frame)) / ROWS * 1e6


CHILDREN: dict[str, Callable[[], float]] = {
    "events as a frame": child_events,
    "keys as a frame": child_keys,
    "rows as hashes": child_rows,
}
BENCHES = (bench_frames,)
