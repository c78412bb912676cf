"""DEBUG about Redis's own structures, and what would end the server: told as far as it exists here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn
from zlib import crc32

from trignb.datatypes import STRING_TYPES, List
from trignb.datatypes.packed import pack_listpack
from trignb.engine.args import to_int
from trignb.engine.client_memory import total_memory
from trignb.engine.commands.connection import wrong_subcommand
from trignb.engine.commands.keys import object_encoding
from trignb.errors import ResponseError
from trignb.reply import OK, Reply, Status, Verbatim

if TYPE_CHECKING:
    from trignb.engine.session import Session

__all__ = ["INTERNALS", "Subcommand", "check_exists", "list_fields"]

Args = list[bytes]

# Redis's object around a value, in bytes.
_OBJECT: Final = 16
# Redis's least table of hashes.
_LEAST_TABLE: Final = 4
# Bounds of the groups of clients by memory, as powers of two.
_FIRST_GROUP, _LAST_GROUP = 15, 32


class Subcommand(NamedTuple):
    """What runs for a word, and how many arguments it takes, DEBUG and the word included.

    A negative length means at least so many.
    """

    run: Callable[[Session, Args], Reply]
    length: int


def _value(s: Session, key: bytes) -> Any:
    value = s.db.peek(key)
    if value is None:
        raise ResponseError("ERR no such key")
    return value


def check_exists(s: Session, key: bytes) -> None:
    """Raise an error for a key that is absent, and count the miss, without an event."""
    if s.db.peek(key) is None:
        s.core.misses += 1
        raise ResponseError("ERR no such key")


def _encoding(s: Session, key: bytes) -> bytes:
    return object_encoding(s, [b"OBJECT", b"", key]) or b""


# -- lists


def list_fields(value: List, compress_depth: int) -> str:
    """Return what DEBUG OBJECT adds for a list of several nodes."""
    sizes = [len(pack_listpack(node)) for node in value.nodes()]
    return (
        f" ql_nodes:{len(sizes)} ql_avg_node:{len(value) / len(sizes):.2f} "
        f"ql_listpack_max:{value.fill} ql_compressed:{int(compress_depth != 0)} "
        f"ql_uncompressed_size:{sum(sizes)}"
    )


def _quicklist(s: Session, args: Args) -> Status:
    """Shows a list's nodes, in Redis; here it only says whether the value would have some."""
    if len(args) > 4:
        raise wrong_subcommand(args)
    check_exists(s, args[2])
    if _encoding(s, args[2]) != b"quicklist":
        raise ResponseError("ERR Not a quicklist encoded object.")
    return Status("Quicklist structure printed on stdout")


# -- strings


def _sdslen(s: Session, args: Args) -> Status:
    """Tells the sizes of a key and its string, as Redis would have them."""
    key = args[2]
    value = _value(s, key)
    if type(value) not in STRING_TYPES or _encoding(s, key) == b"int":
        raise ResponseError("ERR Not an sds encoded string.")
    # The shortest header is not used for values.
    key_room = _room(len(key) + (1 if len(key) < 32 else _header(len(key))) + 1)
    value_room = _room(len(value) + _header(len(value)) + 1)
    if _encoding(s, key) == b"embstr":
        # It shares its memory with the object before it.
        value_room = _room(_OBJECT + len(value) + 4) - _OBJECT
    return Status(
        f"key_sds_len:{len(key)}, key_sds_avail:0, key_zmalloc: {key_room}, "
        f"val_sds_len:{len(value)}, val_sds_avail:0, val_zmalloc: {value_room}"
    )


def _header(length: int) -> int:
    return 3 if length < 1 << 8 else 5 if length < 1 << 16 else 9


