"""Keys on their way to and from other servers: DUMP, RESTORE, MIGRATE."""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import dataclass, field
from io import BufferedReader
from typing import TYPE_CHECKING, NoReturn

from trignb.datatypes.rdb import dump_value, is_intact, load_value
from trignb.engine.args import syntax_error, to_int
from trignb.engine.events import GENERIC
from trignb.engine.laziness import SERVER_DEL
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Reply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("generic")
command = family.command

Args = list[bytes]

_DEFAULT_TIMEOUT_MS = 1000


@command("DUMP")
def dump(s: Session, args: Args) -> bytes | None:
    """Returns a key's value as bytes that RESTORE understands."""
    value = s.db.read(args[1])
    return None if value is None else dump_value(value, s.core.config.values)


# -- RESTORE


@dataclass(slots=True)
class _RestoreOptions:
    replace: bool = False
    absolute: bool = False
    idle_s: int | None = None
    frequency: int | None = None


@command("RESTORE")
def restore(s: Session, args: Args) -> Status:
    """Creates a key from the bytes that DUMP gave."""
    return _restore(s, args)


@command("RESTORE-ASKING")
def restore_asking(s: Session, args: Args) -> Status:
    """Creates a key while a cluster slot moves; the same as RESTORE here."""
    return _restore(s, args)


def _restore(s: Session, args: Args) -> Status:
    db, core, key, payload = s.db, s.core, args[1], args[3]
    options = _restore_options(args)
    if not options.replace and db.lookup(key) is not None:
        raise ResponseError("BUSYKEY Target key name already exists.")
    ttl = to_int(args[2])
    if ttl < 0:
        raise ResponseError("ERR Invalid TTL value, must be >= 0")
    if not is_intact(payload, checks=not core.skips_checksums):
        raise ResponseError("ERR DUMP payload version or checksum are wrong")
    try:
        value = load_value(payload, core.config.values)
    except ValueError:
        raise ResponseError("ERR Bad data format") from None
    was_there = options.replace and db.remove(key)
    deadline = ttl + core.now_ms() if ttl and not options.absolute else ttl
    if deadline and deadline <= core.now_ms() and not core.is_loading:
        # Already over: nothing is created.
        if was_there:
            db.changed(GENERIC, b"del", key)
            core.propagate_as([db.deletion_name(SERVER_DEL), key])
        return OK
    db.add(key, value)
    if deadline:
        db.set_deadline(key, deadline)
    access = core.access
    access.renew(db, key)
    # Which of the two is of use depends on the policy; the other is not kept.
    if options.idle_s is not None and not access.is_lfu:
        access.set_idle(db, key, options.idle_s)
    if options.frequency is not None and access.is_lfu:
        access.set_frequency(db, key, options.frequency)
    db.changed(GENERIC, b"restore", key)
    if ttl and not options.absolute and core.sinks:
        sent = [*args[:2], b"%d" % deadline, *args[3:], b"ABSTTL"]
        core.propagate_as(sent)
    return OK


def _restore_options(args: Args) -> _RestoreOptions:
    options = _RestoreOptions()
    words = iter(range(4, len(args)))
    for i in words:
        word, has_value = args[i].upper(), i + 1 < len(args)
        if word == b"REPLACE":
            options.replace = True
        elif word == b"ABSTTL":
            options.absolute = True
        elif word == b"IDLETIME" and has_value and options.frequency is None:
            options.idle_s = to_int(args[next(words)])
            if options.idle_s < 0:
                raise ResponseError("ERR Invalid IDLETIME value, must be >= 0")
        elif word == b"FREQ" and has_value and options.idle_s is None:
            options.frequency = to_int(args[next(words)])
            if not 0 <= options.frequency <= 255:
                raise ResponseError("ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise syntax_error()
    return options


# -- MIGRATE


@dataclass(slots=True)
class _MigrateOptions:
    copy: bool = False
    replace: bool = False
    login: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)


