"""What a trace of commands holds: spans, causes, changes of keys, and its limits."""

from __future__ import annotations

import threading
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import trignb
from trignb.engine.spans import OUTCOMES
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.notebook.trace import Trace


def traced(engine: trignb.Engine, *commands: str, clients: str = "mine") -> Trace:
    """Run commands, words apart by blanks, and return their trace."""
    session = engine.session()
    with engine.trace(clients) as trace:
        for command in commands:
            try:
                session.execute(*command.split())
            except ResponseError:
                continue
    return trace


def text(*lines: str) -> str:
    return dedent("\n".join(lines)).strip("\n")


def test_commands_stand_below_one_another_with_what_they_changed(
    engine: trignb.Engine,
) -> None:
    trace = traced(engine, "SET k v", "GET k", "DEL k")
    assert trace.text() == text(
        "SET k v → OK",
        '├─ k (string, new): "v"',
        "└─ event set k",
        'GET k → "v"',
        "DEL k → (integer) 1",
        '├─ k (string, gone): was "v"',
        "└─ event del k",
    )


@pytest.mark.parametrize(
    ("commands", "shown"),
    [
        ("SET k 1; INCR k", '"1" → "2"'),
        ("HSET k a 1 b 2; HSET k a 3 c 4", '~ a "1" → "3", + c "4"'),
        ("HSET k a 1 b 2; HDEL k b", '- b "2"'),
        ("RPUSH k a b; LPUSH k x y", '+ head "y", + head "x"'),
        ("RPUSH k a b; RPUSH k c", '+ tail "c"'),
        ("RPUSH k a b; LPOP k", '- head "a"'),
        ("RPUSH k a b; RPOP k", '- tail "b"'),
        ("RPUSH k a b c; LSET k 1 x", '~ 1 "b" → "x"'),
        ("RPUSH k a b c; LREM k 1 b", '- 1 "b"'),
        ("SADD k a b; SADD k d c", "+ c, + d"),
        ("SADD k a b; SREM k a", "- a"),
        ("ZADD k 1 a 2 b; ZADD k 1.5 a 3 c", "~ a 1 → 1.5, + c 3"),
        ("ZADD k 1 a 2 b; ZREM k a", "- a 1"),
        ("XADD k 1-1 f v; XADD k 2-1 g w x y", '+ 2-1 "g w x y"'),
        ("XADD k 1-1 f v; XADD k 2-1 f v; XDEL k 1-1", '- 1-1 "f v"'),
        (
            "XADD k 1-1 f v; XGROUP CREATE k g 0",
            '+ group g "last 0-0, 0 pending, 0 consumers"',
        ),
        (
            "XADD k 1-1 f v; XGROUP CREATE k g 0; XREADGROUP GROUP g c STREAMS k >",
            '~ group g "last 0-0, 0 pending, 0 consumers" → "last 1-1, 1 pending, 1',
        ),
        ("SET k v; EXPIRE k 10", "TTL 10 s"),
        ("SET k v PX 1500; PERSIST k", "no TTL"),
        ("RPUSH k a; SET k v", 'list → string, "v"'),
        ("SET k v; SET k v EX 2", "TTL 2 s"),
    ],
)
def test_a_change_is_told_by_its_type(
    engine: trignb.Engine, commands: str, shown: str
) -> None:
    trace = traced(engine, *commands.split("; "))
    lines = [line for line in trace.text().split("\n") if "├─ k (" in line]
    assert f"): {shown}" in lines[-1]


def test_commands_that_change_nothing_have_no_change(engine: trignb.Engine) -> None:
    trace = traced(engine, "SET k v", "SETNX k w", "SET k v", "DEL none", "LPUSH k x")
    changes = [span for span in trace if span.kind == "change"]
    assert len(changes) == 1
    assert trace.spans[-1].outcome == "failed"


@pytest.mark.parametrize(
    ("commands", "keys"),
    [
        ("SET a 1; RENAME a b", ["b"]),
        ("SET a 1; MOVE a 2", ["a"]),
        ("SET a 1; COPY a b DB 2", ["a", "b"]),
        ("SET a 1; COPY a b REPLACE DB 2", ["a", "b"]),
        ("SET a 1; SET b 2; FLUSHALL", []),
        ("SET a 1; SWAPDB 0 1", ["a"]),
        ("RPUSH a 2 1; SORT a STORE b", ["a", "b"]),
        ("GEOADD a 1 1 x; GEORADIUS a 1 1 10 km STORE b", ["a", "b"]),
        ("SADD a 1; SUNIONSTORE b a", ["a", "b"]),
        ("MSET a 1 b 2", ["a", "b"]),
        ("RPUSH a 1; LMOVE a b LEFT RIGHT", ["b"]),
    ],
)
def test_every_key_is_seen(
    engine: trignb.Engine, commands: str, keys: list[str]
) -> None:
    trace = traced(engine, *commands.split("; "))
    assert trace.keys() == keys
    there = {
        key.decode()
        for db in engine.core.databases
        for key in db.data
        if key in db.data
    }
    assert set(keys) == there


