"""Whole databases: KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSHALL, FLUSHDB, SWAPDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trignb.datatypes import TYPE_NAMES
from trignb.engine.args import syntax_error, to_int32
from trignb.engine.laziness import USER_FLUSH
from trignb.engine.scan import parse_cursor, parse_options
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.glob import matcher
from trignb.reply import OK, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.engine.session import Session

family = CommandFamily("generic")
command = family.command

Args = list[bytes]

# How often RANDOMKEY tries while every key has expired and none may be deleted.
_TRIES = 100


@command("KEYS")
def keys(s: Session, args: Args) -> list[bytes]:
    """Lists the keys that match a pattern."""
    db = s.db
    matches = matcher(args[1])
    found = [key for key in db.data if matches(key)]
    if db.expires:
        found = [key for key in found if not db.is_due(key)]
    return found


@command("SCAN")
def scan(s: Session, args: Args) -> list[Any]:
    """Walks through the keys, some at a time; expired ones are deleted on the way."""
    db, core = s.db, s.core
    cursor = parse_cursor(args[1])
    matches, size, kind = parse_options(args, 2, with_type=True)
    following, page = core.cursors.page(cursor, size, db.data, (db.index, None))
    if matches is not None:
        page = [key for key in page if matches(key)]
    if kind is not None:
        # The type is looked up as by a reader: an expired key is a miss.
        name = kind.decode("latin-1").lower()
        page = [key for key in page if TYPE_NAMES.get(type(db.read(key))) == name]
    if db.expires:
        page = [key for key in page if not db.expire_if_due(key)]
        _send_one_by_one(core)
    return [b"%d" % following, page]


@command("RANDOMKEY")
def randomkey(s: Session, args: Args) -> bytes | None:
    """Names any key."""
    db, tries = s.db, 0
    try:
        while db.data:
            key = db.random_key()
            tries += 1
            if not db.expire_if_due(key):
                return key
            if tries >= _TRIES and len(db.expires) == len(db.data):
                return key
    finally:
        _send_one_by_one(s.core)
    return None


def _send_one_by_one(core: Core) -> None:
    """Propagate the DELs of a walk over the keyspace on their own.

    Only a walk that is the whole unit does so; within EXEC or a script they are wrapped.
    """
    if core.nesting == 1 and core.effects:
        core.unwrapped = True


@command("DBSIZE")
def dbsize(s: Session, args: Args) -> int:
    """Counts the keys, those included that have expired but are still there."""
    return len(s.db.data)


@command("FLUSHDB")
def flushdb(s: Session, args: Args) -> Status:
    """Deletes every key of the selected database."""
    _flush(s, args, [s.db])
    s.core.propagate_as(args)
    return OK


@command("FLUSHALL")
def flushall(s: Session, args: Args) -> Status:
    """Deletes every key of every database."""
    _flush(s, args, s.core.databases)
    s.core.saves.flushed()
    s.core.propagate_as(args)
    return OK


def _flush(s: Session, args: Args, databases: Sequence[Database]) -> None:
    # Both ways are one here: memory is always given back in the background.
    if len(args) > 2 or (len(args) == 2 and args[1].upper() not in (b"SYNC", b"ASYNC")):
        raise syntax_error()
    count = sum(db.clear() for db in databases)
    s.core.dirty += count
    if args[1].upper() == b"ASYNC" if len(args) == 2 else _flushes_lazily(s):
        s.core.lazyfreed += count


def _flushes_lazily(s: Session) -> bool:
    return bool(s.core.config.values[USER_FLUSH])


@command("SWAPDB")
def swapdb(s: Session, args: Args) -> Status:
    """Exchanges the contents of two databases."""
    databases = s.core.databases
    first = to_int32(args[1], "ERR invalid first DB index")
    second = to_int32(args[2], "ERR invalid second DB index")
    if not (0 <= first < len(databases) and 0 <= second < len(databases)):
        raise ResponseError("ERR DB index is out of range")
    if first != second:
        databases[first].swap(databases[second])
    s.core.dirty += 1
    return OK
