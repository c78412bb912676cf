"""Records on their way through stream triggers (sections 8.2 to 8.6)."""

from __future__ import annotations

import pytest

import trignb
from functions.libraries import eventually, lib, listed, trigger_of

MS = 1_000_000

SEEN = """redis.registerStreamTrigger('s', 'st', (client, data) => {
    client.call('rpush', 'seen', data.id.join('-'));
}%s);"""
# Waits for `go:<ms>` record by record; a list, so that nobody has to poll.
WAITS = """redis.registerStreamTrigger('s', 'st', (client, data) =>
    client.callAsync('blpop', `go:${data.id[0]}`, '0').then(() => {
        if (data.id[0] == 13n) throw 'thirteen';
    }), %s);"""


def stream(
    engine: trignb.Engine, name: str = "st", library: str = "lib", trigger: str = "s"
) -> dict[bytes, object]:
    """Return what TFUNCTION LIST tells of one stream."""
    (entry,) = listed(engine, "vv", "LIBRARY", library)
    (found,) = (t for t in entry[b"stream_triggers"] if t[b"name"] == trigger.encode())
    streams = {s[b"name"]: s for s in found[b"streams"]}
    return streams.get(name.encode(), {})


def seen(engine: trignb.Engine, key: str = "seen") -> list[str]:
    return [item.decode() for item in engine.execute("LRANGE", key, 0, -1)]


def add(engine: trignb.Engine, *ids: int | str, key: str = "st") -> None:
    for entry_id in ids:
        text = entry_id if isinstance(entry_id, str) else f"{entry_id}-0"
        engine.execute("XADD", key, text, "f", "v")


def go(engine: trignb.Engine, *numbers: int) -> None:
    for number in numbers:
        engine.execute("RPUSH", f"go:{number}", "x")


# -- what wakes


@pytest.mark.parametrize(
    "command",
    [
        "XADD b 9-0 f v",
        "XTRIM b MAXLEN 1",
        "XDEL b 1-0",
        "XSETID b 9-0",
        "XGROUP CREATE b g $",
    ],
)
def test_any_event_of_a_stream_wakes(engine, load, command) -> None:
    """After RENAME the new name is read from its beginning, at the next event on it."""
    load(
        """redis.registerStreamTrigger('s', 'b', (client, data) => {
    client.call('rpush', 'seen', data.id.join('-'));
});"""
    )
    add(engine, 1, 2, key="a")
    engine.execute("RENAME", "a", "b")
    assert seen(engine) == []
    engine.execute(*command.split())
    expected = {
        "XADD": ["1-0", "2-0", "9-0"],
        "XTRIM": ["2-0"],
        "XDEL": ["2-0"],
    }
    assert seen(engine) == expected.get(command.split()[0], ["1-0", "2-0"])


@pytest.mark.parametrize(
    "command", ["XLEN st", "XRANGE st - +", "XREAD STREAMS st 0", "XINFO STREAM st"]
)
def test_reading_a_stream_wakes_nobody(engine, load, command) -> None:
    load(SEEN % "")
    add(engine, 1, key="other")
    engine.execute("RENAME", "other", "st")
    engine.execute(*command.split())
    assert seen(engine) == []


def test_a_callback_has_run_when_the_next_command_runs(engine, load) -> None:
    load(SEEN % "")
    for i in range(1, 20):
        add(engine, i)
        assert len(seen(engine)) == i