def test_the_net_change_of_a_key_forgets_the_way(engine: trignb.Engine) -> None:
    engine.execute("SET", "old", "1")
    trace = traced(
        engine, "INCR n", "INCR n", "SET t 1", "DEL t", "INCR old", "DECR old"
    )
    assert repr(trace.diff()) == 'n (string, new): "2"'
    frame = trace.diff().df()
    assert frame["changes"].tolist() == [2]


def test_a_transaction_and_a_script_hold_what_they_ran(engine: trignb.Engine) -> None:
    session = engine.session()
    with engine.trace() as trace:
        session.execute("MULTI")
        session.execute("SET", "a", "1")
        session.execute("EXEC")
        session.execute("EVAL", "return redis.call('incr', KEYS[1])", 1, "a")
    assert trace.text() == text(
        "MULTI → OK",
        "SET a 1 → (queued)",
        "EXEC → (array, 1)",
        "└─ SET a 1 → OK",
        '   ├─ a (string, new): "1"',
        "   └─ event set a",
        "EVAL \"return redis.call('incr', KEYS[1])\" 1 a → (integer) 2",
        "└─ incr a → (integer) 2",
        '   ├─ a (string): "1" → "2"',
        "   └─ event incrby a",
    )
    assert [span.unit for span in trace if span.parent is None] == [1, 2, 3, 4]


def test_refused_commands_are_there_with_their_error(engine: trignb.Engine) -> None:
    trace = traced(engine, "NOSUCH x", "GET", "CONFIG NOSUCH", "EXEC", "LPUSH")
    assert [span.outcome for span in trace] == ["failed"] * 5
    errors = [span.error for span in trace]
    assert errors[1] == "ERR wrong number of arguments for 'get' command"
    assert errors[3] == "ERR EXEC without MULTI"
    assert "→ (error) ERR unknown command 'NOSUCH'" in trace.text()


def test_denied_commands_are_there_once(engine: trignb.Engine) -> None:
    engine.execute("ACL", "SETUSER", "eve", "on", ">pw", "~x", "+set")
    session = engine.session()
    session.execute("AUTH", "eve", "pw")
    with engine.trace() as trace, pytest.raises(ResponseError):
        session.execute("GET", "x")
    assert len(trace) == 1
    assert trace.spans[0].error.startswith("NOPERM")


def test_passwords_are_masked(engine: trignb.Engine) -> None:
    trace = traced(
        engine, "ACL SETUSER eve on >secret", "AUTH eve secret", "AUTH secret"
    )
    assert len(trace) == 3
    assert "secret" not in trace.text() + trace.html() + str(trace.df().to_dict())
    assert "(redacted)" in trace.text()


def test_a_client_that_waited_is_served_by_who_pushed(engine: trignb.Engine) -> None:
    waiting = engine.session(name="waiting")
    with engine.trace("all") as trace:
        thread = threading.Thread(target=waiting.execute, args=("BLPOP", "q", "0"))
        thread.start()
        while waiting.id not in engine.core.blocking.sessions:
            thread.join(0.001)
        engine.session(name="pusher").execute("RPUSH", "q", "x")
        thread.join()
    assert trace.text() == text(
        "waiting> BLPOP q 0 → (waiting)",
        "pusher> RPUSH q x → (integer) 1",
        '├─ q (list, new): + "x"',
        "├─ event rpush q",
        "└─ BLPOP q 0 (had waited) → (array, 2)",
        '   ├─ q (list, gone): was ["x"]',
        "   ├─ event lpop q",
        "   └─ event del q",
    )


def test_a_try_that_serves_nobody_leaves_nothing(engine: trignb.Engine) -> None:
    waiting = engine.session()
    thread = threading.Thread(target=waiting.execute, args=("BLPOP", "q", "0"))
    thread.start()
    while waiting.id not in engine.core.blocking.sessions:
        thread.join(0.001)
    session = engine.session()
    with engine.trace("all") as trace:
        for words in (["MULTI"], ["RPUSH", "q", "x"], ["DEL", "q"], ["EXEC"]):
            session.execute(*words)
    assert "had waited" not in trace.text()
    engine.execute("RPUSH", "q", "y")
    thread.join()


# -- keys that go by themselves


