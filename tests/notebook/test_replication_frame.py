"""Replication in a notebook: REPLICAOF in a cell, the log of what was propagated, an engine's replica."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import trignb
from trignb.notebook.errors import RedisError


@pytest.fixture
def redis(shell: Any) -> Callable[..., Any]:
    return lambda line: shell.run_line_magic("redis", line)


@pytest.fixture
def tf(shell: Any) -> Callable[..., Any]:
    return lambda line: shell.run_line_magic("tf", line)


def test_the_log_of_the_engine_of_the_cells(redis: Any, tf: Any) -> None:
    assert len(tf("replication")) == 0
    redis("SET a 1 EX 100")
    redis("DEL a")
    log = tf("replication")
    assert log["command"].tolist() == ["SET", "DEL"]
    assert log.loc[1, "args"][:3] == ["a", "1", "PXAT"]
    assert not log["is_multi"].any()


def test_a_cell_makes_the_engine_a_replica(redis: Any) -> None:
    with (
        trignb.Engine(repl_diskless_sync_delay=0) as primary,
        primary.serve() as server,
    ):
        primary.execute("SET", "greeting", "hello")
        redis(f"REPLICAOF 127.0.0.1 {server.port}")
        deadline = time.monotonic() + 10
        while not primary.execute("WAIT", 1, 50):
            assert time.monotonic() < deadline
        assert redis("GET greeting") == b"hello"
        with pytest.raises(RedisError, match="READONLY"):
            redis("SET greeting bye")
        redis("REPLICAOF NO ONE")
        redis("SET greeting bye")
        assert redis("GET greeting") == b"bye"
        assert primary.execute("GET", "greeting") == b"hello"


def test_a_replica_among_the_engines_of_a_notebook(
    shell: Any, redis: Any, tf: Any
) -> None:
    engine = tf("engine default")
    with engine.replica() as replica:
        shell.user_ns["copy"] = replica
        tf("engine copy")
        redis("--engine default SET a 1")
        assert redis("GET a") == b"1"
        tf("engine default")
        tf("engine copy --close")
