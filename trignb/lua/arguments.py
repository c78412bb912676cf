"""Arguments of the functions that Redis has in C, and their errors.

A text names the function ``'?'``; Lua puts in the name it was called by.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

__all__ = [
    "ArgumentError",
    "integer",
    "number",
    "numeral",
    "spelled",
    "text_of",
    "to_int32",
    "to_int64",
    "type_name",
]

# What C's strtod takes for a number, with blanks around it.
_NUMERAL: Final = re.compile(
    rb"[ \t\n\v\f\r]*[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
    rb"|(?i:inf(?:inity)?|nan))[ \t\n\v\f\r]*"
)


# lupa's classes for what has no type in Python.
_TYPES: Final = {
    "_LuaTable": "table",
    "_LuaFunction": "function",
    "_LuaCoroutineFunction": "thread",
    "_LuaThread": "thread",
}


class ArgumentError(Exception):
    """An argument that is refused; ``str(error)`` is the text."""

    @classmethod
    def bad(cls, position: int, why: str) -> ArgumentError:
        """Return Lua's error of an argument."""
        return cls(f"bad argument #{position} to '?' ({why})")

    @classmethod
    def expected(cls, args: tuple[Any, ...], position: int, kind: str) -> ArgumentError:
        """Return Lua's error of an argument of another type; positions count from 1."""
        got = "no value"
        if position <= len(args):
            got = type_name(args[position - 1])
        return cls.bad(position, f"{kind} expected, got {got}")


def type_name(value: Any) -> str:
    """Return the name of a value's type in Lua."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, bytes):
        return "string"
    return _TYPES.get(type(value).__name__, "userdata")


def numeral(value: Any) -> float | None:
    """Return the number that a value is or spells; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, bytes) and _NUMERAL.fullmatch(value):
        text = value.strip().lower()
        return float(int(text, 16)) if b"x" in text else float(text)
    return None


def number(args: tuple[Any, ...], position: int) -> float:
    """Return an argument as a number; raises ArgumentError."""
    value = numeral(args[position - 1]) if position <= len(args) else None
    if value is None:
        raise ArgumentError.expected(args, position, "number")
    return value


def integer(args: tuple[Any, ...], position: int, default: int | None = None) -> int:
    """Return an argument as C's long, which is `default` where there is none."""
    if default is not None and (position > len(args) or args[position - 1] is None):
        return default
    return to_int64(number(args, position))


def text_of(args: tuple[Any, ...], position: int) -> bytes:
    """Return an argument as a string, numbers included; raises ArgumentError."""
    value = args[position - 1] if position <= len(args) else None
    if isinstance(value, bytes):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return spelled(value)
    raise ArgumentError.expected(args, position, "string")


def spelled(value: float) -> bytes:
    """Return a number as Lua spells it, the sign of what is none included."""
    if value != value and math.copysign(1, value) < 0:
        return b"-nan"
    return b"%.14g" % value


def to_int64(value: float) -> int:
    """Return a number cut as C does on x86: what does not fit is the smallest."""
    if not math.isfinite(value) or not -(2.0**63) <= value < 2.0**63:
        return -(1 << 63)
    return int(value)


def to_int32(value: float) -> int:
    """Return the low 32 bits of a number as C's int."""
    bits = to_int64(value) & 0xFFFFFFFF
    return bits - (1 << 32) if bits & 0x80000000 else bits
