"""``trignb serve``: a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner
from redis.backoff import NoBackoff
from redis.retry import Retry

import trignb
from trignb.cli import main

from .waiting import wait_until

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
        own = ("--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path))
        process = begin(*args, *own)
        running.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if "Ready to accept connections" in line:
                break
        else:
            pytest.fail(f"the server did not start, status {process.wait()}")
        clients.append(client_at(path))
        return process, clients[-1]

    yield start
    for client in clients:
        client.close()
    for process in running:
        process.kill()
        process.communicate()


def begin(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trignb", "serve", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def client_at(path: Path, **kwargs: str) -> redis.Redis:
    """Return a client that takes no for an answer."""
    return redis.Redis(
        unix_socket_path=str(path), retry=Retry(NoBackoff(), 0), **kwargs
    )


def refused(*args: str) -> str:
    """Start what does not start; returns what it says."""
    process = begin(*args)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert not out
    return err


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v8-maxmemory", "20971520"),
        ("lock-redis-timeout", "5"),
        ("error-verbosity", "7"),
        ("execution-threads", "0"),
    ],
)
def test_arguments_of_the_module_may_be_out_of_range(
    serve: Serve, name: str, value: str
) -> None:
    _, client = serve("--gears-config", f"{name}={value}")
    full = f"redisgears_2.{name}"
    assert client.config_get(full) == {full: value}
    if name == "lock-redis-timeout":
        with pytest.raises(redis.ResponseError, match="argument must be between 100"):
            client.config_set(full, value)


def test_gears_config(serve: Serve) -> None:
    _, client = serve(
        *("--gears-config", "lock-redis-timeout=1234"),
        *("--gears-config", "redisgears_2.execution-threads=3"),
    )
    name = "redisgears_2.lock-redis-timeout"
    assert client.config_get(name) == {name: "1234"}
    # Immutable, but not yet when the server starts.
    name = "redisgears_2.execution-threads"
    assert client.config_get(name) == {name: "3"}


def test_a_file_with_users_includes_and_renamed_commands(
    serve: Serve, tmp_path: Path
) -> None:
    more, conf = tmp_path / "more.conf", tmp_path / "redis.conf"
    more.write_text("maxmemory 5mb\n")
    conf.write_text(
        f"include {more}\nuser alice on >secret +@all ~a:*\nsave 900 1\nsave 60 2\n"
        'rename-command FLUSHALL ""\nrename-command GET FETCH\nrequirepass "a b"\n'
        "loglevel warning\nmaxmemry 1\n"
    )
    process = begin(str(conf), "--port", "0", "--unixsocket", f"{tmp_path}/x.sock")
    assert process.stderr is not None
    assert (
        "'maxmemry' is ignored (did you mean maxmemory?)" in process.stderr.readline()
    )
    # At every level.
    assert "Ready to accept connections" in process.stderr.readline()
    path = tmp_path / "x.sock"
    client = client_at(path, password="a b")
    assert client.config_get("maxmemory") == {"maxmemory": "5242880"}
    assert client.config_get("save") == {"save": "900 1 60 2"}
    client.set("a:1", "x")
    assert client.execute_command("FETCH", "a:1") == b"x"
    for words in (("GET", "a:1"), ("FLUSHALL",)):
        with pytest.raises(redis.ResponseError, match="unknown command"):
            client.execute_command(*words)
    alice = client_at(path, username="alice", password="secret")
    assert alice.exists("a:1") == 1
    with pytest.raises(redis.exceptions.NoPermissionError):
        alice.exists("b")
    alice.close()
    client.shutdown(nosave=True)
    client.close()
    process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("--maxmemory", "much"), "'maxmemory much': argument must be a memory value"),
        (("--port", "70000000"), "argument must be between 0 and 65535 inclusive"),
        (("--gears-config", "lock-redis-timout=1"), "did you mean lock-redis-timeout"),
        (("--gears-config", "lock-redis-timeout"), "takes NAME=VALUE"),
        (("--user", "bob", "on", "+nothing"), "Unknown command or category name"),
        (("--rename-command", "NONE", "X"), "No such command in rename-command"),
    ],
)
def test_what_is_refused_says_why(args: tuple[str, ...], reason: str) -> None:
    result = CliRunner().invoke(main, ["serve", *args])
    assert result.exit_code == 1
    assert reason in result.output


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["serve", "--port", port])
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.output


def test_libraries_that_do_not_load_are_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.js", tmp_path / "bad.js"
    good.write_text(LIBRARY, "utf-8")
    bad.write_text("#!js api_version=1.0 name=bad\n  x = = 1;\n", "utf-8")
    assert f"{bad}:2:7: " in refused("--port", "0", "--load", str(bad))
    twice = refused("--port", "0", "--load", str(good), "--load", str(good))
    assert "library 'lib' is also that of" in twice


def test_one_line_says_that_it_is_ready_also_with_a_logfile(tmp_path: Path) -> None:
    log = tmp_path / "trignb.log"
    process = begin("--port", "0", "--logfile", str(log))
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("Ready to accept connections on 127.0.0.1:")
    client = redis.Redis(port=int(line.rpartition(":")[2]), retry=Retry(NoBackoff(), 0))
    client.eval("redis.log(redis.LOG_WARNING, 'a word')", 0)
    client.shutdown(nosave=True)
    client.close()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")
    text = log.read_text("utf-8")
    assert text.count("Ready to accept connections") == 1
    assert " # a word\n" in text
    assert text.rstrip().endswith("bye bye...")


def test_a_daemon_leaves_the_terminal_once_it_is_ready(tmp_path: Path) -> None:
    pid, path = tmp_path / "trignb.pid", tmp_path / "x.sock"
    own = ("--port", "0", "--unixsocket", str(path), "--pidfile", str(pid))
    process = begin("--daemonize", "yes", "--logfile", str(tmp_path / "log"), *own)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert err == f"Ready to accept connections on {path}\n"
    client = client_at(path)
    number = int(pid.read_text())
    assert number == client.info("server")["process_id"] != process.pid
    os.kill(number, signal.SIGTERM)
    wait_until(lambda: not pid.exists())
    client.close()


def test_a_daemon_that_fails_says_so(tmp_path: Path) -> None:
    missing = str(tmp_path / "none" / "x.sock")
    said = refused("--daemonize", "yes", "--port", "0", "--unixsocket", missing)
    assert "No such file or directory" in said


def test_a_shutdown_that_cannot_save_is_refused(serve: Serve, tmp_path: Path) -> None:
    process, client = serve("--save", "3600 1", "--dbfilename", "blocked")
    (tmp_path / "blocked").mkdir()
    client.set("a", 1)
    with pytest.raises(redis.ResponseError, match="Errors trying to SHUTDOWN"):
        client.shutdown()
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    for line in process.stderr:
        if "Errors trying to shut down" in line:
            break
    assert client.get("a") == b"1"
    client.config_set("shutdown-on-sigterm", "nosave")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


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


def test_config_rewrite(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text("# mine\nbind 127.0.0.1\nmaxmemory 1mb\nhz 10\n")
    _, client = serve("--config", str(path))
    client.config_set("maxmemory", "2mb")
    client.config_set("slowlog-max-len", "5")
    assert client.config_rewrite()
    lines = path.read_text().splitlines()
    assert lines[:4] == ["# mine", "bind 127.0.0.1", "maxmemory 2mb", "hz 10"]
    assert "slowlog-max-len 5" in lines
    assert client.info("server")["config_file"] == str(path)
    _, again = serve("--config", str(path))
    assert again.config_get("slowlog-max-len") == {"slowlog-max-len": "5"}


def test_an_append_only_file_that_cannot_be_loaded(tmp_path: Path) -> None:
    options = ("--port", "0", "--dir", str(tmp_path), "--appendonly", "yes")
    home = tmp_path / "appendonlydir"
    home.mkdir()
    (home / "appendonly.aof.manifest").write_text("file a seq 1 type i\n")
    (home / "a").write_bytes(b"*1\r\n$4\r\nPING\r\nnonsense\r\n")
    assert "Bad file format reading the append only file a" in refused(*options)
    assert (home / "a").read_bytes().endswith(b"nonsense\r\n")
    (home / "appendonly.aof.manifest").unlink()
    with trignb.Engine(dir=str(tmp_path), appendonly=True) as engine:
        assert f"is in use by process {os.getpid()};" in refused(*options)
        assert engine.execute("SET", "a", "1") == "OK"
