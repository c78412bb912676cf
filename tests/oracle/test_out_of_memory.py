"""What is refused when memory is short: both sides say the same, word for word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from oracle.pair import Pair
from oracle.runners import OracleRunner

pytestmark = pytest.mark.oracle

LOADED = "#!lua\nreturn 2"
DIGEST = hashlib.sha1(LOADED.encode()).hexdigest()
LIBRARY = """#!lua name=l
redis.register_function('plain', function() return 1 end)
redis.register_function{function_name='read', flags={'no-writes'},
    callback=function() return redis.call('get', 'k') end}
redis.register_function{function_name='write', flags={'allow-oom'},
    callback=function() return redis.call('set', 'x', 1) end}
"""

WRITE = "return redis.call('set', KEYS[1], 'v')"
CALLS = [
    ["GET", "k"],
    ["SET", "k", "v"],
    ["EXPIRE", "k", "1000"],
    ["LPUSH", "l", "1"],
    ["SORT", "k", "STORE", "s"],
    ["BLMOVE", "l", "m", "LEFT", "RIGHT", "0"],
    ["MSET", "a"],
    ["FUNCTION", "LOAD", "REPLACE", LIBRARY],
    ["SCRIPT", "LOAD", "return 1"],
    ["EVAL", WRITE, "1", "x"],
    ["EVAL", "return redis.pcall('set', KEYS[1], 'v').err", "1", "x"],
    ["EVAL", "redis.call('del', 'none') " + WRITE, "1", "x"],
    ["EVAL", "redis.pcall('lpop', 'k') " + WRITE, "1", "x"],
    ["EVAL", "redis.call('get', 'k') " + WRITE, "1", "x"],
    ["EVAL_RO", "return redis.call('get', KEYS[1])", "1", "k"],
    ["EVAL", "#!lua\nreturn 1", "0"],
    ["EVAL", "#!lua flags=\nreturn 1", "0"],
    ["EVAL", "#!lua flags=no-writes\nreturn redis.call('get', 'k')", "0"],
    ["EVAL", "#!lua flags=allow-oom\n" + WRITE, "1", "x"],
    ["EVAL", "#!lua nonsense\nreturn 1", "0"],
    ["EVAL_RO", "#!lua\nreturn 1", "0"],
    ["EVALSHA", DIGEST, "0"],
    ["EVALSHA_RO", DIGEST, "0"],
    ["EVALSHA", "0" * 40, "0"],
    ["FCALL", "plain", "0"],
    ["FCALL", "read", "0"],
    ["FCALL", "write", "0"],
    ["FCALL", "none", "0"],
    ["FCALL_RO", "plain", "0"],
    ["FCALL_RO", "read", "0"],
    ["FCALL_RO", "write", "0"],
]


@pytest.fixture
def pair(oracle_runner: OracleRunner) -> Iterator[Pair]:
    """Both sides, with a key, a script and a library of functions."""
    pair = Pair(oracle_runner)
    run(pair, 2, "SET", "k", "v")
    run(pair, 2, "SCRIPT", "LOAD", LOADED)
    run(pair, 2, "FUNCTION", "LOAD", "REPLACE", LIBRARY)
    yield pair
    run(pair, 2, "CONFIG", "SET", "maxmemory", "0")
    pair.close()


def run(pair: Pair, resp: int, *args: str) -> None:
    assert pair.step(resp, *args) == []


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call)[:30])
def test_at_once(pair: Pair, resp: int, call: list[str]) -> None:
    run(pair, resp, "CONFIG", "SET", "maxmemory", "1")
    run(pair, resp, *call)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call)[:30])
def test_in_a_transaction(pair: Pair, call: list[str]) -> None:
    run(pair, 2, "MULTI")
    run(pair, 2, *call)
    run(pair, 3, "CONFIG", "SET", "maxmemory", "1")
    run(pair, 2, "EXEC")
    run(pair, 2, "MULTI")
    run(pair, 2, *call)
    run(pair, 2, "MULTI")
    run(pair, 2, "PING")
    run(pair, 2, "EXEC")


def test_a_transaction_that_is_given_up(pair: Pair) -> None:
    run(pair, 2, "CONFIG", "SET", "maxmemory", "1")
    run(pair, 2, "MULTI")
    run(pair, 2, "WATCH", "k")
    run(pair, 2, "DISCARD")
    run(pair, 2, "MULTI")
    run(pair, 2, "RESET")


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_the_last_key_is_evicted(pair: Pair, policy: str) -> None:
    run(pair, 2, "CONFIG", "SET", "maxmemory-policy", policy)
    run(pair, 2, "WATCH", "k")
    run(pair, 2, "MULTI")
    run(pair, 3, "CONFIG", "SET", "maxmemory", "1")
    run(pair, 3, "GET", "k")
    run(pair, 3, "SET", "k", "v")
    run(pair, 3, "CONFIG", "SET", "maxmemory", "0")
    run(pair, 2, "EXEC")
