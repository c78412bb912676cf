"""The manifest of an append-only file: which files it consists of, in which order they are loaded.

At most one base, then files that hold what came after it, oldest first; what earlier ones a rewrite has
made superfluous is history, to be removed. One line per file:
``file appendonly.aof.1.incr.aof seq 1 type i``. Form and texts of errors: observed on redis-server 7.0.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from typing import Final

from trignb.engine.files import check_place
from trignb.engine.files import replace as replace_file
from trignb.errors import AofError
from trignb.resp.inline import split_inline

__all__ = ["Manifest", "Part", "sync_directory"]

BASE: Final = "b"
HISTORY: Final = "h"
INCREMENT: Final = "i"

# A line of Redis's has room for so much.
_LONGEST_LINE: Final = 1024
_HIGHEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Part:
    """One file: its name and its number among those of its kind."""

    name: str
    seq: int

    def line(self, kind: str) -> str:
        """Return the line of the manifest."""
        return f"file {_quoted(self.name)} seq {self.seq} type {kind}\n"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an append-only file consists of; a new one for every change."""

    base: Part | None = None
    increments: tuple[Part, ...] = ()
    history: tuple[Part, ...] = ()
    # The highest numbers there were, so that no name is used twice.
    base_seq: int = field(default=0, compare=False)
    increment_seq: int = field(default=0, compare=False)

    # -- what is in it

    @property
    def parts(self) -> tuple[Part, ...]:
        """The files to load, in order."""
        return (*(() if self.base is None else (self.base,)), *self.increments)

    # -- the next ones

    def next_base(self, file_name: str, suffix: str) -> Part:
        """Return the base that comes next; `suffix` is ``rdb`` or ``aof``."""
        seq = self.base_seq + 1
        return Part(f"{file_name}.{seq}.base.{suffix}", seq)

    def next_increment(self, file_name: str) -> Part:
        """Return the file that comes next behind the base."""
        seq = self.increment_seq + 1
        return Part(f"{file_name}.{seq}.incr.aof", seq)

    def with_increment(self, part: Part) -> Manifest:
        """Return the manifest with one more file at its end."""
        return replace(
            self, increments=(*self.increments, part), increment_seq=part.seq
        )

    def rewritten(self, base: Part, increments: tuple[Part, ...]) -> Manifest:
        """Return it with a new base in front of the last files; the others are history."""
        gone = tuple(part for part in self.parts if part not in increments)
        seq = max((part.seq for part in increments), default=self.increment_seq)
        return Manifest(base, increments, (*self.history, *gone), base.seq, seq)

    def without_history(self) -> Manifest:
        """Return it with nothing left to remove."""
        return replace(self, history=())

    # -- on disk

    def text(self) -> str:
        """Return the lines of the file."""
        lines = [] if self.base is None else [self.base.line(BASE)]
        lines += [part.line(HISTORY) for part in self.history]
        lines += [part.line(INCREMENT) for part in self.increments]
        return "".join(lines)

    def write(self, directory: str, name: str) -> None:
        """Put it in place of the file there is, in one go; raises OSError."""
        temporary = os.path.join(directory, f"temp-{name}")
        try:
            check_place(temporary)
            with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as f:
                f.write(self.text())
                f.flush()
                os.fsync(f.fileno())
            replace_file(temporary, os.path.join(directory, name))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_directory(directory)

    @classmethod
    def read(cls, path: str) -> Manifest | None:
        """Return the manifest in a file, None where there is no such file.

        Raises
        ------
        AofError
            When it is none, in Redis's words.
        """
        try:
            check_place(path)
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                # One that is no manifest may have a line of gigabytes.
                lines = list(iter(lambda: file.readline(_LONGEST_LINE + 1), ""))
        except FileNotFoundError:
            return None
        except IsADirectoryError as error:
            raise AofError(f"The AOF manifest is a directory: {path}") from error
        if not lines:
            raise AofError("Found an empty AOF manifest")
        reading = _Reading()
        for number, line in enumerate(lines, 1):
            try:
                reading.take(line)
            except AofError as error:
                raise AofError(
                    f"Reading the manifest file, at line {number}: "
                    f"{line.rstrip()!r}: {error}"
                ) from None
        return reading.manifest()


class _Reading:
    """A manifest while it is read."""

    def __init__(self) -> None:
        self.base: Part | None = None
        self.increments: list[Part] = []
        self.history: list[Part] = []

    def take(self, line: str) -> None:
        """Read one line."""
        if len(line) > _LONGEST_LINE or not line.endswith("\n"):
            raise AofError("The AOF manifest file contains too long line")
        if line.startswith("#"):
            return
        words = split_inline(line.strip().encode("utf-8", "surrogateescape")) or []
        facts = dict(zip(words[::2], words[1::2], strict=False))
        name, seq = facts.get(b"file", b""), facts.get(b"seq", b"")
        if len(words) < 6 or len(words) % 2 or not name or not seq.isdigit():
            raise AofError("Invalid AOF manifest file format")
        if int(seq) > _HIGHEST:
            raise AofError("Invalid AOF manifest file format")
        if b"/" in name or b"\0" in name or name in (b".", b".."):
            raise AofError("File can't be a path, just a filename")
        self._add(
            Part(os.fsdecode(name), int(seq)), facts.get(b"type", b"").decode("latin-1")
        )

    def _add(self, part: Part, kind: str) -> None:
        if kind == BASE:
            if self.base is not None:
                raise AofError("Found duplicate base file information")
            self.base = part
        elif kind == HISTORY:
            self.history.append(part)
        elif kind == INCREMENT:
            if self.increments and part.seq <= self.increments[-1].seq:
                raise AofError("Found a non-monotonic sequence number")
            self.increments.append(part)
        else:
            raise AofError("Unknown AOF file type")

    def manifest(self) -> Manifest:
        """Return what was read."""
        return Manifest(
            self.base,
            tuple(self.increments),
            tuple(self.history),
            0 if self.base is None else self.base.seq,
            self.increments[-1].seq if self.increments else 0,
        )


def sync_directory(path: str) -> None:
    """See to it that names in a directory outlive a power failure."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _quoted(name: str) -> str:
    """Return a name as a manifest spells it, in quotes where it has odd characters."""
    raw = os.fsencode(name)
    if all(32 < byte < 127 and byte not in b"\"'\\" for byte in raw):
        return name
    shown = "".join(
        chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in raw
    )
    return f'"{shown}"'
