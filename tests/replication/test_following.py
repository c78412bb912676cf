"""We are the replica: of a real redis-server, and of an engine like this one."""

from __future__ import annotations

import threading
import time

import pytest

from oracle.wire import Connection
from replication.conftest import LIBRARY, Peer, until
from replication.test_primary import digests, fill
from trignb import Engine
from trignb.errors import ResponseError

READONLY = "READONLY You can't write against a read only replica."
STREAMS = """#!js api_version=1.0 name=streams
redis.registerStreamTrigger("read", "stream", (client, data) => {
    client.call("incr", "seen");
});
redis.registerFunction("peek", (client, key) => client.call("get", key),
    {flags: [redis.functionFlags.NO_WRITES]});
redis.registerFunction("poke", (client, key) => client.call("incr", key));
"""
SLOW = """#!js api_version=1.0 name=slow
redis.registerAsyncFunction("never", async () => new Promise(() => {}));
"""


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_everything_comes_and_what_follows(serve, redis, diskless):
    _, us = serve()
    redis("CONFIG", "SET", "repl-diskless-sync", diskless)
    fill(redis)
    us("SET", "own", "x")
    us.follow(redis)
    assert digests(us) == digests(redis)
    redis("MULTI")
    redis("SELECT", 7)
    redis("SET", "seven", "x", "EX", 100)
    redis("LPOP", "list")
    redis("EXEC")
    redis("SELECT", 0)
    redis("SPOP", "set")
    redis("EVAL", "redis.call('incr', 'a'); redis.call('incr', 'a')", 0)
    redis.settle(us)
    assert digests(us) == digests(redis)
    assert us.info()["slave_repl_offset"] == redis.info()["master_repl_offset"]
    assert us("ROLE")[:4] == [b"slave", b"127.0.0.1", redis.port, b"connected"]
    [line] = [line for line in us("CLIENT", "LIST").splitlines() if b"flags=M" in line]
    assert b"user=(superuser)" in line


def test_info_has_the_fields_of_redis(serve, start_redis):
    _, us = serve()
    primary, replica = start_redis(), start_redis()
    us.follow(primary)
    replica.follow(primary)
    assert list(us.info()) == list(replica.info())
    assert list(serve()[1].info()) == list(start_redis().info())


def test_a_replica_refuses_writes(serve, redis):
    engine, us = serve()
    us.follow(redis)
    assert str(us("SET", "a", 1)) == READONLY
    script = "return redis.call('set', 'a', 1)"
    assert str(us("EVAL", script, 0)) == str(
        redis_reply_on_replica(redis, "EVAL", script, 0)
    )
    us("MULTI")
    assert str(us("SET", "a", 1)) == READONLY
    assert str(us("EXEC")).startswith("EXECABORT")
    with pytest.raises(ResponseError, match="^READONLY"):
        engine.execute("DEL", "a")
    us("CONFIG", "SET", "replica-read-only", "no")
    assert us("SET", "a", 1) == "OK"
    assert redis("GET", "a") is None


def redis_reply_on_replica(redis, *args):
    """Return what a redis-server answers while it is a replica."""
    redis("REPLICAOF", "127.0.0.1", 1)
    reply = redis(*args)
    redis("REPLICAOF", "NO", "ONE")
    return reply


def test_writes_queued_before_are_not_run_after(serve, redis):
    _, us = serve()
    writer = Peer(us.port)
    writer("MULTI")
    writer("SET", "a", 1)
    us.follow(redis)
    error = f"EXECABORT Transaction discarded because of: {READONLY}"
    assert str(writer("EXEC")) == error
    assert us("GET", "a") is None
    writer.connection.close()


def test_stale_data_may_be_refused(serve, redis):
    _, us = serve(replica_serve_stale_data="no")
    us("SET", "a", 1)
    us("REPLICAOF", "127.0.0.1", 1)
    for peer in (us,):
        reply = str(peer("GET", "a"))
    redis("CONFIG", "SET", "replica-serve-stale-data", "no")
    assert reply == str(redis_reply_on_replica(redis, "GET", "a"))
    assert us("PING") == "PONG" or str(us("PING")) == reply
    assert us.info()["master_link_status"] == "down"
    us.follow(redis)
    assert us("GET", "a") is None


SCRIPTS = (
    ("EVAL", "return 1", 0),
    ("EVAL", "#!lua\nreturn 1", 0),
    ("EVAL", "#!lua flags=no-writes\nreturn 1", 0),
    ("EVAL", "#!lua flags=no-writes,allow-stale\nreturn 1", 0),
    ("EVAL", "#!lua flags=no-writes,allow-stale\nreturn redis.call('get', 'a')", 0),
    ("FCALL", "plain", 0),
    ("FCALL", "quiet", 0),
)
FUNCTIONS = """#!lua name=functions
redis.register_function('plain', function() return 1 end)
redis.register_function{function_name='quiet', callback=function() return 1 end,
    flags={'no-writes'}}
"""


