"""Files into engines: `Engine.from_rdb`, DEBUG RELOAD."""

from __future__ import annotations

import os
import signal

import pytest

import trignb
from trignb.engine.database import Database
from trignb.engine.events import ALL, KEYMISS, NEW

LIBRARY = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"


@pytest.fixture
def engine(tmp_path):
    """An engine that may be debugged, with a directory of its own."""
    with trignb.Engine(enable_debug_command="yes", dir=str(tmp_path)) as engine:
        engine.clock.freeze(at="2026-01-01T12:00:00Z")
        yield engine


def run(engine, text):
    try:
        return engine.execute(*text.split())
    except trignb.ResponseError as error:
        return str(error)


def fill(engine):
    for text in (
        "SET k v",
        "SET soon v PX 5000",
        "HSET h f v",
        "SADD s a b",
        "XADD x 1-1 f v",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g bob STREAMS x >",
    ):
        run(engine, text)
    engine.session().execute("SELECT", "3")
    run(engine, "COPY k k3 DB 3")
    engine.execute("FUNCTION", "LOAD", LIBRARY)


def test_save_and_from_rdb(engine, tmp_path):
    fill(engine)
    path = tmp_path / "kept.rdb"
    engine.save(path)
    with trignb.Engine.from_rdb(path, clock=engine.clock, hz=50) as other:
        session = other.session()
        assert session.execute("GET", "k") == b"v"
        assert session.execute("PTTL", "soon") == 5000
        assert session.execute("FCALL", "f", "0") == 1
        assert session.execute("CONFIG", "GET", "hz") == {b"hz": b"50"}
        assert session.execute("XPENDING", "x", "g")[0] == 1
        session.execute("SELECT", "3")
        assert session.execute("GET", "k3") == b"v"
        info = session.execute("INFO", "persistence").decode()
        assert "rdb_last_load_keys_loaded:6\r\n" in info
        assert "rdb_changes_since_last_save:0\r\n" in info


def test_keys_whose_time_is_over_are_not_loaded(engine, tmp_path):
    fill(engine)
    engine.save(tmp_path / "kept.rdb")
    engine.clock.advance(seconds=6)
    with trignb.Engine.from_rdb(tmp_path / "kept.rdb", clock=engine.clock) as other:
        assert run(other, "EXISTS soon") == 0
        assert b"rdb_last_load_keys_expired:1\r\n" in run(other, "INFO persistence")


def test_deadlines_go_on(engine, tmp_path):
    fill(engine)
    engine.save(tmp_path / "kept.rdb")
    clock = trignb.Clock()
    clock.freeze(at="2026-01-01T12:00:00Z")
    with trignb.Engine.from_rdb(tmp_path / "kept.rdb", clock=clock) as other:
        clock.advance(seconds=6)
        assert other.core.expired_keys == 1


def test_there_are_as_many_databases_as_needed(tmp_path):
    path = tmp_path / "kept.rdb"
    with trignb.Engine(databases=100) as engine:
        session = engine.session()
        session.execute("SELECT", "70")
        session.execute("SET", "k", "v")
        engine.save(path)
    with trignb.Engine.from_rdb(path) as other:
        assert len(other.core.databases) == 71
    with pytest.raises(trignb.RdbError, match="keys in database 70, the engine has 8"):
        trignb.Engine.from_rdb(path, databases=8)


def test_progress_and_errors(engine, tmp_path):
    run(engine, "SET k v")
    path = tmp_path / "kept.rdb"
    engine.save(path)
    told = []
    trignb.Engine.from_rdb(path, progress=lambda *at: told.append(at)).close()
    size = path.stat().st_size
    assert told == [(size, size)]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(trignb.RdbError, match="damaged or cut off"):
        trignb.Engine.from_rdb(path)
    with pytest.raises(FileNotFoundError):
        trignb.Engine.from_rdb(tmp_path / "none.rdb")


def test_a_library_that_does_not_load_is_an_error(engine, tmp_path):
    engine.execute("FUNCTION", "LOAD", LIBRARY)
    path = tmp_path / "kept.rdb"
    engine.save(path)
    damaged = path.read_bytes().replace(b"name=lib", b"n=ame=li")[:-8] + bytes(8)
    path.write_bytes(damaged)
    with pytest.raises(
        trignb.RdbError, match="a library of functions cannot be loaded"
    ):
        trignb.Engine.from_rdb(path)


