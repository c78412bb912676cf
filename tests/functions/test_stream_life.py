"""What becomes of positions: loads, scans, roles, pauses, deleted streams (sections 8.2, 8.7, 8.8)."""

from __future__ import annotations

import threading
import time

import pytest

import trignb
from functions.libraries import eventually, lib
from functions.test_stream_runs import SEEN, WAITS, add, go, seen, stream


def load_later(engine: trignb.Engine, body: str, *options: str) -> None:
    """Load as a client does: nobody waits for existing records to be read."""
    engine.execute("TFUNCTION", "LOAD", *options, lib(body))


# -- existing records


def test_existing_records_are_processed_after_load_returned(engine) -> None:
    add(engine, 1, 2)
    add(engine, 1, key="st2")
    add(engine, 1, key="other")
    engine.execute("SET", "string", "v")
    with engine.core.lock:
        load_later(engine, SEEN % "")
        assert seen(engine) == []
    eventually(lambda: len(seen(engine)) == 3)
    assert sorted(seen(engine)) == ["1-0", "1-0", "2-0"]
    assert stream(engine)[b"id_to_read_from"] == b"2-0"


def test_who_loads_from_python_finds_them_processed(engine, load) -> None:
    add(engine, 1, 2)
    load(SEEN % "")
    assert seen(engine) == ["1-0", "2-0"]
    assert not engine.library_registry.streams.scan.is_running
    assert not [t for t in threading.enumerate() if t.name == "trignb-stream-scan"]


def test_a_scan_of_many_keys_lets_clients_in_between(engine) -> None:
    with engine.core.lock:
        data = engine.core.databases[0].data
        data.update((b"key:%d" % i, b"v") for i in range(200_000))
    add(engine, 1, key="st_last")
    load_later(engine, SEEN % "")
    scan = engine.library_registry.streams.scan
    commands = 0
    while scan.is_running:
        engine.execute("GET", "key:1")
        commands += 1
    assert commands > 10
    assert seen(engine) == ["1-0"]


def test_streams_that_come_during_a_scan_are_read_once(engine) -> None:
    with engine.core.lock:
        data = engine.core.databases[0].data
        data.update((b"key:%d" % i, b"v") for i in range(50_000))
    for i in range(50):
        add(engine, 1, key=f"st{i}")
    load_later(engine, SEEN % "")
    for i in range(50, 100):
        add(engine, 1, key=f"st{i}")
    for i in range(100):
        add(engine, 2, key=f"st{i}")
    eventually(lambda: len(seen(engine)) >= 200)
    time.sleep(0.02)
    assert sorted(seen(engine)) == ["1-0"] * 100 + ["2-0"] * 100


def test_two_loads_in_a_row(engine) -> None:
    """The second scan begins again where the first had already passed."""
    add(engine, 1)
    for i in range(3000):
        engine.core.databases[0].data[b"key:%d" % i] = b"v"
    body = "redis.registerStreamTrigger('s', 'st', c => { c.call('incr', 'NAME'); });"
    with engine.core.lock:
        for name in ("one", "two"):
            code = lib(body.replace("NAME", name), name)
            engine.execute("TFUNCTION", "LOAD", code)
    eventually(lambda: engine.execute("MGET", "one", "two") == [b"1", b"1"])


@pytest.mark.parametrize("reads", ["st", ""])
def test_an_upgrade_scans_for_new_names_only(engine, load, reads) -> None:
    load(SEEN % "")
    add(engine, 1)
    add(engine, 1, key="held")
    engine.execute("RENAME", "held", "st2")  # nobody has read it, no event tells
    load(SEEN % ", {window: 2}", replace=True)
    assert seen(engine) == ["1-0"]
    load(
        SEEN % ""
        + f"redis.registerStreamTrigger('new', '{reads}', c => {{ c.call('incr', 'n'); }});",
        replace=True,
    )
    assert engine.execute("GET", "n") == b"2"
    assert seen(engine) == ["1-0", "1-0"]


def test_existing_records_of_other_databases(engine, load) -> None:
    session = engine.session()
    session.execute("SELECT", 3)
    session.execute("XADD", "st", "1-0", "f", "v")
    load(SEEN % "")
    assert session.execute("LRANGE", "seen", 0, -1) == [b"1-0"]


def test_records_from_before_are_put_down_to_no_event(engine, load) -> None:
    add(engine, 1)
    load(SEEN % "")
    entry = engine.core.notifications.entries()[-1]
    assert (entry.key, entry.origin, entry.cause_seq, entry.depth) == (
        *(b"seen", "trigger", None, 1),
    )
    add(engine, 2)
    entry = engine.core.notifications.entries()[-1]
    assert (entry.key, entry.origin, entry.depth) == (b"seen", "trigger", 1)
    assert entry.cause_seq is not None


def test_a_closed_engine_is_not_scanned(engine) -> None:
    add(engine, 1)
    with engine.core.lock:
        load_later(engine, SEEN % "")
        engine.close()
    eventually(lambda: not engine.library_registry.streams.scan.is_running)


