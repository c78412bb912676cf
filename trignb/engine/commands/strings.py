"""Strings: GET, SET and everything that changes bytes or counts in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trignb.engine.args import wrong_type
from trignb.engine.events import STRING
from trignb.engine.spec import CommandFamily
from trignb.reply import OK, Reply

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("string")
command = family.command

Args = list[bytes]


@command("GET")
def get(s: Session, args: Args) -> bytes | None:
    """Returns the string value of a key."""
    db = s.db
    value = db.data.get(args[1])
    # Written out for speed: `db.read` is one call more, an eighth of a GET.
    if value is None or db.expires:
        value = db.read(args[1])
        if value is None:
            return None
    else:
        s.core.hits += 1
    if type(value) is bytes:
        return value
    if type(value) is bytearray:
        return bytes(value)
    raise wrong_type()


@command("SET")
def set_(s: Session, args: Args) -> Reply:
    """Sets the string value of a key, whatever it held."""
    db, key = s.db, args[1]
    db.assign(key, args[2])
    db.changed(STRING, b"set", key)
    return OK
