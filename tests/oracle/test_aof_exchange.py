"""Directories with append-only files on their way between our engine and a real redis-server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trignb
from oracle.references import find_reference
from oracle.server import ORACLE, RedisServer
from oracle.test_differential import any_call
from oracle.test_rdb_files import fill
from persistence.aof_files import LIBRARY, LUA, digest, engine_on, files, run, words

pytestmark = pytest.mark.oracle

SLOW = [
    HealthCheck.too_slow,
    HealthCheck.large_base_example,
    HealthCheck.function_scoped_fixture,
]
sessions = st.lists(any_call, min_size=30, max_size=80)


@pytest.fixture(autouse=True)
def has_redis(oracle: RedisServer) -> None:
    """Skip, or fail, where there is no redis-server."""


def server_on(directory: Path, **options: str) -> RedisServer:
    return RedisServer(ORACLE, directory, (), appendonly="yes", **options)


def settled(execute: Any) -> Any:
    """Return the digest when what is due is gone."""
    for db in range(16):
        execute("SELECT", db)
        execute("SCAN", 0, "COUNT", 100_000)
    execute("SELECT", 0)
    return execute("DEBUG", "DIGEST")


def execute_any(engine: trignb.Engine, args: Any) -> None:
    with contextlib.suppress(trignb.ResponseError):
        engine.execute(*args)


def check(directory: Path) -> None:
    """See what redis-check-aof, which comes with redis-server, says."""
    launch = find_reference(ORACLE)
    assert launch is not None
    manifest = directory / "appendonlydir" / "appendonly.aof.manifest"
    done = subprocess.run(
        [*launch.tool("redis-check-aof"), str(manifest)],
        env=os.environ | launch.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "All AOF files and manifest are valid" in done.stdout, done.stdout


# -- ours, there


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("rewritten", [False, True])
def test_redis_starts_on_our_directory(
    tmp_path: Path, preamble: str, rewritten: bool
) -> None:
    options = {"aof_use_rdb_preamble": preamble, "aof_timestamp_enabled": "yes"}
    with engine_on(tmp_path, **options) as engine:
        engine.load(LIBRARY + "//" + "x" * 5000, config={"a": "\N{SNOWMAN}"})
        engine.execute("FUNCTION", "LOAD", LUA)
        fill(engine.execute)
        engine.execute("SET", "user:1", "tom")
        if rewritten:
            run(engine, "BGREWRITEAOF")
            engine.aof.rewriter.wait()
        for text in (
            "SET user:2 tim",
            "XADD log 5-1 f v",
            "MULTI",
            "SET m 1",
            "INCR m",
        ):
            run(engine, text)
        run(engine, "EXEC")
        ours = settled(engine.execute)
    check(tmp_path)
    with server_on(tmp_path, **options) as server:
        connection = server.connect()
        assert connection.execute("DEBUG", "DIGEST") == ours
        assert connection.execute("FCALL", "f", "0") == b"hi"
        assert connection.execute("GET", "fired") == b"2"
        connection.execute("SET", "user:3", "there")
    # What it wrote comes back, and the library is still there: it was read over only.
    with engine_on(tmp_path, **options) as engine:
        assert run(engine, "GET user:3") == b"there"
        assert run(engine, "GET fired") == b"2"
        run(engine, "SET user:4 here")
        assert run(engine, "GET fired") == b"3"
        assert run(engine, "XADD log 6-1 f v") == b"6-1"
        assert run(engine, "LRANGE seen 0 -1") == [b"5", b"6"]


@settings(max_examples=12, suppress_health_check=SLOW)
@given(steps=sessions, preamble=st.sampled_from(["yes", "no"]), at=st.integers(0, 80))
def test_random_sessions_of_ours(
    tmp_path_factory: pytest.TempPathFactory,
    counts: Counter[str],
    steps: list[Any],
    preamble: str,
    at: int,
) -> None:
    directory = tmp_path_factory.mktemp("ours")
    with engine_on(directory, aof_use_rdb_preamble=preamble) as engine:
        for i, args in enumerate(steps):
            execute_any(engine, args)
            if i == at:
                engine.session().execute("BGREWRITEAOF")
        execute_any(engine, ("DISCARD",))
        engine.aof.rewriter.wait()
        ours = settled(engine.execute)
    with engine_on(directory) as engine:
        assert settled(engine.execute) == ours
    with server_on(directory) as server:
        assert settled(server.connect().execute) == ours
    counts["commands whose append-only file redis-server loads"] += len(steps)


# -- theirs, here


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("rewritten", [False, True])
def test_we_start_on_a_directory_of_redis(
    tmp_path: Path, preamble: str, rewritten: bool
) -> None:
    options = {"aof_use_rdb_preamble": preamble, "aof_timestamp_enabled": "yes"}
    with server_on(tmp_path, **options) as server:
        connection = server.connect()
        connection.execute("FUNCTION", "LOAD", LUA)
        fill(connection.execute)
        if rewritten:
            connection.execute("BGREWRITEAOF")
            while b"aof_rewrite_in_progress:1" in connection.execute(
                "INFO", "persistence"
            ):
                pass
        for text in ("SET user:2 tim", "MULTI", "SET m 1", "INCR m", "EXEC"):
            connection.execute(*text.split())
        theirs = settled(connection.execute)
    assert len(files(tmp_path)) == 3
    with engine_on(tmp_path, **options) as engine:
        assert digest(engine) == theirs
        assert run(engine, "FCALL f 0") == b"hi"
        assert run(engine, "GET m") == b"2"
        run(engine, "SET here too")
        ours = settled(engine.execute)
    with server_on(tmp_path, **options) as server:
        assert server.connect().execute("DEBUG", "DIGEST") == ours


@settings(max_examples=8, suppress_health_check=SLOW)
@given(steps=sessions)
def test_random_sessions_of_redis(
    tmp_path_factory: pytest.TempPathFactory, counts: Counter[str], steps: list[Any]
) -> None:
    directory = tmp_path_factory.mktemp("theirs")
    with server_on(directory) as server:
        connection = server.connect()
        for args in steps:
            connection.execute(*args)
        connection.execute("DISCARD")
        theirs = settled(connection.execute)
    with engine_on(directory) as engine:
        assert settled(engine.execute) == theirs
    counts["commands whose append-only file is loaded here"] += len(steps)


# -- the same on both sides


def test_the_same_commands_are_the_same_files(tmp_path: Path) -> None:
    script = """
        SET k v
        set k w
        MULTI
        SET a 1
        SELECT 3
        INCR b
        EXEC
        SET c 3
        GETDEL c
        SELECT 0
        RPUSH l a b c
        LMPOP 1 l LEFT COUNT 2
        SPOP none
        HINCRBYFLOAT h f 1.5
        XADD x 1-1 f v
        XGROUP CREATE x g 0
        XREADGROUP GROUP g me STREAMS x >
        FLUSHDB
        EVAL return{redis.call('set','e','1'),redis.call('incr','e')} 0
        DEL nothing
        """
    lines = [line.split() for line in script.strip().splitlines()]
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    with engine_on(tmp_path / "ours") as engine:
        for args in lines:
            execute_any(engine, args)
    with server_on(tmp_path / "theirs") as server:
        connection = server.connect()
        for args in lines:
            connection.execute(*args)
    ours, theirs = (files(tmp_path / name) for name in ("ours", "theirs"))
    assert ours.keys() == theirs.keys()
    assert ours["appendonly.aof.manifest"] == theirs["appendonly.aof.manifest"]
    name = "appendonly.aof.1.incr.aof"
    # Times differ.
    assert sorted(map(plain, words(ours[name]))) == sorted(
        map(plain, words(theirs[name]))
    )


def plain(text: bytes) -> bytes:
    """Return a command without its times."""
    return b" ".join(b"T" if len(w) == 13 and w.isdigit() else w for w in text.split())


@pytest.mark.parametrize(
    "damage",
    [
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n",
        b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"xyz",
        b"*z\r\n",
        b"*2\r\n:3\r\n",
        b"*2\r\n$3\r\nFOO\r\n$1\r\nx\r\n",
        b"#TS:1",
    ],
)
def test_both_start_or_neither(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "ours").mkdir()
    with engine_on(tmp_path / "ours") as engine:
        run(engine, "SET k v")
    name = "appendonlydir/appendonly.aof.1.incr.aof"
    with open(tmp_path / "ours" / name, "ab") as file:
        file.write(damage)
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs")
    ours = theirs = None
    with contextlib.suppress(trignb.AofError), engine_on(tmp_path / "ours") as engine:
        ours = digest(engine)
    # It is tried three times.
    with contextlib.suppress(RuntimeError), server_on(tmp_path / "theirs") as server:
        theirs = server.connect().execute("DEBUG", "DIGEST")
    assert ours == theirs
    if damage.startswith(b"*") and ours is not None:
        sizes = [(tmp_path / who / name).stat().st_size for who in ("ours", "theirs")]
        assert sizes[0] == sizes[1]
