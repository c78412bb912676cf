"""``%tf clock``: the engine's time, read, set, moved, stopped."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from trignb.notebook.display import Note
from trignb.notebook.errors import UsageError, suggestion
from trignb.notebook.subcommands.registry import Call, subcommand

if TYPE_CHECKING:
    from trignb.clock import Clock

__all__: list[str] = []

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


@subcommand("set|advance|freeze|real|show", "time")
def clock(call: Call) -> Note:
    """``clock [set TIME | advance 5s | freeze | real]``: the engine's time."""
    clock = call.engine.clock
    action, *given = call.words or ["show"]
    if action not in _ACTIONS:
        error = UsageError(f"%tf clock has no {action}")
        error.hint = suggestion(action, _ACTIONS)
        raise error
    act, wanted = _ACTIONS[action]
    if len(given) != wanted:
        raise UsageError(f"%tf clock {action} takes {wanted or 'no'} value")
    act(clock, *given)
    return Note(_clock_text(clock))


def _set_clock(clock: Clock, text: str) -> None:
    try:
        clock.freeze(at=float(text) if _is_number(text) else text)
    except ValueError as error:
        raise UsageError(
            f"{text} is not a time: write 2024-01-31T12:00:00Z or seconds"
        ) from error


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _advance_clock(clock: Clock, text: str) -> None:
    if _is_number(text):
        clock.advance(seconds=float(text))
    elif _DURATION.sub("", text) == "" and text:
        parts = _DURATION.findall(text)
        clock.advance(milliseconds=sum(float(n) * _UNITS_MS[unit] for n, unit in parts))
    else:
        raise UsageError(f"{text} is not a duration: write 5s, 250ms, 1h30m or 2d")


_ACTIONS: Final[dict[str, tuple[Callable[..., None], int]]] = {
    "show": (lambda _clock: None, 0),
    "set": (_set_clock, 1),
    "advance": (_advance_clock, 1),
    "freeze": (lambda clock: clock.freeze(), 0),
    "real": (lambda clock: clock.resume(), 0),
}


def _clock_text(clock: Clock) -> str:
    kind = "manual" if clock.frozen else "real"
    # Through milliseconds, as the engine counts: datetime would round.
    moment = dt.datetime.fromtimestamp(clock.now_ns() // 10**6 / 1000, dt.UTC)
    return f"clock: {kind}, {moment.isoformat(timespec='milliseconds')[:-6]}Z"
