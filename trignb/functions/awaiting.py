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

__all__ = ["Caller", "reply_soon", "reply_within"]

_SLICE_S: Final = 0.2

Argument = str | bytes | float


class Caller:
    """Begins calls of one engine's functions without waiting for what they do in the background."""

    def __init__(self, core: Core) -> None:
        self._run: Callable[[Session, list[bytes]], Any] = make_run(core, _hand_over)

    def begin(
        self,
        session: Session,
        function: str,
        keys: Iterable[str | bytes],
        args: Iterable[Argument],
    ) -> Reply | Waiter:
        """Call a function (TFCALLASYNC) and return its reply, or what will have it."""
        keys = list(keys)
        given: tuple[Argument, ...] = (
            "TFCALLASYNC",
            function,
            len(keys),
            *keys,
            *args,
        )
        return self._run(session, encode_args(given))


def reply_within(begun: Reply | Waiter, timeout_s: float) -> Reply:
    """Wait for the reply of a call that has begun; the call goes on if that takes too long.

    Raises
    ------
    TimeoutError
        There was none in time.
    """
    if not isinstance(begun, Waiter):
        return begun
    if timeout_s > 0:
        begun.timeout_s = timeout_s
        try:
            begun.sleep()
        except BaseException:
            if begun.on_left is not None:
                begun.on_left()
            raise
    if not begun.is_done:
        raise TimeoutError(f"the function did not answer within {timeout_s:g} s")
    return _outcome(begun)


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
    return _outcome(begun)


def _outcome(waiter: Waiter) -> Reply:
    if waiter.error is not None:
        raise waiter.error
    return waiter.reply


def _hand_over(waiter: Waiter) -> Waiter:
    return waiter