def test_libraries_from_a_file_read_when_it_is_loaded(engine) -> None:
    engine.core.is_loading = True
    engine.execute("_rg_internals.function", "load", "USER", "default", lib(SEEN % ""))
    engine.execute(
        "_rg_internals.update_stream_last_read_id", "lib", "s", "st", "1", "0"
    )
    add(engine, 1, 2)
    time.sleep(0.03)
    assert seen(engine) == []
    engine.core.is_loading = False
    eventually(lambda: seen(engine) == ["2-0"])


# -- roles and pauses


def test_a_replica_reads_nothing_new(engine, load) -> None:
    load(WAITS % "{window: 2}")
    add(engine, 1, 2, 3, 4)
    engine.core.is_replica = True
    go(engine, 1, 2)
    # What was under way is finished and counted, then nothing more is read.
    eventually(lambda: stream(engine)[b"total_record_processed"] == 2)
    add(engine, 5)
    assert stream(engine)[b"id_to_read_from"] == b"2-0"
    assert stream(engine)[b"pending_ids"] == []
    with engine.core.lock:
        engine.core.is_replica = False
        engine.library_registry.streams.wake_all()
    eventually(lambda: stream(engine)[b"pending_ids"] == [b"3-0", b"4-0"])


def test_a_replica_does_not_trim(engine, load) -> None:
    load(WAITS % "{isStreamTrimmed: true}")
    add(engine, 1)
    engine.core.is_replica = True
    go(engine, 1)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 1)
    assert engine.execute("XLEN", "st") == 1


def test_a_promoted_replica_goes_on_after_what_was_acknowledged(engine, load) -> None:
    load(SEEN % "")
    core = engine.core
    core.is_replica = core.is_loading = True
    add(engine, 1, 2, 3)
    engine.execute(
        "_rg_internals.update_stream_last_read_id", "lib", "s", "st", "1", "0"
    )
    core.is_loading = False
    assert stream(engine)[b"id_to_read_from"] == b"1-0"
    with core.lock:
        core.is_replica = False
        engine.library_registry.streams.wake_all()
    eventually(lambda: seen(engine) == ["2-0", "3-0"])


@pytest.mark.parametrize("end", ["time", "command"])
def test_nothing_is_read_while_clients_are_paused(engine, load, end) -> None:
    load(WAITS % "{window: 1}")
    add(engine, 1, 2)
    go(engine, 2)
    core = engine.core
    engine.execute("CLIENT", "PAUSE", 80 if end == "time" else 60_000, "WRITE")
    # A command of a library wakes the one that waits: it is no client.
    with core.lock:
        core.run_unit(
            lambda: core.call(
                engine.session(), core.table.get(b"RPUSH"), [b"RPUSH", b"go:1", b"x"]
            )
        )
    # TFUNCTION would have to wait, so it is not asked.
    positions = engine.library_registry.libraries["lib"].stream_triggers["s"].streams
    where = positions[b"st"]
    eventually(lambda: where.total_record_processed == 1)
    if end == "command":
        time.sleep(0.1)
        assert where.last_read == 1 << 64
        engine.execute("CLIENT", "UNPAUSE")
    # Nobody calls meanwhile: the end of the pause is noticed all the same.
    eventually(lambda: where.total_record_processed == 2)
    assert engine.core.expire_pauses == 0


def test_a_pause_that_is_prolonged(engine, load) -> None:
    load(SEEN % "")
    engine.execute("CLIENT", "PAUSE", 50, "WRITE")
    engine.execute("CLIENT", "PAUSE", 200, "WRITE")
    begun = time.monotonic()
    add(engine, 1)
    assert time.monotonic() - begun > 0.15
    assert seen(engine) == ["1-0"]
    eventually(lambda: engine.core.expire_pauses == 0)


def test_only_who_has_stream_triggers_waits_for_the_end_of_a_pause(
    engine, load
) -> None:
    load(SEEN % "")
    assert len(engine.core.pause.on_end) == 1
    engine.execute("TFUNCTION", "DELETE", "lib")
    assert engine.core.pause.on_end == []
    engine.execute("CLIENT", "PAUSE", 10, "WRITE")
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer)]


# -- the life of a key


@pytest.mark.parametrize(
    ("commands", "is_forgotten"),
    [
        ("DEL st", True),
        ("UNLINK st", True),
        ("FLUSHALL", True),
        ("FLUSHDB", True),
        ("SELECT 5; FLUSHDB; SELECT 0", True),
        ("EXPIRE st -1", True),  # by way of DEL
        ("SET st v; DEL st", True),
        ("COPY st x; DEL x", False),
        ("RENAME st x", False),
        ("RENAME st x; DEL x", False),
        ("SET st v", False),
        ("XTRIM st MAXLEN 0", False),
        ("XDEL st 5-0", False),
        ("MOVE st 1", False),
    ],
)
def test_what_forgets_a_position(engine, load, commands, is_forgotten) -> None:
    load(SEEN % "")
    add(engine, 5)
    session = engine.session()
    for command in commands.split("; "):
        session.execute(*command.split())
    assert bool(stream(engine)) is not is_forgotten
    session.execute("SELECT", 0)
    if engine.execute("TYPE", "st") in ("none", "stream"):
        session.execute("DEL", "seen")
        add(engine, "6-0")
        there = ["5-0"] if "SELECT" in commands else []
        assert seen(engine) == [*there, "6-0"]


