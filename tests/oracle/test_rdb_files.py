"""RDB files on their way between our engine and a real redis-server, both ways."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import trignb
from oracle.server import ORACLE, RedisServer
from trignb.datatypes.crc64 import crc64
from trignb.datatypes.packed import pack_intset
from trignb.datatypes.rdb import Writer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence

    from oracle.wire import Argument, Connection

pytestmark = pytest.mark.oracle

Send = "Callable[..., Any]"
SEEDS = int(os.environ.get("TRIGNB_RDB_SEEDS", "12"))
LIBRARY = "#!lua name=sums\nredis.register_function('one', function() return 1 end)"
FAR = "33000000000"
SECONDS = 2_000_000_000


@pytest.fixture
def server(oracle: RedisServer) -> Iterator[Connection]:
    """The oracle, empty before and after."""
    connection = oracle.connect()
    connection.execute("FLUSHALL")
    connection.execute("FUNCTION", "FLUSH")
    defaults = connection.execute("CONFIG", "GET", "*max*")
    yield connection
    connection.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")
    for name, value in zip(defaults[::2], defaults[1::2], strict=True):
        if b"pack" in name or b"ziplist" in name:
            connection.execute("CONFIG", "SET", name, value)
    connection.execute("DEBUG", "QUICKLIST-PACKED-THRESHOLD", "0")
    connection.execute("FUNCTION", "FLUSH")
    connection.execute("FLUSHALL")


@pytest.fixture
def dump(oracle: RedisServer) -> Iterator[Path]:
    """The file that the oracle saves and loads."""
    path = Path(oracle.directory, "dump.rdb")
    yield path
    path.unlink(missing_ok=True)


def fill(send: Callable[..., Any]) -> None:
    """Make keys of every type and encoding that both sides have."""
    rows: list[Sequence[Argument]] = [
        ("SET", "int", "12345"),
        *(("SET", f"int{bits}", str(-(1 << bits))) for bits in (6, 7, 8, 15, 31, 62)),
        ("SET", "embstr", "hello"),
        ("SET", "empty", ""),
        ("SET", b"binary\x00\xff", bytes(range(256))),
        ("SET", "long", "abc" * 5000),
        ("SET", "noise", random.Random(1).randbytes(20_000)),
        ("SET", "timed", "x", "PXAT", FAR + "123"),
        ("APPEND", "raw", "in place"),
        ("PFADD", "sparse", *range(10)),
        ("PFADD", "dense", *range(4000)),
        ("HSET", "h", "f", "v", "n", "42", "", "empty name"),
        ("HSET", "hlong", "f", "v" * 100),
        ("HSET", "hmany", *range(1200)),
        ("RPUSH", "l", "a", "1", "-70000", "x" * 70),
        ("RPUSH", "lmany", *range(3000)),
        ("RPUSH", "lbig", "y" * 9000, "z", "w" * 20_000),
        ("SADD", "i16", 1, -2, 3),
        ("SADD", "i32", 1, -70_000),
        ("SADD", "i64", 1, 1 << 40),
        ("SADD", "s", "a", "b", "", "17"),
        ("SADD", "smany", *(f"m{i}" for i in range(300))),
        ("SADD", "imany", *range(600)),
        ("ZADD", "z", "1", "a", "-0.5", "b", "inf", "c", "-inf", "d", "0.1", "17"),
        ("ZADD", "zlong", "1.25", "m" * 70),
        ("ZADD", "zmany", *(w for i in range(200) for w in (str(i / 3), f"m{i}"))),
        ("GEOADD", "g", "13.361389", "38.115556", "Palermo"),
        ("EXPIRE", "hmany", FAR[:8]),
        *(("XADD", "x", f"{5 + i // 7}-{i % 7 + 1}", "f", str(i)) for i in range(250)),
        ("XADD", "x", "900-0", "other", "fields", "and", "more"),
        ("XDEL", "x", "7-3", "8-1", "900-0"),
        ("XTRIM", "x", "MAXLEN", "200"),
        ("XGROUP", "CREATE", "x", "g1", "0"),
        ("XGROUP", "CREATE", "x", "g2", "$"),
        ("XGROUP", "CREATECONSUMER", "x", "g2", "idle"),
        ("XREADGROUP", "GROUP", "g1", "ann", "COUNT", "5", "STREAMS", "x", ">"),
        ("XREADGROUP", "GROUP", "g1", "bob", "COUNT", "3", "STREAMS", "x", ">"),
        ("XACK", "x", "g1", "13-1", "12-5"),
        ("XADD", "xempty", "3-0", "a", "b"),
        ("XDEL", "xempty", "3-0"),
        ("XGROUP", "CREATE", "xnew", "g", "$", "MKSTREAM"),
        ("SELECT", "3"),
        ("SET", "there", "too"),
        ("SELECT", "15"),
        ("RPUSH", "last", "one"),
        ("SELECT", "0"),
    ]
    for row in rows:
        reply = send(*row)
        assert not isinstance(reply, trignb.ResponseError), (row[:3], reply)


def encodings(send: Callable[..., Any]) -> dict[bytes, Any]:
    """Return what each key of database 0 is kept in."""
    return {key: send("OBJECT", "ENCODING", key) for key in sorted(send("KEYS", "*"))}


def differing(ours: dict[bytes, Any], theirs: dict[bytes, Any]) -> list[Any]:
    assert ours.keys() == theirs.keys()
    return [(key, ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]]


def debug_engine(**kwargs: Any) -> trignb.Engine:
    return trignb.Engine(enable_debug_command="yes", **kwargs)


def from_oracle(server: Connection, dump: Path, **kwargs: Any) -> trignb.Engine:
    assert server.execute("SAVE") == "OK"
    return trignb.Engine.from_rdb(dump, enable_debug_command="yes", **kwargs)


def to_oracle(engine: trignb.Engine, server: Connection, dump: Path) -> None:
    engine.save(dump)
    assert server.execute("DEBUG", "RELOAD", "NOSAVE") == "OK"


def test_what_redis_saved(server: Connection, dump: Path, counts: Counter[str]) -> None:
    fill(server.execute)
    server.execute("FUNCTION", "LOAD", LIBRARY)
    with from_oracle(server, dump) as engine:
        assert engine.execute("DEBUG", "DIGEST") == server.execute("DEBUG", "DIGEST")
        assert not differing(encodings(engine.execute), encodings(server.execute))
        session = engine.session(resp=2)
        for command in (
            ("XINFO", "STREAM", "x"),
            ("XINFO", "GROUPS", "x"),
            ("XPENDING", "x", "g1", "-", "+", "10"),
            ("XINFO", "STREAM", "xempty"),
            ("XRANGE", "x", "-", "+"),
        ):
            theirs = server.execute(*command)
            ours = trignb.reply.to_resp2(session.execute(*command))
            if command[0] == "XPENDING":
                ours, theirs = (
                    [[*row[:2], row[3]] for row in x] for x in (ours, theirs)
                )
            assert without_tree(ours) == without_tree(theirs), command
        assert engine.execute("PEXPIRETIME", "timed") == int(FAR + "123")
        assert engine.execute("FCALL", "one", "0") == 1
    counts["RDB files read here and there, all agree"] += 1


def without_tree(reply: Any) -> Any:
    """Leave out how many nodes a radix tree has."""
    if isinstance(reply, list) and b"radix-tree-keys" in reply:
        at = reply.index(b"radix-tree-keys")
        return reply[:at] + reply[at + 4 :]
    return reply


def test_what_we_save(server: Connection, dump: Path, counts: Counter[str]) -> None:
    with debug_engine() as engine:
        fill(engine.execute)
        engine.execute("FUNCTION", "LOAD", LIBRARY)
        to_oracle(engine, server, dump)
        assert server.execute("DEBUG", "DIGEST") == engine.execute("DEBUG", "DIGEST")
        assert not differing(encodings(engine.execute), encodings(server.execute))
        assert server.execute("FCALL", "one", "0") == 1
        assert server.execute("PEXPIRETIME", "timed") == int(FAR + "123")
        pending = server.execute("XPENDING", "x", "g1", "-", "+", "10")
        assert [row[:2] for row in pending] == [
            row[:2] for row in engine.execute("XPENDING", "x", "g1", "-", "+", "10")
        ]
        assert server.execute("XLEN", "x") == 200
        # What comes later still goes on where it stood.
        assert server.execute("XREADGROUP", "GROUP", "g1", "c", "STREAMS", "x", ">")
    counts["RDB files read here and there, all agree"] += 1


def test_digests_of_values_are_those_of_redis(server: Connection) -> None:
    fill(server.execute)
    keys = sorted(server.execute("KEYS", "*"))
    with debug_engine() as engine:
        fill(engine.execute)
        ours = dict(
            zip(keys, engine.execute("DEBUG", "DIGEST-VALUE", *keys), strict=True)
        )
        theirs = dict(
            zip(keys, server.execute("DEBUG", "DIGEST-VALUE", *keys), strict=True)
        )
        assert not differing(ours, theirs)
        for words in (("DIGEST-VALUE",), ("DIGEST-VALUE", "none")):
            ours_, theirs_ = (
                x("DEBUG", *words) for x in (engine.execute, server.execute)
            )
            assert ours_ == theirs_


class ServerOnFile(RedisServer):
    """A redis-server that finds a file when it starts."""

    def __init__(self, path: Path, kind: str = ORACLE) -> None:
        self.path = path
        super().__init__(kind)

    def _start(self) -> Any:
        shutil.copy(self.path, Path(self.directory, "dump.rdb"))
        return super()._start()


def test_a_server_starts_on_a_file_of_ours(oracle: RedisServer, tmp_path: Path) -> None:
    path = tmp_path / "ours.rdb"
    with debug_engine() as engine:
        fill(engine.execute)
        engine.execute("FUNCTION", "LOAD", LIBRARY)
        engine.save(path)
        digest = engine.execute("DEBUG", "DIGEST")
    with ServerOnFile(path) as server:
        connection = server.connect()
        assert connection.execute("DEBUG", "DIGEST") == digest
        assert connection.execute("FCALL", "one", "0") == 1


@pytest.mark.parametrize("seed", range(SEEDS))
def test_keyspaces_at_random(
    server: Connection, dump: Path, counts: Counter[str], seed: int
) -> None:
    chance = random.Random(seed)
    limits = {
        "hash-max-listpack-entries": chance.choice(["512", "3"]),
        "list-max-listpack-size": chance.choice(["-2", "-1", "4", "1"]),
        "set-max-intset-entries": chance.choice(["512", "3"]),
        "set-max-listpack-entries": chance.choice(["128", "3"]),
        "zset-max-listpack-entries": chance.choice(["128", "3"]),
        "rdbcompression": chance.choice(["yes", "no"]),
    }
    for name, value in limits.items():
        server.execute("CONFIG", "SET", name, value)
    if chance.random() < 0.5:
        # Elements longer than that get a node of their own.
        server.execute("DEBUG", "QUICKLIST-PACKED-THRESHOLD", "50b")
    for number in range(60):
        for row in random_key(chance, f"k{number}"):
            reply = server.execute(*row)
            assert not isinstance(reply, trignb.ResponseError), (row, reply)
    digest = server.execute("DEBUG", "DIGEST")
    # Loading chooses encodings anew.
    assert server.execute("DEBUG", "RELOAD") == "OK"
    names = encodings(server.execute)
    with from_oracle(server, dump, **limits) as engine:
        assert engine.execute("DEBUG", "DIGEST") == digest
        assert not differing(encodings(engine.execute), names)
        if seed % 2:
            engine.execute("DEBUG", "RELOAD")
        assert engine.execute("DEBUG", "DIGEST") == digest
        to_oracle(engine, server, dump)
    assert server.execute("DEBUG", "DIGEST") == digest
    assert not differing(encodings(server.execute), names)
    counts["RDB files read here and there, all agree"] += 2


def random_text(chance: random.Random) -> Argument:
    kind = chance.randrange(5)
    if kind == 0:
        return str(chance.randrange(-(10 ** chance.randrange(1, 20)), 10**18))
    if kind == 1:
        return chance.randbytes(chance.randrange(100))
    if kind == 2:
        return "ab" * chance.randrange(200)
    return f"word{chance.randrange(50)}"


def random_key(chance: random.Random, key: str) -> Iterator[tuple[Argument, ...]]:
    """Choose the commands that make a key."""
    texts = [random_text(chance) for _ in range(chance.choice([1, 4, 40, 300]))]
    kind = chance.randrange(6)
    if kind == 0:
        yield "SET", key, texts[0]
    elif kind == 1:
        yield "HSET", key, *(word for text in texts for word in (text, texts[0]))
    elif kind == 2:
        yield "RPUSH", key, *texts
    elif kind == 3:
        yield "SADD", key, *texts
    elif kind == 4:
        scores = [str(chance.uniform(-1e6, 1e6)) for _ in texts]
        yield (
            "ZADD",
            key,
            *(w for pair in zip(scores, texts, strict=True) for w in pair),
        )
    else:
        for number, text in enumerate(texts):
            fields = ["f"] if chance.random() < 0.8 else ["f", "g"]
            yield (
                "XADD",
                key,
                f"{number + 1}-*",
                *(w for f in fields for w in (f, text)),
            )
        if chance.random() < 0.5:
            yield "XDEL", key, *(f"{i}-0" for i in chance.sample(range(1, 300), 20))
        yield "XGROUP", "CREATE", key, "g", "0"
        yield "XREADGROUP", "GROUP", "g", "c", "COUNT", "9", "STREAMS", key, ">"
    if chance.random() < 0.2:
        yield "PEXPIREAT", key, FAR + "000"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lfu"])
def test_use_of_keys_is_kept(server: Connection, dump: Path, policy: str) -> None:
    server.execute("CONFIG", "SET", "maxmemory-policy", policy)
    lfu = policy.endswith("lfu")
    payload = server.execute("SET", "k", "v") and server.execute("DUMP", "k")
    option = ["FREQ", "77"] if lfu else ["IDLETIME", "5000"]
    server.execute("RESTORE", "k", "0", payload, "REPLACE", *option)
    with from_oracle(server, dump, maxmemory_policy=policy) as engine:
        word = "FREQ" if lfu else "IDLETIME"
        assert engine.execute("OBJECT", word, "k") - int(option[1]) in (0, 1, 2)
        to_oracle(engine, server, dump)
        assert server.execute("OBJECT", word, "k") - int(option[1]) in (0, 1, 2, 3)


# -- what older versions wrote, made by hand


def ziplist(*elements: bytes) -> bytes:
    """Return a ziplist; small integers are packed as such."""
    body, before, tail = b"", 0, 10
    for element in elements:
        if element.isdigit() and int(element) < 13:
            entry = bytes([0xF1 + int(element)])
        elif element.lstrip(b"-").isdigit():
            entry = b"\xd0" + int(element).to_bytes(4, "little", signed=True)
        elif len(element) < 64:
            entry = bytes([len(element)]) + element
        else:
            entry = (0x4000 | len(element)).to_bytes(2, "big") + element
        way_back = (
            bytes([before]) if before < 254 else b"\xfe" + before.to_bytes(4, "little")
        )
        tail = 10 + len(body)
        body += way_back + entry
        before = len(way_back) + len(entry)
    head = (11 + len(body)).to_bytes(4, "little") + tail.to_bytes(4, "little")
    return head + len(elements).to_bytes(2, "little") + body + b"\xff"


def old_file() -> bytes:
    """Return a file of version 9 with the types that Redis 7 no longer writes."""
    out = Writer(compress=False)
    out += b"REDIS0009"
    for name, value in ((b"redis-ver", b"5.0.7"), (b"lua", b"return 1")):
        out.append(250)
        out.string(name)
        out.string(value)
    out += bytes([254, 0, 251, 40, 1])

    def entry(kind: int, key: bytes) -> None:
        out.append(kind)
        out.string(key)

    entry(9, b"zipmap")
    out.string(b"\x02\x03foo\x03\x00bar\x05hello\x05\x00world\xff")
    entry(10, b"ziplist")
    out.string(ziplist(b"a", b"5", b"-70000", b"x" * 300, b"end"))
    entry(12, b"zset in a ziplist")
    out.string(ziplist(b"a", b"1", b"b", b"2.5"))
    entry(13, b"hash in a ziplist")
    out.string(ziplist(b"f", b"1", b"g", b"text"))
    entry(14, b"quicklist")
    out.length(2)
    out.string(ziplist(b"a", b"b"))
    out.string(ziplist(b"12", b"c"))
    out += bytes([253]) + SECONDS.to_bytes(4, "little")
    entry(11, b"intset")
    out.string(pack_intset([1, 70_000]))
    entry(1, b"plain list")
    out.length(2)
    out.string(b"x")
    out.string(b"1")
    entry(3, b"zset with text scores")
    out.length(4)
    for member, score in (
        (b"a", b"\x041.25"),
        (b"b", b"\xfe"),
        (b"c", b"\xff"),
        (b"d", b"\x02-3"),
    ):
        out.string(member)
        out += score
    out.append(255)
    return bytes(out) + crc64(out).to_bytes(8, "little")


def test_files_of_redis_5(server: Connection, dump: Path) -> None:
    dump.write_bytes(old_file())
    assert server.execute("DEBUG", "RELOAD", "NOSAVE") == "OK"
    with trignb.Engine.from_rdb(dump, enable_debug_command="yes") as engine:
        keys = sorted(engine.execute("KEYS", "*"))
        assert len(keys) == 8
        ours = engine.execute("DEBUG", "DIGEST-VALUE", *keys)
        assert ours == server.execute("DEBUG", "DIGEST-VALUE", *keys)
        assert not differing(encodings(engine.execute), encodings(server.execute))
        assert engine.execute("EXPIRETIME", "intset") == SECONDS
