"""One V8 isolate, spoken to through mini-racer's C interface.

mini-racer's Python layer costs 350 us for the smallest evaluation and hands values over
one by one, so this module uses the functions underneath, which are private: the version
is pinned and `tests/js` runs all of them.

An isolate has a thread of its own that runs tasks one after another, and microtasks
between them. A task can be cancelled, microtasks cannot. Callbacks from JavaScript arrive
on that thread while JavaScript waits.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import queue
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from trignb.js import exhaustion, native, words
from trignb.js.exhaustion import LOST
from trignb.js.prelude_text import prelude
from trignb.js.room import check_isolate, large_stacks
from trignb.js.runtime import HeapStatistics, JsTerminated
from trignb.js.starting import callback_type, prepare_thread, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from trignb.js.listener import Listener
    from trignb.js.watch import Watch

__all__ = [
    "EXCEPTION",
    "OOM",
    "PROMISE",
    "SYNTAX",
    "TERMINATED",
    "Isolate",
    "Outcome",
    "wait_until_freed",
]

_INTEGER: Final = 3
_TEXT: Final = 5
_UNDEFINED: Final = 11
PROMISE: Final = 103
EXCEPTION: Final = 200
SYNTAX: Final = 201
OOM: Final = 202
TERMINATED: Final = 204

# What a callback is about.
_HOST: Final = 1
_NOTICE: Final = 2
_VALUE: Final = 4
_JOB: Final = 5
_MAIL: Final = 6
_BOUNDED: Final = 7
_PUMP: Final = 1 << 32  # and its number
_PROBE: Final = 1 << 48  # and its number

_PUMPS: Final = 8

_SLICE_S: Final = 0.02
# How long what was terminated may take to end before the isolate is given up.
_PATIENCE_S: Final = 0.1
_COLLECT_S: Final = 0.5
_ASK_S: Final = 0.1
_INSTALL_S: Final = 30
# V8 aborts the process when an array needs 2**27 elements, which take 512 MB: whatever
# grows step by step has to reach the limit before it gets there.
_HEAP_MAX: Final = 400_000_000
# Freeing an isolate takes milliseconds, 0.2 s when a microtask has to be broken off. Some
# builtins notice nothing for seconds or for ever: nobody waits for them, least of all with
# the engine's lock in hand.
_UNPIN_S: Final = 0.3
_FREE_S: Final = 1.0
_STUCK_S: Final = 0.01
_BOUNDED_SOURCE: Final = f"globalThis[{words.BOUNDED_NAME!r}]"


class Outcome:
    """What a task returned: its kind, the text of an exception, a handle."""

    __slots__ = ("handle", "kind", "text")

    def __init__(self, kind: int, text: str, handle: Any) -> None:
        self.kind = kind
        self.text = text
        self.handle = handle


_living: weakref.WeakSet[Isolate] = weakref.WeakSet()

# What V8's threads call, kept from before a context is made until after it is freed.
_callbacks: dict[int, Any] = {}

# Threads that free a context.
_freeing: set[threading.Thread] = set()


def _relay(isolate: weakref.ref[Isolate]) -> Callable[[int, Any], None]:
    """Return a callback that does not keep its isolate alive."""

    def call(about: int, handle: Any) -> None:
        target = isolate()
        if target is not None:
            target._on_callback(about, handle)

    return call


def _trim() -> None:
    """Have the C library give back what it keeps: V8's ICU takes hundreds of MB from it."""
    trim = getattr(ctypes.pythonapi, "malloc_trim", None)
    if trim is not None:
        trim(0)


def _free_context(
    free: Callable[[Any], None],
    context: Any,
    callback: Any,
    asking: set[threading.Thread],
) -> threading.Thread:
    """Free a context on a thread of its own, which may take a while; then its callback."""

    def work() -> None:
        prepare_thread()
        free(context)
        # Who still waits for an answer has the context, and V8 goes on until he has it.
        for who in list(asking):
            who.join()
        del _callbacks[id(callback)]
        _trim()
        _freeing.discard(thread)

    thread = threading.Thread(target=work, name="trignb-free", daemon=True)
    _freeing.add(thread)
    thread.start()
    return thread


def wait_until_freed(timeout_s: float) -> bool:
    """Wait for isolates that have been closed and run on; False if some still do.

    A process that ends takes V8's data away under them, and they crash it.
    """
    end = time.monotonic() + timeout_s
    for thread in list(_freeing):
        thread.join(max(0.0, end - time.monotonic()))
    return not any(thread.is_alive() for thread in _freeing)


