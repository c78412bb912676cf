"""Fixtures of all tests: an engine whose clock stands still, and a real Redis beside it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import trignb
from node import MISSING as NPM_MISSING
from node import find_npm, install, require_npm
from oracle.references import find_reference
from oracle.runners import OracleRunner
from oracle.server import ORACLE, RedisServer, missing, require_server

pytest_plugins = ["pytester"]

# The same examples in every run: a test that fails does so for everybody.
settings.register_profile("trignb", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("TRIGNB_HYPOTHESIS", "trignb"))

# A shell that starts us in the background has SIGINT ignored, and Python then leaves it so;
# the tests of Control-C would wait for an interrupt that never comes.
if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `make test-long`: the same tests, with more rounds and more time.
LONG = bool(os.environ.get("TRIGNB_LONG"))

NOON = "2026-01-01T12:00:00Z"
COUNTS = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether there is time for the long mode of a test; it sets its own timeout."""
    return LONG


@pytest.fixture
def engine() -> Iterator[trignb.Engine]:
    """A fresh engine; its clock stands at noon of 1 January 2026."""
    with trignb.Engine() as engine:
        engine.clock.freeze(at=NOON)
        yield engine


@pytest.fixture
def session(engine: trignb.Engine) -> trignb.Session:
    """A client of the engine, RESP3."""
    return engine.session()


@pytest.fixture
def session2(engine: trignb.Engine) -> trignb.Session:
    """A client of the engine, RESP2."""
    return engine.session(resp=2)


@pytest.fixture(scope="session")
def node_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packages of npm; without npm the test is skipped, failed where CI is set."""
    require_npm()
    return install(tmp_path_factory.mktemp("node"))


# -- the oracle


@pytest.fixture(scope="session")
def oracle() -> Iterator[RedisServer]:
    """A real server; without one the test is skipped, or failed where CI is set."""
    require_server()
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def oracle_runner(oracle: RedisServer) -> Iterator[OracleRunner]:
    """The oracle with a subscriber and a link that poses as a replica."""
    runner = OracleRunner(oracle)
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def counts(request: pytest.FixtureRequest) -> Counter[str]:
    """What was compared; shown in the terminal summary."""
    return request.config.stash[COUNTS]


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the counts of this run."""
    config.stash[COUNTS] = Counter()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts to the process that asked this one to run some of the tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["counts"] = dict(session.config.stash[COUNTS])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what another process compared to what is told in the end."""
    # A process that crashed has told nothing.
    told = getattr(node, "workeroutput", {})
    node.config.stash[COUNTS].update(told.get("counts", {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how much was compared with Redis, and what was not and why."""
    counts = config.stash[COUNTS]
    if counts:
        terminalreporter.section("compared with Redis")
        for line, number in sorted(counts.items()):
            terminalreporter.write_line(f"{number:6}  {line}")
    found = {missing(ORACLE): find_reference(ORACLE), NPM_MISSING: find_npm()}
    for text, program in found.items():
        if program is None:
            terminalreporter.write_line(f"WARNING: {text}", yellow=True, bold=True)
