"""redis-py on an engine in this process behaves as redis-py on a server."""

from __future__ import annotations

import inspect
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

import trignb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oracle.server import RedisServer


_HAS_LEGACY_RESPONSES = "legacy_responses" in inspect.signature(redis.Redis).parameters


@pytest.fixture(params=[2, 3])
def client(engine: trignb.Engine, request: pytest.FixtureRequest) -> redis.Redis:
    """A client in each protocol."""
    return engine.client(protocol=request.param)


@pytest.fixture
def text_client(engine: trignb.Engine) -> redis.Redis:
    """A client that decodes."""
    return engine.client(decode_responses=True)


def test_is_a_redis_client(client: redis.Redis) -> None:
    assert type(client) is redis.Redis


def test_shares_its_keys_with_the_engine(
    engine: trignb.Engine, client: redis.Redis
) -> None:
    assert client.set("k", "v") is True
    assert engine.execute("GET", "k") == b"v"
    engine.execute("SET", "k", "w")
    assert client.get("k") == b"w"


def test_decodes_when_asked(text_client: redis.Redis) -> None:
    text_client.hset("h", mapping={"f": "ä", "g": 2})
    assert text_client.hgetall("h") == {"f": "ä", "g": "2"}
    assert text_client.get("none") is None


def test_keeps_bytes_otherwise(client: redis.Redis) -> None:
    client.hset("h", mapping={"f": b"\xff\x00"})
    assert client.hgetall("h") == {b"f": b"\xff\x00"}


def test_takes_another_encoding(engine: trignb.Engine) -> None:
    client = engine.client(encoding="latin-1", decode_responses=True)
    client.set("k", "ä")
    assert engine.execute("GET", "k") == b"\xe4"
    assert client.get("k") == "ä"


def test_floats_and_sizes_arrive_as_redis_py_gives_them(client: redis.Redis) -> None:
    client.set("k", 10)
    assert client.incrbyfloat("k", 0.5) == 10.5
    assert client.append("k", "0") == 5


def test_rejects_what_redis_py_rejects(client: redis.Redis) -> None:
    with pytest.raises(redis.DataError):
        client.set("k", object())  # type: ignore[arg-type]


def test_error_is_redis_pys_own(client: redis.Redis) -> None:
    client.hset("h", "f", "v")
    with pytest.raises(redis.ResponseError, match="^WRONGTYPE Operation against"):
        client.get("h")
    with pytest.raises(redis.ResponseError, match="^unknown command 'NONSENSE'"):
        client.execute_command("NONSENSE")
    assert client.ping() is True


def test_selects_its_database(engine: trignb.Engine) -> None:
    engine.client(db=3).set("k", "v")
    engine.execute("SELECT", 3)
    assert engine.execute("GET", "k") == b"v"


def test_says_its_name(engine: trignb.Engine) -> None:
    assert (
        engine.client(client_name="me", decode_responses=True).client_getname() == "me"
    )


def test_invalid_database_is_refused(engine: trignb.Engine) -> None:
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        engine.client(db=99).ping()


