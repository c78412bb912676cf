"""Hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trignb.datatypes import Hash
from trignb.engine.args import wrong_arity, wrong_type
from trignb.engine.events import HASH
from trignb.engine.spec import CommandFamily

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("hash")
command = family.command

Args = list[bytes]


@command("HSET")
def hset(s: Session, args: Args) -> int:
    """Sets fields of a hash."""
    if len(args) & 1:
        raise wrong_arity("hset")
    db, key = s.db, args[1]
    fields = db.lookup(key)
    if fields is None:
        fields = Hash()
        db.add(key, fields)
    elif type(fields) is not Hash:
        raise wrong_type()
    before = len(fields)
    for i in range(2, len(args), 2):
        fields[args[i]] = args[i + 1]
    db.changed(HASH, b"hset", key, (len(args) - 2) >> 1)
    return len(fields) - before
