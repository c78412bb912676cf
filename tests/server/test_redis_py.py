"""redis-py over a socket: sync and asyncio, RESP2 and RESP3, everything it builds on the commands."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection
from redis.retry import Retry

from trignb import Engine
from trignb.server.server import Server

LIBRARY = """#!js api_version=1.0 name=lib
redis.registerFunction("add", (client, a, b) => Number(a) + Number(b));
redis.registerAsyncFunction("later", async (client, key) => client.block(c => c.call("incr", key)));
"""

Client = redis.Redis

NEVER = Retry(NoBackoff(), 0)


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[Client]:
    with redis.Redis(
        port=server.port, protocol=request.param, decode_responses=True
    ) as client:
        yield client


def test_pipelines_and_transactions(client: Client) -> None:
    with client.pipeline(transaction=False) as pipe:
        for i in range(3000):
            pipe.set(f"k{i}", i)
        assert all(pipe.execute())
    with client.pipeline() as pipe:
        pipe.watch("k1")
        value = pipe.get("k1")
        pipe.multi()
        pipe.set("k1", value + "!")
        pipe.get("k1")
        assert pipe.execute() == [True, "1!"]
        pipe.watch("k1")
        client.set("k1", "elsewhere")
        pipe.multi()
        pipe.set("k1", "mine")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    with client.pipeline(transaction=False) as pipe:
        pipe.set("s", "x").lpush("s", 1).get("s")
        done = pipe.execute(raise_on_error=False)
    assert done[0] is True
    assert isinstance(done[1], redis.ResponseError)
    assert done[2] == "x"


def test_values_of_every_type(client: Client) -> None:
    client.hset("h", mapping={"a": 1, "b": 2})
    assert client.hgetall("h") == {"a": "1", "b": "2"}
    client.zadd("z", {"one": 1, "half": 0.5})
    assert client.zscore("z", "half") == 0.5
    pairs = client.zrange("z", 0, -1, withscores=True)
    assert [tuple(pair) for pair in pairs] == [("half", 0.5), ("one", 1.0)]
    client.sadd("s", "a", "b")
    assert set(client.smembers("s")) == {"a", "b"}
    first = client.xadd("x", {"f": "v"})
    assert client.xrange("x") == [(first, {"f": "v"})]
    client.xgroup_create("x", "g", "0")
    assert client.xreadgroup("g", "me", {"x": ">"})
    assert client.xpending("x", "g")["pending"] == 1
    client.geoadd("g", (13.4, 52.5, "berlin"))
    assert client.geodist("g", "berlin", "berlin") == 0.0
    assert client.eval("return {1, 'a', {2}}", 0) == [1, "a", [2]]
    assert client.info("keyspace")["db0"]["keys"] == 5
    assert client.execute_command("TFCALL", "lib.add", 0, 2, 3) == 5


@pytest.fixture(autouse=True)
def library(engine: Engine) -> None:
    engine.load(LIBRARY)


def test_iterators(client: Client) -> None:
    client.mset({f"k{i}": i for i in range(500)})
    client.sadd("s", *range(500))
    assert len(set(client.scan_iter("k*", count=50))) == 500
    assert list(client.scan_iter(_type="set")) == ["s"]
    assert len(set(client.sscan_iter("s"))) == 500


def test_publish_and_subscribe(client: Client) -> None:
    with client.pubsub() as listener:
        listener.subscribe("c")
        listener.psubscribe("p*")
        assert [listener.get_message(timeout=5)["type"] for _ in range(2)] == [
            "subscribe",
            "psubscribe",
        ]
        assert client.publish("c", "one") == 1
        assert client.publish("pq", "two") == 1
        messages = [listener.get_message(timeout=5) for _ in range(2)]
        assert [m["data"] for m in messages] == ["one", "two"]
        listener.unsubscribe("c")
        assert listener.get_message(timeout=5)["type"] == "unsubscribe"


def test_a_listener_on_a_thread_hears_keyspace_events(client: Client) -> None:
    client.config_set("notify-keyspace-events", "KEA")
    heard: list[str] = []
    enough = threading.Event()

    def hear(message: dict[str, str]) -> None:
        heard.append(message["data"])
        if len(heard) == 3:
            enough.set()

    listener = client.pubsub()
    listener.psubscribe(**{"__keyspace@0__:user:*": hear})
    assert listener.get_message(timeout=5)["type"] == "psubscribe"
    thread = listener.run_in_thread(sleep_time=0.01)
    client.hset("user:1", "f", "v")
    client.expire("user:1", 100)
    client.delete("user:1")
    assert enough.wait(10)
    thread.stop()
    thread.join()
    assert heard == ["hset", "expire", "del"]


def test_locks(client: Client) -> None:
    total = 0

    def work() -> None:
        nonlocal total
        for _ in range(5):
            with client.lock("lock", timeout=10, sleep=0.001):
                seen = total
                time.sleep(0.0005)
                total = seen + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == 20
    held = client.lock("lock", timeout=10)
    assert held.acquire()
    assert not client.lock("lock").acquire(blocking=False)
    assert held.extend(5)
    held.release()
    with pytest.raises(redis.exceptions.LockError):
        held.release()


def test_blocking_commands(client: Client) -> None:
    assert client.blpop("l", timeout=0.02) is None
    done: list[object] = []
    waits: list[Callable[[], object]] = [
        lambda: client.blpop(["l1", "l2"], timeout=10),
        lambda: client.blmove("l3", "l4", 10),
        lambda: client.bzpopmin("z", timeout=10),
        lambda: client.xread({"x": "$"}, block=10_000),
    ]
    threads = [
        threading.Thread(target=lambda wait=wait: done.append(wait())) for wait in waits
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while client.info("clients")["blocked_clients"] < len(waits):
        assert time.monotonic() < deadline
    client.rpush("l2", "a")
    client.rpush("l3", "b")
    client.zadd("z", {"m": 1})
    client.xadd("x", {"f": "v"})
    for thread in threads:
        thread.join(10)
    assert len(done) == 4
    assert client.lrange("l4", 0, -1) == ["b"]


def test_users(client: Client, server: Server) -> None:
    client.acl_setuser(
        "reader", enabled=True, passwords=["+x"], categories=["+@read"], keys=["a*"]
    )
    reader = redis.Redis(port=server.port, username="reader", password="x")
    assert reader.get("a") is None
    with pytest.raises(redis.exceptions.NoPermissionError):
        reader.set("a", 1)
    reader.close()
    with pytest.raises(redis.AuthenticationError, match="invalid username-password"):
        redis.Redis(
            port=server.port, username="reader", password="y", retry=NEVER
        ).ping()
    (entry,) = [e for e in client.acl_log() if e["reason"] == "auth"]
    assert entry["username"] == "reader"


def test_monitor(client: Client) -> None:
    with client.monitor() as monitor:
        client.set("a b", 1)
        # Its own greetings come first, if it has to connect.
        while (line := monitor.next_command())["command"] != "SET a b 1":
            assert line["command"].startswith(("CLIENT SETINFO", "HELLO"))
        assert line["client_type"] == "tcp"


def test_client_side_caching(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # It asks for 7.4, but nothing it uses is later than 6.
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "7.2.0")
    cached = redis.Redis(port=server.port, protocol=3, cache_config=CacheConfig())
    other = redis.Redis(port=server.port)
    other.set("a", 1)
    assert cached.get("a") == cached.get("a") == b"1"
    assert cached.get_cache().size == 1
    other.set("a", 2)
    deadline = time.monotonic() + 10
    while cached.get("a") != b"2":
        assert time.monotonic() < deadline
    assert cached.get_cache().size == 1
    cached.close()
    other.close()


def test_asyncio(server: Server) -> None:
    async def session(protocol: int) -> None:
        client = redis.asyncio.Redis(port=server.port, protocol=protocol)
        await client.flushdb()
        async with client.pipeline(transaction=True) as pipe:
            pipe.set("a", 1).incr("a").get("a")
            assert await pipe.execute() == [True, 2, b"2"]
        assert await asyncio.gather(*(client.incr("n") for _ in range(50)))
        assert await client.get("n") == b"50"
        waiting = asyncio.create_task(client.blpop("l", timeout=10))
        while (await client.info("clients"))["blocked_clients"] == 0:
            await asyncio.sleep(0)
        await client.rpush("l", "x")
        assert [*(await waiting)] == [b"l", b"x"]
        async with client.pubsub() as listener:
            await listener.subscribe("c")
            assert (await listener.get_message(timeout=5))["type"] == "subscribe"
            await client.publish("c", "m")
            assert (await listener.get_message(timeout=5))["data"] == b"m"
        async with client.lock("lock", timeout=5):
            assert await client.exists("lock") == 1
        assert [key async for key in client.scan_iter("a*")] == [b"a"]
        assert await client.execute_command("TFCALLASYNC", "lib.later", 0, "n") == 51
        await client.aclose()

    asyncio.run(session(2))
    asyncio.run(session(3))
