"""Payloads of lists, sets and sorted sets: read back the same, and what Redis 7.2 wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes import List, Set, SortedSet
from trignb.datatypes.crc64 import crc64
from trignb.datatypes.rdb import DEFAULTS, dump_value, is_intact, load_value

ELEMENTS = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda n: b"%d" % n),
    st.binary(max_size=80),
    st.sampled_from([b"x" * 5000, b"y" * 300]),
)
SCORES = st.floats(allow_nan=False)
# One value of each encoding, longer than the limits for every second.
MANY = st.integers(100, 160)


def sealed(body):
    """Return a payload with the footer it needs."""
    body += (11).to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


@given(st.lists(ELEMENTS, min_size=1, max_size=40))
def test_lists(elements):
    value = List(-2, elements)
    payload = dump_value(value)
    assert is_intact(payload)
    loaded = load_value(payload)
    assert list(loaded) == elements
    assert loaded.encoding == value.encoding


@given(st.lists(ELEMENTS, min_size=1, max_size=40, unique=True), MANY)
def test_sets(members, many):
    for value in (Set(members), Set([b"m%d" % i for i in range(many)] + members)):
        loaded = load_value(dump_value(value))
        assert set(loaded) == set(value)
        assert loaded.encoding == value.encoding


@given(st.sets(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1))
def test_sets_of_integers(members):
    value = Set([b"%d" % member for member in members])
    loaded = load_value(dump_value(value))
    assert set(loaded) == set(value)
    assert loaded.encoding == "intset"


@given(st.dictionaries(ELEMENTS, SCORES, min_size=1, max_size=40), MANY)
def test_sorted_sets(scores, many):
    larger = {b"m%d" % i: i / 7 for i in range(many)} | scores
    for pairs in (scores, larger):
        value = SortedSet(pairs.items())
        loaded = load_value(dump_value(value))
        assert loaded.scores == value.scores
        assert loaded.encoding == value.encoding


def test_long_lists_are_cut_into_nodes_that_a_listpack_may_hold():
    value = List(-2, [b"x" * 62] * 300)
    sizes = [len(node) for node in value.nodes()]
    assert sizes == [127, 127, 46]
    assert [len(node) for node in List(100, [b"x"] * 250).nodes()] == [100, 100, 50]
    assert load_value(dump_value(value)) == value


def test_limits_of_the_configuration_decide_the_encoding():
    config = {**DEFAULTS, "set-max-listpack-entries": 2, "zset-max-listpack-entries": 1}
    assert load_value(dump_value(Set([b"a", b"b"])), config).encoding == "listpack"
    assert load_value(dump_value(Set([b"a", b"b", b"c"])), config).encoding == (
        "hashtable"
    )
    pairs = [(b"a", 1.0), (b"b", 2.0)]
    assert load_value(dump_value(SortedSet(pairs)), config).encoding == "skiplist"
    config = {**DEFAULTS, "list-max-listpack-size": 2}
    assert load_value(dump_value(List(-2, [b"a"] * 3)), config).encoding == "quicklist"


@pytest.mark.parametrize(
    ("payload", "contents"),
    [
        # As redis-server 7.0 dumped them: RPUSH a 1; SADD 2 1; ZADD 1.5 a 2 b, twice.
        ("1201020c0c00000002008161020101ff", [b"a", b"1"]),
        ("0b0c020000000200000001000200", [b"1", b"2"]),
        ("111414000000040081610283312e35048162020201ff", [b"a", b"b"]),
        ("0502016200000000000000400161000000000000f83f", [b"a", b"b"]),
        # 7.2 has sets in listpacks, too.
        ("140d0d0000000200816102816202ff", [b"a", b"b"]),
        # Older versions: a plain list, a plain set, a sorted set with texts as scores.
        ("010201610162", [b"a", b"b"]),
        ("020201610162", [b"a", b"b"]),
        ("030201610131016203322e35", [b"a", b"b"]),
    ],
)
def test_what_redis_wrote(payload, contents):
    assert list(load_value(sealed(bytes.fromhex(payload)))) == contents


@pytest.mark.parametrize(
    "body",
    [
        b"\x01\x00",
        b"\x02\x00",
        b"\x02\x02\x01a\x01a",
        b"\x03\x01\x01a\xfd",
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
        b"\x05\x00",
        b"\x12\x00",
        b"\x12\x01\x03\x01a",
        b"\x12\x01\x02\x01a",
        b"\x01\x80\xff\xff\xff\xff\x01a",
        b"\x0b\x03abc",
    ],
)
def test_what_is_no_value(body):
    with pytest.raises(ValueError, match=r"."):
        load_value(sealed(body))
