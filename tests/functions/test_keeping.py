"""Section 14: libraries and positions in RDB files, loading, what a primary sends, INFO."""

from __future__ import annotations

import hashlib

import pytest

import trignb
from functions.libraries import error_of, eventually, lib, listed
from oracle.server import RedisServer, require_server
from trignb.engine.kept import loading
from trignb.errors import RdbError

READER = """redis.registerStreamTrigger('reader', new Uint8Array([255, 115]).buffer,
    (client, data) => { client.call('rpush', 'seen', data.record[0][1]); });
redis.registerStreamTrigger('slow', 's', async (client, data) => {
    while (client.block(c => c.call('exists', 'go')) == 0);
}, {window: 2});
redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'fired'); });
redis.registerFunction('conf', () => redis.config.a);"""


def positions(engine) -> dict:
    """Return what TFUNCTION LIST says of stream triggers' positions."""
    return {
        (library[b"name"], trigger[b"name"], stream[b"name"]): stream[
            b"id_to_read_from"
        ]
        for library in listed(engine, "vvv")
        for trigger in library[b"stream_triggers"]
        for stream in trigger[b"streams"]
    }


@pytest.fixture
def engine(tmp_path):
    """An engine that saves where its test may."""
    with trignb.Engine(
        dir=str(tmp_path), dbfilename="bg.rdb", save="", enable_debug_command="yes"
    ) as engine:
        yield engine


@pytest.fixture
def saved(engine, tmp_path):
    """A file with two libraries, positions and keys."""
    engine.load(lib(READER), config='{"a": "é"}')
    engine.load(
        lib(
            "redis.registerFunction('f', () => 'other');\n"
            "redis.registerKeySpaceTrigger('t', 'k', c => { c.call('rpush', 'order', 'other'); });",
            "other",
        )
    )
    engine.execute("XADD", b"\xffs", "5-1", "f", "one")
    engine.execute("XADD", "s", "7-0", "f", "v")
    engine.execute("SET", "k", "v")
    path = tmp_path / "dump.rdb"
    engine.save(path)
    return path


def test_libraries_are_in_rdb_files(engine, saved) -> None:
    with trignb.Engine.from_rdb(saved) as other:
        assert [each[b"name"] for each in listed(other)] == [b"lib", b"other"]
        (first, _) = other.execute("TFUNCTION", "LIST", "WITHCODE")
        assert first[b"code"] == lib(READER).encode()
        assert first[b"configuration"] == '{"a": "é"}'.encode()
        assert first[b"user"] == b"default"
        assert other.call("lib.conf") == "é".encode()
        assert other.call("other.f") == b"other"
        assert positions(other) == positions(engine)
        # Nothing was delivered again and no trigger fired; statistics begin anew.
        assert other.execute("LRANGE", "seen", 0, -1) == [b"one"]
        assert other.execute("GET", "fired") == b"1"
        assert listed(other, "v")[0][b"keyspace_triggers"][0][b"num_trigger"] == 0
        other.execute("XADD", b"\xffs", "6-1", "f", "two")
        other.execute("SET", "k", "v")
        assert other.execute("LRANGE", "seen", 0, -1) == [b"one", b"two"]
        assert other.execute("GET", "fired") == b"2"


def test_read_but_unacknowledged_records_are_not_delivered_again(engine, saved) -> None:
    (pending,) = listed(engine, "LIBRARY", "lib", "vvv")[0][b"stream_triggers"][1][
        b"streams"
    ]
    assert pending[b"pending_ids"] == [b"7-0"]
    with trignb.Engine.from_rdb(saved) as other:
        (slow,) = listed(other, "LIBRARY", "lib", "vvv")[0][b"stream_triggers"][1][
            b"streams"
        ]
        assert (slow[b"id_to_read_from"], slow[b"pending_ids"]) == (b"7-0", [])
    engine.execute("SET", "go", "1")


def test_records_that_nobody_has_read_are_read_after_loading(engine, tmp_path) -> None:
    engine.load(
        lib("redis.registerStreamTrigger('t', 's', c => { c.call('incr', 'n'); });")
    )
    engine.core.is_replica = True  # reads nothing
    engine.execute("XADD", "s", "1-1", "f", "v")
    engine.save(tmp_path / "dump.rdb")
    with trignb.Engine.from_rdb(tmp_path / "dump.rdb") as other:
        eventually(lambda: other.execute("GET", "n") == b"1")


def test_no_libraries_no_field(engine, tmp_path) -> None:
    engine.save(tmp_path / "dump.rdb")
    assert b"trignb" not in (tmp_path / "dump.rdb").read_bytes()


