"""Random sessions in which keys pass their deadlines, on our engine and on a real redis-server.

Neither side's cycle runs: a key that is due stays until a command looks at it, which is
where the two could differ. Deadlines are a millisecond away or very far, and after every
command that sets one the test waits until it has passed on both sides.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.pair import Pair
from oracle.test_differential import (
    KEYSPACE,
    LONG_SESSIONS,
    TRANSACTIONS,
    call,
    end,
    expire_condition,
    field_value,
    key,
    maybe,
    member,
    pair,
    run_step,
    score,
    some,
    value,
    word,
)

if TYPE_CHECKING:
    from collections import Counter

    from oracle.runners import OracleRunner

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(600)]

SESSIONS = int(os.environ.get("TRIGNB_DIFFERENTIAL", "100"))
SOON = b"1"
FAR = b"90000000"
PASSED_S = 0.003
ATTEMPTS = 3

milliseconds = st.sampled_from([SOON, SOON, FAR])

DEADLINES = [
    call("SET", key, value, "PX", milliseconds),
    call("SET", key, value, word("NX", "XX", "GET"), "PX", milliseconds),
    call("SET", key, value, word("KEEPTTL")),
    call("PSETEX", key, milliseconds, value),
    call("GETEX", key, "PX", milliseconds),
    call("PEXPIRE", key, milliseconds, expire_condition()),
    call("PEXPIRE", key, milliseconds),
    call("PERSIST", key),
]
READERS = [
    call(st.sampled_from(["GET", "STRLEN", "GETDEL", "TYPE", "DUMP"]), key),
    call(st.sampled_from(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]), key),
    call(st.sampled_from(["EXISTS", "TOUCH", "MGET"]), some(key)),
    call(st.sampled_from(["LLEN", "HGETALL", "SMEMBERS", "ZCARD", "XLEN"]), key),
    call("OBJECT", "ENCODING", key),
    call("KEYS", "*"),
    call("SCAN", "0", "COUNT", "1000"),
    call("DBSIZE"),
]
WRITERS = [
    call("SET", key, value),
    call(st.sampled_from(["INCR", "DEL", "UNLINK"]), key),
    call(st.sampled_from(["APPEND", "GETSET", "SETNX"]), key, value),
    call("MSETNX", some(pair)),
    call(st.sampled_from(["LPUSH", "RPUSHX", "SADD"]), key, some(value)),
    call("HSET", key, some(field_value)),
    call("HINCRBY", key, member, "1"),
    call("ZADD", key, word("NX", "XX"), score, member),
    call("LMOVE", key, key, end, end),
    call("SMOVE", key, key, value),
    call(st.sampled_from(["SUNIONSTORE", "PFMERGE"]), key, some(key)),
    call("ZUNIONSTORE", key, "2", key, key),
    call(st.sampled_from(["RENAME", "RENAMENX"]), key, key),
    call("COPY", key, key, maybe("DB", st.sampled_from("01")), maybe("REPLACE")),
    call("MOVE", key, st.sampled_from("01")),
    call("SORT", key, "BY", "nosort", "STORE", key),
    call("BLPOP", key, "0.01"),
    call("EVAL", "return redis.call(unpack(ARGV))", "0", "GET", key),
    call("EVAL", "return redis.call(unpack(ARGV))", "0", "SET", key, value, "PX", SOON),
]

any_call = st.one_of(
    st.one_of(DEADLINES),
    st.one_of(DEADLINES),
    st.one_of(READERS),
    st.one_of(WRITERS),
    st.one_of(KEYSPACE + TRANSACTIONS),
)
sessions = st.lists(
    st.tuples(st.sampled_from([2, 3]), any_call), min_size=20, max_size=50
)


@settings(max_examples=SESSIONS, suppress_health_check=LONG_SESSIONS)
@given(steps=sessions)
def test_sessions_agree_on_keys_that_are_due(
    oracle_runner: OracleRunner, counts: Counter[str], steps: list[Any]
) -> None:
    # On a busy machine a millisecond may pass inside a command, on one side only. A
    # difference that is one shows in every attempt.
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            run_session(oracle_runner, steps)
            break
        except pytest.fail.Exception:
            if not attempts_left:
                raise
    counts["commands in sessions with keys that are due, all agree"] += len(steps)


def run_session(oracle_runner: OracleRunner, steps: list[Any]) -> None:
    """Run the steps on both sides; deadlines that are soon have passed before the next."""
    pair = Pair(oracle_runner)
    try:
        for resp, args in steps:
            run_step(pair, resp, args)
            if SOON in args or args[0] == "EXEC":
                time.sleep(PASSED_S)
    finally:
        pair.close()
