"""Clients in numbers, clients that do not read, clients that ask too much."""

from __future__ import annotations

import errno
import resource
import socket
import threading
import time
from collections.abc import Callable

import pytest

from trignb import Engine
from trignb.server.process import room_for
from trignb.server.server import Server

from .conftest import Wire
from .waiting import wait_until

Connect = Callable[[], Wire]

MEGABYTE = 1 << 20


def test_a_thousand_clients_at_once(server: Server) -> None:
    clients = [Wire(server.port) for _ in range(1000)]
    for number, client in enumerate(clients):
        client.send(b"INCR n\r\nECHO %d\r\n" % number)
    for number, client in enumerate(clients):
        client.read_until(b"\r\n")
        text = b"%d" % number
        client.receive(b"$%d\r\n%b\r\n" % (len(text), text))
    clients[0].ask(b"GET n\r\n", b"$4\r\n1000\r\n")
    assert len(server.connections) == 1000
    for client in clients:
        client.sock.close()
    wait_until(lambda: not server.connections)


def test_a_storm_of_connects(server: Server, connect: Connect) -> None:
    steady = connect()

    def storm() -> None:
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
                sock.sendall(b"PING\r\n")

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        steady.ask(b"PING\r\n", b"+PONG\r\n")
    for thread in threads:
        thread.join()
    wait_until(lambda: len(server.connections) == 1)


def test_maxclients_leaves_room_again(engine: Engine, connect: Connect) -> None:
    engine.execute("CONFIG", "SET", "maxclients", "2")
    first, second = connect(), connect()
    for client in (first, second):
        client.ask(b"PING\r\n", b"+PONG\r\n")
    assert b"max number of clients reached" in connect().read_until(b"\r\n")
    second.ask(b"QUIT\r\n", b"+OK\r\n")
    assert second.is_closed()
    connect().ask(b"PING\r\n", b"+PONG\r\n")


