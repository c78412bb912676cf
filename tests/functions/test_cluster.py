"""Section 10 on one shard, and the commands by which shards know each other."""

from __future__ import annotations

import threading

import pytest

from functions.libraries import error_of, eventually

LIBRARY = """
const caught = async (p) => { try { return await p(); } catch (e) { return [typeof e, e]; } };
redis.registerClusterFunction('echo', async (client, ...args) => args);
redis.registerClusterFunction('types', async (client, ...args) =>
    args.map(a => a instanceof ArrayBuffer ? 'buffer ' + a.byteLength : typeof a));
redis.registerClusterFunction('bytes', async (client, b) => b);
redis.registerClusterFunction('undefined', async () => {});
redis.registerClusterFunction('function', async () => () => 1);
redis.registerClusterFunction('bigint', async () => 1n);
redis.registerClusterFunction('throws', async () => { throw new TypeError('no'); });
redis.registerClusterFunction('string', async () => { throw 'plain'; });
redis.registerClusterFunction('never', async () => new Promise(() => {}));
redis.registerClusterFunction('slow', async () => { const end = Date.now() + 150; while (Date.now() < end); return 1; });
redis.registerClusterFunction('write', async (client) => client.block(c => c.call('set', 'k', 'v')));
redis.registerClusterFunction('read', async (client) => client.block(c => c.call('incr', 'k').toString()));
redis.registerClusterFunction('get', async (client) => client.block(c => c.call('get', 'k')));
redis.registerClusterFunction('whoami', async (client) => client.block(c => c.call('acl', 'whoami')));
redis.registerClusterFunction('nested', async (client) => client.runOnKey('k', 'write'));
redis.registerClusterFunction('deeper', async (client) =>
    client.runOnKey('k', 'nested'));
redis.registerClusterFunction('inBlock', async (client) => client.block(c => c.executeAsync(async d =>
    d.block(e => e.call('set', 'k', 'v')))));
redis.registerAsyncFunction('onKey', async (client, ...args) => caught(() => client.runOnKey('k', ...args)));
redis.registerAsyncFunction('onShards', async (client, ...args) => caught(() => client.runOnShards(...args)));
redis.registerAsyncFunction('js', async (client, code) =>
    caught(() => Function('client', 'return ' + code)(client)));
"""


@pytest.fixture
def library(load):
    return load(LIBRARY)


def on_key(engine, *args):
    return engine.execute("TFCALLASYNC", "lib.onKey", 0, *args)


def on_shards(engine, *args):
    return engine.execute("TFCALLASYNC", "lib.onShards", 0, *args)


def js(engine, code):
    return engine.execute("TFCALLASYNC", "lib.js", 0, code)


def test_serialisation(engine, library) -> None:
    assert on_key(engine, "echo", "a", "é") == [b"a", "é".encode()]
    assert js(
        engine,
        "client.runOnKey('k', 'types', 1, 'a', null, [1], {a: 1}, true, new ArrayBuffer(3), new Uint8Array(2))",
    ) == [
        b"number",
        b"string",
        b"object",
        b"object",
        b"object",
        b"boolean",
        b"buffer 3",
        b"object",
    ]
    code = "client.runOnKey('k', 'echo', {a: [1, {b: undefined, c: new Date(0)}], d: () => 1})"
    assert js(engine, code) == [{b"a": [1, {b"c": b"1970-01-01T00:00:00.000Z"}]}]
    code = "client.runOnKey('k', 'bytes', new Uint8Array([255, 0, 10]).buffer)"
    assert js(engine, code) == b"\xff\0\n"
    # The key may be anything that is bytes.
    for key in ("new String('x')", "new ArrayBuffer(1)", "''"):
        assert js(engine, f"client.runOnKey({key}, 'echo')") == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("client.runOnKey('k', 'echo', 1n)", "Failed serializing arguments"),
        ("(() => { const a = []; a.push(a); return client.runOnShards('echo', a); })()", "Failed serializing arguments"),
        ("client.runOnKey('k', 'echo', undefined)", "Failed deserializing remote function argument"),
        ("client.runOnKey('k', 'echo', () => 1)", "Failed deserializing remote function argument"),
        ("client.runOnKey('k', 'undefined')", "Failed deserializing remote function result"),
        ("client.runOnKey('k', 'function')", "Failed deserializing remote function result"),
        ("client.runOnKey('k', 'bigint')", "Failed serializing result, TypeError: Do not know how to serialize a BigInt."),
        ("client.runOnKey('k', 'none')", "Remote function none does not exists on library lib"),
        ("client.runOnKey('k', 'throws')", "TypeError: no"),
        ("client.runOnKey('k', 'string')", "plain"),
        ("client.runOnKey('k', 'write')", "ERR Write command 'set' was called while write is not allowed."),
        ("client.runOnKey('k', 'nested')", "ERR Write command 'set' was called while write is not allowed."),
        ("client.runOnKey('k', 'deeper')", "ERR Write command 'set' was called while write is not allowed."),
        ("client.runOnKey('k', 'inBlock')", "ERR Write command 'set' was called while write is not allowed."),
        (
            "client.runOnKey(1, 'echo')",
            ("Can not convert value at position 0 into V8RedisCallArgs."
             " Can not convert value into bytes buffer."),
        ),
        ("client.runOnKey('k', 1)", "Can not convert value at position 1 into V8LocalUtf8. Value is not string."),
        ("client.runOnKey('k')", "Can not convert value at position 1 into V8LocalUtf8. Wrong number of arguments given."),
        ("client.runOnShards()", "Can not convert value at position 0 into V8LocalUtf8. Wrong number of arguments given."),
    ],
)  # fmt: skip
def test_errors(engine, library, code, text) -> None:
    assert js(engine, code) == [b"string", text.encode()]


