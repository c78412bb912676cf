"""Stream triggers: reading, windows, acknowledgement, trimming, the life of a stream."""

from __future__ import annotations

import pytest

from functions.libraries import eventually, listed

SEEN = """redis.registerStreamTrigger('s', 'st', (client, data) => {
    client.call('rpush', 'seen', data.id.join('-'), data.stream_name, String(data.record));
}%s);"""


def stream(engine, name: bytes = b"st", library: int = 0, trigger: int = 0) -> dict:
    """Return what TFUNCTION LIST vv says of one stream."""
    streams = listed(engine, "vv")[library][b"stream_triggers"][trigger][b"streams"]
    found = [s for s in streams if s[b"name"] == name]
    return found[0] if found else {}


def seen(engine) -> list[bytes]:
    return engine.execute("LRANGE", "seen", 0, -1)


def test_a_record_is_processed_before_the_next_command(engine, load) -> None:
    load(SEEN % "")
    engine.execute("XADD", "st", "5-1", "f", "v", "g", "w")
    engine.execute("XADD", "other", "5-1", "f", "v")
    assert seen(engine) == [b"5-1", b"st", b"f,v,g,w"]
    assert stream(engine) == {
        b"id_to_read_from": b"5-1",
        b"last_error": None,
        b"last_lag": engine.clock.now_ns() // 1_000_000 - 5,
        b"last_processed_time": 0,
        b"name": b"st",
        b"pending_ids": [],
        b"total_lag": engine.clock.now_ns() // 1_000_000 - 5,
        b"total_processed_time": 0,
        b"total_record_processed": 1,
    }
    assert stream(engine, b"other") == {}


def test_existing_records_are_read_from_the_beginning(engine, load) -> None:
    for i in (1, 2, 3):
        engine.execute("XADD", "st", f"{i}-0", "f", "v")
    load(SEEN % "")
    eventually(lambda: seen(engine)[::3] == [b"1-0", b"2-0", b"3-0"])


def test_several_records_of_one_transaction(engine, load) -> None:
    load(SEEN % "")
    engine.execute("MULTI")
    for i in (1, 2):
        engine.execute("XADD", "st", f"{i}-0", "f", "v")
    engine.execute("XLEN", "seen")
    engine.execute("EXEC")
    assert seen(engine)[::3] == [b"1-0", b"2-0"]


def test_a_failure_is_final(engine, load) -> None:
    load(
        "redis.registerStreamTrigger('s', 'st', (c, d) => { if (d.id[0] == 1) throw 'no'; });"
    )
    engine.execute("XADD", "st", "1-0", "f", "v")
    engine.execute("XADD", "st", "2-0", "f", "v")
    entry = stream(engine)
    assert (entry[b"total_record_processed"], entry[b"last_error"]) == (2, b"no")
    assert entry[b"id_to_read_from"] == b"2-0"
    assert engine.library_registry.errors[-1].kind == "stream_trigger"


def test_functions_and_triggers_wake_stream_triggers(engine, load) -> None:
    load(
        SEEN % ""
        + """redis.registerFunction('add', c => c.call('xadd', 'st', '1-0', 'f', 'v'));
redis.registerKeySpaceTrigger('k', 'k', c => { c.call('xadd', 'st', '2-0', 'f', 'v'); });"""
    )
    engine.call("lib.add")
    engine.execute("SET", "k", "v")
    assert seen(engine)[::3] == [b"1-0", b"2-0"]


def test_a_callback_that_adds_to_its_own_stream(engine, load) -> None:
    load(
        """redis.registerStreamTrigger('s', 'st', (client, data) => {
    if (data.id[0] < 5n) client.call('xadd', 'st', `${data.id[0] + 1n}-0`, 'f', 'v');
});"""
    )
    engine.execute("XADD", "st", "1-0", "f", "v")
    assert engine.execute("XLEN", "st") == 5
    assert stream(engine)[b"total_record_processed"] == 5


def test_trimming(engine, load) -> None:
    load(SEEN % ", {isStreamTrimmed: true}")
    engine.execute("XADD", "st", "1-0", "f", "v")
    assert engine.execute("XLEN", "st") == 0
    assert engine.execute("EXISTS", "st") == 1
    assert seen(engine)[::3] == [b"1-0"]


