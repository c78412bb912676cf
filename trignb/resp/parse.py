"""Requests from bytes: arrays of bulk strings, and the inline form that people type.

`RequestParser.feed` gives all commands that are complete. Usually a chunk holds whole commands of short
arguments: then it is split at the line ends once, and each command is checked by comparing its length
lines with those its arguments ought to have. Whatever does not fit goes the long way, byte by byte as
Redis reads it, which also finds out what is wrong.

hiredis reads a pipeline in a fifth of the time, but takes much that Redis refuses; with the checks that find it,
nothing is gained for a pipeline, and a single command takes twice as long.
"""

from __future__ import annotations

import re
from typing import Final

from trignb.resp.inline import split_inline

__all__ = ["ProtocolError", "RequestParser"]

# A line without an end may be so long.
_LINE_LIMIT: Final = 64 * 1024
_ARGS_LIMIT: Final = (1 << 31) - 1

# What somebody may send before AUTH.
_STRANGER_ARGS: Final = 10
_STRANGER_BULK: Final = 16384

# What Python needs for an argument beside its bytes: many empty ones are no gift.
_ARGUMENT_BYTES: Final = 41

_COUNTS: Final = {b"*%d" % n: n for n in range(1, 256)}
_LENGTHS: Final = [b"$%d" % n for n in range(4096)]
_length_line: Final = _LENGTHS.__getitem__

_NUMBER: Final = re.compile(rb"-?[1-9][0-9]{0,18}|0")

_ARRAY: Final = ord("*")


class ProtocolError(Exception):
    """The client does not speak the protocol; its connection ends with this text."""


