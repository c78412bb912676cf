"""Running commands under a trace, or on a copy of the engine: ``--trace`` and ``--dry-run``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from trignb.errors import RdbError
from trignb.notebook.errors import UsageError
from trignb.notebook.notes import news
from trignb.notebook.workbench import Bench

if TYPE_CHECKING:
    from trignb.notebook.trace import KeyDiff, Trace
    from trignb.rehearsal import DryRun

__all__ = ["Observed"]

# How long a cell waits for background work that its commands began.
PATIENCE_S: Final = 2.0

_NOT_KEPT: Final = "dry run, nothing of it is kept:"


class Observed:
    """What is seen of a run of commands.

    Attributes
    ----------
    trace : Trace or None
        Who caused what, if it was asked for.
    diff : KeyDiff or None
        What became of the keys, if it was a dry run.
    """

    def __init__(self, *, traced: bool, rehearsed: bool) -> None:
        self.traced = traced
        self.rehearsed = rehearsed
        self.trace: Trace | None = None
        self.diff: KeyDiff | None = None

    @contextmanager
    def around(self, bench: Bench) -> Iterator[Bench]:
        """Give the bench to run commands on, and look what comes of them."""
        if not (self.traced or self.rehearsed):
            yield bench
            return
        with ExitStack() as stack:
            copy = _begin_copy(bench, stack) if self.rehearsed else None
            used = bench if copy is None else _bench_of(copy, bench)
            trace, patience = used.engine.trace(), PATIENCE_S
            try:
                with trace:
                    yield used
            except KeyboardInterrupt:
                patience = 0.0
                raise
            finally:
                trace.wait(patience)
                trace.close()
                if self.traced:
                    self.trace = trace
                    bench.note_trace(trace)
                if copy is not None:
                    self.diff = copy.diff(_NOT_KEPT)
                    bench.carried += [f"dry run: {line}" for line in news(used)]

    def mark(self, shown: Any) -> None:
        """Put what was seen beside a reply."""
        shown.trace, shown.diff = self.trace, self.diff


def _begin_copy(bench: Bench, stack: ExitStack) -> DryRun:
    if bench.session.queue is not None:
        raise UsageError(
            "a dry run is not for the middle of a MULTI: EXEC or DISCARD first"
        )
    try:
        return stack.enter_context(bench.engine.dry_run())
    except RdbError as error:
        raise UsageError(f"no dry run: {error}") from error


def _bench_of(copy: DryRun, original: Bench) -> Bench:
    """Return a client of the copy in the state of the notebook's own."""
    bench = Bench(copy.engine, owned=False, resp=original.session.resp)
    bench.session.close()
    bench.session = copy.session(like=original.session)
    bench.sources = original.sources
    return bench
