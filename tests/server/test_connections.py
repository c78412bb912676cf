"""Clients on sockets."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trignb import Engine, ResponseError
from trignb.server.main import follow_addresses
from trignb.server.server import Server

from .conftest import Wire

Connect = Callable[[], Wire]


def test_pipelines_are_answered_in_order(connect: Connect) -> None:
    wire = connect()
    wire.ask(b"PING\r\nSET a 1\r\nGET a\r\n", b"+PONG\r\n+OK\r\n$1\r\n1\r\n")


def test_the_engine_sees_what_clients_write(engine: Engine, connect: Connect) -> None:
    connect().ask(b"SET a 1\r\n", b"+OK\r\n")
    assert engine.execute("GET", "a") == b"1"


def test_protocol_errors_end_the_connection_after_the_good_commands(
    connect: Connect,
) -> None:
    wire = connect()
    wire.ask(
        b"PING\r\n*1\r\nfoo\r\n",
        b"+PONG\r\n-ERR Protocol error: expected '$', got 'f'\r\n",
    )
    assert wire.is_closed()


def test_quit_is_answered_and_nothing_after_it(connect: Connect) -> None:
    wire = connect()
    wire.ask(b"QUIT\r\nSET a 1\r\n", b"+OK\r\n")
    assert wire.is_closed()


def test_http_is_cut_off(engine: Engine, connect: Connect) -> None:
    wire = connect()
    wire.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a 1\r\n")
    assert wire.is_closed()
    assert engine.execute("EXISTS", "a") == 0


def test_a_client_waits_for_a_key_and_others_do_not(connect: Connect) -> None:
    waiting, other = connect(), connect()
    waiting.send(b"BLPOP l 0\r\nPING\r\n")
    time.sleep(0.05)
    other.ask(b"RPUSH l a\r\n", b":1\r\n")
    waiting.receive(b"*2\r\n$1\r\nl\r\n$1\r\na\r\n+PONG\r\n")


def test_a_wait_ends_in_time(connect: Connect) -> None:
    connect().ask(b"BLPOP l 0.05\r\n", b"*-1\r\n")


def test_a_wait_is_served_from_the_notebook(engine: Engine, connect: Connect) -> None:
    waiting = connect()
    waiting.send(b"BLPOP l 0\r\n")
    time.sleep(0.05)
    engine.execute("RPUSH", "l", "a")
    waiting.receive(b"*2\r\n$1\r\nl\r\n$1\r\na\r\n")


def test_who_leaves_while_it_waits_takes_nothing(
    engine: Engine, connect: Connect
) -> None:
    waiting = connect()
    waiting.send(b"BLPOP l 0\r\n")
    time.sleep(0.05)
    waiting.sock.close()
    time.sleep(0.05)
    engine.execute("RPUSH", "l", "a")
    assert engine.execute("LLEN", "l") == 1


def test_messages_reach_subscribers(engine: Engine, connect: Connect) -> None:
    wire = connect()
    wire.ask(b"SUBSCRIBE c\r\n", b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
    assert engine.execute("PUBLISH", "c", "m") == 1
    wire.receive(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n")


def test_resp3_publisher_hears_itself_after_its_reply(connect: Connect) -> None:
    wire = connect()
    wire.send(b"HELLO 3\r\nSUBSCRIBE c\r\nPUBLISH c m\r\n")
    hello = wire.sock.recv(10_000)
    while not hello.endswith(b"$1\r\nm\r\n"):
        hello += wire.sock.recv(10_000)
    assert hello.endswith(
        b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n:1\r\n"
        b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"
    )


def test_a_script_that_runs_too_long_lets_others_kill_it(
    engine: Engine, connect: Connect
) -> None:
    engine.execute("CONFIG", "SET", "busy-reply-threshold", "50")
    busy, other = connect(), connect()
    busy.send(b"EVAL 'while true do end' 0\r\n")
    time.sleep(0.2)
    other.send(b"GET a\r\n")
    assert other.sock.recv(1000).startswith(b"-BUSY Redis is busy running a script.")
    other.ask(b"SCRIPT KILL\r\n", b"+OK\r\n")
    assert busy.sock.recv(1000).startswith(b"-ERR Script killed by user")
    busy.ask(b"PING\r\n", b"+PONG\r\n")


def test_a_pause_holds_clients_and_lets_them_go_on(connect: Connect) -> None:
    one, other = connect(), connect()
    one.ask(b"CLIENT PAUSE 200 WRITE\r\n", b"+OK\r\n")
    began = time.monotonic()
    one.ask(b"GET a\r\n", b"$-1\r\n")
    assert time.monotonic() - began < 0.15
    other.ask(b"SET a 1\r\nGET a\r\n", b"+OK\r\n$1\r\n1\r\n")
    assert time.monotonic() - began > 0.15


def test_killed_clients_are_cut_off(engine: Engine, connect: Connect) -> None:
    wire, waiting = connect(), connect()
    wire.ask(b"CLIENT SETNAME victim\r\n", b"+OK\r\n")
    waiting.send(b"CLIENT SETNAME victim\r\nBLPOP l 0\r\n")
    waiting.receive(b"+OK\r\n")
    time.sleep(0.05)
    assert engine.execute("CLIENT", "KILL", "LADDR", local_address(engine)) == 2
    assert wire.is_closed()
    assert waiting.is_closed()


def local_address(engine: Engine) -> str:
    return f"127.0.0.1:{engine.core.servers[0].port}"


def test_too_many_clients_are_turned_away(engine: Engine, connect: Connect) -> None:
    engine.execute("CONFIG", "SET", "maxclients", "1")
    connect().ask(b"PING\r\n", b"+PONG\r\n")
    late = connect()
    late.receive(b"-ERR max number of clients reached\r\n")
    assert late.is_closed()


def test_idle_clients_are_closed(engine: Engine, connect: Connect) -> None:
    engine.execute("CONFIG", "SET", "timeout", "1")
    wire = connect()
    wire.ask(b"PING\r\n", b"+PONG\r\n")
    assert wire.is_closed()


def test_who_does_not_read_is_closed_at_the_limit(
    engine: Engine, connect: Connect
) -> None:
    limit = "normal 1000000 0 0"
    engine.execute("CONFIG", "SET", "client-output-buffer-limit", limit)
    engine.execute("SET", "a", "x" * 100_000)
    wire, other = connect(), connect()
    wire.send(b"GET a\r\n" * 500)
    time.sleep(0.3)
    other.ask(b"PING\r\n", b"+PONG\r\n")
    received = 0
    while data := wire.sock.recv(1 << 20):
        received += len(data)
    assert received < 500 * 100_000


def test_query_buffers_have_a_limit(engine: Engine, connect: Connect) -> None:
    engine.execute("CONFIG", "SET", "client-query-buffer-limit", "1mb")
    wire = connect()
    with pytest.raises(OSError, match=r"reset|[Bb]roken"):
        pour(wire)


def pour(wire: Wire) -> None:
    """Send the beginning of an argument that never ends."""
    wire.send(b"*2\r\n$3\r\nGET\r\n$50000000\r\n")
    for _ in range(100):
        wire.send(b"x" * 100_000)
        time.sleep(0.002)


def test_requirepass(engine: Engine, connect: Connect) -> None:
    engine.execute("CONFIG", "SET", "requirepass", "secret")
    wire = connect()
    wire.ask(b"GET a\r\n", b"-NOAUTH Authentication required.\r\n")
    wire.ask(b"AUTH secret\r\nGET a\r\n", b"+OK\r\n$-1\r\n")


def test_client_list_shows_the_connection(connect: Connect) -> None:
    wire = connect()
    host, port = wire.sock.getsockname()
    wire.send(b"CLIENT LIST\r\n")
    line = wire.sock.recv(10_000).decode()
    assert f"addr={host}:{port}" in line
    assert " fd=-1" not in line


def test_unix_socket(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with engine.serve(port=None, unixsocket=str(path)):
        client = redis.Redis(unix_socket_path=str(path))
        assert client.set("a", 1)
        assert engine.execute("GET", "a") == b"1"
        client.close()
    assert not path.exists()


def test_many_threads_of_redis_py(server: Server, engine: Engine) -> None:
    client = redis.Redis(port=server.port, protocol=3)

    def work() -> None:
        for _ in range(200):
            client.incr("n")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        engine.execute("INCR", "n")
    for thread in threads:
        thread.join()
    assert client.get("n") == b"1800"
    client.close()


def test_closing_the_server_leaves_the_engine(engine: Engine, server: Server) -> None:
    client = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
    client.set("a", 1)
    server.close()
    with pytest.raises(redis.ConnectionError):
        client.get("a")
    assert engine.execute("GET", "a") == b"1"


def test_tls(engine: Engine, tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-subj", "/CN=localhost", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    for name, value in (
        ("tls-cert-file", certificate),
        ("tls-key-file", key),
        ("tls-auth-clients", "no"),
    ):
        engine.execute("CONFIG", "SET", name, value)
    with engine.serve(port=None, tls_port=0) as server:
        client = redis.Redis(port=server.tls_port, ssl=True, ssl_cert_reqs="none")
        # More than a record of TLS holds, both ways.
        assert client.set("large", "x" * 1_000_000)
        assert client.get("large") == b"x" * 1_000_000
        client.close()
        plain = Wire(server.tls_port)
        plain.send(b"PING\r\n")
        assert plain.is_closed()
        plain.sock.close()


def test_tls_without_a_certificate(engine: Engine) -> None:
    with pytest.raises(ResponseError, match="^Unable to update TLS configuration"):
        engine.serve(tls_port=0)


def test_each_of_two_servers_stays_open_to_its_clients(engine: Engine) -> None:
    engine.execute("CONFIG", "SET", "busy-reply-threshold", "50")
    with engine.serve() as one, engine.serve() as two:
        for server in (one, two):
            busy, other = Wire(server.port), Wire(server.port)
            busy.send(b"EVAL 'while true do end' 0\r\n")
            time.sleep(0.2)
            other.ask(b"SCRIPT KILL\r\n", b"+OK\r\n")
            assert busy.sock.recv(1000).startswith(b"-ERR Script killed by user")
            busy.sock.close()
            other.sock.close()


def test_reset_turns_replies_on_and_answers(connect: Connect) -> None:
    connect().ask(
        b"CLIENT REPLY OFF\r\nPING\r\nRESET\r\nPING\r\n", b"+RESET\r\n+PONG\r\n"
    )


def test_who_wants_no_replies_is_told_of_no_protocol_error(connect: Connect) -> None:
    wire = connect()
    wire.send(b"CLIENT REPLY OFF\r\n*x\r\n")
    assert wire.is_closed()


def test_several_addresses_share_a_port(engine: Engine) -> None:
    # The last one is kept for documentation: no machine has it.
    with engine.serve(host="127.0.0.1 127.0.0.2 -2001:db8::1") as server:
        assert len(server.listeners) == 2
        for host in ("127.0.0.1", "127.0.0.2"):
            # Not by the other address: whoever has that one is a stranger.
            with socket.create_connection(
                (host, server.port), 5, ("127.0.0.1", 0)
            ) as sock:
                sock.sendall(b"PING\r\n")
                assert sock.recv(100) == b"+PONG\r\n"


def test_an_address_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(OSError, match="cannot listen on 2001:db8::1"):
        engine.serve(host="127.0.0.1 2001:db8::1")
    with pytest.raises(OSError, match="no address of '-2001:db8::1' is there"):
        engine.serve(host="-2001:db8::1")


@pytest.fixture
def moving(engine: Engine) -> Iterator[tuple[Server, Wire]]:
    """A server that follows CONFIG SET, and somebody connected to it."""
    server = engine.serve()
    engine.core.config.values["bind"] = "127.0.0.1"
    follow_addresses(engine, server)
    wire = Wire(server.port)
    yield server, wire
    wire.sock.close()


def test_config_set_moves_the_server(
    engine: Engine, moving: tuple[Server, Wire]
) -> None:
    server, wire = moving
    old, new = server.port, free_port()
    wire.ask(b"CONFIG SET port %d\r\n" % new, b"+OK\r\n")
    with pytest.raises(ConnectionRefusedError):
        Wire(old)
    with socket.create_connection(("127.0.0.1", new), 5) as sock:
        sock.sendall(b"PING\r\n")
        assert sock.recv(100) == b"+PONG\r\n"
    # From a thread that is not the server's.
    engine.execute("CONFIG", "SET", "bind", "127.0.0.2", "port", old)
    with socket.create_connection(("127.0.0.2", old), 5, ("127.0.0.1", 0)) as sock:
        sock.sendall(b"PING\r\n")
        assert sock.recv(100) == b"+PONG\r\n"
    with pytest.raises(ConnectionRefusedError):
        Wire(old)
    wire.ask(b"PING\r\n", b"+PONG\r\n")
    engine.execute("CONFIG", "SET", "port", 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", old), 5)
    wire.ask(b"PING\r\n", b"+PONG\r\n")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_server_that_cannot_move_stays(
    engine: Engine, moving: tuple[Server, Wire]
) -> None:
    server, wire = moving
    failed = b"-ERR CONFIG SET failed (possibly related to argument '%b') - %b\r\n"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wire.ask(
            b"CONFIG SET maxmemory 1mb port %d\r\n" % port,
            failed % (b"port", b"Unable to listen on this port. Check server logs."),
        )
    wire.ask(
        b"CONFIG SET bind 2001:db8::1\r\n",
        failed % (b"bind", b"Failed to bind to specified addresses."),
    )
    again = Wire(server.port)
    again.ask(b"PING\r\n", b"+PONG\r\n")
    again.sock.close()
    assert engine.execute("CONFIG", "GET", "port", "bind", "maxmemory") == {
        b"port": b"%d" % server.port,
        b"bind": b"127.0.0.1",
        b"maxmemory": b"0",
    }
