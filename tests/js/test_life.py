"""Isolates come and go, processes end and fork."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from js.fakes import FakeHost, Library
from trignb.js.isolate import context_count, wait_until_freed
from trignb.js.runtime import JsTerminated
from trignb.js.watch import resident_bytes

CODE = """
redis.registerFunction('f', (c) => c.call('incr', 'n'));
redis.registerFunction('loop', () => { while (true); });
redis.registerAsyncFunction('a', async (c) => {
    while (true) { c.block(l => l.call('incr', 'a')); await null; }
});
"""


def threads():
    return threading.active_count(), len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux counts")
def test_two_hundred_libraries(host):
    for n in range(200):
        if n == 20:
            memory, tasks, contexts = resident_bytes(), threads(), context_count()
        library = Library(host, CODE)
        assert library.call("f") == n + 1
        if n % 3 == 0:
            library.start("a")
        library.runtime.dispose()
    time.sleep(0.2)
    assert resident_bytes() - memory < 5 << 20
    assert threads()[1] <= tasks[1] + 2
    assert context_count() <= contexts + 1


def test_several_at_once(load):
    libraries = [load(CODE) for _ in range(10)]
    assert [library.call("f") for library in libraries] == list(range(1, 11))


def test_inside_a_running_event_loop(load):
    library = load(CODE)

    async def main():
        return library.call("f")

    assert asyncio.run(main()) == 1


def test_many_threads(load):
    library = load(CODE)
    replies = []

    def call():
        for _ in range(50):
            replies.append(library.call("f"))  # noqa: PERF401 - calls are the point

    workers = [threading.Thread(target=call) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(replies) == list(range(1, 201))


def test_dispose_while_another_thread_runs(load):
    library = load(CODE)
    errors = []

    def call():
        try:
            library.call("loop")
        except JsTerminated as error:
            errors.append(error.reason)

    worker = threading.Thread(target=call)
    worker.start()
    time.sleep(0.1)
    library.runtime.dispose()
    worker.join(5)
    assert not worker.is_alive()
    assert errors == ["the library was unloaded"]


def python(code, timeout=20):
    """Run `code` in a process of its own; return what it printed."""
    root = Path(__file__).parents[2]
    setup = f"""
        import os, signal, sys, threading, time
        from js.fakes import FakeHost, Library
        CODE = {CODE!r}
        host = FakeHost()
        library = Library(host, CODE)
    """
    text = textwrap.dedent(setup) + textwrap.dedent(code)
    path = os.pathsep.join([str(root), str(root / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout.split()


def test_exit_without_dispose():
    assert python("print(library.call('f'))") == ["1"]


def test_exit_with_an_endless_coroutine():
    assert python("library.start('a'); time.sleep(0.1); print('end')") == ["end"]


def test_exit_while_another_thread_runs():
    assert python(
        """
        library.timeout_ms = 0
        threading.Thread(target=library.call, args=("loop",), daemon=True).start()
        time.sleep(0.2)
        print("end")
        """
    ) == ["end"]


@pytest.mark.parametrize("attempt", range(3))
def test_exit_while_a_builtin_takes_no_notice(attempt):
    # Dates of a place are slow to stop: V8 is still at it when the process ends.
    assert python(
        """
        dates = "for (;;) new Date().toLocaleString('ar-EG', {timeZone: 'Pacific/Apia'})"
        slow = Library(FakeHost(), f"redis.registerFunction('f', () => {{ {dates} }});")
        slow.timeout_ms = 50
        try:
            slow.call("f")
        except Exception as error:
            print(type(error).__name__)
        """
    ) == ["JsTimeout"]


def test_exit_inside_a_command():
    assert (
        python(
            """
        host.commands[b"incr"] = lambda key: sys.exit(0)
        library.call("f")
        """
        )
        == []
    )


def test_fork():
    assert python(
        """
        library.call("f")
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            # The library comes back to life on an isolate of the child's own.
            assert library.call("f") == 2
            assert Library(host, CODE).call("f") == 3
            sys.stdout.flush()
            os._exit(0)
        print(os.waitpid(child, 0)[1], library.call("f"))
        """
    ) == ["0", "2"]


def test_fork_that_does_not_use_javascript():
    assert python(
        """
        child = os.fork()
        if child == 0:
            sys.exit(0)
        print(os.waitpid(child, 0)[1], library.call("f"))
        """
    ) == ["0", "1"]


def test_somebody_else_uses_mini_racer():
    assert python(
        """
        from py_mini_racer import MiniRacer
        other = MiniRacer()
        print(other.eval("1 + 1"), library.call("f"), other.eval("3"))
        # With CPython 3.13 a process hangs at its end if this was not called.
        other.close()
        """
    ) == ["2", "1", "3"]


def test_a_process_killed_by_no_one():
    """A library that is dropped without dispose goes with the process."""
    assert python("del library; import gc; gc.collect(); print('end')") == ["end"]


def test_fake_host_is_a_host():
    assert FakeHost().block_timeout_ms() == 5000


def test_a_busy_isolate_is_freed_all_the_same(load) -> None:
    """Who waits for V8's answer has the isolate: nobody may wait for one that never answers."""
    code = (
        "redis.registerAsyncFunction('a', async () => { await null; while (true); });"
    )
    load(code).runtime.dispose()
    assert wait_until_freed(20)
    before = threads()[1]
    library = load(code)
    isolate = library.runtime._instance.channel.isolate
    library.start("a")
    while isolate._is_idle(0.1):
        pass
    assert not isolate.answers()
    assert not isolate.recover_memory()
    library.runtime.dispose()
    assert wait_until_freed(20)
    end = time.monotonic() + 10
    while threads()[1] > before:
        assert time.monotonic() < end, "a thread runs on"
        time.sleep(0.01)


def test_an_answer_about_the_heap_is_not_read_once_the_isolate_is_gone(
    load, monkeypatch
) -> None:
    """Its memory went with the isolate, which may end while the one who asks waits."""
    library = load("redis.registerFunction('f', () => 1);")
    isolate = library.runtime._instance.channel.isolate
    before = library.runtime.heap_statistics()
    assert before.used > 0

    class Slow:
        def __init__(self, dll):
            self.dll = dll

        def __getattr__(self, name):
            return getattr(self.dll, name)

        def mr_heap_stats(self, context):
            answer = self.dll.mr_heap_stats(context)
            library.runtime.dispose()
            return answer

    read = []
    monkeypatch.setattr(isolate, "_message", read.append)
    monkeypatch.setattr(isolate, "_dll", Slow(isolate._dll))
    assert isolate.heap_statistics() == before
    assert read == []
