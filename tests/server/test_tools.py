"""Programs that stand on Redis: rq's workers, iredis, and what a graphical client asks first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.job import JobStatus

from trignb import Engine
from trignb.server.server import Server

from .conftest import Tool, tool


def test_rq_runs_jobs(server: Server) -> None:
    client = redis.Redis(port=server.port)
    queue = Queue(connection=client)
    jobs = [queue.enqueue("operator.add", i, i) for i in range(10)]
    bad = queue.enqueue("operator.truediv", 1, 0)
    last = queue.enqueue("operator.mul", 6, 7, depends_on=jobs[0])
    worker = subprocess.run(
        [
            *(sys.executable, "-m", "rq.cli", "worker", "--burst"),
            *("--worker-class", "rq.worker.SimpleWorker"),
            *("--url", f"redis://127.0.0.1:{server.port}"),
        ],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert worker.returncode == 0, worker.stderr
    assert [job.return_value() for job in jobs] == [2 * i for i in range(10)]
    assert last.return_value() == 42
    assert bad.get_status() == JobStatus.FAILED
    assert "ZeroDivisionError" in bad.latest_result().exc_string
    assert (len(queue), bad.id in queue.failed_job_registry) == (0, True)
    client.close()


@pytest.fixture
def iredis(server: Server, tmp_path: Path) -> Iterator[Callable[..., Tool]]:
    running: list[Tool] = []

    def begin(*args: str) -> Tool:
        command = [tool("iredis"), "-p", str(server.port), *args]
        running.append(Tool(command, HOME=str(tmp_path)))
        return running[-1]

    yield begin
    for each in running:
        each.close()


def test_iredis_with_a_command(engine: Engine, iredis: Callable[..., Tool]) -> None:
    engine.execute("RPUSH", "l", "a", "b")
    assert iredis("LRANGE", "l", "0", "1").wait_for(r'1\) "a"\s+2\) "b"')


def test_iredis_on_a_terminal(engine: Engine, iredis: Callable[..., Tool]) -> None:
    prompt = iredis()
    prompt.wait_for(r"127\.0\.0\.1:\d+>")
    prompt.type("HSET h f 1\r")
    prompt.wait_for(r"\(integer\)\s+1|^1\b")
    prompt.type("TYPE h\r")
    prompt.wait_for("hash")
    assert engine.execute("HGET", "h", "f") == b"1"


# What a browser of keys asks when it is opened on a server, and on a key.
FIRST_QUESTIONS = """
CLIENT SETNAME browser
INFO
INFO everything
INFO commandstats
COMMAND
COMMAND COUNT
COMMAND DOCS
COMMAND INFO get set tfcall
MODULE LIST
CLIENT LIST
CLIENT INFO
CLIENT GETNAME
CLIENT ID
ACL WHOAMI
ACL LIST
CONFIG GET *
CONFIG GET databases
DBSIZE
SCAN 0 MATCH * COUNT 500
SCAN 0 MATCH * COUNT 500 TYPE hash
SLOWLOG GET 50
SLOWLOG LEN
LATENCY LATEST
MEMORY STATS
MEMORY DOCTOR
PUBSUB CHANNELS *
ROLE
LASTSAVE
TIME
FUNCTION LIST
TFUNCTION LIST vv
"""
OF_EVERY_KEY = ("TYPE", "TTL", "PTTL", "EXISTS", "DUMP", "EXPIRETIME")
OF_ITS_OBJECT = ("ENCODING", "IDLETIME", "REFCOUNT")
OF_A_TYPE = {
    "string": ("STRLEN s", "GETRANGE s 0 4999"),
    "list": ("LLEN l", "LRANGE l 0 499"),
    "set": ("SCARD t", "SSCAN t 0 COUNT 500"),
    "hash": ("HLEN h", "HSCAN h 0 COUNT 500"),
    "zset": ("ZCARD z", "ZRANGE z 0 499 WITHSCORES", "ZSCAN z 0"),
    "stream": (
        "XLEN x",
        "XREVRANGE x + - COUNT 500",
        "XINFO STREAM x",
        "XINFO STREAM x FULL",
        "XINFO GROUPS x",
        "XINFO CONSUMERS x g",
        "XPENDING x g",
    ),
}


@pytest.mark.parametrize("resp", [2, 3])
def test_a_graphical_client_gets_its_answers(
    engine: Engine, server: Server, resp: int
) -> None:
    engine.execute("XGROUP", "CREATE", "x", "g", "0", "MKSTREAM")
    for line in ("SET s v", "RPUSH l a", "SADD t a", "HSET h f v", "ZADD z 1 a"):
        engine.execute(*line.split())
    client = redis.Redis(port=server.port, protocol=resp, decode_responses=True)
    # As they are on the wire, not as redis-py shapes them.
    client.response_callbacks.clear()
    replies = {
        line: client.execute_command(*line.split())
        for line in FIRST_QUESTIONS.strip().splitlines()
    }
    assert replies["COMMAND COUNT"] == len(replies["COMMAND"])
    assert replies["DBSIZE"] == 6
    assert "# Commandstats" in replies["INFO commandstats"]
    assert replies["CONFIG GET databases"] in (["databases", "16"], {"databases": "16"})
    assert "name=browser" in replies["CLIENT INFO"]
    assert "calls" not in str(replies["MODULE LIST"])
    for key in ("s", "l", "t", "h", "z", "x"):
        kind = client.execute_command("TYPE", key)
        for name in OF_EVERY_KEY[:4]:
            assert client.execute_command(name, key) is not None
        for name in OF_ITS_OBJECT:
            assert client.execute_command("OBJECT", name, key) is not None
        assert client.execute_command("MEMORY", "USAGE", key, "SAMPLES", 0) > 0
        for line in OF_A_TYPE[kind]:
            assert client.execute_command(*line.split()) is not None
    client.close()