class RequestParser:
    """Cuts what a client sends into commands.

    Attributes
    ----------
    max_bulk : int
        Bytes an argument may have (``proto-max-bulk-len``).
    is_stranger : bool
        The client has not authenticated: it may send small commands only, and `feed` gives
        one at a time, as it may be the one that says who it is.
    buffered : int
        Bytes that wait for the end of their command, and what its arguments so far take.
    error : ProtocolError or None
        What was wrong with the bytes after the commands that `feed` gave last. Nothing is read
        after it.
    """

    __slots__ = (
        "_args",
        "_argument_bytes",
        "_bulk",
        "_missing",
        "_rest",
        "buffered",
        "error",
        "is_stranger",
        "max_bulk",
    )

    def __init__(self, max_bulk: int = 512 * 1024 * 1024) -> None:
        self.max_bulk = max_bulk
        self.is_stranger = False
        self.error: ProtocolError | None = None
        self._rest = bytearray()
        # Of the command under way: arguments read, arguments to come, bytes of the next.
        self._args: list[bytes] = []
        self._argument_bytes = self.buffered = 0
        self._missing = 0
        self._bulk = -1

    def feed(self, data: bytes) -> list[list[bytes]]:
        """Return the commands that are complete now."""
        if self.error is not None:
            return []
        commands: list[list[bytes]] = []
        if self._rest or self._missing or self.is_stranger:
            self._rest += data
            self._read_on(commands, only_one=True)
            if self._missing or not commands or self.is_stranger or self.error:
                return commands
            # Between two commands the short way is open again.
            data = bytes(self._rest)
            self._rest.clear()
            self.buffered = 0
        if data:
            data = _split(data, commands)
        if data:
            self._rest += data
            self._read_on(commands, only_one=False)
        return commands

    # -- the long way

    def _read_on(self, commands: list[list[bytes]], *, only_one: bool) -> None:
        try:
            self._read(commands, only_one)
        except ProtocolError as error:
            self.error = error

    def _read(self, commands: list[list[bytes]], only_one: bool) -> None:
        rest, at = self._rest, 0
        try:
            while True:
                if not self._missing:
                    if at >= len(rest):
                        return
                    if rest[at] != _ARRAY:
                        end = self._read_inline(at, commands)
                    else:
                        end = self._read_count(at)
                elif self._bulk < 0:
                    end = self._read_length(at)
                else:
                    end = self._read_bulk(at, commands)
                if end is None:
                    return
                at = end
                if commands and only_one and not self._missing:
                    return
        finally:
            del rest[:at]
            self.buffered = len(rest) + self._argument_bytes

    def _read_inline(self, at: int, commands: list[list[bytes]]) -> int | None:
        end = self._rest.find(b"\n", at)
        # A zero byte hides the end of its line, as it does from Redis.
        if end < 0 or self._rest.find(b"\0", at, end) >= 0:
            if len(self._rest) - at > _LINE_LIMIT:
                raise ProtocolError("too big inline request")
            return None
        line = bytes(self._rest[at:end])
        args = split_inline(line.removesuffix(b"\r"))
        if args is None:
            raise ProtocolError("unbalanced quotes in request")
        if args:
            commands.append(args)
        return end + 1

    def _read_count(self, at: int) -> int | None:
        end = self._line_end(at, "too big mbulk count string")
        if end is None:
            return None
        count = _to_int(self._rest[at + 1 : end])
        if count is None or count > _ARGS_LIMIT:
            raise ProtocolError("invalid multibulk length")
        if count > _STRANGER_ARGS and self.is_stranger:
            raise ProtocolError("unauthenticated multibulk length")
        if count > 0:
            self._missing, self._args = count, []
        return end + 2

    def _read_length(self, at: int) -> int | None:
        end = self._line_end(at, "too big bulk count string")
        if end is None:
            return None
        if self._rest[at] != 0x24:
            got = self._rest[at : at + 1].decode("utf-8", "surrogateescape")
            raise ProtocolError(f"expected '$', got '{got}'")
        length = _to_int(self._rest[at + 1 : end])
        if length is None or not 0 <= length <= self.max_bulk:
            raise ProtocolError("invalid bulk length")
        if length > _STRANGER_BULK and self.is_stranger:
            raise ProtocolError("unauthenticated bulk length")
        self._bulk = length
        return end + 2

    def _line_end(self, at: int, too_long: str) -> int | None:
        end = self._rest.find(b"\r", at)
        if end < 0 or self._rest.find(b"\0", at, end) >= 0:
            if len(self._rest) - at > _LINE_LIMIT:
                raise ProtocolError(too_long)
            return None
        # The line feed has to be there too, whatever it is.
        return end if end + 1 < len(self._rest) else None

    def _read_bulk(self, at: int, commands: list[list[bytes]]) -> int | None:
        end = at + self._bulk
        if end + 2 > len(self._rest):
            return None
        self._args.append(bytes(self._rest[at:end]))
        self._argument_bytes += self._bulk + _ARGUMENT_BYTES
        self._bulk = -1
        self._missing -= 1
        if not self._missing:
            commands.append(self._args)
            self._args, self._argument_bytes = [], 0
        return end + 2


def _split(data: bytes, commands: list[list[bytes]]) -> bytes:
    """Take whole commands of short arguments off `data`; returns what is left."""
    lines = data.split(b"\r\n")
    last = len(lines) - 1
    i = 0
    try:
        width = 1 + 2 * _COUNTS[lines[0]]
        if last >= 2 * width and _take_alike(lines, last, width, commands):
            return lines[last]
        while i < last:
            end = i + 1 + 2 * _COUNTS[lines[i]]
            if end > last:
                break
            args = lines[i + 2 : end : 2]
            if lines[i + 1 : end : 2] != list(map(_length_line, map(len, args))):
                break
            commands.append(args)
            i = end
    except (KeyError, IndexError):
        pass
    if i == last:
        return lines[last]
    return b"\r\n".join(lines[i:]) if i else data


def _take_alike(
    lines: list[bytes], last: int, width: int, commands: list[list[bytes]]
) -> bool:
    """Take commands that all have the same number of arguments, column by column.

    Tells whether they were; a pipeline of sixteen SETs takes two thirds of the time.
    """
    if last % width:
        return False
    counts = lines[0:last:width]
    if counts.count(counts[0]) != len(counts):
        return False
    columns = []
    for at in range(1, width, 2):
        column = lines[at + 1 : last : width]
        if lines[at:last:width] != list(map(_length_line, map(len, column))):
            return False
        columns.append(column)
    commands.extend(map(list, zip(*columns, strict=True)))
    return True


def _to_int(text: bytes | bytearray) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None
