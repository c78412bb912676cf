"""JSON read as Lua's ``cjson`` reads it: its numbers, its limits, its errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["JsonError", "parse"]


class JsonError(Exception):
    """What cjson raises as a Lua error."""


_BLANK: Final = re.compile(rb"[ \t\r\n]*")
# What C's strtod reads.
_NUMBER: Final = re.compile(
    rb"[+-]?(?:0[xX](?P<hex>[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?\d+)?"
    rb"|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
    rb"|(?i:inf(?:inity)?|nan))"
)
_PLAIN: Final = re.compile(rb'[^"\\]*')
_LITERALS: Final = (
    (b"true", "T_TRUE", True),
    (b"false", "T_FALSE", False),
    (b"null", "T_NULL", None),
)
_PUNCTUATION: Final = {
    ord("{"): "T_OBJ_BEGIN",
    ord("}"): "T_OBJ_END",
    ord("["): "T_ARR_BEGIN",
    ord("]"): "T_ARR_END",
    ord(","): "T_COMMA",
    ord(":"): "T_COLON",
}
_ESCAPES: Final = {
    ord('"'): b'"',
    ord("\\"): b"\\",
    ord("/"): b"/",
    ord("b"): b"\b",
    ord("f"): b"\f",
    ord("n"): b"\n",
    ord("r"): b"\r",
    ord("t"): b"\t",
}
_HEX: Final = re.compile(rb"[0-9a-fA-F]{4}")
_LONGEST_NUMBER: Final = 400


class _Scanner:
    """Goes from token to token: ``kind``, ``value``, and ``start``, where the last one began."""

    def __init__(self, text: bytes, allow_invalid: bool) -> None:
        self.text = text
        self.allow_invalid = allow_invalid
        self.at = 0
        self.start = 0
        self.kind = ""
        self.value: Any = None

    def advance(self) -> None:
        """Read the next token."""
        text = self.text
        blank = _BLANK.match(text, self.at)
        self.at = self.start = blank.end() if blank else self.at
        if self.at >= len(text) or text[self.at] == 0:
            self.kind = "T_END"
            return
        code = text[self.at]
        if code in _PUNCTUATION:
            self.kind = _PUNCTUATION[code]
            self.at += 1
        elif code == 0x22:
            self._string()
        elif code in b"-0123456789" or (code == 0x2B and self.allow_invalid):
            self._number(code)
        else:
            self._word(code)

    def fail(self, expected: str) -> JsonError:
        """Return the error that something else was expected."""
        return JsonError(
            f"Expected {expected} but found {self.kind} at character {self.start + 1}"
        )

    def _number(self, code: int) -> None:
        found = _NUMBER.match(self.text, self.at)
        if not self.allow_invalid and self._is_odd(found):
            found = None
        if found is None:
            self.kind = "invalid number"
            return
        self.kind, self.value, self.at = "T_NUMBER", _to_float(found), found.end()

    def _is_odd(self, found: re.Match[bytes] | None) -> bool:
        """Whether a number is none of JSON's."""
        if found is None:
            return True
        digits = found.group().lstrip(b"+-")
        return (digits[:1] == b"0" and digits[1:2] in _ODD_BEHIND_ZERO) or (
            digits[:1] in b"iInN"
        )

    def _word(self, code: int) -> None:
        for word, kind, value in _LITERALS:
            if self.text.startswith(word, self.at):
                self.kind, self.value = kind, value
                self.at += len(word)
                return
        if self.allow_invalid and code in b"iInN":
            found = _NUMBER.match(self.text, self.at)
            if found is not None:
                self.kind, self.value, self.at = (
                    "T_NUMBER",
                    _to_float(found),
                    found.end(),
                )
                return
        self.kind = "invalid token"

    def _string(self) -> None:
        text, parts = self.text, []
        self.at += 1
        while True:
            plain = _PLAIN.match(text, self.at)
            assert plain is not None
            parts.append(plain.group())
            self.at = plain.end()
            if self.at >= len(text):
                self.kind, self.start = "unexpected end of string", self.at
                return
            if text[self.at] == 0x22:
                self.at += 1
                self.kind, self.value = "T_STRING", b"".join(parts)
                return
            escaped = self._escape()
            if escaped is None:
                self.start = self.at
                return
            parts.append(escaped)

    def _escape(self) -> bytes | None:
        """Return what an escape stands for; None when it is wrong."""
        code = self.text[self.at + 1] if self.at + 1 < len(self.text) else 0
        if code != ord("u"):
            if code not in _ESCAPES:
                self.kind = "invalid escape code"
                return None
            self.at += 2
            return _ESCAPES[code]
        point, size = self._code_point()
        if point is None:
            self.kind = "invalid unicode escape code"
            return None
        self.at += size
        return chr(point).encode("utf-8")

    def _code_point(self) -> tuple[int | None, int]:
        high = self._unit(self.at)
        if high is None or 0xDC00 <= high < 0xE000:
            return None, 0
        if not 0xD800 <= high < 0xDC00:
            return high, 6
        low = self._unit(self.at + 6)
        if low is None or not 0xDC00 <= low < 0xE000:
            return None, 0
        return 0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF), 12

    def _unit(self, at: int) -> int | None:
        if self.text[at : at + 2] != b"\\u":
            return None
        digits = _HEX.match(self.text, at + 2)
        return int(digits.group(), 16) if digits else None


