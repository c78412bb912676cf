"""What a magic gives back: the reply, its text, its table, and what it set off.

A `Reply` stands for its value wherever Python lets it: it compares, iterates, indexes and
converts as the value does, so ``int(n) + 1`` and ``reply["name"]`` work. Its repr is the text
redis-cli prints; neither a time nor an id is in it, so a notebook's outputs repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from trignb.errors import ResponseError
from trignb.notebook.text import (
    Mode,
    lower,
    prints_raw,
    quote_argument,
    readable,
    show,
)
from trignb.reply import NullArray, Status, Verbatim, format_double

if TYPE_CHECKING:
    import pandas as pd

    from trignb.notebook.trace import KeyDiff, Trace

__all__ = ["Replies", "Reply", "Style", "decode", "parts_of"]


@dataclass(frozen=True, slots=True)
class Style:
    """How a reply is shown.

    Attributes
    ----------
    mode : {"standard", "raw", "json", "csv"}
        Which of redis-cli's forms.
    display : {"auto", "text", "html"}
        Whether a table is added: where it helps, never, always.
    utf8 : bool
        Keep characters beyond ASCII readable.
    timed : bool
        Append how long the command took.
    limit : int
        Rows of an HTML table; the text is never cut.
    """

    mode: Mode = "standard"
    display: str = "auto"
    utf8: bool = False
    timed: bool = False
    limit: int = 50


class Reply:
    """The reply to one command.

    Attributes
    ----------
    value : object
        The reply as the session gave it: `bytes`, `int`, `dict` …; an error reply that was
        not raised is a `trignb.ResponseError`.
    args : tuple of bytes
        The command.
    resp : int
        The protocol it was asked in, 2 or 3.
    elapsed_ms : float
        How long it took, in milliseconds of the system's time.
    trace : Trace or None
        Who caused what, of a command that was run with ``--trace``.
    diff : KeyDiff or None
        What became of the keys, of a dry run.
    """

    __hash__ = None  # type: ignore[assignment]
    trace: Trace | None = None
    diff: KeyDiff | None = None

    def __init__(
        self,
        value: Any,
        args: Sequence[bytes] = (),
        *,
        resp: int = 3,
        elapsed_ms: float = 0.0,
        records: Sequence[tuple[Any, ...]] = (),
        style: Style | None = None,
    ) -> None:
        self.value = value
        self.args = tuple(args)
        self.resp = resp
        self.elapsed_ms = elapsed_ms
        self.style = style or Style()
        self._records = records

    # -- forms

    @property
    def raw(self) -> Any:
        """The reply in the shape its protocol gives it: in RESP2 a hash is a flat list."""
        return self.value if self.resp == 3 else lower(self.value)

    @property
    def error(self) -> ResponseError | None:
        """The error, when the reply is one."""
        return self.value if isinstance(self.value, ResponseError) else None

    @property
    def text(self) -> str:
        """What redis-cli prints."""
        style = self.style
        # redis-cli asks in RESP3 when JSON is wanted.
        value = self.value if style.mode == "json" else self.raw
        shown = show(value, style.mode, utf8=style.utf8, unquoted=prints_raw(self.args))
        return f"{shown}\n({self.elapsed_ms / 1000:.2f}s)" if style.timed else shown

    def json(self) -> str:
        """Return the reply as ``redis-cli --json`` prints it."""
        return show(self.value, "json")

    def csv(self) -> str:
        """Return the reply as ``redis-cli --csv`` prints it."""
        return show(self.raw, "csv")

    def cli(self) -> str:
        """Return the command as a line to paste into redis-cli or a ``%%redis`` cell."""
        return " ".join(map(quote_argument, self.args))

    def decode(self) -> Any:
        """Return the value with `str` in place of `bytes` wherever those are UTF-8."""
        return decode(self.value)

    def df(self) -> pd.DataFrame:
        """Return the reply as a table; see `trignb.notebook.shapes`."""
        from trignb.notebook.shapes import reply_frame

        return reply_frame(self)

    # -- what it set off

    @property
    def notifications(self) -> pd.DataFrame:
        """The keyspace events of this command, as `trignb.Engine.notifications` has them."""
        from trignb.notebook.frames import notifications_frame

        return notifications_frame(self._records)

    @property
    def triggers(self) -> pd.DataFrame:
        """The triggers this command fired, each with event, key and outcome."""
        from trignb.notebook.frames import fired_frame

        return fired_frame(self._records)

    # -- standing for the value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Reply):
            other = other.value
        return bool(self.value == other) or self.decode() == other

    def __bool__(self) -> bool:
        return self.error is None and bool(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.value)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str) and isinstance(self.value, dict):
            return self.value[item.encode()]
        return self.value[item]

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str) and not isinstance(self.value, str):
            item = item.encode()
        return item in self.value

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return int.__index__(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __bytes__(self) -> bytes:
        if isinstance(self.value, (bytes, bytearray)):
            return bytes(self.value)
        return str(self).encode()

    def __str__(self) -> str:
        if isinstance(self.value, (bytes, Verbatim)):
            return readable(self.value)
        if isinstance(self.value, float):
            return format_double(self.value).decode()
        if isinstance(self.value, (str, int)):
            return str(self.value)
        return self.text

    def __format__(self, spec: str) -> str:
        number = isinstance(self.value, (int, float))
        return format(self.value if spec and number else str(self), spec)

    # -- in a notebook

    def __repr__(self) -> str:
        return _with_parts(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from trignb.notebook.display import reply_html

        bundle = {"text/plain": self.text}
        html = reply_html(self)
        return _bundle(self, {"text/html": html, **bundle} if html else bundle)


class Replies(Sequence[Reply]):
    """The replies to the commands of a cell, and the transcript of both.

    Attributes
    ----------
    prompts : tuple of str
        What stood before each command and the command itself; empty without echo.
    trace, diff : Trace or None, KeyDiff or None
        As of a `Reply`, of all the commands.
    """

    __hash__ = None  # type: ignore[assignment]
    trace: Trace | None = None
    diff: KeyDiff | None = None

    def __init__(self, replies: Sequence[Reply], prompts: Sequence[str] = ()) -> None:
        self._replies = tuple(replies)
        self.prompts = tuple(prompts)

    @overload
    def __getitem__(self, item: int) -> Reply: ...

    @overload
    def __getitem__(self, item: slice) -> Replies: ...

    def __getitem__(self, item: int | slice) -> Reply | Replies:
        if isinstance(item, slice):
            return Replies(self._replies[item], self.prompts[item])
        return self._replies[item]

    def __len__(self) -> int:
        return len(self._replies)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Replies, list, tuple)):
            return NotImplemented
        return list(self._replies) == list(other)

    @property
    def value(self) -> list[Any]:
        """The values of the replies."""
        return [reply.value for reply in self._replies]

    @property
    def text(self) -> str:
        """The transcript, as a terminal would show it."""
        lines = []
        for number, reply in enumerate(self._replies):
            # A repeated command stands there once, above all its replies.
            lines += [*filter(None, self.prompts[number : number + 1]), reply.text]
        return "\n".join(lines)

    def decode(self) -> list[Any]:
        """Return the values with `str` in place of `bytes` wherever those are UTF-8."""
        return [reply.decode() for reply in self._replies]

    def script(self) -> str:
        """Return the commands as lines to paste into redis-cli or a ``%%redis`` cell."""
        return "\n".join(reply.cli() for reply in self._replies)

    def df(self) -> pd.DataFrame:
        """Return one row per command: `command` and `reply`, both str."""
        from trignb.notebook.shapes import transcript_frame

        return transcript_frame(self)

    @property
    def notifications(self) -> pd.DataFrame:
        """The keyspace events of all the commands."""
        from trignb.notebook.frames import notifications_frame

        return notifications_frame(self._records())

    @property
    def triggers(self) -> pd.DataFrame:
        """The triggers that the commands fired, each with event, key and outcome."""
        from trignb.notebook.frames import fired_frame

        return fired_frame(self._records())

    def _records(self) -> list[tuple[Any, ...]]:
        return [record for reply in self._replies for record in reply._records]

    def __repr__(self) -> str:
        return _with_parts(self)

    def _repr_mimebundle_(self, **options: object) -> dict[str, str]:
        bundle = {"text/plain": self.text}
        if len(self) == 1 and not any(self.prompts):
            bundle = self._replies[0]._repr_mimebundle_(**options)
        return _bundle(self, bundle)


# -- what is shown below the replies


def parts_of(shown: Reply | Replies) -> list[Trace | KeyDiff]:
    """Return what is shown below: what became of the keys, and the trace."""
    return [part for part in (shown.diff, shown.trace) if part is not None]


def _with_parts(shown: Reply | Replies) -> str:
    return "\n\n".join(filter(None, [shown.text, *map(repr, parts_of(shown))]))


def _bundle(shown: Reply | Replies, bundle: dict[str, str]) -> dict[str, str]:
    """Return what is displayed, with what is shown below."""
    parts = parts_of(shown)
    if not parts:
        return bundle
    bundle["text/plain"] = _with_parts(shown)
    reply = shown if isinstance(shown, Reply) else next(iter(shown), None)
    if reply is None or reply.style.display != "text":
        from trignb.notebook.display import text_html

        html = bundle.get("text/html") or text_html(shown.text)
        bundle["text/html"] = html + "".join(part._repr_html_() for part in parts)
    return bundle


def decode(value: Any) -> Any:
    """Return a reply's value with `str` in place of `bytes` wherever those are UTF-8."""
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return bytes(value)
    if isinstance(value, NullArray):
        return None
    if isinstance(value, Status):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        return {decode(key): decode(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return {decode(item) for item in value}
    return value
