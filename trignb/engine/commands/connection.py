"""Connections: AUTH, HELLO, PING, SELECT and their kin. CLIENT has a module of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trignb.engine.args import syntax_error, to_int, wrong_arity
from trignb.engine.spec import CommandFamily
from trignb.engine.stats import REDIS_VERSION
from trignb.errors import ResponseError
from trignb.reply import OK, Reply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("connection")
command = family.command

Args = list[bytes]

_PRINTABLE = re.compile(rb"[!-~]*")
_INT32 = 1 << 31


@command("AUTH")
def auth(s: Session, args: Args) -> Status:
    """Authenticates the connection."""
    if len(args) > 3:
        raise syntax_error()
    if len(args) == 2:
        if s.core.permissions.users["default"].nopass:
            raise ResponseError(
                "ERR AUTH <password> called without any password configured for the "
                "default user. Are you sure your configuration is correct?"
            )
        s.authenticate(b"default", args[1])
    else:
        s.authenticate(args[1], args[2])
    return OK


@command("ECHO")
def echo(s: Session, args: Args) -> bytes:
    """Returns the given string."""
    return args[1]


@command("HELLO")
def hello(s: Session, args: Args) -> dict[bytes, Any]:
    """Handshakes: chooses the protocol, may authenticate and name the connection."""
    resp = s.resp
    if len(args) > 1:
        resp = to_int(args[1], "ERR Protocol version is not an integer or out of range")
        if resp not in (2, 3):
            raise ResponseError("NOPROTO unsupported protocol version")
    credentials, name = _hello_options(args)
    if credentials is not None:
        s.authenticate(*credentials)
    if not s.authenticated:
        raise ResponseError(
            "NOAUTH HELLO must be called with the client already authenticated, "
            "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to "
            "authenticate the client and select the RESP protocol version "
            "at the same time"
        )
    if name is not None:
        s.name = name
    s.set_resp(resp)
    return {
        b"server": b"redis",
        b"version": REDIS_VERSION.encode(),
        b"proto": resp,
        b"id": s.id,
        b"mode": b"standalone",
        b"role": b"replica" if s.core.is_replica else b"master",
        b"modules": [*s.core.modules],
    }


def _hello_options(args: Args) -> tuple[tuple[bytes, bytes] | None, bytes | None]:
    credentials, name = None, None
    i = 2
    while i < len(args):
        option = args[i].upper()
        if option == b"AUTH" and i + 2 < len(args):
            credentials = (args[i + 1], args[i + 2])
            i += 3
        elif option == b"SETNAME" and i + 1 < len(args):
            name = check_name(args[i + 1])
            i += 2
        else:
            shown = args[i].decode("utf-8", "replace")
            raise ResponseError(f"ERR Syntax error in HELLO option '{shown}'")
    return credentials, name


def check_name(name: bytes) -> bytes:
    """Return a client's name, refusing blanks and control characters."""
    if not is_printable(name):
        raise ResponseError(
            "ERR Client names cannot contain spaces, newlines or special characters."
        )
    return name


def is_printable(text: bytes) -> bool:
    """Whether a text has neither blanks nor control characters."""
    return _PRINTABLE.fullmatch(text) is not None


@command("PING")
def ping(s: Session, args: Args) -> Reply:
    """Says whether the connection lives."""
    if len(args) > 2:
        raise wrong_arity("ping")
    if s.is_resp2_subscriber:
        return [b"pong", args[1] if len(args) == 2 else b""]
    return args[1] if len(args) == 2 else Status("PONG")


@command("QUIT")
def quit_(s: Session, args: Args) -> Status:
    """Closes the connection."""
    s.close()
    return OK


@command("RESET")
def reset(s: Session, args: Args) -> Status:
    """Returns the connection to its state at the start."""
    s.reset()
    return Status("RESET")


@command("SELECT")
def select(s: Session, args: Args) -> Status:
    """Changes the selected database."""
    index = to_int(args[1])
    if not -_INT32 <= index < _INT32:
        raise ResponseError(
            "ERR value is out of range, value must between -2147483648 and 2147483647"
        )
    databases = s.core.databases
    if not 0 <= index < len(databases):
        raise ResponseError("ERR DB index is out of range")
    s.db = databases[index]
    return OK


def wrong_subcommand(args: Args) -> ResponseError:
    """Return the error for a subcommand whose arguments do not fit."""
    shown = args[1].decode("utf-8", "replace")
    return ResponseError(
        f"ERR unknown subcommand or wrong number of arguments for '{shown}'. "
        f"Try {args[0].decode().upper()} HELP."
    )
