"""The table of observed behaviour, ``tests/data/keyspace-events.tsv``, and its notation.

A row says what Redis 7.2.6 answered, which events it fired, how its dirty counter moved
and what it sent to a replica. `Row` is what the table says, `Outcome` what a run of the
row gave; both hold the same texts, so that a comparison is string equality.
"""

from __future__ import annotations

import csv
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trignb.errors import ResponseError
from trignb.reply import NullArray, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TABLE = Path(__file__).parents[1] / "data" / "keyspace-events.tsv"

# A reply that the table gives no text for, since it differs from run to run.
VARIES = "(varies)"
# What the table shows for a step whose reply comes later, or that has none.
PENDING = "(blocks or pending)"
NOTHING = "-"

# Column widths of the table: longer texts were cut there.
_BULK_WIDTH, _BULK_CUT = 60, 57
_ARGUMENT_WIDTH, _ARGUMENT_CUT = 90, 60
_ARRAY_WIDTH = 300
# A number counts as a current time within this distance from now.
_NEAR_NOW_MS = 400 * 86_400_000

Argument = str | bytes


@dataclass(frozen=True)
class Event:
    """One notification."""

    db: int
    name: bytes
    key: bytes
    letter: str = ""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    line: int
    command: str
    setup: tuple[str, ...]
    steps: tuple[str, ...]
    condition: str
    reply: str
    events: str
    classes: str
    dirty: str
    propagation: str
    propagated_as: str

    @property
    def id(self) -> str:
        """A name for reports: where it is and what it runs."""
        return f"{self.line}-{self.command}"

    @property
    def needs_peer(self) -> bool:
        """Whether a second server takes part."""
        return any("{peer}" in text for text in (*self.setup, *self.steps))

    @property
    def commands(self) -> list[list[str]]:
        """Words of every command the row sends, in lower case."""
        steps = [parse_step(text).words for text in (*self.setup, *self.steps)]
        return [shlex.split(words.lower()) for words in steps if words]


@dataclass
class Outcome:
    """What a run gave, in the table's notation."""

    reply: str
    events: str
    classes: str
    dirty: str
    propagated_as: str


@dataclass(frozen=True)
class Step:
    """One step of a row: a command, or a wait."""

    words: str = ""
    client: str = "main"
    is_async: bool = False
    keep_as: str = ""
    wait_ms: int = 0


class Runner(Protocol):
    """What a row is run on: the engine, or a real server."""

    def execute(self, client: str, args: Sequence[Argument]) -> Any:
        """Run a command as a client; errors are returned."""

    def send(self, client: str, args: Sequence[Argument]) -> None:
        """Run a command whose reply is asked for at the end of the row."""

    def late_reply(self, client: str) -> str | Any:
        """Return the reply to `send`; ``(still blocked)`` when there is none."""

    def wait(self, milliseconds: int) -> None:
        """Let time pass."""

    def now_ms(self) -> int:
        """Return the time in the runner's world."""

    def dirty(self) -> int:
        """Return the number of changes so far."""

    def drain(self) -> tuple[list[Event], list[tuple[int, list[bytes]]]]:
        """Return events and propagated commands since the last call."""


def read_table() -> list[Row]:
    """Return all rows."""
    with TABLE.open(newline="", encoding="utf-8") as lines:
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(reader)
        return [_make_row(number, cells) for number, cells in enumerate(reader, 2)]


def _make_row(line: int, cells: list[str]) -> Row:
    # A line break inside a script is written as two characters.
    command, setup, invocation, *rest = (cell.replace("\\n", "\n") for cell in cells)
    return Row(line, command, _split(setup), _split(invocation), *rest)


def _split(text: str) -> tuple[str, ...]:
    if text == NOTHING:
        return ()
    return tuple(step.strip() for step in text.split(" ; ") if step.strip())


def parse_step(text: str) -> Step:
    """Read ``CMD``, ``@x CMD``, ``$name=CMD`` or ``~milliseconds``."""
    if text.startswith("~"):
        return Step(wait_ms=int(text[1:]))
    if text.startswith("@"):
        client, _, words = text[1:].partition(" ")
        return Step(words, client=client, is_async=True)
    kept = re.match(r"\$(\w+)=(.*)", text)
    if kept:
        return Step(kept[2], keep_as=kept[1])
    return Step(text)


# -- running a row


