"""``trignb serve``: a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from trignb.server.main import DirectiveError, read_directives

LIBRARY = """#!js api_version=1.0 name=lib
redis.registerFunction("hello", () => "world");
redis.registerKeySpaceTrigger("count", "user:", (client) => {
    client.call("incr", "count");
});
"""

Serve = Callable[..., tuple["subprocess.Popen[str]", redis.Redis]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running: list[subprocess.Popen[str]] = []
    clients: list[redis.Redis] = []

    def start(*args: str) -> tuple[subprocess.Popen[str], redis.Redis]:
        path = tmp_path / f"{len(running)}.sock"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "trignb", "serve", "--port", "0"),
                *("--unixsocket", str(path), "--dir", str(tmp_path), *args),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if "Ready to accept connections" in line:
                break
        else:
            pytest.fail(f"the server did not start, status {process.wait()}")
        clients.append(redis.Redis(unix_socket_path=str(path)))
        return process, clients[-1]

    yield start
    for client in clients:
        client.close()
    for process in running:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_libraries_and_directives(serve: Serve, tmp_path: Path) -> None:
    library = tmp_path / "lib.js"
    library.write_text(LIBRARY, "utf-8")
    _, client = serve(
        "--load", str(library), "--maxmemory", "100mb", "--databases", "4"
    )
    assert client.execute_command("TFCALL", "lib.hello", 0) == b"world"
    client.set("user:1", "x")
    assert client.get("count") == b"1"
    assert client.config_get("maxmemory") == {"maxmemory": "104857600"}
    assert client.config_get("databases") == {"databases": "4"}


def test_gears_config(serve: Serve) -> None:
    _, client = serve("--gears-config", "lock-redis-timeout=1234")
    name = "redisgears_2.lock-redis-timeout"
    assert client.config_get(name) == {name: "1234"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_save_and_end(serve: Serve, tmp_path: Path, number: int) -> None:
    process, client = serve("--save", "3600 1")
    client.set("a", 1)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert (tmp_path / "dump.rdb").exists()
    _, again = serve("--save", "3600 1")
    assert again.get("a") == b"1"


def test_shutdown_nosave(serve: Serve, tmp_path: Path) -> None:
    process, client = serve("--save", "3600 1")
    client.set("a", 1)
    client.shutdown(nosave=True)
    assert process.wait(10) == 0
    assert not (tmp_path / "dump.rdb").exists()


def test_a_bad_port_is_an_error_and_no_traceback(serve: Serve) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "trignb", "serve", "--port", "70000000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_a_file_and_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text('# mine\n\nport 7000\nsave 900 1\nsave 300 10\nrequirepass "a b"\n')
    assert read_directives(["--port", "7001", "--appendonly", "no"], path) == {
        "port": "7001",
        "save": "900 1 300 10",
        "requirepass": "a b",
        "appendonly": "no",
    }


def test_config_rewrite(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text("# mine\nbind 127.0.0.1\nmaxmemory 1mb\nhz 10\n")
    _, client = serve("--config", str(path))
    client.config_set("maxmemory", "2mb")
    client.config_set("slowlog-max-len", "5")
    assert client.config_rewrite()
    lines = path.read_text().splitlines()
    assert lines[:4] == ["# mine", "bind 127.0.0.1", "maxmemory 2097152", "hz 10"]
    assert "slowlog-max-len 5" in lines
    assert client.info("server")["config_file"] == str(path)
    _, again = serve("--config", str(path))
    assert again.config_get("slowlog-max-len") == {"slowlog-max-len": "5"}


def test_what_is_no_directive(tmp_path: Path) -> None:
    with pytest.raises(DirectiveError, match="belongs to no directive"):
        read_directives(["x"], None)
    path = tmp_path / "redis.conf"
    path.write_text('requirepass "a\n')
    with pytest.raises(DirectiveError, match="line 1"):
        read_directives([], path)


def test_it_is_ready_within_seconds(serve: Serve) -> None:
    began = time.monotonic()
    serve()
    assert time.monotonic() - began < 20
