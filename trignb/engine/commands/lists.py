"""Lists: pushes and pops at both ends, ranges, moves, and the pops that wait.

Order of effects of a move: the push on the destination first, then the pop (docs/semantics.md, Moves).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trignb.datatypes import List
from trignb.engine.args import (
    INT64_MAX,
    INT64_MIN,
    parse_mpop,
    syntax_error,
    to_int,
    wrong_type,
)
from trignb.engine.blocking import NOTHING, to_timeout
from trignb.engine.events import LIST
from trignb.engine.ranges import clip
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Reply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("list")
command = family.command

Args = list[bytes]

_ENDS = (b"LEFT", b"RIGHT")
_NOT_POSITIVE = "ERR value is out of range, must be positive"


# Pushing ---------------------------------------------------------------------------


@command("LPUSH")
def lpush(s: Session, args: Args) -> int:
    """Puts elements in front of a list, which is made if need be."""
    return _push(s, args, b"lpush", left=True)


@command("RPUSH")
def rpush(s: Session, args: Args) -> int:
    """Puts elements behind a list, which is made if need be."""
    return _push(s, args, b"rpush", left=False)


@command("LPUSHX")
def lpushx(s: Session, args: Args) -> int:
    """Puts elements in front of a list if there is one."""
    return _push(s, args, b"lpush", left=True, create=False)


@command("RPUSHX")
def rpushx(s: Session, args: Args) -> int:
    """Puts elements behind a list if there is one."""
    return _push(s, args, b"rpush", left=False, create=False)


def _push(
    s: Session, args: Args, event: bytes, *, left: bool, create: bool = True
) -> int:
    db, key = s.db, args[1]
    items = db.lookup(key)
    if items is None:
        if not create:
            return 0
        items = _new_list(s, key)
    elif type(items) is not List:
        raise wrong_type()
    elements = args[2:]
    if items.fill != s.core.limits.list_fill:
        items.adopt(s.core.limits.list_fill)
    if left:
        items.push_left(elements)
    else:
        items.push_right(elements)
    db.changed(LIST, event, key, len(elements))
    return len(items)


def _new_list(s: Session, key: bytes) -> List:
    items = List(s.core.limits.list_fill)
    s.db.add(key, items)
    return items


@command("LINSERT")
def linsert(s: Session, args: Args) -> int:
    """Puts an element before or after another."""
    where = args[2].lower()
    if where not in (b"before", b"after"):
        raise syntax_error()
    db, key = s.db, args[1]
    items = db.lookup_type(key, List)
    if items is None:
        return 0
    items.adopt(s.core.limits.list_fill)
    # Redis makes room before it looks where.
    items.make_room(args[4])
    for at, element in enumerate(items):
        if element == args[3]:
            items.insert(at + (where == b"after"), args[4])
            db.changed(LIST, b"linsert", key)
            return len(items)
    return -1


# Popping ---------------------------------------------------------------------------


@command("LPOP")
def lpop(s: Session, args: Args) -> Reply:
    """Takes elements from the front."""
    return _pop(s, args, left=True)


@command("RPOP")
def rpop(s: Session, args: Args) -> Reply:
    """Takes elements from the back."""
    return _pop(s, args, left=False)


def _pop(s: Session, args: Args, *, left: bool) -> Reply:
    if len(args) > 2:
        return _pop_many(s, args, left=left)
    db, key = s.db, args[1]
    items = db.lookup(key)
    if items is None:
        return None
    if type(items) is not List:
        raise wrong_type()
    element = items.pop_left() if left else items.pop_right()
    db.changed(LIST, b"lpop" if left else b"rpop", key)
    if not items:
        db.drop_if_empty(key, items)
    return element


def _pop_many(s: Session, args: Args, *, left: bool) -> Reply:
    if len(args) > 3:
        raise ResponseError(
            f"ERR wrong number of arguments for '{args[0].decode().lower()}' command"
        )
    count = to_int(args[2], _NOT_POSITIVE)
    if count < 0:
        raise ResponseError(_NOT_POSITIVE)
    items = s.db.lookup_type(args[1], List)
    if items is None:
        return s.null_array
    return _take(s, args[1], items, count, left=left) if count else []


def _take(
    s: Session, key: bytes, items: List, count: int, *, left: bool
) -> list[bytes]:
    """Take up to `count` elements from an end, with everything that follows."""
    db = s.db
    take = items.pop_left_many if left else items.pop_right_many
    taken = take(count)
    db.changed(LIST, b"lpop" if left else b"rpop", key, len(taken))
    db.drop_if_empty(key, items)
    return taken


@command("LMPOP")
def lmpop(s: Session, args: Args) -> Reply:
    """Takes elements from the first of several lists that has any."""
    keys, left, count = parse_mpop(args, 1, _ENDS)
    reply = _mpop(s, keys, left, count)
    return s.null_array if reply is NOTHING else reply


def _mpop(s: Session, keys: Sequence[bytes], left: bool, count: int) -> Reply:
    for key in keys:
        items = s.db.lookup_type(key, List)
        if items is None:
            continue
        taken = _take(s, key, items, count, left=left)
        if s.core.sinks:
            name = b"LPOP" if left else b"RPOP"
            s.core.propagate_as([name, key, b"%d" % len(taken)])
        return [key, taken]
    return NOTHING


# Looking ---------------------------------------------------------------------------


@command("LLEN")
def llen(s: Session, args: Args) -> int:
    """Returns the length of a list."""
    items = s.db.read_type(args[1], List)
    return 0 if items is None else len(items)


@command("LINDEX")
def lindex(s: Session, args: Args) -> bytes | None:
    """Returns the element at an index, negative ones counted from the end."""
    items = s.db.read_type(args[1], List)
    if items is None:
        return None
    at = to_int(args[2])
    if at < 0:
        at += len(items)
    return items[at] if 0 <= at < len(items) else None


@command("LRANGE")
def lrange(s: Session, args: Args) -> list[bytes]:
    """Returns the elements between two indexes, both included."""
    start, stop = to_int(args[2]), to_int(args[3])
    items = s.db.read_type(args[1], List)
    if items is None:
        return []
    return items.slice(*clip(start, stop, len(items)))


@command("LPOS")
def lpos(s: Session, args: Args) -> Reply:
    """Returns the indexes of matching elements."""
    rank, count, most = _parse_lpos(args)
    items = s.db.read_type(args[1], List)
    if items is None:
        return None if count is None else []
    found = _positions(items, args[2], rank, count, most)
    if count is None:
        return found[0] if found else None
    return found


def _parse_lpos(args: Args) -> tuple[int, int | None, int]:
    rank, count, most = 1, None, 0
    options = args[3:]
    for i in range(0, len(options), 2):
        name = options[i].upper()
        if i + 1 >= len(options):
            raise syntax_error()
        value = options[i + 1]
        if name == b"RANK":
            rank = to_int(value)
            if rank == INT64_MIN:
                raise ResponseError(
                    "ERR value is out of range, value must between "
                    f"{-INT64_MAX} and {INT64_MAX}"
                )
            if rank == 0:
                raise ResponseError(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 "
                    "from the second ... or use negative to start from the end of the "
                    "list"
                )
        elif name == b"COUNT":
            count = _not_negative(value, "COUNT")
        elif name == b"MAXLEN":
            most = _not_negative(value, "MAXLEN")
        else:
            raise syntax_error()
    return rank, count, most


def _not_negative(text: bytes, name: str) -> int:
    error = f"ERR {name} can't be negative"
    value = to_int(text, error)
    if value < 0:
        raise ResponseError(error)
    return value


def _positions(
    items: List, element: bytes, rank: int, count: int | None, most: int
) -> list[int]:
    elements = list(items)
    n = len(elements)
    order = range(n) if rank > 0 else range(n - 1, -1, -1)
    skip, wanted = abs(rank) - 1, 1 if count is None else count
    found: list[int] = []
    for at in order[: most or n]:
        if elements[at] == element:
            if skip:
                skip -= 1
                continue
            found.append(at)
            if len(found) == wanted:
                break
    return found


# Changing --------------------------------------------------------------------------


@command("LSET")
def lset(s: Session, args: Args) -> Status:
    """Replaces the element at an index."""
    db, key = s.db, args[1]
    items = db.lookup_type(key, List)
    if items is None:
        raise ResponseError("ERR no such key")
    at = _as_int32(to_int(args[2]))
    items.adopt(s.core.limits.list_fill)
    items.make_room(args[3])
    if at < 0:
        at += len(items)
    if not 0 <= at < len(items):
        raise ResponseError("ERR index out of range")
    items[at] = args[3]
    db.changed(LIST, b"lset", key)
    return OK


def _as_int32(index: int) -> int:
    """Return what is left of an index in Redis's LSET, which keeps 32 bits of it."""
    return (index + (1 << 31)) % (1 << 32) - (1 << 31)


