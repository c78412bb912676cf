"""What people hold of a trace: a context manager that becomes text, a tree, a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, overload

from trignb.engine.differences import Change, change_of
from trignb.engine.spans import CHANGE, Recorder, Span
from trignb.notebook.text import readable
from trignb.notebook.trace_html import changes_html, tree_html
from trignb.notebook.trace_text import change_text, tree_lines

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine

__all__ = ["KeyDiff", "Trace"]

# Lines of a repr.
_LINES: Final = 500

_CLIENTS: Final = ("mine", "all")


class KeyDiff(Sequence[Change]):
    """What became of keys, net: a key that was changed and changed back is not in it.

    Its repr has one line a key: ``user:1 (hash): + name "tom"``.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        counts: Sequence[int] | None = None,
        hidden: int = 0,
        title: str = "",
    ) -> None:
        self._changes = tuple(changes)
        self._counts = tuple(counts or [1] * len(changes))
        # Keys that changed as well and are not named.
        self.hidden = hidden
        # A line above.
        self.title = title

    @overload
    def __getitem__(self, item: int) -> Change: ...

    @overload
    def __getitem__(self, item: slice) -> KeyDiff: ...

    def __getitem__(self, item: int | slice) -> Change | KeyDiff:
        """Return one change, or some."""
        if isinstance(item, slice):
            return KeyDiff(self._changes[item], self._counts[item])
        return self._changes[item]

    def __len__(self) -> int:
        return len(self._changes)

    def keys(self) -> list[str]:
        """Return the keys, as text."""
        return [readable(change.key) for change in self._changes]

    def text(self) -> str:
        """Return one line a key."""
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        title = [self.title] if self.title else []
        return [*title, *map(change_text, self._changes), *self._notes()]

    def _notes(self) -> list[str]:
        if self.hidden:
            return [f"… {self.hidden:,} more keys"]
        return [] if self._changes else ["(no key changed)"]

    def df(self) -> pd.DataFrame:
        """Return one row a key; see `trignb.notebook.trace_frames.changes_frame`."""
        from trignb.notebook.trace_frames import changes_frame

        return changes_frame(self._changes, self._counts)

    def __repr__(self) -> str:
        return _cut(self._lines())

    def _repr_html_(self) -> str:
        return changes_html(self._changes, title=self.title, notes=self._notes())


