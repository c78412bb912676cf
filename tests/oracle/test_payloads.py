"""DUMP byte for byte, and the file with all keys: as Redis 7.2 writes them.

Left out: hash tables, which Redis walks in an order of chance, and quicklists and streams
from which something was taken away.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import trignb
from oracle.server import RedisServer, require_server
from trignb.datatypes.rdb import DEFAULTS, dump_value

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from oracle.wire import Argument, Connection

pytestmark = pytest.mark.oracle

Row = tuple["Argument", ...]

SEEDS = int(os.environ.get("TRIGNB_PAYLOADS", "6"))
KEYS = 40


@pytest.fixture(scope="module")
def server() -> Iterator[Connection]:
    """A server of its own: parameters are changed."""
    require_server()
    with RedisServer() as server:
        yield server.connect()


def text(chance: random.Random) -> bytes:
    """Return a number, bytes, or something to be compressed."""
    match chance.randrange(7):
        case 0:
            high = 10 ** chance.randrange(1, 20)
            return b"%d" % chance.randrange(-high, high)
        case 1:
            return chance.randbytes(chance.randrange(80))
        case 2:
            return b"ab" * chance.randrange(200)
        case 3:
            return bytes(chance.choices(b"abc", k=chance.randrange(300)))
        case 4:
            return b"the quick brown fox jumps over the lazy dog " * chance.randrange(4)
        case 5:
            return b"%.3f" % chance.uniform(-100, 100)
    return b"w%d" % chance.randrange(50)


def rows(chance: random.Random, key: str) -> list[Row]:
    """Choose the commands that make a key."""
    texts = [text(chance) for _ in range(chance.choice([1, 3, 12, 60, 130, 300]))]
    few = list(dict.fromkeys(each[:60] for each in texts))[:60]
    match chance.randrange(9):
        case 0:
            return [("SET", key, b"".join(texts))]
        case 1:
            return [("SET", key, texts[0]), ("SETBIT", key, 5, 1)]
        case 2:
            return [("HSET", key, *(w for f in few for w in (f, f[:20])))]
        case 3 | 4:
            side = chance.choice(["LPUSH", "RPUSH"])
            return [(side, key, *texts[i : i + 50]) for i in range(0, len(texts), 50)]
        case 5:
            return [("SADD", key, *few)]
        case 6:
            high = 10 ** chance.choice([3, 6, 15])
            return [("SADD", key, *(chance.randrange(-high, high) for _ in texts))]
        case 7:
            members = few if len(texts) < 100 else texts
            scores = [chance.uniform(-1e5, 1e5) for _ in members]
            pairs = zip(map(repr, scores), members, strict=True)
            return [("ZADD", key, *(word for pair in pairs for word in pair))]
    entries: list[Row] = [
        (
            *("XADD", key, f"{i + 1}-{chance.randrange(3)}", "f", each),
            *(("g", "x") if chance.random() < 0.2 else ()),
        )
        for i, each in enumerate(texts)
    ]
    return [*entries, ("XGROUP", "CREATE", key, "g", "0", "ENTRIESREAD", "1")]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_payloads(server: Connection, counts: Counter[str], seed: int) -> None:
    chance = random.Random(seed)
    limits: dict[str, Any] = {
        "list-max-listpack-size": chance.choice(["-2", "-1", "16", "128"]),
        "set-max-intset-entries": chance.choice(["512", "20"]),
        "stream-node-max-entries": chance.choice(["100", "7"]),
        "rdbcompression": chance.choice(["yes", "no"]),
    }
    server.execute("FLUSHALL")
    with trignb.Engine(**limits) as engine:
        for name, value in limits.items():
            server.execute("CONFIG", "SET", name, value)
        for number in range(KEYS):
            key = f"k{number}"
            for row in rows(chance, key):
                ours: Any = engine.execute(*row)
                theirs = server.execute(*row)
                assert ours == theirs or ours == str(theirs).encode(), row
            encoding = server.execute("OBJECT", "ENCODING", key)
            assert engine.execute("OBJECT", "ENCODING", key) == encoding, (limits, key)
            ours, theirs = engine.execute("DUMP", key), server.execute("DUMP", key)
            assert encoding == b"hashtable" or ours == theirs, (limits, key, encoding)
            counts["payloads of DUMP, the same byte for byte"] += 1


def test_consumers_have_their_times(server: Connection) -> None:
    server.execute("FLUSHALL")
    with trignb.Engine() as engine:
        for row in (
            ("XADD", "s", "1-1", "f", "v"),
            ("XGROUP", "CREATE", "s", "g", "0"),
            ("XGROUP", "CREATECONSUMER", "s", "g", "idle"),
            ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"),
        ):
            server.execute(*row)
        engine.execute("RESTORE", "s", 0, server.execute("DUMP", "s"))
        assert engine.execute("DUMP", "s") == server.execute("DUMP", "s")
        (value,) = (db.data[b"s"] for db in engine.core.databases[:1])
        active = {name: c.active_ms for name, c in value.groups[b"g"].consumers.items()}
        assert active[b"idle"] == -1
        assert active[b"c"] > 0
        # Version 10 has no place for them.
        assert len(dump_value(value, DEFAULTS, 10)) == len(dump_value(value)) - 16


LIBRARY = "#!lua name=a\nredis.register_function('f', function() return 1 end)"


def test_the_file(tmp_path: Path) -> None:
    require_server()
    files = []
    with (
        trignb.Engine(dir=str(tmp_path)) as engine,
        RedisServer() as server,
    ):
        connection = server.connect()
        for execute in (engine.execute, connection.execute):
            execute("FUNCTION", "LOAD", LIBRARY)
            execute("SELECT", 3)
            execute("SET", "k", "v", "PXAT", "33000000000123")
            execute("SAVE")
        for folder in (tmp_path, Path(server.directory)):
            data = (folder / "dump.rdb").read_bytes()
            # Its version, the time and the memory that is taken; the checksum.
            start = data.index(b"\xfa\x08aof-base")
            assert data.startswith(b"REDIS0011\xfa\tredis-ver\x057.2.")
            names = [name for name in AUXILIARY if name in data[:start]]
            files.append((names, data[start:-8]))
    assert files[0] == files[1]


AUXILIARY = [b"redis-ver", b"redis-bits\xc0@", b"ctime\xc2", b"used-mem"]


STORED = """
    ZADD z 0 a -0 b 1 c 2 d
    ZRANGESTORE d z 0 -1
    ZRANGESTORE d z - + BYLEX
    ZRANGESTORE d z + [b BYLEX REV LIMIT 0 1
    ZRANGESTORE d z -inf +inf BYSCORE
    ZUNIONSTORE d 2 d z
    ZDIFFSTORE d 1 z
    ZADD d 1 x 2 x 3 x
    COPY d e REPLACE
    SUNIONSTORE s i
    SUNIONSTORE s i t
    SINTERSTORE s i i
    SDIFFSTORE s t i
    SADD i 4
    GEOSEARCHSTORE d g FROMLONLAT 1 1 BYRADIUS 900 km
"""


@pytest.mark.parametrize("entries", ["512", "2"])
def test_encodings_of_what_is_stored(server: Connection, entries: str) -> None:
    server.execute("FLUSHALL")
    limits = {
        f"{kind}-max-{form}-entries": entries
        for kind, form in (("zset", "listpack"), ("set", "intset"), ("set", "listpack"))
    }
    lines = [
        "SADD i 1 2 3",
        "SADD t a b c",
        "GEOADD g 1 1 x 2 2 y",
        *STORED.split("\n"),
    ]
    with trignb.Engine(**dict[str, Any](limits)) as engine:
        for name, value in limits.items():
            server.execute("CONFIG", "SET", name, value)
        for line in filter(str.strip, lines):
            assert engine.execute(*line.split()) == server.execute(*line.split()), line
            for key in sorted(server.execute("KEYS", "*")):
                words = ("OBJECT", "ENCODING", key)
                assert engine.execute(*words) == server.execute(*words), (line, key)
