"""XINFO: the shape of what it tells, and 7.2's two times of a consumer."""

from __future__ import annotations

import pytest

NOON_MS = 1767268800000


@pytest.fixture
def filled(run):
    for number in (1, 2, 3):
        run(f"XADD k {number}-0 f {number}")
    run("XGROUP CREATE k g 0")
    run("XGROUP CREATECONSUMER k g idler")
    run("XREADGROUP GROUP g c COUNT 2 STREAMS k >")
    return run


def test_stream(filled):
    filled("XDEL k 2-0")
    assert filled("XINFO STREAM k") == {
        b"length": 2,
        b"radix-tree-keys": 1,
        b"radix-tree-nodes": 2,
        b"last-generated-id": b"3-0",
        b"max-deleted-entry-id": b"2-0",
        b"entries-added": 3,
        b"recorded-first-entry-id": b"1-0",
        b"groups": 1,
        b"first-entry": [b"1-0", [b"f", b"1"]],
        b"last-entry": [b"3-0", [b"f", b"3"]],
    }


def test_an_empty_stream(run):
    run("XGROUP CREATE k g $ MKSTREAM")
    info = run("XINFO STREAM k")
    assert (info[b"first-entry"], info[b"last-entry"]) == (None, None)
    assert (info[b"radix-tree-keys"], info[b"radix-tree-nodes"]) == (0, 1)


def test_stream_in_full(filled):
    info = filled("XINFO STREAM k FULL COUNT 1")
    assert info[b"entries"] == [[b"1-0", [b"f", b"1"]]]
    assert info[b"groups"] == [
        {
            b"name": b"g",
            b"last-delivered-id": b"2-0",
            b"entries-read": 2,
            b"lag": 1,
            b"pel-count": 2,
            b"pending": [[b"1-0", b"c", NOON_MS, 1]],
            b"consumers": [
                {
                    b"name": b"c",
                    b"seen-time": NOON_MS,
                    b"active-time": NOON_MS,
                    b"pel-count": 2,
                    b"pending": [[b"1-0", NOON_MS, 1]],
                },
                {
                    b"name": b"idler",
                    b"seen-time": NOON_MS,
                    b"active-time": -1,
                    b"pel-count": 0,
                    b"pending": [],
                },
            ],
        }
    ]
    assert len(filled("XINFO STREAM k FULL COUNT 0")[b"entries"]) == 3


def test_groups(filled):
    filled("XGROUP CREATE k a 2-0")
    first, second = filled("XINFO GROUPS k")
    assert first == {
        b"name": b"a",
        b"consumers": 0,
        b"pending": 0,
        b"last-delivered-id": b"2-0",
        b"entries-read": None,
        b"lag": None,
    }
    assert (second[b"entries-read"], second[b"lag"], second[b"pending"]) == (2, 1, 2)


def test_consumers(filled, engine):
    engine.clock.advance(seconds=2)
    # Tries to read and gets nothing it had not: seen, but not active.
    filled("XREADGROUP GROUP g c STREAMS k 9")
    engine.clock.advance(seconds=1)
    assert filled("XINFO CONSUMERS k g") == [
        {b"name": b"c", b"pending": 2, b"idle": 1000, b"inactive": 3000},
        {b"name": b"idler", b"pending": 0, b"idle": 3000, b"inactive": -1},
    ]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("STREAM none", "ERR no such key"),
        (
            "STREAM s",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("CONSUMERS k none", "NOGROUP No such consumer group 'none' for key name 'k'"),
        ("STREAM k FULL COUNT x", "ERR value is not an integer or out of range"),
        (
            "STREAM k FULL COUNT",
            (
                "ERR unknown subcommand or wrong number of arguments for 'STREAM'. "
                "Try XINFO HELP."
            ),
        ),
        (
            "STREAM k HALF",
            (
                "ERR unknown subcommand or wrong number of arguments for 'STREAM'. "
                "Try XINFO HELP."
            ),
        ),
    ],
)
def test_refused(filled, command, error):
    filled("SET s v")
    assert str(filled(f"XINFO {command}")) == error


def test_help(run):
    for name in ("XINFO", "XGROUP"):
        lines = run(f"{name} HELP")
        assert lines[0].startswith(f"{name} <subcommand>")
        assert lines[-2:] == ["HELP", "    Prints this help."]
