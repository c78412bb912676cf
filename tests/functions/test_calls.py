"""TFCALL and TFCALLASYNC: checks in their order, results, errors, what a function may do."""

from __future__ import annotations

import threading

import pytest

from functions.libraries import error_of, eventually, trigger_of
from trignb.errors import JavaScriptError, ResponseError
from trignb.reply import Status

CANNOT_BLOCK = (
    "Can not block client for background execution, Blocking is not allow inside "
    "multi/exec, Lua, or within another module (RM_Call)."
)
MUST_BE_ASYNC = (
    "The function is declared as async and was called while blocking was not allowed; "
    "note that you cannot invoke async functions from within Lua or MULTI, and you must "
    "use TFCALLASYNC instead."
)


@pytest.fixture
def library(load):
    return load(
        """redis.registerFunction('args', (client, ...args) => args);
redis.registerFunction('raw', (client, a) => a.byteLength, {flags: ['raw-arguments']});
redis.registerFunction('run', (client, ...args) => client.call(...args));
redis.registerFunction('read', (client, ...args) => client.call(...args),
                       {flags: [redis.functionFlags.NO_WRITES]});
redis.registerFunction('settled', (client) => (async () => 'now')());
redis.registerFunction('pending', (client) => client.executeAsync(async () => 'later'));
redis.registerFunction('may', (client) => client.isBlockAllowed());
redis.registerAsyncFunction('declared', (client) => client.call('incr', 'n').toString());
redis.registerAsyncFunction('coroutine', async (client, arg) => {
    return client.block(c => c.call('append', 'text', arg));
});
redis.registerAsyncFunction('fails', async (client) => { throw new Error('boom'); });
redis.registerFunction('throws', () => { throw new Error('first\\nsecond'); });
redis.registerFunction('nothing', () => {});"""
    )


def tfcall(engine, *args):
    return engine.execute("TFCALL", *args)


# -- the checks of docs/semantics.md, Calls


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["lib.args"], "ERR wrong number of arguments for 'tfcall' command"),
        (["args", "x"], "Failed extracting function name"),
        ([b"\xff.a", "0"], "Couldn't parse as UTF-8 string"),
        (["no.args", "x"], "ERR invalid digit found in string"),
        (["no.args", "-1"], "ERR invalid digit found in string"),
        (["no.args", "1.5"], "ERR invalid digit found in string"),
        (["no.args", ""], "ERR cannot parse integer from empty string"),
        (["no.args", str(1 << 64)], "ERR number too large to fit in target type"),
        (["no.args", "0"], "Unknown library no"),
        (["lib.no", "5"], "Unknown function no"),
        (["LIB.args", "0"], "Unknown library LIB"),
        (
            ["lib.args", "3", "a", "b"],
            "Not enough arguments was given, expected at least 3 arguments, got 2 arguments.",
        ),
        (["lib.coroutine", "0"], MUST_BE_ASYNC),
        (["lib.declared", "0"], MUST_BE_ASYNC),
        (["lib.args", "0", b"\xff"], "Can not convert argument to string"),
        (["lib.pending", "0"], CANNOT_BLOCK),
    ],
)
def test_refused(engine, library, args, text) -> None:
    before = engine.snapshot()
    assert error_of(tfcall, engine, *args) == text
    assert engine.snapshot() == before


def test_replicas_and_memory(engine, library) -> None:
    engine.core.is_replica = True
    assert error_of(tfcall, engine, "lib.args", 5) == (
        "Err can not run a function that might perform writes on a replica or when the "
        '"avoid replication traffic" option is enabled'
    )
    assert tfcall(engine, "lib.read", 0, "exists", "x") == 0
    engine.core.is_replica = False
    engine.library_registry.out_of_memory = lambda: True
    assert error_of(tfcall, engine, "lib.args", 5) == (
        "OOM can not run the function when out of memory"
    )
    assert tfcall(engine, "lib.read", 0, "exists", "x") == 0


def test_arguments(engine, library) -> None:
    assert tfcall(engine, "lib.args.ignored", "+1", "k", "a", "é") == [
        b"k",
        b"a",
        "é".encode(),
    ]
    assert tfcall(engine, "lib.raw", 0, b"\xff\x00") == 2
    assert engine.call("lib.args", keys=["k"], args=["a", 1]) == [b"k", b"a", b"1"]


def test_no_return_value_is_the_text_undefined(engine, library) -> None:
    assert tfcall(engine, "lib.nothing", 0) == b"undefined"


def test_a_settled_promise_is_a_reply(engine, library) -> None:
    assert tfcall(engine, "lib.settled", 0) == b"now"


