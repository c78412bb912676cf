"""DEBUG DIGEST: twenty bytes that are equal where keyspaces are, by Redis's own sum.

What has an order is mixed into the sum, what has none is only XORed onto it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final

from trignb.datatypes import DecimalText, Hash, List, Set, SortedSet, Stream
from trignb.datatypes.stream import MAX_SEQUENCE
from trignb.doubles import format_number

if TYPE_CHECKING:
    from trignb.engine.database import Database

__all__ = ["dataset_digest", "value_digest"]

_SIZE: Final = 20
_ZERO: Final = bytes(_SIZE)


def _xor(digest: bytes, part: bytes) -> bytes:
    number = int.from_bytes(digest) ^ int.from_bytes(sha1(part).digest())
    return number.to_bytes(_SIZE)


def _mix(digest: bytes, part: bytes) -> bytes:
    return sha1(_xor(digest, part)).digest()


def dataset_digest(databases: Iterable[Database]) -> bytes:
    """Return the digest of all keys, values and numbers of databases."""
    total = _ZERO
    for db in databases:
        if not db.data:
            continue
        total = _mix(total, db.index.to_bytes(4))
        for key, value in db.data.items():
            digest = value_digest(value, key in db.expires, _mix(_ZERO, key))
            total = _xor(total, digest)
    return total


def value_digest(value: object, has_deadline: bool, digest: bytes = _ZERO) -> bytes:
    """Return a value's digest, going on from the one of its key if that belongs to it."""
    number, add = _KINDS[type(value)]
    digest = add(_mix(digest, number.to_bytes(4)), value)
    return _xor(digest, b"!!expire!!") if has_deadline else digest


def _string(digest: bytes, value: bytes | bytearray) -> bytes:
    return _mix(digest, bytes(value))


def _list(digest: bytes, value: List) -> bytes:
    for element in value:
        digest = _mix(digest, element)
    return digest


def _set(digest: bytes, value: Set) -> bytes:
    for member in value:
        digest = _xor(digest, member)
    return digest


def _sorted_set(digest: bytes, value: SortedSet) -> bytes:
    for score, member in value.entries:
        digest = _xor(digest, _mix(_mix(_ZERO, member), format_number(score)))
    return digest


def _hash(digest: bytes, value: Hash) -> bytes:
    for field, text in value.items():
        digest = _xor(digest, _mix(_mix(_ZERO, field), text))
    return digest


def _stream(digest: bytes, value: Stream) -> bytes:
    for entry_id, items in value.range(0):
        name = b"%d.%d" % (entry_id >> 64, entry_id & MAX_SEQUENCE)
        digest = _mix(digest, name)
        for item in items:
            digest = _mix(digest, item)
    return digest


# Redis's number of a type, and what adds a value of it.
_KINDS: Final[dict[type, tuple[int, Callable[[bytes, Any], bytes]]]] = {
    bytes: (0, _string),
    bytearray: (0, _string),
    DecimalText: (0, _string),
    List: (1, _list),
    Set: (2, _set),
    SortedSet: (3, _sorted_set),
    Hash: (4, _hash),
    Stream: (6, _stream),
}
