"""CLIENT: names, the list, ending others, holding them up."""

from __future__ import annotations

import threading
import time

import pytest

import trignb
from trignb.errors import ResponseError, SessionClosed
from trignb.reply import Verbatim


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


def fields(line):
    return dict(item.partition("=")[::2] for item in line.decode().split())


def listed(engine, *words):
    lines = engine.execute("CLIENT", "LIST", *words).splitlines()
    return [int(fields(line)["id"]) for line in lines]


# -- names


def test_name(session):
    assert session.execute("CLIENT", "GETNAME") is None
    assert session.execute("CLIENT", "SETNAME", "me") == "OK"
    assert session.execute("CLIENT", "GETNAME") == b"me"
    session.execute("CLIENT", "SETNAME", "")
    assert session.execute("CLIENT", "GETNAME") is None


@pytest.mark.parametrize("name", ["a b", "a\n", "\x00", "é"])
def test_names_are_printable(session, name):
    assert refused(session, "CLIENT", "SETNAME", name) == (
        "ERR Client names cannot contain spaces, newlines or special characters."
    )


def test_library(session):
    session.execute("CLIENT", "SETINFO", "LIB-NAME", "redis-py")
    session.execute("CLIENT", "SETINFO", "lib-ver", "8.0")
    line = session.execute("CLIENT", "INFO")
    assert line.endswith(b" lib-name=redis-py lib-ver=8.0\n")
    assert refused(session, "CLIENT", "SETINFO", "lib-name", "a b") == (
        "ERR lib-name cannot contain spaces, newlines or special characters."
    )
    assert refused(session, "CLIENT", "SETINFO", "foo", "x") == (
        "ERR Unrecognized option 'foo'"
    )


# -- the list

NAMES = (
    "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem "
    "multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver"
)


def test_a_line(engine, session):
    for words in (
        ["CLIENT", "SETNAME", "me"],
        ["SELECT", "3"],
        ["SUBSCRIBE", "a", "b"],
        ["PSUBSCRIBE", "p"],
        ["SSUBSCRIBE", "s"],
        ["MULTI"],
        ["SET", "k", "v"],
    ):
        session.execute(*words)
    engine.clock.advance(90)
    line = engine.execute("CLIENT", "LIST", "ID", session.id)
    assert isinstance(line, Verbatim)
    found = fields(line)
    assert " ".join(found) == NAMES
    expected = {
        "name": "me",
        "db": "3",
        "sub": "2",
        "psub": "1",
        "ssub": "1",
        "multi": "1",
    }
    expected |= {
        "flags": "Px",
        "age": "90",
        "user": "default",
        "resp": "3",
        "cmd": "set",
    }
    assert {name: found[name] for name in expected} == expected


def test_flags(engine, session):
    session.execute("CLIENT", "NO-EVICT", "ON")
    session.execute("CLIENT", "NO-TOUCH", "ON")
    session.execute("CLIENT", "TRACKING", "ON", "BCAST")
    session.execute("WATCH", "k")
    engine.execute("SET", "k", "v")
    assert fields(session.execute("CLIENT", "INFO"))["flags"] == "tBdeT"
    assert fields(engine.execute("CLIENT", "INFO"))["flags"] == "N"


def test_the_list_can_be_narrowed(engine, session, session2):
    session2.execute("SUBSCRIBE", "c")
    mine = engine.execute("CLIENT", "ID")
    assert listed(engine) == [session.id, session2.id, mine]
    assert listed(engine, "TYPE", "pubsub") == [session2.id]
    assert listed(engine, "type", "NORMAL") == [session.id, mine]
    assert listed(engine, "TYPE", "replica") == []
    assert listed(engine, "ID", mine, session.id, 999) == [session.id, mine]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("x", "ERR syntax error"),
        ("TYPE", "ERR syntax error"),
        ("TYPE foo", "ERR Unknown client type 'foo'"),
        ("ID", "ERR syntax error"),
        ("ID 1 x", "ERR Invalid client ID"),
        ("TYPE normal ID 1", "ERR syntax error"),
    ],
)
def test_the_list_refused(engine, words, message):
    assert refused(engine, "CLIENT", "LIST", *words.split()) == message


# -- KILL


def is_alive(session):
    try:
        session.execute("RESET")
    except SessionClosed:
        return False
    return True


