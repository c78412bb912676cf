"""Hashes. HSET of one field and HGET are written out flat, as GET and SET are."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from trignb.datatypes import Hash
from trignb.datatypes.longdouble import LongDouble, add, parse, show
from trignb.engine.args import (
    INT64_MAX,
    INT64_MIN,
    syntax_error,
    to_int,
    wrong_arity,
)
from trignb.engine.events import HASH
from trignb.engine.scan import parse_cursor, parse_options
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Reply

if TYPE_CHECKING:
    from random import Random

    from trignb.engine.session import Session

family = CommandFamily("hash")
command = family.command

Args = list[bytes]

_NO_FIELDS: Final = Hash()


def _read(s: Session, key: bytes) -> Hash:
    """Return the hash a command reads; an empty one, not to be changed, for no key."""
    return s.db.read_type(key, Hash) or _NO_FIELDS


def _open(s: Session, key: bytes) -> Hash:
    """Return the hash a command writes to; a new key is added, its ``new`` fired."""
    fields = s.db.lookup_type(key, Hash)
    if fields is None:
        fields = Hash()
        s.db.add(key, fields)
    return fields


# -- writing


@command("HSET")
def hset(s: Session, args: Args) -> int:
    """Sets fields of a hash; returns how many are new."""
    if len(args) != 4:
        return _set_fields(s, args, "hset")
    core, db = s.core, s.db
    _, key, field, value = args
    fields = db.data.get(key)
    # Flat: an existing hash that nobody watches; `_set_fields` does the same for any.
    if type(fields) is not Hash or db.watched or (db.expires and key in db.expires):
        return _set_fields(s, args, "hset")
    before = len(fields)
    fields[field] = value
    core.dirty += 1
    after = len(fields)
    if fields.is_small:
        limits = core.limits
        if (
            after > limits.hash_entries
            or len(value) > limits.hash_value
            or len(field) > limits.hash_value
        ):
            fields.is_small = False
    if core.event_mask & HASH:
        core.emit(db, HASH, b"hset", key)
    return after - before


@command("HMSET")
def hmset(s: Session, args: Args) -> Reply:
    """Sets fields of a hash: HSET with an older reply."""
    _set_fields(s, args, "hmset")
    return OK


def _set_fields(s: Session, args: Args, name: str) -> int:
    if len(args) & 1:
        raise wrong_arity(name)
    key = args[1]
    fields = _open(s, key)
    before = len(fields)
    fields.fill(args[2:], s.core.limits.hashes)
    s.db.changed(HASH, b"hset", key, (len(args) - 2) >> 1)
    return len(fields) - before


@command("HSETNX")
def hsetnx(s: Session, args: Args) -> int:
    """Sets a field of a hash unless the field exists."""
    _, key, field, value = args
    fields = _open(s, key)
    if field in fields:
        return 0
    _set_field(s, fields, field, value)
    s.db.changed(HASH, b"hset", key)
    return 1


def _set_field(s: Session, fields: Hash, field: bytes, value: bytes) -> None:
    fields[field] = value
    fields.grow(s.core.limits.hashes, field, value)


@command("HINCRBY")
def hincrby(s: Session, args: Args) -> int:
    """Adds to the number in a field."""
    _, key, field, text = args
    amount = to_int(text)
    fields = _open(s, key)
    total = amount + to_int(fields.get(field, b"0"), "ERR hash value is not an integer")
    if not INT64_MIN <= total <= INT64_MAX:
        raise ResponseError("ERR increment or decrement would overflow")
    _set_field(s, fields, field, b"%d" % total)
    s.db.changed(HASH, b"hincrby", key)
    return total


@command("HINCRBYFLOAT")
def hincrbyfloat(s: Session, args: Args) -> bytes:
    """Adds a decimal number to the one in a field."""
    _, key, field, text = args
    amount = parse(text)
    if amount is None:
        raise ResponseError("ERR value is not a valid float")
    if amount.infinite:
        raise ResponseError("ERR value is NaN or Infinity")
    fields = _open(s, key)
    number = parse(fields[field]) if field in fields else LongDouble(0, 0)
    if number is None:
        raise ResponseError("ERR hash value is not a float")
    total = add(number, amount)
    if total is None:
        raise ResponseError("ERR increment would produce NaN or Infinity")
    shown = show(total)
    _set_field(s, fields, field, shown)
    s.db.changed(HASH, b"hincrbyfloat", key)
    if s.core.sinks:
        s.core.propagate_as([b"HSET", key, field, shown])
    return shown


@command("HDEL")
def hdel(s: Session, args: Args) -> int:
    """Deletes fields of a hash, and the hash with its last field."""
    db, key = s.db, args[1]
    fields = db.lookup_type(key, Hash)
    if fields is None:
        return 0
    before = len(fields)
    for field in args[2:]:
        fields.pop(field, None)
    deleted = before - len(fields)
    if deleted:
        db.changed(HASH, b"hdel", key, deleted)
        db.drop_if_empty(key, fields)
    return deleted


# -- reading


@command("HGET")
def hget(s: Session, args: Args) -> bytes | None:
    """Returns the value of a field."""
    _, key, field = args
    db = s.db
    fields = db.data.get(key)
    if type(fields) is Hash and (not db.expires or key not in db.expires):
        s.core.hits += 1
        return fields.get(field)
    return _read(s, key).get(field)


@command("HMGET")
def hmget(s: Session, args: Args) -> list[bytes | None]:
    """Returns the values of several fields, null for a missing one."""
    return [*map(_read(s, args[1]).get, args[2:])]


@command("HGETALL")
def hgetall(s: Session, args: Args) -> dict[bytes, bytes]:
    """Returns all fields and values."""
    return dict(_read(s, args[1]))


@command("HKEYS")
def hkeys(s: Session, args: Args) -> list[bytes]:
    """Returns all fields."""
    return list(_read(s, args[1]))


@command("HVALS")
def hvals(s: Session, args: Args) -> list[bytes]:
    """Returns all values."""
    return list(_read(s, args[1]).values())


@command("HLEN")
def hlen(s: Session, args: Args) -> int:
    """Returns the number of fields."""
    return len(_read(s, args[1]))


@command("HEXISTS")
def hexists(s: Session, args: Args) -> int:
    """Tells whether a field exists."""
    return int(args[2] in _read(s, args[1]))


@command("HSTRLEN")
def hstrlen(s: Session, args: Args) -> int:
    """Returns the length of a field's value in bytes."""
    return len(_read(s, args[1]).get(args[2], b""))


