"""FAILOVER: the primary and one of its replicas change places."""

from __future__ import annotations

import threading

import pytest

from oracle.wire import Connection
from replication.conftest import Peer, until
from replication.test_primary import digests, fill


def test_to_a_redis_and_back(serve, redis):
    _, us = serve()
    fill(us)
    redis.follow(us)
    assert us("FAILOVER") == "OK"
    until(lambda: redis.info()["role"] == "master")
    until(lambda: us.info()["role"] == "slave" and us.is_up())
    redis("SET", "a", 1)
    redis.settle(us)
    assert digests(us) == digests(redis)
    assert redis("FAILOVER", "TO", "127.0.0.1", us.port, "TIMEOUT", 5000) == "OK"
    until(lambda: us.info()["role"] == "master")
    until(lambda: redis.info()["role"] == "slave" and redis.is_up())
    assert us("SET", "a", 2) == "OK"
    us.settle(redis)
    assert digests(us) == digests(redis)
    # Nobody had to send everything again.
    assert us.info("stats")["sync_full"] == "1"
    assert redis.info("stats")["sync_full"] == "0"


def test_writes_wait_until_it_is_over(serve):
    _, us = serve()
    copy, other = serve()
    other.follow(us)
    us.settle(other)
    # Nobody acknowledges anything as long as the lock is held.
    with copy.core.lock:
        us("SET", "a", 1)
        assert us("FAILOVER", "TO", "127.0.0.1", other.port) == "OK"
        assert us.info()["master_failover_state"] == "waiting-for-sync"
        assert str(us("FAILOVER")) == "ERR FAILOVER already in progress."
        assert us("GET", "a") == b"1"
        us.connection.send("SET", "a", 2)
    assert str(us.connection.read()).startswith("READONLY")
    until(lambda: other.info()["role"] == "master")
    assert other("GET", "a") == b"1"
    assert us.info()["master_failover_state"] == "no-failover"


@pytest.mark.parametrize("words", ["ABORT", "TIMEOUT"])
def test_when_it_comes_to_nothing(serve, words):
    _, us = serve()
    copy, other = serve()
    other.follow(us)
    us.settle(other)
    with copy.core.lock:
        us("SET", "a", 1)
        us("FAILOVER", *(["TIMEOUT", 50] if words == "TIMEOUT" else []))
        if words == "ABORT":
            assert us("FAILOVER", "ABORT") == "OK"
        until(lambda: us.info()["master_failover_state"] == "no-failover")
        assert us("SET", "a", 2) == "OK"
    us.settle(other)
    assert us.info()["role"] == "master"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("TO", "ERR syntax error"),
        ("FOO", "ERR syntax error"),
        ("ABORT TIMEOUT 1", "ERR syntax error"),
        ("TO h 1 TO h 1", "ERR syntax error"),
        ("TO x y", "ERR value is not an integer or out of range"),
        ("TIMEOUT x", "ERR value is not an integer or out of range"),
        ("TIMEOUT 0", "ERR FAILOVER timeout must be greater than 0"),
        ("ABORT", "ERR No failover in progress."),
        ("FORCE", "ERR FAILOVER requires connected replicas."),
        ("", "ERR FAILOVER requires connected replicas."),
        ("TO h 1", "ERR FAILOVER requires connected replicas."),
    ],
)
def test_errors(serve, redis, words, error):
    _, us = serve()
    assert str(us("FAILOVER", *words.split())) == error
    assert str(redis("FAILOVER", *words.split())) == error


def test_a_target_has_to_be_a_replica(serve, redis):
    _, us = serve()
    redis.follow(us)
    error = "ERR FAILOVER target HOST and PORT is not a replica."
    assert str(us("FAILOVER", "TO", "127.0.0.1", 1)) == error
    error = (
        "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
    )
    assert str(us("FAILOVER", "FORCE")) == error


def test_a_replica_cannot_hand_over(serve, redis):
    _, us = serve()
    us.follow(redis)
    error = "ERR FAILOVER is not valid when server is a replica."
    assert str(us("FAILOVER")) == error


def test_nothing_that_was_answered_is_lost(serve, redis, long):
    """A client that counts goes on counting, whoever is the primary just now."""
    _, first = serve()
    _, second = serve()
    redis.follow(first)
    second.follow(first)
    peers = [first, second, redis]
    done, stop, failed = [0], threading.Event(), []

    def count() -> None:
        clients = [Connection(peer.port) for peer in peers]
        while not stop.is_set():
            for client in clients:
                reply = client.execute("INCR", "total")
                if isinstance(reply, int):
                    done[0] += 1
                    if reply != done[0]:
                        failed.append((reply, done[0]))
        for client in clients:
            client.close()

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for turn in range(30 if long else 5):
            old = next(peer for peer in peers if peer.info()["role"] == "master")
            new = peers[(peers.index(old) + 1) % 3]
            until(lambda old=old: int(old.info()["connected_slaves"]) == 2, 20)
            until(lambda old=old, new=new: handed_over(old, new), 20)
            third = next(peer for peer in peers if peer not in (old, new))
            third("REPLICAOF", "127.0.0.1", new.port)
            until(third.is_up, 20)
            assert not failed, turn
    finally:
        stop.set()
        thread.join(20)
    [primary] = [peer for peer in peers if peer.info()["role"] == "master"]
    assert int(primary("GET", "total")) == done[0] > 0
    assert sum(int(peer.info("stats")["sync_full"]) for peer in peers) == 2


def handed_over(old: Peer, new: Peer) -> bool:
    """Hand over unless that is under way; tell whether it has been done."""
    if old.info()["master_failover_state"] == "no-failover":
        old("FAILOVER", "TO", "127.0.0.1", new.port, "TIMEOUT", 10_000)
    return new.info()["role"] == "master" and old.info()["role"] == "slave"