@pytest.mark.parametrize(
    "name", ["host", "port", "ssl", "unix_socket_path", "nonsense"]
)
def test_network_argument_is_refused(engine: trignb.Engine, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        engine.client(**{name: "x"})


def test_repr_names_the_engine(client: redis.Redis) -> None:
    assert "trignb.Engine" in repr(client)


# -- pipelines and transactions


def test_pipeline_returns_replies_in_order(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipe:
        pipe.set("a", 1).incr("a").get("a")
        assert pipe.execute() == [True, 2, b"2"]


def test_transaction_is_one_unit(engine: trignb.Engine, client: redis.Redis) -> None:
    batches: list[Any] = []
    engine.core.sinks.append(batches.append)
    engine.core.sinks_changed()
    with client.pipeline() as pipe:
        pipe.set("a", 1)
        pipe.incr("a")
        assert pipe.execute() == [True, 2]
    assert [args[0] for _, args in batches[0]] == [b"MULTI", b"SET", b"INCRBY", b"EXEC"]


def test_error_inside_a_transaction_is_an_exception_object(client: redis.Redis) -> None:
    with client.pipeline() as pipe:
        pipe.set("a", "text")
        pipe.incr("a")
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True
    assert type(replies[1]) is redis.ResponseError
    assert "not an integer" in str(replies[1])


def test_error_at_queue_time_aborts(client: redis.Redis) -> None:
    with client.pipeline() as pipe:
        pipe.set("a", 1)
        pipe.execute_command("GET")
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            pipe.execute()
    assert client.get("a") is None


def test_watch_sees_a_change_by_another_client(
    engine: trignb.Engine, client: redis.Redis
) -> None:
    client.set("k", 1)
    with client.pipeline() as pipe:
        pipe.watch("k")
        engine.execute("SET", "k", 2)
        pipe.multi()
        pipe.set("k", 3)
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.get("k") == b"2"


def test_transaction_helper_retries(client: redis.Redis) -> None:
    client.set("k", 1)
    seen = []

    def add_one(pipe: Any) -> None:
        value = int(pipe.get("k"))
        if not seen:
            client.set("k", 10)
        seen.append(value)
        pipe.multi()
        pipe.set("k", value + 1)

    client.transaction(add_one, "k")
    assert seen == [1, 10]
    assert client.get("k") == b"11"


# -- pub/sub


def next_message(pubsub: Any) -> Any:
    """Return the next message within a moment."""
    return pubsub.get_message(timeout=2)


def test_subscriber_gets_messages(client: redis.Redis) -> None:
    pubsub = client.pubsub()
    pubsub.subscribe("news")
    pubsub.psubscribe("n*")
    assert next_message(pubsub)["type"] == "subscribe"
    assert next_message(pubsub)["type"] == "psubscribe"
    assert client.publish("news", "hello") == 2
    assert next_message(pubsub) == {
        "type": "message",
        "pattern": None,
        "channel": b"news",
        "data": b"hello",
    }
    assert next_message(pubsub)["pattern"] == b"n*"
    assert pubsub.get_message(timeout=0) is None
    pubsub.close()
    assert client.publish("news", "hello") == 0


def test_subscriber_hears_keyspace_events(
    engine: trignb.Engine, text_client: redis.Redis
) -> None:
    text_client.config_set("notify-keyspace-events", "KEA")
    pubsub = text_client.pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe("__key*__:*")
    pubsub.get_message(timeout=1)
    engine.execute("SET", "k", "v")
    messages = [next_message(pubsub) for _ in range(2)]
    assert [(m["channel"], m["data"]) for m in messages] == [
        ("__keyspace@0__:k", "set"),
        ("__keyevent@0__:set", "k"),
    ]


def test_timeout_passes_without_a_message(client: redis.Redis) -> None:
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("news")
    pubsub.get_message(timeout=1)
    start = time.monotonic()
    assert pubsub.get_message(timeout=0.1) is None
    assert time.monotonic() - start >= 0.09


def test_listening_thread_is_woken(client: redis.Redis) -> None:
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("news")
    heard: list[Any] = []

    def listen() -> None:
        for message in pubsub.listen():
            heard.append(message["data"])
            if message["data"] == b"stop":
                return

    thread = threading.Thread(target=listen)
    thread.start()
    client.publish("news", "one")
    client.publish("news", "stop")
    thread.join(5)
    assert not thread.is_alive()
    assert heard == [b"one", b"stop"]


def test_handler_thread_of_redis_py_works(client: redis.Redis) -> None:
    arrived = threading.Event()
    pubsub = client.pubsub()
    pubsub.subscribe(news=lambda message: arrived.set())
    worker = pubsub.run_in_thread(sleep_time=0.05, daemon=True)
    client.publish("news", "x")
    assert arrived.wait(5)
    worker.stop()
    worker.join(5)
    assert not worker.is_alive()


def test_unsubscribed_client_hears_nothing_more(client: redis.Redis) -> None:
    pubsub = client.pubsub()
    pubsub.subscribe("a", "b")
    pubsub.unsubscribe("a")
    kinds = [next_message(pubsub)["type"] for _ in range(3)]
    assert kinds == ["subscribe", "subscribe", "unsubscribe"]
    assert client.publish("a", "x") == 0
    assert client.publish("b", "x") == 1


def test_subscriber_of_resp2_may_ping(engine: trignb.Engine) -> None:
    pubsub = engine.client(protocol=2).pubsub()
    pubsub.subscribe("news")
    next_message(pubsub)
    pubsub.ping("hi")
    assert next_message(pubsub) == {
        "type": "pong",
        "pattern": None,
        "channel": None,
        "data": b"hi",
    }


# -- connections


def test_health_checks_pass(engine: trignb.Engine) -> None:
    client = engine.client(health_check_interval=1)
    client.set("k", "v")
    take = client.connection_pool.get_connection
    # redis-py 5 wants the name of a command, which later ones warn of.
    name = inspect.signature(take).parameters["command_name"]
    args = ["PING"] if name.default is inspect.Parameter.empty else []
    take(*args).next_health_check = 0
    assert client.get("k") == b"v"


def test_connection_goes_back_to_the_pool(
    engine: trignb.Engine, client: redis.Redis
) -> None:
    for _ in range(20):
        client.ping()
    pool: Any = client.connection_pool
    assert pool._created_connections == 1


def test_closed_client_leaves_the_engine(engine: trignb.Engine) -> None:
    client = engine.client()
    client.ping()
    before = len(engine.core.sessions)
    client.close()
    assert len(engine.core.sessions) == before - 1


def test_closed_client_connects_again(client: redis.Redis) -> None:
    client.set("k", "v")
    client.close()
    assert client.get("k") == b"v"


def test_threads_have_connections_of_their_own(client: redis.Redis) -> None:
    def count() -> None:
        for _ in range(200):
            client.incr("n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("n") == b"800"


def test_single_connection_client_works(engine: trignb.Engine) -> None:
    with engine.client(single_connection_client=True) as client:
        client.set("k", "v")
        assert client.get("k") == b"v"


def test_closed_engine_is_a_lost_connection(engine: trignb.Engine) -> None:
    client = engine.client()
    client.ping()
    engine.close()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    with pytest.raises(redis.ConnectionError):
        engine.client().ping()


def test_listener_learns_that_the_engine_closed(engine: trignb.Engine) -> None:
    pubsub = engine.client().pubsub()
    pubsub.subscribe("news")
    next_message(pubsub)
    failures: list[BaseException] = []

    def listen() -> None:
        try:
            next(pubsub.listen())
        except redis.ConnectionError as error:
            failures.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    engine.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(failures) == 1


# -- the same calls on a real server


@pytest.fixture
def server_client(oracle: RedisServer) -> Iterator[redis.Redis]:
    """redis-py on the oracle."""
    client = redis.Redis(port=oracle.port)
    client.flushall()
    yield client
    client.close()


CALLS: list[tuple[Any, ...]] = [
    ("set", "k", "10"),
    ("get", "k"),
    ("incrbyfloat", "k", 0.5),
    ("mset", {"a": 1, "b": 2}),
    ("mget", "a", "b", "none"),
    ("hset", "h", "f", 1),
    ("hgetall", "h"),
    ("hmget", "h", ["f", "g"]),
    ("hincrbyfloat", "h", "f", 0.25),
    ("hrandfield", "h", 1, True),
    ("hscan", "h"),
    ("exists", "a", "b", "none"),
    ("expire", "a", 100),
    ("ttl", "a"),
    ("persist", "a"),
    ("type", "h"),
    ("keys", "h*"),
    ("scan",),
    ("delete", "a", "b", "none"),
    ("get", "h"),
    ("incr", "h"),
    ("time",),
    ("dbsize",),
    ("echo", "x"),
    ("config_get", "maxmemory"),
    ("object", "encoding", "k"),
    ("lcs", "k", "k", False, True),
    ("execute_command", "SET", "k"),
    ("execute_command", "FLUSHDB", "NONSENSE"),
]


def answer(client: Any, name: str, args: tuple[Any, ...]) -> Any:
    """Return a call's result, or its error as a value."""
    try:
        return getattr(client, name)(*args)
    except redis.RedisError as error:
        return (type(error), str(error))


@pytest.mark.oracle
@pytest.mark.parametrize(
    "options", [{}, {"decode_responses": True}], ids=["bytes", "str"]
)
@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "plain"])
def test_redis_py_gives_the_same_as_on_a_server(
    engine: trignb.Engine,
    server_client: redis.Redis,
    oracle: RedisServer,
    protocol: int,
    options: dict[str, Any],
    legacy: bool,
) -> None:
    options = {**options, "protocol": protocol}
    if _HAS_LEGACY_RESPONSES:
        options["legacy_responses"] = legacy
    elif legacy:
        pytest.skip("redis-py 8 brought another form of replies")
    engine.clock.resume()
    ours = engine.client(**options)
    theirs = redis.Redis(port=oracle.port, **options)
    for name, *args in CALLS:
        mine, other = answer(ours, name, tuple(args)), answer(theirs, name, tuple(args))
        if name in ("time", "scan"):
            assert type(mine) is type(other), name
        else:
            assert (type(mine), mine) == (type(other), other), (name, args)
    theirs.close()
