"""One isolate of a library with everything that dies with it."""

from __future__ import annotations

import itertools
import struct
import threading
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, Protocol

from trignb.errors import ResponseError
from trignb.js import words
from trignb.js.channel import Channel
from trignb.js.codec import decode, encode_reply, encode_text
from trignb.js.exchange import Exchange
from trignb.js.exhaustion import LOST
from trignb.js.isolate import OOM
from trignb.js.mailbox import Mailbox
from trignb.js.runtime import (
    Host,
    Job,
    JsError,
    JsOom,
    JsTerminated,
    RuntimeLimits,
    Section,
)
from trignb.js.watch import resident_bytes
from trignb.js.words import (
    ADD_EVENT,
    BLOCK,
    HAVE_JOBS,
    JOB_DONE,
    JOBS,
    LOG_LINE,
    NOTICE,
    NOTICE_ID,
    NOTICE_LENGTH,
    PUMP,
    RUNNING,
    SETTLE,
    TIMER,
    UNBLOCK,
    WANT_BLOCK,
    WANT_MAIL,
    WANT_TIME,
    WANT_TIMER,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from trignb.js.background import After, Background
    from trignb.js.positions import Source
    from trignb.reply import Reply

__all__ = ["Instance"]

_UNBLOCK_MS: Final = 5000
_CHANCE: Final = struct.Struct("<4i")
_LEFT: Final = "its caller was interrupted"
# How long a job may take to begin when nothing else is to be done.
_BEGIN_S: Final = 0.05
# How long one that was terminated may take to end.
_END_S: Final = 0.3
# What the pump's word holds while messages are served inside block().
_IN_BLOCK: Final = 2
# Looks before garbage is collected for the first time, and before every one in the end: a
# second, a minute.
_FIRST_COLLECTION: Final = 4
_LAST_COLLECTION: Final = 256


class Origins(Protocol):
    """The numbers by which JavaScript knows origins."""

    def number(self, origin: Hashable) -> int:
        """Return the number of an origin."""

    def origin(self, number: int) -> Hashable:
        """Return the origin of a number; a negative one is a cluster function's."""


class Instance:
    """An isolate, the channel to it, its jobs and events.

    Attributes
    ----------
    generation : int
        How many isolates the library had before.
    """

    def __init__(
        self,
        host: Host,
        background: Background,
        origins: Origins,
        source: Source,
        config: str,
        limits: RuntimeLimits,
        generation: int,
    ) -> None:
        self.generation = generation
        self.jobs: dict[int, Job] = {}
        self.events: dict[str, int] = {}
        self._host = host
        self._background = background
        self._origins = origins
        self._limits = limits
        # Coroutines that wait for a section or are in one, and what the process had before.
        self._blocks = 0
        self._base_bytes = 0
        self._looks, self._next_collection = 0, _FIRST_COLLECTION
        self._numbers = itertools.count(2, 2)  # odd ones are JavaScript's
        self.origin_number = origins.number
        self.channel = Channel(
            source.name,
            config,
            limits.heap_bytes,
            limits.all_globals,
            limits.spin,
            self._noticed,
            self._job_terminated,
            self._lost,
        )
        self.exchange = Exchange(host, self, source, self.channel, limits)
        self.mailbox = Mailbox(self.channel)
        self.chance = host.chance_state()
        host.clock.watch(self._clock_moved)

    # Time and chance -----------------------------------------------------------------

    def _clock_moved(self) -> None:
        clock, isolate = self._host.clock, self.channel.isolate
        if clock.held_ns is not None:
            isolate.show_time(words.HELD_TIME, clock.held_ns)
        else:
            isolate.show_time(words.SYSTEM_TIME if clock.is_system else words.ASK_TIME)

    @property
    def chance(self) -> bytes:
        """What ``Math.random`` is about to draw from, 16 bytes."""
        control = self.channel.control
        return _CHANCE.pack(*(control[words.CHANCE + i] for i in range(4)))

    @chance.setter
    def chance(self, state: bytes) -> None:
        control = self.channel.control
        for i, part in enumerate(_CHANCE.unpack(state)):
            control[words.CHANCE + i] = part
        if not any(state):  # from which nothing else would ever come
            control[words.CHANCE] = 1

    # Jobs ----------------------------------------------------------------------------

    def new_job(self, origin: Hashable) -> tuple[int, Job]:
        """Return a job and its number."""
        number, job = next(self._numbers), Job(origin)
        self.jobs[number] = job
        self._background.watch()
        return number, job

    def promised(self, number: int, origin: Hashable) -> Job:
        """Return a new job for a promise that JavaScript numbered."""
        job = self.jobs[number] = Job(origin)
        self._background.watch()
        return job

    def forget(self, number: int) -> None:
        """Drop a job whose promise turned out to be settled."""
        self.jobs.pop(number, None)

    def stop(self, job: Job) -> None:
        """Terminate what a job computes right now, if it does; any thread, without the lock.

        A coroutine that goes on after an ``await`` is not known to be at work, and goes on.
        """
        number = next((n for n, j in list(self.jobs.items()) if j is job), 0)
        if not number or self.exchange.dead:
            return
        if self.mailbox.withdraw(number):
            self._fail(self.jobs.pop(number, None), JsTerminated(_LEFT))
            return
        # In this order: it may be about to enter a section.
        self.exchange.leave(number)
        if self._is_at_work(number) and self.channel.control[PUMP] != _IN_BLOCK:
            self.channel.isolate.cancel_job()
            # A run that came before its end would never be answered.
            ends = monotonic() + _END_S
            while number in self.jobs and monotonic() < ends:
                sleep(0.001)
            self.channel.isolate.answers()

    def _is_at_work(self, number: int) -> bool:
        """Whether a job's first stretch runs, or begins in a moment."""
        ends = monotonic() + _BEGIN_S
        while self.channel.control[RUNNING] != number:
            if number not in self.jobs or monotonic() > ends:
                return False
            sleep(0.001)
        return True

    @property
    def pending_jobs(self) -> int:
        """Length of the queue."""
        return len(self.mailbox) + (
            0 if self.exchange.dead else self.channel.control[JOBS]
        )

    def _over(self, job: Job | None) -> None:
        if job is not None:
            self._background.put(partial(self._tell, job))

    def _tell(self, job: Job) -> After:
        try:
            self._host.job_done(job)
        except BaseException:
            job.finish()
            raise
        return job.finish

    def _fail(self, job: Job | None, error: JsError | JsTerminated) -> None:
        if job is not None:
            job.error = error
            self._over(job)

    def killed(self, reason: str, expected: bool) -> None:
        """Fail every job; tell the host unless this is how it was meant."""
        while self.jobs:
            self._fail(self.jobs.popitem()[1], JsTerminated(reason))
        if not expected:
            self._host.isolate_lost(reason)

    def forget_isolate(self) -> None:
        """Take note that this process is a fork: V8's threads are not in it."""
        self.channel.isolate.forget()
        self.exchange.dead = True
        self.exchange.epoch += 1
        self.jobs.clear()

    # Memory --------------------------------------------------------------------------

    def look_at_memory(self) -> bool:
        """See to it that background jobs stay within the limits; tell whether there are any.

        Called without the lock. Of runs in the foreground whoever waits for them takes care.
        """
        isolate = self.channel.isolate
        is_full = not self.exchange.dead and isolate.is_out_of_memory
        if self.exchange.dead or not (self.jobs or is_full):
            self._base_bytes = 0
            self._looks, self._next_collection = 0, _FIRST_COLLECTION
            return False
        self._looks += 1
        if is_full:
            self._host.ran_out_of_memory()
            # A second termination may be left over: some task has to take it.
            isolate.start_mail()
            isolate.start_mail()
            isolate.answers()
            # What the terminated job held is garbage; whoever waits for a promise that
            # nobody can settle any more is told so.
            isolate.recover_memory()
            return True
        if self._looks == self._next_collection and not self._blocks:
            # V8 collects when it needs room, which may be never: a promise that was dropped
            # would be waited for as long.
            self._looks = 0
            self._next_collection = min(self._next_collection * 2, _LAST_COLLECTION)
            isolate.recover_memory()
        now = resident_bytes()
        if not self._base_bytes:
            self._base_bytes = now
        limit = self._limits.heap_bytes + self._limits.slack_bytes
        # The engine may have grown as well. But who computes without an end, so that he
        # does not answer, and lets the process grow is stopped.
        if (
            now - self._base_bytes > limit
            and not self._blocks
            and not isolate.answers()
        ):
            self._background.put(self._stop_growing)
        return True

    def _lost(self) -> None:
        self._background.put(partial(self.exchange.kill, LOST))

    def _stop_growing(self) -> None:
        self.exchange.kill("the process grew beyond the memory limit")

    # Events ----------------------------------------------------------------------------

    def event_number(self, event: str) -> int:
        """Return the number of an event's name, which JavaScript then has as a string."""
        number = self.events.get(event)
        if number is None:
            number = len(self.events)
            self.exchange.internal(ADD_EVENT, encode_text(event), number)
            self.events[event] = number
        return number

    # Notices, on the isolate's thread while it waits --------------------------------------

    def _noticed(self) -> None:
        control = self.channel.control
        kind, number = control[NOTICE], control[NOTICE_ID]
        if kind == WANT_MAIL:
            self.mailbox.hand_over(control[NOTICE_LENGTH])
        elif kind == HAVE_JOBS:
            self.channel.have_jobs()
        elif kind == WANT_TIME:
            self.channel.isolate.write_time(self._host.clock.read())
        elif kind == WANT_BLOCK:
            self._blocks += 1
            self._background.put(partial(self._block, number, control[RUNNING]))
        elif kind == WANT_TIMER:
            self._start_timer(number)
        elif kind == LOG_LINE:
            self.log(self._payload())
        else:
            self._job_ended(kind, number)

    def _payload(self) -> Reply:
        size = self.channel.control[NOTICE_LENGTH]
        return decode(bytes(self.channel.isolate.side[:size]))[0]

    def _job_ended(self, kind: int, number: int) -> None:
        job = self.jobs.pop(number, None)
        if job is None:
            return
        if kind == JOB_DONE:
            job.value = self._payload()
            self._over(job)
        else:
            self._fail(job, self.exchange.source.thrown(self._payload()))

    def _job_terminated(self, kind: int) -> None:
        reason = "its job was terminated"
        memory = kind == OOM or self.channel.isolate.is_out_of_memory
        error = JsOom(reason) if memory else JsTerminated(reason)
        self._fail(self.jobs.pop(self.channel.control[RUNNING], None), error)
        self.channel.control[RUNNING] = 0
        # The start of any task puts right what it left in JavaScript.
        self.channel.isolate.start_mail()

    def _start_timer(self, number: int) -> None:
        seconds = self._host.remote_timeout_ms() / 1000
        seconds = min(seconds, threading.TIMEOUT_MAX)
        timer = threading.Timer(seconds, self.mailbox.send, (TIMER, number, 0, 0))
        timer.daemon = True
        timer.start()

    def log(self, line: bytes) -> None:
        """Write what ``redis.log`` or ``console`` said."""
        self._host.log(line.decode())

    def settle(self, number: int, raw: bool, reply: Reply) -> None:
        """Send the reply of a ``callAsync``; any thread."""
        failed = isinstance(reply, ResponseError)
        try:
            payload = encode_text(str(reply)) if failed else encode_reply(reply, raw)
        except ResponseError as error:
            failed, payload = True, encode_text(str(error))
        self.mailbox.send(SETTLE, number, int(failed), 0, payload)

    # client.block, on the background thread under the lock ----------------------------------

    def _block(self, origin: int, job: int) -> None:
        try:
            # 0 is a coroutine that went on after an await: nobody can have stopped it.
            if not job or job in self.jobs:
                self.exchange.section_watch = None
                self.exchange.section_job = job
                self._run_section(origin)
        finally:
            self._blocks -= 1

    def _run_section(self, origin: int) -> None:
        if self.exchange.dead:
            return
        try:
            section = self._host.enter_block(self._origins.origin(origin))
        except ResponseError as error:
            epoch = self.exchange.epoch
            self._run_block(None, encode_text(str(error)))
            self._unblock(epoch)
            return
        epoch = self.exchange.epoch
        try:
            self._run_block(section, b"")
        finally:
            # Before JavaScript goes on: what the section queued is part of it.
            self._host.leave_block(section)
            self._unblock(epoch)

    def _run_block(self, section: Section | None, failure: bytes) -> None:
        try:
            self.exchange.run(
                BLOCK,
                0,
                failure,
                section,
                self._host.block_timeout_ms(),
                0,
                int(section is None),
            )
        except JsTerminated:  # the coroutine is gone and its job has failed
            return

    def _unblock(self, epoch: int) -> None:
        if self.exchange.dead:
            return
        is_there = self.channel.control[PUMP] == _IN_BLOCK
        if self.exchange.epoch != epoch and not is_there:
            return
        try:
            self.exchange.run(UNBLOCK, 0, b"", None, _UNBLOCK_MS)
        except JsTerminated:
            return
