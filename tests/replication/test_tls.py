"""Replication over TLS, both ways, with certificates that both sides ask for."""

from __future__ import annotations

import socket
import subprocess

import pytest

from replication.conftest import until


@pytest.fixture
def certificates(tmp_path):
    """Parameters that name a certificate, its key, and itself as what is trusted."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=anybody", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return {
        "tls-cert-file": certificate,
        "tls-key-file": key,
        "tls-ca-cert-file": certificate,
        "tls-replication": "yes",
    }


def test_a_redis_follows_us_and_we_it(serve, redis, certificates):
    engine, us = serve(**certificates)
    port = free_port()
    words = [word for pair in certificates.items() for word in pair]
    assert redis("CONFIG", "SET", *words, "tls-port", port) == "OK"
    ours = engine.serve(port=None, tls_port=0)
    us("SET", "a", 1)
    assert redis("REPLICAOF", "127.0.0.1", ours.tls_port) == "OK"
    until(redis.is_up)
    us("SET", "b", 1)
    us.settle(redis)
    assert redis("MGET", "a", "b") == [b"1", b"1"]
    redis("REPLICAOF", "NO", "ONE")
    assert us("REPLICAOF", "127.0.0.1", port) == "OK"
    until(us.is_up)
    redis("SET", "c", "x" * 100_000)
    redis.settle(us)
    assert us("STRLEN", "c") == 100_000
    assert f"port={ours.tls_port}" in redis.info()["slave0"]


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_without_trust_there_is_no_link(serve, caplog):
    _, us = serve(**{"tls-replication": "yes"})
    us("REPLICAOF", "127.0.0.1", 1)
    until(lambda: "the link to primary" in caplog.text)
    _, other = serve()
    us("REPLICAOF", "127.0.0.1", other.port)
    until(lambda: "certificates cannot be used" in caplog.text)
    assert us.info()["master_link_status"] == "down"
