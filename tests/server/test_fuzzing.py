"""Bytes that no client should send: each gets a reply or a clean end, and the same ones as from Redis."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oracle.server import RedisServer
from trignb import Engine
from trignb.server.server import Server

from .conftest import Wire
from .fuzzing import ODD_LINES, ODD_NUMBERS, Fuzzer, answer

INPUTS, LONG_INPUTS = 2_000, 200_000
COMPARED, LONG_COMPARED = 1_000, 50_000


@pytest.fixture
def bystander(server: Server) -> Iterator[Wire]:
    """Another client, which must notice nothing."""
    wire = Wire(server.port)
    wire.ask(b"SELECT 9\r\nSET mine 1\r\n", b"+OK\r\n+OK\r\n")
    yield wire
    wire.ask(b"GET mine\r\nPING\r\n", b"$1\r\n1\r\n+PONG\r\n")
    wire.sock.close()


@pytest.mark.timeout(1700)
def test_every_input_is_answered_or_ended(
    server: Server, bystander: Wire, long: bool
) -> None:
    fuzzer = Fuzzer(2026)
    before = memory_kb()
    for number in range(LONG_INPUTS if long else INPUTS):
        answer(server.port, fuzzer.input())
        if number % 500 == 0:
            bystander.ask(b"PING\r\n", b"+PONG\r\n")
    assert memory_kb() - before < 50_000
    wait_for_the_last(server)


def memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def wait_for_the_last(server: Server) -> None:
    """All connections but the bystander's have gone, and what they held with them."""
    done = threading.Event()

    def look() -> None:
        if len(server.connections) == 1:
            done.set()
        else:
            server.loop.call_later(0.01, look)

    server.loop.call_soon(look)
    assert done.wait(10)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=50),
            st.sampled_from(ODD_LINES),
            st.tuples(st.sampled_from((b"*", b"$")), st.sampled_from(ODD_NUMBERS)).map(
                lambda pair: b"".join(pair) + b"\r\n"
            ),
            st.lists(st.binary(max_size=20), min_size=1, max_size=4).map(
                lambda words: (
                    b"*%d\r\n" % len(words)
                    + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
                )
            ),
        ),
        max_size=8,
    )
)
def test_inputs_of_hypothesis(server: Server, pieces: list[bytes]) -> None:
    answer(server.port, b"".join(pieces))


@pytest.mark.oracle
@pytest.mark.timeout(900)
def test_the_replies_are_those_of_redis(
    server: Server, oracle: RedisServer, long: bool
) -> None:
    fuzzer = Fuzzer(7)
    for _ in range(LONG_COMPARED if long else COMPARED):
        data = fuzzer.input()
        # Redis does not answer an AUTH that fails while other replies wait to be sent.
        if b"AUTH" not in data.upper():
            # Each on empty databases.
            compare(server, oracle, b"FLUSHALL\r\n" + data)


def compare(server: Server, oracle: RedisServer, data: bytes) -> None:
    """Send the same bytes to both. Whoever closes on bytes under way may lose its last reply: again then."""
    for _ in range(5):
        expected = answer(oracle.port, data)
        got = answer(server.port, data)
        if got == expected:
            return
    assert got == expected, data


PREFIX_OF_64K = b"x" * (64 * 1024)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "data",
    [
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$-1\r\n",
        b"*1048577\r\n$4\r\nPING\r\n",
        b"*2147483647\r\n",
        b"*2147483648\r\n",
        b"*99999999999999999999\r\n",
        b"*1\r\n$536870912\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$9223372036854775807\r\n",
        b"*abc\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n\r\n",
        b'SET a "b\r\nPING\r\n',
        b"SET a 'b\r\nPING\r\n",
        b'SET a "b"c\r\nPING\r\n',
        PREFIX_OF_64K + b"yy",
        b"*" + PREFIX_OF_64K + b"yy",
        b"*1\r\n$" + PREFIX_OF_64K + b"yy",
        PREFIX_OF_64K + b"\r\nPING\r\n",
        b"PING\r\n*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nPING\r\n",
        b"POST / HTTP/1.1\r\nPING\r\n",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_protocol_errors_are_those_of_redis(
    server: Server, oracle: RedisServer, data: bytes
) -> None:
    compare(server, oracle, data)


STRANGERS = [
    b"*10\r\n" + b"$1\r\na\r\n" * 10,
    b"*11\r\n" + b"$1\r\na\r\n" * 11,
    b"*2\r\n$4\r\nAUTH\r\n$16384\r\n" + b"x" * 16384 + b"\r\n",
    b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
    b"AUTH wrong\r\nGET a\r\nHELLO 3\r\nPING\r\n",
    b"HELLO 3 AUTH default wrong\r\nPING\r\n",
    b"HELLO 4\r\nHELLO x\r\nRESET\r\nQUIT\r\nPING\r\n",
    b"AUTH secret\r\n*11\r\n$4\r\nMGET\r\n" + b"$1\r\na\r\n" * 10 + b"PING\r\n",
    b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*11\r\n$4\r\nMGET\r\n" + b"$1\r\na\r\n" * 10,
    b"MULTI\r\nEXEC\r\nAUTH a b c\r\nAUTH\r\nAUTH default secret\r\nECHO in\r\n",
]


@pytest.mark.oracle
def test_every_auth_is_answered(server: Server, oracle: RedisServer) -> None:
    # The one reply that Redis leaves out; a client would take the next one for it.
    data = b"PING\r\nAUTH a b\r\nPING\r\n"
    refusal = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    assert answer(oracle.port, data) == b"+PONG\r\n+PONG\r\n"
    assert answer(server.port, data) == b"+PONG\r\n" + refusal + b"+PONG\r\n"


@pytest.mark.oracle
def test_what_strangers_may_send(
    engine: Engine, server: Server, oracle: RedisServer
) -> None:
    admin = oracle.connect()
    admin.execute("CONFIG", "SET", "requirepass", "secret")
    engine.execute("CONFIG", "SET", "requirepass", "secret")
    try:
        for data in STRANGERS:
            compare(server, oracle, data)
    finally:
        admin.execute("CONFIG", "SET", "requirepass", "")


def test_one_clients_garbage_stays_in_its_connection(
    server: Server, connect: Callable[[], Wire]
) -> None:
    half, other = connect(), connect()
    half.send(b"*3\r\n$3\r\nSET\r\n$1\r\n")
    other.ask(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b"$-1\r\n")
    half.ask(b"a\r\n$1\r\n1\r\n", b"+OK\r\n")