@pytest.mark.parametrize(
    "options",
    [
        ("min-replicas-to-write", 1),
        ("replica-read-only", "yes"),
        ("replica-serve-stale-data", "no"),
        ("replica-read-only", "no", "replica-serve-stale-data", "no"),
    ],
)
def test_scripts_are_refused_by_what_they_declare(serve, redis, options):
    _, us = serve()
    replies = []
    for peer in (us, redis):
        peer("FUNCTION", "LOAD", FUNCTIONS)
        peer("CONFIG", "SET", *options)
        if options[0] != "min-replicas-to-write":
            peer("REPLICAOF", "127.0.0.1", 1)
        replies.append([str(peer(*script)) for script in SCRIPTS])
    assert replies[0] == replies[1]


def test_already_connected(serve, redis):
    _, us = serve()
    us.follow(redis)
    again = us("REPLICAOF", "127.0.0.1", redis.port)
    assert again == "OK Already connected to specified master"
    assert str(us("REPLICAOF", "host", "x")) == "ERR Invalid master port"
    assert us("CONFIG", "GET", "replicaof")[1] == b"127.0.0.1 %d" % redis.port


def test_a_link_that_was_cut_goes_on(serve, redis):
    _, us = serve()
    us.follow(redis)
    redis("SET", "a", 1)
    redis.settle(us)
    for turn in range(3):
        assert redis("CLIENT", "KILL", "TYPE", "replica") == 1
        redis("SET", "a", f"after {turn}")
        until(lambda turn=turn: us("GET", "a") == b"after %d" % turn)
    assert redis.info("stats")["sync_full"] == "1"
    assert redis.info("stats")["sync_partial_ok"] == "3"


def test_half_a_transaction_does_not_count(serve):
    _, primary = serve()
    engine, us = serve()
    us.follow(primary)
    follower, feed = engine.replication.follower, engine.replication.feed
    before = feed.offset
    half = b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
    whole = half + b"*1\r\n$4\r\nEXEC\r\n"

    def come(data: bytes) -> None:
        with engine.core.lock:
            for request in follower.parser.feed(data):
                follower.apply(request)

    come(half)
    assert (us("GET", "a"), feed.offset) == (None, before)
    # The link breaks here: all of it is sent again.
    follower.restart()
    come(whole)
    assert (us("GET", "a"), feed.offset) == (b"1", before + len(whole))
    come(half)
    us("REPLICAOF", "NO", "ONE")
    assert us("SET", "b", 1) == "OK"
    assert feed.backlog.since(before + 1, plain=False).startswith(
        whole + b"*2\r\n$6\r\nSELECT"
    )


def test_a_password_and_a_user(serve, redis):
    redis("ACL", "SETUSER", "copier", "on", ">secret", "+psync", "+replconf", "+ping")
    redis("SET", "a", 1)
    redis("CONFIG", "SET", "requirepass", "other")
    redis("AUTH", "other")
    _, us = serve(masteruser="copier", masterauth="wrong")
    us("REPLICAOF", "127.0.0.1", redis.port)
    until(lambda: redis.info("errorstats").get("errorstat_WRONGPASS"))
    us("CONFIG", "SET", "masterauth", "secret")
    until(us.is_up)
    assert us("GET", "a") == b"1"


