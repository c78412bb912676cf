"""One isolate in use: runs that go in, commands that come out, and what goes wrong.

`Exchange.run` is the hot path of triggers and functions: it is written flat, with the
attributes it needs in locals, because every Python call in it costs a tenth of what it
does. Runs nest: a command may run JavaScript of the same library again, which is served
inside the waiting ``client.call``.

A run that is terminated takes the whole JavaScript stack along. `epoch` counts
terminations: a run that finds it changed knows that its own part of the stack is gone.
"""

from __future__ import annotations

from itertools import repeat
from time import monotonic
from typing import TYPE_CHECKING, Final

from trignb.errors import ResponseError
from trignb.js import words
from trignb.js.channel import ORDERED, Channel
from trignb.js.codec import decode, encode_reply, encode_text, flat_items, vector
from trignb.js.isolate import OOM
from trignb.js.later import NOT_YET, Later
from trignb.js.runtime import (
    TERMINATED,
    Host,
    JsError,
    JsOom,
    JsTerminated,
    JsTimeout,
    RuntimeLimits,
    Section,
)
from trignb.js.turns import TURNS
from trignb.js.watch import Watch, due
from trignb.js.words import (
    ALLOWED,
    BLOCK,
    BLOCK_ENDED,
    BOUNDED,
    CALL,
    CALL_OTHER,
    COUNT,
    INTERNAL,
    ITEM,
    JS_SLEEPS,
    LATER,
    LENGTH,
    LOG,
    MANY,
    MODE,
    NOTHING,
    ORIGIN,
    PENDING,
    PROBE,
    PUMP,
    RAW,
    REPLY,
    REPLY_ERROR,
    REPLY_INT,
    REPLY_LATER,
    REPLY_NULL,
    REPLY_OK,
    RESULT,
    RESULT_INT,
    RESULT_NULL,
    RUN,
    STATE,
    TARGET,
    THROWN,
)
from trignb.reply import OK, Reply

if TYPE_CHECKING:
    from trignb.js.listener import Owner
    from trignb.js.positions import Source

__all__ = ["Exchange"]

_INT_MIN: Final = -(1 << 31)
_INT_MAX: Final = (1 << 31) - 1
_TWO: Final = vector(2)
_THREE: Final = vector(3)

# How often to look, and how many looks what was terminated gets. Looks are counted, because a
# process that is short of processors looks less often, and so does JavaScript.
_LOOK_S: Final = 0.005
_LOOKS_BOUNDED: Final = 16
_LOOKS: Final = 22
_LOOKS_TAKEN: Final = 12
# What follows when it has not helped by then.
_TERMINATE: Final = 1
_CANCEL_JOB: Final = 5
# How long an isolate may take to answer before what it does is terminated once more.
_ANSWER_S: Final = 0.03
_ANSWER_MEMORY_S: Final = 0.5
_INTERNAL_MS: Final = 5000
_LEFTOVERS: Final = 5

TOO_LARGE: Final = "ERR value too large"
INNER: Final = "a run inside it was terminated"

PENDING_STILL: Final = object()
_REFUSED: Final = object()


