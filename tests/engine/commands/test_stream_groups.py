"""Consumer groups: XGROUP, XREADGROUP, XACK, XPENDING, XCLAIM, XAUTOCLAIM."""

from __future__ import annotations

import pytest

NO_KEY = (
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may "
    "want to use the MKSTREAM option to create an empty stream automatically."
)
NOON_MS = 1767268800000


@pytest.fixture
def group(run):
    """Three entries and a group that has read none."""
    for number in (1, 2, 3):
        run(f"XADD k {number}-0 f {number}")
    run("XGROUP CREATE k g 0")
    return run


@pytest.fixture
def pending(group):
    """Entries 1 and 2 pending with one, 3 with two."""
    group("XREADGROUP GROUP g one COUNT 2 STREAMS k >")
    group("XREADGROUP GROUP g two STREAMS k >")
    return group


def read_ids(reply):
    return {key: [entry[0] for entry in entries] for key, entries in reply.items()}


def owners(run):
    return {
        entry[0].decode(): (entry[1].decode(), entry[3])
        for entry in run("XPENDING k g - + 10")
    }


class TestXgroup:
    def test_create(self, run):
        assert str(run("XGROUP CREATE k g $")) == NO_KEY
        assert run("XGROUP CREATE k g $ MKSTREAM") == "OK"
        assert run.events == ["new k", "xgroup-create k"]
        error = run("XGROUP CREATE k g 0")
        assert str(error) == "BUSYGROUP Consumer Group name already exists"
        assert (run.events, run.dirty) == ([], 0)

    def test_setid(self, group):
        assert group("XGROUP SETID k g 2 ENTRIESREAD 2") == "OK"
        assert group.events == ["xgroup-setid k"]
        reply = group("XREADGROUP GROUP g c STREAMS k >")
        assert read_ids(reply) == {b"k": [b"3-0"]}

    def test_consumers(self, pending):
        assert pending("XGROUP CREATECONSUMER k g three") == 1
        assert pending.events == ["xgroup-createconsumer k"]
        assert pending("XGROUP CREATECONSUMER k g three") == 0
        assert pending("XGROUP DELCONSUMER k g one") == 2
        assert pending.events == ["xgroup-delconsumer k"]
        assert owners(pending) == {"3-0": ("two", 1)}
        assert pending("XGROUP DELCONSUMER k g one") == 0

    def test_destroy(self, pending):
        assert pending("XGROUP DESTROY k g") == 1
        assert pending.events == ["xgroup-destroy k"]
        assert pending("XGROUP DESTROY k g") == 0

    @pytest.mark.parametrize(
        ("command", "error"),
        [
            ("SETID k h 0", "NOGROUP No such consumer group 'h' for key name 'k'"),
            ("SETID none g 0", NO_KEY),
            ("DESTROY none g", NO_KEY),
            (
                "CREATE k h x",
                "ERR Invalid stream ID specified as stream command argument",
            ),
            (
                "CREATE k h 0 ENTRIESREAD -2",
                "ERR value for ENTRIESREAD must be positive or -1",
            ),
            (
                "create k h 0 FAST",
                (
                    "ERR unknown subcommand or wrong number of arguments for 'create'. "
                    "Try XGROUP HELP."
                ),
            ),
            ("SHAKE k", "ERR unknown subcommand 'SHAKE'. Try XGROUP HELP."),
        ],
    )
    def test_refused(self, group, command, error):
        assert str(group(f"XGROUP {command}")) == error


