"""Large values are freed in the background, and never under somebody who still reads them."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from trignb.datatypes import Hash, List, Set, SortedSet
from trignb.datatypes.stream import Stream
from trignb.engine.freeing import LARGE, Freeing

NAMES = [b"e%d" % i for i in range(LARGE)]


class Watched(dict):
    """A hash whose end can be seen."""


def make(kind):
    if kind is Hash:
        value = Hash()
        value.update(dict.fromkeys(NAMES, b"v"))
        return value
    if kind is Set:
        return Set(NAMES)
    if kind is SortedSet:
        return SortedSet((name, 1.0) for name in NAMES)
    if kind is Stream:
        value = Stream()
        for number, name in enumerate(NAMES, 1):
            value.add(number, (name, b"v"), 100, 4096)
        return value
    return List(-2, NAMES)


@pytest.mark.parametrize("kind", [Hash, List, Set, SortedSet, Stream])
def test_deleting_a_large_value_is_left_to_the_background(engine, kind):
    db = engine.core.databases[0]
    db.data[b"k"] = make(kind)
    put = []
    db.freeing.put = put.append
    assert engine.execute("DEL", "k") == 1
    assert [type(value) for value in put] == [kind]
    assert engine.execute("EXISTS", "k") == 0


@pytest.mark.parametrize("kind", [Hash, List, Set, SortedSet, Stream, dict])
def test_values_are_taken_apart(kind, monkeypatch):
    # A busy machine may keep us from letting go of the value for longer.
    monkeypatch.setattr("trignb.engine.freeing._GRACE_S", 0.1)
    freeing = Freeing()
    value = {b"a": make(List), b"b": b"v"} if kind is dict else make(kind)
    parts = value.parts() if hasattr(value, "parts") else ()
    freeing.put(value)
    del value
    freeing.wait()
    assert [len(part) for part in parts] == [0] * len(parts)


def test_the_end_of_a_value_comes_in_the_background():
    freeing = Freeing()
    value = Watched(dict.fromkeys(NAMES, b"v"))
    threads = []
    weakref.finalize(value, lambda: threads.append(threading.current_thread().name))
    freeing.put(value)
    del value
    freeing.wait()
    gc.collect()
    assert threads == ["trignb-freeing"]


def test_a_value_in_use_is_left_whole():
    freeing = Freeing()
    value = make(Hash)
    freeing.put(value)
    freeing.wait()
    assert len(value) == LARGE


def test_renaming_and_moving_free_nothing(engine):
    engine.core.databases[0].data[b"k"] = make(List)
    engine.execute("RENAME", "k", "z")
    engine.execute("MOVE", "z", "1")
    engine.core.databases[0].freeing.wait()
    engine.execute("SELECT", "1")
    assert engine.execute("LLEN", "z") == LARGE
    assert engine.execute("LINDEX", "z", "-1") == NAMES[-1]


def test_overwriting_frees_too(engine):
    db = engine.core.databases[0]
    db.data[b"k"] = make(List)
    put = []
    db.freeing.put = put.append
    engine.execute("SET", "k", "v", "PX", "1000")
    assert len(put) == 1


def test_the_thread_comes_and_goes():
    freeing = Freeing()
    for _ in range(3):
        freeing.put(make(List))
        freeing.wait()
    assert freeing._thread is None
    assert not [t for t in threading.enumerate() if t.name == "trignb-freeing"]