@command("LREM")
def lrem(s: Session, args: Args) -> int:
    """Removes elements equal to a value: the first, the last, or all."""
    count = to_int(args[2])
    db, key = s.db, args[1]
    items = db.lookup_type(key, List)
    if items is None:
        return 0
    removed = items.remove(args[3], count)
    if removed:
        db.changed(LIST, b"lrem", key, removed)
        db.drop_if_empty(key, items)
    return removed


@command("LTRIM")
def ltrim(s: Session, args: Args) -> Status:
    """Keeps the elements between two indexes; fires even when that is all of them."""
    start, stop = to_int(args[2]), to_int(args[3])
    db, key = s.db, args[1]
    items = db.lookup_type(key, List)
    if items is None:
        return OK
    n = len(items)
    first, last = clip(start, stop, n)
    items.drop_right(n - last)
    items.drop_left(first)
    db.changed(LIST, b"ltrim", key, n - len(items))
    db.drop_if_empty(key, items)
    return OK


# Moving ----------------------------------------------------------------------------


@command("LMOVE")
def lmove(s: Session, args: Args) -> bytes | None:
    """Takes an element from an end of a list and puts it at an end of another."""
    from_left, to_left = _is_left(args[3]), _is_left(args[4])
    reply = _move(s, args[1], args[2], from_left, to_left)
    return None if reply is NOTHING else reply


