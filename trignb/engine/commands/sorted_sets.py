"""Sorted sets: scores, ranks, ranges and pops. The algebra of several has a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trignb.datatypes import SortedSet
from trignb.engine.args import (
    INT64_MAX,
    INT64_MIN,
    parse_mpop,
    syntax_error,
    to_float,
    to_int,
    wrong_arity,
)
from trignb.engine.blocking import NOTHING, to_timeout
from trignb.engine.events import ZSET
from trignb.engine.ranges import LexRange, ScoreRange, clip, limit_ranks
from trignb.engine.scan import parse_cursor, parse_options
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import Reply, format_double

if TYPE_CHECKING:
    from random import Random

    from trignb.engine.session import Session

family = CommandFamily("sorted-set")
command = family.command

Args = list[bytes]
Pairs = list[tuple[bytes, float]]

_ENDS = (b"MIN", b"MAX")
_NOT_POSITIVE = "ERR value is out of range, must be positive"
_NAN = "ERR resulting score is not a number (NaN)"


# Scores ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _AddOptions:
    """NX, XX, GT, LT, CH and INCR of ZADD."""

    nx: bool = False
    xx: bool = False
    gt: bool = False
    lt: bool = False
    ch: bool = False
    incr: bool = False


_PLAIN = _AddOptions()
_ADD_WORDS = frozenset({b"nx", b"xx", b"gt", b"lt", b"ch", b"incr"})


@command("ZADD")
def zadd(s: Session, args: Args) -> Reply:
    """Adds members with scores, or changes the scores of members."""
    return _zadd(s, args, set())


@command("ZINCRBY")
def zincrby(s: Session, args: Args) -> Reply:
    """Adds to the score of a member."""
    # Redis reads ZADD's options here too, though there is no room for any.
    return _zadd(s, args, {"incr"})


def _zadd(s: Session, args: Args, words: set[str]) -> Reply:
    at = 2
    while at < len(args) and args[at].lower() in _ADD_WORDS:
        words.add(args[at].lower().decode())
        at += 1
    options = _AddOptions(**dict.fromkeys(words, True)) if words else _PLAIN
    rest = args[at:]
    if not rest or len(rest) % 2:
        raise syntax_error()
    if options.nx and options.xx:
        raise ResponseError("ERR XX and NX options at the same time are not compatible")
    if (options.gt and (options.nx or options.lt)) or (options.lt and options.nx):
        raise ResponseError(
            "ERR GT, LT, and/or NX options at the same time are not compatible"
        )
    if options.incr and len(rest) > 2:
        raise ResponseError("ERR INCR option supports a single increment-element pair")
    return _add(s, args[1], rest, options)


def _add(s: Session, key: bytes, given: Args, options: _AddOptions) -> Reply:
    scores = [to_float(text) for text in given[::2]]
    db = s.db
    zset = db.lookup_type(key, SortedSet)
    if zset is None and options.xx:
        return None if options.incr else 0
    held, limits = zset, s.core.limits
    if held is None:
        held = SortedSet()
        # A new one is made for as many members as there are pairs, repeated ones included.
        held.is_small = len(scores) <= limits.zset_entries
    added = updated = 0
    score: float | None = None
    for member, change in zip(given[1::2], scores, strict=True):
        old = held.scores.get(member)
        score = _new_score(old, change, options)
        if score is None or score == old:
            continue
        if zset is None:
            zset = held
            db.add(key, held)
        held.put(member, score, limits.zset_entries, limits.zset_value)
        if old is None:
            added += 1
        else:
            updated += 1
    if added or updated:
        event = b"zincr" if options.incr else b"zadd"
        db.changed(ZSET, event, key, added + updated)
    if options.incr:
        return score
    return added + updated if options.ch else added


def _new_score(old: float | None, change: float, options: _AddOptions) -> float | None:
    """Return the score a member gets, None when the options forbid a change."""
    if old is None:
        return None if options.xx else change
    if options.nx:
        return None
    score = change
    if options.incr:
        score = old + change
        if score != score:
            raise ResponseError(_NAN)
    if (options.gt and score <= old) or (options.lt and score >= old):
        return None
    return score


@command("ZREM")
def zrem(s: Session, args: Args) -> int:
    """Removes members."""
    db, key = s.db, args[1]
    zset = db.lookup_type(key, SortedSet)
    if zset is None:
        return 0
    removed = sum(zset.discard(member) for member in args[2:])
    if removed:
        db.changed(ZSET, b"zrem", key, removed)
        db.drop_if_empty(key, zset)
    return removed


@command("ZSCORE")
def zscore(s: Session, args: Args) -> float | None:
    """Returns the score of a member."""
    zset = s.db.read_type(args[1], SortedSet)
    return None if zset is None else zset.scores.get(args[2])


@command("ZMSCORE")
def zmscore(s: Session, args: Args) -> list[float | None]:
    """Returns the scores of several members."""
    zset = s.db.read_type(args[1], SortedSet)
    if zset is None:
        return [None] * (len(args) - 2)
    return [zset.scores.get(member) for member in args[2:]]


@command("ZCARD")
def zcard(s: Session, args: Args) -> int:
    """Counts the members."""
    zset = s.db.read_type(args[1], SortedSet)
    return 0 if zset is None else len(zset)


@command("ZRANK")
def zrank(s: Session, args: Args) -> Reply:
    """Returns the rank of a member, lowest score first."""
    return _rank(s, args, reverse=False)


@command("ZREVRANK")
def zrevrank(s: Session, args: Args) -> Reply:
    """Returns the rank of a member, highest score first."""
    return _rank(s, args, reverse=True)


def _rank(s: Session, args: Args, *, reverse: bool) -> Reply:
    with_score = len(args) == 4
    if len(args) > 4:
        raise wrong_arity("zrevrank" if reverse else "zrank")
    if with_score and args[3].upper() != b"WITHSCORE":
        raise syntax_error()
    zset = s.db.read_type(args[1], SortedSet)
    if zset is None or args[2] not in zset:
        return s.null_array if with_score else None
    rank = zset.rank(args[2])
    if reverse:
        rank = len(zset) - 1 - rank
    return [rank, zset.scores[args[2]]] if with_score else rank


@command("ZCOUNT")
def zcount(s: Session, args: Args) -> int:
    """Counts the members with scores in a range."""
    return _count(s, args[1], ScoreRange.parse(args[2], args[3]))


@command("ZLEXCOUNT")
def zlexcount(s: Session, args: Args) -> int:
    """Counts the members in a range of members."""
    return _count(s, args[1], LexRange.parse(args[2], args[3]))


def _count(s: Session, key: bytes, within: ScoreRange | LexRange) -> int:
    zset = s.db.read_type(key, SortedSet)
    if zset is None:
        return 0
    start, stop = within.ranks(zset)
    return stop - start


@command("ZSCAN")
def zscan(s: Session, args: Args) -> Reply:
    """Goes through members and scores step by step."""
    cursor = parse_cursor(args[2])
    zset = s.db.read_type(args[1], SortedSet)
    if zset is None:
        return [b"0", []]
    options = parse_options(args, 3)
    if zset.is_small:
        cursor, page = 0, list(zset)
    else:
        place = (s.db.index, args[1])
        cursor, page = s.core.cursors.page(cursor, options.count, zset.scores, place)
    flat: list[bytes] = []
    for member in page:
        if options.matches is None or options.matches(member):
            flat += (member, format_double(zset.scores[member]))
    return [b"%d" % cursor, flat]


# Ranges ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Range:
    """What ZRANGE and its older forms ask for."""

    key: bytes
    within: ScoreRange | LexRange | tuple[int, int]
    reverse: bool = False
    offset: int = 0
    count: int = -1
    scored: bool = False

    def entries(self, zset: SortedSet) -> list[tuple[float, bytes]]:
        """Return the (score, member) pairs in the order asked for."""
        start, stop = self._ranks(zset)
        found: list[tuple[float, bytes]] = zset.entries[start:stop]
        if self.reverse:
            found.reverse()
        return found

    def _ranks(self, zset: SortedSet) -> tuple[int, int]:
        n = len(zset)
        if isinstance(self.within, tuple):
            start, stop = clip(*self.within, n)
            return (n - stop, n - start) if self.reverse else (start, stop)
        if isinstance(self.within, LexRange):
            return self.within.ranks(
                zset, self.offset, self.count, reverse=self.reverse
            )
        start, stop = self.within.ranks(zset)
        return limit_ranks(start, stop, self.offset, self.count, reverse=self.reverse)


def _parse_range(
    args: Args, *, kind: bytes = b"", reverse: bool | None = None, store: bool = False
) -> _Range:
    """Read ``key min max [BYSCORE|BYLEX] [REV] [LIMIT n m] [WITHSCORES]``.

    The older forms fix `kind` and `reverse`; then these words are not options.
    """
    key, low, high = args[:3]
    free = reverse is None
    offset, count, scored, limited = 0, -1, False, False
    at = 3
    while at < len(args):
        word = args[at].upper()
        if word == b"WITHSCORES" and not store:
            scored = True
        elif word == b"LIMIT" and at + 2 < len(args):
            offset, count, limited = to_int(args[at + 1]), to_int(args[at + 2]), True
            at += 2
        elif free and word == b"REV" and not reverse:
            reverse = True
        elif free and not kind and word in (b"BYSCORE", b"BYLEX"):
            kind = word
        else:
            raise syntax_error()
        at += 1
    if limited and not kind:
        raise ResponseError(
            "ERR syntax error, LIMIT is only supported in combination with either "
            "BYSCORE or BYLEX"
        )
    if scored and kind == b"BYLEX":
        raise ResponseError(
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
        )
    if reverse and kind:
        low, high = high, low
    within: ScoreRange | LexRange | tuple[int, int]
    if kind == b"BYSCORE":
        within = ScoreRange.parse(low, high)
    elif kind:
        within = LexRange.parse(low, high)
    else:
        within = (to_int(low), to_int(high))
    return _Range(key, within, bool(reverse), offset, count, scored)


@command("ZRANGE")
def zrange(s: Session, args: Args) -> Reply:
    """Returns the members in a range of ranks, scores or members."""
    return _range(s, _parse_range(args[1:]))


@command("ZREVRANGE")
def zrevrange(s: Session, args: Args) -> Reply:
    """Returns the members in a range of ranks, highest score first."""
    return _range(s, _parse_range(args[1:], reverse=True))


@command("ZRANGEBYSCORE")
def zrangebyscore(s: Session, args: Args) -> Reply:
    """Returns the members with scores in a range."""
    return _range(s, _parse_range(args[1:], kind=b"BYSCORE", reverse=False))


@command("ZREVRANGEBYSCORE")
def zrevrangebyscore(s: Session, args: Args) -> Reply:
    """Returns the members with scores in a range, highest first."""
    return _range(s, _parse_range(args[1:], kind=b"BYSCORE", reverse=True))


@command("ZRANGEBYLEX")
def zrangebylex(s: Session, args: Args) -> Reply:
    """Returns the members in a range of members."""
    return _range(s, _parse_range(args[1:], kind=b"BYLEX", reverse=False))


@command("ZREVRANGEBYLEX")
def zrevrangebylex(s: Session, args: Args) -> Reply:
    """Returns the members in a range of members, last first."""
    return _range(s, _parse_range(args[1:], kind=b"BYLEX", reverse=True))


def _range(s: Session, wanted: _Range) -> Reply:
    zset = s.db.read_type(wanted.key, SortedSet)
    if zset is None:
        return []
    entries = wanted.entries(zset)
    if wanted.scored:
        return with_scores(s, [(member, score) for score, member in entries])
    return [member for _, member in entries]


def with_scores(s: Session, pairs: Pairs) -> list[Reply]:
    """Return members with scores: nested in RESP3, flat in RESP2."""
    if s.resp == 3:
        return [[member, score] for member, score in pairs]
    flat: list[Reply] = []
    for member, score in pairs:
        flat += (member, score)
    return flat


@command("ZRANGESTORE")
def zrangestore(s: Session, args: Args) -> int:
    """Stores the members in a range of another sorted set."""
    wanted = _parse_range(args[2:], store=True)
    zset = s.db.read_type(wanted.key, SortedSet)
    entries = [] if zset is None else wanted.entries(zset)
    pairs = [(member, score) for score, member in entries]
    # How many there are is known beforehand only of ranks.
    is_counted = isinstance(wanted.within, tuple)
    return store_pairs(s, args[1], pairs, b"zrangestore", is_counted=is_counted)


def store_pairs(
    s: Session, target: bytes, pairs: Pairs, event: bytes, *, is_counted: bool = True
) -> int:
    """Put a new sorted set under a key, or delete the key when there is nothing to put.

    It is made for however many there may be, whatever their number, if they are not counted.
    """
    db = s.db
    if not pairs:
        db.delete_target(target)
        return 0
    if is_counted:
        zset = SortedSet(pairs)
        zset.choose_encoding(s.core.limits.zset_entries, s.core.limits.zset_value)
    else:
        zset = SortedSet()
        zset.is_small = False
        for member, score in pairs:
            zset.put(member, score)
    db.assign(target, zset)
    db.changed(ZSET, event, target)
    return len(zset)


@command("ZREMRANGEBYRANK")
def zremrangebyrank(s: Session, args: Args) -> int:
    """Removes the members in a range of ranks."""
    start, stop = to_int(args[2]), to_int(args[3])
    return _remove_range(
        s, args[1], b"zremrangebyrank", lambda zset: clip(start, stop, len(zset))
    )


@command("ZREMRANGEBYSCORE")
def zremrangebyscore(s: Session, args: Args) -> int:
    """Removes the members with scores in a range."""
    within = ScoreRange.parse(args[2], args[3])
    return _remove_range(s, args[1], b"zremrangebyscore", within.ranks)


@command("ZREMRANGEBYLEX")
def zremrangebylex(s: Session, args: Args) -> int:
    """Removes the members in a range of members."""
    within = LexRange.parse(args[2], args[3])
    return _remove_range(s, args[1], b"zremrangebylex", within.ranks)


def _remove_range(
    s: Session,
    key: bytes,
    event: bytes,
    ranks: Callable[[SortedSet], tuple[int, int]],
) -> int:
    db = s.db
    zset = db.lookup_type(key, SortedSet)
    if zset is None:
        return 0
    removed = len(zset.drop_ranks(*ranks(zset)))
    if removed:
        db.changed(ZSET, event, key, removed)
        db.drop_if_empty(key, zset)
    return removed


# Popping ---------------------------------------------------------------------------


@command("ZPOPMIN")
def zpopmin(s: Session, args: Args) -> Reply:
    """Takes the members with the lowest scores."""
    return _pop(s, args, lowest=True)


@command("ZPOPMAX")
def zpopmax(s: Session, args: Args) -> Reply:
    """Takes the members with the highest scores."""
    return _pop(s, args, lowest=False)


def _pop(s: Session, args: Args, *, lowest: bool) -> Reply:
    if len(args) > 3:
        raise syntax_error()
    count = to_int(args[2], _NOT_POSITIVE) if len(args) == 3 else 1
    if count < 0:
        raise ResponseError(_NOT_POSITIVE)
    zset = s.db.lookup_type(args[1], SortedSet)
    if zset is None or count == 0:
        return []
    pairs = _take(s, args[1], zset, count, lowest=lowest)
    return list(pairs[0]) if len(args) == 2 else with_scores(s, pairs)


def _take(
    s: Session, key: bytes, zset: SortedSet, count: int, *, lowest: bool
) -> Pairs:
    """Take up to `count` entries from an end, with everything that follows."""
    db, n = s.db, len(zset)
    count = min(count, n)
    taken = zset.drop_ranks(*((0, count) if lowest else (n - count, n)))
    if not lowest:
        taken.reverse()
    db.changed(ZSET, b"zpopmin" if lowest else b"zpopmax", key, count)
    db.drop_if_empty(key, zset)
    return [(member, score) for score, member in taken]


@command("ZMPOP")
def zmpop(s: Session, args: Args) -> Reply:
    """Takes entries from the first of several sorted sets that has any."""
    keys, lowest, count = parse_mpop(args, 1, _ENDS)
    reply = _mpop(s, keys, lowest, count)
    return s.null_array if reply is NOTHING else reply


@command("BZMPOP")
def bzmpop(s: Session, args: Args) -> Reply:
    """Takes entries from the first of several sorted sets that has any, or waits."""
    keys, lowest, count = parse_mpop(args, 2, _ENDS)
    timeout = to_timeout(args[1])
    return _wait(s, keys, timeout, lambda: _mpop(s, keys, lowest, count))


def _mpop(s: Session, keys: Sequence[bytes], lowest: bool, count: int) -> Reply:
    for key in keys:
        zset = s.db.lookup_type(key, SortedSet)
        if zset is None:
            continue
        pairs = _take(s, key, zset, count, lowest=lowest)
        if s.core.sinks:
            name = b"ZPOPMIN" if lowest else b"ZPOPMAX"
            s.core.propagate_as([name, key, b"%d" % len(pairs)])
        return [key, [list(pair) for pair in pairs]]
    return NOTHING


@command("BZPOPMIN")
def bzpopmin(s: Session, args: Args) -> Reply:
    """Takes the entry with the lowest score, or waits for one."""
    return _blocking_pop(s, args, b"ZPOPMIN", lowest=True)


@command("BZPOPMAX")
def bzpopmax(s: Session, args: Args) -> Reply:
    """Takes the entry with the highest score, or waits for one."""
    return _blocking_pop(s, args, b"ZPOPMAX", lowest=False)


def _blocking_pop(s: Session, args: Args, name: bytes, *, lowest: bool) -> Reply:
    timeout = to_timeout(args[-1])
    keys = args[1:-1]

    def attempt() -> Reply:
        for key in keys:
            zset = s.db.lookup_type(key, SortedSet)
            if zset is not None:
                ((member, score),) = _take(s, key, zset, 1, lowest=lowest)
                if s.core.sinks:
                    s.core.propagate_as([name, key])
                return [key, member, score]
        return NOTHING

    return _wait(s, keys, timeout, attempt)


def _wait(
    s: Session, keys: Sequence[bytes], timeout: float, attempt: Callable[[], Reply]
) -> Reply:
    return s.core.blocking.serve(
        s, keys, timeout, attempt, empty=s.null_array, kind=SortedSet
    )


@command("ZRANDMEMBER")
def zrandmember(s: Session, args: Args) -> Reply:
    """Returns members at random, leaving them where they are."""
    count = to_int(args[2]) if len(args) > 2 else None
    if count == INT64_MIN:
        raise ResponseError(
            "ERR value is out of range, value must between "
            f"{-INT64_MAX} and {INT64_MAX}"
        )
    scored = len(args) == 4
    if len(args) > 4 or (scored and args[3].upper() != b"WITHSCORES"):
        raise syntax_error()
    most = (1 << 62) - 1
    if scored and count is not None and not -most <= count <= most:
        raise ResponseError("ERR value is out of range")
    zset = s.db.read_type(args[1], SortedSet)
    if zset is None:
        return None if count is None else []
    if count is None:
        return s.core.chance.commands.choice(zset.entries)[1]
    chosen = _sample(s.core.chance.commands, zset, count)
    pairs = [(member, score) for score, member in chosen]
    return with_scores(s, pairs) if scored else [member for member, _ in pairs]


def _sample(
    chance: Random, zset: SortedSet, count: int
) -> Sequence[tuple[float, bytes]]:
    if count < 0:
        return chance.choices(zset.entries, k=-count)
    if count >= len(zset):
        # Redis walks a skiplist from its end here.
        return zset.entries[:: 1 if zset.is_small else -1]  # type: ignore[no-any-return]
    return chance.sample(zset.entries, count)