def test_reload(engine, saved) -> None:
    before = positions(engine)
    assert engine.execute("DEBUG", "RELOAD") == "OK"
    assert positions(engine) == before
    assert engine.call("lib.conf") == "é".encode()
    assert listed(engine, "v")[0][b"keyspace_triggers"][0][b"num_trigger"] == 0
    engine.execute("SET", "k", "v")
    assert engine.execute("GET", "fired") == b"2"
    # What was loaded later is not in the file, and so it is gone.
    engine.execute("SAVE")
    engine.load(lib("redis.registerFunction('f', () => 1);", "later"))
    engine.execute("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE")
    assert [each[b"name"] for each in listed(engine)] == [b"lib", b"other", b"later"]
    engine.execute("DEBUG", "RELOAD", "NOSAVE")
    assert [each[b"name"] for each in listed(engine)] == [b"lib", b"other"]


def test_load_rdb(engine, saved, tmp_path) -> None:
    """The libraries of a file replace those there are; a file of another Redis has none."""
    with trignb.Engine() as other:
        other.save(tmp_path / "plain.rdb")
        other.load(lib("redis.registerFunction('f', () => 1);", "own"))
        other.load_rdb(tmp_path / "plain.rdb")
        assert [each[b"name"] for each in listed(other)] == [b"own"]
        other.load_rdb(saved)
        assert [each[b"name"] for each in listed(other)] == [b"lib", b"other"]


def test_background_saves_have_libraries_too(engine, saved) -> None:
    engine.execute("BGSAVE")
    engine.saver.wait(10)
    with trignb.Engine.from_rdb(saved.parent / "bg.rdb") as other:
        assert positions(other) == positions(engine)


@pytest.mark.parametrize("turns", ["while (true);", "throw new Error('not today');"])
def test_a_library_that_cannot_be_loaded(engine, tmp_path, turns) -> None:
    """The whole file is refused and nothing has changed."""
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    engine.load(lib("redis.registerFunction('good', () => 'good');", "good"))
    engine.load(
        lib(
            "if (redis.config.bad) { %s }\nredis.registerFunction('f', () => 1);"
            % turns
        )
    )
    engine.execute("SET", "k", "old")
    engine.library_registry.libraries["lib"].configuration = '{"bad": true}'
    engine.save(tmp_path / "dump.rdb")
    engine.library_registry.libraries["lib"].configuration = None
    engine.execute("SET", "k", "new")
    engine.execute("TCONFIG_SET", "db-loading-lock-redis-timeout", "200")
    with pytest.raises(RdbError, match="a JavaScript library cannot be loaded: Failed"):
        engine.load_rdb(tmp_path / "dump.rdb")
    assert engine.execute("GET", "k") == b"new"
    assert engine.call("good.good") == b"good"
    assert engine.call("lib.f") == 1


def test_loading_has_more_time(engine, tmp_path) -> None:
    engine.clock.resume()
    code = lib(
        "if (redis.config.slow) { const end = Date.now() + 300; while (Date.now() < end); }\n"
        "redis.registerFunction('f', () => 1);"
    )
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    terminated = "Err Execution was terminated due to OOM or timeout"
    load = ("LOAD", "REPLACE", "CONFIG", '{"slow":1}', code)
    text = f"Failed loading library: {terminated}."
    assert error_of(engine.execute, "TFUNCTION", *load) == text
    primary = engine.session()
    primary.is_primary = True
    assert primary.execute("_rg_internals.function", *load) == "OK"
    engine.save(tmp_path / "dump.rdb")
    engine.load_rdb(tmp_path / "dump.rdb")
    assert engine.call("lib.f") == 1


def test_a_damaged_field(engine, saved) -> None:
    for form in (b'{"form":2,', b'{"fxxx":1,'):
        data = saved.read_bytes().replace(b'{"form":1,', form)
        # Without a checksum: this is about the field.
        damaged = saved.with_name("damaged.rdb")
        damaged.write_bytes(data[:-8] + bytes(8))
        with pytest.raises(RdbError, match="a JavaScript library cannot be loaded"):
            trignb.Engine.from_rdb(damaged)


# -- loading, for who replays an append-only file or takes a primary's keys


def test_loading(engine) -> None:
    engine.load(lib(READER))
    engine.execute("XADD", b"\xffs", "5-1", "f", "one")
    with engine.core.lock, loading(engine.core):
        assert listed(engine) == []
        replay = engine.session()
        replay.is_primary = True
        run = replay.execute
        run("_rg_internals.function", "load", "USER", "default", lib(READER))
        run("SET", "k", "v")
        run("XADD", b"\xffs", "6-1", "f", "two")
        run(
            "_rg_internals.update_stream_last_read_id",
            "lib",
            "reader",
            b"\xffs",
            "5",
            "1",
        )
        # A file within a file: triggers stay silent until all is loaded.
        with loading(engine.core, clear=False):
            run("SET", "k", "v")
        run("SET", "k", "v")
    assert engine.execute("GET", "fired") is None
    eventually(lambda: engine.execute("LLEN", "seen") == 2)
    assert engine.execute("LRANGE", "seen", 0, -1) == [b"one", b"two"]
    assert positions(engine)[b"lib", b"reader", b"\xffs"] == b"6-1"
    engine.execute("SET", "k", "v")
    assert engine.execute("GET", "fired") == b"1"


