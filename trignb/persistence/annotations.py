r"""What an append-only file holds that a plain redis-server has no command for.

Lines that begin with ``#`` are annotations: redis-server 7 reads over them wherever a command may begin,
inside MULTI too, if they have less than 1024 bytes. So libraries and stream positions are lines such as ::

    #trignb: _rg_internals.update_stream_last_read_id lib trigger stream 1526919030474 55

Words are quoted as in an inline command. What is too long for a line goes on in the next: all lines but
the last begin with ``#trignb+``. ``trignb-libraries`` and a JSON text is what RDB files have under that name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from trignb.resp.inline import split_inline

__all__ = ["LAST", "LONGEST_LINE", "MORE", "annotate", "read_annotation"]

MORE: Final = b"#trignb+"
LAST: Final = b"#trignb:"

# With its line end; redis-server refuses longer ones.
LONGEST_LINE: Final = 1023
_PIECE: Final = 900

_PLAIN: Final = frozenset(range(33, 127)) - frozenset(b"\"'\\")
_NAMED: Final = {9: b"\\t", 10: b"\\n", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}
_QUOTED: Final = [
    _NAMED.get(byte) or (bytes([byte]) if 32 <= byte < 127 else b"\\x%02x" % byte)
    for byte in range(256)
]


def annotate(args: Iterable[bytes]) -> bytes:
    """Return the lines for a command."""
    text = b" " + b" ".join(map(_spelled, args))
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    lines = [b"%b%b\r\n" % (MORE, piece) for piece in pieces[:-1]]
    lines.append(b"%b%b\r\n" % (LAST, pieces[-1]))
    return b"".join(lines)


def read_annotation(text: bytes) -> list[bytes] | None:
    """Return the command in the joined text of its lines, None for what is none."""
    return split_inline(text) or None


def _spelled(word: bytes) -> bytes:
    if word and _PLAIN.issuperset(word):
        return word
    return b'"%b"' % b"".join([_QUOTED[byte] for byte in word])
