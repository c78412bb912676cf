"""XADD, XTRIM, XDEL, XSETID, XLEN, XRANGE and XREVRANGE."""

from __future__ import annotations

import pytest

INVALID = "ERR Invalid stream ID specified as stream command argument"
TOO_SMALL = (
    "ERR The ID specified in XADD is equal or smaller than the target stream top item"
)
NOON_MS = 1767268800000


@pytest.fixture
def five(run):
    """Five entries, 1-1 to 5-1, two in each node."""
    run("CONFIG SET stream-node-max-entries 2")
    for number in range(1, 6):
        run(f"XADD k {number}-1 f {number}")
    return run


def ids(reply):
    return b" ".join(entry[0] for entry in reply).decode()


def test_ids_given_by_the_clock(run):
    assert run("XADD k * f v") == b"%d-0" % NOON_MS
    assert run.effects == [f"XADD k {NOON_MS}-0 f v"]
    assert run.events == ["new k", "xadd k"]
    assert run("XADD k * f v") == b"%d-1" % NOON_MS
    # The clock fell behind: time never goes back in a stream.
    run(f"XADD k {NOON_MS + 5}-18446744073709551615 f v")
    assert run("XADD k * f v") == b"%d-0" % (NOON_MS + 6)


def test_a_rough_trim_goes_by_the_configuration_of_the_moment(run):
    run("CONFIG SET stream-node-max-entries 1")
    for _ in range(600):
        run("XADD k * f v")
    run("XADD k MAXLEN ~ 1 * f v")
    assert run("XLEN k") == 501
    run("CONFIG SET stream-node-max-entries 2")
    run("XADD k MAXLEN ~ 1 * f v")
    assert run("XLEN k") == 302


def test_ids_given_in_part(run):
    assert run("XADD k 0-* f v") == b"0-1"
    assert run("XADD k 5-* f v") == b"5-0"
    assert run("XADD k 5-* f v") == b"5-1"
    assert run.effects == ["XADD k 5-1 f v"]


def test_the_last_id_of_all(run):
    run("XADD k 18446744073709551615-18446744073709551615 f v")
    error = (
        "ERR The stream has exhausted the last possible ID, unable to add more items"
    )
    assert str(run("XADD k * f v")) == error
    run("XADD j 5-18446744073709551615 f v")
    assert str(run("XADD j 5-* f v")) == TOO_SMALL


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("XADD k 1-1 f", "ERR wrong number of arguments for 'xadd' command"),
        ("XADD k MAXLEN 5 * f", "ERR wrong number of arguments for 'xadd' command"),
        ("XADD none 0-0 f v", "ERR The ID specified in XADD must be greater than 0-0"),
        ("XADD k 5-1 f v", TOO_SMALL),
        ("XADD k + f v", INVALID),
        ("XADD k foo f v", INVALID),
        ("XADD k MAXLEN x * f v", "ERR value is not an integer or out of range"),
        ("XADD k MAXLEN -1 * f v", "ERR The MAXLEN argument must be >= 0."),
        (
            "XADD k MAXLEN 1 MINID 1 * f v",
            "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        ),
        (
            "XADD k LIMIT 5 * f v",
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        ),
        (
            "XTRIM k MAXLEN 1 LIMIT 5",
            "ERR syntax error, LIMIT cannot be used without the special ~ option",
        ),
        ("XTRIM k MAXLEN ~ 1 LIMIT -5", "ERR The LIMIT argument must be >= 0."),
        (
            "XTRIM k LIMIT 0",
            "ERR syntax error, XTRIM must be called with a trimming strategy",
        ),
        ("XTRIM k LENGTH 0", "ERR syntax error"),
        ("XDEL k 1-1 x", INVALID),
        ("XRANGE k (+ +", INVALID),
        ("XRANGE k - (0-0", "ERR invalid end ID for the interval"),
        (
            "XRANGE k (18446744073709551615-18446744073709551615 +",
            "ERR invalid start ID for the interval",
        ),
        ("XRANGE k - + COUNT", "ERR syntax error"),
        ("XSETID none 1-1", "ERR no such key"),
        (
            "XSETID k 4-1",
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ),
        (
            "XSETID k 9 MAXDELETEDID 10",
            "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        ),
        ("XSETID k 9 ENTRIESADDED -1", "ERR entries_added must be positive"),
        (
            "XSETID k 9 ENTRIESADDED 4",
            (
                "ERR The entries_added specified in XSETID is smaller than the target stream "
                "length"
            ),
        ),
    ],
)
def test_refused(five, command, error):
    assert str(five(command)) == error
    assert (five.events, five.dirty) == ([], 0)