def _room(size: int) -> int:
    """Return what an allocator that has four sizes in each power of two gives for a size."""
    if size <= 8:
        return 8
    step = max(1 << (size - 1).bit_length() >> 3, 16)
    return -(-size // step) * step


# -- hash tables, which here are Python's and tell nothing of their own chains


def _htstats(s: Session, args: Args) -> Verbatim:
    """Tells the sizes of a database's tables."""
    number = to_int(args[2])
    databases = s.core.databases
    if not 0 <= number < len(databases):
        raise ResponseError("ERR Out of range database")
    db = databases[number]
    return Verbatim(
        f"[Dictionary HT]\n{_table_text(db.data, _is_full(args))}"
        f"[Expires HT]\n{_table_text(db.expires, _is_full(args))}".encode()
    )


def _htstats_key(s: Session, args: Args) -> Verbatim:
    """Tells the size of a value's table."""
    check_exists(s, args[2])
    value = _value(s, args[2])
    if _encoding(s, args[2]) not in (b"hashtable", b"skiplist"):
        raise ResponseError(
            "ERR The value stored at the specified key is not represented using an hash "
            "table"
        )
    return Verbatim(_table_text(value, _is_full(args)).encode())


def _is_full(args: Args) -> bool:
    """Whether chains are asked for too; what else stands there is read over."""
    return len(args) > 3 and args[3].lower() == b"full"


def _table_text(keys: Collection[bytes], full: bool) -> str:
    text, count = "Hash table 0 stats (main hash table):\n", len(keys)
    if not count:
        return text + "No stats available for empty dictionaries\n"
    size = max(1 << (count - 1).bit_length(), _LEAST_TABLE)
    text += f" table size: {size}\n number of elements: {count}\n"
    return text + _chains_text(keys, size) if full else text


def _chains_text(keys: Collection[bytes], size: int) -> str:
    """Return what is told of a table's chains, as if keys were spread by their CRC-32."""
    slots = Counter(crc32(key) % size for key in keys)
    chains = Counter(slots.values())
    chains[0] = size - len(slots)
    mean = len(keys) / len(slots)
    return (
        f" different slots: {len(slots)}\n max chain length: {max(chains)}\n"
        f" avg chain length (counted): {mean:.2f}\n"
        f" avg chain length (computed): {mean:.2f}\n"
        " Chain length distribution:\n"
    ) + "".join(
        f"   {length}: {number} ({number / size:.2%})\n"
        for length, number in sorted(chains.items())
        if number
    )


# -- clients and memory


def _client_eviction(s: Session, args: Args) -> Verbatim:
    """Counts clients by the memory they take, while ``maxmemory-clients`` is set."""
    if not s.core.config.values["maxmemory-clients"]:
        raise ResponseError("ERR maxmemory-clients is disabled.")
    sizes = [_client_size(session) for session in list(s.core.sessions.values())]
    lines = []
    for power in range(_FIRST_GROUP, _LAST_GROUP + 1):
        low, high = 1 << power - 1 if power > _FIRST_GROUP else 0, (1 << power) - 1
        lines.append(_group_text(f"{low:10} - {high:10}", low, high, sizes))
    low = 1 << _LAST_GROUP
    lines.append(_group_text(f"{low:10}+{' ' * 12}", low, max([*sizes, low]), sizes))
    return Verbatim("".join(lines).encode())


def _group_text(bounds: str, low: int, high: int, sizes: list[int]) -> str:
    inside = [size for size in sizes if low <= size <= high]
    return f"bucket {bounds}: tot-mem: {sum(inside):10}, clients: {len(inside)}\n"


def _client_size(session: Session) -> int:
    return total_memory(session)


def _mallctl(s: Session, args: Args) -> NoReturn:
    """Tunes the allocator of Redis, of which there is none."""
    raise ResponseError("ERR No such file or directory")


def _skip_checksum(s: Session, args: Args) -> Status:
    """Lets RESTORE take payloads with a wrong checksum (1), or not (0)."""
    number = re.match(rb"[+-]?[0-9]+", args[2])
    s.core.skips_checksums = number is not None and int(number[0]) != 0
    return OK


def _accept(s: Session, args: Args) -> Status:
    """Accepts a setting of what does not exist here."""
    return OK


# -- what Redis does not survive


def _refuse(s: Session, args: Args) -> NoReturn:
    """Would end the server, in Redis; refused, as it is somebody's Python process."""
    word = args[1].decode("utf-8", "replace").upper()
    raise ResponseError(f"ERR DEBUG {word} would end this process and is refused.")


INTERNALS: Final[dict[bytes, Subcommand]] = {
    b"AOF-FLUSH-SLEEP": Subcommand(_accept, 3),
    b"ASSERT": Subcommand(_refuse, -2),
    b"CLIENT-EVICTION": Subcommand(_client_eviction, 2),
    b"CRASH-AND-RECOVER": Subcommand(_refuse, -2),
    b"DROP-CLUSTER-PACKET-FILTER": Subcommand(_accept, 3),
    b"HTSTATS": Subcommand(_htstats, -3),
    b"HTSTATS-KEY": Subcommand(_htstats_key, -3),
    b"LEAK": Subcommand(_accept, 3),
    b"MALLCTL": Subcommand(_mallctl, -3),
    b"MALLCTL-STR": Subcommand(_mallctl, -3),
    b"OOM": Subcommand(_refuse, -2),
    b"PANIC": Subcommand(_refuse, -2),
    b"PAUSE-CRON": Subcommand(_accept, 3),
    b"QUICKLIST": Subcommand(_quicklist, -3),
    b"RESTART": Subcommand(_refuse, -2),
    b"SDSLEN": Subcommand(_sdslen, 3),
    b"SEGFAULT": Subcommand(_refuse, -2),
    b"SET-DISABLE-DENY-SCRIPTS": Subcommand(_accept, 3),
    b"SET-SKIP-CHECKSUM-VALIDATION": Subcommand(_skip_checksum, 3),
}
