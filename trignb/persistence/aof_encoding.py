"""What goes into an append-only file of what units propagate, as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from trignb.datatypes.crc64 import crc64
from trignb.datatypes.rdb import RDB_VERSION, dump_value, load_value
from trignb.persistence.annotations import annotate
from trignb.resp.propagated import ENCODED, NO_DB, encode_batch, encode_request

if TYPE_CHECKING:
    from trignb.engine.core import Core, Effect
    from trignb.persistence.aof_output import AofOutput

__all__ = ["AofEncoder"]

Config = Mapping[str, Any]

# What concerns other clients only is for replicas, and what redis-server has no command for
# becomes an annotation.
_NOT_KEPT: Final = frozenset({b"publish", b"spublish"})
# Which argument of these is a payload of DUMP, and how much of it is a version and a checksum.
_WITH_PAYLOAD: Final = {b"restore": 3, b"restore-asking": 3, b"function": 2}
_FOOTER: Final = 10
_INTERNAL: Final = b"_rg_internals."
_SHORTEST: Final = len(b"restore")
_THREE: Final = b"*3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
# MULTI, one command, EXEC.
_FRAMED_ONE: Final = 3


class AofEncoder:
    """Encodes what a sink gets.

    Attributes
    ----------
    db : int
        The database that is selected in the file so far.
    is_stamped : bool
        Whether each second begins with a line that tells it.
    """

    __slots__ = ("_core", "_stamped_s", "db", "is_stamped")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.db = NO_DB
        self.is_stamped = False
        self._stamped_s = 0

    def restart(self) -> None:
        """Begin another file."""
        self.db = NO_DB
        self._stamped_s = 0

    def add(self, batch: list[Effect], output: AofOutput) -> None:
        """Have what a unit has for the file, which may be nothing, wait to be written."""
        if len(batch) == 1:
            # Most units are one command: half a microsecond less for them.
            [(at, args)] = batch
            if at == self.db and len(args[0]) < _SHORTEST and not self.is_stamped:
                if len(args) == 3:
                    a, b, c = args
                    output.waiting += _THREE % (len(a), a, len(b), b, len(c), c)
                else:
                    output.waiting += encode_request(args)
                return
        for _, args in batch:
            # Of what is written most no name is so long.
            if len(args[0]) >= _SHORTEST and _is_special(args[0]):
                batch = _translated(batch, self._core.config.values)
                break
        data, db = encode_batch(batch, self.db)
        if self.is_stamped and data:
            data = self._stamp() + data
        # Either both or none: no interrupt comes between what has no calls.
        output.waiting += data
        self.db = db

    def _stamp(self) -> bytes:
        """Return a line with the time, where another second has begun."""
        now_s = self._core.now_ms() // 1000
        if now_s == self._stamped_s:
            return b""
        self._stamped_s = now_s
        return b"#TS:%d\r\n" % now_s


def _is_special(name: bytes) -> bool:
    if name.startswith(_INTERNAL):
        return True
    name = name.lower()
    return name in _NOT_KEPT or name in _WITH_PAYLOAD


def _translated(batch: list[Effect], config: Config) -> list[Effect]:
    """Return a batch without what is not kept, and with annotations."""
    kept = [effect for effect in batch if effect[1][0].lower() not in _NOT_KEPT]
    if len(kept) < len(batch) and len(kept) <= _FRAMED_ONE:
        # Of a transaction one command is left, or none.
        kept = kept[1:-1]
    return [
        (ENCODED, [annotate(args)])
        if args[0].startswith(_INTERNAL)
        else (db, _payload_for(args, config["rdb-version"]))
        for db, args in kept
    ]


def _payload_for(args: list[bytes], version: int) -> list[bytes]:
    """Return a command whose payload is of no newer version than our RDB files."""
    name = args[0].lower()
    if version >= RDB_VERSION or name not in _WITH_PAYLOAD:
        return args
    at = _WITH_PAYLOAD[name]
    if name == b"function" and args[1].lower() != b"restore":
        return args
    payload = args[at]
    if payload[-_FOOTER:-8] != RDB_VERSION.to_bytes(2, "little"):
        return args
    if name == b"function":
        body = payload[:-_FOOTER] + version.to_bytes(2, "little")
        payload = body + crc64(body).to_bytes(8, "little")
    else:
        payload = dump_value(load_value(payload), version=version)
    return [*args[:at], payload, *args[at + 1 :]]