@command("RPOPLPUSH")
def rpoplpush(s: Session, args: Args) -> bytes | None:
    """Takes the last element of a list and puts it in front of another."""
    reply = _move(s, args[1], args[2], from_left=False, to_left=True)
    return None if reply is NOTHING else reply


def _is_left(word: bytes) -> bool:
    side = word.upper()
    if side not in (b"LEFT", b"RIGHT"):
        raise syntax_error()
    return side == b"LEFT"


def _move(
    s: Session, source: bytes, target: bytes, from_left: bool, to_left: bool
) -> Reply:
    db = s.db
    items = db.lookup_type(source, List)
    if items is None:
        return NOTHING
    others = db.lookup_type(target, List)
    element = items.pop_left() if from_left else items.pop_right()
    if others is None:
        others = _new_list(s, target)
    others.adopt(s.core.limits.list_fill)
    if to_left:
        others.push_left([element])
    else:
        others.push_right([element])
    db.changed(LIST, b"lpush" if to_left else b"rpush", target, 0)
    db.changed(LIST, b"lpop" if from_left else b"rpop", source)
    db.drop_if_empty(source, items)
    return element


# Waiting ---------------------------------------------------------------------------


@command("BLPOP")
def blpop(s: Session, args: Args) -> Reply:
    """Takes the first element of the first list that has any, or waits for one."""
    return _blocking_pop(s, args, b"LPOP", left=True)


@command("BRPOP")
def brpop(s: Session, args: Args) -> Reply:
    """Takes the last element of the first list that has any, or waits for one."""
    return _blocking_pop(s, args, b"RPOP", left=False)


def _blocking_pop(s: Session, args: Args, name: bytes, *, left: bool) -> Reply:
    timeout = to_timeout(args[-1])
    keys = args[1:-1]

    def attempt() -> Reply:
        for key in keys:
            items = s.db.lookup_type(key, List)
            if items is not None:
                element = _take(s, key, items, 1, left=left)[0]
                if s.core.sinks:
                    s.core.propagate_as([name, key])
                return [key, element]
        return NOTHING

    return _wait(s, keys, timeout, attempt, s.null_array)


@command("BLMPOP")
def blmpop(s: Session, args: Args) -> Reply:
    """Takes elements from the first of several lists that has any, or waits."""
    keys, left, count = parse_mpop(args, 2, _ENDS)
    timeout = to_timeout(args[1])
    return _wait(s, keys, timeout, lambda: _mpop(s, keys, left, count), s.null_array)


@command("BLMOVE")
def blmove(s: Session, args: Args) -> Reply:
    """Moves an element between two lists, or waits until there is one."""
    from_left, to_left = _is_left(args[3]), _is_left(args[4])
    plain = [b"LMOVE", *args[1:5]]
    return _blocking_move(s, args, from_left, to_left, plain)


@command("BRPOPLPUSH")
def brpoplpush(s: Session, args: Args) -> Reply:
    """Moves the last element of a list in front of another, or waits for one."""
    return _blocking_move(s, args, False, True, [b"RPOPLPUSH", *args[1:3]])


def _blocking_move(
    s: Session, args: Args, from_left: bool, to_left: bool, plain: Args
) -> Reply:
    timeout = to_timeout(args[-1])

    def attempt() -> Reply:
        reply = _move(s, args[1], args[2], from_left, to_left)
        if reply is not NOTHING and s.core.sinks:
            s.core.propagate_as(plain)
        return reply

    return _wait(s, args[1:2], timeout, attempt, None)


def _wait(
    s: Session,
    keys: Sequence[bytes],
    timeout: float,
    attempt: Callable[[], Reply],
    empty: Reply,
) -> Reply:
    return s.core.blocking.serve(s, keys, timeout, attempt, empty=empty, kind=List)
