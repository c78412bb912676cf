"""What CLIENT LIST says that a client takes, as Redis 7.2.4 says it of the same clients."""

from __future__ import annotations

from collections.abc import Callable

from trignb import Engine
from trignb.engine.client_memory import ReplyBuffer

from .conftest import Wire
from .waiting import wait_until

Connect = Callable[[], Wire]
Fields = dict[str, str]


def fields_of(engine: Engine, name: str) -> Fields:
    """Return the fields of the client of this name, none as long as it is not there."""
    told = engine.execute("CLIENT", "LIST")
    assert isinstance(told, bytes)
    for line in told.decode().splitlines():
        fields = dict(word.split("=", 1) for word in line.split(" "))
        if fields["name"] == name:
            return fields
    return {}


def test_the_client_that_asks(connect: Connect) -> None:
    wire = connect()
    wire.send(b"*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n")
    size = int(wire.read_until(b"\r\n")[1:-2])
    line = wire.read_until(b"\r\n")[:-3]
    assert len(line) == size - 1
    fields = dict(word.split("=", 1) for word in line.decode().split(" "))
    assert (fields["qbuf"], fields["qbuf-free"]) == ("26", "20448")
    assert (fields["argv-mem"], fields["rbs"]) == ("10", "16384")
    assert fields["tot-mem"] == "37786"


def test_clients_that_wait_queue_and_watch(engine: Engine, connect: Connect) -> None:
    waiting, queueing = connect(), connect()
    waiting.ask(b"CLIENT SETNAME waiting\r\n", b"+OK\r\n")
    waiting.send(b"BLPOP kkkkk 0\r\n")
    wait_until(lambda: fields_of(engine, "waiting")["flags"] == "b")
    fields = fields_of(engine, "waiting")
    assert (fields["argv-mem"], fields["tot-mem"]) == ("11", "37795")
    queueing.ask(b"CLIENT SETNAME queueing\r\n", b"+OK\r\n")
    assert fields_of(engine, "queueing")["tot-mem"] == "37760"
    queueing.ask(b"WATCH x yy\r\n", b"+OK\r\n")
    assert fields_of(engine, "queueing")["tot-mem"] == "37920"
    queueing.ask(b"UNWATCH\r\n", b"+OK\r\n")
    queueing.ask(b"MULTI\r\n", b"+OK\r\n")
    queueing.ask(b"SET aaaa bbbb\r\n", b"+QUEUED\r\n")
    fields = fields_of(engine, "queueing")
    assert (fields["multi"], fields["multi-mem"], fields["tot-mem"]) == (
        *("1", "35"),
        "37843",
    )


def test_a_client_that_does_not_read(engine: Engine, connect: Connect) -> None:
    engine.execute("SET", "big", "x" * 20_000_000)
    wire = connect()
    wire.ask(b"CLIENT SETNAME slow\r\n", b"+OK\r\n")
    wire.send(b"GET big\r\n")
    wait_until(lambda: int(fields_of(engine, "slow")["omem"]) > 1_000_000)
    fields = fields_of(engine, "slow")
    assert (fields["events"], fields["oll"]) == ("rw", "1")
    assert int(fields["tot-mem"]) > int(fields["omem"])


def test_a_buffer_for_replies_follows_its_use() -> None:
    buffer = ReplyBuffer()
    buffer.adapt(0.0)
    assert (buffer.size, buffer.peak) == (16384, 0)
    buffer.peak = 5
    buffer.adapt(1.0)
    assert buffer.size == 1024
    buffer.peak = 1024
    buffer.adapt(2.0)
    assert buffer.size == 2048
    buffer.adapt(6.0)
    assert (buffer.size, buffer.peak) == (2048, 0)


def test_debug_keeps_buffers_as_they_are(engine: Engine) -> None:
    buffer = ReplyBuffer()
    buffer.peak = 5
    engine.execute("DEBUG", "REPLYBUFFER", "RESIZING", "0")
    try:
        buffer.adapt(0.0)
        assert buffer.size == 16384
    finally:
        engine.execute("DEBUG", "REPLYBUFFER", "RESIZING", "1")
    buffer.adapt(0.0)
    assert buffer.size == 1024
