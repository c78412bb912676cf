"""INFO of an engine that is served."""

from __future__ import annotations

import time
from collections.abc import Callable

import redis

from trignb import Engine
from trignb.server.server import Server

from .conftest import Wire

Connect = Callable[[], Wire]


def info(engine: Engine, section: str) -> dict[str, str]:
    text = engine.execute("INFO", section).decode()
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def test_bytes_are_counted_both_ways(engine: Engine, connect: Connect) -> None:
    before = info(engine, "stats")
    assert before["total_net_input_bytes"] == before["total_net_output_bytes"] == "0"
    wire = connect()
    wire.ask(b"PING\r\nSET a 1\r\n", b"+PONG\r\n+OK\r\n")
    after = info(engine, "stats")
    assert after["total_net_input_bytes"] == str(len(b"PING\r\nSET a 1\r\n"))
    assert after["total_net_output_bytes"] == str(len(b"+PONG\r\n+OK\r\n"))
    assert after["total_reads_processed"] == after["total_writes_processed"] == "1"
    assert int(after["eventloop_cycles"]) > 0
    assert int(after["eventloop_duration_sum"]) > 0
    engine.execute("CONFIG", "RESETSTAT")
    assert info(engine, "stats")["total_net_input_bytes"] == "0"


def test_counters_outlive_a_server(engine: Engine) -> None:
    for _ in range(2):
        with engine.serve() as server:
            wire = Wire(server.port)
            wire.ask(b"PING\r\n", b"+PONG\r\n")
            wire.sock.close()
    assert info(engine, "stats")["total_net_input_bytes"] == "12"


def test_clients_and_their_largest_buffers(engine: Engine, connect: Connect) -> None:
    clients = int(info(engine, "clients")["connected_clients"])
    wire, _other = connect(), connect()
    wire.ask(b"SET a " + b"x" * 3000 + b"\r\n", b"+OK\r\n")
    wire.ask(b"GET a\r\n", b"$3000\r\n" + b"x" * 3000 + b"\r\n")
    after = info(engine, "clients")
    assert int(after["connected_clients"]) == clients + 2
    assert int(after["client_recent_max_input_buffer"]) == 3008
    assert int(after["client_recent_max_output_buffer"]) == 3009


def test_rates_per_second(engine: Engine, server: Server) -> None:
    client = redis.Redis(port=server.port)
    deadline = time.monotonic() + 10
    found = info(engine, "stats")
    while int(found["instantaneous_ops_per_sec"]) < 100:
        assert time.monotonic() < deadline
        for _ in range(50):
            client.set("a", "x" * 1000)
        found = info(engine, "stats")
    client.close()
    assert float(found["instantaneous_input_kbps"]) > 50
    assert float(found["instantaneous_output_kbps"]) > 0
    assert int(found["instantaneous_eventloop_cycles_per_sec"]) > 50
    assert int(found["instantaneous_eventloop_duration_usec"]) > 0


def test_rejected_connections(engine: Engine, connect: Connect) -> None:
    engine.execute("CONFIG", "SET", "maxclients", "1")
    connect().ask(b"PING\r\n", b"+PONG\r\n")
    late = connect()
    late.receive(b"-ERR max number of clients reached\r\n")
    assert info(engine, "stats")["rejected_connections"] == "1"
