"""Append-only files, read: from bytes to commands, with the places where they begin.

A file is a sequence of requests as clients send them, each an array of bulk strings, and of lines that
begin with ``#``: times, which say nothing to who loads, and our own annotations.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import Final

from trignb.persistence.annotations import LAST, LONGEST_LINE, MORE, read_annotation

__all__ = ["Damaged", "Torn", "read_commands"]

_STAR: Final = 0x2A
_DOLLAR: Final = 0x24
_HASH: Final = 0x23
# A count or a length and its line end.
_LONGEST_COUNT: Final = 32

# Bytes that are split at once.
_SMALLEST_BLOCK: Final = 1 << 12
_LARGEST_BLOCK: Final = 1 << 18

_COUNTS: Final = {b"*%d" % n: n for n in range(1, 256)}
_LENGTHS: Final = {n: b"$%d" % n for n in range(4096)}

Data = bytes | mmap


class Torn(Exception):
    """The file ends within a command, as one does whose writer was killed."""


class Damaged(Exception):
    """What stands at a place is no command.

    Attributes
    ----------
    offset : int
        The place.
    """

    def __init__(self, offset: int) -> None:
        super().__init__(f"no command at byte {offset}")
        self.offset = offset


def read_commands(data: Data, at: int = 0) -> Iterator[tuple[list[bytes], int, int]]:
    """Yield (argv, where it begins, where it ends) of each command from byte `at` on.

    A line that is no command, as those with times, has an empty argv.

    Raises
    ------
    Torn
        When the file ends within one.
    Damaged
        When something else stands where one should begin.
    """
    size = len(data)
    block = _SMALLEST_BLOCK
    while at < size:
        begin = at
        for args, start, end in _plain_commands(data[at : at + block], at):
            at = end
            yield args, start, end
        if at != begin:
            block = min(2 * block, _LARGEST_BLOCK)
            continue
        # Something else: read it byte by byte, and try a few at once again after it.
        block = _SMALLEST_BLOCK
        args, at = _one(data, at, size)
        yield args, begin, at


def _plain_commands(block: bytes, at: int) -> Iterator[tuple[list[bytes], int, int]]:
    """Yield whole commands of short arguments from the beginning of some bytes.

    They are split at the line ends once, and each command is checked by comparing its length lines
    with those its arguments ought to have: a third of the time.
    """
    lines = block.split(b"\r\n")
    last = len(lines) - 1
    i = 0
    while i < last:
        end = i + 1 + 2 * _COUNTS.get(lines[i], last)
        if end > last:
            return
        args = lines[i + 2 : end : 2]
        if lines[i + 1 : end : 2] != [_LENGTHS.get(len(arg)) for arg in args]:
            return
        start = at
        at += sum(map(len, lines[i:end])) + 2 * (end - i)
        yield args, start, at
        i = end


def _one(data: Data, at: int, size: int) -> tuple[list[bytes], int]:
    """Read what stands at a place; returns it and where the next begins."""
    first = data[at]
    if first == _HASH:
        return _annotation(data, at, size)
    if first != _STAR:
        raise Damaged(at)
    count, at = _count(data, at, size)
    args = []
    for _ in range(count):
        arg, at = _bulk(data, at, size)
        args.append(arg)
    return args, at


def _count(data: Data, at: int, size: int) -> tuple[int, int]:
    number, end = _number(data, at, size)
    if number == 0:
        raise Damaged(at)
    return number, end


def _bulk(data: Data, at: int, size: int) -> tuple[bytes, int]:
    """Read one argument; returns it and where the next begins."""
    if at >= size:
        raise Torn
    if data[at] != _DOLLAR:
        raise Damaged(at)
    length, start = _number(data, at, size)
    end = start + length
    if end + 2 > size:
        raise Torn
    if data[end : end + 2] != b"\r\n":
        raise Damaged(end)
    return data[start:end], end + 2


def _number(data: Data, at: int, size: int) -> tuple[int, int]:
    """Read the number between a mark and the line end."""
    end = data.find(b"\r\n", at + 1, at + _LONGEST_COUNT)
    if end < 0:
        if size - at < _LONGEST_COUNT and _may_go_on(data[at + 1 : size]):
            raise Torn
        raise Damaged(at)
    digits = data[at + 1 : end]
    if not digits.isdigit():
        raise Damaged(at)
    return int(digits), end + 2


def _may_go_on(text: bytes) -> bool:
    """Whether a number and its line end may have been cut off here."""
    digits = text.removesuffix(b"\r")
    return not digits or digits.isdigit()


def _annotation(data: Data, at: int, size: int) -> tuple[list[bytes], int]:
    """Read lines that belong together; returns the command they are, if any."""
    text = b""
    start = at
    while True:
        line, end = _line(data, at, size)
        mark = line[: len(MORE)]
        if mark not in (MORE, LAST):
            if start != at:
                raise Damaged(at)
            return [], end
        text += line[len(MORE) :]
        if mark == LAST:
            args = read_annotation(text)
            if args is None:
                raise Damaged(start)
            return args, end
        at = end
        if at >= size:
            raise Torn


def _line(data: Data, at: int, size: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at, at + LONGEST_LINE)
    if end < 0:
        if size - at < LONGEST_LINE:
            raise Torn
        raise Damaged(at)
    return data[at:end].removesuffix(b"\r"), end + 1
