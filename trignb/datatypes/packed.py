"""Redis's compact encodings as bytes.

Listpack and intset both ways; ziplist and zipmap, of older versions, only to be read. Every reader
raises ValueError for anything that is not exactly well formed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from struct import Struct
from struct import error as struct_error
from typing import Final

from trignb.datatypes.listpack import is_int64

__all__ = [
    "pack_intset",
    "pack_listpack",
    "unpack_intset",
    "unpack_listpack",
    "unpack_ziplist",
    "unpack_zipmap",
]

_LISTPACK_HEADER: Final = Struct("<IH")
_ZIPLIST_HEADER: Final = Struct("<IIH")
_INTSET_HEADER: Final = Struct("<II")
_END: Final = 0xFF
# What a count field of 16 bits says when the number is larger.
_UNCOUNTED: Final = 0xFFFF

# Listpack integers by encoding byte: bytes that follow.
_LISTPACK_INTEGERS: Final = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}
# The same of a ziplist.
_ZIPLIST_INTEGERS: Final = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}


# -- listpack


def pack_listpack(elements: Iterable[bytes]) -> bytes:
    """Return a listpack; canonical integers among the elements are kept as numbers."""
    out = bytearray(_LISTPACK_HEADER.size)
    count = 0
    for element in elements:
        start = len(out)
        if is_int64(element):
            _pack_integer(out, int(element))
        else:
            _pack_text(out, element)
        out += _way_back(len(out) - start)
        count += 1
    out.append(_END)
    _LISTPACK_HEADER.pack_into(out, 0, len(out), min(count, _UNCOUNTED))
    return bytes(out)


def _pack_integer(out: bytearray, value: int) -> None:
    if 0 <= value <= 127:
        out.append(value)
    elif -4096 <= value <= 4095:
        out += (0xC000 | (value & 0x1FFF)).to_bytes(2, "big")
    else:
        for code, size in _LISTPACK_INTEGERS.items():
            if -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
                out.append(code)
                out += value.to_bytes(size, "little", signed=True)
                return


def _pack_text(out: bytearray, text: bytes) -> None:
    n = len(text)
    if n < 64:
        out.append(0x80 | n)
    elif n < 4096:
        out += (0xE000 | n).to_bytes(2, "big")
    else:
        out.append(0xF0)
        out += n.to_bytes(4, "little")
    out += text


def _way_back(size: int) -> bytes:
    """Return an entry's size as it stands behind the entry, to be read backwards."""
    if size <= 127:
        return bytes((size,))
    groups = (
        2 if size < 16383 else 3 if size < 2097151 else 4 if size < 268435455 else 5
    )
    marked = [(size >> 7 * k) & 127 | 128 for k in range(groups - 1)]
    return bytes((size >> 7 * (groups - 1), *reversed(marked)))


def unpack_listpack(blob: bytes, *, counted: bool = True) -> list[bytes]:
    """Return the elements of a listpack; where it is not `counted` its count may lie."""
    total, count = _header(_LISTPACK_HEADER, blob)
    if total != len(blob) or blob[-1] != _END:
        raise ValueError("listpack: wrong length")
    try:
        elements = list(_listpack_entries(blob))
    except IndexError:
        raise ValueError("listpack: ends within an entry") from None
    if counted and count not in (len(elements), _UNCOUNTED):
        raise ValueError("listpack: another number of elements was announced")
    return elements


def _listpack_entries(blob: bytes) -> Iterator[bytes]:
    i, last = _LISTPACK_HEADER.size, len(blob) - 1
    while i != last:
        start, code = i, blob[i]
        if code < 0x80:
            element, i = b"%d" % code, i + 1
        elif code < 0xC0:
            element, i = _slice(blob, i + 1, code & 0x3F)
        elif code < 0xE0:
            value = (code & 0x1F) << 8 | blob[i + 1]
            element, i = b"%d" % (value - (value >> 12 << 13)), i + 2
        elif code < 0xF0:
            element, i = _slice(blob, i + 2, (code & 0x0F) << 8 | blob[i + 1])
        elif code == 0xF0:
            element, i = _slice(
                blob, i + 5, int.from_bytes(blob[i + 1 : i + 5], "little")
            )
        elif code in _LISTPACK_INTEGERS:
            element, i = _integer(blob, i + 1, _LISTPACK_INTEGERS[code])
        else:
            raise ValueError("listpack: unknown entry")
        back, i = _slice(blob, i, len(_way_back(i - start)))
        if back != _way_back(i - len(back) - start):
            raise ValueError("listpack: wrong way back")
        yield element


