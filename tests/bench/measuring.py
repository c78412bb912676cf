"""What every row of `make bench` is made of: contenders that race, and a line of the table."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPEATS = 15

Operation = Callable[[], object]


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    what: str
    ours: str
    peer: str
    outcome: str
    target: str
    reached: bool | None


@dataclass(frozen=True)
class Contender:
    """Something to time: an operation, and how often one repeat runs it."""

    run: Operation
    times: int


def per_call_us(contender: Contender) -> float:
    """Time one repeat; returns µs per call."""
    run = contender.run
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for _ in range(contender.times):
            run()
        return (time.perf_counter_ns() - start) / contender.times / 1000
    finally:
        gc.enable()


def race(*contenders: Contender) -> list[float]:
    """Time contenders in turn, several times; returns the best of each in µs."""
    for contender in contenders:
        contender.run()
    rounds = [[per_call_us(c) for c in contenders] for _ in range(REPEATS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def us(value: float) -> str:
    """Write a time."""
    return f"{value:.2f} µs" if value < 100 else f"{value:.0f} µs"


def at_least(what: str, ours: float, peer: float, target: float) -> Result:
    """Build a line about how many times faster than a peer."""
    ratio = peer / ours
    return Result(
        what, us(ours), us(peer), f"{ratio:.0f} ×", f"≥ {target:.0f} ×", ratio >= target
    )


def at_most(
    what: str,
    value: float,
    target: float,
    *,
    ours: str,
    peer: str = "",
    unit: str = "µs",
) -> Result:
    """Build a line about an amount."""
    outcome = f"{value:.2f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return Result(what, ours, peer, outcome, f"≤ {target:.0f} {unit}", value <= target)


# -- measurements that need a process of their own


def run_child(name: str) -> float:
    """Run one of the bench's children in a fresh interpreter."""
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("bench.py")), name],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(result.stdout))


def resident_bytes() -> int:
    """Return the memory this process holds."""
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
