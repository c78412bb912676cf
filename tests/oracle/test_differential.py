"""Random sessions, the same on our engine and on a real redis-server.

`make test` runs twenty thousand commands, the same in every run; TRIGNB_DIFFERENTIAL=500
runs that many sessions of twenty to sixty commands, and TRIGNB_HYPOTHESIS=explore other
ones each time.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oracle.pair import Pair
from trignb.engine.spec import BLOCKING
from trignb.engine.table import FAMILIES

if TYPE_CHECKING:
    from collections import Counter

    from oracle.runners import OracleRunner
    from oracle.wire import Argument

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(600)]

SESSIONS = int(os.environ.get("TRIGNB_DIFFERENTIAL", "580"))
CALLS_PER_COMMAND = 200

GROUPS = {
    "string",
    "hash",
    "generic",
    "transactions",
    "list",
    "set",
    "sorted-set",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
}
# Not compared here: they need a second server, wait for replicas or for a key, change what
# they choose at random or by the clock, or take seconds.
LEFT_OUT = {"migrate", "wait", "waitaof", "randomkey", "spop", "xadd", "pfselftest"}

KEYS = [b"a", b"b", b"c", b"h", b"", b"\xff\x00"]
FIELDS = [b"f", b"g", b"n", b""]
WORDS = [b"", b"x", b"hello world", b"\x00\xff", b"ohmytext", b"mynewtext"]
NUMBERS = [
    b"0",
    b"1",
    b"-1",
    b"7",
    b"-40",
    b"1.5",
    b"-0.1",
    b"3e2",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"1e308",
    b"0.1",
    b"3.0",
    b"1e-7",
]
# Far enough that nothing expires while a session runs, or past.
SECONDS = [b"1000", b"100000", b"0", b"-1", b"-5", b"9223372036854775"]
MILLISECONDS = [b"1000000", b"90000000", b"0", b"-1", b"9223372036854775807"]
UNIX = [b"4000000000", b"1", b"0", b"-3"]
UNIX_MS = [b"4000000000123", b"1", b"0", b"-3"]

key = st.sampled_from(KEYS)
member = st.sampled_from(FIELDS)
value = st.sampled_from(WORDS + NUMBERS)
number = st.sampled_from(NUMBERS)
index = st.integers(-8, 8).map(str)


def word(*words: str) -> st.SearchStrategy[str]:
    """One of some words, in either case."""
    return st.sampled_from([*words, *(word.lower() for word in words)])


def call(*parts: Any) -> st.SearchStrategy[tuple[Argument, ...]]:
    """Build a command from words, strategies and lists of them (flattened)."""
    slots = [
        st.just((p,)) if isinstance(p, (str, bytes)) else p.map(one) for p in parts
    ]
    return st.tuples(*slots).map(lambda groups: tuple(w for g in groups for w in g))


def one(part: Any) -> tuple[Any, ...]:
    """Return a part as a tuple of words."""
    if isinstance(part, (list, tuple)):
        return tuple(w for item in part for w in one(item))
    return (part,)


def maybe(*parts: Any) -> st.SearchStrategy[tuple[Argument, ...]]:
    """Nothing, or a part of a command."""
    return st.one_of(st.just(()), call(*parts))


def some(part: Any, least: int = 1, most: int = 3) -> st.SearchStrategy[list[Any]]:
    """A few of something."""
    return st.lists(part, min_size=least, max_size=most)


def deadline() -> st.SearchStrategy[tuple[Argument, ...]]:
    """EX, PX, EXAT or PXAT with its number."""
    return st.one_of(
        call(word("EX"), st.sampled_from(SECONDS)),
        call(word("PX"), st.sampled_from(MILLISECONDS)),
        call(word("EXAT"), st.sampled_from(UNIX)),
        call(word("PXAT"), st.sampled_from(UNIX_MS)),
    )


def expire_condition() -> st.SearchStrategy[tuple[Argument, ...]]:
    """NX, XX, GT, LT or none."""
    return maybe(word("NX", "XX", "GT", "LT"))


pair = st.tuples(key, value)
field_value = st.tuples(member, value)

STRING = [
    call("SET", key, value),
    call(
        "SET",
        key,
        value,
        maybe(word("NX", "XX")),
        maybe(word("GET")),
        maybe(deadline()),
    ),
    call("SET", key, value, word("KEEPTTL"), maybe(word("NX", "XX", "GET"))),
    call("GET", key),
    call("GETEX", key, st.one_of(maybe(word("PERSIST")), deadline())),
    call(st.sampled_from(["GETDEL", "STRLEN", "INCR", "DECR"]), key),
    call(st.sampled_from(["GETSET", "SETNX", "APPEND"]), key, value),
    call(st.sampled_from(["INCRBY", "DECRBY", "INCRBYFLOAT"]), key, number),
    call("SETEX", key, st.sampled_from(SECONDS), value),
    call("PSETEX", key, st.sampled_from(MILLISECONDS), value),
    call("SETRANGE", key, index, value),
    call(st.sampled_from(["GETRANGE", "SUBSTR"]), key, index, index),
    call("MGET", some(key)),
    call(st.sampled_from(["MSET", "MSETNX"]), some(pair)),
    call("LCS", key, key, maybe(word("LEN", "IDX")), maybe(word("WITHMATCHLEN"))),
    call("LCS", key, key, "IDX", maybe("MINMATCHLEN", index)),
]
HASH = [
    call("HSET", key, some(field_value)),
    call("HMSET", key, some(field_value)),
    call("HSETNX", key, member, value),
    call("HDEL", key, some(member)),
    call(st.sampled_from(["HGET", "HEXISTS", "HSTRLEN"]), key, member),
    call(st.sampled_from(["HGETALL", "HKEYS", "HVALS", "HLEN"]), key),
    call("HMGET", key, some(member)),
    call(st.sampled_from(["HINCRBY", "HINCRBYFLOAT"]), key, member, number),
    call(
        "HRANDFIELD", key, maybe(st.sampled_from(["0", "9", "-3"]), maybe("WITHVALUES"))
    ),
    call("HSCAN", key, "0", maybe("COUNT", "1000"), maybe("MATCH", "[fg]*")),
]
GENERIC = [
    call(st.sampled_from(["DEL", "UNLINK", "EXISTS", "TOUCH"]), some(key)),
    call(st.sampled_from(["TYPE", "PERSIST", "DUMP"]), key),
    call(st.sampled_from(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]), key),
    call("EXPIRE", key, st.sampled_from(SECONDS), expire_condition()),
    call("PEXPIRE", key, st.sampled_from(MILLISECONDS), expire_condition()),
    call("EXPIREAT", key, st.sampled_from(UNIX), expire_condition()),
    call("PEXPIREAT", key, st.sampled_from(UNIX_MS), expire_condition()),
    call(st.sampled_from(["RENAME", "RENAMENX"]), key, key),
    call("COPY", key, key, maybe("DB", st.sampled_from("012")), maybe(word("REPLACE"))),
    call("MOVE", key, st.sampled_from(["0", "1", "2"])),
    call("KEYS", st.sampled_from(["*", "[ab]", "?", "h", "\\*"])),
    call(
        "SCAN", "0", "COUNT", "1000", maybe("MATCH", "?"), maybe("TYPE", word("HASH"))
    ),
    call("OBJECT", word("ENCODING", "IDLETIME", "FREQ"), key),
    call("SORT", key, maybe("BY", "nosort"), maybe("STORE", key)),
]
end = word("LEFT", "RIGHT")
score = st.sampled_from([b"0", b"1", b"-1.5", b"2", b"inf", b"-inf", b"(1", b"x"])
LIST = [
    call(st.sampled_from(["LPUSH", "RPUSH", "LPUSHX", "RPUSHX"]), key, some(value)),
    call(st.sampled_from(["LPOP", "RPOP"]), key, maybe(st.sampled_from("0129"))),
    call("LRANGE", key, index, index),
    call("LTRIM", key, index, index),
    call("LINDEX", key, index),
    call("LSET", key, index, value),
    call("LINSERT", key, word("BEFORE", "AFTER"), value, value),
    call("LREM", key, index, value),
    call("LPOS", key, value, maybe("RANK", index), maybe("COUNT", index)),
    call("LMOVE", key, key, end, end),
    call("LMPOP", "2", key, key, end, maybe("COUNT", st.sampled_from("19"))),
    call(st.sampled_from(["RPOPLPUSH", "BRPOPLPUSH"]), key, key, maybe("0.01")),
    call(st.sampled_from(["BLPOP", "BRPOP"]), some(key), "0.01"),
]
SET = [
    call(st.sampled_from(["SADD", "SREM", "SMISMEMBER"]), key, some(value)),
    call("SMOVE", key, key, value),
    call(st.sampled_from(["SMEMBERS", "SCARD"]), key),
    call(st.sampled_from(["SINTER", "SUNION", "SDIFF"]), some(key)),
    call(st.sampled_from(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]), key, some(key)),
    call("SINTERCARD", "2", key, key, maybe("LIMIT", st.sampled_from("012"))),
]
ZSET = [
    call(
        "ZADD", key, maybe(word("NX", "XX", "GT", "LT")), some(st.tuples(score, member))
    ),
    call("ZADD", key, word("INCR"), score, member),
    call("ZINCRBY", key, score, member),
    call("ZREM", key, some(member)),
    call(st.sampled_from(["ZSCORE", "ZRANK", "ZREVRANK"]), key, member),
    call("ZRANGE", key, index, index, maybe(word("REV")), maybe(word("WITHSCORES"))),
    call("ZRANGE", key, score, score, "BYSCORE", maybe("LIMIT", "0", "2")),
    call("ZCOUNT", key, score, score),
    call(st.sampled_from(["ZPOPMIN", "ZPOPMAX"]), key, maybe(st.sampled_from("029"))),
    call("ZREMRANGEBYRANK", key, index, index),
    call("ZREMRANGEBYSCORE", key, score, score),
    call("ZRANGESTORE", key, key, index, index),
    call(st.sampled_from(["ZUNIONSTORE", "ZINTERSTORE"]), key, "2", key, key),
    call("ZDIFFSTORE", key, "2", key, key),
]
# A script that runs one command, and one that writes before and after it.
SCRIPT = [
    call(
        "EVAL",
        st.sampled_from(
            [
                "return redis.call(unpack(ARGV))",
                "return redis.pcall(unpack(ARGV))",
                (
                    "redis.call('set','a',1) local r = redis.pcall(unpack(ARGV)) "
                    "redis.call('incr','a') return r"
                ),
            ]
        ),
        "0",
        st.one_of(
            call("SET", key, value),
            call("GET", key),
            call(st.sampled_from(["INCR", "LPOP", "TYPE", "DEL", "HGET"]), key),
            call("RPUSH", key, some(value)),
            call("HSET", key, some(field_value)),
            call("ZADD", key, score, member),
            call("RENAME", key, key),
        ),
    ),
]
KEYSPACE = [
    call("SELECT", st.sampled_from(["0", "1", "2"])),
    call(st.sampled_from(["DBSIZE", "FLUSHDB"])),
    call("SWAPDB", st.sampled_from(["0", "1"]), st.sampled_from(["0", "2"])),
]
TRANSACTIONS = [
    call("MULTI"),
    call("EXEC"),
    call("DISCARD"),
    call("UNWATCH"),
    call("WATCH", some(key)),
]

any_call = st.one_of(
    st.one_of(STRING),
    st.one_of(HASH),
    st.one_of(GENERIC),
    st.one_of(LIST),
    st.one_of(SET),
    st.one_of(ZSET),
    st.one_of(STRING + HASH + GENERIC + SCRIPT),
    st.one_of(KEYSPACE + TRANSACTIONS),
)
sessions = st.lists(
    st.tuples(st.sampled_from([2, 3]), any_call), min_size=20, max_size=60
)


# A session is long on purpose, and each cleans up after itself.
LONG_SESSIONS = [
    HealthCheck.too_slow,
    HealthCheck.large_base_example,
    HealthCheck.function_scoped_fixture,
]


@settings(max_examples=SESSIONS, suppress_health_check=LONG_SESSIONS)
@given(steps=sessions)
def test_sessions_agree(
    oracle_runner: OracleRunner, counts: Counter[str], steps: list[Any]
) -> None:
    pair = Pair(oracle_runner)
    try:
        for resp, args in steps:
            run_step(pair, resp, args)
    finally:
        pair.close()
    counts["commands in random sessions, all agree"] += len(steps)


def run_step(pair: Pair, resp: int, args: tuple[Argument, ...]) -> None:
    """Run a command on both sides; fail with the whole story when they differ."""
    lines = pair.step(resp, *args)
    if lines:
        pytest.fail("\n".join([*pair.history, *lines]), pytrace=False)


# -- arguments that make no sense

ODD = [
    b"s",
    b"h",
    b"t",
    b"l",
    b"i",
    b"z",
    b"none",
    b"f",
    b"0",
    b"-1",
    b"100000",
    b"abc",
    b"",
    b"1.5",
    b"nan",
    b"inf",
    b" 1",
    b"01",
    b"+1",
    b"1e5",
    b"1e400",
    b"0x10",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"\xff",
    b"*",
    *(
        b"EX PX EXAT PXAT NX XX GT LT GET KEEPTTL PERSIST COUNT MATCH WITHVALUES REPLACE"
        b" DB LEN IDX MINMATCHLEN WITHMATCHLEN TYPE ABSTTL FREQ IDLETIME BY LIMIT STORE"
        b" ALPHA DESC ASYNC SYNC HELP ENCODING REFCOUNT WITHSCORES WEIGHTS AGGREGATE SUM"
        b" MIN MAX INCR CH LEFT RIGHT BEFORE AFTER RANK MAXLEN REV BYSCORE BYLEX - + (1"
        b" [a -inf"
    ).split(),
]
PRELUDE = [
    ("FLUSHALL",),
    ("SET", "s", "10"),
    ("HSET", "h", "f", "1", "g", "text"),
    ("SET", "t", "text", "EX", "100000"),
    ("RPUSH", "l", "a", "1", "b"),
    ("SADD", "i", "1", "2", "3"),
    ("ZADD", "z", "1", "a", "2", "b"),
]


def names_under_test() -> list[str]:
    """Return the engine's commands of the groups, subcommands apart."""
    return sorted(
        name
        for family in FAMILIES
        for name, (facts, _) in family.handlers.items()
        if facts.group in GROUPS
        # What HELP says is in words of our own.
        and not name.endswith(" help")
        and not facts.flags & BLOCKING
        and name.split()[0] not in LEFT_OUT
    )


@pytest.mark.parametrize("name", names_under_test())
def test_odd_arguments_get_the_same_answer(
    name: str, oracle_runner: OracleRunner, counts: Counter[str]
) -> None:
    choose = random.Random(name)
    pair = Pair(oracle_runner)
    try:
        for number in range(CALLS_PER_COMMAND):
            if number % 10 == 0:
                pair.history.clear()
                for prepare in PRELUDE:
                    run_step(pair, 2, prepare)
            count = number % 6 if number < 30 else choose.randrange(1, 6)
            args: tuple[Argument, ...] = (
                *name.upper().split(),
                *choose.choices(ODD, k=count),
            )
            resp = choose.choice([2, 3])
            run_step(pair, resp, args)
            if name in ("multi", "watch"):
                run_step(pair, resp, ("DISCARD",))
    finally:
        pair.close()
    counts["commands with odd arguments, all agree"] += CALLS_PER_COMMAND
