"""The notebook's engines, and the client through which its magics speak to each.

Magics hold one `Workbench`. It makes the engine ``default`` when it is first needed, knows
which engine is current, and runs commands: it is what stands between a magic's options and
`trignb.Engine`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from trignb.errors import ResponseError
from trignb.notebook.errors import UsageError, nearest
from trignb.notebook.reply import Reply, Style
from trignb.notebook.text import readable

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.engine.session import Session
    from trignb.notebook.trace import Trace

__all__ = [
    "DEFAULT_ENGINE",
    "LIBRARY_NAME",
    "Bench",
    "Source",
    "Workbench",
    "last_line",
]

DEFAULT_ENGINE: Final = "default"

Execute: TypeAlias = Callable[..., Any]

# The name in a library's first line.
LIBRARY_NAME: Final = re.compile(r"#![^\n]*?[ =]name[ =](\S+)")

# Commands whose library may log from a thread of its own while they run.
_WAITING: Final = frozenset((b"TFCALLASYNC", b"TFUNCTION"))


@dataclass(frozen=True, slots=True)
class Source:
    """Where a library's code stands in the notebook.

    ``offset`` is what its lines are to be moved by to be lines of the cell; there is no
    cell where ``is_cell`` is False.
    """

    code: str
    offset: int = 0
    is_cell: bool = True

    def line(self, number: int) -> str:
        """Return a line of the code, counted from 1; nothing when there is no such line."""
        lines = self.code.split("\n")
        return lines[number - 1] if 0 < number <= len(lines) else ""


def last_line(engine: Engine) -> int:
    """Return the number of the newest line that libraries logged, 0 without one."""
    lines = engine.library_registry.lines
    return lines[-1][1].seq if lines else 0


def _library_at_work(args: Sequence[bytes]) -> str:
    """Return the library that a command of `_WAITING` calls or loads."""
    if args[0].upper() == b"TFUNCTION":
        named = LIBRARY_NAME.match(args[-1].decode("utf-8", "replace"))
        return named[1] if named else ""
    return readable(args[1]).partition(".")[0]


class Bench:
    """One engine and the notebook's client of it.

    Attributes
    ----------
    engine : Engine
        The engine.
    session : Session
        The client: SELECT and MULTI of one cell hold in the next.
    sources : dict of str to Source
        Where the libraries that cells loaded come from.
    awaited : list of (str, int, int)
        Libraries whose background was waited for, each with the numbers of the last lines
        of the log before and behind; emptied by who shows them.
    carried : list of str
        What a copy of the engine had to tell, see `trignb.notebook.observing`; emptied by
        who shows it.
    trace : Trace or None
        The last one, of this bench or of a cell.
    lines_seen, errors_seen : int
        Number of the last line of the log, and of the last error, that cells have seen.
    """

    def __init__(self, engine: Engine, *, owned: bool = True, resp: int = 2) -> None:
        self.engine = engine
        self.owned = owned
        self.session = self._new_session(resp)
        self.sources: dict[str, Source] = {}
        self.awaited: list[tuple[str, int, int]] = []
        self.carried: list[str] = []
        self.trace: Trace | None = None
        registry = engine.library_registry
        self.lines_seen = last_line(engine)
        self.errors_seen = registry.errors_noted

    def start_trace(self) -> None:
        """Trace all clients from now on, in place of what is traced by now."""
        self.end_trace()
        self.trace = self.engine.trace("all")
        self.trace.__enter__()

    def note_trace(self, trace: Trace) -> None:
        """Keep the trace of a cell, unless one over several cells is open."""
        if self.trace is None or not self.trace.is_open:
            self.trace = trace

    def end_trace(self) -> None:
        """Begin nothing new for the trace."""
        if self.trace is not None and self.trace.is_open:
            self.trace.__exit__(None, None, None)

    def _new_session(self, resp: int) -> Session:
        return self.engine.session(resp=resp, name="notebook")

    def source(self, library: str) -> Source | None:
        """Return the code of a library as it is loaded, with its place if a cell has it."""
        loaded = self.engine.library_registry.libraries.get(library)
        known = self.sources.get(library)
        if loaded is None or (known is not None and known.code == loaded.code):
            return known
        return Source(loaded.code, is_cell=False)

    def prompt(self) -> str:
        """Return what redis-cli would show now: ``redis[1](TX)>``."""
        db = self.session.db.index
        number = f"[{db}]" if db else ""
        return f"redis{number}{'(TX)' if self.session.queue is not None else ''}> "

    def run(
        self,
        args: Sequence[bytes],
        style: Style | None = None,
        execute: Execute | None = None,
    ) -> Reply:
        """Run one command; an error reply comes back as a `Reply` with `error`.

        `execute` runs it in place of the session's own, for one that waits otherwise.
        """
        if len(args) > 1 and args[0].upper() in _WAITING:
            with self.awaiting(_library_at_work(args)):
                return self._run(args, style, execute or self.session.execute)
        return self._run(args, style, execute or self.session.execute)

    def _run(
        self, args: Sequence[bytes], style: Style | None, execute: Execute
    ) -> Reply:
        core = self.engine.core
        before = core.event_seq
        started = time.perf_counter()
        try:
            value = execute(*args)
        except ResponseError as error:
            value = error
        elapsed_ms = (time.perf_counter() - started) * 1000
        return Reply(
            value,
            args,
            # Asked afterwards: the reply to HELLO 3 is one of RESP3 already.
            resp=self.session.resp,
            elapsed_ms=elapsed_ms,
            records=self._records_since(before),
            style=style,
        )

    def _records_since(self, seq: int) -> list[tuple[object, ...]]:
        """Return the notifications later than `seq`, which stand at the log's end."""
        found: list[tuple[object, ...]] = []
        if self.engine.core.event_seq == seq:
            return found
        with self.engine.core.lock:
            for record in reversed(self.engine.core.notifications.records):
                if record[0] <= seq:
                    break
                found.append(record)
        return found[::-1]

    @contextmanager
    def awaiting(self, library: str) -> Iterator[None]:
        """Note that what a library logs meanwhile belongs to the cell, on any thread."""
        before = last_line(self.engine)
        try:
            yield
        finally:
            self.awaited.append((library, before, last_line(self.engine)))

    @contextmanager
    def speaking(self, *, db: int | None, resp: int | None) -> Iterator[None]:
        """Use another database or protocol for a moment."""
        session, databases = self.session, self.engine.core.databases
        if db is not None and not 0 <= db < len(databases):
            raise UsageError(f"-n takes 0 to {len(databases) - 1}")
        if db is not None and session.queue is not None:
            raise UsageError("-n is not for the middle of a MULTI: write SELECT")
        was_db, was_resp = session.db, session.resp
        try:
            if db is not None:
                session.db = databases[db]
            if resp is not None:
                session.set_resp(resp)
            yield
        finally:
            if db is not None:
                session.db = was_db
            if resp is not None:
                session.set_resp(was_resp)

    def reset(self, *, keep_libraries: bool) -> None:
        """Start over: an empty engine, a new client."""
        self.session.close()
        self.engine.reset(keep_libraries=keep_libraries)
        if not keep_libraries:
            self.sources.clear()
        self.session = self._new_session(self.session.resp)

    def close(self) -> None:
        """Leave the engine; close it when it is the workbench's own."""
        self.session.close()
        if self.trace is not None:
            self.trace.close()
        if self.engine.board is not None:
            self.engine.board.close()
        if self.owned:
            self.engine.close()


