"""How far something is that takes more than a second.

Nothing is shown for the first second; then one line that is redrawn in place, and at the end says how
much there was and how long it took. Only a notebook gets it by itself, on its main thread, and none with
``TRIGNB_STATIC=1``: outputs that are compared must not hold times.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

__all__ = ["Step", "Wanted", "is_shown", "waiting", "watching"]

Step: TypeAlias = Callable[[int, int], object]
Wanted: TypeAlias = Step | bool | None

_FIRST_S: Final = 1.0
_EVERY_S: Final = 0.2
_STYLE: Final = (
    "font-family:var(--jp-code-font-family,monospace);"
    "font-size:var(--jp-code-font-size,13px);color:var(--jp-content-font-color1,inherit)"
)


@contextmanager
def watching(unit: str, wanted: Wanted = None) -> Iterator[Step]:
    """Give a function to be called with how much is done and how much there is.

    It is cheap enough to be called for every thousandth item. What it raises, an interrupt for
    instance, is the caller's to pass on.

    Parameters
    ----------
    unit : str
        What is counted, in the plural: ``keys``.
    wanted : callable or bool, optional
        A function of one's own ``(done, total)``; False for none; True for a line
        on stderr where there is no notebook. None shows it in notebooks only.
    """
    if callable(wanted):
        yield wanted
        return
    surface = _surface(wanted)
    if surface is None:
        yield _nothing
        return
    bar = _Bar(unit, surface)
    try:
        yield bar.step
    except BaseException as error:
        bar.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    bar.end("")


@contextmanager
def waiting(what: str, wanted: bool | None = None) -> Iterator[Callable[[], object]]:
    """Give a function to be called now and then while something is waited for.

    The same as `watching`, for what nobody knows the length of.
    """
    surface = _surface(wanted)
    if surface is None:
        yield _wait_unseen
        return
    wait = _Wait(what, surface)
    try:
        yield wait.step
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        wait.end("was stopped" if stopped else "ended")
        raise
    wait.end("answered")


def _wait_unseen() -> None:
    """Show nothing."""


def _nothing(_done: int, _total: int) -> None:
    """Show nothing."""


def is_shown() -> bool:
    """Whether a bar may be shown without having been asked for."""
    if os.environ.get("TRIGNB_STATIC", "0") not in ("", "0"):
        return False
    if threading.current_thread() is not threading.main_thread():
        return False
    return _in_notebook()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class _Surface(Protocol):
    """Where a line is drawn and drawn anew."""

    def draw(self, text: str, share: float | None) -> None:
        """Put the line there; `share` is 0 to 1, None where nobody knows."""

    def end(self, text: str) -> None:
        """Put the last line there."""


def _surface(wanted: Wanted) -> _Surface | None:
    if wanted is False or (wanted is None and not is_shown()):
        return None
    return _Cell() if _in_notebook() else _Terminal()


class _Bar:
    """One thing under way."""

    def __init__(self, unit: str, surface: _Surface) -> None:
        self.unit = unit
        self.surface = surface
        self.began = monotonic()
        self.next_at = self.began + _FIRST_S
        self.done = self.total = 0
        self.is_drawn = False
        # The first step, from which the rest is estimated: what came before is preparation.
        self.first: tuple[float, int] | None = None

    def step(self, done: int, total: int) -> None:
        """Take note of how far it is."""
        self.done, self.total = done, total
        now = monotonic()
        if self.first is None:
            self.first = now, done
        if now < self.next_at:
            return
        self.next_at = now + _EVERY_S
        self.is_drawn = True
        self.surface.draw(self._text(now), done / total if total else 1.0)

    def _text(self, now: float) -> str:
        share = 100 * self.done // self.total if self.total else 100
        text = f"{self.done:,} of {self.total:,} {self.unit} ({share} %)"
        began, before = self.first or (now, self.done)
        if self.done == before:
            return text
        left = (now - began) * (self.total - self.done) / (self.done - before)
        return f"{text}, {left:.0f} s left"

    def end(self, why: str) -> None:
        """Say how it ended, where anything was said."""
        if not self.is_drawn:
            return
        took = f"{monotonic() - self.began:.1f} s"
        if why:
            much = f"{why} at {self.done:,} of {self.total:,} {self.unit}, after {took}"
        else:
            much = f"{self.done:,} {self.unit} in {took}"
        self.surface.end(much)


class _Wait:
    """Something that is waited for."""

    def __init__(self, what: str, surface: _Surface) -> None:
        self.what = what
        self.surface = surface
        self.began = monotonic()
        self.is_drawn = False

    def step(self) -> None:
        """Say how long it has been."""
        waited = monotonic() - self.began
        if waited >= _FIRST_S:
            self.is_drawn = True
            self.surface.draw(f"{self.what} is under way, {waited:.0f} s", None)

    def end(self, how: str) -> None:
        """Say how it ended, where anything was said."""
        if self.is_drawn:
            waited = monotonic() - self.began
            self.surface.end(f"{self.what} {how} after {waited:.1f} s")


class _Cell:
    """The output of a cell, below what it has shown so far."""

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, text: str, share: float | None) -> None:
        """Show the bar and its text."""
        value = "" if share is None else f' value="{share:.3f}" max="1"'
        bar = f'<progress{value} aria-label="{escape(text)}">'
        self._show(text, f"{bar}</progress> {escape(text)}")

    def end(self, text: str) -> None:
        """Leave the text alone."""
        self._show(text, escape(text))

    def _show(self, text: str, html: str) -> None:
        from IPython.display import display

        bundle = {
            "text/plain": text,
            "text/html": f'<div style="{_STYLE}">{html}</div>',
        }
        if self._handle is None:
            publish: Any = display  # untyped upstream
            self._handle = publish(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


class _Terminal:
    """One line of stderr."""

    def draw(self, text: str, share: float | None) -> None:
        """Write over the line."""
        done = 0 if share is None else round(20 * share)
        bar = "" if share is None else f"{'█' * done}{'░' * (20 - done)} "
        self._write(f"{bar}{text}", "")

    def end(self, text: str) -> None:
        """Write over the line for the last time."""
        self._write(text, "\n")

    def _write(self, text: str, end: str) -> None:
        sys.stderr.write(f"\r\x1b[2K{text}{end}")
        sys.stderr.flush()
