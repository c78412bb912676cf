"""redis-cli, unchanged, on a served engine: its modes, and what they print."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trignb import Engine
from trignb.server.server import Server

from .conftest import Tool, tool

Cli = Callable[..., str]

PROMPT = r"127\.0\.0\.1:\d+> "


@pytest.fixture
def cli(server: Server) -> Cli:
    path = tool("redis-cli")

    def run(*args: str, text: str = "") -> str:
        done = subprocess.run(
            [path, "-p", str(server.port), *args],
            input=text,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def start(server: Server) -> Iterator[Callable[..., Tool]]:
    """Start redis-cli in a mode that goes on, on a terminal of its own."""
    running: list[Tool] = []

    def begin(*args: str) -> Tool:
        running.append(Tool([tool("redis-cli"), "-p", str(server.port), *args]))
        return running[-1]

    yield begin
    for each in running:
        each.close()


def fill(engine: Engine) -> None:
    for i in range(500):
        engine.execute("SET", f"key:{i}", i)
    engine.execute("RPUSH", "list", *range(300))
    engine.execute("HSET", "hash", "f", "v")
    engine.execute("ZADD", "zset", 1.5, "a")
    engine.execute("SADD", "set", "a")
    engine.execute("XADD", "stream", "*", "f", "v")


def test_pipe(engine: Engine, cli: Cli) -> None:
    lines = "".join(f"SET key:{i} {i}\n" for i in range(5000)) + "INCR list\n"
    engine.execute("RPUSH", "list", "a")
    with pytest.raises(AssertionError):
        cli("--pipe", text=lines)
    assert engine.execute("DBSIZE") == 5001
    output = cli("--pipe", text=lines.replace("INCR list\n", ""))
    assert "errors: 0, replies: 5000" in output


def test_scan_bigkeys_memkeys(engine: Engine, cli: Cli) -> None:
    fill(engine)
    found = cli("--scan", "--pattern", "key:4*").split()
    assert len(found) == len(set(found)) == 111
    big = cli("--bigkeys")
    assert "Sampled 505 keys in the keyspace!" in big
    assert """Biggest   list found '"list"' has 300 items""" in big
    assert """Biggest stream found '"stream"' has 1 entries""" in big
    assert "500 strings with " in cli("--memkeys")


def test_stat(engine: Engine, start: Callable[..., Tool]) -> None:
    fill(engine)
    stat = start("--stat", "-i", "0.1")
    found = stat.wait_for(r"505 +[\d.]+[KM] +\d+ +\d+ +\d+ \(\+\d+\)")
    assert found


def test_latency(cli: Cli) -> None:
    low, high, mean, samples = cli("--latency", "-i", "0.2").split()
    assert 0 <= float(low) <= float(mean) <= float(high)
    assert int(samples) > 0


def test_resp3_csv_json(engine: Engine, cli: Cli) -> None:
    fill(engine)
    assert cli("-3", "ZSCORE", "zset", "a") == "1.5\n"
    assert json.loads(cli("-3", "--json", "HGETALL", "hash")) == {"f": "v"}
    assert cli("--csv", "LRANGE", "list", "0", "2") == '"0","1","2"\n'
    assert cli("-n", "3", "SET", "a", "1") == "OK\n"
    assert engine.execute("INFO", "keyspace").find(b"db3:keys=1") > 0


def test_scripts_and_arguments_from_a_file(
    engine: Engine, cli: Cli, tmp_path: Path
) -> None:
    script = tmp_path / "get.lua"
    script.write_text("return redis.call('get', KEYS[1]) .. ARGV[1]")
    cli("-x", "SET", "a", text="line\n")
    assert cli("--eval", str(script), "a", ",", "!") == "line\n!\n"
    assert engine.execute("GET", "a") == b"line\n"


def test_transactions_typed_line_by_line(cli: Cli) -> None:
    typed = "MULTI\nSET a 1\nINCR a\nEXEC\nSELECT 2\nEXISTS a\n"
    assert cli(text=typed).split() == ["OK", "QUEUED", "QUEUED", "OK", "2", "OK", "0"]


def test_help_and_completion_come_from_the_server(start: Callable[..., Tool]) -> None:
    prompt = start()
    prompt.wait_for(PROMPT)
    prompt.type("help TFCALL\r")
    assert prompt.wait_for(r"group: \w+")
    prompt.wait_for(PROMPT)
    prompt.type("SET a 1\r")
    assert prompt.wait_for(r"OK\r\n")


def test_monitor(engine: Engine, start: Callable[..., Tool], cli: Cli) -> None:
    monitor = start("MONITOR")
    monitor.wait_for("OK")
    cli("SET", "a b", "1")
    assert monitor.wait_for(r'\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "SET" "a b" "1"')
    engine.execute("EVAL", "redis.call('GET', 'x')", "0")
    assert monitor.wait_for(r'\[0 lua\] "GET" "x"')


def test_subscribe_hears_keyspace_events(
    engine: Engine, start: Callable[..., Tool], cli: Cli
) -> None:
    engine.execute("CONFIG", "SET", "notify-keyspace-events", "KEA")
    listener = start("--csv", "PSUBSCRIBE", "__key*__:*")
    listener.wait_for(r'"psubscribe","__key\*__:\*",1')
    cli("RPUSH", "l", "a")
    assert listener.wait_for(
        r'"pmessage","__key\*__:\*","__keyspace@0__:l","rpush"\s+'
        r'"pmessage","__key\*__:\*","__keyevent@0__:rpush","l"'
    )
    cli("LPOP", "l")
    assert listener.wait_for(r'"__keyevent@0__:lpop","l"[^!]*"__keyevent@0__:del","l"')


def test_pushes_in_resp3(start: Callable[..., Tool], cli: Cli) -> None:
    prompt = start("-3")
    prompt.wait_for(PROMPT)
    prompt.type("CLIENT TRACKING ON\r")
    prompt.wait_for("OK")
    prompt.wait_for(PROMPT)
    prompt.type("GET a\r")
    prompt.wait_for(r"\(nil\)")
    prompt.wait_for(PROMPT)
    cli("SET", "a", "1")
    prompt.type("PING\r")
    assert prompt.wait_for(r'-> invalidate: \'?"?a')


def test_a_snapshot_over_the_wire(engine: Engine, cli: Cli, tmp_path: Path) -> None:
    fill(engine)
    engine.execute("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    path = tmp_path / "dump.rdb"
    cli("--rdb", str(path))
    with Engine.from_rdb(path) as copy:
        assert copy.execute("DBSIZE") == 505
        assert copy.execute("LRANGE", "list", 0, 1) == [b"0", b"1"]


def test_it_poses_as_a_replica(engine: Engine, start: Callable[..., Tool]) -> None:
    engine.execute("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = start("--replica", "--csv")
    replica.wait_for("SYNC with master")
    replica.wait_for("SYNC done")
    engine.execute("SET", "a b", 1)
    assert replica.wait_for('"SET","a b","1"')


@pytest.mark.parametrize(
    "options",
    [
        ("-t", "set,get,incr,lpush,hset,spop,zadd,mset", "-P", "16"),
        ("-t", "ping_inline,ping_mbulk,lrange_100", "-c", "20"),
        ("-t", "set,get", "--threads", "2", "-3"),
        ("-t", "get", "-k", "0"),
        ("eval", "return redis.call('incr', KEYS[1])", "1", "n"),
    ],
    ids=" ".join,
)
def test_benchmark(server: Server, options: tuple[str, ...]) -> None:
    head = [tool("redis-benchmark"), "-p", str(server.port), "-n", "400", "--csv"]
    done = subprocess.run(
        [*head, *options], capture_output=True, text=True, timeout=30, check=True
    )
    rows = done.stdout.splitlines()[1:]
    assert rows
    assert all(float(row.split('","')[1]) > 0 for row in rows)
    assert "ERR" not in done.stdout + done.stderr
