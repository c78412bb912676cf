"""Payloads of DUMP: what Redis writes is what we write, and what it reads we read."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes import Hash, HashLimits
from trignb.datatypes.crc64 import crc64
from trignb.datatypes.lzf import lzf_compress, lzf_decompress
from trignb.datatypes.packed import (
    pack_intset,
    pack_listpack,
    unpack_intset,
    unpack_listpack,
    unpack_ziplist,
    unpack_zipmap,
)
from trignb.datatypes.rdb import (
    DEFAULTS,
    RDB_VERSION,
    dump_value,
    is_intact,
    load_value,
)

INTEGERS = st.integers(-(2**63), 2**63 - 1).map(b"%d".__mod__)
RUNS = st.lists(
    st.tuples(st.binary(min_size=1, max_size=6), st.integers(1, 60)), max_size=6
).map(lambda runs: b"".join(text * times for text, times in runs))
TEXTS = st.one_of(st.binary(max_size=40), INTEGERS, RUNS)


def make_hash(elements, limits=None):
    value = Hash()
    value.fill(elements, limits or HashLimits())
    return value


def with_footer(body):
    body += RDB_VERSION.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


# -- round trips


@given(TEXTS)
def test_strings_come_back(text):
    assert load_value(dump_value(text)) == text
    assert load_value(dump_value(bytearray(text))) == text


@given(st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=8), st.booleans())
def test_hashes_come_back(fields, is_small):
    limits = HashLimits() if is_small else HashLimits(0, 0)
    value = make_hash([part for pair in fields.items() for part in pair], limits)
    again = load_value(dump_value(value))
    assert list(again.items()) == list(value.items())
    assert type(again) is Hash


def test_compression_can_be_off():
    config = {**DEFAULTS, "rdbcompression": False}
    assert b"abc" * 20 in dump_value(b"abc" * 20, config)
    assert b"abc" * 20 not in dump_value(b"abc" * 20)


def test_a_loaded_hash_takes_the_limits_of_today():
    value = make_hash([b"a", b"1", b"b", b"2"])
    config = {"hash-max-listpack-entries": 1, "hash-max-listpack-value": 64}
    assert load_value(dump_value(value), config).encoding == "hashtable"


# -- the frame


def test_the_checksum_is_that_of_redis():
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"") == 0


def test_footer():
    payload = dump_value(b"v")
    assert payload[-10:-8] == b"\x0b\x00"
    assert is_intact(payload)
    assert not is_intact(payload[:-1])
    assert not is_intact(b"")
    assert not is_intact(bytes([payload[0] ^ 1]) + payload[1:])
    newer = payload[:-10] + (RDB_VERSION + 1).to_bytes(2, "little")
    assert not is_intact(newer + crc64(newer).to_bytes(8, "little"))


# -- what older versions wrote


def test_a_hash_in_a_ziplist():
    body = b"\x00\x01a\x03\xf6\x03\xc0\x39\x30\x04\xfe\xff\xff"
    ziplist = (len(body) + 10).to_bytes(4, "little") + bytes(4) + b"\x04\x00" + body
    assert unpack_ziplist(ziplist) == [b"a", b"5", b"12345", b"-1"]
    payload = with_footer(b"\x0d" + bytes([len(ziplist)]) + ziplist)
    assert load_value(payload) == {b"a": b"5", b"12345": b"-1"}


def test_a_hash_in_a_zipmap():
    zipmap = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02worldxx\xff"
    assert unpack_zipmap(zipmap) == [b"foo", b"bar", b"hello", b"world"]
    payload = with_footer(b"\x09" + bytes([len(zipmap)]) + zipmap)
    assert load_value(payload) == {b"foo": b"bar", b"hello": b"world"}


# -- packed values


@given(st.lists(TEXTS | st.binary(min_size=4090, max_size=4100), max_size=8))
def test_listpacks_come_back(elements):
    assert unpack_listpack(pack_listpack(elements)) == elements


@given(st.sets(st.integers(-(2**63), 2**63 - 1)))
def test_intsets_come_back(members):
    assert unpack_intset(pack_intset(members)) == sorted(members)


@given(RUNS)
def test_lzf_comes_back(text):
    packed = lzf_compress(text, len(text))
    if packed is not None:
        assert len(packed) <= len(text)
        assert lzf_decompress(packed, len(text)) == text


# -- damage


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x63",
        b"\x00\x0fabc",
        b"\x00\xc4",
        b"\x00\xc3\x02\x10\x00a",
        b"\x04\x00",
        b"\x04\x02\x01a\x01b\x01a\x01c",
        b"\x04\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x10\x01\x00",
        b"\x09\x03\x00\x01a",
    ],
)
def test_bad_data(body):
    with pytest.raises(ValueError, match=r"."):
        load_value(with_footer(body))


@given(
    st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
)
def test_damage_is_a_value_error_or_another_value(fields, damage):
    value = make_hash([part for pair in fields.items() for part in pair])
    body = bytearray(dump_value(value)[:-10])
    for at, byte in damage:
        body[at % len(body)] = byte
    with contextlib.suppress(ValueError):
        load_value(with_footer(bytes(body)))


# -- against a real Redis


@pytest.mark.oracle
def test_payloads_are_those_of_redis(oracle):
    choose = random.Random(5)
    client = oracle.connect()

    def text():
        match choose.randrange(4):
            case 0:
                return b"%d" % choose.randint(-(2 ** choose.randrange(64)), 300)
            case 1:
                return bytes(choose.choices(b"abc", k=choose.randrange(400)))
            case 2:
                return bytes(choose.choices(range(256), k=choose.randrange(80)))
        return bytes(choose.choices(range(256), k=5)) * choose.randrange(1, 2000)

    for _ in range(600):
        value = text()
        fields = [text()[:64] for _ in range(2 * choose.randint(1, 9))]
        client.execute("DEL", "dump", "restored")
        client.execute("SET", "dump", value)
        assert client.execute("DUMP", "dump") == dump_value(value)
        client.execute("DEL", "dump")
        client.execute("HSET", "dump", *fields)
        payload = client.execute("DUMP", "dump")
        assert payload == dump_value(make_hash(fields))
        assert is_intact(payload)
        assert load_value(payload) == make_hash(fields)