# -- ziplist and zipmap, before Redis 7


def unpack_ziplist(blob: bytes) -> list[bytes]:
    """Return the elements of a ziplist."""
    total, _, count = _header(_ZIPLIST_HEADER, blob)
    if total != len(blob) or blob[-1] != _END:
        raise ValueError("ziplist: wrong length")
    try:
        elements = list(_ziplist_entries(blob))
    except IndexError:
        raise ValueError("ziplist: ends within an entry") from None
    if count not in (len(elements), _UNCOUNTED):
        raise ValueError("ziplist: another number of elements was announced")
    return elements


def _ziplist_entries(blob: bytes) -> Iterator[bytes]:
    i, last = _ZIPLIST_HEADER.size, len(blob) - 1
    while i != last:
        i += 5 if blob[i] == 0xFE else 1
        code = blob[i]
        if code < 0x40:
            element, i = _slice(blob, i + 1, code)
        elif code < 0x80:
            element, i = _slice(blob, i + 2, (code & 0x3F) << 8 | blob[i + 1])
        elif code < 0xC0:
            element, i = _slice(blob, i + 5, int.from_bytes(blob[i + 1 : i + 5], "big"))
        elif code in _ZIPLIST_INTEGERS:
            element, i = _integer(blob, i + 1, _ZIPLIST_INTEGERS[code])
        elif 0xF1 <= code <= 0xFD:
            element, i = b"%d" % (code - 0xF1), i + 1
        else:
            raise ValueError("ziplist: unknown entry")
        yield element


def unpack_zipmap(blob: bytes) -> list[bytes]:
    """Return fields and values of a zipmap, one after the other."""
    elements: list[bytes] = []
    i = 1
    try:
        while blob[i] != _END:
            size, i = _zipmap_length(blob, i)
            if len(elements) & 1:
                spare = blob[i]
                value, i = _slice(blob, i + 1, size)
                elements.append(value)
                i += spare
            else:
                field, i = _slice(blob, i, size)
                elements.append(field)
    except IndexError:
        raise ValueError("zipmap: ends too early") from None
    if i != len(blob) - 1 or len(elements) & 1:
        raise ValueError("zipmap: wrong length")
    return elements


def _zipmap_length(blob: bytes, i: int) -> tuple[int, int]:
    if blob[i] < 0xFE:
        return blob[i], i + 1
    return int.from_bytes(blob[i + 1 : i + 5], "little"), i + 5


# -- intset


def pack_intset(members: Iterable[int]) -> bytes:
    """Return an intset, its members in ascending order."""
    ordered = sorted(members)
    widest = max((*ordered, *(~m for m in ordered)), default=0)
    size = 2 if widest < 1 << 15 else 4 if widest < 1 << 31 else 8
    body = b"".join(m.to_bytes(size, "little", signed=True) for m in ordered)
    return _INTSET_HEADER.pack(size, len(ordered)) + body


def unpack_intset(blob: bytes) -> list[int]:
    """Return the members of an intset."""
    size, count = _header(_INTSET_HEADER, blob)
    start = _INTSET_HEADER.size
    if size not in (2, 4, 8) or len(blob) != start + size * count:
        raise ValueError("intset: wrong length")
    members = [
        int.from_bytes(blob[i : i + size], "little", signed=True)
        for i in range(start, len(blob), size)
    ]
    if any(a >= b for a, b in pairwise(members)):
        raise ValueError("intset: not in order")
    return members


# -- shared


def _header(layout: Struct, blob: bytes) -> tuple[int, ...]:
    try:
        return layout.unpack_from(blob)
    except struct_error:
        raise ValueError("packed value: too short") from None


def _slice(blob: bytes, start: int, size: int) -> tuple[bytes, int]:
    end = start + size
    if end >= len(blob):
        raise ValueError("packed value: an entry is longer than the rest")
    return blob[start:end], end


def _integer(blob: bytes, start: int, size: int) -> tuple[bytes, int]:
    body, end = _slice(blob, start, size)
    return b"%d" % int.from_bytes(body, "little", signed=True), end