@dataclass
class RowRun:
    """One run of a row; `peer` is the port of a second server."""

    runner: Runner
    peer: int = 0
    kept: dict[str, Any] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)

    def run(self, row: Row) -> Outcome:
        """Run setup and steps; returns what the steps gave."""
        for text in row.setup:
            self.step(parse_step(text))
        self.runner.drain()
        self.replies.clear()
        dirty = self.runner.dirty()
        events, propagated = [], []
        for text in row.steps:
            self.step(parse_step(text))
            new_events, new_commands = self.runner.drain()
            events.append(new_events)
            propagated.append(new_commands)
        dirty = self.runner.dirty() - dirty
        now = self.runner.now_ms()
        self.replies += [f"@{name}: {self.late_text(name, now)}" for name in self.late]
        letters = [event.letter for group in events for event in group]
        return Outcome(
            reply=VARIES if row.reply == VARIES else join(self.replies),
            events=join(show_events(group) for group in events),
            classes=" ".join(letters) or NOTHING,
            dirty=str(dirty),
            propagated_as=join(show_commands(group, now) for group in propagated),
        )

    def step(self, step: Step) -> None:
        """Run one step and note its reply."""
        if step.wait_ms:
            self.runner.wait(step.wait_ms)
            self.replies.append(NOTHING)
            return
        args = self.arguments(step.words)
        if step.is_async:
            self.runner.send(step.client, args)
            self.late.append(step.client)
            self.replies.append(PENDING)
            return
        reply = self.runner.execute(step.client, args)
        if step.keep_as:
            self.kept[step.keep_as] = reply
            self.replies.append(NOTHING)
        else:
            self.replies.append(show(reply, self.runner.now_ms()))

    def arguments(self, words: str) -> list[Argument]:
        """Split a command, filling in kept replies and times."""
        now = self.runner.now_ms()
        times = {"now": now // 1000, "nowms": now}
        words = words.replace("{peer}", str(self.peer))
        return [fill(word, self.kept, times) for word in shlex.split(words)]

    def late_text(self, client: str, now: int) -> str:
        """Render the reply of an ``@x`` step."""
        reply = self.runner.late_reply(client)
        return reply if type(reply) is str else show(reply, now)


def fill(word: str, kept: Mapping[str, Any], times: Mapping[str, int]) -> Argument:
    """Replace ``{name}`` by a kept reply, ``{now+N}`` and ``{nowms+N}`` by a time."""
    name = re.fullmatch(r"\{(\w+)\}", word)
    if name:
        value = kept[name[1]]
        return value if isinstance(value, bytes) else str(value)
    return re.sub(
        r"\{(now|nowms)([+-]\d+)\}",
        lambda time: str(times[time[1]] + int(time[2])),
        word,
    )


# -- the notation


def join(parts: Iterable[str]) -> str:
    """Join the fields of the steps."""
    return " ;; ".join(part or NOTHING for part in parts)


def show(reply: Any, now_ms: int) -> str:
    """Render a RESP2 reply."""
    if isinstance(reply, ResponseError):
        return hide_times(f"-{reply}", now_ms)
    if isinstance(reply, Status):
        return f"+{reply}"
    if isinstance(reply, NullArray):
        return "nil-array"
    if reply is None:
        return "nil"
    if isinstance(reply, int):
        return hide_times(f":{reply}", now_ms)
    if isinstance(reply, bytes):
        text = escape(reply)
        if len(text) > _BULK_WIDTH:
            text = text[:_BULK_CUT] + "..."
        return hide_times(f'"{text}"', now_ms)
    text = "[" + ", ".join(show(item, now_ms) for item in reply) + "]"
    return text if len(text) < _ARRAY_WIDTH else text[:_ARRAY_WIDTH] + "..."


def show_events(events: Iterable[Event]) -> str:
    """Render the events of one step."""
    return " | ".join(map(_show_event, events))


def _show_event(event: Event) -> str:
    key = escape(event.key) or '""'
    text = f"{escape(event.name)} {key}"
    return text if event.db == 0 else f"{text} @db{event.db}"


def show_commands(commands: Iterable[tuple[int, list[bytes]]], now_ms: int) -> str:
    """Render the commands a replica received during one step."""
    return " | ".join(_show_command(db, args, now_ms) for db, args in commands)


def _show_command(db: int, args: list[bytes], now_ms: int) -> str:
    text = " ".join(_show_argument(arg, now_ms) for arg in args)
    return f"[db{db}] {text}" if db > 0 else text


def _show_argument(arg: bytes, now_ms: int) -> str:
    text = escape(arg)
    if len(text) > _ARGUMENT_WIDTH:
        text = text[:_ARGUMENT_CUT] + "..."
    if not text or any(mark in text for mark in " \"'"):
        text = f'"{text}"'
    return hide_times(text, now_ms)


def escape(data: bytes) -> str:
    """Render bytes, everything but printable ASCII as ``\\xNN``."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte != 0x5C else f"\\x{byte:02x}"
        for byte in data
    )


def hide_times(text: str, now_ms: int) -> str:
    """Replace times near now, which no two runs share."""

    def hide(unit: int, name: str) -> Any:
        return lambda number: (
            name if abs(int(number[0]) * unit - now_ms) < _NEAR_NOW_MS else number[0]
        )

    text = re.sub(r"(?<!\d)1\d{12}(?!\d)", hide(1, "<unix-ms>"), text)
    return re.sub(r"(?<!\d)1\d{9}(?!\d)", hide(1000, "<unix-s>"), text)