def test_expiry_and_eviction_leave_the_position(engine, load) -> None:
    load(SEEN % "")
    add(engine, 5)
    engine.execute("PEXPIRE", "st", 5)
    engine.clock.advance(milliseconds=10)
    assert engine.execute("EXISTS", "st") == 0
    assert stream(engine)[b"id_to_read_from"] == b"5-0"
    # Ids before it are not read any more, as nobody told that the stream is another.
    add(engine, 3)
    assert seen(engine) == ["5-0"]
    add(engine, 6)
    assert seen(engine) == ["5-0", "6-0"]


def test_in_flight_records_of_a_deleted_stream_end_without_effect(engine, load) -> None:
    load(WAITS % "{window: 2, isStreamTrimmed: true}")
    add(engine, 1, 2, 3)
    engine.execute("DEL", "st")
    assert stream(engine) == {}
    add(engine, 7)
    go(engine, 1, 2)
    time.sleep(0.05)
    found = stream(engine)
    assert found[b"total_record_processed"] == 0
    assert found[b"pending_ids"] == [b"7-0"]
    assert engine.execute("XLEN", "st") == 1
    go(engine, 7)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 1)


def test_engine_reset_starts_positions_from_the_beginning(engine, load) -> None:
    load(SEEN % "")
    add(engine, 5)
    engine.reset(keep_libraries=True)
    add(engine, 1)
    assert seen(engine) == ["1-0"]


# -- upgrade and delete


def test_an_upgrade_goes_on_at_the_position(engine, load) -> None:
    load(SEEN % "")
    add(engine, 1, 2)
    load(
        """redis.registerStreamTrigger('s', 'st', async (client, data) => {
    client.block(c => c.call('rpush', 'seen', `new ${data.id[0]}`));
}, {window: 5, isStreamTrimmed: true, description: 'new'});""",
        replace=True,
    )
    add(engine, 3)
    eventually(lambda: seen(engine) == ["1-0", "2-0", "new 3"])
    eventually(lambda: stream(engine)[b"total_record_processed"] == 3)
    assert engine.execute("XLEN", "st") == 0
    (entry,) = engine.execute("TFUNCTION", "LIST", "v")
    listed = entry[b"stream_triggers"][0]
    assert (listed[b"window"], listed[b"trim"], listed[b"description"]) == (
        *(5, True, b"new"),
    )


def test_records_of_the_old_code_are_acknowledged(engine, load) -> None:
    load(
        """redis.registerStreamTrigger('s', 'st', async (client, data) => {
    if (data.id[0] == 1n) throw 'old';
});"""
    )
    # An acknowledgement needs the lock, so the record is under way while code is replaced.
    with engine.core.lock:
        add(engine, 1, 2)
        load(
            "redis.registerStreamTrigger('s', 'st', (c, d) => { c.call('rpush', 'seen', 'new'); });",
            replace=True,
        )
        assert stream(engine)[b"pending_ids"] == [b"1-0"]
    eventually(lambda: stream(engine)[b"total_record_processed"] == 2)
    assert seen(engine) == ["new"]
    assert stream(engine)[b"last_error"] == b"old"


def test_records_of_a_deleted_library_are_forgotten(engine, load) -> None:
    body = "redis.registerStreamTrigger('s', 'st', async () => {}, {isStreamTrimmed: true});"
    load(body)
    with engine.core.lock:
        add(engine, 1)
        engine.execute("TFUNCTION", "DELETE", "lib")
        load(SEEN % "")
        assert seen(engine) == ["1-0"]  # a new trigger starts at the beginning
    eventually(lambda: not engine.library_registry._retired)
    assert engine.execute("XLEN", "st") == 1
    assert stream(engine)[b"total_record_processed"] == 1


def test_a_failed_upgrade_leaves_position_and_window(engine, load) -> None:
    load(SEEN % ", {window: 4}")
    add(engine, 1)
    with pytest.raises(trignb.ResponseError):
        load(
            "redis.registerStreamTrigger('s', 'st', () => {}, {window: 9}); throw 'no';",
            replace=True,
        )
    with pytest.raises(trignb.ResponseError):
        load("redis.registerStreamTrigger('s', 'other', () => {});", replace=True)
    add(engine, 2)
    assert seen(engine) == ["1-0", "2-0"]
    (entry,) = engine.execute("TFUNCTION", "LIST", "v")
    assert entry[b"stream_triggers"][0][b"window"] == 4


def test_a_dropped_name_starts_again_from_zero(engine, load) -> None:
    load(SEEN % "")
    add(engine, 1)
    load("redis.registerFunction('f', () => 1);", replace=True)
    load(SEEN % "", replace=True)
    assert seen(engine) == ["1-0", "1-0"]
    assert stream(engine)[b"total_record_processed"] == 1
