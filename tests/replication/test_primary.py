"""A real redis-server that is our replica."""

from __future__ import annotations

import subprocess
import time

import pytest

from oracle.wire import Connection
from replication.conftest import LIBRARY, Peer, until
from trignb.errors import ResponseError


def fill(peer):
    """Write a bit of everything, with deadlines, in two databases."""
    peer("SELECT", 0)
    for i in range(50):
        peer("SET", f"string:{i}", i)
        peer("RPUSH", "list", i)
        peer("HSET", "hash", f"field:{i}", i)
        peer("ZADD", "zset", i, f"member:{i}")
        peer("XADD", "stream", f"{i + 1}-1", "i", i)
    peer("SADD", "set", 1, 2, "x")
    peer("PEXPIREAT", "string:1", 4_000_000_000_000)
    peer("XGROUP", "CREATE", "stream", "group", 0)
    peer("XREADGROUP", "GROUP", "group", "me", "COUNT", 3, "STREAMS", "stream", ">")
    peer("SELECT", 5)
    peer("SET", "elsewhere", "x")
    peer("SELECT", 0)


def digests(peer):
    """Return a digest of every key, by database."""
    found = {}
    for db in range(16):
        peer("SELECT", db)
        keys = sorted(peer("KEYS", "*"))
        if keys:
            values = peer("DEBUG", "DIGEST-VALUE", *keys)
            deadlines = [peer("PEXPIRETIME", key) for key in keys]
            found[db] = list(zip(keys, values, deadlines, strict=True))
    peer("SELECT", 0)
    return found


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_replica_gets_everything_and_what_comes(serve, redis, diskless):
    engine, us = serve(repl_diskless_sync=diskless)
    fill(us)
    redis.follow(us)
    assert digests(redis) == digests(us)
    engine.load(LIBRARY)
    us("HSET", "user:1", "name", "tom")
    us("MULTI")
    us("SELECT", 7)
    us("SET", "seven", "x")
    us("EXEC")
    us("SELECT", 0)
    us("SET", "gone", "x", "PX", 1)
    until(lambda: us("EXISTS", "gone") == 0)
    us.settle(redis)
    assert digests(redis) == digests(us)
    assert redis("GET", "count") == b"1"
    [line] = [line for line in us("CLIENT", "LIST").splitlines() if b"flags=S" in line]
    assert b"cmd=replconf" in line
    assert us("ROLE") == [
        *(b"master", int(us.info()["master_repl_offset"])),
        [[b"127.0.0.1", b"%d" % redis.port, us("ROLE")[2][0][2]]],
    ]


def test_a_trigger_and_its_cause_come_together(serve, redis):
    engine, us = serve()
    engine.load(LIBRARY)
    redis.follow(us)
    watcher = Connection(redis.port)
    watcher.execute("MONITOR")
    us("HSET", "user:1", "name", "tom")
    words = [watcher.read().split("]", 1)[1].split()[0] for _ in range(6)]
    watcher.close()
    assert words == ['"SELECT"', '"MULTI"', '"HSET"', '"incr"', '"hset"', '"EXEC"'] or (
        words == ['"MULTI"', '"SELECT"', '"HSET"', '"incr"', '"hset"', '"EXEC"']
    )


def test_a_plain_replica_hears_nothing_of_libraries(serve, redis):
    engine, us = serve()
    redis.follow(us)
    engine.load(LIBRARY)
    us("SET", "a", 1)
    us("TFUNCTION", "DELETE", "lib")
    us.settle(redis)
    assert redis("GET", "a") == b"1"
    assert redis.info()["slave_repl_offset"] == us.info()["master_repl_offset"]
    assert redis.info("errorstats") == {}
    assert redis.info("stats")["unexpected_error_replies"] == "0"


def test_a_link_that_was_cut_goes_on(serve, redis):
    engine, us = serve()
    redis.follow(us)
    us("SET", "a", 1)
    us.settle(redis)
    # Behind the cut there are things that a plain replica must not see.
    assert us("CLIENT", "KILL", "TYPE", "replica") == 1
    engine.load(LIBRARY)
    us("SET", "user:1", 2)
    until(lambda: redis("GET", "count") == b"1")
    assert us.info("stats")["sync_full"] == "1"
    assert us.info("stats")["sync_partial_ok"] == "1"
    assert redis.info("errorstats") == {}