def test_nothing_expires_by_itself(serve, redis):
    _, us = serve()
    redis("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    us.follow(redis)
    redis("SET", "a", 1, "PX", 1)
    redis("HSET", "h", "f", 1)
    redis("PEXPIREAT", "h", int(time.time() * 1000) + 300)
    redis.settle(us)
    until(lambda: us("GET", "a") is None and us("EXISTS", "h") == 0)
    # Looked at, the keys are absent, and yet they are there until the primary says so.
    assert us("DBSIZE") == 2
    heard = Connection(us.port)
    us("CONFIG", "SET", "notify-keyspace-events", "KEA")
    heard.execute("PSUBSCRIBE", "__keyevent*")
    assert redis("GET", "a") is None
    assert heard.read_message() == [
        *(b"pmessage", b"__keyevent*", b"__keyevent@0__:del", b"a")
    ]
    redis.settle(us)
    assert us("DBSIZE") == 1
    heard.close()


def test_what_the_primary_changes_is_there_for_it(serve):
    _, primary = serve()
    engine, us = serve()
    us.follow(primary)
    primary("SET", "a", 1, "PX", 3_600_000)
    primary.settle(us)
    # Our clock is ahead: for us the key is gone, the primary still counts with it.
    engine.clock.advance(seconds=7200)
    assert us("GET", "a") is None
    primary("INCR", "a")
    primary.settle(us)
    assert engine.core.databases[0].data[b"a"] == b"2"
    assert us("GET", "a") is None


def test_libraries_and_positions_come_along(serve):
    engine, primary = serve()
    copy, us = serve()
    engine.load(LIBRARY)
    engine.load(STREAMS)
    primary("XADD", "stream:1", "1-1", "a", "b")
    primary("SET", "user:1", "x")
    us.follow(primary)
    assert list(copy.library_registry.libraries) == ["lib", "streams"]
    assert position(copy) == position(engine) == 1 << 64 | 1
    primary("XADD", "stream:1", "2-1", "a", "b")
    primary("SET", "user:2", "x")
    engine.load(SLOW)
    primary.settle(us)
    assert position(copy) == 2 << 64 | 1
    assert list(copy.library_registry.libraries) == ["lib", "streams", "slow"]
    assert digests(us) == digests(primary)
    assert us("TFCALL", "streams.peek", 1, "count") == b"2"
    assert str(us("TFCALL", "streams.poke", 1, "count")).startswith("Err can not run")
    assert copy.triggers()["num_triggered"].sum() == 0


def position(engine):
    """Return the last entry that the stream trigger has read."""
    trigger = engine.library_registry.libraries["streams"].stream_triggers["read"]
    return trigger.stream(b"stream:1").last_read


def test_a_promoted_replica_fires_again(serve):
    engine, primary = serve()
    copy, us = serve()
    engine.load(LIBRARY)
    engine.load(STREAMS)
    us.follow(primary)
    primary("XADD", "stream:1", "1-1", "a", "b")
    primary.settle(us)
    stream = us.info()["master_replid"]
    with copy.core.lock:
        # An entry that nobody has read yet: the position that came with it got lost.
        trigger = copy.library_registry.libraries["streams"].stream_triggers["read"]
        trigger.stream(b"stream:1").last_read = 0
    assert us("REPLICAOF", "NO", "ONE") == "OK"
    until(lambda: us("GET", "seen") == b"2")
    us("SET", "user:1", "x")
    assert us("GET", "count") == b"1"
    info = us.info()
    assert (info["role"], info["master_replid2"]) == ("master", stream)
    assert info["master_replid"] != stream
    # The old primary goes on where it was.
    primary.follow(us)
    assert digests(primary) == digests(us)
    assert us.info("stats")["sync_full"] == "0"
    us("SET", "user:2", "x")
    us.settle(primary)
    assert primary("GET", "count") == b"2"


def test_clients_that_wait_are_told(serve, redis):
    engine, us = serve()
    engine.load(SLOW)
    waiting = [Connection(us.port) for _ in range(3)]
    waiting[0].send("BLPOP", "list", 0)
    waiting[1].send("TFCALLASYNC", "slow.never", 0)
    waiting[2].send("XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    until(lambda: us.info("clients")["blocked_clients"] == "2")
    host = engine.library_registry.libraries["slow"].host
    until(lambda: host.live_jobs)
    thread_error = []

    def pop():
        try:
            engine.execute("BRPOP", "list", 0)
        except ResponseError as error:
            thread_error.append(str(error))

    thread = threading.Thread(target=pop)
    thread.start()
    until(lambda: us.info("clients")["blocked_clients"] == "3")
    us("REPLICAOF", "127.0.0.1", redis.port)
    for client in waiting:
        assert str(client.read()).startswith("UNBLOCKED force unblock")
        with pytest.raises(ConnectionError):
            client.read()
    thread.join(5)
    assert len(thread_error) == 1
    assert thread_error[0].endswith("instance state changed (master -> replica?)")
    for client in waiting:
        client.close()


def test_messages_reach_subscribers_of_replicas(serve, redis):
    _, us = serve()
    us.follow(redis)
    listener = Connection(us.port)
    listener.execute("SUBSCRIBE", "news")
    redis("PUBLISH", "news", "here")
    assert listener.read_message() == [b"message", b"news", b"here"]
    us("REPLICAOF", "NO", "ONE")
    redis.follow(us)
    other = Connection(redis.port)
    other.execute("SUBSCRIBE", "news")
    us("PUBLISH", "news", "there")
    assert other.read_message() == [b"message", b"news", b"there"]
    listener.close()
    other.close()


def test_access_is_noted_on_a_replica(serve):
    _, primary = serve()
    engine, us = serve(maxmemory_policy="allkeys-lru")
    us.follow(primary)
    primary("SET", "a", 1)
    primary.settle(us)
    engine.clock.freeze()
    engine.clock.advance(seconds=100)
    assert us("OBJECT", "IDLETIME", "a") >= 100
    primary("APPEND", "a", 1)
    primary.settle(us)
    assert us("OBJECT", "IDLETIME", "a") == 0


def test_a_disk_on_both_sides(serve, tmp_path):
    for name in ("primary", "replica"):
        (tmp_path / name).mkdir()
    _, primary = serve(dir=str(tmp_path / "primary"), appendonly="yes")
    copy, us = serve(dir=str(tmp_path / "replica"), appendonly="yes")
    primary("SET", "a", 1)
    us.follow(primary)
    primary("SET", "b", 1)
    assert primary("WAITAOF", 1, 1, 10_000) == [1, 1]
    copy.close()
    with Engine(dir=str(tmp_path / "replica"), appendonly="yes") as again:
        assert again.execute("MGET", "a", "b") == [b"1", b"1"]


def test_a_replica_of_a_replica(serve, redis, start_redis):
    _, us = serve()
    last = start_redis()
    fill(redis)
    assert us("REPLICAOF", "127.0.0.1", 1) == "OK"
    refused = us("PSYNC", "?", -1)
    assert str(refused) == "NOMASTERLINK Can't SYNC while not connected with my master"
    us.follow(redis)
    redis("SELECT", 9)
    redis("SET", "nine", "x")
    redis.settle(us)
    last.follow(us)
    redis("SET", "nine", "y")
    redis.settle(us)
    until(lambda: digests(last) == digests(redis))
    assert last.info()["slave_repl_offset"] == redis.info()["master_repl_offset"]
    assert last.info()["master_replid"] == redis.info()["master_replid"]
    # In the middle nobody needs a full sync when it becomes the primary.
    us("REPLICAOF", "NO", "ONE")
    us("SET", "a", "new")
    until(lambda: last("GET", "a") is not None or last("SELECT", 0) is None)
    assert last("GET", "a") == b"new"
    assert us.info("stats")["sync_full"] == "1"


def test_a_file_that_does_not_fit_is_refused(serve, redis, caplog):
    engine = Engine(databases=2)
    redis("SELECT", 9)
    redis("SET", "nine", "x")
    engine.execute("SET", "a", 1)
    engine.execute("REPLICAOF", "127.0.0.1", redis.port)
    until(lambda: "database 9" in caplog.text)
    assert engine.execute("GET", "a") == b"1"
    engine.close()


def test_a_database_that_is_not_here_ends_the_link(serve, redis, caplog):
    engine = Engine(databases=2)
    engine.execute("REPLICAOF", "127.0.0.1", redis.port)
    until(lambda: engine.execute("ROLE")[3] == b"connected")
    redis("SET", "a", "one")
    redis("SELECT", 9)
    redis("SET", "a", "nine")
    until(lambda: "the primary has more databases" in caplog.text)
    assert engine.execute("GET", "a") == b"one"
    engine.close()


def test_an_unforeseen_error_does_not_end_the_replica(
    serve, redis, caplog, monkeypatch
):
    engine, us = serve()

    def broken(*_args: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr(engine.replication, "loaded", broken)
    us.follow(redis)
    assert "ZeroDivisionError" in caplog.text
    redis("SET", "a", 1)
    redis.settle(us)
    assert us("GET", "a") == b"1"


def test_who_is_no_primary_is_tried_again(serve, redis, caplog):
    _, us = serve()
    us("REPLICAOF", "127.0.0.1", 1)
    until(lambda: "refused" in caplog.text)
    assert us("ROLE")[3] in (b"connect", b"connecting")
    assert us("ROLE")[4] == -1
    us.follow(redis)


def test_replicaof_from_the_start(redis):
    redis("SET", "a", 1)
    with Engine(replicaof=f"127.0.0.1 {redis.port}") as engine:
        until(lambda: engine.execute("GET", "a") == b"1")
        assert engine.execute("HELLO", 3)[b"role"] == b"replica"


def test_replicaof_no_one_leaves_everything(serve, redis):
    _, us = serve()
    us.follow(redis)
    redis("SET", "a", 1)
    redis.settle(us)
    us("REPLICAOF", "NO", "ONE")
    redis("SET", "a", 2)
    us("SET", "b", 1)
    assert us("MGET", "a", "b") == [b"1", b"1"]
    assert us("CONFIG", "GET", "replicaof")[1] == b""
    assert us("ROLE")[0] == b"master"
