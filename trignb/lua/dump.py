"""FUNCTION DUMP and FUNCTION RESTORE: the codes of all libraries in one payload."""

from __future__ import annotations

from typing import Final

from trignb.datatypes.crc64 import crc64
from trignb.datatypes.rdb import Reader, Writer, is_intact
from trignb.errors import ResponseError

__all__ = ["dump_functions", "load_functions"]

# The opcode in front of each library's code.
_LIBRARY: Final = 245
_FOOTER: Final = 10


def dump_functions(codes: list[bytes], version: int) -> bytes:
    """Return the payload of libraries, of an RDB version."""
    out = Writer(compress=True)
    for code in codes:
        out.append(_LIBRARY)
        out.string(code)
    out += version.to_bytes(2, "little")
    return bytes(out) + crc64(out).to_bytes(8, "little")


def load_functions(payload: bytes) -> list[bytes]:
    """Return the codes in a payload; raises ResponseError when it is not one."""
    if not is_intact(payload):
        raise ResponseError("ERR DUMP payload version or checksum are wrong")
    reader = Reader(payload[:-_FOOTER])
    codes = []
    try:
        while reader.at < len(reader.data):
            if reader.byte() != _LIBRARY:
                raise ResponseError("ERR given type is not a function")
            codes.append(reader.string())
    except ValueError:
        raise ResponseError("ERR Failed loading functions payload") from None
    return codes