def test_kill_by_address(engine, session):
    address = fields(session.execute("CLIENT", "INFO"))["addr"]
    assert engine.execute("CLIENT", "KILL", address) == "OK"
    assert not is_alive(session)
    assert refused(engine, "CLIENT", "KILL", address) == "ERR No such client"


def test_kill_by_filters(engine):
    a, b, c = (engine.session() for _ in range(3))
    b.execute("SUBSCRIBE", "x")
    address = fields(c.execute("CLIENT", "INFO"))["addr"]
    assert engine.execute("CLIENT", "KILL", "ID", a.id) == 1
    assert engine.execute("CLIENT", "KILL", "ID", a.id) == 0
    assert engine.execute("CLIENT", "KILL", "TYPE", "pubsub") == 1
    assert engine.execute("CLIENT", "KILL", "ADDR", address, "USER", "default") == 1
    assert [is_alive(s) for s in (a, b, c)] == [False, False, False]
    assert engine.core.pubsub.channels == {}


def test_kill_spares_oneself_unless_told(engine, session):
    other = engine.session()
    assert session.execute("CLIENT", "KILL", "LADDR", "in-process:0") == 1
    assert not is_alive(other)
    assert session.execute("CLIENT", "KILL", "SKIPME", "no") == 1
    assert not is_alive(session)


def test_a_blocked_client_is_killed(engine, session):
    failures = []

    def wait():
        try:
            session.execute("BLPOP", "l", "0")
        except trignb.EngineClosed as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while session.id not in engine.core.blocking.sessions:
        time.sleep(0.001)
    assert fields(engine.execute("CLIENT", "LIST", "ID", session.id))["flags"] == "b"
    engine.execute("CLIENT", "KILL", "ID", session.id)
    thread.join()
    assert isinstance(failures[0], SessionClosed)
    engine.execute("RPUSH", "l", "1")
    assert engine.execute("LLEN", "l") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ID", "ERR No such client"),
        ("ID x", "ERR client-id should be greater than 0"),
        ("ID 0", "ERR client-id should be greater than 0"),
        ("TYPE foo", "ERR Unknown client type 'foo'"),
        ("USER nobody", "ERR No such user 'nobody'"),
        ("SKIPME x", "ERR syntax error"),
        ("FOO bar", "ERR syntax error"),
        ("ID 1 2", "ERR syntax error"),
    ],
)
def test_kill_refused(engine, words, message):
    assert refused(engine, "CLIENT", "KILL", *words.split()) == message


# -- UNBLOCK, PAUSE


@pytest.mark.parametrize("reason", [(), ("TIMEOUT",), ("error",)])
def test_unblock(engine, session, reason):
    outcome = []

    def wait():
        try:
            outcome.append(session.execute("BLPOP", "l", "0"))
        except ResponseError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    while not engine.execute("CLIENT", "UNBLOCK", session.id, *reason):
        time.sleep(0.001)
    thread.join()
    error = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
    assert outcome == [error if "error" in reason else None]
    assert engine.execute("CLIENT", "UNBLOCK", session.id) == 0


WRONG = "ERR unknown subcommand or wrong number of arguments for '{}'. Try CLIENT HELP."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("UNBLOCK x", "ERR value is not an integer or out of range"),
        ("UNBLOCK 1 foo", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ("UNBLOCK 1 timeout x", WRONG.format("UNBLOCK")),
        ("PAUSE x", "ERR timeout is not an integer or out of range"),
        ("PAUSE -1", "ERR timeout is negative"),
        ("PAUSE 9223372036854775807", "ERR timeout is out of range"),
        ("PAUSE 1 foo", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
        ("PAUSE 1 all x", WRONG.format("PAUSE")),
        ("NO-EVICT x", "ERR syntax error"),
        ("NO-TOUCH x", "ERR syntax error"),
        ("REPLY x", "ERR syntax error"),
        ("foo", "ERR unknown subcommand 'foo'. Try CLIENT HELP."),
    ],
)
def test_refused(engine, words, message):
    assert refused(engine, "CLIENT", *words.split()) == message


def test_a_pause_of_no_time(engine):
    assert engine.execute("CLIENT", "PAUSE", "0", "WRITE") == "OK"
    assert engine.execute("SET", "k", "v") == "OK"
    assert engine.execute("CLIENT", "UNPAUSE") == "OK"


def test_help(engine):
    lines = engine.execute("CLIENT", "HELP")
    assert lines[0] == "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    assert "TRACKINGINFO" in lines
    assert lines[-1] == "    Prints this help."
