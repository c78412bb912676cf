"""One value as RDB writes it: the payload of DUMP and RESTORE.

A payload is a type byte, the value, and a footer: the RDB version and a CRC-64. Each kind of value adds
one entry to `SAVERS`, by Python type, and one per RDB type it is read from to `LOADERS`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Final

from trignb.datatypes.crc64 import crc64
from trignb.datatypes.hashes import Hash, HashLimits
from trignb.datatypes.listpack import is_int64
from trignb.datatypes.lists import List
from trignb.datatypes.lzf import lzf_compress, lzf_decompress
from trignb.datatypes.packed import (
    pack_intset,
    pack_listpack,
    unpack_intset,
    unpack_listpack,
    unpack_ziplist,
    unpack_zipmap,
)
from trignb.datatypes.rdb_stream import load_stream, save_stream
from trignb.datatypes.sets import Set, SetLimits
from trignb.datatypes.sorted_sets import SortedSet
from trignb.datatypes.stream import Stream
from trignb.datatypes.strings import DecimalText
from trignb.reply import format_double

__all__ = [
    "DEFAULTS",
    "LOADERS",
    "RDB_VERSION",
    "SAVERS",
    "STRING",
    "EmptyValue",
    "Reader",
    "Writer",
    "dump_value",
    "is_intact",
    "load_value",
]

RDB_VERSION: Final = 11

# Version and checksum at the end of a payload.
_FOOTER: Final = 10
# What a score may begin with.
_NUMBER: Final = re.compile(
    rb"[ \t-\r]*[+-]?(?:inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE
)

STRING: Final = 0
LIST: Final = 1
SET: Final = 2
ZSET: Final = 3
HASH: Final = 4
ZSET_2: Final = 5
HASH_ZIPMAP: Final = 9
LIST_ZIPLIST: Final = 10
SET_INTSET: Final = 11
ZSET_ZIPLIST: Final = 12
HASH_ZIPLIST: Final = 13
LIST_QUICKLIST: Final = 14
STREAM: Final = 15
HASH_LISTPACK: Final = 16
ZSET_LISTPACK: Final = 17
LIST_QUICKLIST_2: Final = 18
STREAM_2: Final = 19
SET_LISTPACK: Final = 20
STREAM_3: Final = 21

# What a node of a quicklist holds: one element, or a listpack of them.
_PLAIN_NODE: Final = 1
_PACKED_NODE: Final = 2

_DOUBLE: Final = Struct("<d")
# Lengths of a score's text that stand for a score instead.
_SPECIAL_SCORES: Final = {
    253: float("nan"),
    254: float("inf"),
    255: float("-inf"),
}

Config = Mapping[str, Any]

# The parameters that concern values, by Redis's defaults.
DEFAULTS: Final[Config] = {
    "rdb-version": RDB_VERSION,
    "rdbcompression": True,
    "hash-max-listpack-entries": 512,
    "hash-max-listpack-value": 64,
    "list-max-listpack-size": -2,
    "set-max-intset-entries": 512,
    "set-max-listpack-entries": 128,
    "set-max-listpack-value": 64,
    "zset-max-listpack-entries": 128,
    "zset-max-listpack-value": 64,
}


class EmptyValue(ValueError):
    """A collection without elements, as old versions wrote them by mistake."""


def dump_value(
    value: object, config: Config = DEFAULTS, version: int | None = None
) -> bytes:
    """Return a value's payload, footer included.

    Parameters
    ----------
    value : object
        What the keyspace holds.
    config : mapping
        Parameter names to values, as `trignb.engine.config.Config.values` has them.
    version : int, optional
        The RDB version to keep to, instead of the configuration's: 10 is what Redis 7.0 reads.
    """
    version = version or config["rdb-version"]
    out = Writer(compress=config["rdbcompression"], version=version)
    SAVERS[type(value)](out, value)
    out += version.to_bytes(2, "little")
    return bytes(out) + crc64(out).to_bytes(8, "little")


def is_intact(payload: bytes, *, checks: bool = True) -> bool:
    """Whether version and checksum of a payload are right, or the version only."""
    if len(payload) < _FOOTER:
        return False
    version = int.from_bytes(payload[-_FOOTER:-8], "little")
    checksum = int.from_bytes(payload[-8:], "little")
    if version > RDB_VERSION:
        return False
    return not checks or crc64(payload[:-8]) == checksum


def load_value(payload: bytes, config: Config = DEFAULTS) -> Any:
    """Return the value of a payload, whose footer is not checked.

    A value that ends too early goes on in the footer, as in Redis, which reads on too.

    Raises
    ------
    ValueError
        When it is not the payload of a value (Redis: ``Bad data format``).
    """
    reader = Reader(payload)
    kind = reader.byte()
    if kind not in LOADERS:
        raise ValueError(f"unknown RDB type {kind}")
    return LOADERS[kind](reader, config)


# -- the elements of the format


class Writer(bytearray):
    """What is being written.

    Parameters
    ----------
    compress : bool
        Whether long strings are compressed.
    version : int
        The RDB version to keep to: 10 is what Redis 7.0 reads.
    """

    def __init__(self, *, compress: bool, version: int = RDB_VERSION) -> None:
        super().__init__()
        self.compress = compress
        self.version = version

    def length(self, n: int) -> None:
        """Write a length."""
        if n < 1 << 6:
            self.append(n)
        elif n < 1 << 14:
            self += (0x4000 | n).to_bytes(2, "big")
        elif n < 1 << 32:
            self.append(0x80)
            self += n.to_bytes(4, "big")
        else:
            self.append(0x81)
            self += n.to_bytes(8, "big")

    def string(self, text: bytes | bytearray) -> None:
        """Write a string: as an integer, compressed or plain."""
        if len(text) <= 11 and is_int64(bytes(text)) and self._integer(int(text)):
            return
        if self.compress and len(text) > 20:
            packed = lzf_compress(bytes(text), len(text) - 4)
            if packed is not None:
                self.append(0xC3)
                self.length(len(packed))
                self.length(len(text))
                self += packed
                return
        self.length(len(text))
        self += text

    def _integer(self, value: int) -> bool:
        for code, size in enumerate((1, 2, 4)):
            if -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
                self.append(0xC0 | code)
                self += value.to_bytes(size, "little", signed=True)
                return True
        return False


class Reader:
    """Reads from a payload; every method raises ValueError at its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, n: int) -> bytes:
        """Read so many bytes."""
        start, self.at = self.at, self.at + n
        if self.at > len(self.data):
            raise ValueError("the payload ends too early")
        return self.data[start : self.at]

    def byte(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def length(self) -> int:
        """Read a length; the number of an encoding passes for one, as in Redis."""
        return self._length()[0]

    def _length(self) -> tuple[int, bool]:
        first = self.byte()
        kind, low = first >> 6, first & 0x3F
        if kind == 0:
            return low, False
        if kind == 1:
            return low << 8 | self.byte(), False
        if kind == 3:
            return low, True
        if low > 1:
            raise ValueError("unknown length")
        return int.from_bytes(self.take(8 if low else 4), "big"), False

    def string(self) -> bytes:
        """Read a string."""
        length, is_encoding = self._length()
        if not is_encoding:
            return self.take(length)
        if length < 3:
            return b"%d" % int.from_bytes(self.take(1 << length), "little", signed=True)
        if length == 3:
            packed_size, size = self.length(), self.length()
            packed = self.take(packed_size)
            # Redis's decoder answers 0 when it fails, which is right for no bytes.
            return lzf_decompress(packed, size) if size else b""
        raise ValueError("unknown string encoding")


# -- strings


def _save_string(out: Writer, value: bytes | bytearray) -> None:
    out.append(STRING)
    out.string(value)


def _load_string(reader: Reader, _config: Config) -> bytes:
    return reader.string()


# -- hashes


def _save_hash(out: Writer, value: Hash) -> None:
    if value.is_small:
        out.append(HASH_LISTPACK)
        out.string(pack_listpack(part for pair in value.items() for part in pair))
        return
    out.append(HASH)
    out.length(len(value))
    for field, text in value.items():
        out.string(field)
        out.string(text)


def _load_hash(reader: Reader, config: Config) -> Hash:
    count = reader.length()
    # Not more than the rest can hold, whatever was announced.
    if count > len(reader.data):
        raise ValueError("hash: more fields than bytes")
    elements = [reader.string() for _ in range(2 * count)]
    return _make_hash(elements, config, config["hash-max-listpack-value"])


def _load_zipmap(reader: Reader, config: Config) -> Hash:
    elements = unpack_zipmap(reader.string())
    return _make_hash(elements, config, config["hash-max-listpack-value"])


def _load_packed_hash(
    unpack: Callable[[bytes], list[bytes]],
) -> Callable[[Reader, Config], Hash]:
    # Redis does not measure the values of a hash that comes packed.
    return lambda reader, config: _make_hash(
        unpack(reader.string()), config, sys.maxsize
    )


def _make_hash(elements: list[bytes], config: Config, longest: int) -> Hash:
    if not elements:
        raise EmptyValue("hash: no fields")
    if len(elements) & 1:
        raise ValueError("hash: a field without a value")
    value = Hash()
    value.fill(elements, HashLimits(config["hash-max-listpack-entries"], longest))
    if 2 * len(value) != len(elements):
        raise ValueError("hash: a field is there twice")
    return value


# -- lists


def _save_list(out: Writer, value: List) -> None:
    out.append(LIST_QUICKLIST_2)
    nodes = list(value.nodes())
    out.length(len(nodes))
    for node in nodes:
        out.length(_PACKED_NODE)
        out.string(pack_listpack(node))


def _load_list(reader: Reader, config: Config) -> List:
    return _make_list(_strings(reader, reader.length()), config)


def _load_ziplist(reader: Reader, config: Config) -> List:
    return _make_list(unpack_ziplist(reader.string()), config, is_long=True)


def _load_quicklist(reader: Reader, config: Config) -> List:
    nodes = reader.length()
    elements = []
    for _ in range(nodes):
        elements += unpack_ziplist(reader.string())
    return _make_list(elements, config, is_long=nodes > 1)


def _load_quicklist_2(reader: Reader, config: Config) -> List:
    nodes = reader.length()
    is_long = nodes > 1
    elements = []
    for _ in range(nodes):
        container = reader.length()
        if container not in (_PLAIN_NODE, _PACKED_NODE):
            raise ValueError("list: unknown container")
        blob = reader.string()
        if container == _PLAIN_NODE:
            elements.append(blob)
            is_long = True
        else:
            elements += unpack_listpack(blob)
    return _make_list(elements, config, is_long=is_long)


def _make_list(elements: list[bytes], config: Config, *, is_long: bool = False) -> List:
    """Return a list; what came as several nodes, or in another form, stays a quicklist."""
    if not elements:
        raise EmptyValue("list: no elements")
    fill = config["list-max-listpack-size"]
    return List.loaded_long(fill, elements) if is_long else List(fill, elements)


# -- sets


def _save_set(out: Writer, value: Set) -> None:
    if value.encoding == "intset":
        out.append(SET_INTSET)
        out.string(pack_intset(map(int, value)))
    elif value.encoding == "listpack" and out.version >= RDB_VERSION:
        out.append(SET_LISTPACK)
        out.string(pack_listpack(value))
    else:
        out.append(SET)
        out.length(len(value))
        for member in value:
            out.string(member)


def _load_set(reader: Reader, config: Config) -> Set:
    members = _strings(reader, reader.length())
    return _make_set(members, config, config["set-max-listpack-value"])


def _load_intset(reader: Reader, config: Config) -> Set:
    members = [b"%d" % member for member in unpack_intset(reader.string())]
    return _make_set(members, config, config["set-max-listpack-value"])


def _load_packed_set(reader: Reader, config: Config) -> Set:
    value = _make_set(unpack_listpack(reader.string()), config, sys.maxsize)
    if value.encoding == "intset":
        # It came as text and stays so, integers or not.
        small = len(value) <= config["set-max-listpack-entries"]
        value.encoding = "listpack" if small else "hashtable"
    return value


def _make_set(members: list[bytes], config: Config, longest: int) -> Set:
    entries = config["set-max-intset-entries"], config["set-max-listpack-entries"]
    value = Set(members, SetLimits(*entries, longest))
    if not value:
        raise EmptyValue("set: no members")
    if len(value) != len(members):
        raise ValueError("set: a member is there twice")
    return value


# -- sorted sets


def _save_sorted_set(out: Writer, value: SortedSet) -> None:
    if value.is_small:
        out.append(ZSET_LISTPACK)
        out.string(
            pack_listpack(
                part
                for score, member in value.entries
                for part in (member, format_double(score))
            )
        )
        return
    out.append(ZSET_2)
    out.length(len(value))
    # From the highest score down, as Redis walks its skiplist.
    for score, member in reversed(value.entries):
        out.string(member)
        out += _DOUBLE.pack(score)


def _load_sorted_set(
    read_score: Callable[[Reader], float],
) -> Callable[[Reader, Config], SortedSet]:
    def load(reader: Reader, config: Config) -> SortedSet:
        count = reader.length()
        if count > len(reader.data):
            raise ValueError("zset: more members than bytes")
        pairs = [(reader.string(), read_score(reader)) for _ in range(count)]
        value = _make_sorted_set(pairs)
        value.choose_encoding(
            config["zset-max-listpack-entries"], config["zset-max-listpack-value"]
        )
        return value

    return load


def _read_double(reader: Reader) -> float:
    score: float = _DOUBLE.unpack(reader.take(8))[0]
    return score


def _read_text_score(reader: Reader) -> float:
    size = reader.byte()
    if size in _SPECIAL_SCORES:
        return _SPECIAL_SCORES[size]
    return float(reader.take(size))


def _load_packed_sorted_set(
    unpack: Callable[[bytes], list[bytes]],
) -> Callable[[Reader, Config], SortedSet]:
    def load(reader: Reader, config: Config) -> SortedSet:
        elements = unpack(reader.string())
        if len(elements) & 1:
            raise ValueError("zset: a member without a score")
        scores = map(_leading_number, elements[1::2])
        value = _make_sorted_set(list(zip(elements[::2], scores, strict=True)))
        # Redis does not measure the members of a sorted set that comes packed.
        value.choose_encoding(config["zset-max-listpack-entries"], sys.maxsize)
        return value

    return load


def _leading_number(text: bytes) -> float:
    """Return the number a text begins with, as C reads it; 0 without one."""
    try:
        return float(text)
    except ValueError:
        match = _NUMBER.match(text)
        return float(match[0]) if match else 0.0


def _make_sorted_set(pairs: list[tuple[bytes, float]]) -> SortedSet:
    if any(score != score for _, score in pairs):
        raise ValueError("zset: a score that is no number")
    value = SortedSet(pairs)
    if not value:
        raise EmptyValue("zset: no members")
    if len(value) != len(pairs):
        raise ValueError("zset: a member is there twice")
    return value


# -- streams


def _save_stream(out: Writer, value: Stream) -> None:
    is_new = out.version >= RDB_VERSION
    out.append(STREAM_3 if is_new else STREAM_2)
    save_stream(out, value, 3 if is_new else 2)


def _load_stream(form: int) -> Callable[[Reader, Config], Stream]:
    return lambda reader, _config: load_stream(reader, form)


# -- shared


def _strings(reader: Reader, count: int) -> list[bytes]:
    # Not more than the rest can hold, whatever was announced.
    if count > len(reader.data):
        raise ValueError("more elements than bytes")
    return [reader.string() for _ in range(count)]


# -- who reads and writes what


SAVERS: Final[dict[type, Callable[[Writer, Any], None]]] = {
    bytes: _save_string,
    bytearray: _save_string,
    DecimalText: _save_string,
    Hash: _save_hash,
    List: _save_list,
    Set: _save_set,
    SortedSet: _save_sorted_set,
    Stream: _save_stream,
}

LOADERS: Final[dict[int, Callable[[Reader, Config], Any]]] = {
    STRING: _load_string,
    LIST: _load_list,
    SET: _load_set,
    ZSET: _load_sorted_set(_read_text_score),
    HASH: _load_hash,
    ZSET_2: _load_sorted_set(_read_double),
    HASH_ZIPMAP: _load_zipmap,
    HASH_ZIPLIST: _load_packed_hash(unpack_ziplist),
    HASH_LISTPACK: _load_packed_hash(unpack_listpack),
    LIST_ZIPLIST: _load_ziplist,
    LIST_QUICKLIST: _load_quicklist,
    LIST_QUICKLIST_2: _load_quicklist_2,
    STREAM: _load_stream(1),
    STREAM_2: _load_stream(2),
    STREAM_3: _load_stream(3),
    SET_INTSET: _load_intset,
    SET_LISTPACK: _load_packed_set,
    ZSET_ZIPLIST: _load_packed_sorted_set(unpack_ziplist),
    ZSET_LISTPACK: _load_packed_sorted_set(unpack_listpack),
}