def test_expiry_is_traced_by_who_moves_the_clock(engine: trignb.Engine) -> None:
    engine.execute("SET", "k", "v", "PX", 100)
    with engine.trace() as trace:
        engine.clock.advance(1)
    assert trace.text() == text(
        "expired k",
        '├─ k (string, gone): was "v" (TTL 0 s)',
        "└─ event expired k",
    )


def test_a_key_that_expires_under_a_command(engine: trignb.Engine) -> None:
    engine.core.active_expire = False
    engine.execute("SET", "k", "v", "PX", 100)
    engine.clock.advance(1)
    trace = traced(engine, "GET k", "SET k w")
    lines = trace.text().split("\n")
    assert lines[0] == "GET k → (nil)"
    assert "expired k" in lines[1]
    assert lines[-3:] == ["SET k w → OK", '├─ k (string, new): "w"', "└─ event set k"]
    assert repr(trace.diff()) == 'k (string): "v" → "w", no TTL'


def test_eviction_stands_before_the_command_that_needed_room(
    engine: trignb.Engine,
) -> None:
    for i in range(50):
        engine.execute("SET", f"k{i}", "x" * 10_000)
    engine.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    with engine.trace() as trace:
        engine.execute("CONFIG", "SET", "maxmemory", "600000")
        engine.execute("SET", "more", "x")
    kinds = [span.kind for span in trace]
    assert "evict" in kinds
    evicted = [span for span in trace if span.kind == "evict"]
    assert trace.text().count("(string, gone)") == len(evicted)


# -- whose commands


def test_mine_is_what_this_thread_does_as_any_client(engine: trignb.Engine) -> None:
    other, mine = engine.session(), engine.session()
    with engine.trace() as trace:
        thread = threading.Thread(target=other.execute, args=("SET", "theirs", "1"))
        thread.start()
        thread.join()
        mine.execute("SET", "a", "1")
        engine.client().set("b", "1")
    assert trace.keys() == ["a", "b"]


def test_all_is_everybody_and_names_them(engine: trignb.Engine) -> None:
    other = engine.session(name="other")
    with engine.trace("all") as trace:
        thread = threading.Thread(target=other.execute, args=("SET", "a", "1"))
        thread.start()
        thread.join()
        engine.session(name="me").execute("SET", "b", "1")
    heads = [line for line in trace.text().split("\n") if "> " in line]
    assert heads == ["other> SET a 1 → OK", "me> SET b 1 → OK"]


def test_other_values_are_refused(engine: trignb.Engine) -> None:
    with pytest.raises(ValueError, match='clients is "mine" or "all"'):
        engine.trace("everybody")
    with pytest.raises(ValueError, match="max_spans"):
        engine.trace(max_spans=0)


# -- opening and closing


def test_nothing_is_left_of_a_trace_that_was_closed(engine: trignb.Engine) -> None:
    core = engine.core
    session = engine.session()
    before = set(vars(core)), set(vars(core.blocking)), core.event_mask
    handlers = {name: c.handler for name, c in core.table.by_name.items()}
    with engine.trace() as trace:
        assert session.intercept is not None
        assert core.table.by_name["get"].handler.__doc__ == handlers["get"].__doc__
    assert (set(vars(core)), set(vars(core.blocking)), core.event_mask) == before
    assert handlers == {name: c.handler for name, c in core.table.by_name.items()}
    assert {type(db) for db in core.databases} == {trignb.engine.database.Database}
    assert session.intercept is None
    assert not trace.is_open
    engine.execute("SET", "k", "v")
    assert len(trace) == 0
    assert repr(trace) == "(nothing was traced)"


def test_traces_within_one_another(engine: trignb.Engine) -> None:
    with engine.trace() as outer:
        engine.execute("SET", "a", "1")
        with engine.trace() as inner:
            engine.execute("SET", "b", "1")
        engine.execute("SET", "c", "1")
    assert outer.keys() == ["a", "b", "c"]
    assert inner.keys() == ["b"]
    assert inner.df()["parent"].isna().sum() == 1
    assert not engine.core.tracing.is_armed


def test_a_trace_may_end_before_the_one_around_it_began_to_end(
    engine: trignb.Engine,
) -> None:
    first, second = engine.trace(), engine.trace()
    first.__enter__()
    second.__enter__()
    engine.execute("SET", "a", "1")
    first.__exit__(None, None, None)
    engine.execute("SET", "b", "1")
    second.__exit__(None, None, None)
    assert first.keys() == ["a"]
    assert second.keys() == ["a", "b"]


def test_a_trace_is_opened_once(engine: trignb.Engine) -> None:
    trace = engine.trace()
    assert repr(trace) == "(nothing was traced)"
    with pytest.raises(RuntimeError, match="is not open"):
        trace.wait()
    with trace, pytest.raises(RuntimeError, match="opened once"):
        trace.__enter__()
    with pytest.raises(RuntimeError, match="opened once"):
        trace.__enter__()