_ODD_BEHIND_ZERO: Final = tuple(b"%c" % code for code in b"xX0123456789")


def _to_float(found: re.Match[bytes]) -> float:
    text = found.group().decode()
    if found.group("hex"):
        try:
            return float.fromhex(text)
        except OverflowError:
            return float("-inf" if text.startswith("-") else "inf")
    return float(text)


class _Container:
    """An array or object that is not complete; its tables are made from the inside out."""

    __slots__ = ("items", "key")

    def __init__(self, items: list[Any] | dict[bytes, Any]) -> None:
        self.items = items
        self.key = b""


def parse(
    text: bytes,
    make_table: Callable[[Any], Any],
    null: Any,
    *,
    allow_invalid: bool,
    deepest: int,
) -> Any:
    """Return the value of a JSON text; raises JsonError."""
    return _Parser(_Scanner(text, allow_invalid), make_table, null, deepest).parse()


class _Parser:
    def __init__(
        self,
        scanner: _Scanner,
        make_table: Callable[[Any], Any],
        null: Any,
        deepest: int,
    ) -> None:
        self.scanner = scanner
        self.make_table = make_table
        self.null = null
        self.deepest = deepest
        self.open: list[_Container] = []

    def parse(self) -> Any:
        self.scanner.advance()
        while True:
            value, complete = self._value()
            while complete:
                if not self.open:
                    return self._end(value)
                complete, value = self._put(value)

    def _end(self, value: Any) -> Any:
        self.scanner.advance()
        if self.scanner.kind != "T_END":
            raise self.scanner.fail("the end")
        return value

    def _value(self) -> tuple[Any, bool]:
        """Take the value that begins at the token; says whether it is complete."""
        scanner = self.scanner
        kind = scanner.kind
        if kind in ("T_STRING", "T_NUMBER", "T_TRUE", "T_FALSE"):
            return scanner.value, True
        if kind == "T_NULL":
            return self.null, True
        if kind not in ("T_ARR_BEGIN", "T_OBJ_BEGIN"):
            raise scanner.fail("value")
        if len(self.open) >= self.deepest:
            raise JsonError(
                f"Found too many nested data structures ({len(self.open) + 1}) at "
                f"character {scanner.at}"
            )
        scanner.advance()
        if kind == "T_ARR_BEGIN":
            if scanner.kind == "T_ARR_END":
                return self.make_table([]), True
            self.open.append(_Container([]))
        else:
            if scanner.kind == "T_OBJ_END":
                return self.make_table({}), True
            self.open.append(_Container({}))
            self._key()
        return None, False

    def _key(self) -> None:
        scanner = self.scanner
        if scanner.kind != "T_STRING":
            raise scanner.fail("object key string")
        self.open[-1].key = scanner.value
        scanner.advance()
        if scanner.kind != "T_COLON":
            raise scanner.fail("colon")
        scanner.advance()

    def _put(self, value: Any) -> tuple[bool, Any]:
        """Put a value where it belongs; says whether that is complete, and returns it."""
        scanner, inner = self.scanner, self.open[-1]
        scanner.advance()
        if isinstance(inner.items, list):
            inner.items.append(value)
            end, name = "T_ARR_END", "array"
        else:
            inner.items[inner.key] = value
            end, name = "T_OBJ_END", "object"
        if scanner.kind == end:
            self.open.pop()
            return True, self.make_table(inner.items)
        if scanner.kind != "T_COMMA":
            raise scanner.fail(f"comma or {name} end")
        scanner.advance()
        if isinstance(inner.items, dict):
            self._key()
        return False, None
