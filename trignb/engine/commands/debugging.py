"""DEBUG: the subcommands that test suites use and that do no harm here."""

from __future__ import annotations

import math
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from trignb.datatypes.rdb import dump_value
from trignb.engine.args import to_int
from trignb.engine.client_memory import DEFAULT_PEAK_S, ReplyBuffer
from trignb.engine.commands.connection import wrong_subcommand
from trignb.engine.commands.internals import (
    INTERNALS,
    Subcommand,
    check_exists,
    list_fields,
)
from trignb.engine.commands.keys import object_encoding, object_refcount
from trignb.engine.digest import dataset_digest, value_digest
from trignb.engine.parameters import parse_memory
from trignb.engine.rewriting import rewrite_file
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.glob import matcher
from trignb.reply import OK, BigNumber, Reply, SetReply, Status, Verbatim

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("server")
command = family.command

Args = list[bytes]

# What a DUMP payload has beside the value: its type before, version and checksum after.
_PAYLOAD_FRAME = 11
# A mebibyte less than what a length in a listpack can say.
_MOST_PACKED = (1 << 32) - (1 << 20)


@command("DEBUG")
def debug(s: Session, args: Args) -> Reply:
    """Serves the tests of clients and of the engine."""
    refusal = s.core.config.refusal_of("debug", is_local=s.is_local)
    if refusal is not None:
        raise ResponseError(refusal)
    word = args[1].upper()
    if word == b"HELP" and len(args) == 2:
        return _help(s)
    found = _subcommands(s).get(word)
    if found is None or not (
        len(args) == found.length or len(args) >= -found.length > 0
    ):
        raise wrong_subcommand(args)
    return found.run(s, args)


def _subcommands(s: Session) -> dict[bytes, Subcommand]:
    """Return all there are; what layers above have to say comes before what is said here."""
    return INTERNALS | _SUBCOMMANDS | s.core.debug_subcommands