def test_nomkstream(run):
    assert run("XADD k NOMKSTREAM * f v") is None
    assert run("EXISTS k") == 0


def test_trimming_exactly(five):
    five("XADD k MAXLEN 3 6-1 f v")
    assert five.events == ["xadd k", "xtrim k"]
    assert (five.effects, five.dirty) == (["XADD k MAXLEN 3 6-1 f v"], 1)
    assert ids(five("XRANGE k - +")) == "4-1 5-1 6-1"
    assert five("XTRIM k MINID = 6") == 2
    assert five.dirty == 2


def test_trimming_whole_nodes(five):
    five("XADD k MAXLEN ~ 5 6-1 f v")
    assert five.events == ["xadd k"]
    assert five.effects == ["XADD k MAXLEN = 6 6-1 f v"]
    assert five("XTRIM k MAXLEN ~ 3") == 2
    assert five.effects == ["XTRIM k MAXLEN = 4"]
    assert five("XTRIM k MINID ~ 6") == 2
    assert five.effects == ["XTRIM k MINID = 5-1"]
    assert five("XTRIM k MAXLEN ~ 0 LIMIT 1") == 0
    assert five("XTRIM k MAXLEN ~ 0 LIMIT 2") == 2


def test_an_empty_stream_stays(five):
    assert five("XTRIM k MAXLEN 0") == 5
    assert (five("XLEN k"), five("TYPE k")) == (0, "stream")
    assert five("XRANGE k - +") == []
    five("XADD k 9-1 f v")
    five("XDEL k 9-1")
    assert five.events == ["xdel k"]
    assert five("EXISTS k") == 1


def test_deleting(five):
    assert five("XDEL k 2-1 4-1 2-1 7-7") == 2
    assert (five.events, five.dirty) == (["xdel k"], 2)
    assert ids(five("XRANGE k - +")) == "1-1 3-1 5-1"
    assert five("XDEL k 2-1") == 0
    assert five.effects == []
    assert str(five("XSETID k 3-1")).endswith(
        "smaller than current max_deleted_entry_id"
    )


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("XRANGE k - + COUNT 2", "1-1 2-1"),
        ("XRANGE k 2 4", "2-1 3-1 4-1"),
        ("XRANGE k (2-1 (4-1", "3-1"),
        ("XRANGE k 2-2 9", "3-1 4-1 5-1"),
        ("XRANGE k 4 2", ""),
        ("XREVRANGE k + - COUNT 2", "5-1 4-1"),
        ("XREVRANGE k 3 2", "3-1 2-1"),
        ("XREVRANGE k (3-1 -", "2-1 1-1"),
        ("XRANGE none - +", ""),
    ],
)
def test_ranges(five, command, found):
    assert ids(five(command)) == found


def test_a_range_of_none(five):
    assert five("XRANGE k - + COUNT 0") is None
    assert five("XRANGE k - + COUNT -3") is None


def test_setid(five):
    assert five("XSETID k 9-9 ENTRIESADDED 20 MAXDELETEDID 7-7") == "OK"
    assert (five.events, five.dirty) == (["xsetid k"], 1)
    assert five("XADD k 9-* f v") == b"9-10"
    info = five("XINFO STREAM k")
    assert (info[b"entries-added"], info[b"max-deleted-entry-id"]) == (21, b"7-7")
