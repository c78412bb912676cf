"""Several sorted sets, or plain sets among them: unions, intersections, differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from trignb.datatypes import Set, SortedSet
from trignb.engine.args import parse_limit, syntax_error, to_float, to_int, wrong_type
from trignb.engine.commands.sorted_sets import store_pairs, with_scores
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.reply import Reply

family = CommandFamily("sorted-set")
command = family.command

Args = list[bytes]


@dataclass(frozen=True, slots=True)
class _Algebra:
    """``numkeys key … [WEIGHTS w …] [AGGREGATE …] [WITHSCORES]``."""

    sources: list[dict[bytes, float]]
    weights: list[float]
    aggregate: Callable[[float, float], float]
    scored: bool = False


def _sum(a: float, b: float) -> float:
    total = a + b
    # Infinity plus minus infinity counts as nothing.
    return total if total == total else 0.0


_AGGREGATES: dict[bytes, Callable[[float, float], float]] = {
    b"SUM": _sum,
    b"MIN": min,
    b"MAX": max,
}


def _parse_keys(args: Args, at: int) -> tuple[list[bytes], Args]:
    """Read ``numkeys key …``; returns the keys and what follows them."""
    number = to_int(args[at])
    if number < 1:
        name = args[0].decode("utf-8", "replace").lower()
        raise ResponseError(f"ERR at least 1 input key is needed for '{name}' command")
    after = at + 1 + number
    if after > len(args):
        raise syntax_error()
    return args[at + 1 : after], args[after:]


def _parse_algebra(
    s: Session, args: Args, at: int, *, weighted: bool, store: bool
) -> _Algebra:
    keys, rest = _parse_keys(args, at)
    # Redis looks the keys up before it reads the options: misses and wrong types first.
    sources = _sources(s, keys)
    number = len(keys)
    weights, scored = [1.0] * number, False
    aggregate: Callable[[float, float], float] = _sum
    while rest:
        word = rest[0].upper()
        if weighted and word == b"WEIGHTS" and len(rest) > number:
            error = "ERR weight value is not a float"
            weights = [to_float(text, error) for text in rest[1 : number + 1]]
            rest = rest[number + 1 :]
        elif weighted and word == b"AGGREGATE" and len(rest) > 1:
            if rest[1].upper() not in _AGGREGATES:
                raise syntax_error()
            aggregate = _AGGREGATES[rest[1].upper()]
            rest = rest[2:]
        elif not store and word == b"WITHSCORES":
            scored, rest = True, rest[1:]
        else:
            raise syntax_error()
    return _Algebra(sources, weights, aggregate, scored)


def _sources(s: Session, keys: list[bytes]) -> list[dict[bytes, float]]:
    """Look up every source; a plain set's members have score 1."""
    sources: list[dict[bytes, float]] = []
    for key in keys:
        value = s.db.read(key)
        if value is None:
            sources.append({})
        elif type(value) is SortedSet:
            sources.append(value.scores)
        elif type(value) is Set:
            sources.append(dict.fromkeys(value, 1.0))
        else:
            raise wrong_type()
    return sources


def _weighted(score: float, weight: float) -> float:
    product = score * weight
    return product if product == product else 0.0


def _by_size(wanted: _Algebra) -> list[tuple[dict[bytes, float], float]]:
    """Return sources with their weights, the smallest source first.

    The order shows where infinities meet: their difference counts as zero at once.
    """
    pairs = zip(wanted.sources, wanted.weights, strict=True)
    return sorted(pairs, key=lambda pair: len(pair[0]))


def _union(wanted: _Algebra) -> dict[bytes, float]:
    together: dict[bytes, float] = {}
    for source, weight in _by_size(wanted):
        for member, score in source.items():
            score = _weighted(score, weight)
            old = together.get(member)
            together[member] = score if old is None else wanted.aggregate(old, score)
    return together


def _intersection(wanted: _Algebra) -> dict[bytes, float]:
    (smallest, weight), *others = _by_size(wanted)
    aggregate = wanted.aggregate
    common: dict[bytes, float] = {}
    for member, score in smallest.items():
        if not all(member in source for source, _ in others):
            continue
        total = _weighted(score, weight)
        for source, other_weight in others:
            # As in Redis, only the smallest set's product is kept from being NaN.
            total = aggregate(total, source[member] * other_weight)
        common[member] = total
    return common


def _difference(wanted: _Algebra) -> dict[bytes, float]:
    first, *others = wanted.sources
    return {
        member: score
        for member, score in first.items()
        if not any(member in other for other in others)
    }


Combine = Callable[[_Algebra], dict[bytes, float]]


def _answer(
    s: Session, args: Args, combine: Combine, *, weighted: bool = True
) -> Reply:
    wanted = _parse_algebra(s, args, 1, weighted=weighted, store=False)
    found = combine(wanted)
    pairs = sorted(found.items(), key=lambda pair: (pair[1], pair[0]))
    if wanted.scored:
        return with_scores(s, pairs)
    return [member for member, _ in pairs]


def _store(
    s: Session, args: Args, combine: Combine, event: bytes, *, weighted: bool = True
) -> int:
    wanted = _parse_algebra(s, args, 2, weighted=weighted, store=True)
    return store_pairs(s, args[1], list(combine(wanted).items()), event)


@command("ZUNION")
def zunion(s: Session, args: Args) -> Reply:
    """Returns what several sorted sets hold together."""
    return _answer(s, args, _union)


@command("ZINTER")
def zinter(s: Session, args: Args) -> Reply:
    """Returns what several sorted sets have in common."""
    return _answer(s, args, _intersection)


@command("ZDIFF")
def zdiff(s: Session, args: Args) -> Reply:
    """Returns what the first sorted set holds and no other does."""
    return _answer(s, args, _difference, weighted=False)


@command("ZUNIONSTORE")
def zunionstore(s: Session, args: Args) -> int:
    """Stores what several sorted sets hold together."""
    return _store(s, args, _union, b"zunionstore")


@command("ZINTERSTORE")
def zinterstore(s: Session, args: Args) -> int:
    """Stores what several sorted sets have in common."""
    return _store(s, args, _intersection, b"zinterstore")


@command("ZDIFFSTORE")
def zdiffstore(s: Session, args: Args) -> int:
    """Stores what the first sorted set holds and no other does."""
    return _store(s, args, _difference, b"zdiffstore", weighted=False)


@command("ZINTERCARD")
def zintercard(s: Session, args: Args) -> int:
    """Counts what several sorted sets have in common, up to a limit."""
    keys, rest = _parse_keys(args, 1)
    sources = _sources(s, keys)
    limit = parse_limit(rest)
    smallest, *others = sorted(sources, key=len)
    common = (member for member in smallest if all(member in other for other in others))
    return sum(1 for _ in islice(common, limit or None))
