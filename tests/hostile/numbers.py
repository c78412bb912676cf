"""Numbers in files and payloads that are not true, read in a process that may not grow.

``python -m hostile.numbers RDB|RESTORE|AOF|REQUESTS|MANIFEST|CMSGPACK SEED ROUNDS``
prints what went wrong, one line each; nothing is good.
"""

from __future__ import annotations

import random
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import trignb
from trignb.datatypes.crc64 import crc64
from trignb.errors import AofError, RdbError, ResponseError
from trignb.resp.parse import ProtocolError, RequestParser

# Address space, and how much the largest memory so far may grow over all rounds.
LIMIT = 3 << 30
GROWTH_KB = 150 << 10
# One round, on a machine that does other things too.
SLOW_S = 5.0

# Lengths of RDB files, listpacks, ziplists and quicklists that say more than there is.
LENGTHS = (
    b"\x80\xff\xff\xff\xff",
    b"\x80\x7f\xff\xff\xff",
    b"\x80\x10\x00\x00\x00",
    b"\x81" + b"\xff" * 8,
    b"\x81\x00\x00\x00\x7f" + b"\xff" * 4,
    b"\x7f\xff",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\xf0\xff\xff\xff\x7f",
    struct.pack("<I", 0x7FFFFFFF),
    struct.pack("<Q", 1 << 62),
)
TEXTS = (
    b"4294967295",
    b"9223372036854775807",
    b"-1",
    b"1073741824",
    b"99999999999999999999",
)


def filled() -> trignb.Engine:
    """Return an engine with a small and a large value of every type."""
    engine = trignb.Engine()
    run = engine.execute
    run("SET", "text", "a" * 500)
    run("SET", "short", "x")
    run("SET", "number", "12345")
    for name, n in (("small", 3), ("large", 600)):
        members = [f"member{i}" for i in range(n)]
        run("RPUSH", f"{name} list", *members)
        run("SADD", f"{name} set", *members)
        run("SADD", f"{name} intset", *range(n))
        run("HSET", f"{name} hash", *[w for m in members for w in (m, m)])
        run("ZADD", f"{name} zset", *[w for i, m in enumerate(members) for w in (i, m)])
        for i in range(n // 3):
            run("XADD", f"{name} stream", f"{i + 1}-1", "field", "value")
    run("XGROUP", "CREATE", "small stream", "group", "0")
    run("XREADGROUP", "GROUP", "group", "me", "STREAMS", "small stream", ">")
    run(
        "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() end)"
    )
    return engine


def damaged(data: bytes, rng: random.Random, values: tuple[bytes, ...]) -> bytes:
    """Return data with a number, or some, that are not true."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(out))
        if rng.random() < 0.3:
            out[at] = rng.randrange(256)
        else:
            value = rng.choice(values)
            out[at : at + rng.choice((1, len(value)))] = value
    return bytes(out)


def rdb(rng: random.Random) -> Iterator[Callable[[], object]]:
    engine, folder = filled(), Path(tempfile.mkdtemp())
    engine.execute("CONFIG", "SET", "rdbcompression", "no")
    files = []
    for name in ("plain", "packed"):
        engine.save(folder / name)
        files.append((folder / name).read_bytes()[:-8] + bytes(8))
        engine.execute("CONFIG", "SET", "rdbcompression", "yes")
    path = folder / "damaged"

    def load() -> None:
        with trignb.Engine.from_rdb(path):
            pass

    while True:
        path.write_bytes(damaged(rng.choice(files), rng, LENGTHS))
        yield load


def restore(rng: random.Random) -> Iterator[Callable[[], object]]:
    engine = filled()
    payloads = [engine.execute("DUMP", key) for key in engine.execute("KEYS", "*")]
    payloads = [payload[:300] + payload[-10:] for payload in payloads]
    while True:
        payload = damaged(rng.choice(payloads)[:-10], rng, LENGTHS) + b"\x0b\x00"
        payload += crc64(payload).to_bytes(8, "little")
        yield lambda p=payload: engine.execute("RESTORE", "key", "0", p, "REPLACE")


def aof(rng: random.Random) -> Iterator[Callable[[], object]]:
    folder = Path(tempfile.mkdtemp())
    with trignb.Engine(dir=str(folder), appendonly=True) as engine:
        engine.execute("SET", "k", "v" * 50)
        engine.execute("RPUSH", "l", *range(20))
    path = next((folder / "appendonlydir").glob("*.incr.aof"))
    whole = path.read_bytes()

    def load() -> None:
        trignb.Engine(dir=str(folder), appendonly=True).close()

    while True:
        path.write_bytes(damaged(whole, rng, TEXTS))
        yield load


def manifest(rng: random.Random) -> Iterator[Callable[[], object]]:
    folder = Path(tempfile.mkdtemp())
    with trignb.Engine(dir=str(folder), appendonly=True) as engine:
        engine.execute("SET", "k", "v" * 50)
    (path,) = (folder / "appendonlydir").glob("*.manifest")
    whole = path.read_bytes()
    words = (
        *TEXTS,
        b"\xff",
        b"\0",
        b"file",
        b"..",
        b".",
        b"x" * 5000,
        b"\n",
        b'"',
        b"seq",
    )

    def load() -> None:
        trignb.Engine(dir=str(folder), appendonly=True).close()

    while True:
        path.write_bytes(damaged(whole, rng, words))
        yield load


def requests(rng: random.Random) -> Iterator[Callable[[], object]]:
    whole = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n" * 3
    while True:
        data = damaged(whole, rng, TEXTS)

        def parse(data: bytes = data) -> None:
            parser = RequestParser()
            for at in range(0, len(data), 7):
                list(parser.feed(data[at : at + 7]))

        yield parse


def cmsgpack(rng: random.Random) -> Iterator[Callable[[], object]]:
    engine = trignb.Engine()
    pack = "return cmsgpack.pack({a={1,2,3}, b='text', c=1.5, d={{{}}}})"
    whole = engine.execute("EVAL", pack, "0")
    values = (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff")
    values += (b"\xc6\x7f\xff\xff\xff", b"\xdc\xff\xff", b"\x91" * 2000)
    unpack = "return #{cmsgpack.unpack(ARGV[1])}"
    while True:
        data = damaged(whole, rng, values)
        yield lambda d=data: engine.execute("EVAL", unpack, "0", d)


KINDS = {
    "RDB": rdb,
    "RESTORE": restore,
    "AOF": aof,
    "MANIFEST": manifest,
    "REQUESTS": requests,
    "CMSGPACK": cmsgpack,
}
EXPECTED = (RdbError, AofError, ResponseError, ProtocolError)


def peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(kind: str, seed: str, rounds: str) -> None:
    rng = random.Random(int(seed))
    attempts = KINDS[kind](rng)
    attempt = next(attempts)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    before = peak_kb()
    for number in range(int(rounds)):
        began = time.process_time()
        try:
            attempt()
        except EXPECTED:
            pass
        except Exception as error:
            error.add_note(f"in round {number}")
            raise
        took = time.process_time() - began
        if took > SLOW_S:
            sys.stdout.write(f"round {number}: took {took:.1f} s\n")
        if peak_kb() - before > GROWTH_KB:
            sys.stdout.write(
                f"round {number}: grew by {(peak_kb() - before) >> 10} MB\n"
            )
            before = peak_kb()
        attempt = next(attempts)


if __name__ == "__main__":
    main(*sys.argv[1:])
