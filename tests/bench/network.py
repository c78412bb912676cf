"""Rows about the server: the same redis-benchmark command lines for it, redis-server and fakeredis's server."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from bench.measuring import Result
from oracle.server import RedisServer

COMMANDS = ("set", "get", "incr", "lpush", "hset")
ROUNDS = 3

# What the others do in seconds would take fakeredis's server minutes.
REQUESTS, FEW_REQUESTS = 30_000, 2_000
# It loses a reply now and then, and redis-benchmark waits for it for ever.
PATIENCE_S = 20

# Options of redis-benchmark, and which part of redis-server's throughput is asked for.
PIPELINED = (("-P", "16", "-c", "50"), 1 / 4)
PLAIN = (("-c", "50"), 1 / 3)

# When append-only files are put on disk.
KEPT = ("everysec", "always")

_FAKE_SERVER = """
import fakeredis
server = fakeredis.TcpFakeServer(("127.0.0.1", 0))
print("on port", server.server_address[1], flush=True)
server.serve_forever()
"""
_TRIGNB = ("-m", "trignb", "serve", "--port", "0")


class Measured(NamedTuple):
    """Requests per second, and the 99th percentile of latencies in ms."""

    rate: float
    p99_ms: float

    def better(self, other: Measured) -> Measured:
        """Return the best of both."""
        return Measured(max(self.rate, other.rate), min(self.p99_ms, other.p99_ms))


Measurements = dict[str, Measured]


def bench_server(server: RedisServer | None) -> list[Result]:
    """The server, driven by redis-benchmark."""
    if shutil.which("redis-benchmark") is None:
        return []
    results = []
    with _started("-c", _FAKE_SERVER) as fake, _started(*_TRIGNB) as ours:
        for options, part in (PIPELINED, PLAIN):
            name = " ".join(options)
            mine, theirs = best_of_rounds([ours, fake], options, FEW_REQUESTS)
            # Without pipelines redis-server itself is not ten times as fast.
            target = 10 if options == PIPELINED[0] else None
            results += [
                _times(f"{command}, {name}", mine[command], theirs[command], target)
                for command in mine
                if command in theirs
            ]
            if server is None:
                continue
            mine, redis = best_of_rounds([ours, server.port], options, REQUESTS)
            for command in mine:
                what = f"{command}, {name}"
                results.append(_part(what, mine[command], redis[command], part))
                if options == PLAIN[0]:
                    results.append(_latency(what, mine[command], redis[command]))
    return results


def bench_append_only(_server: RedisServer | None) -> list[Result]:
    """What an append-only file costs the server, by redis-benchmark."""
    if shutil.which("redis-benchmark") is None:
        return []
    results = []
    with contextlib.ExitStack() as started:
        ports = [started.enter_context(_started(*_TRIGNB))]
        for policy in KEPT:
            directory = started.enter_context(tempfile.TemporaryDirectory())
            kept_by = ("--appendonly", "yes", "--appendfsync", policy)
            server = _started(*_TRIGNB, "--dir", directory, *kept_by)
            ports.append(started.enter_context(server))
        for options, target in ((PLAIN[0], 3 / 4), (PIPELINED[0], None)):
            without, *kept = best_of_rounds(ports, options, REQUESTS)
            for policy, found in zip(KEPT, kept, strict=True):
                wanted = target if policy == "everysec" else None
                results += [
                    _kept(
                        f"{command}, {' '.join(options)}", policy, mine, other, wanted
                    )
                    for command, mine, other in _pairs(found, without)
                ]
    return results


def _pairs(
    found: Measurements, others: Measurements
) -> Iterator[tuple[str, Measured, Measured]]:
    return ((name, found[name], others[name]) for name in found if name in others)


def best_of_rounds(
    ports: list[int], options: tuple[str, ...], requests: int
) -> list[Measurements]:
    """Drive servers in turn; returns the best of each, by command."""
    best: list[Measurements] = [{} for _ in ports]
    for _ in range(ROUNDS):
        for found, port in zip(best, ports, strict=True):
            for name, measured in _drive(port, options, requests).items():
                found[name] = measured.better(found.get(name, measured))
    return best


def _drive(port: int, options: tuple[str, ...], requests: int) -> Measurements:
    """Return what redis-benchmark measures, nothing if it does not come to an end."""
    try:
        done = subprocess.run(
            [
                *("redis-benchmark", "-p", str(port), "-n", str(requests), "--csv"),
                *("-t", ",".join(COMMANDS), *options),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        return {}
    return {
        row["test"]: Measured(float(row["rps"]), float(row["p99_latency_ms"]))
        for row in csv.DictReader(io.StringIO(done.stdout))
    }


@contextlib.contextmanager
def _started(*args: str) -> Iterator[int]:
    """Run a server in a process of its own; gives its port."""
    process = subprocess.Popen(
        [sys.executable, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    port = None
    while port is None:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("a server did not start")
        port = re.search(r"(?:on port |127\.0\.0\.1:)(\d+)", line)
    try:
        yield int(port[1])
    finally:
        process.terminate()
        process.communicate()


# -- lines of the table


def _rate(measured: Measured) -> str:
    return f"{measured.rate:,.0f}/s"


def _times(what: str, mine: Measured, fake: Measured, target: int | None) -> Result:
    ratio = mine.rate / fake.rate
    return Result(
        f"{what}: against TcpFakeServer",
        _rate(mine),
        _rate(fake),
        f"{ratio:.1f} ×",
        f"≥ {target} ×" if target else "",
        ratio >= target if target else None,
    )


def _part(what: str, mine: Measured, redis: Measured, part: float) -> Result:
    ratio = mine.rate / redis.rate
    return Result(
        f"{what}: against redis-server",
        _rate(mine),
        _rate(redis),
        f"{ratio:.2f} ×",
        f"≥ {part:.2f} ×",
        ratio >= part,
    )


def _kept(
    what: str, policy: str, mine: Measured, without: Measured, target: float | None
) -> Result:
    ratio = mine.rate / without.rate
    return Result(
        f"{what}: append-only file ({policy}) against none",
        _rate(mine),
        _rate(without),
        f"{ratio:.2f} ×",
        f"≥ {target:.2f} ×" if target else "",
        ratio >= target if target else None,
    )


def _latency(what: str, mine: Measured, redis: Measured) -> Result:
    ratio = mine.p99_ms / redis.p99_ms
    return Result(
        f"{what}: p99 against redis-server",
        f"{mine.p99_ms:.2f} ms",
        f"{redis.p99_ms:.2f} ms",
        f"{ratio:.1f} ×",
        "≤ 5 ×",
        ratio <= 5,
    )