class TestXreadgroup:
    def test_new_entries(self, group):
        reply = group("XREADGROUP GROUP g c COUNT 2 STREAMS k >")
        assert reply == {b"k": [[b"1-0", [b"f", b"1"]], [b"2-0", [b"f", b"2"]]]}
        assert (group.events, group.dirty) == (["xgroup-createconsumer k"], 2)
        claim = (
            "XCLAIM k g c 0 {0} TIME %d RETRYCOUNT 1 FORCE JUSTID LASTID {0}" % NOON_MS
        )
        claims = [claim.format(entry_id) for entry_id in ("1-0", "2-0")]
        assert group.effects == ["MULTI", *claims, "EXEC"]

    def test_without_acknowledging(self, group):
        group("XREADGROUP GROUP g c NOACK STREAMS k >")
        assert group.effects == [
            "MULTI",
            "XGROUP CREATECONSUMER k g c",
            "XGROUP SETID k g 3-0 ENTRIESREAD 3",
            "EXEC",
        ]
        assert group("XPENDING k g") == [0, None, None, None]

    def test_own_history(self, pending):
        pending("XDEL k 1-0")
        reply = pending("XREADGROUP GROUP g one STREAMS k 0")
        assert reply == {b"k": [[b"1-0", None], [b"2-0", [b"f", b"2"]]]}
        assert (pending.events, pending.effects, pending.dirty) == ([], [], 1)
        assert owners(pending)["2-0"] == ("one", 2)
        assert read_ids(pending("XREADGROUP GROUP g two STREAMS k 3-0")) == {b"k": []}

    def test_nothing_new_still_makes_the_consumer(self, run):
        run("XGROUP CREATE k g $ MKSTREAM")
        assert run("XREADGROUP GROUP g c STREAMS k >") is None
        assert run.events == ["xgroup-createconsumer k"]
        assert (run.effects, run.dirty) == ([], 1)

    @pytest.mark.parametrize(
        ("command", "error"),
        [
            (
                "GROUP h c STREAMS k >",
                (
                    "NOGROUP No such key 'k' or consumer group 'h' in XREADGROUP with "
                    "GROUP option"
                ),
            ),
            (
                "COUNT 1 NOACK NOACK STREAMS k >",
                "ERR Missing GROUP option for XREADGROUP",
            ),
            (
                "GROUP g c STREAMS k j >",
                (
                    "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID "
                    "or '>' must be specified."
                ),
            ),
            ("GROUP g c COUNT 1 k >", "ERR syntax error"),
            (
                "GROUP g c STREAMS k $",
                (
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to "
                    "read the history of this consumer by specifying a proper ID, or use "
                    "the > ID to get new messages. The $ ID would just return an empty "
                    "result set."
                ),
            ),
        ],
    )
    def test_refused(self, group, command, error):
        assert str(group(f"XREADGROUP {command}")) == error


class TestXackAndXpending:
    def test_acknowledging(self, pending):
        assert pending("XACK k g 1-0 1-0 9-9 3") == 2
        assert (pending.events, pending.dirty) == ([], 2)
        assert owners(pending) == {"2-0": ("one", 1)}
        assert pending("XACK k none 1-0") == 0

    def test_summary(self, pending):
        consumers = [[b"one", b"2"], [b"two", b"1"]]
        assert pending("XPENDING k g") == [3, b"1-0", b"3-0", consumers]

    def test_entries(self, pending, engine):
        engine.clock.advance(seconds=1)
        assert pending("XPENDING k g 2 + 10") == [
            [b"2-0", b"one", 1000, 1],
            [b"3-0", b"two", 1000, 1],
        ]
        assert pending("XPENDING k g (2-0 + 10 two") == [[b"3-0", b"two", 1000, 1]]
        assert pending("XPENDING k g IDLE 1001 - + 10") == []
        assert len(pending("XPENDING k g IDLE 1000 - + 2")) == 2
        assert pending("XPENDING k g - + 10 nobody") == []

    @pytest.mark.parametrize(
        ("command", "error"),
        [
            ("XPENDING k g - +", "ERR syntax error"),
            ("XPENDING k g IDLE 1 - +", "ERR syntax error"),
            ("XPENDING k g - + x", "ERR value is not an integer or out of range"),
            ("XPENDING k h", "NOGROUP No such key 'k' or consumer group 'h'"),
        ],
    )
    def test_refused(self, pending, command, error):
        assert str(pending(command)) == error


