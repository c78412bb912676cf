"""RDB files: the whole keyspace in one file.

A file is a header, then opcodes: what is known of the server, the libraries of functions, and for each database
its keys, each with its deadline before it; an end mark and a CRC-64. Files are written in version 11, as
Redis 7.2 writes them, or in version 10, which Redis 7.0 reads: the parameter ``rdb-version``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import sleep
from types import TracebackType
from typing import Any, BinaryIO, Final

from trignb.datatypes.crc64 import crc64
from trignb.datatypes.rdb import (
    LOADERS,
    RDB_VERSION,
    SAVERS,
    STRING,
    EmptyValue,
    Reader,
    Writer,
)
from trignb.errors import RdbError

__all__ = ["Contents", "Keys", "RdbWriter", "read_rdb"]

logger = logging.getLogger(__name__)

Config = Mapping[str, Any]
Progress = Callable[[int, int], object]

_MAGIC: Final = b"REDIS"
_HEADER: Final = 9
# The first version with a checksum.
_CHECKSUM_SINCE: Final = 5

# -- opcodes; smaller bytes are types of values
FUNCTION: Final = 245
FUNCTION_PRE_GA: Final = 246
MODULE_AUX: Final = 247
IDLE: Final = 248
FREQUENCY: Final = 249
AUX: Final = 250
RESIZE: Final = 251
DEADLINE_MS: Final = 252
DEADLINE_S: Final = 253
SELECT: Final = 254
END: Final = 255

# A value of a module's own type, in the form that can be skipped.
_MODULE_VALUE: Final = 7
# What follows each opcode inside such a value.
_MODULE_END, _MODULE_SIGNED, _MODULE_UNSIGNED = 0, 1, 2
_MODULE_SIZES: Final = {3: 4, 4: 8}
_MODULE_STRING: Final = 5
_MODULE_NAME: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# Bytes between two writes to the file, and between two calls of a progress callback.
_BUFFER: Final = 1 << 18
_REPORT: Final = 1 << 20


# -- writing


class RdbWriter:
    """Writes a file; a context manager that puts the end on it.

    Parameters
    ----------
    file : binary file
        What is written to, from where it stands.
    config : mapping
        Parameters by name; ``rdbcompression``, ``rdbchecksum`` and ``rdb-version`` matter.
    version : int, optional
        Instead of the configuration's ``rdb-version``.
    """

    def __init__(
        self, file: BinaryIO, config: Config, version: int | None = None
    ) -> None:
        version = version or config["rdb-version"]
        self._file = file
        self._out = Writer(compress=config["rdbcompression"], version=version)
        self._has_checksum = config["rdbchecksum"]
        self._checksum = 0
        self._out += _MAGIC + b"%04d" % version

    def aux(self, name: bytes, value: bytes) -> None:
        """Write a fact about the server."""
        self._out.append(AUX)
        self._out.string(name)
        self._out.string(value)

    def function(self, code: bytes) -> None:
        """Write a library of functions."""
        self._out.append(FUNCTION)
        self._out.string(code)

    def database(self, index: int, keys: int, deadlines: int) -> None:
        """Begin a database."""
        out = self._out
        out.append(SELECT)
        out.length(index)
        out.append(RESIZE)
        out.length(keys)
        out.length(deadlines)

    def key(
        self,
        key: bytes,
        value: object,
        deadline_ms: int | None = None,
        idle_s: int | None = None,
        frequency: int | None = None,
    ) -> None:
        """Write a key of the database begun last."""
        out = self._out
        if deadline_ms is not None:
            out.append(DEADLINE_MS)
            out += deadline_ms.to_bytes(8, "little", signed=True)
        if idle_s is not None:
            out.append(IDLE)
            out.length(idle_s)
        if frequency is not None:
            out += bytes((FREQUENCY, frequency))
        if type(value) is bytes:
            out.append(STRING)
            out.string(key)
            out.string(value)
        else:
            # The type comes before the key, and a saver writes type and value at once.
            at = len(out)
            SAVERS[type(value)](out, value)
            body = out[at + 1 :]
            del out[at + 1 :]
            out.string(key)
            out += body
        if len(out) > _BUFFER:
            self._flush()

    def _flush(self) -> None:
        if self._has_checksum:
            self._checksum = crc64(self._out, self._checksum)
        self._file.write(self._out)
        self._out.clear()

    def end(self) -> None:
        """Write the end mark and the checksum, 0 where there is to be none."""
        self._out.append(END)
        self._flush()
        self._file.write(self._checksum.to_bytes(8, "little"))

    def __enter__(self) -> RdbWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end()


# -- reading


@dataclass(slots=True)
class Keys:
    """The keys of one database, and what is known of them."""

    data: dict[bytes, Any] = field(default_factory=dict)
    deadlines: dict[bytes, int] = field(default_factory=dict)
    idle_s: dict[bytes, int] = field(default_factory=dict)
    frequency: dict[bytes, int] = field(default_factory=dict)


@dataclass(slots=True)
class Contents:
    """What a file holds.

    ``size`` is the file's own length in bytes: an append-only file goes on behind it.
    """

    version: int = 0
    aux: dict[bytes, bytes] = field(default_factory=dict)
    functions: list[bytes] = field(default_factory=list)
    databases: dict[int, Keys] = field(default_factory=dict)
    expired: int = 0
    size: int = 0


def read_rdb(
    data: bytes,
    config: Config,
    now_ms: int | None = None,
    progress: Progress | None = None,
    every: int = _REPORT,
) -> Contents:
    """Return the contents of a file.

    Parameters
    ----------
    data : bytes
        The file.
    config : mapping
        Parameters by name: the encodings' limits and ``rdbchecksum``.
    now_ms : int, optional
        Keys whose deadline lies before are left out; without it they are kept.
    progress : callable, optional
        Called with bytes read and bytes there are, once per megabyte and at the end.
    every : int
        Call it each time so many bytes have been read, and not once per megabyte.

    Raises
    ------
    RdbError
        When it is no RDB file, a later version's, or damaged.
    """
    if data[:5] != _MAGIC or not data[5:_HEADER].isdigit() or len(data) < _HEADER:
        raise RdbError("not an RDB file: it does not begin with REDIS and a version")
    version = int(data[5:_HEADER])
    if not 1 <= version <= RDB_VERSION:
        raise RdbError(
            f"RDB version {version} is not supported, 1 to {RDB_VERSION} are"
        )
    reading = _Reading(data, config, now_ms, progress, every)
    try:
        reading.run()
        has_checksum = version >= _CHECKSUM_SINCE
        end = reading.reader.at
        stored = int.from_bytes(reading.reader.take(8), "little") if has_checksum else 0
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        at = min(reading.reader.at, len(data))
        raise RdbError(
            f"the RDB file is damaged or cut off at byte {at} of {len(data)}: {error}"
        ) from None
    if stored and config["rdbchecksum"] and crc64(memoryview(data)[:end]) != stored:
        raise RdbError("the RDB file is damaged: its checksum is wrong")
    contents = reading.contents
    contents.version, contents.size = version, reading.reader.at
    if progress is not None:
        progress(len(data), len(data))
    return contents


class _Reading:
    """One file being read: goes from opcode to opcode."""

    def __init__(
        self,
        data: bytes,
        config: Config,
        now_ms: int | None,
        progress: Progress | None,
        every: int,
    ) -> None:
        self.reader = Reader(data)
        self.reader.at = _HEADER
        self.contents = Contents()
        self._config = config
        self._now_ms = now_ms
        self._progress = progress
        self._every = every
        self._keys = self.contents.databases.setdefault(0, Keys())
        # Said of the key that follows.
        self._deadline_ms: int | None = None
        self._idle_s: int | None = None
        self._frequency: int | None = None
        self._opcodes = {
            FUNCTION: self._function,
            FUNCTION_PRE_GA: self._function_of_candidate,
            MODULE_AUX: self._module_aux,
            IDLE: self._idle,
            FREQUENCY: self._lfu,
            AUX: self._aux,
            RESIZE: self._resize,
            DEADLINE_MS: self._deadline,
            DEADLINE_S: self._deadline_in_s,
            SELECT: self._select,
        }

    def run(self) -> None:
        """Read up to the end mark."""
        reader, opcodes = self.reader, self._opcodes
        report_at, delay_us = self._every, self._config.get("key-load-delay", 0)
        while True:
            code = reader.byte()
            if code == END:
                return
            handler = opcodes.get(code)
            if handler is not None:
                handler()
                continue
            self._key(code)
            if delay_us > 0:
                sleep(delay_us / 1e6)
            if reader.at >= report_at and self._progress is not None:
                self._progress(reader.at, len(reader.data))
                report_at = reader.at + self._every
                delay_us = self._config.get("key-load-delay", 0)

    # -- keys

    def _key(self, kind: int) -> None:
        reader, keys = self.reader, self._keys
        key = reader.string()
        load = LOADERS.get(kind)
        try:
            if load is None:
                self._skip_module_value(kind, key)
            elif key in keys.data:
                raise ValueError(f"the key {key!r} is there twice")
            else:
                self._put(key, load(reader, self._config))
        except EmptyValue:
            logger.warning("the key %r is left out: its value is empty", key)
        self._deadline_ms = self._idle_s = self._frequency = None

    def _put(self, key: bytes, value: object) -> None:
        """Keep a key with what was said of it, unless its time is over."""
        keys, deadline_ms = self._keys, self._deadline_ms
        if deadline_ms is not None:
            if self._now_ms is not None and deadline_ms < self._now_ms:
                self.contents.expired += 1
                return
            keys.deadlines[key] = deadline_ms
        keys.data[key] = value
        if self._idle_s is not None:
            keys.idle_s[key] = self._idle_s
        if self._frequency is not None:
            keys.frequency[key] = self._frequency

    def _deadline(self) -> None:
        self._deadline_ms = int.from_bytes(self.reader.take(8), "little", signed=True)

    def _deadline_in_s(self) -> None:
        seconds = int.from_bytes(self.reader.take(4), "little", signed=True)
        self._deadline_ms = 1000 * seconds

    def _idle(self) -> None:
        self._idle_s = self.reader.length()

    def _lfu(self) -> None:
        self._frequency = self.reader.byte()

    # -- around the keys

    def _select(self) -> None:
        self._keys = self.contents.databases.setdefault(self.reader.length(), Keys())

    def _resize(self) -> None:
        self.reader.length()
        self.reader.length()

    def _aux(self) -> None:
        name = self.reader.string()
        self.contents.aux[name] = self.reader.string()

    def _function(self) -> None:
        self.contents.functions.append(self.reader.string())

    def _function_of_candidate(self) -> None:
        """Read a library as 7.0's release candidates wrote it: in parts."""
        reader = self.reader
        name, engine = reader.string(), reader.string()
        if reader.length():
            reader.string()
        code = b"#!%s name=%s\n%s" % (engine.lower(), name, reader.string())
        self.contents.functions.append(code)

    # -- modules, of which there are none here

    def _module_aux(self) -> None:
        name = module_name(self.reader.length())
        if self.reader.length() != _MODULE_UNSIGNED:
            raise ValueError(f"data of the module {name}: unknown form")
        self.reader.length()
        self._skip_module_data()
        logger.warning(
            "data of the module %s is left out: modules are not loaded", name
        )

    def _skip_module_value(self, kind: int, key: bytes) -> None:
        if kind != _MODULE_VALUE:
            raise ValueError(f"the value of {key!r} has the unknown type {kind}")
        name = module_name(self.reader.length())
        self._skip_module_data()
        logger.warning(
            "the key %r is left out: its type belongs to the module %s", key, name
        )

    def _skip_module_data(self) -> None:
        reader = self.reader
        while True:
            code = reader.length()
            if code == _MODULE_END:
                return
            if code in (_MODULE_SIGNED, _MODULE_UNSIGNED):
                reader.length()
            elif code in _MODULE_SIZES:
                reader.take(_MODULE_SIZES[code])
            elif code == _MODULE_STRING:
                reader.string()
            else:
                raise ValueError("data of a module: unknown element")


def module_name(module_id: int) -> str:
    """Return the nine letters in a module type's number."""
    return "".join(_MODULE_NAME[module_id >> shift & 63] for shift in range(58, 9, -6))