def test_a_gap_larger_than_the_backlog_takes_a_full_sync(serve, redis):
    engine, us = serve(repl_backlog_size=16384)
    redis.follow(us)
    us("CLIENT", "KILL", "TYPE", "replica")
    with engine.core.lock:
        # The replica cannot come back before all of it is there.
        for i in range(40):
            engine.execute("SET", f"large:{i}", "x" * 1000)
    us("SET", "end", "x")
    until(lambda: redis("GET", "end") == b"x")
    assert digests(redis) == digests(us)
    assert us.info("stats")["sync_full"] == "2"


def test_a_password(serve, redis):
    _, us = serve(requirepass="secret")
    us("AUTH", "secret")
    us("SET", "a", 1)
    assert redis("REPLICAOF", "127.0.0.1", us.port) == "OK"
    # Without it the replica is told to authenticate, and is no replica.
    until(lambda: us.info("errorstats").get("errorstat_NOAUTH"))
    assert us.info()["connected_slaves"] == "0"
    redis("CONFIG", "SET", "masterauth", "secret")
    until(redis.is_up)
    assert redis("GET", "a") == b"1"


def test_two_replicas_share_a_sync(serve, start_redis):
    _, us = serve()
    fill(us)
    first, second = start_redis(), start_redis()
    first.follow(us)
    second.follow(us)
    us("SET", "a", 1)
    us.settle(first, second)
    assert digests(first) == digests(second) == digests(us)
    assert us.info()["connected_slaves"] == "2"


def test_wait_counts_who_has_it(serve, redis):
    _, us = serve()
    assert us("WAIT", 0, 0) == 0
    assert us("WAIT", 1, 10) == 0
    redis.follow(us)
    us("SET", "a", 1)
    assert us("WAIT", 1, 0) == 1
    started = time.monotonic()
    assert us("WAIT", 2, 50) == 1
    assert time.monotonic() - started > 0.04
    us("MULTI")
    us("SET", "a", 2)
    us("WAIT", 5, 0)
    assert us("EXEC")[0] == "OK"


def test_wait_on_the_thread_that_calls(serve, redis):
    engine, us = serve()
    redis.follow(us)
    engine.execute("SET", "a", 1)
    assert engine.execute("WAIT", 1, 0) == 1
    assert engine.execute("WAIT", 2, 20) == 1
    assert engine.execute("WAITAOF", 0, 1, 20) == [0, 0]


def test_a_wait_can_be_ended(serve, redis):
    _, us = serve()
    redis.follow(us)
    other = Peer(us.port)
    number = other("CLIENT", "ID")
    # The replica has acknowledged all there is before one waits for more replicas.
    assert us("WAIT", 1, 5000) == 1
    other.connection.send("WAIT", 5, 0)
    until(lambda: us("CLIENT", "UNBLOCK", number))
    assert other.connection.read() == 1
    other.connection.close()


def test_too_few_replicas_refuse_writes(serve, redis):
    engine, us = serve(min_replicas_to_write=1)
    error = "NOREPLICAS Not enough good replicas to write."
    assert str(us("SET", "a", 1)) == error
    assert us("GET", "a") is None
    assert str(us("EVAL", "return redis.call('set', 'a', 1)", 0)).startswith(error)
    redis.follow(us)
    until(lambda: us("SET", "a", 1) == "OK")
    assert us.info()["min_slaves_good_slaves"] == "1"
    us("CONFIG", "SET", "min-replicas-to-write", 2)
    with pytest.raises(ResponseError, match="^NOREPLICAS"):
        engine.execute("SET", "a", 2)
    us("CONFIG", "SET", "min-replicas-to-write", 0)
    assert us("SET", "a", 2) == "OK"


def test_pings_are_part_of_the_stream(serve, redis):
    _, us = serve(repl_ping_replica_period=1)
    redis.follow(us)
    before = int(us.info()["master_repl_offset"])
    until(lambda: int(us.info()["master_repl_offset"]) >= before + 14)
    us.settle(redis)
    assert redis.info()["slave_repl_offset"] == us.info()["master_repl_offset"]


