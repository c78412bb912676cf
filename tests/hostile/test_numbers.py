"""Numbers in files are sizes only after they were checked, and only files are replaced by files."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import trignb
from hostile.numbers import KINDS
from trignb.errors import AofError, RdbError, ResponseError
from trignb.persistence.loading import MOST_DATABASES

TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_numbers_cost_nothing(kind: str, long: bool) -> None:
    command = [
        sys.executable,
        "-m",
        "hostile.numbers",
        kind,
        "3",
        "3000" if long else "80",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        timeout=1500 if long else 55,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]


def rdb_with_database(number: int) -> bytes:
    select = b"\xfe\x80" + number.to_bytes(4, "big")
    return b"REDIS0010" + select + b"\x00\x01a\x01b\xff" + bytes(8)


@pytest.mark.parametrize("number", [2**32 - 1, MOST_DATABASES])
def test_an_engine_made_for_a_file_has_not_as_many_databases_as_it_says(
    tmp_path: Path, number: int
) -> None:
    path = tmp_path / "x.rdb"
    path.write_bytes(rdb_with_database(number))
    with pytest.raises(RdbError, match=f"keys in database {number}"):
        trignb.Engine.from_rdb(path)
    path.write_bytes(rdb_with_database(300))
    with trignb.Engine.from_rdb(path) as engine:
        assert len(engine.core.databases) == 301


def test_as_many_databases_as_one_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "x.rdb"
    path.write_bytes(rdb_with_database(MOST_DATABASES))
    with trignb.Engine.from_rdb(path, databases=MOST_DATABASES + 1) as engine:
        assert engine.core.databases[MOST_DATABASES].data == {b"a": b"b"}


# -- manifests


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\n",
        b"file a seq 1 type \xff\n",
        b"file a\\x00b seq 1 type b\n",
        b'file "a\\x00b" seq 1 type b\n',
        b"file .. seq 1 type h\n",
        b"file . seq 1 type b\n",
        b"file a seq 99999999999999999999 type b\n",
        b"file a seq " + b"9" * 5000 + b" type b\n",
        b"x" * 100_000,
        b"file missing seq 1 type b\n",
    ],
)
def test_a_damaged_manifest_is_an_aof_error(tmp_path: Path, text: bytes) -> None:
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.manifest").write_bytes(text)
    with pytest.raises(AofError):
        trignb.Engine(dir=str(tmp_path), appendonly=True)


def test_a_directory_is_neither_a_manifest_nor_a_part(tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    (folder / "appendonly.aof.manifest").mkdir(parents=True)
    with pytest.raises(AofError):
        trignb.Engine(dir=str(tmp_path), appendonly=True)
    (folder / "appendonly.aof.manifest").rmdir()
    (folder / "part").mkdir()
    (folder / "appendonly.aof.manifest").write_text("file part seq 1 type b\n")
    with pytest.raises(AofError):
        trignb.Engine(dir=str(tmp_path), appendonly=True)


# -- what is not a regular file


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def is_pipe(path: Path) -> bool:
    return stat.S_ISFIFO(os.stat(path).st_mode)


def test_save_does_not_replace_a_pipe(tmp_path: Path) -> None:
    pipe = make_pipe(tmp_path / "pipe")
    link = tmp_path / "link"
    link.symlink_to(pipe)
    with trignb.Engine(dir=str(tmp_path), dbfilename="pipe") as engine:
        engine.execute("SET", "k", "v")
        for path in (pipe, link, tmp_path):
            with pytest.raises(OSError, match="not a regular file|directory"):
                engine.save(path)
        with pytest.raises(ResponseError):
            engine.execute("SAVE")
        engine.execute("CONFIG", "SET", "save", "")
    assert is_pipe(pipe)
    assert is_pipe(link)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "pipe"]


def test_bgsave_does_not_replace_a_pipe(tmp_path: Path) -> None:
    pipe = make_pipe(tmp_path / "pipe")
    with trignb.Engine(dir=str(tmp_path), dbfilename="pipe", save="") as engine:
        engine.execute("SET", "k", "v")
        engine.execute("BGSAVE")
        while b"rdb_bgsave_in_progress:1" in engine.execute("INFO", "persistence"):
            pass
        assert b"rdb_last_bgsave_status:err" in engine.execute("INFO", "persistence")
    assert is_pipe(pipe)


def test_acl_save_does_not_replace_a_pipe(tmp_path: Path) -> None:
    file = tmp_path / "users.acl"
    file.write_text("user default on nopass ~* &* +@all\n")
    with trignb.Engine(aclfile=str(file)) as engine:
        file.unlink()
        make_pipe(file)
        with pytest.raises(ResponseError, match="trying to save the ACLs"):
            engine.execute("ACL", "SAVE")
    assert is_pipe(file)
    assert [p.name for p in tmp_path.iterdir()] == ["users.acl"]


@pytest.mark.parametrize(
    "name", ["appendonly.aof.manifest", "appendonly.aof.1.incr.aof"]
)
def test_an_append_only_file_does_not_replace_a_pipe(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    with trignb.Engine(dir=str(tmp_path)) as engine:
        pipe = make_pipe(folder / name)
        with pytest.raises((OSError, AofError)):
            trignb.Engine(dir=str(tmp_path), appendonly=True)
        assert engine.execute("PING") == "PONG"
    assert is_pipe(pipe)
