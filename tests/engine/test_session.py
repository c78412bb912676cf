"""A client's state: protocol, gates, authentication, replies left out, the end."""

from __future__ import annotations

import threading
import time

import pytest

import trignb
from trignb.errors import EngineClosed, ResponseError, SessionClosed
from trignb.reply import NO_REPLY, NULL_ARRAY


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


def test_a_plain_session_has_nothing_in_its_way(session):
    assert session.intercept is None
    assert (session.db.index, session.queue, session.resp, session.name) == (
        0,
        None,
        3,
        b"",
    )
    assert repr(session) == f"<Session {session.id} db=0 RESP3>"


def test_null_arrays_follow_the_protocol(session, session2):
    assert session.null_array is None
    assert session2.null_array is NULL_ARRAY
    session2.execute("HELLO", 3)
    assert session2.null_array is None


def test_push_messages_wait_where_nobody_takes_them(session):
    session.execute("SUBSCRIBE", "c")
    session.execute("PUBLISH", "c", "m")
    assert list(session.inbox) == [[b"message", b"c", b"m"]]
    heard = []
    session.on_push = heard.append
    session.execute("PUBLISH", "c", "n")
    assert heard == [[b"message", b"c", b"n"]]


# -- gates


def test_gates_are_asked_and_sessions_are_rearmed(engine, session):
    asked = []
    engine.core.gates.append(lambda _s, command, _args: asked.append(command.name))
    engine.core.rearm_sessions()
    session.execute("SET", "k", "v")
    engine.core.gates.clear()
    engine.core.rearm_sessions()
    session.execute("GET", "k")
    assert asked == ["set"]
    assert session.intercept is None


def test_a_gate_that_refuses_fails_the_transaction(engine, session):
    def gate(s, command, _args):
        if command.name == "set":
            raise s.refuse(command, "OOM no room")

    session.execute("MULTI")
    engine.core.gates.append(gate)
    assert refused(session, "SET", "k", "v") == "OOM no room"
    assert refused(session, "EXEC").startswith("EXECABORT")
    assert engine.core.table[b"SET"].rejected == 1


# -- authentication


@pytest.fixture
def locked():
    with trignb.Engine(requirepass="secret") as engine:
        yield engine


def test_a_password_is_asked_for(locked):
    session = locked.session()
    assert refused(session, "GET", "k") == "NOAUTH Authentication required."
    assert refused(session, "PING") == "NOAUTH Authentication required."
    assert refused(session, "AUTH", "wrong") == (
        "WRONGPASS invalid username-password pair or user is disabled."
    )
    assert session.execute("AUTH", "secret") == "OK"
    assert session.execute("GET", "k") is None
    assert session.intercept is None


def test_a_user_may_be_named(locked):
    session = locked.session()
    assert refused(session, "AUTH", "nobody", "secret").startswith("WRONGPASS")
    assert session.execute("AUTH", "default", "secret") == "OK"


def test_hello_authenticates(locked):
    session = locked.session(resp=2)
    assert refused(session, "HELLO", 3).startswith("NOAUTH HELLO must be called with")
    assert session.resp == 2
    reply = session.execute("HELLO", 3, "AUTH", "default", "secret", "SETNAME", "me")
    assert (reply[b"proto"], session.name) == (3, b"me")


def test_what_a_stranger_may_do(locked):
    for words in (["QUIT"], ["RESET"]):
        assert locked.session().execute(*words) in ("OK", "RESET")
    session = locked.session()
    assert refused(session, "EXEC") == (
        "EXECABORT Transaction discarded because of: NOAUTH Authentication required."
    )


def test_a_new_password_concerns_new_sessions(engine, session):
    session.execute("CONFIG", "SET", "requirepass", "p")
    assert session.execute("PING") == "PONG"
    assert refused(engine.session(), "PING") == "NOAUTH Authentication required."
    session.execute("CONFIG", "SET", "requirepass", "")
    assert engine.session().execute("PING") == "PONG"


# -- replies left out


def test_replies_off_and_on(session):
    assert session.execute("CLIENT", "REPLY", "OFF") is NO_REPLY
    assert session.execute("SET", "k", "v") is NO_REPLY
    assert session.execute("NOPE") is NO_REPLY
    assert session.execute("GET") is NO_REPLY
    assert session.execute("LPUSH", "k", "v") is NO_REPLY
    assert session.execute("CLIENT", "REPLY", "SKIP") is NO_REPLY
    assert session.execute("PING") is NO_REPLY
    assert session.execute("CLIENT", "REPLY", "ON") == "OK"
    assert session.execute("GET", "k") == b"v"
    assert session.intercept is None


