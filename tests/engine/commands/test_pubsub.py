"""SUBSCRIBE and its kin: confirmations, RESP2's listening mode, PUBSUB."""

from __future__ import annotations

import pytest

from trignb.errors import ResponseError
from trignb.reply import NO_REPLY


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


@pytest.fixture
def pushed(session):
    """What the session is pushed, confirmations included."""
    messages = []
    session.on_push = messages.append
    return messages


def test_each_name_is_confirmed(session, pushed):
    assert session.execute("SUBSCRIBE", "a", "b", "a") is NO_REPLY
    assert session.execute("PSUBSCRIBE", "p*") is NO_REPLY
    assert session.execute("SSUBSCRIBE", "s") is NO_REPLY
    assert pushed == [
        [b"subscribe", b"a", 1],
        [b"subscribe", b"b", 2],
        [b"subscribe", b"a", 2],
        [b"psubscribe", b"p*", 3],
        [b"ssubscribe", b"s", 1],
    ]


def test_without_a_taker_the_confirmations_are_the_reply(session):
    assert session.execute("SUBSCRIBE", "a") == [b"subscribe", b"a", 1]
    assert session.execute("SUBSCRIBE", "b", "c") == [
        [b"subscribe", b"b", 2],
        [b"subscribe", b"c", 3],
    ]


def test_leaving(session, pushed):
    session.execute("SUBSCRIBE", "a", "b", "c")
    session.execute("PSUBSCRIBE", "p*")
    pushed.clear()
    session.execute("UNSUBSCRIBE", "b", "nobody")
    session.execute("UNSUBSCRIBE")
    session.execute("PUNSUBSCRIBE")
    assert pushed == [
        [b"unsubscribe", b"b", 3],
        [b"unsubscribe", b"nobody", 3],
        [b"unsubscribe", b"a", 2],
        [b"unsubscribe", b"c", 1],
        [b"punsubscribe", b"p*", 0],
    ]


@pytest.mark.parametrize("name", ["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"])
def test_leaving_without_having_come(session2, name):
    assert session2.execute(name) == [name.lower().encode(), None, 0]
    assert session2.execute(name, "x") == [name.lower().encode(), b"x", 0]


# -- a RESP2 listener


@pytest.mark.parametrize("way", ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"])
def test_a_resp2_listener_may_say_little(session2, way):
    session2.execute(way, "c")
    assert refused(session2, "GET", "k") == (
        "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
        "RESET are allowed in this context"
    )
    assert refused(session2, "CLIENT", "ID").startswith("ERR Can't execute 'client|id'")
    assert refused(session2, "NOPE").startswith("ERR unknown command")
    assert session2.execute("PING") == [b"pong", b""]
    assert session2.execute("PING", "hi") == [b"pong", b"hi"]
    assert session2.execute("RESET") == "RESET"
    assert session2.execute("GET", "k") is None


def test_a_resp2_listener_is_free_when_it_has_left_everything(session2):
    session2.execute("SUBSCRIBE", "c")
    session2.execute("PSUBSCRIBE", "p")
    session2.execute("UNSUBSCRIBE")
    assert refused(session2, "GET", "k").startswith("ERR Can't execute")
    session2.execute("PUNSUBSCRIBE")
    assert session2.execute("GET", "k") is None


def test_a_resp3_listener_goes_on(session):
    session.execute("SUBSCRIBE", "c")
    assert session.execute("SET", "k", "v") == "OK"
    assert session.execute("PING") == "PONG"


# -- PUBSUB


def test_pubsub_counts(engine, session):
    other = engine.session()
    session.execute("SUBSCRIBE", "a", "b1")
    other.execute("SUBSCRIBE", "a")
    other.execute("PSUBSCRIBE", "p*", "q*")
    session.execute("PSUBSCRIBE", "p*")
    session.execute("SSUBSCRIBE", "s1")
    assert engine.execute("PUBSUB", "CHANNELS") == [b"a", b"b1"]
    assert engine.execute("PUBSUB", "CHANNELS", "b?") == [b"b1"]
    assert engine.execute("PUBSUB", "NUMSUB", "a", "b1", "c") == [
        b"a",
        2,
        b"b1",
        1,
        b"c",
        0,
    ]
    assert engine.execute("PUBSUB", "NUMSUB") == []
    assert engine.execute("PUBSUB", "NUMPAT") == 2
    assert engine.execute("PUBSUB", "SHARDCHANNELS") == [b"s1"]
    assert engine.execute("PUBSUB", "SHARDCHANNELS", "x*") == []
    assert engine.execute("PUBSUB", "SHARDNUMSUB", "s1") == [b"s1", 1]


@pytest.mark.parametrize("word", ["CHANNELS", "SHARDCHANNELS"])
def test_pubsub_takes_one_pattern(engine, word):
    assert refused(engine, "PUBSUB", word, "a", "b") == (
        f"ERR unknown subcommand or wrong number of arguments for '{word}'. "
        "Try PUBSUB HELP."
    )


def test_pubsub_help(engine):
    lines = engine.execute("PUBSUB", "HELP")
    assert lines[0] == "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    assert lines[-2:] == ["HELP", "    Prints this help."]
    assert "NUMPAT" in lines
