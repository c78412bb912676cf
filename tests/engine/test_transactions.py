"""A transaction is one unit: its events, its propagation, its records, its counts."""

from __future__ import annotations

import pytest

from trignb.engine.events import ALL


def transact(session, *commands):
    session.execute("MULTI")
    for words in commands:
        session.execute(*words.split())
    return session.execute("EXEC")


def test_events_come_while_it_runs(engine, session):
    heard = []
    engine.core.listen(
        lambda db, _k, event, key: heard.append((db.index, event, key)), ALL
    )
    session.execute("MULTI")
    session.execute("SET", "a", "1")
    session.execute("SELECT", 1)
    session.execute("DEL", "a")
    session.execute("SET", "b", "1")
    assert heard == []
    session.execute("EXEC")
    assert heard == [(0, b"set", b"a"), (1, b"set", b"b")]


def test_nobody_sees_the_middle(engine, session):
    seen = []
    engine.core.listen(lambda *_: seen.append(engine.core.nesting), ALL)
    transact(session, "SET a 1", "SET b 2")
    assert seen == [2, 2]
    assert engine.core.nesting == 0


def test_time_stands_still(engine, session):
    engine.clock.resume()
    stamps = transact(session, "TIME", "TIME", "TIME")
    assert len({tuple(stamp) for stamp in stamps}) == 1


def test_nothing_expires_half_way(engine, session):
    engine.core.active_expire = False
    session.execute("SET", "k", "v", "PX", 10)
    engine.clock.advance(milliseconds=10)
    assert transact(session, "GET k", "GET k") == [b"v", b"v"]
    engine.clock.advance(milliseconds=1)
    assert transact(session, "GET k", "GET k") == [None, None]


def test_blocking_commands_do_not_wait(session):
    assert transact(session, "BLPOP l 0", "RPUSH l 1", "BLPOP l 0") == [
        None,
        1,
        [b"l", b"1"],
    ]


def test_subscribing_inside_is_confirmed_in_the_array(session):
    pushed = []
    session.on_push = pushed.append
    assert transact(session, "SUBSCRIBE c", "PING") == [[b"subscribe", b"c", 1], "PONG"]
    assert pushed == []


def test_the_command_log_has_its_commands(engine, session):
    engine.core.record_commands()
    transact(session, "SET k v", "LPUSH k x")
    records = engine.core.commands.records
    assert [(r.seq, r.args[0], r.in_multi) for r in records] == [
        (1, b"MULTI", False),
        (3, b"SET", True),
        (4, b"LPUSH", True),
        (2, b"EXEC", False),
    ]
    assert records[2].error.startswith("WRONGTYPE")


@pytest.mark.parametrize("secret", ["AUTH x", "CONFIG SET requirepass x"])
def test_the_command_log_keeps_no_passwords(engine, session, secret):
    engine.core.record_commands()
    transact(session, secret)
    assert all(b"x" not in r.args for r in engine.core.commands.records)


def test_counts(engine, session):
    transact(session, "SET k v", "LPUSH k x")
    table = engine.core.table
    assert (table[b"SET"].calls, table[b"LPUSH"].calls, table[b"EXEC"].calls) == (
        1,
        1,
        1,
    )
    assert table[b"LPUSH"].failed == 1
    assert engine.core.errors == {"WRONGTYPE": 1}