def test_run_on_shards(engine, library) -> None:
    assert on_shards(engine, "echo", "a") == [[[b"a"]], []]
    assert on_shards(engine, "throws") == [[], [b"TypeError: no"]]
    assert on_shards(engine, "none") == [
        [],
        [b"Remote function none does not exists on library lib"],
    ]
    assert on_shards(engine, "undefined") == [
        [],
        [b"Failed deserializing remote function result 'undefined'"],
    ]
    assert js(engine, "client.runOnShards('echo', undefined)") == [
        [],
        [b"Failed deserializing remote function argument"],
    ]


def test_the_timeout_is_for_run_on_shards(engine, library) -> None:
    engine.clock.resume()
    engine.execute("TCONFIG_SET", "remote-task-default-timeout", "50")
    assert on_shards(engine, "never") == [[], [b"Timeout"]]
    # It may be changed any time, and there is none for one key of this shard.
    assert on_key(engine, "slow") == 1
    engine.execute("TCONFIG_SET", "remote-task-default-timeout", "5000")
    assert on_shards(engine, "slow") == [[1], []]


def test_errors_are_never_verbose(engine, library) -> None:
    engine.execute("TCONFIG_SET", "error-verbosity", "2")
    assert on_key(engine, "throws") == [b"string", b"TypeError: no"]


def test_also_on_replicas_and_without_memory(engine, load) -> None:
    load(
        """redis.registerClusterFunction('get', async (client) => client.block(c => c.call('get', 'k')));
redis.registerAsyncFunction('f', async (client) => client.runOnKey('k', 'get'), {flags: ['no-writes']});"""
    )
    engine.execute("SET", "k", "v")
    engine.core.is_replica = True
    engine.library_registry.out_of_memory = lambda: True
    assert engine.execute("TFCALLASYNC", "lib.f", 0) == b"v"


def test_the_calling_user(engine, library) -> None:
    engine.execute("ACL", "SETUSER", "alice", "on", "nopass", "~*", "+@all", "-get")
    session = engine.session()
    session.execute("AUTH", "alice", "x")
    assert session.execute("TFCALLASYNC", "lib.onKey", 0, "get") == [
        b"string",
        b"NOPERM User alice has no permissions to run the 'get' command",
    ]


def test_a_library_that_was_deleted(engine, load) -> None:
    library = load(
        LIBRARY
        + """redis.registerAsyncFunction('later', async (client) => {
    for (;;) {
        try { client.block(c => c.call('exists', 'go')); } catch (e) { break; }
    }
    return [await caught(() => client.runOnKey('k', 'echo')), await client.runOnShards('echo')];
});"""
    )
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(engine.execute("TFCALLASYNC", "lib.later", 0))
    )
    thread.start()
    eventually(lambda: library.functions["later"].calls == 1)
    engine.execute("TFUNCTION", "DELETE", "lib")
    thread.join(10)
    text = b"Library lib does not exists on remote shard"
    assert replies == [[[b"string", text], [[], [text]]]]


# -- the commands that clients send when they start


def test_commands_of_shards(engine) -> None:
    run = engine.execute
    assert run("REDISGEARS_2.REFRESHCLUSTER") == "OK"
    assert run("redisgears_2.refreshcluster") == "OK"
    assert run("REDISGEARS_2.FORCESHARDSCONNECTION") == "OK"
    assert run("REDISGEARS_2.NETWORKTEST") == "OK"
    assert run("REDISGEARS_2.INFOCLUSTER") == "no cluster mode"
    assert run("REDISGEARS_2.HELLO") == engine.core.run_id.encode()
    for name in ("CLUSTERSET", "CLUSTERSETFROMSHARD", "INNERCOMMUNICATION"):
        assert error_of(run, f"REDISGEARS_2.{name}", "x").startswith(
            "ERR the engine is"
        )