class TestClaiming:
    def test_xclaim(self, pending):
        assert pending("XCLAIM k g three 0 1-0 3-0 9-9") == [
            [b"1-0", [b"f", b"1"]],
            [b"3-0", [b"f", b"3"]],
        ]
        assert (pending.events, pending.dirty) == (["xgroup-createconsumer k"], 3)
        assert pending.effects[1] == (
            f"XCLAIM k g three 0 1-0 TIME {NOON_MS} RETRYCOUNT 2 FORCE JUSTID LASTID 3-0"
        )
        assert owners(pending) == {
            "1-0": ("three", 2),
            "2-0": ("one", 1),
            "3-0": ("three", 2),
        }

    def test_xclaim_options(self, pending):
        assert pending("XCLAIM k g one 0 3-0 JUSTID RETRYCOUNT 7 IDLE 500") == [b"3-0"]
        assert pending("XPENDING k g 3 3 1") == [[b"3-0", b"one", 500, 7]]
        assert pending("XCLAIM k g two 501 3-0") == []
        assert pending.effects == []

    def test_xclaim_by_force(self, group):
        assert group("XCLAIM k g c 0 1-0") == []
        assert group("XCLAIM k g c 0 1-0 9-0 FORCE JUSTID LASTID 2-0") == [b"1-0"]
        assert owners(group) == {"1-0": ("c", 1)}
        assert read_ids(group("XREADGROUP GROUP g c STREAMS k >")) == {b"k": [b"3-0"]}

    def test_xclaim_of_what_is_gone(self, pending):
        pending("XDEL k 1-0")
        assert pending("XCLAIM k g two 0 1-0") == []
        assert list(owners(pending)) == ["2-0", "3-0"]

    def test_xclaim_that_only_moves_the_group(self, group):
        assert group("XCLAIM k g c 0 1-0 LASTID 2-0") == []
        assert group.effects == ["XGROUP SETID k g 2-0 ENTRIESREAD -1"]

    def test_xautoclaim(self, pending):
        pending("XDEL k 2-0")
        reply = pending("XAUTOCLAIM k g three 0 - COUNT 2")
        assert reply == [b"3-0", [[b"1-0", [b"f", b"1"]]], [b"2-0"]]
        assert pending("XAUTOCLAIM k g three 0 3-0 JUSTID") == [b"0-0", [b"3-0"], []]
        assert owners(pending) == {"1-0": ("three", 2), "3-0": ("three", 1)}
        assert pending("XAUTOCLAIM k g one 1 - COUNT 1") == [b"0-0", [], []]

    def test_xautoclaim_looks_at_ten_for_each_it_returns(self, run):
        for number in range(1, 31):
            run(f"XADD k {number}-0 f v")
        run("XGROUP CREATE k g 0")
        run("XREADGROUP GROUP g c STREAMS k >")
        assert run("XAUTOCLAIM k g d 1 - COUNT 2") == [b"21-0", [], []]

    @pytest.mark.parametrize(
        ("command", "error"),
        [
            ("XCLAIM k h c 0 1-0", "NOGROUP No such key 'k' or consumer group 'h'"),
            ("XCLAIM k g c x 1-0", "ERR Invalid min-idle-time argument for XCLAIM"),
            ("XCLAIM k g c 0 1-0 NOW", "ERR Unrecognized XCLAIM option 'NOW'"),
            (
                "XCLAIM k g c 0 1-0 IDLE x",
                "ERR Invalid IDLE option argument for XCLAIM",
            ),
            ("XAUTOCLAIM k h c 0 0", "NOGROUP No such key 'k' or consumer group 'h'"),
            (
                "XAUTOCLAIM k g c x 0",
                "ERR Invalid min-idle-time argument for XAUTOCLAIM",
            ),
            ("XAUTOCLAIM k g c 0 0 COUNT 0", "ERR COUNT must be > 0"),
            ("XAUTOCLAIM k g c 0 0 NOW", "ERR syntax error"),
        ],
    )
    def test_refused(self, pending, command, error):
        assert str(pending(command)) == error
        assert pending.dirty == 0


def test_a_copy_of_the_key_has_its_own_groups(pending):
    pending("COPY k j")
    pending("XACK k g 1-0")
    assert pending("XPENDING j g")[0] == 3
