"""Values a key can hold. They know nothing of keys, events or replies.

Strings are ``bytes``, or ``bytearray`` once they were changed in place (`DecimalText` where INCRBYFLOAT gave a whole number). A value is kept in the keyspace as it
is, without a wrapper, and told apart by ``type(value) is …``; `TYPE_NAMES` has each type's name.
"""

from __future__ import annotations

from typing import Final

from trignb.datatypes.hashes import Hash, HashLimits
from trignb.datatypes.lists import List
from trignb.datatypes.sets import Set, SetLimits
from trignb.datatypes.sorted_sets import SortedSet
from trignb.datatypes.stream import Stream
from trignb.datatypes.strings import STRING_TYPES, DecimalText, string_encoding

__all__ = [
    "STRING_TYPES",
    "TYPE_NAMES",
    "DecimalText",
    "Hash",
    "HashLimits",
    "List",
    "Set",
    "SetLimits",
    "SortedSet",
    "Stream",
    "copy_value",
    "string_encoding",
]

TYPE_NAMES: Final[dict[type, str]] = {
    bytes: "string",
    bytearray: "string",
    DecimalText: "string",
    Hash: "hash",
    List: "list",
    Set: "set",
    SortedSet: "zset",
    Stream: "stream",
}


def copy_value(value: object) -> object:
    """Return a value that shares nothing changeable with `value`."""
    return value if type(value) is bytes else value.copy()  # type: ignore[attr-defined]