class Trace:
    """The tree of what happened and what caused it, while it was open.

    Made by `trignb.Engine.trace`. What a command of the ``with`` block began in the background is
    followed after the block too, until it ends or the trace is closed.

    Parameters
    ----------
    engine : Engine
        Whose commands.
    clients : {"mine", "all"}
        ``mine``: what the thread does that opens the trace, whatever client it speaks as, and
        all that comes of it. ``all``: what everybody does, and keys that expire by themselves.
    max_spans : int
        Spans that are kept; `dropped` counts the others.
    """

    def __init__(
        self, engine: Engine, clients: str = "mine", max_spans: int = 10_000
    ) -> None:
        if clients not in _CLIENTS:
            raise ValueError(f'clients is "mine" or "all", not {clients!r}')
        if max_spans < 1:
            raise ValueError("max_spans is at least 1")
        self.engine = engine
        self.clients = clients
        self.max_spans = max_spans
        self._recorder: Recorder | None = None
        self._is_timed = False

    # -- open and closed

    def __enter__(self) -> Trace:
        """Begin to record."""
        if self._recorder is not None:
            raise RuntimeError("a trace is opened once; engine.trace() makes another")
        self._recorder = Recorder(
            everybody=self.clients == "all", max_spans=self.max_spans
        )
        self._is_timed = not self.engine.clock.frozen
        self.engine.core.tracing.open(self._recorder)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Begin nothing new; background work that was begun is still followed."""
        self.engine.core.tracing.stop(self._opened())

    def wait(self, timeout: float = 5.0) -> bool:
        """Wait until the background work of this trace has ended.

        Work that a callback begins with ``executeAsync`` and does not return is recorded while
        the trace is open, but not waited for.

        Parameters
        ----------
        timeout : float
            For how many seconds.

        Returns
        -------
        bool
            Whether it has ended.
        """
        return self._opened().idle.wait(timeout)

    def close(self) -> None:
        """Record no more, whatever goes on in the background."""
        self.engine.core.tracing.close(self._opened())

    def _opened(self) -> Recorder:
        if self._recorder is None:
            raise RuntimeError("the trace is not open: `with engine.trace() as t:`")
        return self._recorder

    @property
    def is_open(self) -> bool:
        """Whether anything may still be added."""
        return self._recorder is not None and not self._recorder.is_closed

    @property
    def pending(self) -> int:
        """Runs in the background that have not ended."""
        return 0 if self._recorder is None else self._recorder.pending

    @property
    def dropped(self) -> int:
        """Spans there was no room for."""
        return 0 if self._recorder is None else self._recorder.dropped

    # -- what was recorded

    @property
    def spans(self) -> list[Span]:
        """The spans, in the order in which they began."""
        if self._recorder is None:
            return []
        with self.engine.core.lock:
            return list(self._recorder.spans)

    def __len__(self) -> int:
        return 0 if self._recorder is None else len(self._recorder.spans)

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def text(self, *, times: bool = False) -> str:
        """Return the tree as text, one line a span.

        Under a frozen clock the same commands give the same text.

        Parameters
        ----------
        times : bool
            Append when each span began and how long it took, in µs of the system's clock.
        """
        lines = [*self._lines(times=times), *self._notes()]
        return "\n".join(lines)

    def _lines(self, *, times: bool) -> Iterator[str]:
        return tree_lines(self.spans, times=times, clients=self.clients == "all")

    def _notes(self) -> list[str]:
        notes = []
        if not len(self):
            notes.append("(nothing was traced)")
        if self.dropped:
            notes.append(
                f"… {self.dropped:,} more had no room (max_spans={self.max_spans:,})"
            )
        if self.pending:
            when = "yet" if self.is_open else "when the trace was closed"
            notes.append(f"… {self.pending} in the background: not ended {when}")
        return notes

    def df(self) -> pd.DataFrame:
        """Return one row a span; see `trignb.notebook.trace_frames.spans_frame`."""
        from trignb.notebook.trace_frames import spans_frame

        opened = 0 if self._recorder is None else self._recorder.opened_ns
        return spans_frame(self.spans, opened)

    def diff(self) -> KeyDiff:
        """Return what the keys are now that they were not before, net."""
        if self._recorder is None:
            return KeyDiff([])
        with self.engine.core.lock:
            first, last = dict(self._recorder.first), dict(self._recorder.last)
        counts = Counter(
            (span.change.db, bytes(span.change.key))
            for span in self.spans
            if span.kind == CHANGE and span.change is not None
        )
        changes = []
        for (db, key), before in first.items():
            after = last[db, key]
            change = change_of(db, key, before, after, was_heard=True)
            if change is not None:
                changes.append(change)
        changes.sort(key=lambda change: change.db)
        return KeyDiff(changes, [max(counts[c.db, c.key], 1) for c in changes])

    def keys(self) -> list[str]:
        """Return the keys that are not what they were, as text."""
        return self.diff().keys()

    # -- in a notebook

    def html(self, *, times: bool = False) -> str:
        """Return the tree as HTML that folds; `times` as for `text`."""
        return tree_html(
            self.spans,
            times=times,
            clients=self.clients == "all",
            notes=self._notes(),
        )

    def __repr__(self) -> str:
        return _cut([*self._lines(times=False), *self._notes()])

    def _repr_html_(self) -> str:
        # Under a frozen clock a notebook repeats exactly.
        return self.html(times=self._is_timed)


def _cut(lines: Sequence[str]) -> str:
    hidden = len(lines) - _LINES
    if hidden <= 0:
        return "\n".join(lines)
    return "\n".join([*lines[:_LINES], f"… {hidden:,} more lines: text() has all"])
