"""Sets: members, chance, and the algebra of several."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from trignb.datatypes import Set
from trignb.engine.args import (
    INT64_MAX,
    INT64_MIN,
    parse_limit,
    syntax_error,
    to_int,
    wrong_type,
)
from trignb.engine.events import GENERIC, SET
from trignb.engine.scan import parse_cursor, parse_options
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import Reply, SetReply

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("set")
command = family.command

Args = list[bytes]

_NOT_POSITIVE = "ERR value is out of range, must be positive"


# Members ---------------------------------------------------------------------------


@command("SADD")
def sadd(s: Session, args: Args) -> int:
    """Adds members to a set, which is made if need be."""
    db, key, members = s.db, args[1], args[2:]
    held = db.lookup(key)
    if held is None:
        held = Set(members, s.core.limits.sets)
        db.add(key, held)
        added = len(held)
    elif type(held) is not Set:
        raise wrong_type()
    else:
        added = held.add_members(members, s.core.limits.sets)
    if added:
        db.changed(SET, b"sadd", key, added)
    return added


@command("SREM")
def srem(s: Session, args: Args) -> int:
    """Removes members from a set."""
    db, key = s.db, args[1]
    held = db.lookup_type(key, Set)
    if held is None:
        return 0
    removed = held.remove_members(args[2:])
    if removed:
        db.changed(SET, b"srem", key, removed)
        db.drop_if_empty(key, held)
    return removed


@command("SMOVE")
def smove(s: Session, args: Args) -> int:
    """Moves a member from one set to another."""
    db, (source, target, member) = s.db, args[1:4]
    # Both are looked at whatever the first one is: a target that is due goes now.
    held, other = db.lookup(source), db.lookup(target)
    if held is None:
        return 0
    if type(held) is not Set or (other is not None and type(other) is not Set):
        raise wrong_type()
    if source == target:
        return int(member in held)
    if not held.remove_members([member]):
        return 0
    db.changed(SET, b"srem", source)
    db.drop_if_empty(source, held)
    if other is None:
        db.add(target, Set([member], s.core.limits.sets))
        db.changed(SET, b"sadd", target)
    elif other.add_members([member], s.core.limits.sets):
        db.changed(SET, b"sadd", target)
    return 1


@command("SISMEMBER")
def sismember(s: Session, args: Args) -> int:
    """Tells whether something is a member."""
    held = s.db.read_type(args[1], Set)
    return int(held is not None and args[2] in held)


@command("SMISMEMBER")
def smismember(s: Session, args: Args) -> list[int]:
    """Tells which of several are members."""
    held = s.db.read_type(args[1], Set)
    if held is None:
        return [0] * (len(args) - 2)
    return [int(member in held) for member in args[2:]]


@command("SCARD")
def scard(s: Session, args: Args) -> int:
    """Counts the members."""
    held = s.db.read_type(args[1], Set)
    return 0 if held is None else len(held)


@command("SMEMBERS")
def smembers(s: Session, args: Args) -> SetReply:
    """Returns all members."""
    held = s.db.read_type(args[1], Set)
    return SetReply([] if held is None else held.in_order())


@command("SSCAN")
def sscan(s: Session, args: Args) -> Reply:
    """Goes through the members step by step."""
    cursor = parse_cursor(args[2])
    held = s.db.read_type(args[1], Set)
    if held is None:
        return [b"0", []]
    options = parse_options(args, 3)
    if held.encoding == "hashtable":
        place = (s.db.index, args[1])
        cursor, page = s.core.cursors.page(cursor, options.count, held, place)
    else:
        cursor, page = 0, held.in_order()
    if options.matches is not None:
        page = [member for member in page if options.matches(member)]
    return [b"%d" % cursor, page]


# Chance ----------------------------------------------------------------------------


@command("SRANDMEMBER")
def srandmember(s: Session, args: Args) -> Reply:
    """Returns members at random, leaving them where they are."""
    if len(args) > 3:
        raise syntax_error()
    count = to_int(args[2]) if len(args) == 3 else None
    if count == INT64_MIN:
        raise ResponseError(
            "ERR value is out of range, value must between "
            f"{-INT64_MAX} and {INT64_MAX}"
        )
    held = s.db.read_type(args[1], Set)
    if count is None:
        return None if held is None else held.random_member(s.core.chance.commands)
    if held is None or count == 0:
        return []
    chance = s.core.chance.commands
    if count < 0:
        return [held.random_member(chance) for _ in range(-count)]
    if count >= len(held):
        return held.in_order()
    return held.random_members(chance, count)


@command("SPOP")
def spop(s: Session, args: Args) -> Reply:
    """Takes members away at random."""
    if len(args) > 3:
        raise syntax_error()
    if len(args) == 3:
        return _spop_many(s, args)
    db, key = s.db, args[1]
    held = db.lookup_type(key, Set)
    if held is None:
        return None
    member = held.pop_random(s.core.chance.commands)
    db.changed(SET, b"spop", key)
    db.drop_if_empty(key, held)
    if s.core.sinks:
        s.core.propagate_as([b"SREM", key, member])
    return member


def _spop_many(s: Session, args: Args) -> Reply:
    count = to_int(args[2], _NOT_POSITIVE)
    if count < 0:
        raise ResponseError(_NOT_POSITIVE)
    db, key = s.db, args[1]
    held = db.lookup_type(key, Set)
    if held is None or count == 0:
        return SetReply([])
    if count >= len(held):
        return _spop_all(s, key, held)
    chance = s.core.chance.commands
    taken = [held.pop_random(chance) for _ in range(count)]
    db.changed(SET, b"spop", key, count)
    if s.core.sinks:
        s.core.propagate_as([b"SREM", key, *taken])
    return SetReply(taken)


def _spop_all(s: Session, key: bytes, held: Set) -> SetReply:
    db = s.db
    db.remove(key)
    db.changed(SET, b"spop", key, len(held))
    db.changed(GENERIC, b"del", key, 0)
    if s.core.sinks:
        lazy = s.core.config.values["lazyfree-lazy-server-del"]
        s.core.propagate_as([b"UNLINK" if lazy else b"DEL", key])
    return SetReply(held.in_order())


# Algebra ---------------------------------------------------------------------------

Combine = Callable[[list[Set]], list[bytes]]


def _sources(s: Session, keys: list[bytes]) -> list[Set]:
    """Look up every source, firing each one's ``keymiss``; absent ones are empty."""
    return [s.db.read_type(key, Set) or Set() for key in keys]


