"""CLIENT: who is connected, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trignb.engine.args import INT64_MAX, syntax_error, to_int
from trignb.engine.client_memory import client_memory
from trignb.engine.commands.connection import check_name, is_printable, wrong_subcommand
from trignb.engine.help import help_lines
from trignb.engine.spec import CommandFamily
from trignb.engine.tracking import Tracking
from trignb.errors import ResponseError, SessionClosed
from trignb.reply import NO_REPLY, OK, Reply, SetReply, Status, Verbatim

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("connection")
command = family.command

Args = list[bytes]
Test = Callable[["Session"], bool]

_TYPES = (b"normal", b"slave", b"replica", b"pubsub", b"master")


@command("CLIENT HELP")
def client_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of CLIENT."""
    return help_lines(s, b"CLIENT")


# -- who one is


@command("CLIENT ID")
def client_id(s: Session, args: Args) -> int:
    """Returns the number of this connection."""
    return s.id


@command("CLIENT GETNAME")
def client_getname(s: Session, args: Args) -> bytes | None:
    """Returns the name of this connection."""
    return s.name or None


@command("CLIENT SETNAME")
def client_setname(s: Session, args: Args) -> Status:
    """Gives this connection a name."""
    s.name = check_name(args[2])
    return OK


@command("CLIENT SETINFO")
def client_setinfo(s: Session, args: Args) -> Status:
    """Notes the client library's name or version."""
    attribute = args[2].lower()
    shown = args[2].decode("utf-8", "replace")
    if attribute not in (b"lib-name", b"lib-ver"):
        raise ResponseError(f"ERR Unrecognized option '{shown}'")
    if not is_printable(args[3]):
        raise ResponseError(
            f"ERR {shown} cannot contain spaces, newlines or special characters."
        )
    if attribute == b"lib-name":
        s.lib_name = args[3]
    else:
        s.lib_version = args[3]
    return OK


@command("CLIENT INFO")
def client_info(s: Session, args: Args) -> Verbatim:
    """Describes this connection."""
    return Verbatim(describe(s, _running(s, "client|info"), args) + b"\n")


@command("CLIENT LIST")
def client_list(s: Session, args: Args) -> Verbatim:
    """Describes the connections, one per line."""
    chosen: Test = _every
    if len(args) == 4 and args[2].upper() == b"TYPE":
        chosen = _has_type(args[3])
    elif len(args) > 3 and args[2].upper() == b"ID":
        wanted = {to_int(arg, "ERR Invalid client ID") for arg in args[3:]}
        chosen = _is_among(wanted)
    elif len(args) != 2:
        raise syntax_error()
    lines = [
        describe(s, _running(s, "client|list"), args)
        if other is s
        else describe(other, None)
        for other in _sessions(s)
        if chosen(other)
    ]
    return Verbatim(b"".join(line + b"\n" for line in lines))


def _running(s: Session, name: str) -> str | None:
    """Return the command a client runs, None when this one is part of its last command."""
    return None if s.core.nesting > 1 else name


def _sessions(s: Session) -> list[Session]:
    return sorted(s.core.sessions.values(), key=lambda other: other.id)


def _every(_session: Session) -> bool:
    return True


def _is_among(numbers: set[int]) -> Test:
    return lambda other: other.id in numbers


def _has_type(name: bytes) -> Test:
    kind = name.lower()
    if kind not in _TYPES:
        shown = name.decode("utf-8", "replace")
        raise ResponseError(f"ERR Unknown client type '{shown}'")
    wanted = b"slave" if kind == b"replica" else kind
    return lambda other: wanted == client_type(other)


def client_type(s: Session) -> bytes:
    """Return the kind of client, as CLIENT LIST TYPE and the limits of buffers name it."""
    if s.is_primary:
        return b"master"
    if _follows(s):
        return b"slave"
    return b"pubsub" if _listens(s) else b"normal"


def _follows(s: Session) -> bool:
    return s.replica is not None and s.replica.is_attached


def _listens(s: Session) -> bool:
    return bool(s.channels or s.patterns or s.shard_channels)