def test_trimming_waits_for_the_slowest(engine, load) -> None:
    load(SEEN % ", {isStreamTrimmed: true}")
    load(
        """redis.registerStreamTrigger('slow', 'st', async (client, data) => {
    while (client.block(c => c.call('exists', `go${data.id[0]}`)) == 0) {}
});""",
        name="slow",
    )
    engine.execute("XADD", "st", "1-0", "f", "v")
    engine.execute("XADD", "st", "2-0", "f", "v")
    assert engine.execute("XLEN", "st") == 2
    assert stream(engine, library=1)[b"pending_ids"] == [b"1-0"]
    engine.execute("MSET", "go1", "", "go2", "")
    eventually(lambda: stream(engine, library=1)[b"total_record_processed"] == 2)
    # Only the one that trims tries, with its next record.
    assert engine.execute("XLEN", "st") == 2
    engine.execute("SET", "go3", "")
    engine.execute("XADD", "st", "3-0", "f", "v")
    assert engine.execute("XLEN", "st") <= 1
    eventually(lambda: stream(engine, library=1)[b"total_record_processed"] == 3)


def test_the_window_of_background_callbacks(engine, load) -> None:
    load(
        """redis.registerStreamTrigger('s', 'st', async (client, data) => {
    while (client.block(c => c.call('exists', 'go')) == 0) {}
}, {window: 3});"""
    )
    for i in range(1, 6):
        engine.execute("XADD", "st", f"{i}-0", "f", "v")
    assert stream(engine)[b"pending_ids"] == [b"1-0", b"2-0", b"3-0"]
    assert stream(engine)[b"id_to_read_from"] == b"3-0"
    engine.execute("SET", "go", "1")
    eventually(lambda: stream(engine)[b"total_record_processed"] == 5)
    assert stream(engine)[b"pending_ids"] == []


@pytest.mark.parametrize("command", [["DEL", "st"], ["FLUSHALL"], ["FLUSHDB"]])
def test_a_stream_that_is_deleted_is_forgotten(engine, load, command) -> None:
    load(SEEN % "")
    engine.execute("XADD", "st", "5-0", "f", "v")
    engine.execute(*command)
    assert stream(engine) == {}
    engine.execute("XADD", "st", "1-0", "f", "v")
    assert seen(engine)[-3:-2] == [b"1-0"]


def test_replace_goes_on_where_the_old_one_was(engine, load) -> None:
    load(SEEN % "")
    engine.execute("XADD", "st", "1-0", "f", "v")
    load(SEEN % ", {window: 9}", replace=True)
    engine.execute("XADD", "st", "2-0", "f", "v")
    assert seen(engine)[::3] == [b"1-0", b"2-0"]
    assert stream(engine)[b"total_record_processed"] == 2


def test_propagation(engine, load) -> None:
    load(SEEN % ", {isStreamTrimmed: true}")
    batches: list = []
    engine.core.sinks.append(batches.append)
    engine.core.sinks_changed()
    engine.execute("XADD", "st", "1-0", "f", "v")
    (batch,) = batches
    assert [args[0] for _, args in batch] == [
        *(b"MULTI", b"XADD", b"rpush"),
        *(b"_rg_internals.update_stream_last_read_id", b"XTRIM", b"EXEC"),
    ]
    assert batch[3][1][1:] == [b"lib", b"s", b"st", b"1", b"0"]
    assert batch[4][1][1:] == [b"st", b"MINID", b"1-1"]


def test_a_promise_that_settles_later(engine, load) -> None:
    load(
        """redis.registerStreamTrigger('s', 'st', (client, data) =>
    client.callAsync('blpop', 'answer', '0'));"""
    )
    engine.execute("XADD", "st", "1-0", "f", "v")
    engine.execute("XADD", "st", "2-0", "f", "v")
    assert stream(engine)[b"pending_ids"] == [b"1-0"]
    engine.execute("RPUSH", "answer", "a", "b")
    eventually(lambda: stream(engine)[b"total_record_processed"] == 2)


def test_no_listener_without_stream_triggers(engine, load) -> None:
    load(SEEN % "")
    load("redis.registerFunction('f', () => 1);", replace=True)
    assert not engine.core.flush_listeners
    engine.execute("XADD", "st", "1-0", "f", "v")
    assert seen(engine) == []
