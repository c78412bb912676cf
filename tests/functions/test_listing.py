"""TFUNCTION LIST: options, levels, shapes."""

from __future__ import annotations

import pytest

from functions.libraries import error_of, listed
from trignb.reply import to_resp2

ALL_KINDS = """redis.registerFunction('f', () => 1, {
    description: 'd', flags: ['raw-arguments', 'no-writes', 'allow-oom', 'no-writes']});
redis.registerAsyncFunction('a', async () => 1);
redis.registerClusterFunction('c', async () => 1);
redis.registerKeySpaceTrigger('k', 'pre', () => 1, {description: 'kd'});
redis.registerStreamTrigger('s', 'str', () => 1, {window: 3, isStreamTrimmed: true});"""

LEVEL_0 = {
    b"engine": b"js",
    b"api_version": b"1.0",
    b"name": b"lib",
    b"pending_jobs": 0,
    b"user": b"default",
    b"functions": [b"f", b"a"],
    b"keyspace_triggers": [b"k"],
    b"stream_triggers": [b"s"],
    b"cluster_functions": [b"c"],
    b"configuration": None,
    b"pending_async_calls": [],
}


@pytest.fixture
def library(load):
    return load(ALL_KINDS)


def test_level_0(engine, library) -> None:
    (reply,) = listed(engine)
    assert list(reply.items()) == sorted(LEVEL_0.items())


def test_level_1(engine, library) -> None:
    for words in (["VERBOSE"], ["v"], ["V"]):
        (reply,) = listed(engine, *words)
        assert reply[b"functions"] == [
            {
                b"description": b"d",
                b"flags": [b"no-writes", b"allow-oom", b"raw-arguments"],
                b"is_async": False,
                b"name": b"f",
            },
            {b"description": None, b"flags": [], b"is_async": True, b"name": b"a"},
        ]
        (trigger,) = reply[b"keyspace_triggers"]
        assert trigger[b"last_error"] is None
        # The original's by name, then what the seed page spells otherwise and we add.
        assert list(trigger)[:9] == sorted(list(trigger)[:9])
        assert list(trigger)[9:] == [
            b"num_triggered",
            b"last_exection_time",
            b"total_exection_time",
            b"avg_exection_time",
            b"prefix",
        ]
        assert (trigger[b"description"], trigger[b"prefix"]) == (b"kd", b"pre")
        assert reply[b"stream_triggers"] == [
            {
                b"description": None,
                b"name": b"s",
                b"prefix": b"str",
                b"trim": True,
                b"window": 3,
            }
        ]


@pytest.mark.parametrize("words", [["vv"], ["vvv"], ["v", "verbose"], ["v"] * 5])
def test_levels_add_up(engine, library, words) -> None:
    (reply,) = listed(engine, *words)
    assert list(reply[b"stream_triggers"][0]) == [
        b"description",
        b"name",
        b"prefix",
        b"streams",
        b"trim",
        b"window",
    ]


def test_options(engine, load) -> None:
    first = load("redis.registerFunction('f', () => 1);", name="one")
    load("redis.registerFunction('f', () => 1);", name="two", config={"a": 1})
    assert [lib[b"name"] for lib in listed(engine)] == [b"one", b"two"]
    assert [lib[b"name"] for lib in listed(engine, "library", "two")] == [b"two"]
    assert [
        lib[b"name"] for lib in listed(engine, "LIBRARY", "x", "LIBRARY", "one")
    ] == [b"one"]
    assert listed(engine, "LIBRARY", "ONE") == []
    assert listed(engine, "WITHCODE")[0][b"code"] == first.code.encode()
    assert listed(engine)[1][b"configuration"] == b'{"a": 1}'


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([b"\xff"], "Binary option is not allowed"),
        (["LIBRARY"], "Library name was not given"),
        (["LIBRARY", b"\xff"], "Library name is not a string"),
        (["VVVV"], "Unknown option 'vvvv'"),
        (["v", "Foo"], "Unknown option 'foo'"),
    ],
)
def test_refused(engine, words, text) -> None:
    assert error_of(engine.execute, "TFUNCTION", "LIST", *words) == text


def test_resp2(engine, library) -> None:
    (flat,) = to_resp2(engine.execute("TFUNCTION", "LIST", "v"))
    assert flat[:2] == [b"api_version", b"1.0"]
    assert flat[flat.index(b"functions") + 1][0] == [
        *(b"description", b"d", b"flags"),
        [b"no-writes", b"allow-oom", b"raw-arguments"],
        *(b"is_async", 0, b"name", b"f"),
    ]
