"""The oracle: one redis-server for the session, and what the table tests count."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from oracle.runners import OracleRunner
from oracle.server import RedisServer, find_redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

MISSING = "redis-server is not installed: nothing here was compared with a real Redis"

COUNTS = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the counts of this run."""
    config.stash[COUNTS] = Counter()


@pytest.fixture(scope="session")
def counts(request: pytest.FixtureRequest) -> Counter[str]:
    """What the table tests did; shown in the terminal summary."""
    return request.config.stash[COUNTS]


@pytest.fixture(scope="session")
def oracle() -> Iterator[RedisServer]:
    """A redis-server; without one the test is skipped, or failed where CI is set."""
    if find_redis_server() is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def oracle_runner(oracle: RedisServer) -> OracleRunner:
    """The oracle with its subscriber and its replica link."""
    return OracleRunner(oracle)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how much was compared, and what was not and why."""
    counts = config.stash[COUNTS]
    if counts:
        terminalreporter.section("compared with Redis")
        for line, number in sorted(counts.items()):
            terminalreporter.write_line(f"{number:6}  {line}")
    if find_redis_server() is None:
        terminalreporter.write_line(f"WARNING: {MISSING}", yellow=True, bold=True)
