"""What happened lately: the notification log and the command log.

Both are rings of plain tuples, filled only while somebody wants them; `trignb.notebook.frames` turns
them into DataFrames. A record's fields are named by `NotificationRecord` and `CommandRecord`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from trignb.datatypes import TYPE_NAMES
from trignb.engine.events import ALL, KEYMISS, NEW

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.engine.session import Session

__all__ = [
    "CLIENT_FRAME",
    "CommandLog",
    "CommandRecord",
    "Frame",
    "NotificationLog",
    "NotificationRecord",
]


class Frame(NamedTuple):
    """Who is at work: what commands and events are put down to.

    ``origin`` is ``client``, ``function``, ``trigger``, ``script``, ``expire`` or ``evict``;
    ``cause_seq`` the notification that led here, ``depth`` how many triggers deep,
    ``trigger`` the name of the trigger at work, of its ``library``.
    """

    origin: str
    library: str | None = None
    cause_seq: int | None = None
    depth: int = 0
    trigger: str | None = None

    def within(self, origin: str) -> Frame:
        """Return the frame of something that happens inside this one."""
        return Frame(origin, self.library, self.cause_seq, self.depth, self.trigger)


CLIENT_FRAME = Frame("client")


class NotificationRecord(NamedTuple):
    """One keyspace event.

    ``kind`` is the class bit of `trignb.engine.events`; ``args`` the command at work, None
    outside one; ``command_seq`` joins the command log; ``fired`` the trigger runs it led to,
    each with ``library``, ``trigger`` and ``outcome`` (``pending``, ``ok``, ``failed``);
    ``author`` the `Frame` of who was at work, with ``library`` and ``trigger``.
    """

    seq: int
    time_ns: int
    db: int
    kind: int
    event: bytes
    key: bytes
    key_type: str
    origin: str
    args: list[bytes] | None
    command_seq: int | None
    cause_seq: int | None
    depth: int
    fired: list[Any]
    author: Any = CLIENT_FRAME


class CommandRecord(NamedTuple):
    """One command that ran, in the order in which they ended.

    The commands of a transaction or a function come before the EXEC or TFCALL that ran them,
    whose ``seq`` is the lower one.
    """

    seq: int
    time_ns: int
    db: int
    client: str
    args: list[bytes]
    reply: Any
    error: str | None
    elapsed_ns: int
    in_multi: bool
    from_library: str | None
    n_notifications: int


class NotificationLog:
    """The last events, oldest first.

    ``records`` holds plain tuples in the order of `NotificationRecord`'s fields: naming
    them as they come would cost twice what the rest of the note does.
    """

    mask = ALL | KEYMISS | NEW

    def __init__(self, core: Core, size: int) -> None:
        self.core = core
        self.records: deque[tuple[Any, ...]] = deque(maxlen=size)

    def on_event(self, db: Database, kind: int, event: bytes, key: bytes) -> None:
        """Note an event; the triggers it fired stand in ``core.fired``."""
        core = self.core
        frame = core.frame
        value = db.data.get(key)
        self.records.append(
            (
                core.event_seq,
                core.unit_ns or core.now_ns(),
                db.index,
                kind,
                event,
                key,
                TYPE_NAMES.get(type(value), "none"),
                frame.origin,
                core.argv,
                core.command_seq,
                frame.cause_seq,
                frame.depth,
                core.fired,
                frame,
            )
        )

    def entries(self) -> list[NotificationRecord]:
        """Return what was noted, oldest first."""
        return [NotificationRecord._make(record) for record in list(self.records)]

    def clear(self) -> None:
        """Forget what was noted; numbers go on."""
        self.records.clear()


class CommandLog:
    """The last commands, oldest first, in ``records``; filled while ``enabled``.

    ``watched`` is what libraries go by: whether this log or a trace wants their commands.
    """

    def __init__(self, size: int) -> None:
        self.records: deque[CommandRecord] = deque(maxlen=size)
        self.enabled = self.watched = False
        self._numbers = count(1)

    def next_seq(self) -> int:
        """Return the number of the command that starts now."""
        return next(self._numbers)

    def record(
        self,
        core: Core,
        session: Session,
        args: list[bytes],
        run: Callable[[], Any],
        *,
        in_multi: bool = False,
    ) -> Any:
        """Run a command and note it, whatever comes of it."""
        outer, core.command_seq = core.command_seq, self.next_seq()
        db, events = session.db.index, core.event_seq
        started = time.perf_counter_ns()
        reply, failure = None, None
        try:
            reply = run()
            return reply
        except BaseException as error:
            failure = str(error) or type(error).__name__
            raise
        finally:
            seq, core.command_seq = core.command_seq, outer
            elapsed = 0 if core.clock.frozen else time.perf_counter_ns() - started
            self.note(
                seq=seq,
                time_ns=core.clock.read(),
                db=db,
                client=session.name.decode("utf-8", "replace") or str(session.id),
                args=args,
                reply=reply,
                error=failure,
                elapsed_ns=elapsed,
                in_multi=in_multi,
                from_library=core.frame.library,
                n_notifications=core.event_seq - events,
            )

    def note(self, *, args: list[bytes], **fields: Any) -> None:
        """Note a command that ended; secrets are masked as redis-cli's history does."""
        self.records.append(CommandRecord(args=mask_secrets(args), **fields))

    def clear(self) -> None:
        """Forget what was noted; numbers go on."""
        self.records.clear()


def mask_secrets(args: list[bytes]) -> list[bytes]:
    """Return the arguments with passwords replaced by ``(redacted)``."""
    name = args[0].upper()
    if name == b"AUTH":
        return [args[0], *[_REDACTED] * (len(args) - 1)]
    if name == b"HELLO":
        upper = [arg.upper() for arg in args]
        if b"AUTH" in upper:
            at = upper.index(b"AUTH")
            return (
                args[: at + 1]
                + [_REDACTED] * len(args[at + 1 : at + 3])
                + args[at + 3 :]
            )
    if name == b"ACL" and args[1:2] and args[1].upper() == b"SETUSER":
        return args[:3] + [_REDACTED if a[:1] in b"><#!" else a for a in args[3:]]
    if name == b"CONFIG" and args[1:2] and args[1].upper() == b"SET":
        hidden = (b"requirepass", b"masterauth", b"masteruser")
        return [
            _REDACTED if i > 2 and args[i - 1].lower() in hidden else arg
            for i, arg in enumerate(args)
        ]
    if name == b"MIGRATE":
        return _without_target_password(args)
    return args


def _without_target_password(args: list[bytes]) -> list[bytes]:
    """Mask what follows MIGRATE's AUTH and AUTH2."""
    masked, at = list(args), 6
    while at < len(args):
        word = args[at].upper()
        if word == b"KEYS":
            break
        count = {b"AUTH": 1, b"AUTH2": 2}.get(word, 0)
        hidden = slice(at + 1, at + 1 + count)
        masked[hidden] = [_REDACTED] * len(args[hidden])
        at += 1 + count
    return masked


_REDACTED = b"(redacted)"
