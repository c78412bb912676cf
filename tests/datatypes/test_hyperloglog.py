"""HyperLogLog: both representations say the same, and the bytes are Redis's."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes import hyperloglog as hll

LIMIT = 3000
SCARCE = st.lists(
    st.tuples(st.integers(0, hll.REGISTERS - 1), st.integers(1, 51)), max_size=40
)


def counted(n, limit=LIMIT):
    value = hll.new()
    for number in range(n):
        hll.add(value, b"%d" % number, limit)
    return value


def test_an_empty_one():
    value = hll.new()
    assert bytes(value) == b"HYLL\x01" + bytes(11) + b"\x7f\xff"
    assert hll.is_hyperloglog(value)
    assert hll.is_sparse(value)
    assert hll.cached_count(value) == hll.count(value) == 0


@pytest.mark.parametrize(
    ("elements", "body"),
    [
        # Read from redis-server 7.0.15.
        ([b"a"], "71a6844e57"),
        ([b"a", b"b", b"c"], "60f38050b1844bfb80425a"),
    ],
)
def test_bytes_of_small_ones(elements, body):
    value = hll.new()
    for element in elements:
        assert hll.add(value, element, LIMIT)
        assert not hll.add(value, element, LIMIT)
    assert value[16:].hex() == body


@pytest.mark.parametrize(
    ("n", "count", "digest"),
    [
        # SHA-1 of GET's reply on redis-server 7.0.15 after PFADD of 0 to n-1.
        (100, 100, "e448ecf5da41d8cbef3dfc98b83246a059f244da"),
        (1000, 1001, "4b303e06b0d6db03a3a76f2ec573cd3e169405e7"),
        (20000, 19891, "f5bf0133470dd1c165f87c4374ce8a022c0b7172"),
    ],
)
def test_bytes_of_larger_ones(n, count, digest):
    value = counted(n)
    assert hll.count(value) == count
    assert hashlib.sha1(bytes(value)).hexdigest() == digest


def test_the_limit_makes_it_dense():
    value = counted(2000)
    assert not hll.is_sparse(value)
    assert len(value) == hll.DENSE_SIZE
    assert hll.to_registers(value) == hll.to_registers(counted(2000, 1 << 20))
    assert hll.is_sparse(counted(2000, 1 << 20))


@given(SCARCE)
def test_both_representations_agree(changes):
    sparse, dense = hll.new(), hll.new()
    hll.densify(dense)
    registers = bytearray(hll.REGISTERS)
    for register, rank in changes:
        raised = bytearray(hll.REGISTERS)
        raised[register] = rank
        for value in (sparse, dense):
            hll.set_registers(value, raised, LIMIT)
        registers[register] = max(registers[register], rank)
    assert hll.to_registers(sparse) == hll.to_registers(dense) == registers
    assert hll.count(sparse) == hll.count(dense) == hll.estimate(registers)


@given(SCARCE, SCARCE)
def test_merge_registers(one, other):
    a, b = bytearray(hll.REGISTERS), bytearray(hll.REGISTERS)
    for changes, registers in ((one, a), (other, b)):
        for register, rank in changes:
            registers[register] = rank
    assert hll.merge_registers(a, b) == bytes(map(max, a, b))


def test_a_string_changed_by_other_means_is_read_anew():
    value = counted(10)
    value[16:] = hll.new()[16:]
    assert hll.add(value, b"0", LIMIT)
    assert [rank for rank, _, _ in hll.decode(value)].count(0) == 2


@pytest.mark.parametrize("body", [b"", b"\x7f\xfe", b"\x7f\xff\x80", b"\x00"])
def test_runs_that_do_not_add_up(body):
    value = hll.new()[:16] + body
    assert hll.is_hyperloglog(value)
    with pytest.raises(hll.CorruptedHyperLogLog):
        hll.to_registers(value)


@pytest.mark.parametrize(
    "value", [b"", b"HYLL", b"HYLL\x02" + bytes(11), b"HYLL\x00" + bytes(12000)]
)
def test_what_is_none(value):
    assert not hll.is_hyperloglog(value)


def test_the_count_in_the_header():
    value = counted(3)
    assert hll.cached_count(value) is None
    hll.store_count(value, 3)
    assert hll.cached_count(value) == 3
