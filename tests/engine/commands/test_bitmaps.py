"""SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP, BITFIELD; replies as redis-server gives them."""

from __future__ import annotations

import pytest

NOT_AN_INTEGER = "ERR value is not an integer or out of range"
BAD_OFFSET = "ERR bit offset is not an integer or out of range"
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.fixture
def text(run):
    run("SET s foobar")
    run("RPUSH l 1")
    return run


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("BITCOUNT s", 26),
        ("BITCOUNT s 0 0", 4),
        ("BITCOUNT s 1 1 BYTE", 6),
        ("BITCOUNT s 5 30 bit", 17),
        ("BITCOUNT s -2 -1", 7),
        ("BITCOUNT s -1 -2", 0),
        ("BITCOUNT s 9 20", 0),
        ("BITCOUNT none", 0),
        ("BITCOUNT s 0", "ERR syntax error"),
        ("BITCOUNT s 0 1 word", "ERR syntax error"),
        ("BITCOUNT l", WRONG_TYPE),
        ("BITCOUNT none a 1", 0),
        ("BITPOS none 1 a", -1),
        ("BITPOS s 1", 1),
        ("BITPOS s 0", 0),
        ("BITPOS s 1 2", 17),
        ("BITPOS s 1 7 15 BIT", 9),
        ("BITPOS s 1 8 8 BIT", -1),
        ("BITPOS s 2", "ERR The bit argument must be 1 or 0."),
        ("BITPOS none 0", 0),
        ("BITPOS none 1", -1),
        ("GETBIT s 1", 1),
        ("GETBIT s 1000", 0),
        ("GETBIT s -1", BAD_OFFSET),
        ("GETBIT s 4294967296", BAD_OFFSET),
        ("SETBIT s 1 2", "ERR bit is not an integer or out of range"),
        ("SETBIT l 1 1", WRONG_TYPE),
        ("BITOP nand d s", "ERR syntax error"),
        ("BITOP not d s s", "ERR BITOP NOT must be called with a single source key."),
        ("BITOP and d s l", WRONG_TYPE),
        ("BITFIELD s get u8 #1 get i4 0 get u63 40", [111, 6, 4107282860161892352]),
        ("BITFIELD_RO s get u8 0", [102]),
        (
            "BITFIELD_RO s set u8 0 1",
            "ERR BITFIELD_RO only supports the GET subcommand",
        ),
        ("BITFIELD s overflow half", "ERR Invalid OVERFLOW type specified"),
        ("BITFIELD s get u8", "ERR syntax error"),
        (
            "BITFIELD s get u64 0",
            (
                "ERR Invalid bitfield type. Use something like i16 u8. "
                "Note that u64 is not supported but i64 is."
            ),
        ),
    ],
)
def test_replies(text, command, reply):
    got = text(command)
    assert (str(got) if isinstance(reply, str) else got) == reply


def test_clear_bits_behind_the_end(run):
    run(["SET", "k", b"\xff\xff"])
    assert run("BITPOS k 0") == 16
    assert run("BITPOS k 0 0 -1") == -1
    assert run("BITPOS k 0 2") == -1


def test_setbit_fires_when_something_changed(run):
    assert run("SETBIT k 7 0") == 0
    assert (run.events, run.dirty) == (["new k", "setbit k"], 1)
    assert run("SETBIT k 7 0") == 0
    assert (run.events, run.effects, run.dirty) == ([], [], 0)
    assert run("SETBIT k 8 0") == 0
    assert run.events == ["setbit k"]
    assert run("GET k") == bytes(2)


def test_setbit_keeps_the_deadline(run):
    run("SET k a EX 100")
    run("SETBIT k 6 1")
    assert run("TTL k") == 100
    assert run("GET k") == b"c"


def test_bitop_replaces_or_deletes(run):
    run("SET a abc")
    run("SET b x")
    run("RPUSH d 1")
    assert run("BITOP OR d a b") == 3
    assert (run.events, run.dirty) == (["set d"], 1)
    assert run("GET d") == b"ybc"
    assert run("BITOP AND d none") == 0
    assert run.events == ["keymiss none", "del d"]


def test_bitfield_overflow(run):
    run("BITFIELD k set u2 100 3")
    command = (
        "incrby u2 100 1 overflow sat incrby u2 102 5 overflow fail incrby u2 102 1"
    )
    assert run(f"BITFIELD k {command}") == [0, 3, None]
    assert (run.events, run.dirty) == (["setbit k"], 2)
    assert run("BITFIELD k set i8 0 -200") == [0]
    assert run("BITFIELD k get i8 0") == [56]


def test_bitfield_that_fails_leaves_a_key_behind(run):
    assert run("BITFIELD k overflow fail incrby u2 0 5") == [None]
    assert (run.events, run.effects, run.dirty) == (["new k"], [], 0)
    assert run("STRLEN k") == 1
