"""Keys of any type: DEL, EXISTS, TYPE, RENAME, COPY, MOVE, OBJECT and their kin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trignb.datatypes import (
    STRING_TYPES,
    TYPE_NAMES,
    Hash,
    List,
    Set,
    SortedSet,
    copy_value,
    string_encoding,
)
from trignb.datatypes.listpack import is_int64
from trignb.engine.args import syntax_error, to_int32
from trignb.engine.events import GENERIC
from trignb.engine.laziness import ALWAYS, USER_DEL
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Reply, Status

if TYPE_CHECKING:
    from trignb.engine.database import Database
    from trignb.engine.session import Session

family = CommandFamily("generic")
command = family.command

Args = list[bytes]

# Integers that Redis keeps once for everybody; it reports this many references to them.
_SHARED_INTEGERS = 10_000
_MANY_REFERENCES = (1 << 31) - 1

_SAME = "ERR source and destination objects are the same"
_SWITCHING = (
    " Please note that when switching between policies at runtime LRU and LFU data will"
    " take some time to adjust."
)

_OBJECT_HELP = """\
OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
ENCODING <key>
    Return the kind of internal representation used in order to store the value
    associated with a <key>.
FREQ <key>
    Return the access frequency index of the <key>. The returned integer is
    proportional to the logarithm of the recent access frequency of the key.
IDLETIME <key>
    Return the idle time of the <key>, that is the approximated number of
    seconds elapsed since the last access to the key.
REFCOUNT <key>
    Return the number of references of the value associated with the specified
    <key>.
HELP
    Prints this help."""


@command("DEL")
def del_(s: Session, args: Args) -> int:
    """Deletes keys."""
    return _delete(s, args, USER_DEL)


@command("UNLINK")
def unlink(s: Session, args: Args) -> int:
    """Deletes keys, freeing their memory in the background (here DEL does, too)."""
    return _delete(s, args, ALWAYS)


def _delete(s: Session, args: Args, laziness: str) -> int:
    delete = s.db.delete
    count = 0
    for key in args[1:]:
        if delete(key, laziness):
            count += 1
    return count


@command("EXISTS")
def exists(s: Session, args: Args) -> int:
    """Counts the keys that exist; one named twice counts twice."""
    return _count(s, args)


@command("TOUCH")
def touch(s: Session, args: Args) -> int:
    """Counts the keys that exist and marks them as just used."""
    return _count(s, args)


def _count(s: Session, args: Args) -> int:
    read = s.db.read
    count = 0
    for key in args[1:]:
        if read(key) is not None:
            count += 1
    return count


@command("TYPE")
def type_(s: Session, args: Args) -> Status:
    """Names the type of a key's value."""
    value = s.db.read(args[1])
    return Status("none" if value is None else TYPE_NAMES[type(value)])


# -- other names, other places


@command("RENAME")
def rename(s: Session, args: Args) -> Status:
    """Gives a key another name, replacing whatever has it."""
    _rename(s, args[1], args[2], replace=True)
    return OK


@command("RENAMENX")
def renamenx(s: Session, args: Args) -> int:
    """Gives a key another name unless that is taken."""
    return _rename(s, args[1], args[2], replace=False)


def _rename(s: Session, key: bytes, name: bytes, *, replace: bool) -> int:
    db = s.db
    if db.lookup(key) is None:
        raise ResponseError("ERR no such key")
    if key == name:
        return 0
    if db.lookup(name) is not None:
        if not replace:
            return 0
        db.remove(name)
    _put(db, name, db.data[key], db.expires.get(key))
    db.take(key)
    db.changed(GENERIC, b"rename_from", key)
    db.changed(GENERIC, b"rename_to", name, 0)
    return 1


@command("COPY")
def copy(s: Session, args: Args) -> int:
    """Copies a key's value and deadline to another name or database."""
    db, source, name = s.db, args[1], args[2]
    target, replace = _copy_options(s, args)
    if target is db and source == name:
        raise ResponseError(_SAME)
    value = db.read(source)
    if value is None:
        return 0
    if target.lookup(name) is not None:
        if not replace:
            return 0
        target.remove(name)
    _put(target, name, copy_value(value), db.expires.get(source))
    target.changed(GENERIC, b"copy_to", name)
    return 1