class Exchange:
    """Runs of one isolate. All methods are for the thread that has the engine's lock.

    Attributes
    ----------
    epoch : int
        Number of terminations.
    dead : bool
        The isolate is gone.
    depth : int
        Runs on the stack.
    """

    def __init__(
        self,
        host: Host,
        owner: Owner,
        source: Source,
        channel: Channel,
        limits: RuntimeLimits,
    ) -> None:
        self.epoch = 0
        self.dead = False
        self.depth = 0
        self._in_block = self._stuck = self._gave_way = False
        self.channel = channel
        self._host = host
        self._execute = host.execute
        self._owner = owner
        self.source = source
        self._limits = limits
        self._section: Section | None = None
        # The newest section: of which job, and its watch if it took longer than a moment;
        # and the job whose section is to end at once.
        self.section_job = self.left_job = 0
        self.section_watch: Watch | None = None

    # The hot path -----------------------------------------------------------------------

    def run(
        self,
        mode: int,
        target: int,
        payload: bytes,
        section: Section | None,
        timeout_ms: int,
        item: int = 0,
        count: int = 0,
    ) -> Reply:
        """Run something in JavaScript and serve its commands until it has ended.

        Returns
        -------
        Reply
            The result; a `Job` if it returned a promise that is pending.

        Raises
        ------
        JsError
            It threw.
        JsTerminated
            It was stopped, or the isolate is gone.
        BaseException
            Whatever `Host.execute` raised besides `ResponseError`.
        """
        if self.dead:
            raise JsTerminated("the library is not loaded")
        size = len(payload)
        if size > words.REGION_BYTES:
            raise ResponseError(TOO_LARGE)
        channel = self.channel
        control = channel.control
        main = channel.main
        spin = channel.spin
        if TURNS.last is not channel.place or not spin:
            channel.take_turn()
            spin = channel.spin
        looks = spin
        execute = self._execute
        epoch = self.epoch
        watch: Watch | None = None
        deadline = 0.0
        self.depth += 1
        try:
            if size > channel.capacity:
                watch = self._watch(mode, timeout_ms)
                self._write_large(payload, watch)
            elif size:
                main[:size] = payload
            if section is not self._section and section is not None:
                self._enter(section)
            control[LENGTH] = size
            control[TARGET] = target
            control[MODE] = mode
            control[ITEM] = item
            control[COUNT] = count
            if not ORDERED:
                channel.fence()
            control[STATE] = RUN
            polls = spin
            if control[JS_SLEEPS]:
                channel.wake()
                polls = 0
            elif not control[PUMP]:
                polls = channel.kick()
            calls = 0
            while True:
                for _ in repeat(None, polls):
                    kind = control[STATE]
                    if kind < 0:
                        break
                else:
                    if watch is None:
                        watch = self._watch(mode, timeout_ms, deadline)
                    if looks:
                        looks = 0
                        TURNS.slept(channel)
                    channel.listen(watch)
                    kind = control[STATE]
                    if kind >= 0:
                        self._ended()
                if not ORDERED:
                    channel.fence()
                if kind == RESULT_NULL:
                    return None
                if kind == CALL:
                    calls += 1
                    polls = spin
                    if control[JS_SLEEPS]:
                        # A sleeping partner gets a chance to wake up every 8th time.
                        polls = -1 if spin and not calls & 7 else 0
                    if calls == 1:
                        deadline = due(timeout_ms)
                    elif monotonic() > deadline or not calls & 255:
                        if watch is None:
                            watch = self._watch(mode, timeout_ms, deadline)
                        watch()
                        if monotonic() > watch.deadline:
                            self._refuse(TERMINATED)
                            continue
                    size = control[LENGTH]
                    n = control[TARGET]
                    data = bytes(main[:size])
                    if size > channel.capacity:  # JavaScript has grown it
                        channel.capacity = size
                    if n == 2:
                        a, b = _TWO.unpack_from(data)
                        if a >= 0 and b >= 0:
                            argv = [data[8 : 8 + a], data[8 + a :]]
                        else:
                            argv = flat_items(data, 0, 2)[0]
                    elif n == 3:
                        a, b, c = _THREE.unpack_from(data)
                        if a >= 0 and b >= 0 and c >= 0:
                            a += 12
                            b += a
                            argv = [data[12:a], data[a:b], data[b:]]
                        else:
                            argv = flat_items(data, 0, 3)[0]
                    else:
                        argv = flat_items(data, 0, n)[0]
                    try:
                        reply = execute(section, argv)
                        if self.epoch != epoch:
                            raise JsTerminated(INNER)
                        if type(reply) is int and _INT_MIN <= reply <= _INT_MAX:
                            size, answer = reply, REPLY_INT
                        elif reply is None:
                            size, answer = 0, REPLY_NULL
                        elif reply is OK:
                            size, answer = 0, REPLY_OK
                        else:
                            payload = encode_reply(reply, False)
                            size, answer = len(payload), REPLY
                            if size <= channel.capacity:
                                main[:size] = payload
                            else:
                                self._write_large(payload, watch)
                    except ResponseError as error:
                        if self.epoch != epoch:
                            raise JsTerminated(INNER) from None
                        self._refuse(str(error))
                        continue
                    control[LENGTH] = size
                    if not ORDERED:
                        channel.fence()
                    control[STATE] = answer
                    if control[JS_SLEEPS]:
                        channel.wake()
                        if polls:
                            polls = channel.nap()
                    continue
                if kind == RESULT_INT:
                    return control[LENGTH]
                if kind == RESULT:
                    return decode(channel.read(control[LENGTH]))[0]
                if kind == THROWN:
                    parts = decode(channel.read(control[LENGTH]))[0]
                    raise self.source.thrown(parts)
                if kind == PENDING:
                    if mode == PROBE:
                        return PENDING_STILL
                    return self._pending(section, timeout_ms, mode)
                if watch is None:
                    watch = self._watch(mode, timeout_ms, deadline)
                polls = 0 if control[JS_SLEEPS] else spin
                self._serve_other(kind, section, epoch, watch)
        except JsError:
            raise
        except BaseException as error:  # a timeout, KeyboardInterrupt, a host's bug
            if self.epoch != epoch:
                raise
            never_began = self._never_began(error)
            self._abort()
            if not never_began or self.dead:
                raise
        finally:
            self.depth -= 1
            self._left()
        # What kept the isolate busy is gone now.
        self._gave_way = True
        try:
            return self.run(mode, target, payload, section, timeout_ms, item, count)
        finally:
            self._gave_way = False

    def _never_began(self, error: BaseException) -> bool:
        """Whether a run waited until its time was up for something in the background."""
        control = self.channel.control
        return (
            isinstance(error, JsTimeout)
            and not self._gave_way
            and self.depth == 1
            and control[PUMP] == 0
            and control[STATE] == RUN
        )

    def _watch(self, mode: int, timeout_ms: int, deadline: float = 0.0) -> Watch:
        lenient = mode == BLOCK and not self.channel.control[BOUNDED]
        watch = Watch(self._limits, timeout_ms, lenient, deadline)
        if mode == BLOCK:
            self.section_watch = watch
            # Only now: whoever leaves says so first and then looks for a watch.
            if self.left_job == self.section_job > 0:
                watch.end_now()
        return watch

    def leave(self, job: int) -> None:
        """End the section that a job is in or waits for; any thread, without the lock."""
        self.left_job = job
        if self.section_job == job and self.section_watch is not None:
            self.section_watch.end_now()

    def _left(self) -> None:
        if self.dead and not self.depth:
            self.channel.isolate.close(self._stuck)

    def _enter(self, section: Section) -> None:
        control = self.channel.control
        self._section = None  # an interruption leaves no half of it behind
        control[ALLOWED] = section.block_allowed
        control[ORIGIN] = self._owner.origin_number(section.origin)
        self._section = section

    def internal(
        self,
        what: int,
        payload: bytes = b"",
        item: int = 0,
        timeout_ms: int = _INTERNAL_MS,
    ) -> Reply:
        """Have the prelude do something of its own."""
        return self.run(INTERNAL, what, payload, None, timeout_ms, item)

    # The rest of the conversation -----------------------------------------------------------

    def _write_large(self, payload: bytes, watch: Watch | None) -> None:
        size = len(payload)
        if size > words.REGION_BYTES:
            raise ResponseError(TOO_LARGE)
        self.channel.write(payload, watch or Watch(self._limits, 0, False))
        if size > self.channel.capacity:
            self._ended()

    def _answer(self, message: int, payload: bytes, watch: Watch | None = None) -> None:
        if len(payload) > self.channel.capacity:
            self._write_large(payload, watch)
        else:
            self.channel.main[: len(payload)] = payload
        self.channel.post(message, len(payload))

    def _refuse(self, text: str) -> None:
        self._answer(REPLY_ERROR, encode_text(text))

    def _serve_other(
        self, kind: int, section: Section | None, epoch: int, watch: Watch
    ) -> None:
        watch()
        if kind == LOG:
            self._owner.log(decode(self.channel.read(self.channel.control[LENGTH]))[0])
            self.channel.post(REPLY_NULL, 0)
        elif kind == CALL_OTHER:
            self._call_other(section, epoch, watch)
        else:
            raise JsTerminated(f"unknown message {kind}")

    def _call_other(
        self, section: Section | None, epoch: int, watch: Watch | None
    ) -> None:
        control = self.channel.control
        bits, number, count = control[MODE], control[ITEM], control[TARGET]
        data = self.channel.read(control[LENGTH])
        argv = decode(data)[0] if bits & MANY else flat_items(data, 0, count)[0]
        raw = bool(bits & RAW)
        try:
            if bits & LATER:
                later = Later(self.settle, number, raw)
                self._host.execute_async(section, argv, later.done)
                reply = later.reply_now()
            else:
                reply = self._host.execute(section, argv)
            if isinstance(reply, ResponseError):
                raise reply
            payload = None if reply is NOT_YET else encode_reply(reply, raw)
        except ResponseError as error:
            payload, text = None, str(error)
            reply = _REFUSED
        if self.epoch != epoch:
            raise JsTerminated(INNER)
        if payload is not None:
            self._answer(REPLY, payload, watch)
        elif reply is NOT_YET:
            self.channel.post(REPLY_LATER, 0)
        else:
            self._refuse(text)

    def _pending(self, section: Section | None, timeout_ms: int, mode: int) -> Reply:
        control = self.channel.control
        number, unsettled = control[ITEM], control[COUNT]
        job = self._owner.promised(number, section.origin if section else None)
        if not unsettled:
            return job
        # The pump has ended for it: microtasks run, then we ask whether it is settled.
        self.channel.isolate.start_pump()
        wanted = int(mode in (words.CALL_FLAT, words.CALL_VALUES))
        try:
            reply = self.run(PROBE, 0, b"", section, timeout_ms, number, wanted)
        except JsError:
            self._owner.forget(number)
            raise
        if reply is PENDING_STILL:
            return job
        self._owner.forget(number)
        return reply

    def settle(self, number: int, raw: bool, reply: Reply) -> None:
        """Tell JavaScript the reply of a ``callAsync``; any thread."""
        self._owner.settle(number, raw, reply)

    # Termination ------------------------------------------------------------------------------

    def _ended(self) -> None:
        """Raise because there is no answer and there will be none."""
        if self.dead:
            raise JsTerminated("the library was unloaded")
        memory = self.channel.terminated == OOM
        self.epoch += 1
        memory = self._recover() or memory
        if memory:
            raise JsOom("the heap limit was reached")
        raise JsTerminated("JavaScript was terminated")

    def _abort(self) -> None:
        """Stop whatever runs for us; whatever happens meanwhile, finish it."""
        self.epoch += 1
        self._in_block = self.channel.control[PUMP] == 2
        while not self.dead:
            try:
                if not (self._in_block and self._end_bounded()):
                    self._stop()
                return
            except KeyboardInterrupt:
                continue

    def _end_bounded(self) -> bool:
        """End what is served within block(), not the coroutine; False if all has to go."""
        channel, control = self.channel, self.channel.control
        if not control[BOUNDED] or self.left_job == self.section_job > 0:
            return False
        channel.isolate.ends_bounded = True
        channel.isolate.terminate()
        try:
            for _ in range(_LOOKS_BOUNDED):
                if control[STATE] == BLOCK_ENDED:
                    break
                channel.release(_LOOK_S)
        finally:
            channel.isolate.ends_bounded = False
        return bool(control[STATE] == BLOCK_ENDED)

    def _stop(self) -> None:
        channel, control = self.channel, self.channel.control
        isolate = channel.isolate
        isolate.cancel_pumps()
        # Are we served inside a coroutine's block()? Then its stack has to go as well.
        looks = 0
        hurry = self._in_block
        while isolate.is_pumping or (self._in_block and control[PUMP]):
            if looks == _LOOKS - (_LOOKS_TAKEN if hurry else 0):
                self.kill("JavaScript did not stop")
                return
            if looks == (0 if hurry else _TERMINATE) or looks == _CANCEL_JOB:
                # A microtask, or what V8 runs when it has collected garbage.
                isolate.terminate()
            if looks == (0 if hurry else _CANCEL_JOB):
                isolate.cancel_job()
                # In case a pump was counted but not posted: this one's end is the other's.
                isolate.start_pump()
                isolate.cancel_pumps()
            looks += 1
            channel.release(_LOOK_S)
        self._in_block = False
        self._recover()

    def _recover(self) -> bool:
        """Make the isolate usable after a termination; return whether it was memory."""
        channel = self.channel
        channel.terminated = 0
        channel.control[words.PY_SLEEPS] = channel.control[words.PROBING] = 0
        memory = channel.isolate.is_out_of_memory
        if memory and not channel.isolate.recover_memory():
            self.kill("JavaScript did not give memory back")
        for _ in range(_LEFTOVERS):
            # A second termination may be left over and would hit the next task.
            patience_s = _ANSWER_MEMORY_S if memory else _ANSWER_S
            if self.dead or self._answers(monotonic() + patience_s):
                break
            # Microtasks by the million, left by what was terminated.
            self.channel.isolate.terminate()
        else:
            self.kill("JavaScript does not answer")
        return memory

    def _answers(self, until: float) -> bool:
        channel, control = self.channel, self.channel.control
        control[TARGET], control[MODE] = NOTHING, INTERNAL
        channel.post(RUN, 0)
        if not control[PUMP]:
            channel.isolate.start_pump()
        try:
            channel.listen(Watch(self._limits, 0, False, until))
        except JsTerminated:
            return False
        channel.terminated, ended = 0, channel.terminated
        return not ended and control[STATE] < 0

    def recover_or_kill(self) -> None:
        """Make the isolate usable after something else than a run was terminated."""
        self.epoch += 1
        if self.channel.isolate.dead:
            self.kill("JavaScript did not stop")
        else:
            self._recover()

    def kill(self, reason: str, expected: bool = False) -> None:
        """Give the isolate up. Its memory is freed when the last run has left."""
        if self.dead:
            return
        self.dead = True
        self._stuck = not expected
        self.epoch += 1
        self.channel.abandon()
        self._owner.killed(reason, expected)
        self._left()
