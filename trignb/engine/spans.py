"""What a trace is made of: spans, and the recorders that keep them.

A `Span` is one thing that took its time: a command, an event, a trigger's run. It knows what caused it.
Several traces may be open at once; a span belongs to each of them that wants it, so it has no number
of its own: who shows a trace counts the spans of its recorder.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trignb.engine.images import clip
from trignb.errors import ResponseError
from trignb.reply import NO_REPLY, NullArray

if TYPE_CHECKING:
    from trignb.engine.database import Database
    from trignb.engine.differences import Change
    from trignb.engine.images import Image

__all__ = [
    "BLOCK",
    "CHANGE",
    "COMMAND",
    "EVENT",
    "EVICT",
    "EXPIRE",
    "FIRED",
    "FUNCTION",
    "KINDS",
    "OUTCOMES",
    "SERVED",
    "STREAM_TRIGGER",
    "TRIGGER",
    "TRIM",
    "Aggregate",
    "Recorder",
    "Span",
    "brief",
]

COMMAND: Final = "command"
SERVED: Final = "served"
EVENT: Final = "event"
FIRED: Final = "on_trigger_fired"
TRIGGER: Final = "trigger"
STREAM_TRIGGER: Final = "stream_trigger"
FUNCTION: Final = "function"
BLOCK: Final = "block"
EXPIRE: Final = "expire"
EVICT: Final = "evict"
TRIM: Final = "trim"
CHANGE: Final = "change"

KINDS: Final = (
    COMMAND,
    SERVED,
    EVENT,
    FIRED,
    TRIGGER,
    STREAM_TRIGGER,
    FUNCTION,
    BLOCK,
    EXPIRE,
    EVICT,
    TRIM,
    CHANGE,
)
OUTCOMES: Final = ("ok", "failed", "queued", "waiting", "pending", "interrupted")

# The bytes of values that one trace keeps to tell the net change of keys.
_KEPT_BYTES: Final = 64_000_000


class Span:
    """One thing that happened, and what caused it.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    parent : Span or None
        What caused it.
    name : str
        A command's name, an event's, a trigger's or a function's.
    args : tuple of bytes
        A command's arguments, name first; passwords masked, long ones clipped.
    hidden_args : int
        Arguments that are not kept.
    db : int or None
        Number of the database.
    key : bytes or None
        The event's key, the command's first one.
    event : str
        The event that fired a trigger.
    event_class : int
        An event's class, see `trignb.engine.events`.
    library, trigger : str
        Whose code ran.
    client : str
        Name or number of the client of a command.
    is_async : bool
        A trigger or a function runs in the background.
    outcome : str
        One of `OUTCOMES`.
    error : str
        Why it failed.
    line : int or None
        Line of the library at which it failed.
    reply : object
        What a command answered: a number, a text, clipped bytes, or the `Aggregate` it was;
        `NO_REPLY` of what has none.
    change : Change or None
        What became of a key, of a span of kind ``change``.
    unit : int
        Number of the unit of execution, counted by the engine from 1.
    start_ns, end_ns : int
        By the system's monotonic clock; ``end_ns`` is 0 while it runs.
    """

    __slots__ = (
        "args",
        "change",
        "client",
        "db",
        "end_ns",
        "error",
        "event",
        "event_class",
        "heard",
        "hidden_args",
        "images",
        "is_async",
        "key",
        "kind",
        "library",
        "line",
        "name",
        "outcome",
        "parent",
        "recorders",
        "reply",
        "start_ns",
        "trigger",
        "unit",
    )

    def __init__(
        self,
        kind: str,
        name: str = "",
        *,
        db: int | None = None,
        key: bytes | None = None,
        library: str = "",
        trigger: str = "",
        event: str = "",
        is_async: bool = False,
        start_ns: int = 0,
    ) -> None:
        self.kind = kind
        self.name = name
        self.parent: Span | None = None
        self.recorders: tuple[Recorder, ...] = ()
        self.args: tuple[bytes, ...] = ()
        self.hidden_args = 0
        self.db = db
        self.key = key
        self.event = event
        self.event_class = 0
        self.library = library
        self.trigger = trigger
        self.client = ""
        self.is_async = is_async
        self.outcome = "ok"
        self.error = ""
        self.line: int | None = None
        self.reply: Any = NO_REPLY
        self.change: Change | None = None
        self.unit = 0
        self.start_ns = start_ns
        self.end_ns = 0
        # While a command runs: its keys as they were, and those that had an event.
        self.images: list[tuple[Database, bytes, Image | None]] = []
        self.heard: set[tuple[int, bytes]] = set()

    def __repr__(self) -> str:
        return f"<Span {self.kind} {self.name}>"

    @property
    def depth(self) -> int:
        """How many spans led here."""
        parent, depth = self.parent, 0
        while parent is not None:
            parent, depth = parent.parent, depth + 1
        return depth

    @property
    def is_followed(self) -> bool:
        """Whether a trace still wants to know what becomes of it."""
        return any(not recorder.is_closed for recorder in self.recorders)

    def end(self) -> None:
        """Take the time."""
        self.end_ns = time.perf_counter_ns()

    def fail(self, error: str, line: int | None = None) -> None:
        """Take note of a failure."""
        self.outcome, self.error, self.line = "failed", error, line


class Aggregate(NamedTuple):
    """What is kept of a reply that has items: ``array``, ``map`` or ``set``, and how many."""

    kind: str
    size: int


def brief(reply: Any) -> Any:
    """Return what is kept of a reply for showing."""
    if isinstance(reply, (bytes, bytearray)):
        return clip(reply)
    if isinstance(reply, dict):
        return Aggregate("map", len(reply))
    if isinstance(reply, (set, frozenset)):
        return Aggregate("set", len(reply))
    if isinstance(reply, (list, tuple)):
        return Aggregate("array", len(reply))
    if isinstance(reply, ResponseError):
        return str(reply)
    return None if isinstance(reply, NullArray) else reply


class Recorder:
    """The spans of one trace.

    Parameters
    ----------
    everybody : bool
        Whether it wants what all clients do, or only what the thread does that opens it.
    max_spans : int
        How many spans it keeps.

    Attributes
    ----------
    spans : list of Span
        In the order in which they began.
    dropped : int
        Spans that are not kept.
    pending : int
        Runs in the background that have not ended.
    is_stopped, is_closed : bool
        Nothing new begins; nothing at all is recorded any more.
    first, last : dict
        Images of the keys that changed, before their first change and after their last.
    """

    def __init__(self, *, everybody: bool, max_spans: int) -> None:
        self.everybody = everybody
        self.max_spans = max_spans
        self.spans: list[Span] = []
        self.dropped = 0
        self.pending = 0
        self.is_stopped = self.is_closed = False
        self.opened_ns = time.perf_counter_ns()
        self.first: dict[tuple[int, bytes], Image | None] = {}
        self.last: dict[tuple[int, bytes], Image | None] = {}
        self._thread = threading.get_ident()
        self._kept_bytes = 0
        self.idle = threading.Event()
        self.idle.set()

    def wants_root(self) -> bool:
        """Whether something that nothing traced has caused is to be recorded."""
        mine = self.everybody or threading.get_ident() == self._thread
        return mine and not self.is_stopped

    def take(self, span: Span) -> bool:
        """Keep a span, if there is room; tell whether it is kept."""
        if self.is_closed:
            return False
        if len(self.spans) >= self.max_spans:
            self.dropped += 1
            return False
        self.spans.append(span)
        return True

    def give_back(self, span: Span) -> None:
        """Forget the latest span: nothing came of it."""
        if self.spans and self.spans[-1] is span:
            self.spans.pop()

    def note(self, place: tuple[int, bytes], before: Image | None, after: Any) -> None:
        """Keep what a key was at first and is at last."""
        if self.is_closed:
            return
        if place not in self.first:
            if len(self.first) >= self.max_spans:
                return
            self.first[place] = self._kept(before)
        self._let_go(self.last.get(place))
        self.last[place] = self._kept(after)

    def _kept(self, image: Image | None) -> Image | None:
        if image is None or self._kept_bytes + image.weight <= _KEPT_BYTES:
            self._kept_bytes += 0 if image is None else image.weight
            return image
        return image.without_value()

    def _let_go(self, image: Image | None) -> None:
        if image is not None:
            self._kept_bytes -= image.weight

    # -- background work

    def job_began(self) -> None:
        """Take note of a run that goes on in the background."""
        self.pending += 1
        self.idle.clear()

    def job_ended(self) -> None:
        """Take note that it has ended."""
        self.pending -= 1
        if not self.pending:
            self.idle.set()