# -- what commands a function may call (docs/semantics.md, Permitted commands)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (
            ["foo", "a", "b"],
            "ERR unknown command 'foo', with args beginning with: 'a' 'b' ",
        ),
        (["config", "foo"], "ERR unknown subcommand 'foo'. Try CONFIG HELP."),
        (["get"], "ERR wrong number of arguments for 'get' command"),
        (["multi"], "ERR command 'multi' is not allowed on script mode"),
        (["MULTI"], "ERR command 'multi' is not allowed on script mode"),
        (
            ["config", "get", "*"],
            "ERR command 'config|get' is not allowed on script mode",
        ),
        (["subscribe", "c"], "ERR command 'subscribe' is not allowed on script mode"),
        (
            ["tfcall", "lib.args", "0"],
            "ERR command 'tfcall' is not allowed on script mode",
        ),
        (
            ["tfunction", "list"],
            "ERR command 'tfunction' is not allowed on script mode",
        ),
        (
            ["lpush", "s", "x"],
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ],
)
def test_commands_refused(engine, library, args, text) -> None:
    engine.execute("SET", "s", "text")
    before = engine.snapshot()
    for function in ("lib.run", "lib.read"):
        expected = text
        if function == "lib.read" and args[0] == "lpush":
            expected = (
                "ERR Write command 'lpush' was called while write is not allowed."
            )
        assert error_of(tfcall, engine, function, 0, *args) == expected
    assert engine.snapshot() == before


def test_no_writes(engine, library) -> None:
    assert error_of(tfcall, engine, "lib.read", 0, "SET", "k", "v") == (
        "ERR Write command 'set' was called while write is not allowed."
    )
    assert tfcall(engine, "lib.read", 0, "exists", "k") == 0


def test_gates_hear_of_the_library_s_commands(engine, library) -> None:
    seen = []
    engine.core.gates.append(
        lambda s, command, args: seen.append((s.user, command.name))
    )
    tfcall(engine, "lib.run", 0, "ping")
    assert seen[-1] == ("default", "ping")


def test_a_user_who_is_gone(engine, library) -> None:
    class Nobody:
        def user_exists(self, user: str) -> bool:
            return False

        def key_denial(self, user: str, key: bytes) -> str | None:
            return "User does not exists or disabled"

    engine.library_registry.set_access(Nobody())
    assert (
        error_of(tfcall, engine, "lib.run", 0, "ping")
        == "User does not exists or disabled"
    )
    engine.library_registry.set_access(None)
    assert tfcall(engine, "lib.run", 0, "ping") == b"PONG"


def test_the_caller_s_database(engine, library) -> None:
    session = engine.session()
    session.execute("SELECT", 3)
    session.execute("TFCALL", "lib.run", 0, "set", "k", "v")
    assert session.execute("GET", "k") == b"v"
    assert engine.execute("GET", "k") is None
    # SELECT in a function concerns one command, itself.
    session.execute("TFCALL", "lib.run", 0, "select", "5")
    assert tfcall(engine, "lib.run", 0, "dbsize") == 0
    assert session.execute("TFCALL", "lib.run", 0, "dbsize") == 1
    assert session.db.index == 3


def test_commands_speak_resp3_whoever_calls(engine, library) -> None:
    engine.execute("HSET", "h", "f", "v")
    assert engine.session(resp=2).execute("TFCALL", "lib.run", 0, "hgetall", "h") == {
        b"f": b"v"
    }
    reply = tfcall(engine, "lib.run", 0, "ping")
    assert reply == b"PONG"
    assert not isinstance(reply, Status)


def test_blocking_commands_do_not_block(engine, library) -> None:
    assert tfcall(engine, "lib.run", 0, "blpop", "l", "0") is None


def test_library_sessions_are_not_clients(engine, library) -> None:
    tfcall(engine, "lib.run", 0, "ping")
    assert len(engine.core.sessions) <= 2  # the thread's own, and the loader's


# -- errors


def test_exceptions(engine, library) -> None:
    with pytest.raises(JavaScriptError) as caught:
        tfcall(engine, "lib.throws", 0)
    error = caught.value
    assert str(error) == "Error: first second"
    assert (error.library, error.line) == ("lib", 15)
    record = engine.library_registry.errors[-1]
    assert (record.library, record.kind, record.item) == ("lib", "function", "throws")
    assert record.message == "Error: first\nsecond"
    engine.execute("TCONFIG_SET", "error-verbosity", "2")
    assert error_of(tfcall, engine, "lib.throws", 0).startswith("Error: first|second|")


def test_statistics(engine, library) -> None:
    tfcall(engine, "lib.args", 0)
    error_of(tfcall, engine, "lib.args", 0, b"\xff")
    error_of(tfcall, engine, "lib.throws", 0)
    error_of(engine.execute, "TFCALLASYNC", "lib.fails", 0)
    functions = library.functions
    assert (functions["args"].calls, functions["args"].failures) == (2, 1)
    assert (functions["throws"].calls, functions["throws"].failures) == (1, 1)
    assert (functions["fails"].calls, functions["fails"].failures) == (1, 1)
    assert functions["args"].total_ns == 0


# -- TFCALLASYNC


