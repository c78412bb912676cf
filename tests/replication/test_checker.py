"""The replication checker: mixed writes, triggers and cut links, then every key is compared."""

from __future__ import annotations

import contextlib
import threading

import pytest

from replication.conftest import Peer, until
from replication.workload import LIBRARY, Workload, differences, state
from trignb.errors import ResponseError

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def amount(long: bool) -> int:
    """How many writes there are."""
    return 100_000 if long else 5_000


def settled(primary, replica, differ):
    """Wait until both are the same, and say what is not if that takes too long."""
    primary("WAIT", 1, 20_000)
    with contextlib.suppress(AssertionError):
        # Keys expire meanwhile, first at the primary.
        until(lambda: not differ(), 5)
    assert not differ()


def test_redis_follows_us(serve, redis, amount):
    engine, us = serve(repl_backlog_size=1 << 22)
    engine.load(LIBRARY)
    work = Workload(1, functions=True)
    run = engine.session().execute
    for i, step in enumerate(work.steps(amount)):
        # A full sync under load, then cuts, of which some are long.
        if i == amount // 10:
            assert redis("REPLICAOF", "127.0.0.1", us.port) == "OK"
        elif i > amount // 5 and i % (amount // 7) == 0:
            us("CLIENT", "KILL", "TYPE", "replica")
        with contextlib.suppress(ResponseError):
            run(*step)
    until(redis.is_up)
    settled(us, redis, lambda: differences(state(us), state(redis)))
    assert engine.triggers()["num_success"].sum() > amount // 10
    assert redis.info("errorstats") == {}
    assert us.info("stats")["sync_full"] == "1"
    assert int(us.info("stats")["sync_partial_ok"]) >= 3
    assert redis.info()["slave_repl_offset"] == us.info()["master_repl_offset"]


def test_we_follow_redis(serve, redis, amount, caplog):
    _, us = serve()
    work = Workload(2, functions=False)
    sent = 0
    for i, step in enumerate(work.steps(amount)):
        if i == amount // 10:
            assert us("REPLICAOF", "127.0.0.1", redis.port) == "OK"
        elif i > amount // 5 and i % (amount // 7) == 0:
            other = Peer(redis.port)
            other("CLIENT", "KILL", "TYPE", "replica")
            other.connection.close()
        redis.connection.send(*step)
        sent += 1
        if sent == 100:
            for _ in range(sent):
                redis.connection.read()
            sent = 0
    for _ in range(sent):
        redis.connection.read()
    until(us.is_up)
    settled(redis, us, lambda: differences(state(redis), state(us)))
    assert "from the primary failed" not in caplog.text
    assert redis.info()["master_repl_offset"] == us.info()["slave_repl_offset"]


def test_engines_follow_us_while_threads_write(serve, amount, caplog):
    engine, us = serve()
    engine.load(LIBRARY)
    _, other = serve()

    def write(seed: int) -> None:
        run = engine.session().execute
        for step in Workload(seed, functions=True).steps(amount // 4):
            with contextlib.suppress(ResponseError):
                run(*step)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(3, 7)]
    for thread in threads:
        thread.start()
    with engine.replica(enable_debug_command="yes") as local:
        other.follow(us)
        us("CLIENT", "KILL", "TYPE", "replica")
        for thread in threads:
            thread.join(1000)
        until(other.is_up)
        ask = local.session(resp=2).execute
        look = engine.session(2).execute
        with engine.core.lock:
            # Looking lets keys expire, whose triggers change what was looked at before.
            until(lambda: not differences(state(look), state(ask)))
        settled(us, other, lambda: differences(state(us), state(other)))
        offset = local.execute("ROLE")[4]
        assert offset >= other("ROLE")[4] > 0
    assert "from the primary failed" not in caplog.text
