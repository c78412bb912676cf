"""MULTI, EXEC, DISCARD, WATCH, UNWATCH: replies and errors."""

from __future__ import annotations

import contextlib

import pytest

from trignb.errors import ResponseError
from trignb.reply import NULL_ARRAY

ABORTED = "EXECABORT Transaction discarded because of previous errors."

REFUSED = "EXECABORT Transaction discarded because of: "


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


def test_queue_and_run(session):
    assert session.execute("MULTI") == "OK"
    assert session.execute("SET", "k", "1") == "QUEUED"
    assert session.execute("INCR", "k") == "QUEUED"
    assert [argv for _, argv in session.queue] == [
        [b"SET", b"k", b"1"],
        [b"INCR", b"k"],
    ]
    assert session.execute("EXEC") == ["OK", 2]
    assert session.queue is None


def test_an_empty_transaction(session):
    session.execute("MULTI")
    assert session.execute("EXEC") == []


def test_discard(session):
    session.execute("MULTI")
    session.execute("SET", "k", "1")
    assert session.execute("DISCARD") == "OK"
    assert session.execute("EXISTS", "k") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["EXEC"], "ERR EXEC without MULTI"),
        (["DISCARD"], "ERR DISCARD without MULTI"),
        (["MULTI", "x"], "ERR wrong number of arguments for 'multi' command"),
        (["DISCARD", "x"], "ERR wrong number of arguments for 'discard' command"),
        (["WATCH"], "ERR wrong number of arguments for 'watch' command"),
        (["EXEC", "x"], f"{REFUSED}wrong number of arguments for 'exec' command"),
    ],
)
def test_refused_outside(session, words, message):
    assert refused(session, *words) == message


def test_no_second_multi_and_no_watch_inside(session):
    session.execute("MULTI")
    assert refused(session, "MULTI") == "ERR MULTI calls can not be nested"
    assert refused(session, "WATCH", "k") == "ERR WATCH inside MULTI is not allowed"
    session.execute("PING")
    assert session.execute("EXEC") == ["PONG"]


def test_an_exec_with_arguments_ends_the_transaction(session):
    session.execute("MULTI")
    assert refused(session, "EXEC", "x").startswith("EXECABORT")
    assert refused(session, "EXEC") == "ERR EXEC without MULTI"


@pytest.mark.parametrize(
    "words",
    [["NOPE"], ["GET"], ["CONFIG", "NOPE"], ["CONFIG"], ["SET", "k"], ["DISCARD", "x"]],
)
def test_what_cannot_be_queued_fails_the_whole(session, words):
    session.execute("MULTI")
    session.execute("SET", "k", "v")
    refused(session, *words)
    assert refused(session, "EXEC") == ABORTED
    assert session.execute("EXISTS", "k") == 0
    assert session.queue is None


@pytest.mark.parametrize("words", [["DEBUG", "SLEEP", "0"], ["MODULE", "LOAD", "x"]])
def test_what_is_not_enabled_is_not_queued(session, words):
    session.execute("MULTI")
    assert " command not allowed. If the enable-" in refused(session, *words)
    assert refused(session, "EXEC") == ABORTED


def test_errors_of_the_run_do_not_stop_it(session):
    session.execute("MULTI")
    for words in (["SET", "k", "v"], ["LPUSH", "k", "x"], ["APPEND", "k", "w"]):
        session.execute(*words)
    first, second, third = session.execute("EXEC")
    assert (first, third) == ("OK", 2)
    assert str(second).startswith("WRONGTYPE")
    assert second.__traceback__ is None


def test_a_select_stays(session):
    session.execute("MULTI")
    session.execute("SELECT", 3)
    session.execute("SET", "k", "v")
    session.execute("EXEC")
    assert session.db.index == 3
    assert session.execute("GET", "k") == b"v"


def test_commands_that_are_not_queued(session):
    session.execute("MULTI")
    session.execute("SET", "k", "v")
    assert session.execute("RESET") == "RESET"
    assert refused(session, "EXEC") == "ERR EXEC without MULTI"
    session.execute("MULTI")
    assert session.execute("UNWATCH") == "QUEUED"
    assert session.execute("EXEC") == ["OK"]


# -- WATCH


@pytest.mark.parametrize(
    ("fixture", "nothing"), [("session", None), ("session2", NULL_ARRAY)]
)
def test_a_changed_key_stops_exec(request, engine, fixture, nothing):
    session = request.getfixturevalue(fixture)
    session.execute("WATCH", "k", "q")
    engine.execute("SET", "q", "1")
    session.execute("MULTI")
    session.execute("SET", "k", "v")
    assert session.execute("EXEC") is nothing
    session.execute("MULTI")
    session.execute("SET", "k", "v")
    assert session.execute("EXEC") == ["OK"]


def test_a_failed_queue_comes_before_a_broken_watch(engine, session):
    session.execute("WATCH", "k")
    engine.execute("SET", "k", "1")
    session.execute("MULTI")
    refused(session, "NOPE")
    assert refused(session, "EXEC") == ABORTED


@pytest.mark.parametrize("words", [["UNWATCH"], ["DISCARD"], ["EXEC"], ["RESET"]])
def test_what_ends_a_watch(engine, session, words):
    session.execute("WATCH", "k")
    if words[0] in ("DISCARD", "EXEC"):
        session.execute("MULTI")
    session.execute(*words)
    engine.execute("SET", "k", "1")
    session.execute("MULTI")
    assert session.execute("EXEC") == []
    assert engine.core.databases[0].watched == {}


@pytest.mark.parametrize(
    ("words", "breaks"),
    [
        (["SET", "k", "v"], True),
        (["DEL", "k"], True),
        (["EXPIRE", "k", "100"], True),
        (["EXPIRE", "absent", "100"], False),
        (["PERSIST", "k"], False),
        (["GET", "k"], False),
        (["SET", "other", "v"], False),
        (["RENAME", "k", "other"], True),
        (["RENAME", "other", "k"], True),
        (["FLUSHALL"], True),
        (["SWAPDB", "0", "1"], True),
        (["SETRANGE", "k", "0", ""], False),
        (["LPUSH", "k", "wrong type"], False),
    ],
)
@pytest.mark.parametrize("by_oneself", [True, False])
def test_what_breaks_a_watch(engine, session, words, breaks, by_oneself):
    engine.execute("MSET", "k", "v", "other", "w")
    session.execute("WATCH", "k", "absent")
    changer = session if by_oneself else engine
    with contextlib.suppress(ResponseError):
        changer.execute(*words)
    session.execute("MULTI")
    assert (session.execute("EXEC") is None) == breaks


def test_a_watch_is_of_one_database(engine, session):
    session.execute("WATCH", "k")
    engine.execute("SELECT", 1)
    engine.execute("SET", "k", "v")
    session.execute("MULTI")
    assert session.execute("EXEC") == []


def test_a_deadline_that_passed_breaks_a_watch(engine, session):
    engine.core.active_expire = False
    session.execute("SET", "k", "v", "PX", 5)
    session.execute("WATCH", "k")
    engine.clock.advance(1)
    session.execute("MULTI")
    assert session.execute("EXEC") is None


def test_a_key_that_had_expired_before_is_no_change(engine, session):
    engine.core.active_expire = False
    session.execute("SET", "k", "v", "PX", 5)
    engine.clock.advance(1)
    session.execute("WATCH", "k")
    assert engine.execute("GET", "k") is None
    session.execute("MULTI")
    assert session.execute("EXEC") == []
