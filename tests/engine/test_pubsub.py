"""Delivery: who hears what, keyspace notifications, what is left when somebody leaves."""

from __future__ import annotations

import pytest

from trignb.engine.events import format_flags, parse_flags


def listen(engine, *words, resp=3):
    session = engine.session(resp=resp)
    heard = []
    session.on_push = heard.append
    session.execute(*words)
    heard.clear()
    return session, heard


def test_a_message_reaches_channels_before_patterns(engine):
    order = []
    _, by_pattern = listen(engine, "PSUBSCRIBE", "c*", "*")
    first, by_channel = listen(engine, "SUBSCRIBE", "c")
    by_pattern_of = [b"pmessage", b"c*", b"c", b"m"], [b"pmessage", b"*", b"c", b"m"]
    first.on_push = lambda message: (
        by_channel.append(message),
        order.append("channel"),
    )
    assert engine.execute("PUBLISH", "c", "m") == 3
    assert by_channel == [[b"message", b"c", b"m"]]
    assert by_pattern == list(by_pattern_of)


def test_one_session_may_hear_a_message_twice(engine):
    session, heard = listen(engine, "SUBSCRIBE", "c")
    session.execute("PSUBSCRIBE", "*")
    heard.clear()
    assert engine.execute("PUBLISH", "c", "m") == 2
    assert len(heard) == 2


def test_shard_channels_are_apart(engine):
    _, plain = listen(engine, "SUBSCRIBE", "c")
    _, shard = listen(engine, "SSUBSCRIBE", "c")
    assert engine.execute("PUBLISH", "c", "m") == 1
    assert engine.execute("SPUBLISH", "c", "s") == 1
    assert (plain, shard) == ([[b"message", b"c", b"m"]], [[b"smessage", b"c", b"s"]])


def test_channels_do_not_belong_to_a_database(engine, session):
    _, heard = listen(engine, "SUBSCRIBE", "c")
    session.execute("SELECT", 7)
    assert session.execute("PUBLISH", "c", "m") == 1
    assert heard


def test_nothing_is_left_of_who_left(engine):
    sessions = [
        listen(engine, "SUBSCRIBE", "a", "b")[0],
        listen(engine, "PSUBSCRIBE", "a*")[0],
        listen(engine, "SSUBSCRIBE", "a")[0],
    ]
    for session in sessions:
        session.close()
    pubsub = engine.core.pubsub
    assert (pubsub.channels, pubsub.patterns, pubsub.shard_channels) == ({}, {}, {})
    assert engine.execute("PUBLISH", "a", "m") == 0


def test_publish_goes_to_replicas_whoever_listens(engine):
    batches = []
    engine.core.sinks.append(batches.append)
    engine.core.sinks_changed()
    engine.execute("PUBLISH", "c", "m")
    engine.execute("SPUBLISH", "c", "m")
    assert [effects[0][1][0] for effects in batches] == [b"PUBLISH", b"SPUBLISH"]


# -- keyspace notifications (docs/semantics.md, Events)


def notifications(engine, flags, pattern="__key*__:*"):
    engine.execute("CONFIG", "SET", "notify-keyspace-events", flags)
    return listen(engine, "PSUBSCRIBE", pattern)[1]


def test_keyspace_comes_before_keyevent(engine):
    heard = notifications(engine, "KEA")
    engine.execute("SET", "k", "v")
    assert [message[2:] for message in heard] == [
        [b"__keyspace@0__:k", b"set"],
        [b"__keyevent@0__:set", b"k"],
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", []),
        ("A", []),
        ("K$", [b"__keyspace@0__:k"]),
        ("E$", [b"__keyevent@0__:set"]),
        ("KEg", []),
        ("Kn", [b"__keyspace@0__:k"]),
        ("KEl$", [b"__keyspace@0__:k", b"__keyevent@0__:set"]),
    ],
)
def test_classes(engine, flags, expected):
    heard = notifications(engine, flags)
    engine.execute("SET", "k", "v")
    assert [message[2] for message in heard] == expected


def test_misses_are_told_only_when_asked_for(engine):
    heard = notifications(engine, "KEA")
    engine.execute("GET", "absent")
    assert heard == []
    heard = notifications(engine, "Em")
    engine.execute("GET", "absent")
    assert heard == [[b"pmessage", b"__key*__:*", b"__keyevent@0__:keymiss", b"absent"]]


def test_the_database_is_the_keys(engine, session):
    heard = notifications(engine, "KEA", "__keyspace@*")
    session.execute("SET", "k", "v")
    heard.clear()
    session.execute("MOVE", "k", "3")
    assert [message[2:] for message in heard] == [
        [b"__keyspace@0__:k", b"move_from"],
        [b"__keyspace@3__:k", b"move_to"],
    ]


def test_keys_are_raw_bytes(engine):
    heard = notifications(engine, "K$")
    engine.execute("SET", b"\xff\r\n", "v")
    assert heard[0][2] == b"__keyspace@0__:\xff\r\n"


def test_turned_off_again(engine):
    heard = notifications(engine, "KEA")
    engine.execute("CONFIG", "SET", "notify-keyspace-events", "")
    engine.execute("SET", "k", "v")
    assert heard == []
    assert engine.core.event_mask == 0


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("", ""),
        ("KEA", "AKE"),
        ("EKg$lshzxetd", "AKE"),
        ("KEg$lshzxet", "g$lshzxetKE"),
        ("KEAmn", "AKEm"),
        ("nnmm", "nm"),
        ("m", "m"),
    ],
)
def test_the_text_of_the_flags(given, shown):
    assert format_flags(parse_flags(given)) == shown
