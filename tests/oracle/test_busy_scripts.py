"""What clients hear while a script runs too long is what they hear of Redis 7.2.4."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from oracle.raw import RawClient, evened
from oracle.server import RedisServer, require_server
from trignb import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(240)]

LIBRARY: Final = """#!lua name=lib
redis.register_function('loop', function() while true do end end)
redis.register_function{function_name='rloop', flags={'no-writes'},
  callback=function() while true do end end}
"""
LOOP: Final = ("EVAL", "while true do end", "0")
# Until the clock says so.
SECONDS: Final = (
    "local from = redis.call('time')[1] "
    "while redis.call('time')[1] - from < 2 do for i = 1, 10000 do end end return 'fin'"
)
COMMANDS: Final = """
    GET x
    SET x y
    PING
    ECHO x
    SELECT 1
    EXEC
    DISCARD
    WATCH x
    UNWATCH
    AUTH x
    AUTH default x
    CLIENT LIST
    CLIENT KILL ID 99999
    CLIENT SETNAME x
    CLIENT PAUSE 0
    CLIENT nosuch
    CLIENT
    COMMAND COUNT
    CONFIG GET maxmemory
    CONFIG SET maxmemory 0
    CONFIG
    DBSIZE
    INFO server
    SUBSCRIBE ch
    UNSUBSCRIBE
    PUBLISH a b
    SPUBLISH a b
    MONITOR
    SLOWLOG LEN
    LATENCY LATEST
    DEBUG SLEEP 0
    MEMORY USAGE x
    ACL WHOAMI
    LASTSAVE
    TIME
    ROLE
    WAIT 0 0
    REPLICAOF no one
    REPLCONF capa eof
    FAILOVER
    SCRIPT EXISTS x
    SCRIPT LOAD x
    SCRIPT FLUSH
    SCRIPT HELP
    SCRIPT
    FUNCTION STATS
    FUNCTION LIST
    FUNCTION FLUSH
    FUNCTION KILL x
    FCALL loop 0
    EVAL x 0
    EVALSHA x 0
    SHUTDOWN SAVE
    SHUTDOWN
    SHUTDOWN bogus
    SHUTDOWN ABORT
    SHUTDOWN NOSAVE SAVE
    SAVE
    BGSAVE
    FLUSHALL
    SWAPDB 0 1
    nosuch
    GET
    GET a b c
    BLPOP x 0
    XREAD BLOCK 0 STREAMS s $
    LOLWUT
    MULTI
    GET x
    SCRIPT HELP
    EXEC
    MULTI
    DISCARD
    RESET
    GET x
