r"""Replies as redis-cli prints them, byte for byte.

`render` gives the bytes redis-cli would write (without the last line feed), `show` the same
for people: what is not UTF-8 appears as ``\xHH``. Where redis-cli leaves the order open (a
plain Python set) ours is sorted, so that a notebook's output does not depend on the hash seed.

Source: observed on redis-cli 7.0; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from trignb.errors import ResponseError
from trignb.reply import (
    BigNumber,
    NoReply,
    NullArray,
    Reply,
    SetReply,
    Verbatim,
    format_double,
    to_resp2,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MODES",
    "Mode",
    "lower",
    "ordered",
    "prints_raw",
    "quote",
    "quote_argument",
    "readable",
    "render",
    "show",
]

Mode: TypeAlias = Literal["standard", "raw", "json", "csv"]
MODES: Final = ("standard", "raw", "json", "csv")

# Replies of these commands are text for people; redis-cli prints them as they are.
_RAW_COMMANDS: Final = frozenset(
    (word, *rest)
    for word, rest in [
        ("info", ()),
        ("lolwut", ()),
        ("client", ("list",)),
        ("client", ("info",)),
        ("cluster", ("info",)),
        ("cluster", ("nodes",)),
        ("debug", ("htstats",)),
        ("debug", ("htstats-key",)),
        ("debug", ("client-eviction",)),
        ("latency", ("doctor",)),
        ("latency", ("graph",)),
        ("memory", ("doctor",)),
        ("memory", ("malloc-stats",)),
    ]
)


def _escapes() -> dict[int, str]:
    table = {code: f"\\x{code:02x}" for code in range(256) if not 32 <= code < 127}
    table |= {ord(char): "\\" + char for char in '"\\'}
    return table | {10: "\\n", 13: "\\r", 9: "\\t", 7: "\\a", 8: "\\b"}


_QUOTED: Final = _escapes()
# The same for text: whatever is not ASCII is decided by `_quote_readable`.
_QUOTED_ASCII: Final = {code: text for code, text in _QUOTED.items() if code < 128}
_JSON: Final = {code: f"\\u{code:04x}" for code in range(32)} | {
    10: "\\n",
    12: "\\f",
    13: "\\r",
    9: "\\t",
    8: "\\b",
    34: '\\"',
    92: "\\\\",
}


# -- strings


def quote(value: bytes, *, utf8: bool = False) -> str:
    r"""Return a string as redis-cli quotes it: ``"caf\xc3\xa9\n"``.

    Parameters
    ----------
    value : bytes
        Any bytes.
    utf8 : bool
        Leave printable characters beyond ASCII readable when the value is UTF-8.
    """
    if utf8 and not value.isascii():
        return f'"{_quote_readable(value)}"'
    return f'"{value.decode("latin-1").translate(_QUOTED)}"'


def _quote_readable(value: bytes) -> str:
    parts = []
    for char in value.decode("utf-8", "surrogateescape"):
        if char.isascii() or char.isprintable():
            parts.append(char.translate(_QUOTED_ASCII))
        else:
            escaped = char.encode("utf-8", "surrogateescape").decode("latin-1")
            parts.append(escaped.translate(_QUOTED))
    return "".join(parts)


def quote_argument(value: bytes) -> str:
    """Return an argument as one would type it: bare if that is safe, else quoted."""
    bare = value.isascii() and value.decode().isprintable()
    if bare and value and not any(char in b" \"'\\" for char in value):
        # A word of braces would be expanded on the way back.
        return value.decode() if b"{{" not in value else f"'{value.decode()}'"
    return quote(value)


def readable(value: bytes) -> str:
    """Return UTF-8 as text, anything else with redis-cli's escapes and no quotes."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return quote(value)[1:-1]


# -- shape


def ordered(value: Reply) -> list[Reply]:
    """Return a set's members in an order that does not change from run to run."""
    if isinstance(value, SetReply):
        return list(value)
    return sorted(value, key=lambda member: _standard(member, b"", utf8=False))


def lower(value: Reply) -> Reply:
    """Return a reply as RESP2 shapes it, sets in a stable order."""
    if isinstance(value, (set, frozenset)):
        return [lower(item) for item in ordered(value)]
    if isinstance(value, dict):
        return [lower(part) for pair in value.items() for part in pair]
    if isinstance(value, (list, tuple)):
        return [lower(item) for item in value]
    return to_resp2(value)


def prints_raw(args: tuple[bytes, ...]) -> bool:
    """Whether redis-cli prints this command's reply unquoted, even in a terminal."""
    words = tuple(arg.decode("latin-1").lower() for arg in args[:2])
    return words[:1] in _RAW_COMMANDS or words in _RAW_COMMANDS


# -- redis-cli's four forms


def render(
    value: Reply,
    mode: Mode = "standard",
    *,
    utf8: bool = False,
    unquoted: bool = False,
) -> bytes:
    """Return what redis-cli writes for a reply, without the last line feed.

    Parameters
    ----------
    value : reply
        Typed as RESP3 types it, or lowered to RESP2 by `lower`.
    mode : {"standard", "raw", "json", "csv"}
        redis-cli's form for terminals, ``--raw``, ``--json`` or ``--csv``.
    utf8 : bool
        Keep printable characters beyond ASCII readable (standard form only).
    unquoted : bool
        The standard form of commands for which `prints_raw`.
    """
    if mode == "standard" and not unquoted:
        return _standard(value, b"", utf8=utf8)
    return _FORMS["raw" if mode == "standard" else mode](value)