class Isolate:
    """A V8 isolate with the prelude in it.

    Parameters
    ----------
    listener : Listener
        Told on the isolate's thread.
    name : str
        Of the library.
    config : str
        JSON for ``redis.config``, empty for none.
    spins : (int, int)
        How often JavaScript looks before it sleeps: for an answer, for another run.
    heap_bytes : int
        Limit of the heap; it is never more than 400 MB.
    all_globals : bool
        Nothing is taken from the library but WebAssembly.
    """

    def __init__(
        self,
        listener: Listener,
        name: str,
        config: str,
        spins: tuple[int, int],
        heap_bytes: int,
        all_globals: bool = False,
    ) -> None:
        self.dead = self.is_lost = False
        self._closed = False
        self._closing = threading.Lock()
        # Pumps are numbered, so that one that was posted or not when Control-C hit is no
        # riddle for ever: tasks end in order.
        self._pump_posted = self._pump_ended = 0
        self._pump_tasks: dict[int, int] = {}
        self._listener = listener
        self._heap_bytes = min(heap_bytes, _HEAP_MAX)
        self._heap = HeapStatistics(0, 0, heap_bytes)
        self._values: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._garbage: list[Any] = []
        self._pinned = False
        self._unpinned = threading.Semaphore(0)
        self._job_task = 0
        self._asking: set[threading.Thread] = set()
        # Whether a termination is about the function within the boundary and no more.
        self.ends_bounded = False
        self._boundary: native.Boundary | None = None
        self._address: int | None = None
        self._probes: dict[int, threading.Event] = {}
        self._probe_numbers = itertools.count(_PROBE)
        v8 = start()
        check_isolate()
        v8.prepare_thread()
        self._dll = v8.dll
        self._native = native.find(self._dll._name)
        # V8's thread may call at any time until the context is freed, whatever became of
        # us: the callback is kept apart, and an isolate that was dropped without `close`
        # has its context freed by the collector.
        callback = callback_type()(_relay(weakref.ref(self)))
        _callbacks[id(callback)] = callback
        with large_stacks():
            self._context = self._dll.mr_init_context(callback)
        self._free_context = weakref.finalize(
            self,
            _free_context,
            self._dll.mr_free_context,
            self._context,
            callback,
            self._asking,
        )
        self._free_context.atexit = False
        self._install(name, config, spins, all_globals)
        self._dll.mr_set_hard_memory_limit(self._context, self._heap_bytes)
        _living.add(self)

    def _install(
        self, name: str, config: str, spins: tuple[int, int], all_globals: bool
    ) -> None:
        dll, context = self._dll, self._context
        install = self._value(dll.mr_eval, self._text(prelude()))
        given = self._value(dll.mr_eval, self._text("[]"))
        version = dll.mr_v8_version().decode()
        for handle in (
            dll.mr_make_js_callback(context, _HOST),
            dll.mr_make_js_callback(context, _NOTICE),
            dll.mr_make_js_callback(context, _BOUNDED),
            self._integer(spins[0]),
            self._integer(spins[1]),
            self._text(config),
            self._text(version),
            self._text(name),
            self._integer(int(all_globals)),
        ):
            dll.mr_array_push(context, given, handle)
        self._undefined = dll.mr_alloc_int_val(context, 0, _UNDEFINED)
        parts = self._value(dll.mr_call_function, install, self._undefined, given)
        self._pump, self._job, self._mail, self._watch, *memory = (
            dll.mr_get_object_item(context, parts, self._integer(i)) for i in range(7)
        )
        self._memory = memory  # the handles keep the memory alive
        self._nothing = self._value(dll.mr_eval, self._text("[]"))
        control = self._view(memory[0], words.CONTROL_BYTES)
        self.control = control.cast("i")
        self._clock_ms = control.cast("d")
        self.control[words.BOUNDED] = self._boundary is not None
        self.main = self._view(memory[1], words.REGION_BYTES)
        self.side = self._view(memory[2], words.REGION_BYTES)

    # Values -------------------------------------------------------------------------

    def _view(self, handle: Any, size: int) -> memoryview:
        # Growing never moves the base, so one view of the whole reserve stays valid;
        # pages above the current length must not be touched.
        address = handle.contents.value.value_ptr
        return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")

    def _integer(self, value: int) -> Any:
        return self._dll.mr_alloc_int_val(self._context, value, _INTEGER)

    def _text(self, value: str) -> Any:
        data = value.encode()
        return self._dll.mr_alloc_string_val(self._context, data, len(data), _TEXT)

    def _free(self, handle: Any) -> None:
        self._dll.mr_free_value(self._context, handle)

    def _value(self, function: Callable[..., int], *args: Any) -> Any:
        function(self._context, *args, _VALUE)
        return self._values.get(timeout=_INSTALL_S)

    def show_time(self, mode: int, ns: int = 0) -> None:
        """Say what JavaScript's clock shows, in one of the modes of `words`; any thread."""
        with self._closing:
            if not self._closed:
                self.write_time(ns)
                self.control[words.CLOCK] = mode

    def write_time(self, ns: int) -> None:
        """Write a time; on the isolate's thread, or with what keeps the memory there."""
        ms, rest = divmod(ns, 1_000_000)
        self.control[words.CLOCK_NS] = rest
        self._clock_ms[words.CLOCK_MS] = ms

    # Tasks --------------------------------------------------------------------------

    def start_pump(self) -> None:
        """Post the task that serves the conversation."""
        number = self._pump_posted = self._pump_posted + 1
        self._pump_tasks[number] = self._post(self._pump, _PUMP + number)
        while len(self._pump_tasks) > _PUMPS:
            del self._pump_tasks[next(iter(self._pump_tasks))]

    @property
    def is_pumping(self) -> bool:
        """Whether a pump task has not ended."""
        return self._pump_posted > self._pump_ended

    def start_job(self) -> None:
        """Post the task that runs the next background job."""
        self._job_task = self._post(self._job, _JOB)

    def start_mail(self) -> None:
        """Post the task that fetches what Python wants done in the background."""
        self._post(self._mail, _MAIL)

    def _post(self, function: Any, about: int) -> int:
        task: int = self._dll.mr_call_function(
            self._context, function, self._undefined, self._nothing, about
        )
        return task

    def cancel_pumps(self) -> None:
        """Terminate the pump that runs and take others from the queue."""
        for number, task in list(self._pump_tasks.items()):
            if number > self._pump_ended:
                self._dll.mr_cancel_task(self._context, task)

    def terminate(self) -> None:
        """Terminate whatever runs, microtasks too; any thread. Where V8 can be told so."""
        with self._closing:
            if not self._closed and self._native is not None and self._address:
                self._native.terminate(self._address)

    def cancel_job(self) -> None:
        """Terminate the background job that runs as a task."""
        self._dll.mr_cancel_task(self._context, self._job_task)

    def evaluate(self, source: str, watch: Watch) -> Outcome:
        """Evaluate a script; `watch` is called when it wants to be and may raise.

        Raises
        ------
        JsTerminated
            The script was stopped because `watch` raised, but did not stop.
        """
        task = self._dll.mr_eval(self._context, self._text(source), _VALUE)
        return self._outcome(self._await(task, watch))

    def watch_promise(self, handle: Any, watch: Watch) -> None:
        """Have the prelude remember how the promise of a script ends."""
        dll, context = self._dll, self._context
        given = self._await(dll.mr_eval(context, self._text("[]"), _VALUE), watch)
        dll.mr_array_push(context, given, handle)
        task = dll.mr_call_function(
            context, self._watch, self._undefined, given, _VALUE
        )
        self._free(self._await(task, watch))

    def _await(self, task: int, watch: Watch) -> Any:
        while True:
            try:
                handle = self._values.get(timeout=watch.patience_s)
                if handle is None:
                    raise JsTerminated(LOST)
                return handle
            except queue.Empty:
                try:
                    watch()
                except JsTerminated:
                    self._cancel(task)
                    raise
            except BaseException:  # KeyboardInterrupt
                self._cancel(task)
                raise

    def _cancel(self, task: int) -> None:
        if self.is_lost:
            return
        self._dll.mr_cancel_task(self._context, task)
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            try:
                self._free(self._values.get(timeout=_SLICE_S))
                return
            except (queue.Empty, KeyboardInterrupt):
                # A microtask from before it may be what runs.
                self.terminate()
        self.close(stuck=True)

    def _outcome(self, handle: Any) -> Outcome:
        kind = handle.contents.type
        text = self._message(handle) if kind >= EXCEPTION else ""
        if kind == PROMISE:
            return Outcome(kind, text, handle)
        self._free(handle)
        return Outcome(kind, text, None)

    def _message(self, handle: Any) -> str:
        content = handle.contents
        data = ctypes.string_at(content.value.bytes_val, content.len)
        return data.decode("utf-8", "replace")

    # Callbacks, on the isolate's thread ------------------------------------------------

    def _on_callback(self, about: int, handle: Any) -> None:
        if self.dead:
            self._unpin()
            return
        if not self._pinned:
            # Keep this thread's PyThreadState: making one for each callback is slow.
            ctypes.pythonapi.PyGILState_Ensure()
            self._pinned = True
            if self._native is not None:
                self._address = self._native.current()
                if self._address:
                    exhaustion.guard(self._native, self._address, self)
        if about == _VALUE:
            self._values.put(handle)
            return
        self._garbage.append(handle)
        if about == _HOST:
            self._listener.called()
            if len(self._garbage) >= 64:
                self._sweep()
        elif about == _NOTICE:
            self._listener.noticed()
        elif about == _BOUNDED:
            self._run_bounded()
        elif about >= _PROBE:
            self._probes.pop(about).set()
            self._sweep()
        elif about > _PUMP:
            self._pump_ended = about - _PUMP
            self._listener.pump_ended(handle.contents.type)
        elif about == _JOB:
            self._listener.job_ended(handle.contents.type)
        elif about == _MAIL:
            self._listener.mail_ended()

    def given_up(self) -> None:
        """Take note, on V8's thread, that it never runs again: it would end the process."""
        self.is_lost = self.dead = True
        self._values.put(None)
        self._listener.isolate_lost()

    def _run_bounded(self) -> None:
        boundary = self._boundary
        if boundary is None:  # the prelude is evaluated, nothing else
            if self._native is not None and self._address:
                self._boundary = native.Boundary(self._native, _BOUNDED_SOURCE)
        elif not boundary.call() and self.ends_bounded:
            self.ends_bounded = False
            boundary.go_on()

    def _unpin(self) -> None:
        if self._pinned:
            self._pinned = False
            # With 1, the count of a pinned thread, it would drop the GIL in mid-callback.
            ctypes.pythonapi.PyGILState_Release(0)
            self._unpinned.release()

    def _sweep(self) -> None:
        garbage, self._garbage = self._garbage, []
        for handle in garbage:
            self._free(handle)

    # Memory and the end ----------------------------------------------------------------

    @property
    def is_out_of_memory(self) -> bool:
        """Whether the heap limit was reached since it was last set."""
        return bool(self._dll.mr_hard_memory_limit_reached(self._context))

    def recover_memory(self) -> bool:
        """Collect garbage and arm the limit again; False if V8 does not answer."""
        dll, context = self._dll, self._context
        dll.mr_set_hard_memory_limit(context, 0)
        collected = self._ask(
            lambda: dll.mr_low_memory_notification(context), _COLLECT_S
        )
        dll.mr_set_hard_memory_limit(context, self._heap_bytes)
        return collected

    def heap_statistics(self) -> HeapStatistics:
        """Ask V8; what it said last if it is busy."""
        self.answers()
        return self._heap

    def answers(self) -> bool:
        """Whether V8 finds the time to tell about its heap; it is given a moment."""
        return self._ask(self._ask_heap, _ASK_S)

    def _ask(self, question: Callable[[], object], timeout_s: float) -> bool:
        """Call what waits for V8 on a thread; False if there is no answer in time.

        V8 may be waiting for our caller's lock, or run what does not end. While somebody
        waits for it, it cannot be freed either: only an isolate that is idle is asked.
        """
        if not self._is_idle(timeout_s):
            return False

        def work() -> None:
            try:
                question()
            finally:
                self._asking.discard(thread)

        thread = threading.Thread(target=work, name="trignb-ask", daemon=True)
        self._asking.add(thread)
        thread.start()
        thread.join(timeout_s)
        return not thread.is_alive()

    def _is_idle(self, timeout_s: float) -> bool:
        """Whether V8 gets round to a task that does nothing."""
        if self.dead:
            return False
        number = next(self._probe_numbers)
        answered = self._probes[number] = threading.Event()
        self._dll.mr_eval(self._context, self._text("0"), number)
        return answered.wait(timeout_s)

    def _ask_heap(self) -> None:
        handle = self._dll.mr_heap_stats(self._context)
        if not handle:  # the isolate was freed meanwhile
            return
        with self._closing:
            if self._closed:  # or since: the answer went with it
                return
            text = self._message(handle)
            self._free(handle)
        if not text:  # V8 was terminating what it did before
            return
        numbers = json.loads(text)
        self._heap = HeapStatistics(
            total=numbers["total_heap_size"],
            used=numbers["used_heap_size"],
            limit=self._heap_bytes,
        )

    def close(self, stuck: bool = False) -> None:
        """Terminate what runs and free everything. Views must not be used any more.

        An isolate that is `stuck` is left to itself: its thread frees it when it can.
        """
        with self._closing:
            if self._closed:
                return
            self.dead = self._closed = True
        # Nothing is left for the collector to tell: Control-C in its callbacks is lost.
        _living.discard(self)
        if self.is_lost:
            self._free_context.detach()
            return
        if self._pinned:
            # Only its thread can remove the pin: the next time it calls us.
            self._dll.mr_eval(self._context, self._text("0"), _VALUE)
            self._unpinned.acquire(timeout=_STUCK_S if stuck else _UNPIN_S)
        thread = self._free_context()
        if thread is not None:
            thread.join(_STUCK_S if stuck else _FREE_S)

    def forget(self) -> None:
        """Take note that this process is a fork: V8's threads are not in it."""
        self.dead = self._closed = True
        self._free_context.detach()


def context_count() -> int:
    """Return how many isolates the process has; for tests."""
    return int(start().dll.mr_context_count())


def _forget_all() -> None:
    for isolate in list(_living):
        isolate.forget()
    _living.clear()
    _freeing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