# -- what a primary sends


def test_what_one_engine_propagates_another_takes(engine) -> None:
    with trignb.Engine() as replica:
        link = replica.session()
        link.is_primary = True
        replica.core.is_replica = True
        batches = []

        def send(batch) -> None:
            batches.append([args for _, args in batch])
            for _, args in batch:
                link.execute(*args)

        engine.core.sinks.append(send)
        engine.core.sinks_changed()
        onward = []
        replica.core.sinks.append(onward.append)
        replica.core.sinks_changed()
        engine.load(lib(READER), config='{"a":"x"}')
        engine.execute("XADD", b"\xffs", "5-1", "f", "one")
        engine.execute("SET", "k", "v")
        assert positions(replica) == {(b"lib", b"reader", b"\xffs"): b"5-1"}
        assert replica.execute("LRANGE", "seen", 0, -1) == [b"one"]
        assert replica.execute("GET", "fired") == b"1"
        assert replica.call is not None
        # Only what does not write may be called there.
        text = error_of(replica.call, "lib.conf")
        assert text.startswith("Err can not run a function that might perform writes")
        # A replica's own replicas hear all of it.
        sent = [args[0].lower() for batch in batches for args in batch]
        heard = [args[0].lower() for batch in onward for _, args in batch]
        assert heard == sent
        assert b"_rg_internals.update_stream_last_read_id" in heard
        engine.execute("TFUNCTION", "DELETE", "lib")
        assert listed(replica) == []
        # Promoted, it goes on after what was acknowledged.
        engine.load(lib(READER))


def test_internal_commands_from_a_primary(engine) -> None:
    internal = "Internal command should only be sent from primary or loaded from AOF"
    load = ("_rg_internals.function", "load", "USER", "bob", lib(READER))
    assert error_of(engine.execute, *load) == internal
    assert error_of(engine.execute, "_rg_internals.function", "nonsense") == (
        "ERR wrong number of arguments for '_rg_internals.function' command"
    )
    primary = engine.session()
    primary.is_primary = True
    assert primary.execute(*load) == "OK"
    assert primary.execute(*load) == "OK"
    assert listed(engine)[0][b"user"] == b"bob"
    assert primary.execute("_rg_internals.function", "del", "nobody") == "OK"
    assert primary.execute("_rg_internals.function", "del", "lib") == "OK"
    assert listed(engine) == []


# -- any Redis starts on our files


@pytest.mark.oracle
def test_redis_server_starts_on_a_file_with_libraries(saved) -> None:
    require_server()
    with RedisServer(directory=saved.parent, dbfilename=saved.name) as server:
        assert server.connect().execute("GET", "k") == b"v"


# -- INFO


def test_info(engine, load) -> None:
    name = "redisgears_2_"
    text = engine.execute("INFO", "redisgears_2").decode()
    assert f"# {name}UninitialisedBackends\r\n{name}js:" in text
    load(
        READER
        + """redis.registerAsyncFunction('a', async () => 1);
redis.registerClusterFunction('c', async () => 1);
redis.registerFunction('pop', c => { c.callAsync('blpop', 'l', '0'); });"""
    )
    engine.call("lib.pop")
    text = engine.execute("INFO", "redisgears_2_PerLibraryInformation").decode()
    lines = text.split("\r\n")
    digest = hashlib.sha256(b"lib").hexdigest()
    assert lines[0] == f"# {name}PerLibraryInformation"
    assert lines[1].startswith(
        f"{name}{digest}:function_count(sync)=2,function_count(async)=1,"
        "notification_consumers_count=1,stream_consumers_count=2,api_version=1.0,"
        "pending_jobs_count=0,pending_async_calls_count=1,cluster_functions_count=1,"
        "total_heap_size="
    )
    facts = dict(pair.split("=") for pair in lines[1].split(":", 1)[1].split(","))
    assert int(facts["total_heap_size"]) >= int(facts["used_heap_size"]) > 0
    assert int(facts["heap_size_limit"]) > 0
    everything = engine.execute("INFO", "everything").decode()
    assert f"# {name}V8AggregatedLibraryStatistics\r\n{name}active:1\r\n" in everything
    assert f"# {name}UninitialisedBackends\r\n\r\n" in everything
    assert name not in engine.execute("INFO").decode()
    assert name not in engine.execute("INFO", "all").decode()
