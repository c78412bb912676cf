"""``trignb serve`` as a replica, a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

import redis as redis_py

from replication.conftest import until


def test_a_process_that_follows_from_the_start(serve, tmp_path):
    engine, us = serve()
    us("SET", "a", 1)
    path = tmp_path / "replica.sock"
    words = [sys.executable, "-m", "trignb", "serve", "--port", "0"]
    words += ["--unixsocket", str(path), "--dir", str(tmp_path), "--save", ""]
    words += ["--replicaof", "127.0.0.1", str(us.port)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    client = redis_py.Redis(unix_socket_path=str(path))
    try:
        until(path.exists)
        until(lambda: client.get("a") == b"1")
        us("SET", "a", 2)
        until(lambda: client.get("a") == b"2")
        assert client.info("replication")["master_link_status"] == "up"
        client.execute_command("REPLICAOF", "NO", "ONE")
        assert client.incr("a") == 3
    finally:
        client.close()
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    until(lambda: us.info()["connected_slaves"] == "0")
    assert engine.execute("GET", "a") == b"2"
