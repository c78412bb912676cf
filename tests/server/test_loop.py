"""The event loop by itself: timers, calls from elsewhere, handlers that fail."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from trignb.engine.traffic import Traffic
from trignb.server.loop import Loop


class Noted:
    """What a loop reports."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.rounds = 0

    def sent(self) -> None:
        self.rounds += 1


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def loop(noted: Noted) -> Iterator[Loop]:
    loop = Loop(Traffic(), lambda: None, noted.sent, noted.errors.append)
    yield loop
    # Ends what has not run.
    loop.call_soon(loop.stop)
    loop.run()


def run(loop: Loop, *calls: object) -> None:
    """Run a loop until the calls have been made."""
    for call in (*calls, loop.stop):
        loop.call_soon(call)
    loop.is_running = True
    while loop.is_running:
        loop.pump(0)


def test_calls_run_in_order_and_one_that_fails_alone(loop: Loop, noted: Noted) -> None:
    seen: list[int] = []

    def fail() -> None:
        raise ValueError("no")

    run(loop, lambda: seen.append(1), fail, lambda: seen.append(2))
    assert seen == [1, 2]
    assert [str(error) for error in noted.errors] == ["no"]


def test_timers_that_were_taken_back_do_not_pile_up(loop: Loop) -> None:
    """A year's wait that ends at once, ten thousand times."""
    kept = loop.call_later(1e9, lambda: None)
    for _ in range(10_000):
        loop.call_later(1e7, lambda: None).cancel()
    assert len(loop._timers) < 300
    assert any(timer is kept for _, _, timer in loop._timers)


def test_a_timer_is_cancelled_once(loop: Loop) -> None:
    seen: list[int] = []
    timer = loop.call_later(0, lambda: seen.append(1))
    run(loop)
    timer.cancel()
    timer.cancel()
    late = loop.call_later(0, lambda: seen.append(2))
    late.cancel()
    run(loop)
    assert seen == [1]
    assert not loop._timers


def test_other_threads_wake_it(noted: Noted) -> None:
    loop = Loop(Traffic(), lambda: None, noted.sent, noted.errors.append)
    thread = threading.Thread(target=loop.run)
    thread.start()
    done = threading.Event()
    loop.call_soon(done.set)
    assert done.wait(10)
    loop.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_a_handler_that_fails_ends_nothing(loop: Loop, noted: Noted) -> None:
    class Broken:
        def ready(self, _mask: int) -> None:
            loop.remove(ours)
            raise ValueError("broken")

    ours, theirs = os.pipe()
    loop.add(ours, Broken())
    os.write(theirs, b"x")
    run(loop)
    assert [str(error) for error in noted.errors] == ["broken"]
    os.close(ours)
    os.close(theirs)