def test_nobody_there_for_long_ends_the_backlog(serve, redis):
    _, us = serve(repl_backlog_ttl=1)
    redis.follow(us)
    stream = us.info()["master_replid"]
    redis("REPLICAOF", "NO", "ONE")
    until(lambda: us.info()["repl_backlog_active"] == "0")
    assert us.info()["master_replid"] != stream


def test_contents_that_come_by_another_way_take_a_full_sync(serve, redis):
    engine, us = serve()
    us("SET", "a", 1)
    kept = engine.snapshot()
    us("SET", "a", 2)
    redis.follow(us)
    assert redis("GET", "a") == b"2"
    engine.restore(kept)
    until(lambda: redis("GET", "a") == b"1")


def test_a_sync_for_a_file(serve, tmp_path, start_redis):
    start_redis()
    _, us = serve()
    fill(us)
    path = tmp_path / "dump.rdb"
    words = ["redis-cli", "-p", str(us.port), "--rdb", str(path)]
    subprocess.run(words, check=True, capture_output=True, timeout=20)
    loaded, peer = serve()
    loaded.load_rdb(path)
    assert digests(peer) == digests(us)
    until(lambda: us.info()["connected_slaves"] == "0")


def test_a_snapshot_beside_a_save(serve, redis, tmp_path):
    engine, us = serve(dir=str(tmp_path))
    fill(us)
    with engine.core.lock:
        us.connection.send("BGSAVE")
        engine.execute("BGSAVE")
        engine.core.run_unit(lambda: engine.execute("HSET", "hash", "field:1", "new"))
    us.connection.read()
    redis.follow(us)
    us("RPUSH", "list", "end")
    us.settle(redis)
    engine.saver.wait(5)
    assert digests(redis) == digests(us)


def test_a_replica_that_does_not_read_is_given_up(serve):
    engine, us = serve(client_output_buffer_limit="slave 1mb 0 0")
    slow = Peer(us.port)
    slow.connection.send("PSYNC", "?", -1)
    until(lambda: us.info().get("slave0", "").count("state=online"))
    for i in range(8):
        engine.execute("SET", f"large:{i}", "x" * (1 << 20))
    until(lambda: us.info()["connected_slaves"] == "0")
    slow.connection.close()


def test_a_delay_lets_replicas_gather(serve, start_redis):
    _, us = serve(repl_diskless_sync_delay=1000, repl_diskless_sync_max_replicas=2)
    first, second = start_redis(), start_redis()
    first("REPLICAOF", "127.0.0.1", us.port)
    until(lambda: "state=wait_bgsave" in us.info().get("slave0", ""))
    second.follow(us)
    until(first.is_up)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("REPLCONF x", "ERR syntax error"),
        ("REPLCONF listening-port x", "ERR value is not an integer or out of range"),
        ("REPLCONF nope 1", "ERR Unrecognized REPLCONF option: nope"),
        (
            f"REPLCONF ip-address {'a' * 341}",
            "ERR REPLCONF ip-address provided by replica instance is too long: 341 bytes",
        ),
        ("REPLCONF rdb-only x", "ERR value is not an integer or out of range"),
        (
            "REPLCONF rdb-only 5",
            "ERR value is out of range, value must between 0 and 1",
        ),
        ("REPLCONF rdb-filter-only foo", "ERR Unsupported rdb-filter-only option: foo"),
        ("PSYNC aaaa 1 FAILOVER", "ERR PSYNC FAILOVER can't be sent to a master."),
    ],
)
def test_what_replicas_may_not_say(serve, redis, words, error):
    _, us = serve()
    assert str(us(*words.split())) == str(redis(*words.split())) == error


def test_what_replicas_may_say(serve, redis):
    _, us = serve()
    for peer in (us, redis):
        assert peer("REPLCONF") == "OK"
        assert peer("REPLCONF", "capa", "foo", "listening-port", 1) == "OK"
        # No answer, ever.
        peer.connection.send("REPLCONF", "ACK", 5)
        assert peer("PING") == "PONG"


def test_an_engine_without_a_connection_cannot_be_followed(engine):
    with pytest.raises(ResponseError, match="needs a connection"):
        engine.execute("PSYNC", "?", -1)
    with pytest.raises(ResponseError, match="needs a connection"):
        engine.execute("SYNC")
