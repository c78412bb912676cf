"""The keyspace as commands: every value comes back from them."""

from __future__ import annotations

import io

import trignb
from persistence.aof_files import digest, engine_on, run_all, words
from trignb.persistence.command_writer import CommandWriter

SCRIPT = """
SET s v
SET timed v PXAT 4000000000000
APPEND raw bytes
INCRBYFLOAT whole 1.0
RPUSH l a b
SADD set x y
SADD ints 1 2
HSET h f v g w
ZADD z 1 a 2.5 b inf c -inf d
XADD x 1-1 f v
XADD x 2-1 f v g w
XADD x 3-1 f v
XDEL x 1-1
XGROUP CREATE x g 0
XGROUP CREATE x lazy 3
XREADGROUP GROUP g ann COUNT 1 STREAMS x >
XREADGROUP GROUP g bob COUNT 1 STREAMS x >
XGROUP CREATECONSUMER x g idle
XADD empty 5-5 a b
XDEL empty 5-5
XGROUP CREATE new g $ MKSTREAM
SELECT 9
SET far away
"""


def written(engine) -> list[bytes]:
    file = io.BytesIO()
    saver = engine.saver
    with saver.begin(CommandWriter(file), saver.facts(), saver.codes()) as out:
        saver.write_keys(out)
    return words(file.getvalue())


def test_every_type_comes_back(tmp_path):
    with engine_on(tmp_path, aof_use_rdb_preamble=False) as engine:
        engine.clock.freeze()
        run_all(engine, SCRIPT)
        engine.execute("SELECT", 0)
        engine.execute("BGREWRITEAOF")
        engine.aof.rewriter.wait()
        before = digest(engine)
        pending = engine.execute("XPENDING", "x", "g", "-", "+", 10)
        full = engine.execute("XINFO", "STREAM", "x", "FULL")
        groups = full.pop(b"groups")
    with engine_on(tmp_path) as engine:
        assert digest(engine) == before
        again = engine.execute("XPENDING", "x", "g", "-", "+", 10)
        # How long ago is a matter of when one looks.
        assert [(*p[:2], p[3]) for p in again] == [(*p[:2], p[3]) for p in pending]
        full = engine.execute("XINFO", "STREAM", "x", "FULL")
        names = [[c[b"name"] for c in g[b"consumers"]] for g in full[b"groups"]]
        assert names == [[c[b"name"] for c in g[b"consumers"]] for g in groups]
        assert names == [[b"ann", b"bob", b"idle"], []]
        for name in (b"entries-added", b"max-deleted-entry-id", b"length"):
            assert full[name] == {b"entries-added": 3, b"length": 2}.get(name, b"1-1")


def test_large_values_come_in_parts():
    with trignb.Engine() as engine:
        engine.execute("RPUSH", "l", *range(150))
        engine.execute("HSET", "h", *range(200))
        commands = [text.split() for text in written(engine)]
    assert [(c[0], len(c) - 2) for c in commands[1:]] == [
        *((b"RPUSH", 64), (b"RPUSH", 64), (b"RPUSH", 22)),
        *((b"HMSET", 128), (b"HMSET", 72)),
    ]


def test_nothing_is_written_after_an_error():
    file = io.BytesIO()
    writer = CommandWriter(file)
    writer.database(0, 1, 0)
    writer.__exit__(ZeroDivisionError, None, None)
    assert file.getvalue() == b""
    writer.__exit__(None, None, None)
    assert words(file.getvalue()) == [b"SELECT 0"]
