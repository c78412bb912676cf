"""Reading arguments the way Redis reads them, with Redis's error text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isinf
from typing import Final, NamedTuple

from trignb.errors import ResponseError

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "MPop",
    "encode_args",
    "not_an_integer",
    "parse_limit",
    "parse_mpop",
    "syntax_error",
    "to_float",
    "to_int",
    "to_int32",
    "unknown_command",
    "unknown_subcommand",
    "wrong_arity",
    "wrong_type",
]

INT32_MIN: Final = -(1 << 31)
INT32_MAX: Final = (1 << 31) - 1
INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1

_FLOAT = re.compile(
    rb"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?"
    rb"|0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?\d+)?)",
    re.IGNORECASE,
)
# Decimals this short are neither too large nor too small for a double.
_PLAIN_LENGTH: Final = 300
# So much of arguments is shown in errors.
_SHOWN: Final = 128


class MPop(NamedTuple):
    """What LMPOP, ZMPOP and their waiting forms ask for."""

    keys: list[bytes]
    from_first_end: bool
    amount: int


def encode_args(args: Iterable[object]) -> list[bytes]:
    """Return a command's arguments as bytes.

    ``str`` is sent as UTF-8, ``int`` in decimal, ``float`` as the shortest text that reads
    back the same; anything else is refused, as a silent ``str()`` would store nonsense.

    Raises
    ------
    TypeError
        For bool, None and every other type.
    """
    out = []
    for arg in args:
        kind = type(arg)
        if kind is str:
            out.append(arg.encode("utf-8", "surrogateescape"))  # type: ignore[attr-defined]
        elif kind is bytes:
            out.append(arg)
        else:
            out.append(_encode_other(arg))
    if not out:
        raise TypeError("a command needs at least its name")
    return out


def _encode_other(arg: object) -> bytes:
    if isinstance(arg, bool) or arg is None:
        raise TypeError(f"{arg!r} is not a command argument; say what to send")
    if isinstance(arg, (bytes, bytearray, memoryview)):
        return bytes(arg)
    if isinstance(arg, str):
        return str.encode(arg, "utf-8", "surrogateescape")
    if isinstance(arg, int):
        return b"%d" % arg
    if isinstance(arg, float):
        return repr(float(arg)).removesuffix(".0").encode()
    raise TypeError(f"{type(arg).__name__} is not a command argument")


def to_int(text: bytes | bytearray, error: str | None = None) -> int:
    """Return the integer Redis reads: decimal, canonical, within 64 bits."""
    try:
        value = int(text)
    except ValueError:
        raise ResponseError(error) if error else not_an_integer() from None
    # int() takes blanks, signs and underscores that Redis refuses.
    if b"%d" % value != text or not INT64_MIN <= value <= INT64_MAX:
        raise ResponseError(error) if error else not_an_integer()
    return value


def to_int32(text: bytes, error: str | None = None) -> int:
    """Return an integer of 32 bits, which database numbers are."""
    value = to_int(text, error)
    if not INT32_MIN <= value <= INT32_MAX:
        raise ResponseError(
            error
            or f"ERR value is out of range, value must between {INT32_MIN} and {INT32_MAX}"
        )
    return value


def to_float(
    text: bytes | bytearray, error: str = "ERR value is not a valid float"
) -> float:
    """Return the double Redis reads: no blanks, hexadecimal and infinities allowed, no NaN."""
    # The usual way: nothing that has to be looked at, and too short to be out of range.
    if text.replace(b".", b"", 1).isdigit() and len(text) < _PLAIN_LENGTH:
        return float(text)
    if _FLOAT.fullmatch(text) is None:
        raise ResponseError(error)
    try:
        value = float.fromhex(text.decode()) if b"x" in text.lower() else float(text)
    except OverflowError:
        raise ResponseError(error) from None
    if (value == 0 or isinf(value)) and not _means(text, value):
        raise ResponseError(error)
    return value


def _means(text: bytes | bytearray, value: float) -> bool:
    """Whether a text says zero or infinity, not a number too small or too large."""
    number = text.lower().lstrip(b"+-")
    if value:
        return number.startswith(b"i")
    is_hexadecimal = number.startswith(b"0x")
    mantissa = number[2 * is_hexadecimal :].partition(b"p" if is_hexadecimal else b"e")
    return not mantissa[0].strip(b"0.")


def parse_mpop(args: list[bytes], at: int, ends: tuple[bytes, bytes]) -> MPop:
    """Read ``numkeys key … END [COUNT n]``, END being one of two words in upper case."""
    keys, rest = _counted_keys(args, at)
    if not rest or rest[0].upper() not in ends:
        raise syntax_error()
    count = 1
    if len(rest) > 1:
        if len(rest) != 3 or rest[1].upper() != b"COUNT":
            raise syntax_error()
        positive = "ERR count should be greater than 0"
        count = to_int(rest[2], positive)
        if count <= 0:
            raise ResponseError(positive)
    return MPop(keys, rest[0].upper() == ends[0], count)


def _counted_keys(args: list[bytes], at: int) -> tuple[list[bytes], list[bytes]]:
    positive = "ERR numkeys should be greater than 0"
    number = to_int(args[at], positive)
    if number <= 0:
        raise ResponseError(positive)
    after = at + 1 + number
    return args[at + 1 : after], args[after:]


def parse_limit(rest: list[bytes]) -> int:
    """Read ``[LIMIT n]`` behind the keys of SINTERCARD and ZINTERCARD; 0 is no limit."""
    limit = 0
    while rest:
        if rest[0].upper() != b"LIMIT" or len(rest) < 2:
            raise syntax_error()
        negative = "ERR LIMIT can't be negative"
        limit = to_int(rest[1], negative)
        if limit < 0:
            raise ResponseError(negative)
        rest = rest[2:]
    return limit


def not_an_integer() -> ResponseError:
    """Return the error for a malformed integer."""
    return ResponseError("ERR value is not an integer or out of range")


def syntax_error() -> ResponseError:
    """Return the error for options that do not fit together."""
    return ResponseError("ERR syntax error")


def wrong_type() -> ResponseError:
    """Return the error for a key that holds another type."""
    return ResponseError(
        "WRONGTYPE Operation against a key holding the wrong kind of value"
    )


def wrong_arity(name: str) -> ResponseError:
    """Return the error for a wrong number of arguments."""
    return ResponseError(f"ERR wrong number of arguments for '{name}' command")


# -- names that are none


def unknown_command(args: list[bytes]) -> str:
    """Return the error for a name that no command has, with what came behind it."""
    shown = b""
    for arg in args[1:]:
        if len(shown) >= _SHOWN:
            break
        shown += b"'%b' " % _printable(arg, _SHOWN - len(shown))
    name, given = _as_text(_printable(args[0], _SHOWN)), _as_text(shown)
    return f"ERR unknown command '{name}', with args beginning with: {given}"


def unknown_subcommand(container: str, args: list[bytes]) -> str:
    """Return the error for a subcommand that a container does not have."""
    given = _as_text(_printable(args[1], _SHOWN))
    return f"ERR unknown subcommand '{given}'. Try {container.upper()} HELP."


def _printable(arg: bytes, limit: int) -> bytes:
    """Return so much of an argument as an error shows; C's texts end at a zero byte."""
    text = arg[:limit].partition(b"\0")[0]
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


def _as_text(shown: bytes) -> str:
    # Bytes that are no text go over the wire as they came.
    return shown.decode("utf-8", "surrogateescape")
