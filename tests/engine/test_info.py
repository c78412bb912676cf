"""INFO: sections, fields, the numbers behind them."""

from __future__ import annotations

import pytest

import trignb
from trignb.engine.stats import SECTIONS, human_size
from trignb.errors import ResponseError
from trignb.reply import Verbatim

USUAL = [
    "Server",
    "Clients",
    "Memory",
    "Persistence",
    "Stats",
    "Replication",
    "CPU",
    "Modules",
    "Errorstats",
    "Cluster",
    "Keyspace",
]
ALL = [*USUAL[:8], "Commandstats", "Errorstats", "Latencystats", *USUAL[9:]]
OF_MODULES = [
    "redisgears_2_UninitialisedBackends",
    "redisgears_2_V8AggregatedLibraryStatistics",
    "redisgears_2_PerLibraryInformation",
]


def titles(engine, *names):
    text = engine.execute("INFO", *names).decode()
    return [line[2:] for line in text.splitlines() if line.startswith("# ")]


def fields(engine, *names):
    text = engine.execute("INFO", *names).decode()
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def refused(engine, *args):
    with pytest.raises(ResponseError):
        engine.execute(*args)


def test_sections(engine):
    assert titles(engine) == titles(engine, "default") == USUAL
    assert titles(engine, "all") == ALL
    assert titles(engine, "EVERYTHING") == [*ALL, *OF_MODULES]
    assert titles(engine, "cpu", "keyspace", "nope", "CPU") == ["CPU", "Keyspace"]
    assert titles(engine, "commandstats", "default") == [
        *USUAL[:8],
        "Commandstats",
        *USUAL[8:],
    ]
    assert engine.execute("INFO", "nope") == b""
    assert len(SECTIONS) == len(ALL)


def test_the_form(engine):
    reply = engine.execute("INFO", "cluster", "errorstats")
    assert isinstance(reply, Verbatim)
    assert reply == b"# Errorstats\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n"


def test_server(engine):
    found = fields(engine, "server")
    assert found["redis_version"] == "7.2.6"
    assert found["trignb_version"] == trignb.__version__
    assert found["redis_mode"] == "standalone"
    assert len(found["run_id"]) == 40
    assert found["hz"] == "10"


def test_uptime_follows_the_clock():
    with trignb.Engine() as engine:
        engine.clock.freeze()
        before = int(fields(engine, "server")["uptime_in_seconds"])
        engine.clock.advance(100_000)
        found = fields(engine, "server")
        assert int(found["uptime_in_seconds"]) == before + 100_000
        assert found["uptime_in_days"] == "1"


def test_clients(engine, session, session2):
    session.execute("CLIENT", "TRACKING", "ON")
    found = fields(engine, "clients")
    assert (found["connected_clients"], found["tracking_clients"]) == ("3", "1")
    assert (found["blocked_clients"], found["maxclients"]) == ("0", "10000")


def test_memory_is_estimated(engine):
    before = int(fields(engine, "memory")["used_memory"])
    for i in range(50):
        engine.execute("SET", f"k{i}", "x" * 1000)
    engine.execute("CONFIG", "SET", "maxmemory", "100mb")
    found = fields(engine, "memory")
    assert 50_000 < int(found["used_memory"]) - before < 100_000
    assert found["maxmemory_human"] == "100.00M"
    peak = found["used_memory_peak"]
    engine.execute("FLUSHALL")
    found = fields(engine, "memory")
    assert (int(found["used_memory"]), found["used_memory_peak"]) == (before, peak)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.00K"),
        (1_421_984, "1.36M"),
        (25_276_502_016, "23.54G"),
        (1 << 40, "1.00T"),
        (1 << 62, "4096.00P"),
    ],
)
def test_sizes_for_people(size, text):
    assert human_size(size) == text


