"""CLIENT TRACKING over sockets: pushes, redirection, prefixes."""

from __future__ import annotations

from collections.abc import Callable

from trignb import Engine

from .conftest import Wire

Connect = Callable[[], Wire]

INVALID_A = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"


def hello(wire: Wire) -> int:
    """Speak RESP3; returns the client's id."""
    wire.send(b"HELLO 3\r\n")
    wire.read_until(b"$7\r\nmodules\r\n")
    wire.send(b"ECHO end\r\n")
    wire.read_until(b"$3\r\nend\r\n")
    return client_id(wire)


def client_id(wire: Wire) -> int:
    wire.send(b"CLIENT ID\r\n")
    return int(wire.read_until(b"\r\n")[1:])


def test_pushes_reach_who_has_read(engine: Engine, connect: Connect) -> None:
    reader, writer = connect(), connect()
    hello(reader)
    reader.ask(b"CLIENT TRACKING ON\r\nGET a\r\n", b"+OK\r\n_\r\n")
    writer.ask(b"SET b 1\r\nSET a 1\r\nSET a 2\r\n", b"+OK\r\n" * 3)
    reader.receive(INVALID_A)
    # Told once, until it reads again.
    reader.ask(b"GET a\r\n", b"$1\r\n2\r\n")
    engine.execute("DEL", "a")
    reader.receive(INVALID_A)
    reader.ask(b"GET a\r\n", b"_\r\n")
    engine.execute("FLUSHALL")
    reader.receive(b">2\r\n$10\r\ninvalidate\r\n_\r\n")


def test_ones_own_writes(connect: Connect) -> None:
    reader = connect()
    hello(reader)
    reader.ask(b"CLIENT TRACKING ON\r\nGET a\r\n", b"+OK\r\n_\r\n")
    reader.ask(b"SET a 1\r\n", b"+OK\r\n" + INVALID_A)
    reader.ask(b"CLIENT TRACKING OFF\r\n", b"+OK\r\n")
    reader.ask(b"CLIENT TRACKING ON NOLOOP\r\nGET a\r\n", b"+OK\r\n$1\r\n1\r\n")
    reader.ask(b"SET a 2\r\nPING\r\n", b"+OK\r\n+PONG\r\n")


def test_broadcast_by_prefix(connect: Connect) -> None:
    reader, writer = connect(), connect()
    hello(reader)
    reader.ask(b"CLIENT TRACKING ON BCAST PREFIX user:\r\n", b"+OK\r\n")
    writer.ask(b"SET other 1\r\nSET user:1 1\r\n", b"+OK\r\n" * 2)
    reader.receive(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$6\r\nuser:1\r\n")


def test_redirection_to_a_resp2_subscriber(connect: Connect) -> None:
    listener, reader, writer = connect(), connect(), connect()
    number = client_id(listener)
    listener.send(b"SUBSCRIBE __redis__:invalidate\r\n")
    listener.read_until(b":1\r\n")
    reader.ask(
        b"CLIENT TRACKING ON REDIRECT %d\r\nGET a\r\n" % number, b"+OK\r\n$-1\r\n"
    )
    writer.ask(b"SET a 1\r\n", b"+OK\r\n")
    listener.receive(
        b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\na\r\n"
    )


def test_who_redirects_learns_that_its_listener_has_gone(connect: Connect) -> None:
    listener, reader, writer = connect(), connect(), connect()
    number = client_id(listener)
    hello(reader)
    reader.ask(b"CLIENT TRACKING ON REDIRECT %d\r\nGET a\r\n" % number, b"+OK\r\n_\r\n")
    listener.ask(b"QUIT\r\n", b"+OK\r\n")
    assert listener.is_closed()
    writer.ask(b"SET a 1\r\n", b"+OK\r\n")
    reader.receive(b">2\r\n$21\r\ntracking-redir-broken\r\n:%d\r\n" % number)


def test_a_reader_that_leaves_is_forgotten(engine: Engine, connect: Connect) -> None:
    reader = connect()
    hello(reader)
    reader.ask(b"CLIENT TRACKING ON\r\nGET a\r\n", b"+OK\r\n_\r\n")
    reader.ask(b"QUIT\r\n", b"+OK\r\n")
    assert reader.is_closed()
    text = engine.execute("INFO").decode()
    assert "tracking_clients:0\r\n" in text
    assert engine.execute("SET", "a", 1) == "OK"
