"""A replica in the same process, and the log of what was propagated."""

from __future__ import annotations

import threading

import pytest

from replication.conftest import LIBRARY, Peer, until
from replication.test_following import STREAMS, position
from replication.test_primary import digests, fill
from trignb import Engine
from trignb.engine.digest import value_digest
from trignb.errors import ResponseError


@pytest.fixture
def replica(engine):
    with engine.replica() as replica:
        yield replica


def info(engine):
    """Return INFO REPLICATION as a dict."""
    lines = engine.execute("INFO", "replication").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def contents(engine):
    """Return a digest of every key and its deadline, by database."""
    return [
        ({k: value_digest(v, k in db.expires) for k, v in db.data.items()}, db.expires)
        for db in engine.core.databases
    ]


def test_it_has_everything_at_once(engine):
    fill(engine.execute)
    engine.load(LIBRARY)
    with engine.replica() as replica:
        assert contents(replica) == contents(engine)
        engine.execute("HSET", "user:1", "name", "tom")
        assert replica.execute("HGETALL", "user:1") == {b"name": b"tom"}
        assert replica.execute("GET", "count") == b"1"
        engine.execute("SELECT", 3)
        for i in range(100):
            engine.execute("LPUSH", "list", i)
            assert replica.core.databases[3].data[b"list"] is not None
        assert contents(replica) == contents(engine)
        assert engine.execute("WAIT", 1, 0) == 1


def test_it_is_silent_and_refuses_writes(engine, replica):
    engine.load(LIBRARY)
    engine.load(STREAMS)
    engine.execute("HSET", "user:1", "name", "tom")
    engine.execute("XADD", "stream:1", "1-1", "a", "b")
    assert replica.triggers()["num_triggered"].sum() == 0
    assert engine.triggers()["num_triggered"].sum() == 1
    assert position(replica) == position(engine) == 1 << 64 | 1
    with pytest.raises(ResponseError, match="^READONLY"):
        replica.execute("SET", "a", 1)
    assert replica.call("streams.peek", ["count"]) == b"1"
    with pytest.raises(ResponseError, match="Err can not run a function that might"):
        replica.call("streams.poke", ["count"])


def test_events_fire_on_it(engine, replica):
    replica.notifications()
    engine.execute("SET", "a", 1)
    engine.execute("DEL", "a")
    assert replica.notifications()["event"].tolist() == ["new", "set", "del"]


def test_its_clock_is_that_of_the_primary(engine, replica):
    engine.execute("SET", "a", 1, "EX", 10)
    assert replica.execute("TTL", "a") == 10
    replica.clock.advance(seconds=4)
    assert engine.execute("TTL", "a") == replica.execute("TTL", "a") == 6
    engine.clock.advance(seconds=7)
    assert replica.execute("DBSIZE") == 0
    assert replica.clock.frozen
    replica.clock.resume()
    assert not engine.clock.frozen
    replica.clock.freeze(at=5)
    assert engine.clock.now_ns() == 5_000_000_000
    replica.execute("REPLICAOF", "NO", "ONE")
    replica.clock.advance(seconds=5)
    assert replica.clock.frozen
    assert (engine.clock.now_ns(), replica.clock.now_ns()) == (5 * 10**9, 10 * 10**9)


def test_the_running_clock_is_left_with_its_offset():
    with Engine() as engine, engine.replica() as replica:
        engine.clock.advance(seconds=1000)
        replica.execute("REPLICAOF", "NO", "ONE")
        difference = replica.clock.now_ns() - engine.clock.now_ns()
        assert abs(difference) < 500_000_000
        assert not replica.clock.frozen


def test_promotion(engine, replica):
    engine.load(LIBRARY)
    engine.execute("SET", "user:1", "x")
    replica.execute("REPLICAOF", "NO", "ONE")
    replica.execute("SET", "user:2", "x")
    assert replica.execute("GET", "count") == b"2"
    engine.execute("SET", "user:3", "x")
    assert replica.execute("EXISTS", "user:3") == 0
    assert info(engine)["connected_slaves"] == "0"
    assert engine.execute("WAIT", 1, 1) == 0
    assert info(replica)["master_replid2"] == info(engine)["master_replid"]


def test_what_is_told_of_it(engine, replica):
    engine.execute("SET", "a", 1)
    assert engine.execute("ROLE")[2] == [
        [b"in-process", b"0", b"%d" % engine.replication.feed.offset]
    ]
    assert info(engine)["slave0"].startswith("ip=in-process,port=0,state=online")
    assert info(replica)["master_link_status"] == "up"
    assert replica.execute("ROLE")[:4] == [b"slave", b"in-process", 0, b"connected"]
    assert b"flags=S" in engine.execute("CLIENT", "LIST", "TYPE", "replica")
    assert b"flags=M" in replica.execute("CLIENT", "LIST", "TYPE", "master")
    with pytest.raises(ResponseError, match="requires connected replicas"):
        engine.execute("FAILOVER")


def test_a_cut_is_mended_at_once(engine, replica):
    engine.execute("SET", "a", 1)
    assert engine.execute("CLIENT", "KILL", "TYPE", "replica") == 1
    engine.execute("INCR", "a")
    assert replica.execute("GET", "a") == b"2"
    assert info(engine)["connected_slaves"] == "1"
    assert info(replica)["master_link_status"] == "up"


