"""Calls from Python that may take their time: with a time limit, or awaited in an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.args import encode_args
from trignb.engine.blocking import Waiter
from trignb.engine.dispatch import make_run

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.reply import Reply

__all__ = ["Caller", "outcome", "reply_soon", "sleep_within"]

_SLICE_S: Final = 0.2

Argument = str | bytes | float


class Caller:
    """Begins calls of one engine's functions without waiting for what they do in the background."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._run: Callable[[Session, list[bytes]], Any] = make_run(core, _hand_over)

    def begin(
        self,
        session: Session,
        function: str,
        keys: Iterable[str | bytes],
        args: Iterable[Argument],
    ) -> Reply | Waiter:
        """Call a function (TFCALLASYNC) and return its reply, or what will have it."""
        return self._run(session, _command(function, keys, args))

    def call_within(
        self,
        session: Session,
        function: str,
        keys: Iterable[str | bytes],
        args: Iterable[Argument],
        seconds: float,
    ) -> Reply:
        """Call a function and wait for its reply; it goes on if that takes too long.

        Raises
        ------
        TimeoutError
            There was no reply in time.
        """
        # An interrupt while it sleeps is the unit's business: it stops the function.
        run: Callable[[Session, list[bytes]], Any] = make_run(
            self._core, lambda waiter: sleep_within(waiter, seconds)
        )
        begun = run(session, _command(function, keys, args))
        if not isinstance(begun, Waiter):
            return begun
        if not begun.is_done:
            raise TimeoutError(f"the function did not answer within {seconds:g} s")
        return outcome(begun)


def sleep_within(waiter: Waiter, seconds: float) -> Waiter:
    """Sleep until a waiter has its reply or the time is up; return it, whichever came first."""
    if seconds > 0:
        waiter.timeout_s = seconds
        waiter.sleep()
    return waiter


def _command(
    function: str, keys: Iterable[str | bytes], args: Iterable[Argument]
) -> list[bytes]:
    keys = list(keys)
    return encode_args(("TFCALLASYNC", function, len(keys), *keys, *args))


async def reply_soon(begun: Reply | Waiter) -> Reply:
    """Await the reply of a call that has begun; being cancelled, leave it to itself."""
    if not isinstance(begun, Waiter):
        return begun
    # Imported here: `import trignb` does not take asyncio along.
    import asyncio
    import contextlib

    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def finished(_waiter: Waiter) -> None:
        # A loop that was closed waits for nothing any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    begun.on_done = finished
    try:
        while not begun.is_done:
            # In slices: a notebook's Stop is seen when its loop wakes, and wakes it not.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _SLICE_S)
    finally:
        begun.on_done = None
    return outcome(begun)


def outcome(waiter: Waiter) -> Reply:
    """Return the reply of a waiter that is done, or raise its error."""
    if waiter.error is not None:
        raise waiter.error
    return waiter.reply


def _hand_over(waiter: Waiter) -> Waiter:
    return waiter