def _copy_options(s: Session, args: Args) -> tuple[Database, bool]:
    target, replace = s.db, False
    i = 3
    while i < len(args):
        option = args[i].upper()
        if option == b"REPLACE":
            replace = True
        elif option == b"DB" and i + 1 < len(args):
            i += 1
            target = _database(s, args[i])
        else:
            raise syntax_error()
        i += 1
    return target, replace


@command("MOVE")
def move(s: Session, args: Args) -> int:
    """Moves a key to another database unless it has one of that name."""
    db, key = s.db, args[1]
    target = _database(s, args[2])
    if target is db:
        raise ResponseError(_SAME)
    if db.lookup(key) is None or target.lookup(key) is not None:
        return 0
    _put(target, key, db.data[key], db.expires.get(key))
    db.take(key)
    db.changed(GENERIC, b"move_from", key)
    target.changed(GENERIC, b"move_to", key, 0)
    return 1


def _database(s: Session, text: bytes) -> Database:
    databases = s.core.databases
    index = to_int32(text)
    if not 0 <= index < len(databases):
        raise ResponseError("ERR DB index is out of range")
    return databases[index]


def _put(db: Database, key: bytes, value: Any, deadline: int | None) -> None:
    """Add a key with its deadline; the event ``new`` comes first, as in Redis."""
    db.add(key, value)
    if deadline is not None:
        db.set_deadline(key, deadline)


# -- OBJECT: how a value is kept


@command("OBJECT ENCODING")
def object_encoding(s: Session, args: Args) -> bytes | None:
    """Names the representation Redis would have chosen for a value."""
    value = _look(s, args[2])
    return None if value is None else encoding_of(value).encode()


@command("OBJECT REFCOUNT")
def object_refcount(s: Session, args: Args) -> int | None:
    """Counts the references to a value: one, many for a small integer."""
    value = _look(s, args[2])
    if value is None:
        return None
    is_shared = (
        type(value) is bytes and is_int64(value) and 0 <= int(value) < _SHARED_INTEGERS
    )
    return _MANY_REFERENCES if is_shared else 1


@command("OBJECT IDLETIME")
def object_idletime(s: Session, args: Args) -> int | None:
    """Tells for how many seconds a key was not used; noted from the first question on."""
    access = s.core.access
    if _look(s, args[2]) is None:
        return None
    if access.is_lfu:
        raise ResponseError(
            "ERR An LFU maxmemory policy is selected, idle time not tracked."
            + _SWITCHING
        )
    return access.idle_s(s.db, args[2])


@command("OBJECT FREQ")
def object_freq(s: Session, args: Args) -> int | None:
    """Tells how often a key is used, on a logarithmic scale (LFU policies only)."""
    access = s.core.access
    if _look(s, args[2]) is None:
        return None
    if not access.is_lfu:
        raise ResponseError(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked."
            + _SWITCHING
        )
    return access.frequency(s.db, args[2])


@command("OBJECT HELP")
def object_help(s: Session, args: Args) -> Reply:
    """Prints what OBJECT can do."""
    return [Status(line) for line in _OBJECT_HELP.splitlines()]


def _look(s: Session, key: bytes) -> Any:
    """Read a key, counting a hit or a miss; OBJECT alone fires no ``keymiss``."""
    value = s.db.lookup(key)
    if value is None:
        s.core.misses += 1
    else:
        s.core.hits += 1
    return value


def encoding_of(value: Any) -> str:
    """Return the name of the representation Redis would have chosen for a value."""
    kind = type(value)
    if kind in STRING_TYPES:
        return string_encoding(value)
    if kind is Hash:
        return "listpack" if value.is_small else "hashtable"
    if kind in (List, Set, SortedSet):
        return str(value.encoding)
    return "stream"
