"""The checksum, folded and byte by byte."""

from __future__ import annotations

import random

import pytest

from trignb.datatypes.crc64 import _by_table, crc64


def test_the_value_that_redis_tests_for():
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA


@pytest.mark.parametrize(
    "size", [0, 1, 24_575, 24_576, 24_577, 50_001, 1 << 19, (1 << 19) + 1, 600_001]
)
def test_long_data_is_folded_to_the_same(size):
    data = random.Random(size).randbytes(size)
    assert crc64(data) == _by_table(data, 0)


@pytest.mark.parametrize("cut", [0, 5, 100_000, 199_999])
def test_it_goes_on_where_it_stopped(cut):
    data = random.Random(cut).randbytes(200_000)
    assert crc64(data[cut:], crc64(data[:cut])) == crc64(memoryview(data))
