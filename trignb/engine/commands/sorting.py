"""SORT and SORT_RO: the elements of a list, set or sorted set, by themselves or by other keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isinf, isnan
from typing import TYPE_CHECKING, Any

from trignb.datatypes import Hash, List, Set, SortedSet
from trignb.engine.args import syntax_error, to_int, wrong_type
from trignb.engine.events import GENERIC, LIST
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.database import Database
    from trignb.engine.session import Session
    from trignb.reply import Reply

family = CommandFamily("generic")
command = family.command

Args = list[bytes]

# What C's strtod takes: blanks in front, nothing behind; a zero byte ends the text.
_NUMBER = re.compile(
    rb"[ \t\n\v\f\r]*(?P<number>[+-]?(?:inf(?:inity)?|0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)"
    rb"(?:p[+-]?[0-9]+)?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?))?(?:\0.*)?",
    re.IGNORECASE | re.DOTALL,
)
_SMALLEST_NORMAL = 2.2250738585072014e-308


@dataclass(slots=True)
class _Options:
    """What was asked for."""

    descending: bool = False
    alpha: bool = False
    start: int = 0
    count: int = -1
    by: bytes | None = None
    unsorted: bool = False
    get: list[bytes] = field(default_factory=list)
    store: bytes | None = None


@command("SORT")
def sort(s: Session, args: Args) -> Reply:
    """Sorts the elements of a list, set or sorted set; may store the result as a list."""
    options = _parse(s, args, may_store=True)
    elements = _sorted(s, args[1], options)
    if options.store is None:
        return elements
    _store(s, options.store, [b"" if e is None else e for e in elements])
    return len(elements)


@command("SORT_RO")
def sort_ro(s: Session, args: Args) -> Reply:
    """Sorts the elements of a list, set or sorted set, storing nothing."""
    return _sorted(s, args[1], _parse(s, args, may_store=False))


def _parse(s: Session, args: Args, *, may_store: bool) -> _Options:
    options = _Options()
    words = iter(range(2, len(args)))
    for i in words:
        word, left = args[i].upper(), len(args) - i - 1
        if word == b"ASC":
            options.descending = False
        elif word == b"DESC":
            options.descending = True
        elif word == b"ALPHA":
            options.alpha = True
        elif word == b"LIMIT" and left >= 2:
            options.start = to_int(args[next(words)])
            options.count = to_int(args[next(words)])
        elif word == b"STORE" and left >= 1 and may_store:
            options.store = args[next(words)]
        elif word == b"BY" and left >= 1:
            options.by = args[next(words)]
            # A pattern that names one key for all has nothing to sort by, then or later.
            if b"*" in options.by:
                _check_pattern(s, args, "BY")
            else:
                options.unsorted = True
        elif word == b"GET" and left >= 1:
            _check_pattern(s, args, "GET")
            options.get.append(args[next(words)])
        else:
            raise syntax_error()
    return options


def _check_pattern(s: Session, args: Args, option: str) -> None:
    """Refuse a pattern of keys to users who may not read every key."""
    core = s.core
    if core.permission is not None and not core.permissions.may_read_all_keys(s, args):
        raise ResponseError(
            f"ERR {option} option of SORT denied due to insufficient ACL permissions."
        )


def _sorted(s: Session, key: bytes, options: _Options) -> list[Any]:
    """Return the result; None stands for what a GET pattern did not find."""
    db = s.db
    value = db.read(key)
    if value is not None and type(value) not in (List, Set, SortedSet):
        raise wrong_type()
    elements = [] if value is None else _elements(value)
    unsorted, alpha, by = options.unsorted, options.alpha, options.by
    if (
        unsorted
        and type(value) is Set
        and (options.store is not None or s.core.frame.origin == "script")
    ):
        # A set has no order of its own; replicas and AOF have to store the same list, and
        # scripts are to do the same whenever they run.
        unsorted, alpha, by = False, True, None
    if unsorted:
        if options.descending and type(value) is not Set:
            elements.reverse()
    else:
        keys = _weights(db, elements, by, alpha=alpha)
        order = sorted(
            range(len(elements)), key=keys.__getitem__, reverse=options.descending
        )
        elements = [elements[i] for i in order]
    elements = _limited(elements, options)
    if not options.get:
        return elements
    return [_value_at(db, pattern, e) for e in elements for pattern in options.get]


def _elements(value: List | Set | SortedSet) -> list[bytes]:
    if type(value) is SortedSet:
        # As in Redis, which cannot walk a listpack here.
        value.is_small = False
    return value.in_order() if type(value) is Set else list(value)


def _limited(elements: list[bytes], options: _Options) -> list[bytes]:
    start = max(options.start, 0)
    if options.count < 0:
        return elements[start:]
    return elements[start : start + options.count]


def _weights(
    db: Database, elements: list[bytes], by: bytes | None, *, alpha: bool
) -> list[Any]:
    """Return what each element is sorted by; equal numbers are told apart by the element."""
    found: list[bytes | None] = [*elements]
    if by is not None:
        found = [_value_at(db, by, element) for element in elements]
    if alpha:
        return [(weight is not None, weight or b"") for weight in found]
    numbers = [0.0 if weight is None else _to_number(weight) for weight in found]
    if None in numbers:
        raise ResponseError("ERR One or more scores can't be converted into double")
    return list(zip(numbers, elements, strict=True))


def _to_number(text: bytes) -> float | None:
    """Read a weight as C does; None for what is no number or out of range."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    digits = match["number"]
    if digits is None:
        # Nothing at all is a zero; blanks alone are not a number.
        return 0.0 if not text or text[0] == 0 else None
    is_hex = b"x" in digits.lower()
    try:
        value = float.fromhex(digits.decode()) if is_hex else float(digits)
    except OverflowError:
        return None
    if isnan(value) or (isinf(value) and b"n" not in digits.lower()):
        return None
    if abs(value) < _SMALLEST_NORMAL and _has_nonzero_digit(digits.lower()):
        return None
    return value


def _has_nonzero_digit(number: bytes) -> bool:
    mantissa = number.partition(b"p" if b"x" in number else b"e")[0]
    return bool(mantissa.strip(b"+-0.x"))


def _value_at(db: Database, pattern: bytes, element: bytes) -> bytes | None:
    """Return the string, or with ``->`` the field, that a pattern names for an element."""
    if pattern == b"#":
        return element
    star = pattern.find(b"*")
    if star < 0:
        return None
    arrow = pattern.find(b"->", star + 1)
    if 0 <= arrow < len(pattern) - 2:
        key, wanted = pattern[:arrow], pattern[arrow + 2 :]
    else:
        key, wanted = pattern, None
    value = db.read(key[:star] + element + key[star + 1 :])
    if wanted is not None:
        return value.get(wanted) if type(value) is Hash else None
    return bytes(value) if type(value) in (bytes, bytearray) else None


def _store(s: Session, key: bytes, elements: list[bytes]) -> None:
    db = s.db
    if elements:
        db.assign(key, List(s.core.limits.list_fill, elements))
        db.changed(LIST, b"sortstore", key, len(elements))
    elif db.remove(key):
        db.changed(GENERIC, b"del", key)