def describe(s: Session, running: str | None, args: list[bytes] | None = None) -> bytes:
    """Return a session's line of CLIENT LIST; only a link has buffers and a descriptor."""
    core, choice, link = s.core, s.tracking, s.link
    memory = client_memory(s, args)
    age = (core.clock.read() - s.created_ns) // 1_000_000_000
    last = running or (s.last_command.name if s.last_command else "NULL")
    redirect = -1 if choice is None else choice.redirect
    fields = {
        "id": s.id,
        "addr": s.shown_address,
        "laddr": s.local_address or "in-process:0",
        "fd": -1 if link is None else link.fileno(),
        "name": s.name.decode("utf-8", "surrogateescape"),
        "age": max(age, 0),
        "idle": 0 if link is None else link.idle_s,
        "flags": _flags(s),
        "db": s.db.index,
        "sub": len(s.channels),
        "psub": len(s.patterns),
        "ssub": len(s.shard_channels),
        "multi": -1 if s.queue is None else len(s.queue),
        "qbuf": memory.query,
        "qbuf-free": memory.query_room,
        "argv-mem": memory.args,
        "multi-mem": memory.queue,
        "rbs": memory.reply_size,
        "rbp": memory.reply_peak,
        "obl": 0,
        "oll": memory.chunks,
        "omem": memory.unsent,
        "tot-mem": memory.total,
        "events": "rw" if memory.unsent else "r",
        "cmd": last,
        "user": s.user,
        "redir": redirect,
        "resp": s.resp,
        "lib-name": s.lib_name.decode("utf-8", "surrogateescape"),
        "lib-ver": s.lib_version.decode("utf-8", "surrogateescape"),
    }
    line = " ".join(f"{name}={value}" for name, value in fields.items())
    return line.encode("utf-8", "surrogateescape")


def _flags(s: Session) -> str:
    choice = s.tracking
    flags = (
        ("O", s in s.core.monitors.sessions),
        ("S", _follows(s)),
        ("M", s.is_primary),
        ("P", _listens(s)),
        ("x", s.queue is not None),
        ("b", s.id in s.core.blocking.sessions or s in s.core.pause.held),
        ("t", choice is not None),
        ("R", choice is not None and choice.broken),
        ("B", choice is not None and choice.bcast),
        ("d", s.watch_broken),
        ("e", s.no_evict),
        ("T", s.no_touch),
    )
    return "".join(letter for letter, is_set in flags if is_set) or "N"


# -- ending and holding up others


@command("CLIENT KILL")
def client_kill(s: Session, args: Args) -> Status | int:
    """Closes connections."""
    if len(args) == 3:
        address = args[2].decode("utf-8", "replace")
        victims = [o for o in _sessions(s) if o.shown_address == address]
        if not victims:
            raise ResponseError("ERR No such client")
        for victim in victims:
            _kill(victim)
        return OK
    tests, skip_me = _kill_filters(s, args)
    victims = [
        other
        for other in _sessions(s)
        if all(test(other) for test in tests) and not (skip_me and other is s)
    ]
    for victim in victims:
        _kill(victim)
    return len(victims)


def _kill_filters(s: Session, args: Args) -> tuple[list[Test], bool]:
    if len(args) % 2:
        raise syntax_error()
    tests: list[Test] = []
    skip_me = True
    for option, value in zip(args[2::2], args[3::2], strict=True):
        match option.upper():
            case b"ID":
                tests.append(_has_id(value))
            case b"TYPE":
                tests.append(_has_type(value))
            case b"ADDR":
                tests.append(_has_address(value))
            case b"LADDR":
                tests.append(_has_local_address(value))
            case b"USER":
                tests.append(_has_user(s, value))
            case b"SKIPME" if value.lower() in (b"yes", b"no"):
                skip_me = value.lower() == b"yes"
            case _:
                raise syntax_error()
    return tests, skip_me


def _has_id(value: bytes) -> Test:
    number = to_int(value, "ERR client-id should be greater than 0")
    if number < 1:
        raise ResponseError("ERR client-id should be greater than 0")
    return lambda other: other.id == number


def _has_address(value: bytes) -> Test:
    return lambda other: other.shown_address.encode() == value


