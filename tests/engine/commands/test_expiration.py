"""EXPIRE and its kin: conditions, limits, what is propagated."""

from __future__ import annotations

import pytest

import trignb

NOON = 1_767_268_800
RANGE = "ERR value is not an integer or out of range"


def run(engine, *commands):
    return [engine.execute(*command.split()) for command in commands][-1]


@pytest.fixture
def sent(engine):
    batches = []
    engine.core.sinks.append(
        lambda batch: batches.append([b" ".join(args).decode() for _, args in batch])
    )
    engine.core.sinks_changed()
    return batches


def test_the_four_ways_to_set_and_to_ask(engine):
    run(engine, "SET k v")
    for command, expected in (
        ("EXPIRE k 100", NOON * 1000 + 100_000),
        ("PEXPIRE k 1500", NOON * 1000 + 1500),
        (f"EXPIREAT k {NOON + 7}", NOON * 1000 + 7000),
        (f"PEXPIREAT k {NOON}999", NOON * 1000 + 999),
    ):
        assert run(engine, command) == 1
        assert run(engine, "PEXPIRETIME k") == expected
    run(engine, "PEXPIRE k 1499")
    assert (run(engine, "TTL k"), run(engine, "PTTL k")) == (1, 1499)
    assert run(engine, "EXPIRETIME k") == NOON + 1
    run(engine, "PEXPIRE k 1500")
    assert (run(engine, "TTL k"), run(engine, "EXPIRETIME k")) == (2, NOON + 2)
    assert run(engine, "PERSIST k") == 1
    assert run(engine, "PERSIST k") == 0
    for command in ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"):
        assert run(engine, f"{command} k") == -1
        assert run(engine, f"{command} none") == -2


@pytest.mark.parametrize(
    ("current", "wanted", "allowed"),
    [
        (None, "NX", True),
        (100, "NX", False),
        (None, "XX", False),
        (100, "XX", True),
        (None, "GT", False),
        (100, "GT", False),
        (99, "gt", True),
        (101, "GT", False),
        (None, "LT", True),
        (100, "LT", False),
        (101, "lt", True),
        (99, "XX LT", False),
        (101, "XX LT", True),
        (None, "XX LT", False),
        (99, "XX GT GT XX", True),
    ],
)
def test_conditions(engine, sent, current, wanted, allowed):
    run(engine, "SET k v")
    if current is not None:
        run(engine, f"EXPIRE k {current}")
    before = run(engine, "TTL k")
    sent.clear()
    assert run(engine, f"EXPIRE k 100 {wanted}") == int(allowed)
    assert run(engine, "TTL k") == (100 if allowed else before)
    expected = [[f"PEXPIREAT k {NOON + 100}000 {wanted}"]] if allowed else []
    assert sent == expected


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("EXPIRE k x", RANGE),
        ("EXPIRE k 1.5", RANGE),
        ("EXPIRE k x FOO", "ERR Unsupported option FOO"),
        (
            "EXPIRE k 1 NX XX",
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        (
            "EXPIRE k 1 GT LT",
            "ERR GT and LT options at the same time are not compatible",
        ),
        (
            "EXPIRE k 9223372036854776",
            "ERR invalid expire time in 'expire' command",
        ),
        (
            "EXPIRE k -9223372036854776",
            "ERR invalid expire time in 'expire' command",
        ),
        (
            "EXPIRE k 9223372036854775",
            "ERR invalid expire time in 'expire' command",
        ),
        (
            "PEXPIRE k 9223372036854775807",
            "ERR invalid expire time in 'pexpire' command",
        ),
        (
            "EXPIREAT k 9223372036854776",
            "ERR invalid expire time in 'expireat' command",
        ),
        ("PEXPIREAT k 9223372036854775808", RANGE),
    ],
)
@pytest.mark.parametrize("setup", ["SET k v", "DEL k"])
def test_errors_come_before_the_key_is_looked_at(engine, setup, command, error):
    run(engine, setup)
    with pytest.raises(trignb.ResponseError) as raised:
        run(engine, command)
    assert str(raised.value) == error


def test_the_latest_moment(engine):
    run(engine, "SET k v", "PEXPIREAT k 9223372036854775807")
    assert run(engine, "PEXPIRETIME k") == 9223372036854775807
    assert run(engine, "EXPIRETIME k") == 9223372036854776
    assert run(engine, "EXPIREAT k 9223372036854775") == 1


@pytest.mark.parametrize(
    "command",
    [
        "EXPIRE k 0",
        "EXPIRE k -1",
        "PEXPIRE k 0",
        "PEXPIRE k -9223372036854775807",
        "EXPIREAT k 1",
        f"PEXPIREAT k {NOON}000",
        "EXPIRE k -1 LT",
    ],
)
def test_a_moment_that_is_over_deletes(engine, sent, command):
    events = []
    engine.core.listen(lambda _db, _kind, event, _key: events.append(event), 0xFFFF)
    run(engine, "SET k v")
    events.clear()
    sent.clear()
    assert run(engine, command) == 1
    assert events == [b"del"]
    assert sent == [["DEL k"]]
    assert run(engine, "EXISTS k") == 0


def test_a_replica_keeps_a_key_whose_moment_is_over(engine):
    run(engine, "SET k v")
    engine.core.is_replica = True
    assert run(engine, "PEXPIREAT k 1") == 1
    engine.core.is_replica = False
    assert run(engine, "DBSIZE") == 1
    assert run(engine, "GET k") is None


def test_what_is_sent_is_absolute(engine, sent):
    run(engine, "SET k v")
    sent.clear()
    run(engine, "EXPIRE k 1", "PEXPIRE k 1", f"expireat k {NOON + 9}")
    run(engine, f"pexpireat k {NOON}500 xx", "PERSIST k")
    assert sent == [
        [f"PEXPIREAT k {NOON + 1}000"],
        [f"PEXPIREAT k {NOON}001"],
        [f"PEXPIREAT k {NOON + 9}000"],
        [f"pexpireat k {NOON}500 xx"],
        ["PERSIST k"],
    ]
