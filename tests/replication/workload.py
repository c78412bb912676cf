"""Mixed writes at random, the same for a seed, and what two servers have to agree on afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

Call = list[Any]

DATABASES = 3
NAMES = [f"{prefix}{i}" for prefix in ("user:", "plain:") for i in range(12)]

# Triggers that write, delete and give deadlines; a stream trigger that trims what it has read.
LIBRARY = """#!js api_version=1.0 name=work
redis.registerKeySpaceTrigger("user", "user:", (client, data) => {
    client.call("hincrby", "events", data.event, "1");
    if (data.event === "del" || data.event === "expired") {
        client.call("rpush", "gone", data.key);
        client.call("ltrim", "gone", "-20", "-1");
    } else {
        client.call("set", "mirror:" + data.key, data.event, "PX", "60000");
        client.call("incrbyfloat", "sum", "0.25");
    }
});
redis.registerStreamTrigger("records", "stream:", (client, data) => {
    client.call("hincrby", "records", data.stream_name, "1");
}, {isStreamTrimmed: true, window: 3});
redis.registerFunction("both", (client, a, b) => {
    client.call("incr", a);
    return client.call("rpush", b, "from a function");
});
redis.registerAsyncFunction("later", async (client, key) => {
    return client.block((c) => { c.call("incr", key); return c.call("incr", key); });
});
"""

SCRIPT = """
redis.call('set', KEYS[1], ARGV[1])
redis.call('hset', KEYS[2], 'f', ARGV[1])
return redis.call('incr', KEYS[3])
"""


class Workload:
    """Writes of all kinds over few keys, so that they meet.

    Parameters
    ----------
    seed : int
        Chooses the writes.
    functions : bool
        Whether functions of `LIBRARY` are among them.
    """

    def __init__(self, seed: int, *, functions: bool) -> None:
        self.random = random.Random(seed)
        self.functions = functions
        kinds: list[Callable[[], Call]] = [
            *(self.string, self.list, self.set, self.zset, self.hash, self.stream),
            *(self.bits, self.group, self.geo, self.deadline, self.generic),
            *(self.store, self.string, self.hash),
        ]
        self.kinds = kinds

    # -- parts

    def key(self, kind: str) -> str:
        """Return a key that usually holds one type."""
        if self.random.random() < 0.03:
            return self.random.choice(NAMES)
        return f"{self.random.choice(NAMES)}:{kind}"

    def word(self) -> str:
        """Return a value: a number, something short, something long."""
        number = self.random.randrange(1000)
        return self.random.choice([str(number), f"w{number % 20}", "x" * (number % 90)])

    def some(self, make: Callable[[], Any]) -> list[Any]:
        """Return one to four of something."""
        return [make() for _ in range(self.random.randint(1, 4))]

    def number(self) -> str:
        """Return a small number."""
        return str(self.random.randint(-5, 30))

    # -- commands

    def string(self) -> Call:
        """Return a write to a string."""
        key, word = self.key("s"), self.word()
        return self.random.choice(
            [
                ["SET", key, word],
                ["SET", key, word, "PX", self.random.choice([1, 30, 90_000])],
                ["SET", key, word, "KEEPTTL"],
                ["SET", key, word, "NX", "GET"],
                ["GETSET", key, word],
                ["APPEND", key, word],
                ["INCRBY", f"{key}:n", self.number()],
                ["INCRBYFLOAT", f"{key}:f", "0.1"],
                ["SETRANGE", key, self.random.randrange(20), word],
                ["MSET", key, word, self.key("s"), word],
                ["SETEX", key, 100, word],
                ["GETDEL", key],
                ["GETEX", key, "PX", 5000],
            ]
        )

    def list(self) -> Call:
        """Return a write to a list."""
        key, other = self.key("l"), self.key("l")
        return self.random.choice(
            [
                ["RPUSH", key, *self.some(self.word)],
                ["LPUSH", key, *self.some(self.word)],
                ["LPOP", key],
                ["RPOP", key, 2],
                ["LMOVE", key, other, "LEFT", "RIGHT"],
                ["LINSERT", key, "BEFORE", self.word(), self.word()],
                ["LREM", key, 1, self.word()],
                ["LTRIM", key, 0, 30],
                ["LSET", key, 0, self.word()],
                ["LMPOP", 2, key, other, "LEFT", "COUNT", 2],
            ]
        )

    def set(self) -> Call:
        """Return a write to a set."""
        key, other = self.key("t"), self.key("t")
        return self.random.choice(
            [
                ["SADD", key, *self.some(self.word)],
                ["SADD", key, *self.some(self.number)],
                ["SREM", key, *self.some(self.number)],
                ["SPOP", key],
                ["SPOP", key, 3],
                ["SMOVE", key, other, self.number()],
                ["SUNIONSTORE", key, key, other],
                ["SDIFFSTORE", key, key, other],
            ]
        )

    def zset(self) -> Call:
        """Return a write to a sorted set."""
        key, other = self.key("z"), self.key("z")
        scored = [x for _ in range(3) for x in (self.number(), self.word())]
        return self.random.choice(
            [
                ["ZADD", key, *scored],
                ["ZADD", key, "GT", "CH", *scored],
                ["ZINCRBY", key, "1.5", self.word()],
                ["ZREM", key, self.word()],
                ["ZPOPMIN", key],
                ["ZPOPMAX", key, 2],
                ["ZREMRANGEBYSCORE", key, 5, 7],
                ["ZUNIONSTORE", key, 2, key, other, "AGGREGATE", "MAX"],
                ["ZRANGESTORE", key, other, 0, 5],
            ]
        )

    def hash(self) -> Call:
        """Return a write to a hash."""
        key = self.key("h")
        return self.random.choice(
            [
                ["HSET", key, *[self.word() for _ in range(4)]],
                ["HINCRBY", key, "n", self.number()],
                ["HINCRBYFLOAT", key, "f", "1.5"],
                ["HDEL", key, self.word(), "n"],
                ["HSETNX", key, self.word(), self.word()],
            ]
        )

    def stream(self) -> Call:
        """Return a write to a stream, read by a trigger or not."""
        prefix = self.random.choice(["stream:", "river:"])
        key = f"{prefix}{self.random.randrange(4)}"
        return self.random.choice(
            [
                ["XADD", key, "*", "f", self.word()],
                ["XADD", key, "MAXLEN", "~", 20, "*", "f", self.word(), "g", "1"],
                ["XADD", key, "*", "n", self.number()],
                ["XTRIM", key, "MAXLEN", 15],
            ]
        )

    def group(self) -> Call:
        """Return a read by a group, which is a write."""
        key, group = f"river:{self.random.randrange(4)}", self.random.choice("gh")
        consumer = self.random.choice(["anna", "bert"])
        return self.random.choice(
            [
                ["XGROUP", "CREATE", key, group, "$", "MKSTREAM"],
                [
                    *("XREADGROUP", "GROUP", group, consumer, "COUNT", 3),
                    *("STREAMS", key, ">"),
                ],
                ["XAUTOCLAIM", key, group, consumer, 0, "-", "COUNT", 2],
                ["XGROUP", "DELCONSUMER", key, group, consumer],
                ["XADD", key, "*", "f", self.word()],
            ]
        )

    def bits(self) -> Call:
        """Return a write to bits or a HyperLogLog."""
        key = self.key("b")
        return self.random.choice(
            [
                ["SETBIT", key, self.random.randrange(300), 1],
                ["BITFIELD", key, "INCRBY", "u5", "#2", "1"],
                ["BITOP", "XOR", key, key, self.key("b")],
                ["PFADD", f"{key}:p", *self.some(self.word)],
                ["PFMERGE", f"{key}:p", f"{self.key('b')}:p"],
            ]
        )

    def geo(self) -> Call:
        """Return a write of places."""
        key = self.key("g")
        place = [self.number(), self.number(), self.word()]
        return self.random.choice(
            [
                ["GEOADD", key, *place],
                [
                    *("GEOSEARCHSTORE", self.key("z"), key, "FROMLONLAT", 1, 1),
                    *("BYRADIUS", 3000, "km"),
                ],
            ]
        )

    def deadline(self) -> Call:
        """Return a change of a deadline."""
        key = self.key(self.random.choice("slthz"))
        return self.random.choice(
            [
                ["PEXPIRE", key, self.random.choice([1, 40, 80_000, -1])],
                ["EXPIRE", key, 1000, "NX"],
                ["PERSIST", key],
                ["EXPIREAT", key, 4_000_000_000, "GT"],
            ]
        )

    def generic(self) -> Call:
        """Return a write to whatever a key holds."""
        kind = self.random.choice("slthzb")
        key, other = self.key(kind), self.key(kind)
        rare = self.random.random() < 0.02
        return self.random.choice(
            [
                ["DEL", key, other],
                ["UNLINK", key],
                ["RENAME", key, other],
                ["COPY", key, other, "REPLACE"],
                ["MOVE", key, self.random.randrange(DATABASES)],
                ["FLUSHDB"] if rare else ["DEL", key],
                ["SWAPDB", 0, 1] if rare else ["GET", self.key("s")],
            ]
        )

    def store(self) -> Call:
        """Return a script, a function, or a sort that stores."""
        first, second, third = self.key("s"), self.key("h"), "counter"
        calls: list[Call] = [
            ["EVAL", SCRIPT, 3, first, second, third, self.word()],
            ["SORT", self.key("t"), "ALPHA", "STORE", self.key("l")],
        ]
        if self.functions:
            calls.append(["TFCALL", "work.both", 2, "counter", self.key("l")])
            calls.append(["TFCALLASYNC", "work.later", 1, "later"])
        return self.random.choice(calls)

    def steps(self, number: int) -> Iterator[Call]:
        """Yield so many commands, some of them in transactions or in another database."""
        done = 0
        while done < number:
            chance = self.random.random()
            if chance < 0.03:
                yield ["SELECT", self.random.randrange(DATABASES)]
            elif chance < 0.08:
                size = self.random.randint(0, 4)
                yield ["MULTI"]
                for _ in range(size):
                    yield self.random.choice(self.kinds[:-3])()
                yield ["EXEC"]
                done += size
            else:
                yield self.random.choice(self.kinds)()
                done += 1


def state(ask: Callable[..., Any]) -> dict[tuple[int, bytes], Any]:
    """Return what is to be the same of every key: digest, deadline, groups of streams."""
    found: dict[tuple[int, bytes], Any] = {}
    for db in range(DATABASES):
        ask("SELECT", db)
        keys = sorted(ask("KEYS", "*"))
        digests = ask("DEBUG", "DIGEST-VALUE", *keys) if keys else []
        for key, digest in zip(keys, digests, strict=True):
            found[db, key] = digest, ask("PEXPIRETIME", key), groups(ask, key)
    ask("SELECT", 0)
    return found


def groups(ask: Callable[..., Any], key: bytes) -> Any:
    """Return what groups of a stream have: who has read what, how far they are."""
    if not key.startswith(b"river:") or ask("TYPE", key) != "stream":
        return None
    told = []
    for row in ask("XINFO", "GROUPS", key):
        facts = (
            row
            if isinstance(row, dict)
            else dict(zip(row[::2], row[1::2], strict=True))
        )
        name = facts[b"name"]
        pending = ask("XPENDING", key, name, "-", "+", 1000)
        told.append(
            (name, facts[b"last-delivered-id"], [p[:2] + p[3:] for p in pending])
        )
    return sorted(told)


def differences(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    """Return the keys that are not the same, with both states."""
    return {
        key: (one.get(key), other.get(key))
        for key in one.keys() | other.keys()
        if one.get(key) != other.get(key)
    }
