"""Which arguments of a command are keys, and what the command does to them.

The table says it in Redis's own notation: where the keys begin and how to find the rest. A handful of
commands cannot be described that way and have a function here, as they have in Redis.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from trignb.engine.spec import Command

__all__ = ["KeyRef", "KeySpec", "has_keys", "key_refs", "key_specs", "keys_of"]

Args = list[bytes]


class KeyRef(NamedTuple):
    """A key among a command's arguments; ``flags`` as COMMAND GETKEYSANDFLAGS names them."""

    key: bytes
    flags: tuple[str, ...]


class KeySpec(NamedTuple):
    """One key specification: where its keys begin, how the others are found, its flags."""

    begin: str
    begin_args: Mapping[str, Any]
    find: str
    find_args: Mapping[str, Any]
    flags: tuple[str, ...]


_SPEC = re.compile(r"(\w+)\(([^)]*)\)(\w+)\(([^)]*)\)\[([^]]*)\]")


@cache
def key_specs(notation: str) -> tuple[KeySpec, ...]:
    """Read the notation of the command table."""
    return tuple(
        KeySpec(begin, _arguments(a), find, _arguments(b), tuple(flags.split(",")))
        for begin, a, find, b, flags in _SPEC.findall(notation)
    )


def _arguments(text: str) -> dict[str, Any]:
    pairs = (item.split("=") for item in text.split(",") if item)
    return {k: v if k == "keyword" else int(v) for k, v in pairs}


def has_keys(command: Command) -> bool:
    """Whether a command can have keys at all."""
    specs = key_specs(command.facts.key_specs)
    return any("not_key" not in spec.flags for spec in specs)


def keys_of(command: Command, args: Args) -> list[bytes]:
    """Return the keys among a command's arguments, in their order."""
    plain = _plain_range(command.facts.key_specs)
    if plain is not None:
        first, last, step = plain
        return args[first : last + 1 if last >= 0 else len(args) + last + 1 : step]
    return [key for key, _ in key_refs(command, args)]


@cache
def _plain_range(notation: str) -> tuple[int, int, int] | None:
    """Return first, last (from the end when negative) and step where that says it all."""
    specs = key_specs(notation)
    if not notation:
        return (1, 0, 1)
    spec = specs[0]
    if len(specs) > 1 or spec.begin != "index" or spec.find != "range":
        return None
    if spec.find_args["limit"] or "not_key" in spec.flags or "incomplete" in spec.flags:
        return None
    first, last = spec.begin_args["index"], spec.find_args["lastkey"]
    return first, last if last < 0 else first + last, spec.find_args["keystep"]


def key_refs(command: Command, args: Args) -> list[KeyRef]:
    """Return the keys among a command's arguments, with what happens to them.

    Arguments that do not fit the command have no keys.
    """
    specs = key_specs(command.facts.key_specs)
    if not any("variable_flags" in spec.flags for spec in specs):
        found = _by_specs(specs, args)
        if found is not None:
            return found
    by_hand = _BY_HAND.get(command.name)
    return by_hand(args) if by_hand is not None else []


def _by_specs(specs: tuple[KeySpec, ...], args: Args) -> list[KeyRef] | None:
    """Return what the specifications find, None where one of them does not fit."""
    found: list[KeyRef] = []
    for spec in specs:
        if "not_key" in spec.flags:
            continue
        if spec.begin == "keyword" and _begin(spec, args) is None:
            # An option that was not given.
            continue
        positions = _positions(spec, args)
        if not positions or positions[-1] >= len(args) or "incomplete" in spec.flags:
            return None
        found += [KeyRef(args[i], spec.flags) for i in positions]
    return found


def _positions(spec: KeySpec, args: Args) -> range | None:
    first = _begin(spec, args)
    if first is None:
        return None
    n, how = len(args), spec.find_args
    if spec.find == "range":
        last = how["lastkey"]
        if last >= 0:
            last += first
        elif how["limit"]:
            last += first + (n - first) // how["limit"]
        else:
            last += n
        # A step may overshoot (MSET with an odd number of arguments).
        return range(first, min(last, n - 1) + 1, how["keystep"]) if last < n else None
    if spec.find == "keynum":
        at = first + how["keynumidx"]
        if at >= n or not args[at].isdigit():
            return None
        first += how["firstkey"]
        return range(first, first + int(args[at]) * how["keystep"], how["keystep"])
    return None


def _begin(spec: KeySpec, args: Args) -> int | None:
    if spec.begin == "index":
        return int(spec.begin_args["index"])
    if spec.begin != "keyword":
        return None
    start, n = spec.begin_args["startfrom"], len(args)
    places = range(start, n - 1) if start > 0 else range(n + start, 0, -1)
    word = spec.begin_args["keyword"].encode()
    return next((i + 1 for i in places if i < n and args[i].upper() == word), None)


# -- commands whose keys no specification describes

_READ: Final = ("RO", "access")
_OVERWRITE: Final = ("OW", "update")
_CHANGE: Final = ("RW", "access", "update")


def _sort(args: Args) -> list[KeyRef]:
    """SORT: BY and GET name patterns, not keys; the last STORE counts."""
    found, stored = [KeyRef(args[1], _READ)], None
    i = 2
    while i < len(args):
        word = args[i].upper()
        if word == b"STORE" and i + 1 < len(args):
            stored = KeyRef(args[i + 1], _OVERWRITE)
        i += {b"LIMIT": 3, b"BY": 2, b"GET": 2, b"STORE": 2}.get(word, 1)
    return [*found, stored] if stored else found


def _sort_ro(args: Args) -> list[KeyRef]:
    return [KeyRef(args[1], _READ)]


def _migrate(args: Args) -> list[KeyRef]:
    flags = ("RW", "access", "delete")
    keys = args[3:4]
    i = 6
    while i < len(args):
        word = args[i].upper()
        if word == b"KEYS":
            # Both forms at once are a syntax error.
            keys = [] if args[3] else args[i + 1 :]
            break
        i += {b"AUTH": 2, b"AUTH2": 3}.get(word, 1)
    return [KeyRef(key, flags) for key in keys]


def _set(args: Args) -> list[KeyRef]:
    reads = any(arg.upper() == b"GET" for arg in args[3:])
    return [KeyRef(args[1], _CHANGE if reads else _OVERWRITE)]


def _bitfield(args: Args) -> list[KeyRef]:
    i, n = 2, len(args)
    while i < n:
        word = args[i].upper()
        if word == b"GET" and i + 2 < n:
            i += 3
        elif word == b"OVERFLOW" and i + 1 < n:
            i += 2
        else:
            return [KeyRef(args[1], _CHANGE)]
    return [KeyRef(args[1], _READ)]


_BY_HAND: Final[Mapping[str, Callable[[Args], list[KeyRef]]]] = {
    "sort": _sort,
    "sort_ro": _sort_ro,
    "migrate": _migrate,
    "set": _set,
    "bitfield": _bitfield,
}
