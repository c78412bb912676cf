from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import trignb
from live_views import LIBRARY, Screen, picture
from trignb.notebook.widgets import Board

DEADLINE_S = 20


@pytest.fixture
def threaded(
    monkeypatch: pytest.MonkeyPatch, screen: Screen
) -> Iterator[trignb.Engine]:
    """An engine whose views have their thread."""
    monkeypatch.delenv("TRIGNB_SYNC", raising=False)
    with trignb.Engine() as engine:
        engine.load(LIBRARY)
        yield engine


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def threads() -> int:
    return sum(t.name == "trignb-widgets" for t in threading.enumerate())


class Counting:
    """A view that counts how often it is asked, and may take its time or fail."""

    def __init__(self, work_s: float = 0, error: Exception | None = None) -> None:
        self.times: list[float] = []
        self.work_s = work_s
        self.error = error

    def update(self) -> None:
        self.times.append(time.monotonic())
        if self.error is not None:
            raise self.error
        began = time.thread_time()
        while time.thread_time() - began < self.work_s:
            pass

    def close(self) -> None:
        raise AssertionError("nobody closes it")


def test_one_thread_while_there_are_views(threaded: trignb.Engine) -> None:
    assert threads() == 0
    monitor, feed = threaded.monitor(), threaded.feed()
    assert threads() == 0
    monitor.show()
    feed.show()
    assert threads() == 1
    monitor.close()
    assert threads() == 1
    feed.close()
    wait_until(lambda: threads() == 0)


def test_thread_can_start_again(threaded: trignb.Engine) -> None:
    for _ in range(2):
        monitor = threaded.monitor()
        monitor.show()
        assert threads() == 1
        monitor.close()
        wait_until(lambda: threads() == 0)


def test_view_changes_by_itself(threaded: trignb.Engine) -> None:
    monitor, feed = threaded.monitor(), threaded.feed("user:*")
    monitor.show()
    feed.show()
    threaded.execute("HSET", "user:1", "a", "1")
    wait_until(lambda: "1 run" in picture(monitor))
    wait_until(lambda: "user:1" in picture(feed))
    threaded.load(LIBRARY.replace("stamp", "other"), replace=True)
    wait_until(lambda: "other" in picture(monitor))


def test_rate_is_bounded_under_load(threaded: trignb.Engine) -> None:
    feed = threaded.feed()
    feed.show()
    changes: list[float] = []
    feed._screen.observe(lambda _: changes.append(time.monotonic()), "value")
    deadline = time.monotonic() + 1
    i = 0
    while time.monotonic() < deadline:
        threaded.execute("SET", f"key:{i}", "v")
        i += 1
    assert i > 1000
    assert 1 <= len(changes) <= 11


def test_rate_can_be_lower(threaded: trignb.Engine) -> None:
    board = Board.of(threaded)
    board.rate = 50
    view = Counting()
    board.add(view)
    wait_until(lambda: len(view.times) >= 10)
    board.remove(view)
    assert view.times[9] - view.times[0] >= 9 / 50


def test_costly_view_is_drawn_less_often(threaded: trignb.Engine) -> None:
    view = Counting(work_s=0.01)
    board = Board.of(threaded)
    board.rate = 1000
    board.add(view)
    wait_until(lambda: len(view.times) >= 3)
    board.remove(view)
    assert view.times[2] - view.times[1] >= 0.01 * 20


def test_view_that_fails_does_not_stop_the_others(
    threaded: trignb.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board.of(threaded)
    bad, good = Counting(error=ValueError("broken")), Counting()
    board.rate = 100
    with caplog.at_level(logging.CRITICAL + 1):
        board.add(bad)
        board.add(good)
        wait_until(lambda: len(good.times) > 3)
    assert len(bad.times) == 1
    assert board.views == [good]
    board.remove(good)


def test_no_update_waits_for_the_engine(threaded: trignb.Engine) -> None:
    monitor, feed = threaded.monitor(), threaded.feed()
    monitor.show()
    feed.show()
    threaded.execute("HSET", "user:1", "a", "1")
    with threaded.core.lock:
        # Ours is not the thread that draws.
        wait_until(lambda: "1 run" in picture(monitor))
        wait_until(lambda: "user:1" in picture(feed))


def test_synchronous_views_see_what_the_last_trigger_did(
    live: trignb.Engine, screen: Screen
) -> None:
    monitor, feed = live.monitor(), live.feed()
    monitor.show()
    feed.show()
    session = live.session()
    session.execute("MULTI")
    for i in range(3):
        session.execute("HSET", f"user:{i}", "a", "1")
    session.execute("EXEC")
    assert "3 runs" in picture(monitor)
    assert picture(feed).count("✓ audit.stamp") == 3
    assert threads() == 0


def test_synchronous_views_see_libraries_come_and_go(
    live: trignb.Engine, screen: Screen
) -> None:
    monitor = live.monitor()
    monitor.show()
    live.execute("TFUNCTION", "DELETE", "audit")
    assert "No library" in picture(monitor)


def test_board_is_made_once(live: trignb.Engine) -> None:
    assert live.board is None
    board: Any = Board.of(live)
    assert Board.of(live) is board
    assert repr(board) == "<Board of 0 views>"