def _help(s: Session) -> list[Status]:
    lines = ["DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for word, (run, length) in sorted(_subcommands(s).items()):
        lines += [word.decode() + (" ..." if length != 2 else ""), f"    {run.__doc__}"]
    return [Status(line) for line in [*lines, "HELP", "    Prints this help."]]


def _sleep(s: Session, args: Args) -> Status:
    """Stops the engine for some seconds."""
    seconds = max(float(_leading(rb"[0-9]*\.?[0-9]*", args[2]) or b"0"), 0)
    end = time.monotonic() + seconds
    # As in Redis a signal ends the sleep.
    while (left := end - time.monotonic()) > 0 and not s.core.is_ending:
        time.sleep(min(left, _NAP_S))
    return OK


def _digest(s: Session, args: Args) -> Status:
    """Sums up all keys: equal keyspaces have equal digests."""
    return Status(dataset_digest(s.core.databases).hex())


def _digest_value(s: Session, args: Args) -> list[Status]:
    """Sums up the values of keys."""
    db = s.db
    return [
        Status(value_digest(db.data[key], key in db.expires).hex())
        if key in db.data
        else Status("0" * 40)
        for key in args[2:]
    ]


def _set_active_expire(s: Session, args: Args) -> Status:
    """Turns the deletion of keys nobody asks for on (1) or off (0)."""
    s.core.active_expire = int(_leading(rb"-?[0-9]*", args[2]) or b"0") != 0
    return OK


def _leading(pattern: bytes, text: bytes) -> bytes:
    """Return what C's atoi or strtod would read of a text; empty is zero."""
    match = re.match(pattern, text)
    number = match[0] if match else b""
    return number if any(c in b"0123456789" for c in number) else b""


def _object(s: Session, args: Args) -> Status:
    """Shows a value's encoding and size."""
    key = args[2]
    value = s.db.peek(key)
    if value is None:
        raise ResponseError("ERR no such key")
    named = [b"OBJECT", b"", key]
    encoding = object_encoding(s, named) or b""
    idle = s.core.access.idle_s(s.db, key) if s.core.access.is_on else 0
    lru = (s.core.now_ns() // 1_000_000_000 - idle) & 0xFFFFFF
    payload = dump_value(value, s.core.config.values)
    nodes = ""
    if encoding == b"quicklist":
        nodes = list_fields(value, s.core.config.values["list-compress-depth"])
    return Status(
        f"Value at:{id(value):#x} refcount:{object_refcount(s, named)} "
        f"encoding:{encoding.decode()} "
        f"serializedlength:{len(payload) - _PAYLOAD_FRAME} "
        f"lru:{lru} lru_seconds_idle:{idle}{nodes}"
    )


def _listpack(s: Session, args: Args) -> Status:
    """Shows a listpack, in Redis; here it only says whether the value would be one."""
    check_exists(s, args[2])
    if object_encoding(s, [b"OBJECT", b"", args[2]]) != b"listpack":
        raise ResponseError("ERR Not a listpack encoded object.")
    return Status("Listpack structure printed on stdout")


def _stringmatch_len(s: Session, args: Args) -> int:
    """Tells whether a pattern matches a string."""
    return int(bool(matcher(args[2])(args[3])))


def _rewrite_all(s: Session, args: Args) -> Status:
    """Rewrites the configuration file with every parameter there is."""
    config = s.core.config
    failed = "ERR CONFIG-REWRITE-FORCE-ALL failed:"
    if not config.file:
        raise ResponseError(f"{failed} Bad address")
    try:
        users = s.core.permissions.declarations()
        rewrite_file(config.file, config, users, whole=True)
    except OSError as error:
        raise ResponseError(f"{failed} {error.strerror}") from None
    return OK


def _change_repl_id(s: Session, args: Args) -> Status:
    """Changes the replication id."""
    s.core.replication_id = secrets.token_hex(20)
    return OK


def _quicklist_packed_threshold(s: Session, args: Args) -> Status:
    """Sets which elements of lists are too large to be packed; no list is packed here."""
    size = parse_memory(args[2].decode("utf-8", "replace"))
    if size is None or size > _MOST_PACKED:
        raise ResponseError(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb"
        )
    return OK


def _error(s: Session, args: Args) -> Reply:
    """Fails with the given text."""
    text = args[2].decode("utf-8", "surrogateescape")
    error = ResponseError(text.replace("\r", " ").replace("\n", " "))
    # As in Redis: the text is only sent, and no error to INFO.
    error.counted = True
    raise error


def _log(s: Session, args: Args) -> Status:
    """Writes to the server's log, of which there is none."""
    return OK


def _protocol(s: Session, args: Args) -> Reply:
    """Answers with a value of the given type."""
    kind = args[2].lower()
    if kind == b"push":
        if s.resp == 2:
            raise ResponseError("ERR RESP2 is not supported by this command")
        s.push([b"server-cpu-usage", 42])
        return b"Some real reply following the push reply"
    if kind not in _SAMPLES:
        raise ResponseError(
            "ERR Wrong protocol type name. Please use one of the following: string|"
            "integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
        )
    return _SAMPLES[kind]


def _populate(s: Session, args: Args) -> Status:
    """Creates that many keys, silently; those that exist stay as they are."""
    if len(args) > 5:
        raise wrong_subcommand(args)
    count = _positive(args[2])
    prefix = args[3] if len(args) > 3 else b"key"
    size = _positive(args[4]) if len(args) > 4 else 0
    db = s.db
    for i in range(count):
        key, value = b"%b:%d" % (prefix, i), b"value:%d" % i
        if db.lookup(key) is None:
            db.add(key, value[:size].ljust(size, b"\0") if size else value)
    return OK


def _positive(text: bytes) -> int:
    wrong = "ERR value is out of range, must be positive"
    number = to_int(text, wrong)
    if number < 0:
        raise ResponseError(wrong)
    return number


def _reply_buffer(s: Session, args: Args) -> Status:
    """Sets how buffers for replies change their size."""
    setting, value = args[2].lower(), args[3].lower()
    if setting not in (b"peak-reset-time", b"resizing"):
        raise wrong_subcommand(args)
    if setting == b"resizing":
        if value not in (b"0", b"1"):
            to_int(value)
        ReplyBuffer.keeps_size = value == b"0"
    elif value == b"never":
        ReplyBuffer.peak_s = math.inf
    elif value == b"reset":
        ReplyBuffer.peak_s = DEFAULT_PEAK_S
    else:
        ReplyBuffer.peak_s = to_int(value) / 1000
    return OK


def _struct_size(s: Session, args: Args) -> bytes:
    """Tells the sizes of Redis's structures on 64 bits."""
    return (
        b"bits:64 robj:16 dictentry:24 sdshdr5:1 sdshdr8:3 sdshdr16:5 sdshdr32:9 "
        b"sdshdr64:17 "
    )


# How long a sleep does not hear that the process is to end.
_NAP_S: Final = 0.02

_SAMPLES: Final[dict[bytes, Any]] = {
    b"string": b"Hello World",
    b"integer": 12345,
    b"double": 3.141,
    b"bignum": BigNumber(1234567999999999999999999999999999999),
    b"null": None,
    b"array": [0, 1, 2],
    b"set": SetReply([0, 1, 2]),
    b"map": {0: False, 1: True, 2: False},
    b"attrib": b"Some real reply following the attribute",
    b"verbatim": Verbatim(b"This is a verbatim\nstring"),
    b"true": True,
    b"false": False,
}

_SUBCOMMANDS: Final[dict[bytes, Subcommand]] = {
    b"CHANGE-REPL-ID": Subcommand(_change_repl_id, 2),
    b"CONFIG-REWRITE-FORCE-ALL": Subcommand(_rewrite_all, 2),
    b"DIGEST": Subcommand(_digest, 2),
    b"DIGEST-VALUE": Subcommand(_digest_value, -2),
    b"ERROR": Subcommand(_error, 3),
    b"LISTPACK": Subcommand(_listpack, 3),
    b"LOG": Subcommand(_log, 3),
    b"OBJECT": Subcommand(_object, 3),
    b"POPULATE": Subcommand(_populate, -3),
    b"PROTOCOL": Subcommand(_protocol, 3),
    b"QUICKLIST-PACKED-THRESHOLD": Subcommand(_quicklist_packed_threshold, 3),
    b"REPLYBUFFER": Subcommand(_reply_buffer, 4),
    b"SET-ACTIVE-EXPIRE": Subcommand(_set_active_expire, 3),
    b"SLEEP": Subcommand(_sleep, 3),
    b"STRINGMATCH-LEN": Subcommand(_stringmatch_len, 4),
    b"STRUCTSIZE": Subcommand(_struct_size, 2),
}
