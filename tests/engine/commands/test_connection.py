"""AUTH, ECHO, HELLO, PING, QUIT, RESET, SELECT."""

from __future__ import annotations

import pytest

from trignb.errors import ResponseError, SessionClosed
from trignb.reply import to_resp2


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


def test_ping_and_echo(session):
    assert session.execute("PING") == "PONG"
    assert session.execute("PING", "hi") == b"hi"
    assert session.execute("ECHO", "hi") == b"hi"
    assert refused(session, "PING", "a", "b") == (
        "ERR wrong number of arguments for 'ping' command"
    )


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("a", "ERR value is not an integer or out of range"),
        ("01", "ERR value is not an integer or out of range"),
        ("9" * 20, "ERR value is not an integer or out of range"),
        (
            "99999999999",
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        ("16", "ERR DB index is out of range"),
        ("-1", "ERR DB index is out of range"),
    ],
)
def test_select_refused(session, index, message):
    assert refused(session, "SELECT", index) == message


def test_select(session):
    assert session.execute("SELECT", 15) == "OK"
    assert session.db.index == 15


def test_quit_ends_the_session(session):
    assert session.execute("QUIT") == "OK"
    with pytest.raises(SessionClosed):
        session.execute("PING")


# -- HELLO


def test_hello_tells_who_we_are(engine, session):
    reply = session.execute("HELLO")
    assert list(reply) == [
        b"server",
        b"version",
        b"proto",
        b"id",
        b"mode",
        b"role",
        b"modules",
    ]
    assert reply[b"server"] == b"redis"
    assert reply[b"version"] == b"7.2.6"
    assert (reply[b"proto"], reply[b"id"]) == (3, session.id)
    assert (reply[b"mode"], reply[b"role"]) == (b"standalone", b"master")
    assert reply[b"modules"] == engine.execute("MODULE", "LIST")


def test_hello_chooses_the_protocol(session):
    assert session.execute("HELLO", 2)[b"proto"] == 2
    assert session.resp == 2
    assert session.execute("HELLO")[b"proto"] == 2
    assert to_resp2(session.execute("HELLO", 2))[4:6] == [b"proto", 2]


def test_hello_names(session):
    session.execute("HELLO", 3, "SETNAME", "me", "AUTH", "default", "whatever")
    assert session.name == b"me"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("4", "NOPROTO unsupported protocol version"),
        ("1", "NOPROTO unsupported protocol version"),
        ("x", "ERR Protocol version is not an integer or out of range"),
        ("2 FOO", "ERR Syntax error in HELLO option 'FOO'"),
        ("2 AUTH a", "ERR Syntax error in HELLO option 'AUTH'"),
        ("2 setname", "ERR Syntax error in HELLO option 'setname'"),
        (
            "2 AUTH a b",
            "WRONGPASS invalid username-password pair or user is disabled.",
        ),
    ],
)
def test_hello_refused(session, words, message):
    assert refused(session, "HELLO", *words.split()) == message
    assert session.resp == 3


def test_hello_wants_a_decent_name(session):
    assert refused(session, "HELLO", 2, "SETNAME", "a b") == (
        "ERR Client names cannot contain spaces, newlines or special characters."
    )


# -- AUTH

NO_PASSWORD = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x"], NO_PASSWORD),
        (
            ["nobody", "x"],
            "WRONGPASS invalid username-password pair or user is disabled.",
        ),
        (["a", "b", "c"], "ERR syntax error"),
        ([], "ERR wrong number of arguments for 'auth' command"),
    ],
)
def test_auth_refused(session, words, message):
    assert refused(session, "AUTH", *words) == message


def test_any_password_does_where_none_is_set(session):
    assert session.execute("AUTH", "default", "whatever") == "OK"
