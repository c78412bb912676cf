"""Who may come in, and what they may change: protected mode, passwords, enable-… options."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trignb
from oracle.references import find_reference
from oracle.server import ORACLE, RedisServer, require_server
from trignb import Engine
from trignb.server.server import Server

from .conftest import Wire
from .waiting import wait_until

ELSEWHERE = "127.0.0.2"


def address_of_this_machine() -> str:
    """Return an address that is not loopback, which servers take for a stranger's; may be empty."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            # Nothing is sent.
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        address: str = sock.getsockname()[0]
        return address


STRANGER = address_of_this_machine()
needs_stranger = pytest.mark.skipif(
    not STRANGER, reason="the only address of this machine is loopback"
)


def ask_from(source: str, port: int, *lines: str, to: str = ELSEWHERE) -> list[bytes]:
    """Send lines one by one from an address; return what comes back for each."""
    with socket.create_connection((to, port), 10, (source, 0)) as sock:
        replies = []
        for line in lines:
            sock.sendall(line.encode() + b"\r\n")
            replies.append(sock.recv(10_000))
        return replies


@pytest.fixture
def redis_elsewhere(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start a redis-server on the other address; gives its port."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> int:
        require_server()
        launch = find_reference(ORACLE)
        assert launch is not None
        with socket.create_server((ELSEWHERE, 0)) as probe:
            port = probe.getsockname()[1]
        own = ("--bind", ELSEWHERE, "--port", str(port), "--dir", str(tmp_path))
        running.append(
            subprocess.Popen(
                [*launch.words, *own, "--save", "", *options],
                stdout=subprocess.DEVNULL,
                env=os.environ | launch.environment,
            )
        )
        wait_until(lambda: is_up(port))
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait()


def is_up(port: int) -> bool:
    try:
        ask_from("127.0.0.1", port, "PING")
    except OSError:
        return False
    return True


@needs_stranger
@pytest.mark.oracle
def test_protected_mode(
    engine: Engine, redis_elsewhere: Callable[..., int], tmp_path: Path
) -> None:
    """Strangers are refused in Redis's words until there is a password."""
    port = redis_elsewhere()
    with engine.serve(host=ELSEWHERE, unixsocket=str(tmp_path / "x.sock")) as server:
        (refusal,) = greeting(port)
        assert refusal.startswith(b"-DENIED Redis is running in protected mode")
        assert greeting(server.port) == [refusal]
        for local in ("127.0.0.1", "127.1.2.3"):
            assert ask_from(local, port, "PING") == [b"+PONG\r\n"]
            assert ask_from(local, server.port, "PING") == [b"+PONG\r\n"]
        with socket.socket(socket.AF_UNIX) as local:
            local.connect(str(tmp_path / "x.sock"))
            local.sendall(b"PING\r\n")
            assert local.recv(100) == b"+PONG\r\n"
        engine.execute("CONFIG", "SET", "requirepass", "secret")
        assert ask_from(STRANGER, server.port, "PING", "AUTH secret", "PING") == [
            b"-NOAUTH Authentication required.\r\n",
            b"+OK\r\n",
            b"+PONG\r\n",
        ]
        engine.execute("CONFIG", "SET", "requirepass", "")
        assert greeting(server.port) == [refusal]
        engine.execute("CONFIG", "SET", "protected-mode", "no")
        assert ask_from(STRANGER, server.port, "PING") == [b"+PONG\r\n"]
    assert "rejected_connections:2" in engine.execute("INFO").decode()


def greeting(port: int) -> list[bytes]:
    """Return what a stranger is told before it says anything."""
    with socket.create_connection((ELSEWHERE, port), 10, (STRANGER, 0)) as sock:
        received = b""
        while piece := sock.recv(10_000):
            received += piece
        return [received]


QUESTIONS = (
    "CONFIG SET dbfilename x.rdb",
    "CONFIG SET dbfilename ../x.rdb",
    "CONFIG SET dir /none/at/all",
    "CONFIG SET maxmemory 1gb dir /",
    "CONFIG GET maxmemory",
    "CONFIG SET enable-debug-command yes",
    "CONFIG SET enable-protected-configs yes",
    "DEBUG nosuch",
    "MODULE LOAD /none.so",
    "MODULE UNLOAD none",
    "MODULE LIST",
    "MULTI",
    "DEBUG nosuch",
    "MODULE LOAD /none.so",
    "CONFIG SET dbfilename x.rdb",
    "EXEC",
)


@needs_stranger
@pytest.mark.oracle
@pytest.mark.parametrize("allowed", ["no", "local", "yes"])
def test_what_has_to_be_enabled(
    redis_elsewhere: Callable[..., int], allowed: str
) -> None:
    names = (
        "enable-protected-configs",
        "enable-debug-command",
        "enable-module-command",
    )
    options = [word for name in names for word in (f"--{name}", allowed)]
    port = redis_elsewhere("--protected-mode", "no", *options)
    config = {"protected-mode": "no", **dict.fromkeys(names, allowed)}
    with Engine(**config) as engine, engine.serve(host=ELSEWHERE) as server:
        for source in ("127.0.0.1", STRANGER):
            expected = ask_from(source, port, *QUESTIONS)
            got = ask_from(source, server.port, *QUESTIONS)
            # Functions are a module, which is always there.
            at = QUESTIONS.index("MODULE LIST")
            assert expected[at] == b"*0\r\n"
            assert b"redisgears_2" in got[at]
            expected[at] = got[at]
            assert dict(zip(QUESTIONS, got, strict=True)) == dict(
                zip(QUESTIONS, expected, strict=True)
            )


def test_scripts_do_not_get_around_it(
    engine: Engine, connect: Callable[[], Wire]
) -> None:
    wire = connect()
    for words in ("'CONFIG','SET','dir','/tmp'", "'DEBUG','JMAP'", "'SHUTDOWN'"):
        wire.send(b'EVAL "return redis.call(%b)" 0\r\n' % words.encode())
        assert b"not allowed from script" in wire.read_until(b"\r\n")


@pytest.mark.oracle
def test_wrong_passwords_are_logged(
    engine: Engine, server: Server, oracle: RedisServer
) -> None:
    """Reason, context, subject and name as Redis notes them, the same ones counted together."""
    attempts = (
        "AUTH bob wrong",
        "AUTH bob again",
        "hellO 3 AUTH eve x",
        "AUTH default y",
    )
    admin = oracle.connect()
    admin.execute("ACL", "LOG", "RESET")
    admin.execute("CONFIG", "SET", "requirepass", "secret")
    engine.execute("CONFIG", "SET", "requirepass", "secret")
    try:
        for port in (oracle.port, server.port):
            ask_from("127.0.0.1", port, *attempts, to="127.0.0.1")
        expected = entries_of(admin.execute("ACL", "LOG"))
        assert [entry[b"count"] for entry in expected] == [1, 1, 2]
        log = engine.execute("ACL", "LOG")
        assert entries_of(log) == expected
        assert log[0][b"client-info"].startswith(b"id=")
    finally:
        admin.execute("CONFIG", "SET", "requirepass", "")
        admin.execute("ACL", "LOG", "RESET")


def _pairs(flat: list[bytes]) -> Iterator[tuple[bytes, object]]:
    return zip(flat[::2], flat[1::2], strict=True)


def entries_of(log: list[object]) -> list[dict[bytes, object]]:
    names = (b"count", b"reason", b"context", b"object", b"username")
    entries = []
    for entry in log:
        pairs = entry if isinstance(entry, dict) else dict(_pairs(entry))
        entries.append({name: pairs[name] for name in names})
    return entries


def test_passwords_do_not_show_in_monitor_or_slowlog(
    engine: Engine, connect: Callable[[], Wire]
) -> None:
    engine.execute("CONFIG", "SET", "slowlog-log-slower-than", "0")
    watcher, wire = connect(), connect()
    watcher.ask(b"MONITOR\r\n", b"+OK\r\n")
    wire.ask(b"ACL SETUSER bob on >hunter2\r\n", b"+OK\r\n")
    wire.send(b"AUTH bob hunter2\r\nPING\r\n")
    wire.read_until(b"\r\n")
    engine.execute("PING")
    seen = watcher.read_until(b'"PING"\r\n')
    assert b"hunter2" not in seen
    assert b"hunter2" not in repr(engine.execute("SLOWLOG", "GET", -1)).encode()


DANGEROUS = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


def test_nothing_from_the_network_becomes_python() -> None:
    """No pickles, no eval: what bytes say is data. (A cell's `{…}` is the notebook's own Python.)"""
    root = Path(trignb.__file__).parent
    for path in root.rglob("*.py"):
        if path.is_relative_to(root / "notebook"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import(names=names):
                    assert not DANGEROUS & {alias.name for alias in names}, path
                case ast.ImportFrom(module=module):
                    assert module not in DANGEROUS, path
                case ast.Call(func=ast.Name(id=name)):
                    assert name not in ("eval", "exec", "compile"), path