def _intersection(sources: list[Set]) -> list[bytes]:
    smallest, *others = sorted(sources, key=len)
    return [m for m in smallest.in_order() if all(m in other for other in others)]


def _union(sources: list[Set]) -> list[bytes]:
    together: dict[bytes, None] = {}
    for source in sources:
        together.update(dict.fromkeys(source.in_order()))
    return list(together)


def _difference(sources: list[Set]) -> list[bytes]:
    first, *others = sources
    return [m for m in first.in_order() if not any(m in other for other in others)]


@command("SINTER")
def sinter(s: Session, args: Args) -> SetReply:
    """Returns what several sets have in common."""
    return SetReply(_intersection(_sources(s, args[1:])))


@command("SUNION")
def sunion(s: Session, args: Args) -> SetReply:
    """Returns what several sets hold together."""
    return SetReply(_union(_sources(s, args[1:])))


@command("SDIFF")
def sdiff(s: Session, args: Args) -> SetReply:
    """Returns what the first set holds and no other does."""
    return SetReply(_difference(_sources(s, args[1:])))


@command("SINTERSTORE")
def sinterstore(s: Session, args: Args) -> int:
    """Stores what several sets have in common."""
    return _store(s, args, _intersection, b"sinterstore")


@command("SUNIONSTORE")
def sunionstore(s: Session, args: Args) -> int:
    """Stores what several sets hold together."""
    return _store(s, args, _union, b"sunionstore")


@command("SDIFFSTORE")
def sdiffstore(s: Session, args: Args) -> int:
    """Stores what the first set holds and no other does."""
    return _store(s, args, _difference, b"sdiffstore")


def _store(s: Session, args: Args, combine: Combine, event: bytes) -> int:
    db, target = s.db, args[1]
    members = combine(_sources(s, args[2:]))
    if not members:
        db.delete_target(target)
        return 0
    limits = s.core.limits.sets
    is_cut = combine is _intersection
    db.assign(target, Set(members, limits) if is_cut else Set.grown(members, limits))
    db.changed(SET, event, target)
    return len(members)


@command("SINTERCARD")
def sintercard(s: Session, args: Args) -> int:
    """Counts what several sets have in common, up to a limit."""
    keys, limit = _parse_sintercard(args)
    smallest, *others = sorted(_sources(s, keys), key=len)
    common = (m for m in smallest if all(m in other for other in others))
    return sum(1 for _ in islice(common, limit or None))


def _parse_sintercard(args: Args) -> tuple[list[bytes], int]:
    positive = "ERR numkeys should be greater than 0"
    number = to_int(args[1], positive)
    if number <= 0:
        raise ResponseError(positive)
    if number > len(args) - 2:
        raise ResponseError("ERR Number of keys can't be greater than number of args")
    return args[2 : 2 + number], parse_limit(args[2 + number :])