def test_every_writer_wakes_at_the_end_of_its_unit(engine, load) -> None:
    load(
        SEEN % ""
        + """
redis.registerFunction('add', c => {
    c.call('xadd', 'st', '1-0', 'f', 'v'); return c.call('llen', 'seen'); });
redis.registerAsyncFunction('later', async c => c.block(c => {
    c.call('xadd', 'st', '2-0', 'f', 'v'); return c.call('llen', 'seen'); }));
redis.registerKeySpaceTrigger('k', 'k', c => { c.call('xadd', 'st', '3-0', 'f', 'v'); });
redis.registerStreamTrigger('other', 'ot', c => { c.call('xadd', 'st', '4-0', 'f', 'v'); });"""
    )
    assert engine.call("lib.add") == 0
    assert seen(engine) == ["1-0"]
    assert engine.execute("TFCALLASYNC", "lib.later", 0) == 1
    assert seen(engine) == ["1-0", "2-0"]
    engine.execute("SET", "k", "v")
    add(engine, 1, key="ot")
    assert engine.execute("EVAL", "redis.call('xadd', 'st', '5-0', 'f', 'v') "
                          "return redis.call('llen', 'seen')", 0) == 4  # fmt: skip
    assert seen(engine) == ["1-0", "2-0", "3-0", "4-0", "5-0"]


def test_the_callback_runs_as_the_event_s_database(engine, load) -> None:
    load(SEEN % ", {isStreamTrimmed: true}")
    session = engine.session()
    session.execute("SELECT", 3)
    session.execute("XADD", "st", "1-0", "f", "v")
    assert session.execute("LRANGE", "seen", 0, -1) == [b"1-0"]
    assert session.execute("XLEN", "st") == 0
    assert seen(engine) == []


def test_several_triggers_in_the_order_of_registration(engine, load) -> None:
    """All read first, then callback by callback."""
    for name in ("one", "two"):
        load(
            """redis.registerStreamTrigger('a', 's', (client, data) => {
    client.call('rpush', 'seen', `NAME.a ${data.id[0]}`);
    if (data.id[0] == 1n) client.call('xdel', 'st', '2-0');
});
redis.registerStreamTrigger('b', 'st', (client, data) => {
    client.call('rpush', 'seen', `NAME.b ${data.id[0]}`);
});""".replace("NAME", name),
            name=name,
        )
    engine.execute("MULTI")
    add(engine, 1, 2, 3)
    engine.execute("EXEC")
    # Records that are deleted before they are read are passed over.
    assert seen(engine) == [
        f"{name} {record}" for name in ("one.a", "one.b", "two.a", "two.b")
        for record in (1, 3)
    ]  # fmt: skip


# -- data


