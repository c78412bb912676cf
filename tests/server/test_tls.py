"""TLS: certificates both ways, large messages, clients that speak something else."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trignb import Engine
from trignb.server.server import Server

from .conftest import Wire, tool
from .waiting import wait_until

Client = Callable[..., redis.Redis]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates that sign themselves, the server's and a client's."""
    directory = tmp_path_factory.mktemp("certificates")
    for name in ("server", "client"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={name}"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", directory / f"{name}.key"),
                *("-out", directory / f"{name}.pem"),
            ],
            check=True,
            capture_output=True,
        )
    return directory


@pytest.fixture
def server(engine: Engine, certificates: Path) -> Iterator[Server]:
    for name, value in (
        ("tls-cert-file", certificates / "server.pem"),
        ("tls-key-file", certificates / "server.key"),
        ("tls-ca-cert-file", certificates / "client.pem"),
        ("tls-protocols", "TLSv1.2 TLSv1.3"),
    ):
        engine.execute("CONFIG", "SET", name, str(value))
    with engine.serve(port=0, tls_port=0) as server:
        yield server


@pytest.fixture
def client(server: Server, certificates: Path) -> Iterator[redis.Redis]:
    with redis.Redis(
        host="127.0.0.1",
        port=server.tls_port,
        ssl=True,
        ssl_ca_certs=str(certificates / "server.pem"),
        ssl_certfile=str(certificates / "client.pem"),
        ssl_keyfile=str(certificates / "client.key"),
        retry=Retry(NoBackoff(), 0),
    ) as client:
        yield client


def test_both_ports_serve_the_same_keys(server: Server, client: redis.Redis) -> None:
    assert client.set("a", 1)
    plain = redis.Redis(port=server.port)
    assert plain.get("a") == b"1"
    plain.close()


def test_pipelines_larger_than_a_record(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"key:{number}", "x" * 100)
        for number in range(5000):
            pipe.get(f"key:{number}")
        replies = pipe.execute()
    assert replies[5000:] == [b"x" * 100] * 5000
    assert client.set("large", "y" * 3_000_000)
    assert client.get("large") == b"y" * 3_000_000


def test_messages(client: redis.Redis) -> None:
    with client.pubsub() as listener:
        listener.subscribe("c")
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        client.publish("c", "z" * 100_000)
        assert listener.get_message(timeout=5)["data"] == b"z" * 100_000


def test_redis_cli(server: Server, certificates: Path) -> None:
    done = subprocess.run(
        [
            *(tool("redis-cli"), "-p", str(server.tls_port), "--tls", "-3"),
            *("--cacert", certificates / "server.pem"),
            *("--cert", certificates / "client.pem"),
            *("--key", certificates / "client.key"),
            *("SET", "a", "1"),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("OK\n", 0)


@pytest.mark.parametrize("own", [False, True], ids=["none", "an unknown one"])
def test_who_has_no_good_certificate_stays_outside(
    engine: Engine, server: Server, certificates: Path, own: bool
) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "server.pem"))
    if own:
        context.load_cert_chain(
            certificates / "server.pem", certificates / "server.key"
        )
    with (
        socket.create_connection(("127.0.0.1", server.tls_port), 10) as sock,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        ask_until_refused(context.wrap_socket(sock, server_hostname="127.0.0.1"))
    assert engine.execute("EXISTS", "a") == 0
    wait_until(lambda: not server.connections)


def ask_until_refused(sock: ssl.SSLSocket) -> None:
    """In TLS 1.3 the refusal comes with the first answer only."""
    with sock:
        sock.sendall(b"SET a 1\r\n")
        if not sock.recv(100):
            raise ConnectionResetError("it hung up")


def test_a_handshake_that_is_never_begun_or_wrong(server: Server) -> None:
    silent, wrong = Wire(server.tls_port), Wire(server.tls_port)
    wrong.send(b"*1\r\n$4\r\nPING\r\n")
    assert wrong.is_closed()
    plain = Wire(server.port)
    plain.ask(b"PING\r\n", b"+PONG\r\n")
    for wire in (silent, wrong, plain):
        wire.sock.close()
    wait_until(lambda: not server.connections)