def _has_local_address(value: bytes) -> Test:
    return lambda other: (other.local_address or "in-process:0").encode() == value


def _has_user(s: Session, value: bytes) -> Test:
    user = value.decode("utf-8", "surrogateescape")
    if user not in s.core.permissions.users:
        raise ResponseError(f"ERR No such user '{user}'")
    return lambda other: other.user == user


def _kill(victim: Session) -> None:
    blocking = victim.core.blocking
    waiter = blocking.sessions.get(victim.id)
    if waiter is not None:
        blocking.forget(waiter)
        waiter.finish(None, SessionClosed("the session was closed"))
    victim.close()


@command("CLIENT PAUSE")
def client_pause(s: Session, args: Args) -> Status:
    """Makes clients wait for some time."""
    if len(args) > 4:
        raise wrong_subcommand(args)
    mode = args[3].upper() if len(args) == 4 else b"ALL"
    if mode not in (b"ALL", b"WRITE"):
        raise ResponseError("ERR CLIENT PAUSE mode must be WRITE or ALL")
    timeout_ms = to_int(args[2], "ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise ResponseError("ERR timeout is negative")
    if timeout_ms > INT64_MAX - s.core.now_ms():
        raise ResponseError("ERR timeout is out of range")
    s.core.pause.start(timeout_ms, everything=mode == b"ALL")
    return OK


@command("CLIENT UNPAUSE")
def client_unpause(s: Session, args: Args) -> Status:
    """Lets paused clients go on."""
    s.core.pause.stop()
    return OK


@command("CLIENT UNBLOCK")
def client_unblock(s: Session, args: Args) -> int:
    """Ends another client's wait in a blocking command."""
    if len(args) > 4:
        raise wrong_subcommand(args)
    reason = args[3].upper() if len(args) == 4 else b"TIMEOUT"
    if reason not in (b"TIMEOUT", b"ERROR"):
        raise ResponseError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    number, with_error = to_int(args[2]), reason == b"ERROR"
    was_blocked = s.core.blocking.unblock(number, with_error=with_error)
    if was_blocked and with_error:
        # As in Redis the other client's error is one of this command too.
        s.core.table.by_name["client unblock"].failed += 1
    return int(was_blocked)


# -- what one wants


@command("CLIENT NO-EVICT")
def client_no_evict(s: Session, args: Args) -> Status:
    """Spares this connection when clients are evicted."""
    s.no_evict = _on_or_off(args[2])
    return OK


@command("CLIENT NO-TOUCH")
def client_no_touch(s: Session, args: Args) -> Status:
    """Lets this connection read without refreshing the keys' access times."""
    s.no_touch = _on_or_off(args[2])
    return OK


def _on_or_off(value: bytes) -> bool:
    word = value.lower()
    if word not in (b"on", b"off"):
        raise syntax_error()
    return word == b"on"


@command("CLIENT REPLY")
def client_reply(s: Session, args: Args) -> Reply:
    """Turns replies on or off, or skips the next one."""
    mode = args[2].lower()
    if mode not in (b"on", b"off", b"skip"):
        raise syntax_error()
    if mode == b"skip" and s.reply_mode == "off":
        return NO_REPLY
    s.reply_mode = mode.decode()
    s.rearm()
    return OK if mode == b"on" else NO_REPLY


# -- client-side caching


@command("CLIENT TRACKING")
def client_tracking(s: Session, args: Args) -> Status:
    """Tells this connection when keys it has read change."""
    choice = _tracking_options(s, args)
    mode = args[2].lower()
    if mode == b"off":
        s.core.tracking.stop(s)
        return OK
    if mode != b"on":
        raise syntax_error()
    _check_tracking(s, choice)
    if choice.bcast:
        # No prefix is the empty one, which every key begins with.
        choice.prefixes = choice.prefixes or [b""]
    if s.tracking is not None:
        choice.prefixes = sorted({*s.tracking.prefixes, *choice.prefixes})
        choice.caching = s.tracking.caching
    s.core.tracking.start(s, choice)
    return OK


def _tracking_options(s: Session, args: Args) -> Tracking:
    choice = Tracking()
    i = 3
    while i < len(args):
        option, more = args[i].upper(), i + 1 < len(args)
        if option == b"REDIRECT" and more:
            if choice.redirect:
                raise ResponseError(
                    "ERR A client can only redirect to a single other client"
                )
            choice.redirect = to_int(args[i + 1])
            if choice.redirect not in s.core.sessions:
                raise ResponseError(
                    "ERR The client ID you want redirect to does not exist"
                )
            i += 1
        elif option == b"PREFIX" and more:
            choice.prefixes.append(args[i + 1])
            i += 1
        elif option in (b"BCAST", b"OPTIN", b"OPTOUT", b"NOLOOP"):
            setattr(choice, option.decode().lower(), True)
        else:
            raise syntax_error()
        i += 1
    return choice


def _check_tracking(s: Session, choice: Tracking) -> None:
    """Refuse options that do not fit together, or what is on already."""
    old = s.tracking
    if choice.prefixes and not choice.bcast:
        raise ResponseError("ERR PREFIX option requires BCAST mode to be enabled")
    if old is not None and old.bcast != choice.bcast:
        raise ResponseError(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this "
            "client, and then re-enabling it with a different mode."
        )
    if choice.bcast and (choice.optin or choice.optout):
        raise ResponseError("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if choice.optin and choice.optout:
        raise ResponseError("ERR You can't specify both OPTIN mode and OPTOUT mode")
    if old is not None and (
        (choice.optin and old.optout) or (choice.optout and old.optin)
    ):
        raise ResponseError(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this "
            "client, and then re-enabling it with a different mode."
        )
    _check_prefixes(choice.prefixes, old.prefixes if old is not None else [])


def _check_prefixes(prefixes: list[bytes], existing: list[bytes]) -> None:
    for i, prefix in enumerate(prefixes):
        for other in existing:
            if prefix.startswith(other) or other.startswith(prefix):
                raise _overlap(prefix, other, "an existing")
        for other in prefixes[i + 1 :]:
            if prefix.startswith(other) or other.startswith(prefix):
                raise _overlap(prefix, other, "another provided")


def _overlap(prefix: bytes, other: bytes, which: str) -> ResponseError:
    a, b = prefix.decode("utf-8", "replace"), other.decode("utf-8", "replace")
    return ResponseError(
        f"ERR Prefix '{a}' overlaps with {which} prefix '{b}'. "
        "Prefixes for a single client must not overlap."
    )


@command("CLIENT CACHING")
def client_caching(s: Session, args: Args) -> Status:
    """Says whether the next command's keys are tracked (OPTIN, OPTOUT)."""
    choice = s.tracking
    if choice is None:
        raise ResponseError(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode "
            "with OPTIN or OPTOUT mode enabled"
        )
    word = args[2].lower()
    if word not in (b"yes", b"no"):
        raise syntax_error()
    if word == b"yes" and not choice.optin:
        raise ResponseError(
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
        )
    if word == b"no" and not choice.optout:
        raise ResponseError(
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
        )
    choice.caching = True
    return OK


@command("CLIENT GETREDIR")
def client_getredir(s: Session, args: Args) -> int:
    """Returns the connection that gets this one's invalidation messages."""
    return -1 if s.tracking is None else s.tracking.redirect


@command("CLIENT TRACKINGINFO")
def client_trackinginfo(s: Session, args: Args) -> dict[bytes, Any]:
    """Describes this connection's tracking."""
    choice = s.tracking
    if choice is None:
        flags = [b"off"]
    else:
        flags = [b"on"]
        flags += [b"bcast"] * choice.bcast
        if choice.optin:
            flags += [b"optin"] + [b"caching-yes"] * choice.caching
        if choice.optout:
            flags += [b"optout"] + [b"caching-no"] * choice.caching
        flags += [b"noloop"] * choice.noloop + [b"broken_redirect"] * choice.broken
    return {
        b"flags": SetReply(flags),
        b"redirect": -1 if choice is None else choice.redirect,
        b"prefixes": [] if choice is None else choice.prefixes,
    }
