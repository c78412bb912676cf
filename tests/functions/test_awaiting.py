"""Calls from Python: with a time limit, and awaited."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from functions.libraries import eventually, lib
from trignb.errors import JavaScriptError, ResponseError

LIBRARY = """
redis.registerFunction('sync', (client, ...args) => args);
redis.registerFunction('queued', (client, v) => new Promise(resolve => resolve(v)));
redis.registerAsyncFunction('incr', async (client, k) => client.block(c => c.call('incr', k)));
redis.registerAsyncFunction('fails', async () => { throw new TypeError('no'); });
redis.registerAsyncFunction('never', () => new Promise(() => {}));
redis.registerFunction('pop', (client, key) => client.callAsync('blpop', key, '0'));
redis.registerAsyncFunction('when', async (client, key) => {
    while (client.block(c => c.call('exists', 'go')) == 0);
    client.block(c => c.call('set', key, 'done'));
});
redis.registerFunction('db', (client) => client.call('get', 'where'));
redis.registerFunction('me', (client) => client.call('acl', 'whoami'));
"""


@pytest.fixture
def library(load):
    return load(LIBRARY)


# -- with a time limit


def test_call_with_a_timeout(engine, library) -> None:
    assert engine.call("lib.incr", ["n"], timeout=10) == 1
    assert engine.call("lib.sync", ["k"], [1, 2.5, b"\xc3\xa9"], timeout=10) == [
        b"k",
        b"1",
        b"2.5",
        "é".encode(),
    ]
    assert engine.call("lib.queued", args=["v"], timeout=10) == b"v"
    with pytest.raises(JavaScriptError, match="^TypeError: no$") as caught:
        engine.call("lib.fails", timeout=10)
    assert caught.value.line == 6
    with pytest.raises(ResponseError, match="^Unknown function none$"):
        engine.call("lib.none", timeout=10)


def test_a_call_that_takes_too_long(engine, library) -> None:
    started = time.monotonic()
    with pytest.raises(
        TimeoutError, match=r"^the function did not answer within 0\.1 s$"
    ):
        engine.call("lib.when", args=["k"], timeout=0.1)
    assert 0.1 <= time.monotonic() - started < 2
    with pytest.raises(TimeoutError):
        engine.call("lib.when", args=["k"], timeout=0)
    # It goes on, and its client is free again.
    engine.execute("SET", "go", "1")
    eventually(lambda: engine.execute("GET", "k") == b"done")


# -- awaited


def test_await(engine, library) -> None:
    async def main():
        return [
            await engine.call_async("lib.incr", ["n"]),
            await engine.call_async("lib.sync", ["k"], [1]),
            await engine.call_async("lib.queued", args=["v"]),
        ]

    assert asyncio.run(main()) == [1, [b"k", b"1"], b"v"]


def test_errors(engine, library) -> None:
    with pytest.raises(JavaScriptError, match="^TypeError: no$") as caught:
        asyncio.run(engine.call_async("lib.fails"))
    assert caught.value.line == 6
    with pytest.raises(ResponseError, match="^Unknown library none$"):
        asyncio.run(engine.call_async("none.f"))


def test_many_at_once_and_the_loop_goes_on(engine, library) -> None:
    ticks = []

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.005)

    async def main():
        ticking = asyncio.create_task(tick())
        pops = [
            asyncio.create_task(engine.call_async("lib.pop", [f"l{i}"]))
            for i in range(20)
        ]
        await asyncio.sleep(0.1)
        assert not any(pop.done() for pop in pops)
        for i in range(20):
            engine.execute("RPUSH", f"l{i}", i)
        replies = await asyncio.gather(*pops)
        ticking.cancel()
        return replies

    assert asyncio.run(main()) == [[b"l%d" % i, b"%d" % i] for i in range(20)]
    assert len(ticks) > 5


def test_cancelling(engine, library) -> None:
    clients = len(engine.core.sessions)

    async def main() -> None:
        call = asyncio.create_task(engine.call_async("lib.when", args=["k"]))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.call_async("lib.never"), 0.05)

    asyncio.run(main())
    assert len(engine.core.sessions) <= clients + 1
    # The loop is closed, the function goes on, and nobody is in its way.
    engine.execute("SET", "go", "1")
    eventually(lambda: engine.execute("GET", "k") == b"done")
    assert engine.call("lib.sync", args=[1]) == [b"1"]


def test_the_caller_s_user_and_database(engine, library) -> None:
    engine.execute("ACL", "SETUSER", "alice", "on", "nopass", "~*", "+@all")
    engine.execute("AUTH", "alice", "x")
    engine.execute("SELECT", 3)
    engine.execute("SET", "where", "three")
    assert asyncio.run(engine.call_async("lib.db")) == b"three"
    assert engine.call("lib.db", timeout=1) == b"three"


def test_closing_the_engine_ends_it(engine, library) -> None:
    async def main() -> str:
        call = asyncio.create_task(engine.call_async("lib.never"))
        await asyncio.sleep(0.05)
        threading.Timer(0.05, engine.close).start()
        try:
            await asyncio.wait_for(call, 10)
        except ResponseError as error:
            return str(error)
        return "no error"

    assert asyncio.run(main()) != "no error"


# -- what went wrong, what was said

ERROR_DTYPES = {
    "time": "datetime64[ms, UTC]",
    "library": "str",
    "kind": "category",
    "name": "str",
    "event": "str",
    "key": "str",
    "message": "str",
    "line": "Int64",
    "column": "Int64",
    "stack": "str",
}


def dtypes(frame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def test_errors_of_libraries(engine) -> None:
    frame = engine.errors()
    assert len(frame) == 0
    assert dtypes(frame) == ERROR_DTYPES
    assert (frame.index.name, str(frame.index.dtype)) == ("seq", "int64")
    code = """function inner(x) {
    return x.missing.field;
}
redis.registerFunction('f', () => inner({}));
redis.registerAsyncFunction('a', async (client) => client.block(c => c.call('incr', 'text')));
redis.registerKeySpaceTrigger('t', 'k', () => { throw 'a string'; });
redis.registerStreamTrigger('s', 'stream', () => { throw new Error('record'); });
redis.registerFunction('rejects', () => (async () => { throw new Error('later'); })());"""
    engine.load(lib(code))
    engine.execute("SET", "text", "x")
    for attempt in (
        lambda: engine.call("lib.f"),
        lambda: engine.call("lib.a", timeout=10),
        lambda: engine.call("lib.rejects"),
        lambda: engine.load(lib("redis.registerFunction('f', ;", "broken")),
        lambda: engine.load(lib("throw new Error('x')", "throws")),
        lambda: engine.load("no prologue"),
    ):
        with pytest.raises(ResponseError):
            attempt()
    engine.execute("SET", "k", "v")
    engine.execute("XADD", "stream", "*", "f", "v")
    frame = engine.errors()
    assert dtypes(frame) == ERROR_DTYPES
    assert frame.index.tolist() == list(range(1, 9))
    assert frame["kind"].tolist() == [
        *["function"] * 3,
        *["load"] * 3,
        "keyspace_trigger",
        "stream_trigger",
    ]
    assert frame["name"].tolist()[:3] == ["f", "a", "rejects"]
    assert frame["name"].isna().tolist() == [False] * 3 + [True] * 3 + [False] * 2
    first = frame.loc[1]
    assert first["library"] == "lib"
    assert first["message"].startswith("TypeError: Cannot read properties of undefined")
    assert (first["line"], first["column"]) == (3, 22)
    # The library's own lines, though error-verbosity is 1.
    assert "at inner (lib.js:3:22)" in first["stack"]
    assert "lib.js:5:" in first["stack"]
    assert "prelude" not in "".join(frame["stack"].dropna())
    assert frame.loc[2, "message"] == "ERR value is not an integer or out of range"
    assert frame.loc[2, "line"] == 6
    assert frame["line"].tolist()[2:5] == [9, 2, 2]
    assert (frame.loc[7, "message"], frame.loc[7, "library"]) == ("a string", "lib")
    assert frame.loc[8, "line"] == 8
    assert frame["event"].isna().tolist() == [True] * 6 + [False] * 2
    assert frame.loc[7, ["event", "key"]].tolist() == ["set", "k"]
    assert frame.loc[8, "event"].endswith("-0")
    assert frame.loc[8, "key"] == "stream"
    assert frame["time"].is_monotonic_increasing
    engine.reset()
    assert len(engine.errors()) == 0


def test_only_the_last_errors_are_kept(engine, load) -> None:
    load("redis.registerFunction('f', () => { throw 'x'; });")
    for _ in range(1003):
        with pytest.raises(ResponseError):
            engine.call("lib.f")
    frame = engine.errors()
    assert (frame.index[0], frame.index[-1], len(frame)) == (4, 1003, 1000)


def test_logs(engine, load) -> None:
    frame = engine.logs()
    wanted = {"time": "datetime64[ms, UTC]", "library": "str", "text": "str"}
    assert (len(frame), dtypes(frame)) == (0, wanted)
    load("redis.log('one'); redis.registerFunction('f', () => redis.log(\"it's\\n\"));")
    engine.call("lib.f")
    load("redis.log('other'); redis.registerFunction('f', () => 1);", name="other")
    with pytest.raises(ResponseError):
        load("redis.log('before it failed'); throw 1;", name="bad")
    # A library that was replaced or deleted has said what it has said.
    engine.execute("TFUNCTION", "DELETE", "lib")
    frame = engine.logs()
    assert dtypes(frame) == wanted
    assert frame["text"].tolist() == [
        "one",
        "it's\n",
        "other",
        "before it failed",
    ]
    assert frame["library"].tolist() == ["lib", "lib", "other", "bad"]
    assert engine.logs("other")["text"].tolist() == ["other"]