@pytest.mark.parametrize("words", [["PING"], ["NOPE"], ["GET"], ["LPUSH", "s", "x"]])
def test_one_reply_is_skipped(session, words):
    session.execute("SET", "s", "v")
    assert session.execute("CLIENT", "REPLY", "SKIP") is NO_REPLY
    assert session.execute(*words) is NO_REPLY
    assert session.execute("PING") == "PONG"


def test_push_messages_come_although_replies_do_not(session):
    session.execute("SUBSCRIBE", "c")
    session.execute("CLIENT", "REPLY", "OFF")
    session.execute("PUBLISH", "c", "m")
    assert list(session.inbox) == [[b"message", b"c", b"m"]]


# -- pause


def test_a_paused_writer_waits_and_a_reader_does_not(engine, session):
    session.execute("CLIENT", "PAUSE", 10_000, "WRITE")
    done = []
    writer = threading.Thread(
        target=lambda: done.append(session.execute("SET", "k", "v"))
    )
    writer.start()
    assert engine.execute("GET", "k") is None
    writer.join(0.05)
    assert done == []
    assert engine.execute("CLIENT", "UNPAUSE") == "OK"
    writer.join()
    assert done == ["OK"]
    assert engine.core.gates == []
    assert session.intercept is None


def test_a_transaction_that_writes_waits(engine, session):
    session.execute("MULTI")
    session.execute("GET", "k")
    engine.execute("CLIENT", "PAUSE", 10_000, "WRITE")
    assert session.execute("EXEC") == [None]
    engine.execute("CLIENT", "UNPAUSE")
    session.execute("MULTI")
    session.execute("SET", "k", "v")
    engine.execute("CLIENT", "PAUSE", 30, "WRITE")
    started = time.monotonic()
    assert session.execute("EXEC") == ["OK"]
    assert time.monotonic() - started > 0.02


def test_a_pause_of_everybody_ends_by_itself(engine, session):
    engine.execute("CLIENT", "PAUSE", 30)
    started = time.monotonic()
    assert session.execute("PING") == "PONG"
    assert time.monotonic() - started > 0.02
    assert engine.core.expire_pauses == 0


def test_a_shorter_pause_does_not_shorten(engine):
    engine.execute("CLIENT", "PAUSE", 10_000, "WRITE")
    engine.execute("CLIENT", "PAUSE", 1, "WRITE")
    assert engine.core.pause.is_on
    time.sleep(0.005)
    assert engine.core.pause.is_on
    engine.execute("CLIENT", "UNPAUSE")


def test_nothing_expires_in_a_pause(engine):
    engine.execute("SET", "k", "v", "PX", 5)
    engine.execute("CLIENT", "PAUSE", 10_000, "WRITE")
    engine.clock.freeze(engine.clock.now_ns() // 10**9 + 1)
    assert engine.execute("GET", "k") is None
    assert engine.execute("DBSIZE") == 1
    engine.execute("CLIENT", "UNPAUSE")
    assert engine.execute("GET", "k") is None
    assert engine.execute("DBSIZE") == 0


# -- the end


def test_a_closed_session_refuses_and_leaves_no_trace(engine, session):
    session.execute("SUBSCRIBE", "c")
    session.execute("WATCH", "k")
    session.execute("CLIENT", "TRACKING", "ON")
    session.close()
    session.close()
    with pytest.raises(SessionClosed, match="the session was closed"):
        session.execute("PING")
    assert issubclass(SessionClosed, EngineClosed)
    assert engine.core.pubsub.channels == {}
    assert engine.core.databases[0].watched == {}
    assert engine.core.tracking.sessions == {}
    assert session.id not in engine.core.sessions


def test_a_thread_connects_anew_after_quit(engine):
    first = engine.execute("CLIENT", "ID")
    engine.execute("SELECT", 3)
    assert engine.execute("QUIT") == "OK"
    assert engine.execute("CLIENT", "ID") != first
    assert engine.execute("CLIENT", "INFO").split()[8] == b"db=0"


def test_reset_is_a_new_beginning(session):
    for words in (
        ["SELECT", "4"],
        ["CLIENT", "SETNAME", "me"],
        ["CLIENT", "SETINFO", "LIB-NAME", "lib"],
        ["CLIENT", "NO-TOUCH", "ON"],
        ["CLIENT", "NO-EVICT", "ON"],
        ["CLIENT", "TRACKING", "ON"],
        ["SUBSCRIBE", "c"],
        ["WATCH", "k"],
        ["MULTI"],
        ["RESET"],
    ):
        reply = session.execute(*words)
    assert reply == "RESET"
    assert (session.db.index, session.name, session.resp) == (0, b"", 2)
    assert (session.queue, session.watched, session.channels) == (None, [], {})
    assert (session.no_touch, session.no_evict, session.tracking) == (
        False,
        False,
        None,
    )
    assert session.lib_name == b"lib"
    assert session.intercept is None
