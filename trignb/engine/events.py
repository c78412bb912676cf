"""Classes of keyspace events and the text of ``notify-keyspace-events``.

See docs/semantics.md, Events.
"""

from __future__ import annotations

from typing import Final

from trignb.errors import ResponseError

__all__ = [
    "ALL",
    "CLASS_LETTERS",
    "EVICTED",
    "EXPIRED",
    "GENERIC",
    "HASH",
    "KEYEVENT",
    "KEYMISS",
    "KEYSPACE",
    "LIST",
    "MODULE",
    "NEW",
    "SET",
    "STREAM",
    "STRING",
    "TRIGGERS",
    "ZSET",
    "format_flags",
    "parse_flags",
]

KEYSPACE: Final = 1 << 0
KEYEVENT: Final = 1 << 1
GENERIC: Final = 1 << 2
STRING: Final = 1 << 3
LIST: Final = 1 << 4
SET: Final = 1 << 5
HASH: Final = 1 << 6
ZSET: Final = 1 << 7
EXPIRED: Final = 1 << 8
EVICTED: Final = 1 << 9
STREAM: Final = 1 << 10
KEYMISS: Final = 1 << 11
MODULE: Final = 1 << 13
NEW: Final = 1 << 14

ALL: Final = (
    GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE
)

# What a keyspace trigger hears (docs/semantics.md, Keyspace triggers): all but `new`.
TRIGGERS: Final = ALL | KEYMISS

# In the order in which CONFIG GET spells them.
CLASS_LETTERS: Final = {
    GENERIC: "g",
    STRING: "$",
    LIST: "l",
    SET: "s",
    HASH: "h",
    ZSET: "z",
    EXPIRED: "x",
    EVICTED: "e",
    STREAM: "t",
    MODULE: "d",
    NEW: "n",
    KEYSPACE: "K",
    KEYEVENT: "E",
    KEYMISS: "m",
}

_BITS = {letter: bit for bit, letter in CLASS_LETTERS.items()} | {"A": ALL}


def parse_flags(text: str) -> int:
    """Return the mask that a ``notify-keyspace-events`` value stands for."""
    mask = 0
    for letter in text:
        if letter not in _BITS:
            raise ResponseError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        mask |= _BITS[letter]
    return mask


def format_flags(mask: int) -> str:
    """Spell a mask as CONFIG GET does; ``A`` swallows ``n``, as in Redis."""
    out = []
    if mask & ALL == ALL:
        out.append("A")
        hidden = ALL | NEW
    else:
        hidden = 0
    for bit, letter in CLASS_LETTERS.items():
        if mask & bit and not bit & hidden:
            out.append(letter)
    return "".join(out)