def test_stats(engine, session):
    session.execute("SET", "k", "v", "PX", 5)
    session.execute("GET", "k")
    session.execute("GET", "absent")
    engine.clock.advance(1)
    session.execute("SUBSCRIBE", "a", "b")
    session.execute("PSUBSCRIBE", "p*")
    refused(engine, "NOPE")
    refused(engine, "GET")
    refused(engine, "SELECT", "x")
    found = fields(engine, "stats")
    expected = {
        "total_connections_received": "2",
        "total_commands_processed": "6",
        "keyspace_hits": "1",
        "keyspace_misses": "1",
        "expired_keys": "1",
        "evicted_keys": "0",
        "pubsub_channels": "2",
        "pubsub_patterns": "1",
        "total_error_replies": "3",
    }
    assert {name: found[name] for name in expected} == expected


def test_commandstats(engine):
    engine.execute("SET", "k", "v")
    refused(engine, "LPUSH", "k", "x")
    refused(engine, "LPUSH")
    engine.execute("CONFIG", "GET", "hz")
    found = fields(engine, "commandstats")
    assert found["cmdstat_set"] == (
        "calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0"
    )
    assert found["cmdstat_lpush"].endswith("rejected_calls=1,failed_calls=1")
    assert found["cmdstat_config|get"].startswith("calls=1,")
    assert "cmdstat_get" not in found


def test_errorstats(engine, session):
    engine.execute("SET", "k", "v")
    refused(engine, "LPUSH", "k", "x")
    refused(engine, "NOPE")
    session.execute("MULTI")
    session.execute("LPUSH", "k", "x")
    refused(session, "GET")
    refused(session, "EXEC")
    assert fields(engine, "errorstats") == {
        "errorstat_WRONGTYPE": "count=1",
        "errorstat_ERR": "count=2",
        "errorstat_EXECABORT": "count=1",
    }


def test_keyspace(engine):
    engine.execute("MSET", "a", "1", "b", "2")
    engine.execute("PEXPIRE", "a", 10_000)
    engine.execute("SELECT", 3)
    engine.execute("SET", "c", "1")
    assert fields(engine, "keyspace") == {
        "db0": "keys=2,expires=1,avg_ttl=10000",
        "db3": "keys=1,expires=0,avg_ttl=0",
    }


def test_replication(engine):
    found = fields(engine, "replication")
    assert (found["role"], found["connected_slaves"]) == ("master", "0")
    assert len(found["master_replid"]) == 40


def test_the_module_is_shown(engine):
    assert fields(engine, "modules")["module"].startswith("name=redisgears_2,ver=")


def test_resetstat(engine):
    engine.execute("GET", "k")
    refused(engine, "NOPE")
    assert engine.execute("CONFIG", "RESETSTAT") == "OK"
    found = fields(engine, "stats", "errorstats", "commandstats")
    assert (found["keyspace_misses"], found["total_error_replies"]) == ("0", "0")
    # A command is counted when it ends.
    assert [name for name in found if name.startswith("cmdstat")] == [
        "cmdstat_config|resetstat"
    ]
    engine.execute("GET", "k")
    assert fields(engine, "commandstats")["cmdstat_get"].startswith("calls=1,")


@pytest.mark.oracle
def test_every_field_of_redis_is_there(oracle, engine):
    theirs = oracle.connect(3).execute("INFO", "everything").decode()
    names = {line.partition(":")[0] for line in theirs.splitlines() if ":" in line}
    with engine.serve():
        ours = set(fields(engine, "everything"))
    missing = {
        name
        for name in names - ours
        if not name.startswith(
            ("cmdstat_", "latency_percentiles", "errorstat_", "db", "slave")
        )
    }
    assert missing == set()


def test_where_servers_listen(engine, tmp_path):
    path = str(tmp_path / "x.sock")
    assert "listener0" not in fields(engine, "server")
    with engine.serve(unixsocket=path) as server:
        told = fields(engine, "server")
        assert told["listener0"] == f"name=tcp,bind=127.0.0.1,port={server.port}"
        assert told["listener1"] == f"name=unix,bind={path}"
