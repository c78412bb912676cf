"""Who may look actively, and who has to sleep."""

from __future__ import annotations

import weakref

import pytest

from trignb.js.turns import IN_VAIN, STEADY, TURNS, Turns


class FakeChannel:
    looks = False
    rests_until = slept_at = 0.0
    in_vain = 0

    def __init__(self) -> None:
        self.place = weakref.ref(self)

    def look(self, *, actively: bool) -> None:
        self.looks = actively


def run(turns, *channels):
    """Run isolates one after another; return which of them look now."""
    for channel in channels:
        turns.take(channel)
    return [channel.looks for channel in dict.fromkeys(channels)]


def test_one_library_alone_looks_at_once() -> None:
    turns, a = Turns(1), FakeChannel()
    assert run(turns, a) == [True]
    assert turns.last is a.place


def test_of_two_that_take_turns_none_looks() -> None:
    turns, a, b = Turns(1), FakeChannel(), FakeChannel()
    assert run(turns, a, b) == [False, False]
    assert run(turns, *[a, b] * 20) == [False, False]
    assert run(turns, *[a, a, b, b] * 20) == [False, False]


def test_who_runs_several_times_in_a_row_takes_over() -> None:
    turns, a, b = Turns(1), FakeChannel(), FakeChannel()
    assert run(turns, a, *[b] * STEADY) == [False, False]
    assert run(turns, b) == [True]
    assert run(turns, *[a] * (STEADY + 1)) == [True]
    assert not b.looks


def test_where_there_are_places_all_look() -> None:
    turns, (a, b, c) = Turns(2), (FakeChannel() for _ in range(3))
    assert run(turns, *[a, b] * 3) == [True, True]
    # The one that ran longest ago makes room, but nobody takes its place at once.
    assert run(turns, c, a) == [False, False]
    assert b.looks


def test_who_has_left_is_not_told_anything_and_makes_room() -> None:
    turns, a, b = Turns(1), FakeChannel(), FakeChannel()
    run(turns, a)
    turns.leave(a)
    turns.leave(a)
    assert turns.last is None
    assert run(turns, b) == [True]
    assert a.looks


@pytest.fixture
def now(monkeypatch):
    """What the clock of the turns shows, in a list."""
    now = [1000.0]
    monkeypatch.setattr("trignb.js.turns.monotonic", lambda: now[0])
    return now


def test_an_isolate_may_end_while_another_takes_its_turn() -> None:
    """As the collector would have it, on the same thread."""
    turns, a, b = Turns(1), FakeChannel(), FakeChannel()
    run(turns, a)
    a.look = lambda actively: turns.leave(a)
    assert run(turns, b) == [False]
    assert turns.last is b.place


def sleeps(turns, channel, now, apart):
    """Have it sleep although it looks, as often as is too often; return whether it looks."""
    run(turns, channel)
    for _ in range(IN_VAIN + 1):
        now[0] += apart
        turns.slept(channel)
    return channel.looks


def test_who_looks_in_vain_rests_for_a_while(now) -> None:
    turns, a = Turns(1), FakeChannel()
    assert not sleeps(turns, a, now, apart=0.0003)
    assert run(turns, *[a] * 20) == [False]
    now[0] += 1
    assert run(turns, a) == [True]


def test_who_sleeps_now_and_then_goes_on_looking(now) -> None:
    turns, a = Turns(1), FakeChannel()
    assert sleeps(turns, a, now, apart=0.1)


def test_libraries_that_take_turns_sleep(load, monkeypatch) -> None:
    monkeypatch.setattr(TURNS, "_most", 1)
    monkeypatch.setattr(TURNS, "slept", lambda channel: None)  # whatever else runs here
    code = "redis.registerFunction('f', (client) => client.call('get', 'k'));"
    first, second = (load(code, limits={"spin": True}) for _ in range(2))
    channels = [library.runtime._instance.channel for library in (first, second)]
    looks = [bool(channel.spin) for channel in channels]
    # It was loaded last, and that takes more than one run.
    assert not looks[0]
    for _ in range(3):
        assert first.call("f") == second.call("f")
    assert [channel.spin for channel in channels] == [0, 0]
    for _ in range(STEADY + 1):
        first.call("f")
    assert channels[0].spin
    first.runtime.dispose()
    assert TURNS.last is None
    assert second.call("f") is None