def test_async(engine, library) -> None:
    run = engine.execute
    assert run("TFCALLASYNC", "lib.coroutine", 1, "abc") == 3
    assert run("GET", "text") == b"abc"
    assert run("TFCALLASYNC", "lib.declared", 0) == b"1"
    assert run("TFCALLASYNC", "lib.pending", 0) == b"later"
    assert run("TFCALLASYNC", "lib.args", 0, "x") == [b"x"]
    assert error_of(run, "TFCALLASYNC", "lib.fails", 0) == "Error: boom"
    assert error_of(run, "TFCALLASYNC", "lib.no", 0) == "Unknown function no"


def test_block_always_works_in_database_0(engine, library) -> None:
    session = engine.session()
    session.execute("SELECT", 2)
    session.execute("TFCALLASYNC", "lib.coroutine", 0, "abc")
    assert engine.execute("GET", "text") == b"abc"


def test_is_block_allowed(engine, library) -> None:
    assert tfcall(engine, "lib.may", 0) is False
    assert engine.execute("TFCALLASYNC", "lib.may", 0) is True


def test_in_a_transaction(engine, library) -> None:
    run = engine.execute
    run("MULTI")
    run("TFCALL", "lib.may", 0)
    run("TFCALLASYNC", "lib.may", 0)
    run("TFCALL", "lib.coroutine", 0, "x")
    run("TFCALLASYNC", "lib.coroutine", 0, "x")
    run("TFCALLASYNC", "lib.pending", 0)
    run("TFCALL", "lib.run", 0, "set", "k", "v")
    replies = run("EXEC")
    assert replies[:2] == [False, False]
    assert [str(r) for r in replies[2:5]] == [MUST_BE_ASYNC, CANNOT_BLOCK, CANNOT_BLOCK]
    assert all(isinstance(r, ResponseError) for r in replies[2:5])
    assert replies[5] == b"OK"


def test_other_clients_work_while_one_waits(engine, load) -> None:
    load(
        """redis.registerAsyncFunction('wait', async (client) => {
    while (client.block(c => c.call('exists', 'go')) == 0) {}
    return 'gone';
});"""
    )
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(engine.execute("TFCALLASYNC", "lib.wait", 0))
    )
    thread.start()
    for i in range(50):
        engine.execute("SET", f"k{i}", "v")
    assert not replies
    engine.execute("SET", "go", "1")
    thread.join(10)
    assert replies == [b"gone"]


# -- effects


def test_writes_of_functions_fire_no_triggers(engine, load) -> None:
    load(
        """redis.registerFunction('write', c => c.call('set', 'k', 'v'));
redis.registerAsyncFunction('later', async c => c.block(c => c.call('set', 'k', 'v')));
redis.registerKeySpaceTrigger('t', '', c => {});"""
    )
    engine.execute("TFCALL", "lib.write", 0)
    engine.execute("TFCALLASYNC", "lib.later", 0)
    assert trigger_of(engine, "t").num_triggered == 0
    engine.execute("SET", "k", "v")
    assert trigger_of(engine, "t").num_triggered == 1


def test_effects_are_put_down_to_the_function(engine, library) -> None:
    tfcall(engine, "lib.run", 0, "set", "k", "v")
    entry = engine.core.notifications.entries()[-1]
    assert (entry.event, entry.origin, entry.depth) == (b"set", "function", 0)
    assert entry.args == [b"set", b"k", b"v"]
    engine.execute("SET", "k", "v")
    assert engine.core.notifications.entries()[-1].origin == "client"


def test_the_command_log_knows_the_library(engine, library) -> None:
    engine.core.record_commands()
    tfcall(engine, "lib.run", 0, "set", "k", "v")
    error_of(tfcall, engine, "lib.run", 0, "foo")
    records = list(engine.core.commands.records)
    assert [(r.args[0], r.from_library) for r in records] == [
        (b"set", "lib"),
        (b"TFCALL", None),
        (b"foo", "lib"),
        (b"TFCALL", None),
    ]
    assert records[0].n_notifications == 2  # new, set
    assert records[2].error.startswith("ERR unknown command 'foo'")
    event = engine.core.notifications.entries()[-1]
    assert event.command_seq == records[0].seq


def test_call_async_waits_for_a_key(engine, load) -> None:
    library = load(
        """redis.registerAsyncFunction('pop', c => c.callAsync('blpop', 'l', '0'));
redis.registerAsyncFunction('soon', c => c.callAsync('blpop', 'l', '0.05'));
redis.registerAsyncFunction('now', c => c.callAsync('ping'));
redis.registerAsyncFunction('bad', c => c.callAsync('foo'));"""
    )
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(engine.execute("TFCALLASYNC", "lib.pop", 0))
    )
    thread.start()
    eventually(lambda: library.pending_async_calls == ["blpop l 0"])
    engine.execute("RPUSH", "l", "x")
    thread.join(10)
    assert replies == [[b"l", b"x"]]
    assert library.pending_async_calls == []
    assert engine.execute("TFCALLASYNC", "lib.soon", 0) is None
    assert engine.execute("TFCALLASYNC", "lib.now", 0) == b"PONG"
    assert error_of(engine.execute, "TFCALLASYNC", "lib.bad", 0).startswith(
        "ERR unknown command 'foo'"
    )