@pytest.mark.parametrize(
    ("entry_id", "fields", "told"),
    [
        ("5-1", [b"f", b"v"], '5n 1n st [["f","v"]]'),
        ("5-1", [b"f", b"v", b"f", b"w"], '5n 1n st [["f","v"],["f","w"]]'),
        ("5-1", [b"\xff", "é".encode()], '5n 1n st [[null,"é"]]'),
        ("5-1", [b"f", b"\xff"], '5n 1n st [["f",null]]'),
        ("5-1", [b"", b""], '5n 1n st [["",""]]'),
        ("1767268800000-0", [b"f", b"v"], '1767268800000n 0n st [["f","v"]]'),
        ("5-18446744073709551615", [b"f", b"v"], '5n 18446744073709551615n st [["f","v"]]'),
        ("18446744073709551614-9223372036854775808", [b"f", b"v"],
         '18446744073709551614n 9223372036854775808n st [["f","v"]]'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["", "async "])
def test_data(engine, load, entry_id, fields, told, kind) -> None:
    load(
        """let told, raw, keys, json;
redis.registerStreamTrigger('s', 'st', KIND(client, data) => {
    told = data.id.map(n => `${n}${typeof n == 'bigint' ? 'n' : typeof n}`).join(' ')
        + ` ${data.stream_name} ${JSON.stringify(data.record)}`;
    raw = data.record_raw.flat();
    raw.push(data.stream_name_raw);
    keys = Object.keys(data).join();
    try { json = JSON.stringify(data); } catch (e) { json = e.name; }
});
redis.registerFunction('told', () => [told, raw, keys, json]);""".replace("KIND", kind)
    )
    engine.execute("XADD", "st", entry_id, *fields)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 1)
    assert stream(engine)[b"last_error"] is None
    assert engine.call("lib.told") == [
        told.encode(),
        [*fields, b"st"],
        b"id,stream_name,stream_name_raw,record,record_raw",
        b"TypeError",
    ]


def test_a_stream_whose_name_is_not_text(engine, load) -> None:
    load(
        """redis.registerStreamTrigger('s', new Uint8Array([255]).buffer, (client, data) => {
    client.call('rpush', 'seen', String(data.stream_name), data.stream_name_raw);
});"""
    )
    engine.execute("XADD", b"\xff\xfe", "1-0", "f", "v")
    assert engine.execute("LRANGE", "seen", 0, -1) == [b"null", b"\xff\xfe"]
    (entry,) = listed(engine, "vv")
    assert entry[b"stream_triggers"][0][b"streams"][0][b"name"] == b"\xff\xfe"
    assert entry[b"stream_triggers"][0][b"prefix"] == b"\xff"


# -- acknowledgement


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return 1", None),
        ("return (async () => 1)()", None),
        ("throw 'x'", b"x"),
        ("throw new Error('x')", b"Error: x"),
        ("return (async () => { throw 'x'; })()", b"x"),
        ("return new Promise((ok, no) => no('x'))", b"x"),
        ("return client.callAsync('foo')",
         b"ERR unknown command 'foo', with args beginning with: "),
        ("return client.executeAsync(async () => { throw 'x'; })", b"x"),
        ("client.call('foo')", b"ERR unknown command 'foo', with args beginning with: "),
        ("while (1);", b"Err Execution was terminated due to OOM or timeout"),
    ],
)  # fmt: skip
def test_a_nack_is_an_ack_with_an_error(engine, load, body, error) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    load(
        """redis.registerStreamTrigger('s', 'st', (client, data) => {
    client.call('incr', 'calls'); %s; }, {isStreamTrimmed: true});"""
        % body
    )
    add(engine, 1)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 1)
    assert stream(engine)[b"last_error"] == error
    assert stream(engine)[b"pending_ids"] == []
    assert engine.execute("XLEN", "st") == 0
    add(engine, 2)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 2)
    assert engine.execute("GET", "calls") == b"2"  # nothing was tried again


def test_no_rights_is_a_nack(engine, load) -> None:
    class Nobody:
        def user_exists(self, user: str) -> bool:
            return True

        def key_denial(self, user: str, key: bytes) -> str | None:
            return "User does not have permissions on key"

    load(SEEN % ", {isStreamTrimmed: true}")
    engine.library_registry.set_access(Nobody())
    add(engine, 1)
    engine.library_registry.set_access(None)
    assert stream(engine)[b"last_error"] == (
        b"User 'default' has no permissions on key 'st', "
        b"User does not have permissions on key."
    )
    add(engine, 2)
    assert seen(engine) == ["2-0"]
    assert stream(engine)[b"total_record_processed"] == 2
    assert engine.execute("XLEN", "st") == 0


def test_the_window(engine, load) -> None:
    load(WAITS % "{window: 3}")
    add(engine, 1, 2, 3, 4, 5)
    assert stream(engine)[b"pending_ids"] == [b"1-0", b"2-0", b"3-0"]
    assert stream(engine)[b"id_to_read_from"] == b"3-0"
    go(engine, 2)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 1)
    assert stream(engine)[b"pending_ids"] == [b"1-0", b"3-0", b"4-0"]
    go(engine, 1, 3, 4, 5)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 5)
    assert stream(engine)[b"pending_ids"] == []
    assert stream(engine)[b"id_to_read_from"] == b"5-0"


def test_the_window_means_nothing_to_what_ends_at_once(engine, load) -> None:
    load(SEEN % ", {window: 1}")
    engine.execute("MULTI")
    add(engine, 1, 2, 3)
    engine.execute("EXEC")
    assert seen(engine) == ["1-0", "2-0", "3-0"]