class Workbench:
    """The engines of a notebook.

    Parameters
    ----------
    new_bench : callable
        Makes an engine and its bench.
    """

    def __init__(self, new_bench: Callable[[], Bench]) -> None:
        self.new_bench = new_bench
        self.benches: dict[str, Bench] = {}
        self.current = DEFAULT_ENGINE
        self.snippets: dict[str, str] = {}
        self._empty: Bench | None = None

    def bench(self, name: str | None = None) -> Bench:
        """Return an engine's bench; the current one without a name.

        Raises
        ------
        UsageError
            There is no engine of this name.
        """
        name = name or self.current
        if name == DEFAULT_ENGINE and name not in self.benches:
            self.create(name)
        if name not in self.benches:
            near = nearest(name, self.benches)
            error = UsageError(f"there is no engine {name}")
            error.hint = (
                f"did you mean {near}?"
                if near
                else f"%tf engine {name} --new creates it"
            )
            raise error
        return self.benches[name]

    def peek(self, name: str | None = None) -> Bench:
        """Return an engine's bench, without making the engine if it is not there.

        Then it is an empty one that nobody else sees: whoever only looks must not decide how the
        first engine of a notebook is made.
        """
        found = self.benches.get(name or self.current)
        if found is not None:
            return found
        if self._empty is None:
            self._empty = self.new_bench()
        return self._empty

    def create(self, name: str) -> Bench:
        """Make an engine of this name."""
        if name in self.benches:
            raise UsageError(f"there is an engine {name} already")
        self.benches[name] = bench = self.new_bench()
        return bench

    def adopt(self, name: str, engine: Engine, resp: int) -> Bench:
        """Take in an engine that a cell made in Python."""
        engine.core.record_notifications()
        self.benches[name] = bench = Bench(engine, owned=False, resp=resp)
        return bench

    def close(self, name: str) -> None:
        """Close one engine; the default one becomes current in its place."""
        self.bench(name).close()
        del self.benches[name]
        if self.current == name:
            self.current = DEFAULT_ENGINE

    def close_all(self) -> None:
        """Close every engine."""
        for name in list(self.benches):
            self.close(name)
        if self._empty is not None:
            self._empty.close()
            self._empty = None