"""

Steps = list[tuple[str, str]]
# What runs, what clients say before it, what they say meanwhile, and what ends it: a command, or nothing when it
# ends by itself.
SCENARIOS: Final[dict[str, tuple[tuple[str, ...], Steps, Steps, str]]] = {
    "commands": (
        LOOP,
        [],
        [("b", line.strip()) for line in COMMANDS.strip().splitlines()],
        "SCRIPT KILL",
    ),
    "function": (
        ("FCALL", "loop", "0"),
        [],
        [("b", "GET x"), ("b", "SCRIPT KILL"), ("b", "SCRIPT EXISTS x")],
        "FUNCTION KILL",
    ),
    "read-only function": (
        ("FCALL_RO", "rloop", "0"),
        [],
        [("b", "GET x"), ("b", "SCRIPT KILL")],
        "FUNCTION KILL",
    ),
    "read-only script": (
        ("EVAL_RO", "while true do end", "0"),
        [],
        [("b", "GET x"), ("b", "FUNCTION KILL")],
        "SCRIPT KILL",
    ),
    "errors are swallowed": (
        (
            "EVAL",
            (
                "local function f() while true do local ok = pcall(function() while true do "
                "pcall(redis.call, 'get', 'x') end end) end end f()"
            ),
            "0",
        ),
        [],
        [("b", "GET x")],
        "SCRIPT KILL",
    ),
    "coroutine": (
        ("EVAL", "coroutine.wrap(function() while true do end end)()", "0"),
        [],
        [("b", "GET x")],
        "SCRIPT KILL",
    ),
    "transactions begun before": (
        LOOP,
        [
            ("b", "MULTI"),
            ("b", "SET k 1"),
            ("c", "WATCH k"),
            ("c", "MULTI"),
            ("d", "MULTI"),
        ],
        [
            ("b", "SET k 2"),
            ("b", "EXEC"),
            ("c", "DISCARD"),
            ("d", "EXEC"),
            ("b", "EXEC"),
            ("c", "MULTI"),
            ("c", "PING"),
            ("c", "EXEC"),
            ("d", "MULTI"),
            ("d", "GET"),
            ("d", "RESET"),
            ("d", "EXEC"),
        ],
        "SCRIPT KILL",
    ),
    "a kill that is queued": (
        LOOP,
        [("b", "MULTI"), ("b", "SET k 1")],
        [("b", "SCRIPT KILL"), ("b", "FUNCTION KILL"), ("b", "EXEC")],
        "SCRIPT KILL",
    ),
    "watches": (
        LOOP,
        [("b", "WATCH k"), ("b", "MULTI"), ("b", "SET k 1")],
        [("b", "WATCH z"), ("b", "UNWATCH"), ("b", "MULTI"), ("b", "EXEC")],
        "SCRIPT KILL",
    ),
    "subscriber": (
        LOOP,
        [("b", "SUBSCRIBE ch")],
        [("b", "PING"), ("b", "SUBSCRIBE x"), ("b", "GET x"), ("b", "RESET")],
        "SCRIPT KILL",
    ),
    "rights": (
        LOOP,
        [("b", "ACL SETUSER u on nopass +@all -script ~*"), ("c", "AUTH u x")],
        [
            ("c", "SCRIPT KILL"),
            ("c", "FUNCTION KILL"),
            ("c", "GET x"),
            ("c", "EVAL x 0"),
            ("c", "MULTI"),
            ("c", "GET x"),
            ("c", "EXEC"),
        ],
        "SCRIPT KILL",
    ),
    "one that has written": (
        ("EVAL", f"redis.call('set', 'w', '1') {SECONDS}", "0"),
        [],
        [("b", "SCRIPT KILL"), ("b", "FUNCTION KILL"), ("b", "GET x")],
        "",
    ),
    "one that tried to write": (
        ("EVAL", f"redis.call('del', 'nokey') {SECONDS}", "0"),
        [],
        [("b", "SCRIPT KILL")],
        "",
    ),
    "one that ends": (("EVAL", SECONDS, "0"), [], [("b", "GET x")], ""),
}


def talk(port: int, name: str) -> list[Any]:
    """Return what all clients of a scenario hear, in its order."""
    start, before, meanwhile, end = SCENARIOS[name]
    with ExitStack() as stack:
        clients = {
            who: stack.enter_context(closing(RawClient(port))) for who in "abcdp"
        }
        heard: list[Any] = [
            clients["p"].ask("CONFIG", "SET", "busy-reply-threshold", "50"),
            clients["p"].ask("FUNCTION", "LOAD", "REPLACE", LIBRARY),
        ]
        heard += [(line, clients[who].ask(*line.split())) for who, line in before]
        clients["a"].send(*start)
        # A command that goes through came before the script was noticed.
        deadline = time.monotonic() + 20
        while (text := clients["p"].ask("GET", "x"))[:5] != b"-BUSY":
            assert time.monotonic() < deadline, text
        heard += [(line, clients[who].ask(*line.split())) for who, line in meanwhile]
        if end:
            heard.append(clients["p"].ask(*end.split()))
        heard.append(clients["a"].read())
        heard += [
            (kill, clients["p"].ask(kill, "KILL")) for kill in ("SCRIPT", "FUNCTION")
        ]
        heard += [(who, clients[who].ask("PING")) for who in "bcd"]
        clients["p"].ask("ACL", "DELUSER", "u")
    return [
        (item[0], evened(item[1])) if isinstance(item, tuple) else evened(item)
        for item in heard
    ]


@pytest.fixture(scope="module")
def reference() -> Iterator[RedisServer]:
    require_server("redis72")
    with RedisServer("redis72") as server:
        yield server


@pytest.mark.parametrize("name", SCENARIOS)
def test_clients_hear_the_same_of_a_script_that_runs_too_long(
    reference: RedisServer, name: str
) -> None:
    with Engine() as engine:
        ours = talk(engine.serve().port, name)
    theirs = talk(reference.port, name)
    assert [pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("body", ["", "redis.call('set', 'w', '1') "])
def test_shutdown_nosave_ends_a_server_in_spite_of_a_script(body: str) -> None:
    with Engine() as engine:
        port = engine.serve().port
        with (
            closing(RawClient(port)) as runner,
            closing(RawClient(port)) as other,
        ):
            other.ask("CONFIG", "SET", "busy-reply-threshold", "20")
            runner.send("EVAL", f"{body}while true do end", "0")
            while other.ask("GET", "x")[:5] != b"-BUSY":
                pass
            other.send("SHUTDOWN", "NOSAVE")
            with pytest.raises((EOFError, ConnectionError)):
                other.read()
        # The engine itself goes on.
        assert engine.execute("PING") == "PONG"