def test_a_window_that_was_lowered(engine, load) -> None:
    """After an acknowledgement one more record is read, whatever the window."""
    load(WAITS % "{window: 3}")
    add(engine, 1, 2, 3, 4, 5)
    engine.library_registry.libraries["lib"].stream_triggers["s"].window = 1
    go(engine, 1)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 1)
    assert stream(engine)[b"pending_ids"] == [b"2-0", b"3-0", b"4-0"]
    engine.execute("XSETID", "st", "9-0")
    assert stream(engine)[b"pending_ids"] == [b"2-0", b"3-0", b"4-0"]


def batches_of(engine: trignb.Engine) -> list[str]:
    batches: list[str] = []
    engine.core.sinks.append(
        lambda batch: batches.append(
            "; ".join(b" ".join(args).decode() for _, args in batch)
        )
    )
    engine.core.sinks_changed()
    return batches


POSITION = "_rg_internals.update_stream_last_read_id lib s st"


def test_out_of_order_the_position_follows_the_oldest(engine, load) -> None:
    load(WAITS % "{window: 3, isStreamTrimmed: true}")
    add(engine, 1, 2, 3)
    batches = batches_of(engine)

    def end(number: int) -> list[str]:
        batches.clear()
        before = stream(engine)[b"total_record_processed"]
        go(engine, number)
        eventually(lambda: stream(engine)[b"total_record_processed"] == before + 1)
        # The wait's own effects, a push and a pop, are not what is asked for.
        return [b for b in batches if "go:" not in b]

    assert end(2) == []
    assert engine.execute("XLEN", "st") == 3
    assert end(1) == [f"MULTI; {POSITION} 1 0; XTRIM st MINID 3-0; EXEC"]
    assert engine.execute("XLEN", "st") == 1
    assert end(3) == [f"MULTI; {POSITION} 3 0; XTRIM st MINID 3-1; EXEC"]
    assert engine.execute("XLEN", "st") == 0


def test_statistics(engine, load) -> None:
    load(WAITS % "{window: 2}")
    now_ms = engine.clock.now_ns() // MS
    add(engine, 13, now_ms + 500)
    engine.clock.advance(milliseconds=7.9)
    go(engine, 13)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 1)
    lag = now_ms + 7 - 13
    assert stream(engine) == {
        b"id_to_read_from": b"%d-0" % (now_ms + 500),
        b"last_error": b"thirteen",
        b"last_lag": lag,
        b"last_processed_time": 7,
        b"name": b"st",
        b"pending_ids": [b"%d-0" % (now_ms + 500)],
        b"total_lag": lag,
        b"total_processed_time": 7,
        b"total_record_processed": 1,
    }
    engine.clock.advance(milliseconds=10)
    go(engine, now_ms + 500)
    eventually(lambda: stream(engine)[b"total_record_processed"] == 2)
    found = stream(engine)
    # A record from the future has no lag; an error is kept.
    assert (found[b"last_lag"], found[b"total_lag"]) == (0, lag)
    assert (found[b"last_processed_time"], found[b"total_processed_time"]) == (17, 24)
    assert found[b"last_error"] == b"thirteen"


def test_last_error_in_the_verbosity_of_the_listing(engine, load) -> None:
    load("redis.registerStreamTrigger('s', 'st', () => { null.x; });")
    add(engine, 1)
    short = stream(engine)[b"last_error"]
    engine.execute("TCONFIG_SET", "error-verbosity", 2)
    verbose = stream(engine)[b"last_error"]
    assert verbose.startswith(short + b"|")
    assert b":2:" in verbose


# -- trimming


def test_trimming_is_exact_and_silent(engine, load) -> None:
    load(SEEN % ", {isStreamTrimmed: true}")
    load("redis.registerKeySpaceTrigger('k', 'st', () => {});", name="keys")
    pushed = []
    session = engine.session()
    session.on_push = pushed.append
    session.execute("CONFIG", "SET", "notify-keyspace-events", "KEA")
    session.execute("SUBSCRIBE", "__keyspace@0__:st")
    engine.execute("MULTI")
    add(engine, *range(1, 250))
    engine.execute("EXEC")
    assert engine.execute("XLEN", "st") == 0
    assert engine.execute("EXISTS", "st") == 1
    assert {message[-1] for message in pushed[1:]} == {b"xadd"}
    assert trigger_of(engine, "k", "keys").num_triggered == 249