@command("HRANDFIELD")
def hrandfield(s: Session, args: Args) -> Reply:
    """Returns random fields: distinct ones, or with a negative count repeated ones."""
    if len(args) == 2:
        fields = _read(s, args[1])
        return s.core.chance.commands.choice(list(fields)) if fields else None
    count = _parse_count(args)
    fields = _read(s, args[1])
    picked = _pick(s.core.chance.commands, fields, count)
    if len(args) == 3:
        return picked
    pairs = [[field, fields[field]] for field in picked]
    return pairs if s.resp == 3 else [*chain.from_iterable(pairs)]


def _parse_count(args: Args) -> int:
    count = to_int(args[2])
    if count == INT64_MIN:
        raise ResponseError(
            f"ERR value is out of range, value must between {-INT64_MAX} and {INT64_MAX}"
        )
    if len(args) > 4 or (len(args) == 4 and args[3].upper() != b"WITHVALUES"):
        raise syntax_error()
    if len(args) == 4 and abs(count) > INT64_MAX // 2:
        raise ResponseError("ERR value is out of range")
    return count


def _pick(chance: Random, fields: Hash, count: int) -> list[bytes]:
    names = list(fields)
    if count < 0:
        return chance.choices(names, k=-count) if names else []
    return names if count >= len(names) else chance.sample(names, count)


@command("HSCAN")
def hscan(s: Session, args: Args) -> list[Reply]:
    """Walks the fields of a hash page by page; a small one comes in one page."""
    cursor, key = parse_cursor(args[2]), args[1]
    fields = s.db.read_type(key, Hash)
    if fields is None:
        return [b"0", []]
    options = parse_options(args, 3)
    if fields.is_small:
        cursor, page = 0, list(fields)
    else:
        place = (s.db.index, key)
        cursor, page = s.core.cursors.page(cursor, options.count, fields, place)
    if options.matches is not None:
        page = [*filter(options.matches, page)]
    pairs = ((field, fields[field]) for field in page)
    return [b"%d" % cursor, [*chain.from_iterable(pairs)]]
