"""Deadlines: EXPIRE and its kin, PERSIST, TTL and its kin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trignb.engine.args import INT64_MAX, to_int
from trignb.engine.events import GENERIC
from trignb.engine.laziness import EXPIRE
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("generic")
command = family.command

Args = list[bytes]

_SECOND = 1000


@command("EXPIRE")
def expire(s: Session, args: Args) -> int:
    """Sets a key's time to live in seconds."""
    return _expire(s, args, "expire", _SECOND, s.core.now_ms())


@command("PEXPIRE")
def pexpire(s: Session, args: Args) -> int:
    """Sets a key's time to live in milliseconds."""
    return _expire(s, args, "pexpire", 1, s.core.now_ms())


@command("EXPIREAT")
def expireat(s: Session, args: Args) -> int:
    """Sets a key's deadline, in seconds since 1970."""
    return _expire(s, args, "expireat", _SECOND, 0)


@command("PEXPIREAT")
def pexpireat(s: Session, args: Args) -> int:
    """Sets a key's deadline, in milliseconds since 1970."""
    return _expire(s, args, "pexpireat", 1, 0)


def _expire(s: Session, args: Args, name: str, unit: int, base_ms: int) -> int:
    db, core, key = s.db, s.core, args[1]
    conditions = _conditions(args) if len(args) > 3 else ()
    deadline = _deadline(to_int(args[2]), name, unit, base_ms)
    if db.lookup(key) is None:
        return 0
    if conditions and not _allows(conditions, db.expires.get(key), deadline):
        return 0
    if deadline <= core.now_ms() and not (core.is_loading or core.is_replica):
        db.remove(key, EXPIRE)
        db.changed(GENERIC, b"del", key)
        if core.sinks:
            core.propagate_as([db.deletion_name(EXPIRE), key])
        return 1
    db.set_deadline(key, deadline)
    db.changed(GENERIC, b"expire", key)
    if core.sinks and (unit != 1 or base_ms):
        core.propagate_as([b"PEXPIREAT", key, b"%d" % deadline, *args[3:]])
    return 1


def _deadline(number: int, name: str, unit: int, base_ms: int) -> int:
    """Return the deadline in ms; it may lie in the past, but not beyond 64 bits."""
    deadline = number * unit
    if not -INT64_MAX - 1 <= deadline <= INT64_MAX - base_ms:
        raise ResponseError(f"ERR invalid expire time in '{name}' command")
    return deadline + base_ms


def _conditions(args: Args) -> set[bytes]:
    given = set()
    for arg in args[3:]:
        option = arg.upper()
        if option not in (b"NX", b"XX", b"GT", b"LT"):
            shown = arg.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            raise ResponseError(f"ERR Unsupported option {shown}")
        given.add(option)
    if b"NX" in given and len(given) > 1:
        raise ResponseError(
            "ERR NX and XX, GT or LT options at the same time are not compatible"
        )
    if {b"GT", b"LT"} <= given:
        raise ResponseError("ERR GT and LT options at the same time are not compatible")
    return given


def _allows(conditions: set[bytes], current: int | None, deadline: int) -> bool:
    """Whether the options let a deadline take the place of the current one.

    A key without a deadline lives for ever, longer than any other.
    """
    if b"NX" in conditions:
        return current is None
    if b"XX" in conditions and current is None:
        return False
    if b"GT" in conditions:
        return current is not None and deadline > current
    return b"LT" not in conditions or current is None or deadline < current


@command("PERSIST")
def persist(s: Session, args: Args) -> int:
    """Drops a key's deadline."""
    db, key = s.db, args[1]
    if db.lookup(key) is None or not db.persist(key):
        return 0
    db.changed(GENERIC, b"persist", key)
    return 1


@command("TTL")
def ttl(s: Session, args: Args) -> int:
    """Tells a key's time to live in seconds; -1 without a deadline, -2 without a key."""
    left = _left_ms(s, args[1])
    return left if left < 0 else (left + 500) // 1000


@command("PTTL")
def pttl(s: Session, args: Args) -> int:
    """Tells a key's time to live in milliseconds; -1 without a deadline, -2 without a key."""
    return _left_ms(s, args[1])


@command("EXPIRETIME")
def expiretime(s: Session, args: Args) -> int:
    """Tells a key's deadline, in seconds since 1970."""
    deadline = _deadline_ms(s, args[1])
    return deadline if deadline < 0 else (deadline + 500) // 1000


@command("PEXPIRETIME")
def pexpiretime(s: Session, args: Args) -> int:
    """Tells a key's deadline, in milliseconds since 1970."""
    return _deadline_ms(s, args[1])


def _deadline_ms(s: Session, key: bytes) -> int:
    db = s.db
    if db.read(key) is None:
        return -2
    return db.expires.get(key, -1)


def _left_ms(s: Session, key: bytes) -> int:
    deadline = _deadline_ms(s, key)
    return deadline if deadline < 0 else max(deadline - s.core.now_ms(), 0)
