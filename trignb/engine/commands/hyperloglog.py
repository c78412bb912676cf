"""HyperLogLog: counting distinct elements in 12 kB."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

from trignb.datatypes import STRING_TYPES
from trignb.datatypes import hyperloglog as hll
from trignb.engine.args import wrong_type
from trignb.engine.events import STRING
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("hyperloglog")
command = family.command

Args = list[bytes]

# What PFSELFTEST counts up to; its error is 0.8 % by design, and six times that is refused.
_TEST_ELEMENTS: Final = 20_000
_TEST_ERROR: Final = 6 * 1.04 / 128


def _check(value: Any) -> Any:
    """Return a value that is a HyperLogLog, or none at all."""
    if value is None:
        return None
    if type(value) not in STRING_TYPES:
        raise wrong_type()
    if not hll.is_hyperloglog(value):
        raise ResponseError("WRONGTYPE Key is not a valid HyperLogLog string value.")
    return value


def _changeable(s: Session, key: bytes, value: Any) -> bytearray:
    """Return the value of a key as one that can change in place."""
    if type(value) is bytes:
        value = s.db.data[key] = bytearray(value)
    return value  # type: ignore[no-any-return]


def _corrupted() -> ResponseError:
    return ResponseError("INVALIDOBJ Corrupted HLL object detected")


@command("PFADD")
def pfadd(s: Session, args: Args) -> int:
    """Counts elements in a HyperLogLog; returns 1 when that changed its estimate."""
    db, key = s.db, args[1]
    value = _check(db.lookup(key))
    changes = 0
    if value is None:
        value = hll.new()
        db.add(key, value)
        changes = 1
    else:
        value = _changeable(s, key, value)
    limit = s.core.config.values["hll-sparse-max-bytes"]
    try:
        for element in args[2:]:
            changes += hll.add(value, element, limit)
    except hll.CorruptedHyperLogLog:
        raise _corrupted() from None
    if not changes:
        return 0
    value[15] |= 0x80
    db.changed(STRING, b"pfadd", key, changes)
    return 1


@command("PFCOUNT")
def pfcount(s: Session, args: Args) -> int:
    """Estimates how many distinct elements one or several HyperLogLogs have counted."""
    if len(args) > 2:
        return hll.estimate(_merged(s, args[1:])[0])
    db, key = s.db, args[1]
    value = _check(db.read(key))
    if value is None:
        return 0
    number = hll.cached_count(value)
    if number is None:
        try:
            number = hll.count(value)
        except hll.CorruptedHyperLogLog:
            raise _corrupted() from None
        hll.store_count(_changeable(s, key, value), number)
        # The string did change, but nobody is told.
        db.changed(0, b"", key)
    return number


@command("PFMERGE")
def pfmerge(s: Session, args: Args) -> Status:
    """Merges HyperLogLogs into the first key, which is one of them if it exists."""
    db, key = s.db, args[1]
    registers, is_dense = _merged(s, args[1:])
    value = db.lookup(key)
    if value is None:
        value = hll.new()
        db.add(key, value)
    else:
        value = _changeable(s, key, value)
    if is_dense:
        hll.densify(value)
    hll.set_registers(value, registers, s.core.config.values["hll-sparse-max-bytes"])
    value[15] |= 0x80
    db.changed(STRING, b"pfadd", key)
    return OK


def _merged(s: Session, keys: Args) -> tuple[bytes, bool]:
    """Return the registers of several keys as one, and whether any of them was dense."""
    registers = bytes(hll.REGISTERS)
    is_dense = False
    for key in keys:
        value = _check(s.db.read(key))
        if value is None:
            continue
        is_dense = is_dense or not hll.is_sparse(value)
        try:
            registers = hll.merge_registers(registers, hll.to_registers(value))
        except hll.CorruptedHyperLogLog:
            raise _corrupted() from None
    return registers, is_dense


@command("PFDEBUG")
def pfdebug(s: Session, args: Args) -> Any:
    """Shows the inside of a HyperLogLog: GETREG, DECODE, ENCODING, TODENSE."""
    key, word = args[2], args[1].lower()
    value = _check(s.db.lookup(key))
    if value is None:
        raise ResponseError("ERR The specified key does not exist")
    if word == b"encoding":
        return Status("sparse" if hll.is_sparse(value) else "dense")
    if word == b"decode":
        return _decode(value)
    if word not in (b"getreg", b"todense"):
        name = args[1].decode("utf-8", "surrogateescape")
        raise ResponseError(f"ERR Unknown PFDEBUG subcommand '{name}'")
    value = _changeable(s, key, value)
    try:
        changed = hll.densify(value)
    except hll.CorruptedHyperLogLog:
        raise _corrupted() from None
    s.core.dirty += changed
    return list(hll.to_registers(value)) if word == b"getreg" else int(changed)


def _decode(value: bytes | bytearray) -> bytes:
    if not hll.is_sparse(value):
        raise ResponseError("ERR HLL encoding is not sparse")
    texts = []
    for rank, run, is_long in hll.decode(value):
        if rank:
            texts.append(b"v:%d,%d" % (rank, run))
        else:
            texts.append(b"%b:%d" % (b"Z" if is_long else b"z", run))
    return b" ".join(texts)


@command("PFSELFTEST")
def pfselftest(_s: Session, _args: Args) -> Status:
    """Checks registers and estimates against each other."""
    chance = Random(0)
    sparse, dense = hll.new(), hll.new()
    hll.densify(dense)
    for number in range(1, _TEST_ELEMENTS + 1):
        element = chance.randbytes(16)
        if hll.add(sparse, element, 3000) != hll.add(dense, element, 0):
            raise ResponseError("ERR TESTFAILED dense/sparse disagree")
        if number in (100, 1000, _TEST_ELEMENTS):
            found = hll.count(dense)
            if found != hll.count(sparse):
                raise ResponseError("ERR TESTFAILED dense/sparse disagree")
            if abs(found - number) > _TEST_ERROR * number + 1:
                raise ResponseError(
                    f"ERR TESTFAILED Too big error. card:{number} "
                    f"abserr:{abs(found - number)}"
                )
    return OK
