"""A served process ends when it is asked to, whatever it is doing."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oracle.wire import Connection
from trignb.reply import Status

from .waiting import wait_until

Begin = Callable[..., "Served"]

FOREVER = "while true do end"


class Served:
    """``trignb serve`` whose log, on one stream, is read as far as it goes."""

    def __init__(self, directory: Path, *args: str) -> None:
        self.log = directory / "log"
        with self.log.open("ab") as log:
            words = [sys.executable, "-m", "trignb", "serve", "--port", "0"]
            words += ["--dir", str(directory), "--enable-debug-command", "yes", *args]
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        self.clients: list[Connection] = []

    def told(self) -> str:
        return self.log.read_text("utf-8")

    def port(self) -> int:
        """Return the port, once clients may come."""
        pattern = r"Ready to accept connections on \S*?:(\d+)"
        wait_until(lambda: re.search(pattern, self.told()) is not None)
        return int(re.findall(pattern, self.told())[-1])

    def connect(self) -> Connection:
        self.clients.append(Connection(self.port()))
        return self.clients[-1]

    def ends_by(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    running: list[Served] = []

    def start(*args: str) -> Served:
        directory = tmp_path / str(len(running))
        directory.mkdir()
        running.append(Served(directory, *args))
        return running[-1]

    yield start
    for each in running:
        each.close()


def is_blocked(client: Connection) -> bool:
    return b"blocked_clients:1\r\n" in client.execute("INFO", "clients")


def with_a_blocked_client(served: Served) -> None:
    served.connect().send("BLPOP", "k", 0)
    other = served.connect()
    wait_until(lambda: is_blocked(other))


def with_a_paused_client(served: Served) -> None:
    served.connect().execute("CLIENT", "PAUSE", 100000)
    served.connect().send("SET", "k", "v")


def with_a_waiting_client(served: Served) -> None:
    served.connect().send("WAIT", 1, 0)
    other = served.connect()
    wait_until(lambda: is_blocked(other))


def with_a_sleeper(served: Served) -> None:
    served.connect().send("DEBUG", "SLEEP", 100)


def with_a_script(served: Served) -> None:
    served.connect().send("EVAL", FOREVER, 0)


def with_a_script_that_wrote(served: Served) -> None:
    served.connect().send("EVAL", f"redis.call('set', 'k', 'v') {FOREVER}", 0)


def with_a_busy_script(served: Served) -> None:
    other = served.connect()
    other.execute("CONFIG", "SET", "busy-reply-threshold", 10)
    served.connect().send("EVAL", f"redis.call('set', 'k', 'v') {FOREVER}", 0)
    wait_until(lambda: str(other.execute("PING")).startswith("BUSY"))


def with_a_function(served: Served) -> None:
    client = served.connect()
    code = f"redis.register_function('f', function() {FOREVER} end)"
    client.execute("FUNCTION", "LOAD", f"#!lua name=l\n{code}")
    client.send("FCALL", "f", 0)


def with_a_slow_save(served: Served) -> None:
    client = served.connect()
    client.execute("DEBUG", "POPULATE", 1000)
    client.execute("CONFIG", "SET", "rdb-key-save-delay", 1000000)
    assert client.execute("BGSAVE") == Status("Background saving started")


def with_a_dead_primary(served: Served) -> None:
    served.connect().execute("REPLICAOF", "127.0.0.1", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "state",
    [
        *(with_a_blocked_client, with_a_paused_client, with_a_waiting_client),
        *(with_a_sleeper, with_a_script, with_a_script_that_wrote),
        *(with_a_busy_script, with_a_function, with_a_slow_save),
        with_a_dead_primary,
    ],
)
def test_a_signal_ends_it(
    begin: Begin, state: Callable[[Served], None], number: int
) -> None:
    served = begin()
    state(served)
    assert served.ends_by(number) == 0
    assert "bye bye..." in served.told()
    assert served.told().count("scheduling shutdown") <= 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        Connection(port).close()
    except OSError:
        return False
    return True


@pytest.fixture
def loading(tmp_path: Path) -> Iterator[tuple[Served, Connection]]:
    """A server that needs half a minute to load its data, and a client that asks how it is."""
    first = Served(tmp_path)
    client = first.connect()
    client.execute("DEBUG", "POPULATE", 5000)
    client.execute("SAVE")
    first.close()
    first.log.unlink()
    port = free_port()
    second = Served(
        tmp_path,
        *("--key-load-delay", "5000", "--port", str(port), "--save", "3600 1"),
        *("--loading-process-events-interval-bytes", "1024"),
    )
    wait_until(lambda: answers(port))
    second.clients.append(Connection(port))
    yield second, second.clients[0]
    second.close()


def test_clients_hear_loading(loading: tuple[Served, Connection]) -> None:
    served, client = loading
    text = "LOADING Redis is loading the dataset in memory"
    for words in (("PING",), ("GET", "k"), ("EVAL", "return 1", 0), ("SAVE",)):
        assert str(client.execute(*words)) == text
    assert client.execute("SELECT", 1) == "OK"
    assert client.execute("MULTI") == "OK"
    assert str(client.execute("SET", "k", "v")) == text
    assert str(client.execute("EXEC")).startswith("EXECABORT")
    told = client.execute("INFO", "persistence").decode()
    fields = dict(line.split(":") for line in told.splitlines() if ":" in line)
    assert fields["loading"] == "1"
    assert 0 < int(fields["loading_loaded_bytes"]) < int(fields["loading_total_bytes"])
    names = [name for name in fields if name.startswith("loading_")]
    assert names == [
        *("loading_start_time", "loading_total_bytes", "loading_rdb_used_mem"),
        *("loading_loaded_bytes", "loading_loaded_perc", "loading_eta_seconds"),
    ]
    client.execute("CONFIG", "SET", "key-load-delay", 0)
    served.port()
    assert client.execute("DBSIZE") == 0
    assert client.execute("SELECT", 0) == "OK"
    assert client.execute("DBSIZE") == 5000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_it_loads(
    loading: tuple[Served, Connection], number: int
) -> None:
    served, client = loading
    assert str(client.execute("PING")).startswith("LOADING")
    size = (served.log.parent / "dump.rdb").stat().st_size
    assert served.ends_by(number) == 0
    # Nothing was saved: half of the keys were not there yet.
    assert (served.log.parent / "dump.rdb").stat().st_size == size


def test_shutdown_ends_it_while_it_loads(loading: tuple[Served, Connection]) -> None:
    served, client = loading
    client.send("SHUTDOWN", "NOSAVE")
    assert served.process.wait(20) == 0


def test_an_end_waits_for_replicas_until_it_is_given_up(begin: Begin) -> None:
    primary, follower = begin("--shutdown-timeout", "1000"), begin()
    client, other = primary.connect(), primary.connect()
    follower.connect().execute("REPLICAOF", "127.0.0.1", primary.port())
    wait_until(lambda: b"state=online" in client.execute("INFO", "replication"))
    follower.process.send_signal(signal.SIGSTOP)
    status = Path(f"/proc/{follower.process.pid}/stat")
    wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")
    try:
        client.execute("SET", "k", "v")
        waiting, writer = primary.connect(), primary.connect()
        waiting.send("SHUTDOWN", "NOSAVE")
        wait_until(lambda: is_blocked(other))
        assert b"\r\nshutdown_in_milliseconds:9" in other.execute("INFO", "server")
        writer.send("SET", "k", "w")
        wait_until(lambda: b"blocked_clients:2" in other.execute("INFO", "clients"))
        assert other.execute("GET", "k") == b"v"
        assert other.execute("SHUTDOWN", "ABORT") == "OK"
        assert str(waiting.read()) == "ERR Errors trying to SHUTDOWN. Check logs."
        assert writer.read() == "OK"
        again = str(other.execute("SHUTDOWN", "ABORT"))
        assert again == "ERR No shutdown in progress."
        waiting.send("SHUTDOWN", "NOSAVE")
        wait_until(lambda: is_blocked(other))
    finally:
        follower.process.send_signal(signal.SIGCONT)
    assert primary.process.wait(20) == 0
    assert "Waiting for replicas before shutting down." in primary.told()
