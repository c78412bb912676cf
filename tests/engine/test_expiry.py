"""Expiry: on look-up, by the background cycle, and while the clock is moved."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

import trignb
from trignb.engine.events import ALL, KEYMISS, NEW


class Witness:
    """Notes events and batches of effects, each event with the engine's time."""

    def __init__(self, engine):
        self.engine = engine
        self.events = []
        self.batches = []
        self.times = []
        engine.core.listen(self.hear, ALL | KEYMISS | NEW)
        engine.core.sinks.append(self.batches.append)
        engine.core.sinks_changed()

    def hear(self, db, _kind, event, key):
        self.events.append((event.decode(), key.decode(), db.index))
        self.times.append(self.engine.core.now_ms())

    @property
    def names(self):
        return [f"{event} {key}" for event, key, _ in self.events]

    @property
    def sent(self):
        return [[b" ".join(args) for _, args in batch] for batch in self.batches]

    def clear(self):
        self.events.clear()
        self.batches.clear()
        self.times.clear()


@pytest.fixture
def witness(engine):
    return Witness(engine)


def put(engine, *keys, ttl_ms=10):
    for key in keys:
        engine.execute("SET", key, "v")
        engine.execute("PEXPIRE", key, ttl_ms)


def sleep_past(engine, milliseconds):
    """Move the clock without anything happening on the way."""
    engine.clock.freeze(at=(engine.clock.now_ns() // 1_000_000 + milliseconds) / 1000)


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


# -- on look-up


def test_a_key_lives_through_the_millisecond_of_its_deadline(engine):
    put(engine, "k", ttl_ms=10)
    sleep_past(engine, 10)
    assert engine.execute("PTTL", "k") == 0
    assert engine.execute("GET", "k") == b"v"
    sleep_past(engine, 1)
    assert engine.execute("PTTL", "k") == -2
    assert engine.execute("GET", "k") is None


@pytest.mark.parametrize(
    ("command", "reply", "events", "sent"),
    [
        ("GET k", None, ["expired k", "keymiss k"], [[b"DEL k"]]),
        ("EXISTS k", 0, ["expired k", "keymiss k"], [[b"DEL k"]]),
        ("DEL k", 0, ["expired k"], [[b"DEL k"]]),
        ("PERSIST k", 0, ["expired k"], [[b"DEL k"]]),
        ("EXPIRE k 9", 0, ["expired k"], [[b"DEL k"]]),
        ("OBJECT ENCODING k", None, ["expired k"], [[b"DEL k"]]),
        ("KEYS *", [], [], []),
        ("DBSIZE", 1, [], []),
        (
            "SET k w",
            "OK",
            ["expired k", "new k", "set k"],
            [[b"MULTI", b"DEL k", b"SET k w", b"EXEC"]],
        ),
        (
            "HSET k f v",
            1,
            ["expired k", "new k", "hset k"],
            [[b"MULTI", b"DEL k", b"HSET k f v", b"EXEC"]],
        ),
    ],
)
def test_what_a_look_at_an_expired_key_does(
    engine, witness, command, reply, events, sent
):
    put(engine, "k")
    sleep_past(engine, 11)
    witness.clear()
    dirty = engine.core.dirty
    assert engine.execute(*command.split()) == reply
    assert witness.names == events
    assert witness.sent == sent
    assert engine.core.dirty - dirty == (command[:4] in ("SET ", "HSET"))


def test_two_expired_keys_of_one_command_go_in_one_batch(engine, witness):
    put(engine, "a", "b")
    sleep_past(engine, 11)
    witness.clear()
    engine.execute("EXISTS", "a", "b")
    assert witness.sent == [[b"MULTI", b"DEL a", b"DEL b", b"EXEC"]]


@pytest.mark.parametrize("walk", [("SCAN", "0"), ("RANDOMKEY",)])
def test_a_walk_sends_its_deletions_one_by_one(engine, witness, walk):
    put(engine, "a", "b", "c")
    sleep_past(engine, 11)
    witness.clear()
    engine.execute(*walk)
    assert sorted(witness.names) == ["expired a", "expired b", "expired c"]
    assert [sorted(batch) for batch in witness.sent] == [[b"DEL a", b"DEL b", b"DEL c"]]
    # The next unit is wrapped again, as is a walk inside one.
    witness.clear()
    put(engine, "a", "b")
    sleep_past(engine, 11)
    witness.clear()
    for command in ("MULTI", *(" ".join(walk),), "EXEC"):
        engine.execute(*command.split())
    assert witness.sent[0][0] == b"MULTI"
    assert len(witness.sent) == 1


def test_a_walk_that_met_nothing_leaves_no_trace(engine, witness):
    engine.execute("SET", "k", "v")
    engine.execute("RANDOMKEY")
    engine.execute("SCAN", "0")
    put(engine, "a", "b")
    sleep_past(engine, 11)
    witness.clear()
    engine.execute("EXISTS", "a", "b")
    assert witness.sent == [[b"MULTI", b"DEL a", b"DEL b", b"EXEC"]]


def test_deletions_can_be_sent_as_unlink(engine, witness):
    engine.core.config.set([("lazyfree-lazy-expire", "yes")])
    put(engine, "k")
    sleep_past(engine, 11)
    witness.clear()
    engine.execute("GET", "k")
    put(engine, "k", ttl_ms=0)
    assert [[b"UNLINK k"]] == witness.sent[:1] == witness.sent[-1:]


def test_an_expired_key_of_a_replica_is_gone_but_stays(engine, witness):
    put(engine, "k")
    engine.core.is_replica = True
    sleep_past(engine, 11)
    witness.clear()
    assert engine.execute("GET", "k") is None
    assert engine.execute("DBSIZE") == 1
    assert witness.names == ["keymiss k"]
    assert witness.sent == []


def test_while_loading_nothing_expires(engine, witness):
    put(engine, "k")
    engine.core.is_loading = True
    sleep_past(engine, 11)
    assert engine.execute("GET", "k") == b"v"
    engine.clock.advance(1)
    assert engine.execute("DBSIZE") == 1


def test_a_write_over_a_key_that_may_not_be_deleted_takes_its_deadline_away(engine):
    put(engine, "k")
    sleep_past(engine, 11)
    engine.core.expire_pauses += 1
    engine.execute("SET", "k", "w")
    engine.core.expire_pauses -= 1
    assert engine.execute("GET", "k") == b"w"
    assert engine.execute("TTL", "k") == -1


def test_time_stands_still_within_a_unit():
    with trignb.Engine() as engine:
        times = []
        engine.core.listen(lambda *_: times.append(engine.core.now_ns()), ALL)
        engine.execute("MULTI")
        for i in range(3):
            engine.execute("SET", str(i), "v")
        engine.execute("EXEC")
        engine.execute("SET", "later", "v")
        assert len(times) == 4
        assert len(set(times[:3])) == 1
        assert times[3] > times[0]


# -- the clock is moved


def test_keys_expire_in_their_order_each_at_its_moment(engine, witness):
    start = engine.core.now_ms()
    for key, ttl in (("c", 300), ("a", 100), ("d", 1001), ("b", 200), ("a2", 100)):
        put(engine, key, ttl_ms=ttl)
    engine.execute("SELECT", "3")
    put(engine, "other", ttl_ms=150)
    engine.execute("SELECT", "0")
    witness.clear()
    engine.clock.advance(1)
    assert witness.events == [
        ("expired", "a", 0),
        ("expired", "a2", 0),
        ("expired", "other", 3),
        ("expired", "b", 0),
        ("expired", "c", 0),
    ]
    assert [t - start for t in witness.times] == [101, 101, 151, 201, 301]
    assert witness.sent == [
        [b"DEL a"],
        [b"DEL a2"],
        [b"DEL other"],
        [b"DEL b"],
        [b"DEL c"],
    ]
    assert engine.clock.now_ns() == (start + 1000) * 1_000_000
    assert engine.execute("PTTL", "d") == 1
    engine.clock.advance(milliseconds=1)
    assert engine.execute("EXISTS", "d") == 1
    engine.clock.advance(milliseconds=1)
    assert engine.core.expired_keys == 6


def test_a_deadline_set_on_the_way_is_kept_on_the_way(engine, witness):
    def set_again(db, _kind, _event, key):
        if len(witness.times) < 4:
            engine.core.queue_job(lambda: put(engine, key, ttl_ms=99))

    engine.core.listen(set_again, 1 << 8)
    start = engine.core.now_ms()
    put(engine, "k", ttl_ms=99)
    witness.clear()
    witness.hear = None
    engine.clock.advance(1)
    expired = [
        t - start
        for (event, _, _), t in zip(witness.events, witness.times, strict=True)
        if event == "expired"
    ]
    assert expired == [100, 200]


def test_a_moved_deadline_counts_and_a_dropped_one_does_not(engine, witness):
    put(engine, "later", "never", "gone", ttl_ms=100)
    engine.execute("PEXPIRE", "later", 500)
    engine.execute("PERSIST", "never")
    engine.execute("DEL", "gone")
    engine.execute("SET", "gone", "again")
    witness.clear()
    engine.clock.advance(milliseconds=400)
    assert witness.names == []
    engine.clock.advance(milliseconds=200)
    assert witness.names == ["expired later"]
    assert sorted(engine.execute("KEYS", "*")) == [b"gone", b"never"]


def test_advance_of_a_running_clock_fires_too():
    with trignb.Engine() as engine:
        witness = Witness(engine)
        put(engine, "b", ttl_ms=7_200_000)
        put(engine, "a", ttl_ms=3_600_000)
        witness.clear()
        engine.clock.advance(3 * 3600)
        assert witness.names == ["expired a", "expired b"]
        assert witness.sent == [[b"DEL a"], [b"DEL b"]]


def test_freezing_at_a_later_moment_fires_only_on_look_up(engine, witness):
    put(engine, "k", ttl_ms=100)
    witness.clear()
    engine.clock.freeze(at="2027-01-01T00:00:00Z")
    assert witness.names == []
    assert engine.execute("GET", "k") is None
    assert witness.names == ["expired k", "keymiss k"]


def test_no_expiry_by_itself_when_it_is_switched_off(engine, witness):
    put(engine, "k", ttl_ms=100)
    engine.core.active_expire = False
    witness.clear()
    engine.clock.advance(1)
    assert witness.names == []
    assert engine.execute("DBSIZE") == 1


# -- the background cycle


def test_a_key_nobody_asks_for_expires_by_itself():
    with trignb.Engine() as engine:
        witness = Witness(engine)
        put(engine, "k", ttl_ms=30)
        started = time.monotonic()
        wait_for(lambda: "expired k" in witness.names)
        assert time.monotonic() - started < 2
        assert witness.sent[-1] == [b"DEL k"]
        assert engine.execute("DBSIZE") == 0


def test_each_key_of_the_cycle_is_a_unit_of_its_own():
    with trignb.Engine() as engine:
        keys = [f"k{i}" for i in range(200)]
        engine.core.active_expire = False
        put(engine, *keys, ttl_ms=1)
        witness = Witness(engine)
        time.sleep(0.01)
        engine.core.active_expire = True
        wait_for(lambda: len(witness.batches) == 200)
        assert {tuple(batch) for batch in witness.sent} == {
            (b"DEL " + key.encode(),) for key in keys
        }
        assert set(witness.names) == {f"expired {key}" for key in keys}


def test_the_cycle_rests_while_the_clock_stands(engine, witness):
    engine.core.config.set([("hz", "100")])
    put(engine, "k", ttl_ms=10)
    sleep_past(engine, 1000)
    witness.clear()
    time.sleep(0.05)
    assert witness.names == []
    engine.clock.resume()
    wait_for(lambda: witness.names == ["expired k"])


def test_there_is_no_thread_before_the_first_deadline():
    with trignb.Engine() as engine:
        engine.execute("SET", "k", "v")
        assert not engine.core.cycle.is_running
        engine.execute("EXPIRE", "k", "100")
        assert engine.core.cycle.is_running


def expiry_threads():
    return [t for t in threading.enumerate() if t.name == "trignb-expiry"]


def test_closing_an_engine_ends_its_thread():
    before = len(expiry_threads())
    with trignb.Engine() as engine:
        put(engine, "k", ttl_ms=100_000)
        assert len(expiry_threads()) == before + 1
    assert len(expiry_threads()) == before


def test_an_engine_nobody_holds_is_collected_with_its_thread():
    before = len(expiry_threads())
    engine = trignb.Engine(hz=500)
    put(engine, "k", ttl_ms=100_000)
    core = weakref.ref(engine.core)
    del engine

    def is_gone():
        gc.collect()
        return core() is None and len(expiry_threads()) == before

    wait_for(is_gone)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_fails_does_not_end_expiry():
    with trignb.Engine(hz=500) as engine:
        expired = []

        def fail(_db, _kind, _event, key):
            expired.append(key)
            if len(expired) == 1:
                raise ZeroDivisionError

        engine.core.listen(fail, 1 << 8)
        put(engine, "a", ttl_ms=1)
        wait_for(lambda: not engine.core.cycle.is_running)
        put(engine, "b", ttl_ms=1)
        wait_for(lambda: expired == [b"a", b"b"])


def test_deadlines_that_are_set_again_and_again_take_no_more_room():
    with trignb.Engine() as engine:
        engine.execute("SET", "k", "v")
        for i in range(5000):
            engine.execute("EXPIRE", "k", str(100 + i))
        assert len(engine.core.databases[0].deadlines) < 1100
