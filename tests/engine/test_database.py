"""The database: look-ups, watches, exchange of contents, the heap of deadlines."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import trignb
from trignb.datatypes import Hash, List
from trignb.engine import database
from trignb.engine.events import ALL, GENERIC, KEYMISS, NEW
from trignb.engine.freeing import LARGE


@pytest.fixture
def db(engine):
    return engine.core.databases[0]


@pytest.fixture
def heard(engine):
    events = []
    engine.core.listen(
        lambda db, _kind, event, key: events.append((event, key)), ALL | KEYMISS | NEW
    )
    return events


# -- looking up


def test_read_counts_and_tells_of_a_miss_and_lookup_does_not(engine, db, heard):
    engine.execute("SET", "k", "v")
    heard.clear()
    core = engine.core
    before = core.hits, core.misses
    assert db.read(b"k") == b"v"
    assert db.read(b"none") is None
    assert db.lookup(b"k") == b"v"
    assert db.lookup(b"none") is None
    assert db.peek(b"none") is None
    assert (core.hits, core.misses) == (before[0] + 1, before[1] + 1)
    assert heard == [(b"keymiss", b"none")]


def test_peek_leaves_an_expired_key_where_it_is(engine, db, heard):
    engine.execute("SET", "k", "v")
    engine.execute("PEXPIRE", "k", "1")
    heard.clear()
    assert db.peek(b"k") == b"v"
    engine.clock.freeze(at=engine.clock.now_ns() / 1e9 + 1)
    assert db.peek(b"k") is None
    assert b"k" in db.data
    assert heard == []


@pytest.mark.parametrize("look", ["read_type", "lookup_type"])
def test_another_type_is_refused(engine, db, look):
    engine.execute("HSET", "h", "f", "v")
    assert type(getattr(db, look)(b"h", Hash)) is Hash
    assert getattr(db, look)(b"none", Hash) is None
    with pytest.raises(trignb.ResponseError, match="WRONGTYPE"):
        getattr(db, look)(b"h", List)


# -- changing


def test_assign_drops_the_deadline_unless_told_otherwise(engine, db, heard):
    engine.execute("SET", "k", "v")
    db.set_deadline(b"k", 1 << 50)
    db.assign(b"k", b"w", keep_ttl=True)
    assert db.expires == {b"k": 1 << 50}
    db.assign(b"k", b"x")
    assert db.expires == {}
    assert [event for event, _ in heard] == [b"new", b"set"]


def test_take_and_remove(db):
    items = List(-2, [b"a"])
    db.data[b"l"] = items
    db.set_deadline(b"l", 1 << 50)
    assert db.take(b"l") is items
    assert db.take(b"l") is None
    assert db.expires == {}
    db.data[b"l"] = items
    assert db.remove(b"l")
    assert not db.remove(b"l")
    assert not db.delete(b"l")


def test_changed_counts_marks_and_tells(engine, db, heard):
    session = engine.session()
    session.execute("WATCH", "k")
    dirty = engine.core.dirty
    db.changed(GENERIC, b"something", b"k", 3)
    assert engine.core.dirty == dirty + 3
    assert session.watch_broken
    assert heard == [(b"something", b"k")]


def test_drop_if_empty(engine, db, heard):
    items = List(-2, [b"a"])
    db.data[b"l"] = items
    assert not db.drop_if_empty(b"l", items)
    items.pop_left()
    dirty = engine.core.dirty
    assert db.drop_if_empty(b"l", items)
    assert engine.core.dirty == dirty
    assert heard == [(b"del", b"l")]


# -- watches


def exec_is_aborted(session):
    session.execute("MULTI")
    session.execute("PING")
    return session.execute("EXEC") is None


@pytest.mark.parametrize(
    ("before", "change", "aborts"),
    [
        ([], "SET k v", True),
        (["SET k v"], "SET k v", True),
        (["SET k v"], "DEL k", True),
        ([], "DEL k", False),
        (["SET k v"], "EXPIRE k 100", True),
        (["SET k v"], "PERSIST k", False),
        (["SET k v"], "EXPIRE k 100 XX", False),
        (["SET k v"], "RENAME k z", True),
        (["SET z v"], "RENAME z k", True),
        (["SET k v"], "RENAME k k", False),
        (["SET k v"], "MOVE k 1", True),
        (["SET k v"], "COPY k z", False),
        (["SET z v"], "COPY z k", True),
        (["SET k v"], "TOUCH k", False),
        (["SET k v"], "FLUSHALL", True),
        (["SET k v"], "FLUSHDB", True),
        ([], "FLUSHALL", False),
        (["SET k v"], "SWAPDB 0 1", True),
        ([], "SWAPDB 0 1", False),
        (["SET z v", "SWAPDB 0 1"], "SWAPDB 0 1", False),
        (["SET k v", "SWAPDB 0 1"], "SWAPDB 0 1", True),
        (["SET k v"], "SWAPDB 0 0", False),
        (["SET k v"], "SWAPDB 2 3", False),
        (["RPUSH k 2 1"], "SORT k STORE z", False),
        (["RPUSH z 2 1"], "SORT z STORE k", True),
        (["SET k v"], "SORT none STORE k", True),
        ([], "SORT none STORE k", False),
    ],
)
def test_what_breaks_a_watch(engine, before, change, aborts):
    session = engine.session()
    for command in before:
        engine.execute(*command.split())
    session.execute("WATCH", "k")
    engine.execute(*change.split())
    assert exec_is_aborted(session) == aborts


def expired(engine, key="k"):
    engine.execute("SET", key, "v")
    engine.execute("PEXPIRE", key, "10")
    engine.clock.freeze(at=engine.clock.now_ns() / 1e9 + 1)


def test_a_watched_key_that_passes_its_deadline_breaks_the_watch(engine):
    session = engine.session()
    engine.execute("SET", "k", "v")
    engine.execute("PEXPIRE", "k", "10")
    session.execute("WATCH", "k")
    engine.clock.freeze(at=engine.clock.now_ns() / 1e9 + 1)
    assert exec_is_aborted(session)


def test_a_key_that_had_expired_before_may_be_deleted(engine):
    session = engine.session()
    expired(engine)
    session.execute("WATCH", "k")
    engine.execute("GET", "k")
    assert not exec_is_aborted(session)


@pytest.mark.parametrize("change", ["SET k v", "INCR k", "RENAME z k"])
def test_but_not_written(engine, change):
    session = engine.session()
    expired(engine)
    engine.execute("SET", "z", "v")
    session.execute("WATCH", "k")
    engine.execute("GET", "k")
    engine.execute(*change.split())
    assert exec_is_aborted(session)


@pytest.mark.parametrize("change", ["FLUSHALL", "SWAPDB 0 1"])
def test_a_key_that_had_expired_before_may_be_flushed(engine, change):
    session = engine.session()
    expired(engine)
    session.execute("WATCH", "k")
    engine.execute(*change.split())
    assert not exec_is_aborted(session)


def test_swapping_expired_keys(engine):
    # Expired for expired is no change, nor is an expired key where there was none.
    session = engine.session()
    engine.core.active_expire = False
    engine.execute("SELECT", "1")
    expired(engine)
    expired(engine, "other")
    engine.execute("SELECT", "0")
    expired(engine)
    session.execute("WATCH", "k", "other")
    engine.execute("SWAPDB", "0", "1")
    assert not exec_is_aborted(session)
    engine.execute("SET", "k", "v")
    session.execute("WATCH", "k")
    engine.execute("SWAPDB", "0", "1")
    assert exec_is_aborted(session)


def test_a_key_is_watched_in_its_database(engine):
    session = engine.session()
    session.execute("WATCH", "k")
    engine.execute("SELECT", "1")
    engine.execute("SET", "k", "v")
    engine.execute("SELECT", "0")
    assert not exec_is_aborted(session)


def test_restoring_a_snapshot_breaks_watches(engine):
    session = engine.session()
    empty = engine.snapshot()
    engine.execute("SET", "k", "v")
    full = engine.snapshot()
    session.execute("WATCH", "k")
    engine.restore(empty)
    assert exec_is_aborted(session)
    session.execute("WATCH", "k")
    engine.restore(full)
    assert exec_is_aborted(session)
    session.execute("WATCH", "other")
    engine.restore(empty)
    assert not exec_is_aborted(session)


# -- contents


def test_clear_hands_many_keys_to_the_background(engine, db):
    db.data.update((b"%d" % i, b"v") for i in range(LARGE))
    db.data[b"l"] = List(-2, [b"e"] * LARGE)
    db.set_deadline(b"1", 1 << 50)
    assert db.clear() == LARGE + 1
    assert (db.data, db.expires, db.deadlines) == ({}, {}, [])
    db.freeing.wait()


def test_copies_share_nothing(engine, db):
    engine.execute("RPUSH", "l", "a")
    data, expires = db.copy_data()
    engine.execute("RPUSH", "l", "b")
    engine.execute("EXPIRE", "l", "100")
    assert list(data[b"l"]) == [b"a"]
    assert expires == {}


def test_random_keys(engine, db):
    for i in range(5):
        engine.execute("SET", str(i), "v")
    counts = Counter(db.random_key() for _ in range(2000))
    assert len(counts) == 5
    assert min(counts.values()) > 250


class Deadlines(RuleBasedStateMachine):
    """The heap against a dict: it finds the next deadline, whatever is stale in it."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = trignb.Engine()
        self.db = self.engine.core.databases[0]
        self.model: dict[bytes, int] = {}
        self.floor, database._STALE_FLOOR = database._STALE_FLOOR, 4

    def teardown(self) -> None:
        database._STALE_FLOOR = self.floor
        self.engine.close()

    keys = st.sampled_from([b"a", b"b", b"c", b"d"])
    moments = st.integers(1 << 50, (1 << 50) + 9)

    @rule(key=keys, at=moments)
    def set_deadline(self, key, at):
        self.db.data[key] = b"v"
        self.db.set_deadline(key, at)
        self.model[key] = at

    @rule(key=keys)
    def persist(self, key):
        assert self.db.persist(key) == (self.model.pop(key, None) is not None)

    @rule(key=keys)
    def remove(self, key):
        self.db.remove(key)
        self.model.pop(key, None)

    @invariant()
    def finds_the_next(self):
        nearest = min(((at, key) for key, at in self.model.items()), default=None)
        assert self.db.next_deadline() == nearest
        assert len(self.db.deadlines) <= 5 + 2 * 4


TestDeadlines = Deadlines.TestCase