def test_trimming_is_the_last_effect(engine, load) -> None:
    load(SEEN % ", {isStreamTrimmed: true}")
    batches = batches_of(engine)
    engine.execute("MULTI")
    add(engine, 1, 2)
    engine.execute("EXEC")
    assert batches == [
        (
            "MULTI; XADD st 1-0 f v; XADD st 2-0 f v; "
            f"rpush seen 1-0; {POSITION} 1 0; rpush seen 2-0; {POSITION} 2 0; "
            "XTRIM st MINID 2-1; EXEC"
        )
    ]


def test_the_slowest_of_all_libraries_limits(engine, load) -> None:
    load(SEEN % ", {isStreamTrimmed: true}")
    load(WAITS % "{window: 1}", name="slow")
    add(engine, 1, 2)
    assert stream(engine)[b"id_to_read_from"] == b"2-0"
    assert stream(engine, library="slow")[b"pending_ids"] == [b"1-0"]
    assert engine.execute("XLEN", "st") == 2
    # What the slow one acknowledges does not trim by itself.
    go(engine, 1)
    eventually(lambda: stream(engine, library="slow")[b"total_record_processed"] == 1)
    assert engine.execute("XLEN", "st") == 2
    add(engine, 3)
    assert [entry[0] for entry in engine.execute("XRANGE", "st", "-", "+")] == [
        *(b"2-0", b"3-0")
    ]
    engine.execute("TFUNCTION", "DELETE", "slow")
    add(engine, 4)
    assert engine.execute("XLEN", "st") == 0


def test_a_trigger_that_has_read_nothing_does_not_limit(engine, load) -> None:
    """One that could not read (its window is full elsewhere) is not asked."""
    load(SEEN % ", {isStreamTrimmed: true}")
    load(
        """redis.registerStreamTrigger('never', 'other', () => {});
redis.registerFunction('f', () => 1);""",
        name="idle",
    )
    add(engine, 1)
    assert engine.execute("XLEN", "st") == 0


def test_a_callback_that_deletes_its_stream(engine, load) -> None:
    load(
        """redis.registerStreamTrigger('s', 'st', (client, data) => {
    client.call('del', 'st');
}, {isStreamTrimmed: true});"""
    )
    batches = batches_of(engine)
    add(engine, 1)
    assert engine.execute("EXISTS", "st") == 0
    assert stream(engine) == {}
    assert batches == ["MULTI; XADD st 1-0 f v; del st; EXEC"]
    # Then it begins anew.
    add(engine, 1)
    assert engine.execute("EXISTS", "st") == 0


def test_a_callback_that_adds_to_its_stream_without_recursion(engine, load) -> None:
    load(
        """redis.registerStreamTrigger('s', 'st', (client, data) => {
    if (data.id[0] < 3000n) client.call('xadd', 'st', `${data.id[0] + 1n}-0`, 'f', 'v');
}, {isStreamTrimmed: true});"""
    )
    add(engine, 1)
    assert stream(engine)[b"total_record_processed"] == 3000
    assert engine.execute("XLEN", "st") == 0


def test_watched_streams_break_when_they_are_trimmed(engine, load, session) -> None:
    load(WAITS % "{isStreamTrimmed: true}")
    add(engine, 1)
    session.execute("WATCH", "st")
    session.execute("MULTI")
    session.execute("PING")
    go(engine, 1)
    eventually(lambda: engine.execute("XLEN", "st") == 0)
    assert session.execute("EXEC") is None


def test_errors_in_one_library_leave_the_others(engine) -> None:
    engine.load(lib("redis.registerStreamTrigger('s', 'st', () => { throw 'x'; });"))
    engine.load(lib(SEEN % "", "good"))
    add(engine, 1, 2)
    assert seen(engine) == ["1-0", "2-0"]
    assert stream(engine, library="good")[b"last_error"] is None
