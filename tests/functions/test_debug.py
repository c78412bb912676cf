"""TFUNCTION DEBUG (docs/semantics.md, Debug subcommands), and the debugger."""

from __future__ import annotations

import pytest

import trignb
from functions.libraries import error_of, lib
from trignb.errors import ResponseError

CALLS = "redis.registerFunction('f', (c, ...a) => c.call(...a));"
GLOBALS = """redis.registerFunction('f', () => [
    typeof eval, typeof Atomics, typeof SharedArrayBuffer, typeof EvalError,
    typeof WebAssembly, typeof JSON]);"""


@pytest.fixture
def debugged():
    with trignb.Engine(**{"redisgears_2.enable-debug-command": "yes"}) as engine:
        yield engine


def debug(engine, *words):
    return engine.execute("TFUNCTION", "DEBUG", *words)


@pytest.mark.parametrize("words", [[], ["help"], ["js"], ["x"], [b"\xff"]])
def test_it_is_off(engine, words) -> None:
    assert error_of(debug, engine, *words) == "Debug command are disabled"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "ERR wrong number of arguments for 'tfunction' command"),
        (["x"], "Backend 'x' does not exists or not yet loaded"),
        # In this spelling only.
        (["HELP"], "Backend 'HELP' does not exists or not yet loaded"),
        (["JS", "help"], "Backend 'JS' does not exists or not yet loaded"),
        (["a\nb"], "Backend 'a b' does not exists or not yet loaded"),
        (["js"], "Subcommand was not provided"),
        (["js", "Foo"], "Unknown subcommand 'Foo'"),
        ([b"\xff"], "Failed converting arguments to string"),
        (["help", b"\xff"], "Failed converting arguments to string"),
    ],
)
def test_refused(debugged, words, text) -> None:
    assert error_of(debug, debugged, *words) == text


def test_help(debugged) -> None:
    assert len(debug(debugged, "help")) == 4
    lines = debug(debugged, "js", "HELP")
    words = [line.split(b" ")[0].decode() for line in lines]
    for word in words:
        assert debug(debugged, "js", word.upper()) is not None


def test_isolates(debugged) -> None:
    def stats():
        return debug(debugged, "js", "isolates_aggregated_stats")

    assert stats() == [
        *(b"active", 0),
        *(b"not_active", 0),
        *(b"combined_memory_limit", 0),
    ]
    debugged.load(lib(CALLS))
    assert stats()[:4] == [b"active", 1, b"not_active", 0]
    assert stats()[5] > 0
    assert debug(debugged, "js", "isolates_strong_count") == [2]
    assert list(debug(debugged, "js", "isolates_stats")) == [b"lib"]


def test_released_isolates_are_counted_until_the_list_is_tidied(debugged) -> None:
    def counts():
        stats = debug(debugged, "js", "isolates_aggregated_stats")
        return stats[1], stats[3], debug(debugged, "js", "isolates_strong_count")

    debugged.load(lib(CALLS))
    debugged.load(lib(CALLS), replace=True)
    assert counts() == (1, 1, [0, 2])
    with pytest.raises(ResponseError):
        debugged.load(lib("throw 1"), replace=True)
    assert counts() == (1, 2, [0, 2, 0])
    with pytest.raises(ResponseError):
        debugged.load(lib("no javascript"), replace=True)
    assert counts() == (1, 2, [0, 2, 0])
    assert debug(debugged, "js", "isolates_gc") == "OK"
    assert counts() == (1, 0, [2])
    debugged.load(lib(CALLS, "other"))
    debugged.execute("TFUNCTION", "DELETE", "other")
    assert counts() == (1, 1, [2, 0])


def test_a_load_tidies_a_long_list_of_isolates(debugged) -> None:
    for _ in range(100):
        debugged.load(lib(CALLS), replace=True)
    assert debug(debugged, "js", "isolates_aggregated_stats")[3] == 99
    debugged.load(lib(CALLS), replace=True)
    assert debug(debugged, "js", "isolates_aggregated_stats")[3] == 1


def test_garbage(debugged) -> None:
    debugged.load(
        lib("""let kept = new Array(1e6).fill(1.5);
redis.registerFunction('drop', () => { kept = null; });""")
    )
    used = debugged.library_registry.libraries["lib"].runtime.heap_statistics
    before = used().used
    debugged.call("lib.drop")
    assert debug(debugged, "js", "request_v8_gc_for_debugging") == "OK"
    assert used().used < before - 4_000_000


def test_pending_calls(debugged) -> None:
    debugged.load(
        lib("redis.registerFunction('f', c => { c.callAsync('blpop', 'l', '0'); });")
    )
    debugged.load(lib(CALLS, "other"))
    debugged.call("lib.f")
    dump = {b"lib": [b"blpop l 0"]}
    assert debug(debugged, "dump_pending_async_calls") == dump
    (library, _) = debugged.execute("TFUNCTION", "LIST")
    assert library[b"pending_async_calls"] == [b"blpop l 0"]


def test_unsafe_commands(debugged) -> None:
    debugged.load(lib(CALLS))
    call = ("lib.f", (), ("config", "get", "hz"))
    assert error_of(debugged.call, *call) == (
        "ERR command 'config|get' is not allowed on script mode"
    )
    assert debug(debugged, "allow_unsafe_redis_commands") == "OK"
    assert debugged.call(*call) == {b"hz": b"10"}


def test_globals_of_later_loads(debugged) -> None:
    debugged.load(lib(GLOBALS))
    filtered = [b"undefined"] * 5 + [b"object"]
    assert debugged.call("lib.f") == filtered
    assert debug(debugged, "js", "avoid_global_allow_list") == "OK"
    assert debugged.call("lib.f") == filtered
    debugged.load(lib(GLOBALS), replace=True)
    # WebAssembly is kept away by a flag of V8's, not by the list.
    assert debugged.call("lib.f") == [
        *(b"function", b"object", b"function", b"function"),
        *(b"undefined", b"object"),
    ]


@pytest.mark.parametrize("address", ["", "localhost:9005"])
def test_there_is_no_debugger(address) -> None:
    parameter = {"redisgears_2.v8-debug-server-address": address}
    with trignb.Engine(**parameter) as engine:
        for words in (["DEBUG"], ["REPLACE", "debug"], ["debug", "replace"]):
            assert error_of(
                engine.execute, "TFUNCTION", "LOAD", *words, lib(CALLS)
            ) == ("The debug server address was not specified in the configuration.")
        assert engine.execute("TFUNCTION", "LIST") == []
