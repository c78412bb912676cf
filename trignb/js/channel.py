"""The shared memory between two threads, and how they wait for each other.

The two sides take turns: who has written a message into STATE waits until the other has
written one. Waiting is active for some microseconds, then asleep: Python on a lock,
JavaScript inside a callback that waits on a lock. Each side says in a word of its own
that it sleeps and looks at STATE once more before it does.

Rules that were measured, not reasoned:

* Never look actively right after waking a sleeping partner; the kernel may have put it on
  this very processor (640 us instead of 200).
* A partner that must leave a Python callback needs the interpreter's lock, which a looking
  thread holds: nap instead. A nap takes 75 us, so JavaScript looks for 150 us.
* On one processor never look actively.

Plain stores become visible in order on x86. Elsewhere, and wherever a store must be seen
before a later load, `fence` orders them.
"""

from __future__ import annotations

import platform
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from trignb.js import words
from trignb.js.isolate import EXCEPTION, Isolate
from trignb.js.turns import TURNS, processors
from trignb.js.words import (
    GROW,
    GROWN,
    JOBS,
    JS_SLEEPS,
    LENGTH,
    PROBING,
    PUMP,
    PY_SLEEPS,
    QUIET,
    STATE,
    TASK,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from trignb.js.watch import Watch

__all__ = ["ORDERED", "Channel"]

# Whether stores are seen in the order they were made.
ORDERED: Final = platform.machine().lower() in {"x86_64", "amd64", "i686"}

_NAP_S: Final = 2e-5
_NAPS: Final = 4
_BULK_S: Final = 0.002
# What PUMP holds while messages are served inside block().
_IN_BLOCK: Final = 2
_LOOKS: Final = 1000


def signal(lock: threading.Lock) -> None:
    """Wake whoever waits for `lock`, or will."""
    try:
        lock.release()
    except RuntimeError:  # it is signalled already
        return


def _closed() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


class Channel:
    """Messages to one isolate and back.

    Attributes
    ----------
    active : bool
        Whether the two may look at all.
    place : weakref
        Stands for it among all `Turns`, which keep ``rests_until``, ``slept_at`` and ``in_vain``.
    spin : int
        How often Python looks for an answer before it sleeps, 50 ns each; 0: never.
    terminated : int
        Kind of the exception that ended a pump; 0: none since the last look.
    """

    def __init__(
        self,
        name: str,
        config: str,
        heap_bytes: int,
        all_globals: bool,
        active: bool | None,
        on_notice: Callable[[], None],
        on_job_terminated: Callable[[int], None],
        on_lost: Callable[[], None],
    ) -> None:
        if active is None:
            active = processors() > 1
        self.active = active
        self.place = weakref.ref(self)
        self.rests_until = self.slept_at = 0.0
        self.in_vain = 0
        self.spin = 0
        self.terminated = 0
        self.capacity = words.MAIN_BYTES
        self._last_kick = 0.0
        self._python, self._javascript, self._order = _closed(), _closed(), _closed()
        self._job_posted = False
        self.noticed = on_notice
        self._on_job_terminated = on_job_terminated
        self._on_lost = on_lost
        # JavaScript looks for longer than Python naps, else neither would be awake.
        spins = (30_000, 40_000) if active else (0, 0)
        self.isolate = Isolate(self, name, config, spins, heap_bytes, all_globals)
        self.control = self.isolate.control
        self.main = self.isolate.main
        self.look(actively=False)

    # Waiting, on the thread that has the engine's lock ----------------------------------

    def take_turn(self) -> None:
        """Note that a run begins, for `Turns` to decide who may look actively."""
        if self.active:
            TURNS.take(self)

    def look(self, *, actively: bool) -> None:
        """Have both sides look for answers, or sleep at once."""
        self.spin = _LOOKS if actively else 0
        self.control[QUIET] = not actively

    def fence(self) -> None:
        """Order memory accesses around it."""
        self._order.release()
        self._order.acquire()

    def kick(self) -> int:
        """Have JavaScript listen; return how often to look for the answer."""
        now = time.monotonic()
        self.isolate.start_pump()
        often = now - self._last_kick < _BULK_S
        self._last_kick = now
        return self.nap() if often and self.spin else 0

    def nap(self) -> int:
        """Wait for JavaScript's thread to wake up; return how often to look then.

        It needs the interpreter's lock to leave its callback, so this is not the time to
        look actively. Who sleeps in `listen` instead would have the pump end.
        """
        for _ in range(_NAPS):
            time.sleep(_NAP_S)
            if self.control[STATE] < 0:
                return 1
        return 0

    def listen(self, watch: Watch) -> None:
        """Sleep until JavaScript has written or its task has ended.

        `watch` is called when it wants to be, without an answer, and may raise.
        """
        control = self.control
        while True:
            control[PY_SLEEPS] = 1
            self.fence()
            if control[STATE] < 0 or self.terminated or self.isolate.dead:
                break
            if control[STATE] > 0:
                self._prod()
            waited = not self._python.acquire(timeout=watch.patience_s)
            if waited and control[STATE] >= 0:
                watch()
            if control[STATE] < 0:
                break
        control[PY_SLEEPS] = 0

    def _prod(self) -> None:
        # Our message is still there: somebody must be about to take it.
        if self.control[JS_SLEEPS]:
            signal(self._javascript)
        elif not self.control[PUMP] and not self.isolate.is_pumping:
            self.isolate.start_pump()

    def release(self, seconds: float) -> None:
        """Get JavaScript out of its sleep and wait for the end of its task."""
        control = self.control
        if control[JS_SLEEPS] or control[STATE] <= 0:
            control[STATE] = words.REPLY_NULL
            signal(self._javascript)
        self._python.acquire(timeout=seconds)

    def abandon(self) -> None:
        """Have everybody leave: the isolate is not going to be used any more."""
        TURNS.leave(self)
        self.isolate.dead = True
        self.isolate.cancel_pumps()
        self.isolate.cancel_job()
        signal(self._javascript)
        signal(self._python)

    # Writing -------------------------------------------------------------------------------

    def post(self, message: int, length: int) -> None:
        """Hand the turn to JavaScript."""
        control = self.control
        control[LENGTH] = length
        if not ORDERED:
            self.fence()
        control[STATE] = message
        if control[JS_SLEEPS]:
            signal(self._javascript)

    def wake(self) -> None:
        """Wake JavaScript if it sleeps."""
        signal(self._javascript)

    def write(self, payload: bytes, watch: Watch) -> int:
        """Put `payload` into the main region; return its length.

        Only JavaScript can grow the region.
        """
        size = len(payload)
        if size > self.capacity:
            self.post(GROW, size)
            if not self.control[PUMP]:
                self.isolate.start_pump()
            self.listen(watch)
            if self.control[STATE] == GROWN:
                self._grown(size)
        if size <= self.capacity:
            self.main[:size] = payload
        return size

    def read(self, size: int) -> bytes:
        """Return the first `size` bytes of the main region; JavaScript may have grown it."""
        if size > self.capacity:
            self._grown(size)
        return bytes(self.main[:size])

    def _grown(self, size: int) -> None:
        while self.capacity < size:
            self.capacity *= 2

    # On the isolate's thread ------------------------------------------------------------------

    def called(self) -> None:
        """Wake Python; if JavaScript said so, sleep until Python's message."""
        control = self.control
        if control[PY_SLEEPS]:
            control[PY_SLEEPS] = 0
            signal(self._python)
        if control[JS_SLEEPS]:
            while control[STATE] <= 0 and not self.isolate.dead:
                self._javascript.acquire(timeout=0.2)
            control[JS_SLEEPS] = 0

    def pump_ended(self, kind: int) -> None:
        """Wake Python, which may be waiting for this."""
        if kind >= EXCEPTION:
            self._reset()
            self.terminated = kind
        self._next_job()
        signal(self._python)

    def job_ended(self, kind: int) -> None:
        """Go on with the next job."""
        self._job_posted = False
        if kind >= EXCEPTION:
            in_block = self.control[PUMP] == _IN_BLOCK
            if in_block and self.control[STATE] > 0:
                self.terminated = kind  # with it went what was served
            self._on_job_terminated(kind)
            # Elsewhere than in block() a job takes no messages: one that is there is the pump's.
            self._reset(words_too=in_block)
        self._next_job()
        signal(self._python)

    def mail_ended(self) -> None:
        """Run what the mail asked for."""
        self._next_job()

    def isolate_lost(self) -> None:
        """Have everybody hear of it, whoever waits first."""
        signal(self._python)
        self._on_lost()

    def have_jobs(self) -> None:
        """JavaScript has queued a job and no task ends soon that would look."""
        self._next_job()

    def _next_job(self) -> None:
        # One job per task: microtasks run in between.
        control = self.control
        if control[JOBS] > 0 and not control[PROBING] and not self._job_posted:
            self._job_posted = True
            self.isolate.start_job()

    def _reset(self, words_too: bool = True) -> None:
        # Before microtasks run, that is before anybody else looks at these words.
        control = self.control
        control[TASK] = 0
        if words_too:
            for word in (PUMP, JS_SLEEPS, STATE, PROBING):
                control[word] = 0