def test_what_comes_by_another_way_comes_too(engine, replica, tmp_path):
    engine.execute("SET", "a", 1)
    kept = engine.snapshot()
    engine.execute("SET", "a", 2)
    engine.save(tmp_path / "dump.rdb")
    engine.restore(kept)
    assert replica.execute("GET", "a") == b"1"
    engine.load_rdb(tmp_path / "dump.rdb")
    assert replica.execute("GET", "a") == b"2"
    engine.reset()
    assert replica.execute("DBSIZE") == 0


def test_an_interrupt_on_the_way_is_made_good(engine, replica, monkeypatch):
    follower = replica.replication.follower

    def interrupted(_request):
        raise KeyboardInterrupt

    monkeypatch.setattr(follower, "apply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.execute("SET", "a", 1)
    engine.execute("SET", "b", 1)
    assert contents(replica) == contents(engine)
    engine.execute("SET", "c", 1)
    assert contents(replica) == contents(engine)


def test_the_end_of_the_primary():
    engine = Engine()
    replica = engine.replica()
    engine.execute("SET", "a", 1)
    engine.close()
    assert replica.execute("GET", "a") == b"1"
    assert info(replica)["master_link_status"] == "down"
    assert info(replica)["master_link_down_since_seconds"] == "0"
    replica.execute("REPLICAOF", "NO", "ONE")
    assert replica.execute("SET", "a", 2) == "OK"
    replica.close()


def test_the_end_of_the_replica(engine):
    engine.replica().close()
    engine.execute("SET", "a", 1)
    assert info(engine)["connected_slaves"] == "0"
    assert engine.execute("CLIENT", "LIST", "TYPE", "replica") == b""


def test_replicas_of_replicas(engine, replica):
    with replica.replica() as last:
        engine.execute("SELECT", 5)
        engine.execute("SET", "a", 1)
        assert contents(last) == contents(replica) == contents(engine)
        assert info(last)["master_repl_offset"] == info(engine)["master_repl_offset"]
        replica.execute("REPLICAOF", "NO", "ONE")
        replica.execute("SET", "b", 1)
        assert last.execute("GET", "b") == b"1"
        assert info(last)["master_replid"] == info(replica)["master_replid"]


def test_beside_a_redis(serve, redis):
    engine, us = serve()
    with engine.replica() as replica:
        redis.follow(us)
        engine.load(LIBRARY)
        for i in range(20):
            us("HSET", f"user:{i}", "i", i)
        us.settle(redis)
        assert digests(us) == digests(redis)
        assert contents(replica) == contents(engine)
        offsets = {int(info(each)["master_repl_offset"]) for each in (engine, replica)}
        assert offsets == {int(redis.info()["slave_repl_offset"])}
        # The replica in this process takes over, and redis follows it where it was.
        server = Peer(replica.serve().port)
        replica.execute("REPLICAOF", "NO", "ONE")
        replica.execute("SET", "after", "x")
        redis.follow(server)
        assert redis("GET", "after") == b"x"
        assert server.info("stats")["sync_full"] == "0"
        server.connection.close()


def test_a_replica_of_a_replica_of_a_redis(serve, redis):
    engine, us = serve()
    with engine.replica() as replica:
        fill(redis)
        us.follow(redis)
        until(lambda: replica.execute("GET", "string:3") == b"3")
        redis("SELECT", 4)
        redis("SET", "a", 1)
        redis.settle(us)
        assert contents(replica) == contents(engine)


def test_many_threads_write_and_read(engine, replica):
    def work(number):
        for i in range(100):
            engine.execute("INCR", "total")
            engine.execute("SET", f"{number}:{i}", i)
            assert replica.execute("GET", f"{number}:{i}") == b"%d" % i

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert replica.execute("GET", "total") == b"400"
    assert contents(replica) == contents(engine)


# -- the log


def test_the_log_shows_units(engine):
    engine.load(LIBRARY)
    assert len(engine.replication_log()) == 0
    engine.execute("SET", "a", 1)
    engine.execute("SELECT", 3)
    engine.execute("HSET", "user:1", "name", "tom\x00")
    engine.execute("GET", "a")
    log = engine.replication_log()
    assert log["command"].tolist() == ["SET", "MULTI", "HSET", "incr", "hset", "EXEC"]
    assert log.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert log["unit"].tolist() == [1, 2, 2, 2, 2, 2]
    assert log["db"].fillna(-1).tolist() == [0, -1, 3, 3, 3, -1]
    assert log["is_multi"].tolist() == [False, *[True] * 5]
    assert log.loc[1, "args"] == ["a", "1"]
    assert log.loc[3, "args"][:2] == ["user:1", "name"]
    assert log["time"].dt.hour.tolist() == [12] * 6


def test_the_log_has_a_size(engine):
    engine.replication_log(size=2)
    for i in range(3):
        engine.execute("SET", "a", i)
    assert engine.replication_log()["args"].tolist() == [["a", "1"], ["a", "2"]]
    engine.replication_log(size=0)
    assert not engine.core.sinks
    engine.execute("SET", "a", 3)
    assert len(engine.replication_log()) == 0


def test_a_replica_has_a_log_of_its_own(engine, replica):
    replica.replication_log()
    engine.execute("MULTI")
    engine.execute("SET", "a", 1)
    engine.execute("INCR", "b")
    engine.execute("EXEC")
    log = replica.replication_log()
    assert log["command"].tolist() == ["MULTI", "SET", "INCR", "EXEC"]
    assert log["unit"].nunique() == 1