def test_saving_keeps_the_old_file_when_it_fails(engine, tmp_path):
    path = tmp_path / "kept.rdb"
    path.write_bytes(b"old")
    engine.core.databases[0].data[b"k"] = object()
    with pytest.raises(KeyError):
        engine.save(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["kept.rdb"]
    with pytest.raises(FileNotFoundError):
        engine.save(tmp_path / "no" / "such.rdb")


# -- DEBUG RELOAD


def test_reload_changes_nothing_and_tells_nobody(engine):
    fill(engine)
    run(engine, "XREADGROUP GROUP g bob STREAMS x >")
    before = engine.execute("DEBUG", "DIGEST")
    consumers = engine.execute("XINFO", "CONSUMERS", "x", "g")
    heard, sent = [], []
    engine.core.listen(lambda *event: heard.append(event), ALL | KEYMISS | NEW)
    engine.core.sinks.append(sent.extend)
    engine.core.sinks_changed()
    assert run(engine, "DEBUG RELOAD") == "OK"
    assert run(engine, "DEBUG DIGEST") == before
    assert engine.execute("XINFO", "CONSUMERS", "x", "g") == consumers
    assert run(engine, "FCALL f 0") == 1
    assert (heard, sent) == ([], [])
    assert b"rdb_changes_since_last_save:0\r\n" in run(engine, "INFO persistence")


def test_reload_breaks_watches(engine):
    fill(engine)
    session = engine.session()
    session.execute("WATCH", "k")
    run(engine, "DEBUG RELOAD")
    session.execute("MULTI")
    assert session.execute("EXEC") is None


def test_reload_of_the_file_there_is(engine, tmp_path):
    run(engine, "SET k saved")
    assert run(engine, "SAVE") == "OK"
    run(engine, "SET k changed")
    run(engine, "SET new v")
    failed = "ERR Error trying to load the RDB dump, check server logs."
    assert run(engine, "DEBUG RELOAD NOSAVE NOFLUSH") == failed
    assert run(engine, "GET k") == b"changed"
    assert run(engine, "DEBUG RELOAD nosave noflush merge") == "OK"
    assert run(engine, "GET k") == b"saved"
    assert run(engine, "GET new") == b"v"
    assert run(engine, "DEBUG RELOAD NOSAVE") == "OK"
    assert run(engine, "EXISTS new") == 0
    (tmp_path / "dump.rdb").write_bytes(b"nonsense")
    assert run(engine, "DEBUG RELOAD NOSAVE") == failed
    assert run(engine, "GET k") == b"saved"


def test_merging_deadlines(engine):
    run(engine, "SET a 1 PX 1000")
    run(engine, "SET b 1")
    run(engine, "SAVE")
    run(engine, "PERSIST a")
    run(engine, "PEXPIRE b 500")
    run(engine, "SET c 1 PX 700")
    run(engine, "DEBUG RELOAD NOSAVE NOFLUSH MERGE")
    assert [run(engine, f"PTTL {key}") for key in "abc"] == [1000, -1, 700]


def test_reload_takes_no_other_word(engine):
    assert run(engine, "DEBUG RELOAD NOSAVE x") == (
        "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."
    )
    assert "RELOAD ..." in run(engine, "DEBUG HELP")


def test_triggers_stay_silent(engine):
    engine.load(
        "#!js api_version=1.0 name=t\n"
        "redis.registerKeySpaceTrigger('t', '', (c) => { c.call('incr', 'count'); });"
    )
    run(engine, "SET k v")
    assert run(engine, "GET count") == b"1"
    run(engine, "DEBUG RELOAD")
    assert run(engine, "GET count") == b"1"
    run(engine, "SET k v")
    assert run(engine, "GET count") == b"2"


def test_databases_that_a_file_does_not_know_stay_apart(engine, tmp_path):
    engine.save(tmp_path / "dump.rdb")
    engine.load_rdb(tmp_path / "dump.rdb")
    run(engine, "SELECT 1")
    run(engine, "SET k v PX 1000")
    run(engine, "SELECT 2")
    assert run(engine, "KEYS *") == []
    assert engine.core.databases[2].expires == {}


def test_an_interrupt_while_a_file_is_read_changes_nothing(engine, tmp_path):
    path = tmp_path / "dump.rdb"
    engine.execute("SET", "big", "x" * (3 << 20))
    engine.save(path)
    engine.execute("FLUSHALL")
    engine.execute("SET", "kept", "1")

    def interrupt(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.load_rdb(path, progress=interrupt)
    assert engine.execute("KEYS", "*") == [b"kept"]
    assert not engine.core.is_loading
    with pytest.raises(KeyboardInterrupt):
        trignb.Engine.from_rdb(path, progress=interrupt)


def test_an_interrupt_while_contents_change_places_strikes_afterwards(
    engine, tmp_path, monkeypatch
):
    path = tmp_path / "dump.rdb"
    for db in (0, 1):
        engine.execute("SELECT", db)
        engine.execute("SET", "new", db)
    engine.save(path)
    for db in (0, 1):
        engine.execute("SELECT", db)
        engine.execute("FLUSHDB")
        engine.execute("SET", "old", db)
    replace_data = Database.replace_data

    def struck(db, *contents):
        signal.raise_signal(signal.SIGINT)
        replace_data(db, *contents)

    monkeypatch.setattr(Database, "replace_data", struck)
    with pytest.raises(KeyboardInterrupt):
        engine.load_rdb(path)
    assert [list(db.data) for db in engine.core.databases[:2]] == [[b"new"], [b"new"]]
    assert not engine.core.is_loading
    assert engine.core.saves.keys_loaded == 2
