"""Several clients at random, over sockets, some of it in one packet: each hears what it hears of Redis."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

from oracle.dialogue import Side, differences
from oracle.server import RedisServer, require_server
from trignb import Engine

if TYPE_CHECKING:
    from collections import Counter

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(1200)]

# Keys, channels and clients are chosen at random. Users are not changed: 7.2.4 does not always
# survive that while clients wait.
COMMANDS = """
    GET <key>
    SET <key> 1
    DEL <key> <key>
    MGET <key> <key>
    MSET <key> 1 <key> 2
    INCR <key>
    APPEND <key> x
    GETDEL <key>
    RENAME <key> <key>
    COPY <key> <key>
    EXPIRE <key> 100
    EXPIRE <key> -1
    PERSIST <key>
    OBJECT ENCODING <key>
    RPUSH l x
    LPOP l
    LRANGE l 0 -1
    SORT l BY nosort GET k*
    BLPOP l 0
    BLPOP nothing 0
    CLIENT UNBLOCK {<client>.id}
    CLIENT UNBLOCK {<client>.id} ERROR
    FLUSHALL
    SWAPDB 0 1
    SELECT 0
    SELECT 1
    MULTI
    EXEC
    EXEC
    EXEC
    DISCARD
    WATCH <key>
    UNWATCH
    SUBSCRIBE <channel>
    SUBSCRIBE __redis__:invalidate
    UNSUBSCRIBE <channel>
    PSUBSCRIBE n*
    PUNSUBSCRIBE n*
    SSUBSCRIBE <channel>
    SUNSUBSCRIBE <channel>
    PUBLISH <channel> hi
    SPUBLISH <channel> hi
    PING
    PING
    RESET
    CLIENT TRACKING ON
    CLIENT TRACKING ON NOLOOP
    CLIENT TRACKING ON OPTIN
    CLIENT TRACKING ON OPTOUT
    CLIENT TRACKING ON BCAST
    CLIENT TRACKING ON BCAST PREFIX k NOLOOP
    CLIENT TRACKING ON REDIRECT {<client>.id}
    CLIENT TRACKING ON BCAST REDIRECT {<client>.id}
    CLIENT TRACKING OFF
    CLIENT TRACKINGINFO
    CLIENT CACHING YES
    CLIENT CACHING NO
    CLIENT INFO
    CLIENT NO-TOUCH ON
    CLIENT REPLY SKIP
    AUTH u any
    AUTH v any
    AUTH default any
    ACL WHOAMI
    ACL LOG RESET
    EVAL "redis.call('get', '<key>') return redis.call('set', '<key>', '5')" 0
    EVAL "return redis.pcall('publish', '<channel>', 'x')" 0
    EVAL_RO "return redis.pcall('get', KEYS[1])" 1 <key>
    FOO
    GET
    """
POOL = [line.strip() for line in COMMANDS.splitlines() if line.strip()]
BEGIN = [
    *("d: PING", "c: PING", "b: PING", "a: PING", "z: PING"),
    "z: ACL SETUSER u on nopass +@all ~* &*",
    "z: ACL SETUSER v on nopass +@all -incr ~k:* &c1",
    *("a: HELLO 3", "b: HELLO 3"),
]
END = [
    "z: ACL LOG",
    "!only z: INFO stats / tracking_ acl_",
    "!only z: INFO clients / tracking_ blocked",
]


CHOICES = {
    "<key>": ["a", "b", "k:1", "k:2", "l"],
    "<channel>": ["c1", "c2", "news"],
    "<client>": ["a", "b", "c"],
}


def a_line(chance: random.Random) -> str:
    """Return what a client says: a command, or several in one packet."""

    def chosen(match: re.Match[str]) -> str:
        return chance.choice(CHOICES[match[0]])

    commands = chance.choices(POOL, k=chance.choice([1, 1, 1, 2, 3]))
    said = " ;; ".join(re.sub("<[a-z]+>", chosen, command) for command in commands)
    return f"{chance.choice('aaabbbccd')}: {said}"


def test_clients_at_random(counts: Counter[str], long: bool) -> None:
    require_server("redis72")
    for seed in range(300 if long else 25):
        chance = random.Random(seed)
        lines = [*BEGIN, *(a_line(chance) for _ in range(70)), *END]
        with (
            RedisServer("redis72") as server,
            Engine(enable_debug_command="yes") as engine,
        ):
            theirs, ours = Side(server.port), Side(engine.serve().port)
            try:
                for i, line in enumerate(lines, 1):
                    found = differences(theirs, ours, [line])
                    assert not found, "\n".join([f"seed {seed}", *lines[:i], *found])
            finally:
                theirs.close()
                ours.close()
        counts["lines of clients at random, each hears the same"] += len(lines)