@command("MIGRATE")
def migrate(s: Session, args: Args) -> Reply:
    """Moves keys to another server; nothing else runs meanwhile, as in Redis."""
    db = s.db
    options = _migrate_options(args)
    timeout_ms, target_db = to_int(args[5]), to_int(args[4])
    values = [(key, db.read(key)) for key in options.keys]
    values = [(key, value) for key, value in values if value is not None]
    if not values:
        return Status("NOKEY")
    head = [[b"AUTH", *options.login]] if options.login else []
    head.append([b"SELECT", b"%d" % target_db])
    body = [_restore_command(s, key, value, options) for key, value in values]
    timeout_s = (timeout_ms if timeout_ms > 0 else _DEFAULT_TIMEOUT_MS) / 1000
    with _connect(args[1], args[2], timeout_s) as target:
        try:
            target.sendall(b"".join(map(_encode, head + body)))
        except OSError:
            _give_up("writing")
        _conclude(s, target, len(head), [key for key, _ in values], options)
    return OK


def _migrate_options(args: Args) -> _MigrateOptions:
    options = _MigrateOptions(keys=[args[3]])
    words = iter(range(6, len(args)))
    for i in words:
        word, left = args[i].upper(), len(args) - i - 1
        if word == b"COPY":
            options.copy = True
        elif word == b"REPLACE":
            options.replace = True
        elif word == b"AUTH" and left >= 1:
            options.login = [args[next(words)]]
        elif word == b"AUTH2" and left >= 2:
            options.login = [args[next(words)], args[next(words)]]
        elif word == b"KEYS":
            if args[3]:
                raise ResponseError(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to"
                    " the empty string"
                )
            options.keys = args[i + 1 :]
            break
        else:
            raise syntax_error()
    return options


def _restore_command(
    s: Session, key: bytes, value: object, options: _MigrateOptions
) -> Args:
    deadline = s.db.expires.get(key)
    ttl = 0 if deadline is None else max(deadline - s.core.now_ms(), 1)
    payload = dump_value(value, s.core.config.values)
    sent = [b"RESTORE", key, b"%d" % ttl, payload]
    return [*sent, b"REPLACE"] if options.replace else sent


def _connect(host: bytes, port: bytes, timeout_s: float) -> socket.socket:
    number = re.match(rb"\s*[+-]?\d*", port)
    digits = number[0].strip() if number else b""
    address = (
        host.decode("latin-1"),
        int(digits) & 0xFFFF if digits[-1:].isdigit() else 0,
    )
    try:
        return socket.create_connection(address, timeout_s)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.ECONNREFUSED:
            # Redis learns of the refusal when it writes.
            _give_up("writing")
        raise ResponseError("IOERR error or timeout connecting to the client") from None


def _encode(args: Args) -> bytes:
    parts = [b"*%d\r\n" % len(args)]
    parts += [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args]
    return b"".join(parts)


def _conclude(
    s: Session,
    target: socket.socket,
    n_head: int,
    keys: list[bytes],
    options: _MigrateOptions,
) -> None:
    """Read the target's replies; delete what it took and report what it refused."""
    db, core = s.db, s.core
    taken: list[bytes] = []
    complaint = b""
    try:
        with target.makefile("rb") as reader:
            for _ in range(n_head):
                complaint = complaint or _complaint(reader)
            head_failed = bool(complaint)
            for key in keys:
                answer = _complaint(reader)
                complaint = complaint or answer
                if not head_failed and not answer and not options.copy:
                    db.remove(key)
                    db.changed(GENERIC, b"del", key)
                    taken.append(key)
    except OSError:
        if not complaint:
            _give_up("reading")
    finally:
        # An error does not undo what the target has taken.
        core.propagate_as()
        if taken:
            core.add_effect(db.index, [b"DEL", *taken])
    if complaint:
        text = complaint.decode("utf-8", "surrogateescape")
        raise ResponseError(f"ERR Target instance replied with error: {text}")


def _complaint(reader: BufferedReader) -> bytes:
    """Read one reply; returns the error it is, or nothing."""
    line = reader.readline()
    if not line.endswith(b"\n"):
        raise ConnectionResetError
    return line[1:].rstrip(b"\r\n") if line[:1] == b"-" else b""


def _give_up(doing: str) -> NoReturn:
    raise ResponseError(f"IOERR error or timeout {doing} to target instance") from None