def show(
    value: Reply,
    mode: Mode = "standard",
    *,
    utf8: bool = False,
    unquoted: bool = False,
) -> str:
    """Return `render` as text for people."""
    text = render(value, mode, utf8=utf8, unquoted=unquoted)
    return text.decode("utf-8", "backslashreplace").rstrip("\n")


def _text(value: Reply) -> bytes:
    """Return the bytes of a scalar that all forms print alike."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, NoReply):
        return b""
    return str(value).encode("utf-8", "surrogateescape")


def _is_null(value: Reply) -> bool:
    return value is None or isinstance(value, NullArray)


def _is_aggregate(value: Reply) -> bool:
    return isinstance(value, (list, tuple, dict, set, frozenset))


def _items(value: Reply) -> list[Reply]:
    return ordered(value) if isinstance(value, (set, frozenset)) else list(value)


def _standard(value: Reply, prefix: bytes, *, utf8: bool) -> bytes:
    if _is_aggregate(value):
        return _aggregate(value, prefix, utf8=utf8)
    if _is_null(value):
        return b"(nil)"
    if isinstance(value, bool):
        return b"(true)" if value else b"(false)"
    if isinstance(value, ResponseError):
        return b"(error) " + _text(value)
    if isinstance(value, BigNumber):
        return b"(big number) " + _text(value)
    if isinstance(value, int):
        return b"(integer) %d" % value
    if isinstance(value, float):
        return b"(double) " + format_double(value)
    if isinstance(value, (str, Verbatim, NoReply)):
        return _text(value)
    return quote(bytes(value), utf8=utf8).encode("utf-8", "surrogateescape")


def _kind(value: Reply) -> tuple[bytes, bytes]:
    """Return the text of an empty aggregate and the sign behind an index."""
    if isinstance(value, dict):
        return b"(empty hash)", b"#"
    if isinstance(value, (set, frozenset)):
        return b"(empty set)", b"~"
    return b"(empty array)", b")"


def _aggregate(value: Reply, prefix: bytes, *, utf8: bool) -> bytes:
    empty, sign = _kind(value)
    if not value:
        return empty
    width = len(str(len(value)))
    inner = prefix + b" " * (width + 2)
    lines = []
    for number, item in enumerate(_items(value), 1):
        line = b"%*d%s " % (width, number, sign) + _standard(item, inner, utf8=utf8)
        if isinstance(value, dict):
            line += b" => " + _map_value(value[item], inner, utf8=utf8)
        lines.append(line)
    # The caller has written the prefix of the first line.
    return (b"\n" + prefix).join(lines)


def _map_value(value: Reply, prefix: bytes, *, utf8: bool) -> bytes:
    """Return a value behind ``=>``; one of several lines begins its own line."""
    text = _standard(value, prefix, utf8=utf8)
    if _is_aggregate(value) and b"\n" in text:
        return b"\n" + prefix + text
    return text


def _raw(value: Reply) -> bytes:
    if _is_null(value):
        return b""
    if isinstance(value, dict):
        return b"\n".join(_raw(k) + b" " + _raw(v) for k, v in value.items())
    if _is_aggregate(value):
        return b"\n".join(map(_raw, _items(value)))
    if isinstance(value, bool):
        return b"(true)" if value else b"(false)"
    if isinstance(value, ResponseError):
        return _text(value) + b"\n"
    return _text(value)


def _json_string(text: bytes) -> bytes:
    escaped = text.decode("utf-8", "surrogateescape").translate(_JSON)
    return b'"' + escaped.encode("utf-8", "surrogateescape") + b'"'


def _json(value: Reply) -> bytes:
    if _is_null(value):
        return b"null"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, dict):
        pairs = (_json_key(k) + b":" + _json(v) for k, v in value.items())
        return b"{" + b",".join(pairs) + b"}"
    if _is_aggregate(value):
        return b"[" + b",".join(map(_json, _items(value))) + b"]"
    if isinstance(value, ResponseError):
        return b"error:" + _json_string(_text(value))
    if isinstance(value, (int, float)):
        return _text(value)
    return _json_string(_text(value))


def _json_key(key: Reply) -> bytes:
    """Return the key of an object, which is a string whatever it was."""
    text = _json(key)
    return text if text.startswith(b'"') else _json_string(text)


def _csv(value: Reply) -> bytes:
    if _is_null(value):
        return b"NULL"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, dict):
        return b",".join(_csv(k) + b"," + _csv(v) for k, v in value.items())
    if _is_aggregate(value):
        return b",".join(map(_csv, _items(value)))
    if isinstance(value, ResponseError):
        return b"ERROR," + quote(_text(value)).encode()
    if isinstance(value, (int, float)):
        return _text(value)
    return quote(_text(value)).encode()


_FORMS: Final[dict[str, Callable[[Reply], bytes]]] = {
    "raw": _raw,
    "json": _json,
    "csv": _csv,
}