def test_without_descriptors_it_waits_and_goes_on(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot be accepted makes the listener ready all the time: it rests meanwhile."""
    first = connect()
    first.ask(b"PING\r\n", b"+PONG\r\n")
    listener = server.listeners[0]
    real, calls = listener.sock, 0

    class Full:
        def accept(self) -> None:
            nonlocal calls
            calls += 1
            if calls > 2:
                listener.sock = real
            raise OSError(errno.EMFILE, "Too many open files")

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    listener.sock = Full()
    late = connect()
    late.send(b"PING\r\n")
    first.ask(b"PING\r\n", b"+PONG\r\n")
    late.receive(b"+PONG\r\n")
    assert calls == 3


def test_the_process_makes_room_for_its_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = [(100, 500)]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, new: limits.append(new))
    assert room_for(50) == 50
    assert limits == [(100, 500)]
    assert room_for(200) == 200
    assert limits[-1] == (232, 500)
    assert room_for(10_000) == 468
    assert limits[-1] == (500, 500)


def test_one_packet_cannot_ask_for_gigabytes(engine: Engine, connect: Connect) -> None:
    """3,000 times 3 MB: nobody builds that before looking at the limit."""
    engine.execute(
        "CONFIG", "SET", "client-output-buffer-limit", f"normal {20 * MEGABYTE} 0 0"
    )
    engine.execute("SET", "a", "x" * 3 * MEGABYTE)
    before = peak_kb()
    wire = connect()
    wire.send(b"GET a\r\n" * 3000)
    assert wire.ends_within(30 * MEGABYTE)
    assert peak_kb() - before < 200_000
    assert engine.execute("PING") == "PONG"


def peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def pour(wire: Wire, piece: bytes, look: Callable[[], object] = int) -> None:
    """Send the same again and again until the server has enough."""
    for _ in range(100_000):
        wire.send(piece)
        look()


def test_endless_questions_without_reading(
    engine: Engine, server: Server, connect: Connect
) -> None:
    engine.execute(
        "CONFIG", "SET", "client-output-buffer-limit", f"normal {MEGABYTE} 0 0"
    )
    engine.execute("SET", "a", "x" * 1000)
    wire, other = connect(), connect()
    wire.sock.settimeout(0.2)

    def look() -> None:
        other.ask(b"PING\r\n", b"+PONG\r\n")
        assert all(c.output_bytes < 9 * MEGABYTE for c in list(server.connections))

    with pytest.raises(OSError, match=r"reset|[Bb]roken|timed out"):
        pour(wire, b"GET a\r\n" * 1000, look)
    wait_until(lambda: len(server.connections) == 1)


def test_a_soft_limit_gives_time(
    engine: Engine, server: Server, connect: Connect
) -> None:
    engine.execute(
        "CONFIG", "SET", "client-output-buffer-limit", f"normal 0 {MEGABYTE} 1"
    )
    engine.execute("SET", "a", "x" * 100_000)
    slow = connect()
    slow.send(b"GET a\r\n" * 100)
    other = connect()
    other.ask(b"PING\r\n", b"+PONG\r\n")
    assert len(server.connections) == 2
    wait_until(lambda: len(server.connections) == 1)
    assert slow.ends_within(20 * MEGABYTE)


def test_subscribers_that_do_not_read(engine: Engine, connect: Connect) -> None:
    engine.execute(
        "CONFIG", "SET", "client-output-buffer-limit", f"pubsub {MEGABYTE} 0 0"
    )
    slow, quick = connect(), connect()
    for wire in (slow, quick):
        wire.ask(b"SUBSCRIBE c\r\n", b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
    head = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$50000\r\n"
    receivers = 2
    while receivers == 2:
        receivers = engine.execute("PUBLISH", "c", "x" * 50_000)
        quick.receive(head + b"x" * 50_000 + b"\r\n")
    assert receivers == 1


def test_the_largest_clients_are_evicted(
    engine: Engine, server: Server, connect: Connect
) -> None:
    engine.execute("SET", "a", "x" * 100_000)
    large, spared, small = connect(), connect(), connect()
    spared.ask(b"CLIENT NO-EVICT ON\r\n", b"+OK\r\n")
    for wire, times in ((large, 100), (spared, 120), (small, 1)):
        wire.send(b"GET a\r\n" * times)
    wait_until(lambda: sum(c.output_bytes > 0 for c in server.connections) >= 2)
    small.read_until(b"\r\n")
    held = int(field(engine, "memory", "mem_clients_normal"))
    assert held > 5 * MEGABYTE
    engine.execute("CONFIG", "SET", "maxmemory-clients", held - 1)
    wait_until(lambda: len(server.connections) == 2)
    assert large.ends_within(10_000_000)
    assert field(engine, "stats", "evicted_clients") == "1"
    spared.read_until(b"\r\n")


def field(engine: Engine, section: str, name: str) -> str:
    text = engine.execute("INFO", section).decode()
    return text.partition(f"{name}:")[2].partition("\r\n")[0]


def test_a_client_that_waits_and_goes_on_asking(
    engine: Engine, connect: Connect
) -> None:
    engine.execute("CONFIG", "SET", "client-query-buffer-limit", "1mb")
    wire = connect()
    wire.send(b"BLPOP nothing 0\r\n")
    with pytest.raises(OSError, match=r"reset|[Bb]roken"):
        pour(wire, b"ECHO " + b"x" * 10_000 + b"\r\n")


def test_very_many_small_arguments(engine: Engine, connect: Connect) -> None:
    engine.execute("CONFIG", "SET", "client-query-buffer-limit", "1mb")
    wire = connect()
    wire.send(b"*1000000000\r\n$4\r\nMGET\r\n")
    with pytest.raises(OSError, match=r"reset|[Bb]roken"):
        pour(wire, b"$1\r\na\r\n" * 1000)


def test_who_leaves_without_reading_costs_nothing(
    engine: Engine, server: Server, connect: Connect
) -> None:
    """QUIT after replies that nobody reads, and more to read after it: the loop sleeps."""
    engine.execute("SET", "a", "x" * 1_000_000)
    wire, other = connect(), connect()
    wire.send(b"GET a\r\n" * 20 + b"QUIT\r\n")
    wait_until(lambda: any(c.output_bytes for c in server.connections))
    wire.send(b"PING\r\n" * 100)
    other.ask(b"PING\r\n", b"+PONG\r\n")
    before = server.traffic.cycles
    # Ten rounds of its own each second, however long this takes.
    wait_until(lambda: server.traffic.cycles >= before + 5)
    began = time.monotonic()
    wait_until(lambda: server.traffic.cycles >= before + 10)
    assert time.monotonic() - began > 0.2
    assert wire.ends_within(21_000_000)


def test_a_half_closed_socket_still_gets_its_replies(connect: Connect) -> None:
    wire = connect()
    wire.send(b"SET a 1\r\nGET a\r\n")
    wire.sock.shutdown(socket.SHUT_WR)
    wire.receive(b"+OK\r\n$1\r\n1\r\n")
    assert wire.is_closed()


def test_who_hangs_up_while_it_waits_is_forgotten(
    engine: Engine, server: Server, connect: Connect
) -> None:
    wire = connect()
    wire.send(b"BLPOP l 0\r\n")
    wait_until(lambda: "blocked_clients:1" in engine.execute("INFO").decode())
    wire.sock.shutdown(socket.SHUT_WR)
    assert wire.is_closed()
    wait_until(lambda: not server.connections)
    assert "blocked_clients:0" in engine.execute("INFO").decode()


def test_tcp_keepalive_is_set(engine: Engine, server: Server, connect: Connect) -> None:
    engine.execute("CONFIG", "SET", "tcp-keepalive", "77")
    wire = connect()
    wire.ask(b"PING\r\n", b"+PONG\r\n")
    (connection,) = server.connections
    sock = connection.sock
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_bug_of_ours_ends_the_connection(
    engine: Engine, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_session: object, _args: object) -> None:
        raise ZeroDivisionError("a bug")

    engine.core.table[b"ECHO"].handler = broken
    wire, other = connect(), connect()
    wire.send(b"ECHO x\r\nPING\r\n")
    assert wire.is_closed()
    other.ask(b"PING\r\n", b"+PONG\r\n")
    assert "ZeroDivisionError" in caplog.text
