"""The event loop: one thread that waits for sockets, timers and messages from other threads.

Not asyncio, for three things it cannot do: `pump` serves the other clients from within a script
that runs too long (they are told BUSY and may kill it); replies leave only after `before_send` has
run, so a file that must be synced is synced once for all commands of a round; and a round costs
half of what asyncio's protocols cost.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from trignb.engine.traffic import Traffic

__all__ = ["Handler", "Loop", "Timer"]

_LONGEST_SLEEP_S: Final = 0.1
_FEW_TIMERS: Final = 100


class Handler(Protocol):
    """What is registered for a socket."""

    def ready(self, mask: int) -> None:
        """Read or write: the socket is ready for what `mask` says."""


class Timer:
    """A call at a later time; `cancel` takes it back."""

    __slots__ = ("_loop", "call")

    def __init__(self, loop: Loop, call: Callable[[], object]) -> None:
        self._loop = loop
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """Do not call; only the loop's thread may ask."""
        if self.call is not None:
            self.call = None
            self._loop.timer_cancelled()


class Loop:
    """Serves handlers until it is stopped.

    Attributes
    ----------
    before_send : callable
        Called at the end of each round, when commands have run and before anything is sent.
    ending_round : callable
        Called after `before_send`: sends what the round has to send.
    traffic : Traffic
        Counts rounds.
    is_running, is_stopped : bool
        Whether it serves; whether it is not to serve any more.
    now : float
        When the round under way began, as `time.monotonic` tells it.
    """

    def __init__(
        self,
        traffic: Traffic,
        before_send: Callable[[], None],
        ending_round: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.traffic = traffic
        self.before_send = before_send
        self.ending_round = ending_round
        self.on_error = on_error
        self.now = time.monotonic()
        self.thread_id = 0
        self.is_running = self.is_stopped = False
        self._selector = selectors.DefaultSelector()
        self._calls: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        # How many of the timers were taken back, at most.
        self._cancelled = 0
        self._wake_end, self._wake_start = os.pipe()
        for end in (self._wake_end, self._wake_start):
            os.set_blocking(end, False)
        self._asleep = False
        self._selector.register(self._wake_end, selectors.EVENT_READ, None)

    # -- sockets

    def add(
        self, file: Any, handler: Handler, mask: int = selectors.EVENT_READ
    ) -> None:
        """Tell the handler when the socket is ready."""
        self._selector.register(file, mask, handler)

    def change(self, file: Any, handler: Handler, mask: int) -> None:
        """Wait for something else."""
        self._selector.modify(file, mask, handler)

    def remove(self, file: Any) -> None:
        """Forget the socket."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(file)

    # -- calls and timers

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread is the loop's."""
        return threading.get_ident() == self.thread_id

    def call_soon(self, call: Callable[[], object]) -> None:
        """Call on the loop's thread, in the next round; any thread may ask."""
        self._calls.append(call)
        if not self.is_mine:
            self.wake()

    def wake(self) -> None:
        """End the loop's sleep; any thread."""
        with contextlib.suppress(OSError):
            os.write(self._wake_start, b"\0")

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call on the loop's thread after some time; only that thread may ask."""
        timer = Timer(self, call)
        entry = (time.monotonic() + seconds, next(self._numbers), timer)
        heapq.heappush(self._timers, entry)
        return timer

    def timer_cancelled(self) -> None:
        """Drop the timers that were taken back once they are the most of all.

        A client that waits for a year and is served at once would leave one each time.
        """
        self._cancelled += 1
        if self._cancelled > max(_FEW_TIMERS, len(self._timers) // 2):
            self._timers = [e for e in self._timers if e[2].call is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0

    # -- running

    def run(self) -> None:
        """Serve until `stop`; the calling thread becomes the loop's."""
        self.thread_id = threading.get_ident()
        self.is_running = True
        try:
            while not self.is_stopped:
                self._round(self._patience())
        finally:
            self.is_running = False
            self._selector.close()
            os.close(self._wake_end)
            os.close(self._wake_start)

    def stop(self) -> None:
        """End `run` after the round under way; any thread."""
        self.is_stopped, self.is_running = True, False
        self.wake()

    def pump(self, seconds: float) -> None:
        """Do one round from within a handler, or before `run`, waiting at most so long."""
        self.thread_id = threading.get_ident()
        self._round(seconds)

    def _patience(self) -> float:
        if self._calls:
            return 0.0
        if not self._timers:
            return _LONGEST_SLEEP_S
        return min(max(self._timers[0][0] - time.monotonic(), 0.0), _LONGEST_SLEEP_S)

    def _round(self, seconds: float) -> None:
        ready = self._selector.select(seconds)
        began = self.now = time.monotonic()
        for key, mask in ready:
            handler = key.data
            if handler is None:
                self._drain()
                continue
            try:
                handler.ready(mask)
            except Exception as error:  # noqa: BLE001 - one client's bug, not the server's end
                self.on_error(error)
        if self._calls or self._timers:
            self._run_calls()
        try:
            self.before_send()
            self.ending_round()
        except Exception as error:  # noqa: BLE001 - one client's bug, not the server's end
            self.on_error(error)
        traffic = self.traffic
        traffic.cycles += 1
        traffic.cycles_us += int((time.monotonic() - began) * 1e6)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_end, 4096)

    def _run_calls(self) -> None:
        for _ in range(len(self._calls)):
            if self._calls:
                self._guard(self._calls.popleft())
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.call is not None:
                call, timer.call = timer.call, None
                self._guard(call)

    def _guard(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - one client's bug, not the server's end
            self.on_error(error)
