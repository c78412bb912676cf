"""PFADD, PFCOUNT, PFMERGE, PFDEBUG."""

from __future__ import annotations

import pytest


def test_counting(run):
    assert run("PFADD k a b c a") == 1
    assert (run.events, run.dirty) == (["new k", "pfadd k"], 4)
    assert run("PFADD k a b") == 0
    assert (run.events, run.dirty) == ([], 0)
    assert run("PFCOUNT k") == 3
    # The cached count is part of the string, though no event tells of it.
    assert (run.events, run.effects, run.dirty) == ([], ["PFCOUNT k"], 1)
    assert run("PFCOUNT k") == 3
    assert run.dirty == 0


def test_without_elements(run):
    assert [run("PFADD k"), run("PFADD k")] == [1, 0]
    assert run.dirty == 0
    assert run("PFCOUNT k") == 0


def test_merging(run):
    run("PFADD a 1 2")
    run("PFADD b 2 3")
    assert run("PFCOUNT a b none") == 3
    assert run("PFMERGE d a b") == "OK"
    assert run.events == ["keymiss d", "new d", "pfadd d"]
    assert run("PFCOUNT d") == 3
    assert run("PFDEBUG ENCODING d") == "sparse"
    run("PFDEBUG TODENSE a")
    run("PFMERGE d a")
    assert run("PFDEBUG ENCODING d") == "dense"
    assert run("PFCOUNT d") == 3


def test_the_limit_is_configured(run):
    run("CONFIG SET hll-sparse-max-bytes 20")
    run("PFADD k a")
    assert run("PFDEBUG ENCODING k") == "dense"
    assert run("STRLEN k") == 12304


def test_debugging(run):
    run("PFADD k a")
    assert run("PFDEBUG DECODE k") == b"Z:12711 v:2,1 Z:3672"
    registers = run("PFDEBUG GETREG k")
    assert (len(registers), registers[12711], sum(registers)) == (16384, 2, 2)
    assert run.dirty == 1
    assert str(run("PFDEBUG DECODE k")) == "ERR HLL encoding is not sparse"
    assert run("PFDEBUG TODENSE k") == 0


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (
            "PFADD l a",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("PFADD s a", "WRONGTYPE Key is not a valid HyperLogLog string value."),
        ("PFCOUNT s", "WRONGTYPE Key is not a valid HyperLogLog string value."),
        ("PFMERGE d s", "WRONGTYPE Key is not a valid HyperLogLog string value."),
        ("PFCOUNT broken", "INVALIDOBJ Corrupted HLL object detected"),
        ("PFADD broken a", "INVALIDOBJ Corrupted HLL object detected"),
        ("PFCOUNT d broken", "INVALIDOBJ Corrupted HLL object detected"),
        ("PFDEBUG TODENSE broken", "INVALIDOBJ Corrupted HLL object detected"),
        ("PFDEBUG DECODE none", "ERR The specified key does not exist"),
        ("PFDEBUG shake broken", "ERR Unknown PFDEBUG subcommand 'shake'"),
    ],
)
def test_refused(run, command, error):
    run("RPUSH l 1")
    run("SET s text")
    run(["SET", "broken", b"HYLL\x01" + bytes(10) + b"\x80"])
    assert str(run(command)) == error
    assert run.events in ([], ["keymiss d"])


def test_the_self_test(run):
    assert run("PFSELFTEST") == "OK"