def test_an_error_in_the_block_closes_the_trace(engine: trignb.Engine) -> None:
    engine.execute("SET", "k", "v")
    with pytest.raises(ResponseError), engine.trace() as trace:
        engine.execute("INCR", "k")
    assert trace.spans[-1].outcome == "failed"
    assert not engine.core.tracing.is_armed


def test_a_trace_that_is_opened_in_the_middle_of_a_unit(engine: trignb.Engine) -> None:
    trace = engine.trace()

    def hear(_db: Any, _kind: int, _event: bytes, key: bytes) -> None:
        if key == b"a":
            trace.__enter__()

    stop = engine.core.listen(hear, trignb.engine.events.ALL)
    session = engine.session()
    for words in (["MULTI"], ["SET", "a", "1"], ["SET", "b", "1"], ["EXEC"]):
        session.execute(*words)
    stop()
    trace.__exit__(None, None, None)
    assert trace.keys() in (["b"], [])
    assert engine.execute("GET", "b") == b"1"


# -- bounds


def test_what_has_no_room_is_counted(engine: trignb.Engine) -> None:
    with engine.trace(max_spans=4) as trace:
        for i in range(10):
            engine.execute("SET", f"k{i}", "v")
    assert len(trace) == 4
    assert trace.dropped > 9
    assert trace.text().endswith(f"… {trace.dropped} more had no room (max_spans=4)")


def test_long_arguments_and_many_are_cut(engine: trignb.Engine) -> None:
    with engine.trace() as trace:
        engine.execute("SET", "k", "x" * 5000)
        engine.execute("RPUSH", "l", *range(100))
    lines = trace.text().split("\n")
    assert lines[0] == f"SET k {'x' * 200}…(+4,800 bytes) → OK"
    assert max(map(len, lines)) < 300
    assert "…(+70 arguments)" in trace.text()
    assert "… 94 more" in trace.text()


def test_a_value_that_is_too_large_is_not_copied(engine: trignb.Engine) -> None:
    engine.execute("SADD", "s", *range(3000))
    engine.execute("APPEND", "text", "x" * 2_000_000)
    trace = traced(engine, "SADD s x", "SREM s x", "SPOP s", "SETRANGE text 0 y")
    changes = [line for line in trace.text().split("\n") if "(set)" in line]
    assert changes[0] == "├─ s (set): 3,000 → 3,001 members"
    assert "2,000,000 bytes, too large to compare" in trace.text()
    assert repr(trace.diff()).startswith("s (set): 3,000 → 2,999 members")
    frame = trace.df()
    assert frame["before"].dropna().iloc[0] == "set of 3,000 members"


def test_binary_keys_and_values(engine: trignb.Engine) -> None:
    with engine.trace() as trace:
        engine.execute("HSET", b"\xff\x00", b"f\n", b"\x1b[31m")
        engine.execute("SET", "schlüssel", "größe")
    assert trace.text() == text(
        r'HSET "\xff\x00" "f\n" "\x1b[31m" → (integer) 1',
        r'├─ "\xff\x00" (hash, new): + "f\n" "\x1b[31m"',
        r'└─ event hset "\xff\x00"',
        'SET "schlüssel" "größe" → OK',
        '├─ "schlüssel" (string, new): "größe"',
        '└─ event set "schlüssel"',
    )


def test_another_database_is_named(engine: trignb.Engine) -> None:
    trace = traced(engine, "SELECT 3", "SET k v")
    assert "[3] SET k v → OK" in trace.text()
    assert '[3] k (string, new): "v"' in trace.text()


def test_outcomes_are_the_documented_ones(engine: trignb.Engine) -> None:
    trace = traced(engine, "SET k v", "INCR k", "MULTI", "SET k v", "DISCARD")
    assert {span.outcome for span in trace} <= set(OUTCOMES)


# -- beside others


def test_clients_write_while_traces_come_and_go() -> None:
    with trignb.Engine() as engine:
        stop = threading.Event()
        failures: list[BaseException] = []

        def write(name: str) -> None:
            session = engine.session()
            try:
                while not stop.is_set():
                    session.execute("INCR", name)
            except BaseException as error:  # noqa: BLE001 - told to the test
                failures.append(error)

        threads = [threading.Thread(target=write, args=(f"n{i}",)) for i in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            with engine.trace("all", max_spans=200) as trace:
                engine.execute("SET", "mine", "1")
            assert "SET mine 1 → OK" in trace.text() or trace.dropped
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures
        assert not engine.core.tracing.is_armed
        assert not engine.core.tracing.stack
