"""The list against Python's own, whatever is done to it."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trignb.datatypes import List

ELEMENTS = st.sampled_from([b"", b"a", b"b", b"7", b"-1", b"x" * 70])
MANY = st.lists(ELEMENTS, min_size=1, max_size=8)


class TwoEnds(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.list = List()
        self.model: list[bytes] = []

    @rule(elements=MANY)
    def push_left(self, elements):
        self.list.push_left(elements)
        self.model[:0] = elements[::-1]

    @rule(elements=MANY)
    def push_right(self, elements):
        self.list.push_right(elements)
        self.model += elements

    @rule()
    def pop_left(self):
        if self.model:
            assert self.list.pop_left() == self.model.pop(0)

    @rule()
    def pop_right(self):
        if self.model:
            assert self.list.pop_right() == self.model.pop()

    @rule(count=st.integers(0, 12))
    def pop_left_many(self, count):
        assert self.list.pop_left_many(count) == self.model[:count]
        del self.model[:count]

    @rule(count=st.integers(0, 12))
    def pop_right_many(self, count):
        kept = max(len(self.model) - count, 0)
        assert self.list.pop_right_many(count) == self.model[kept:][::-1]
        del self.model[kept:]

    @rule(data=st.data(), element=ELEMENTS)
    def insert(self, data, element):
        index = data.draw(st.integers(0, len(self.model)))
        self.list.insert(index, element)
        self.model.insert(index, element)

    @rule(data=st.data(), element=ELEMENTS)
    def replace(self, data, element):
        if self.model:
            index = data.draw(st.integers(0, len(self.model) - 1))
            self.list[index] = element
            self.model[index] = element

    @rule(element=ELEMENTS, count=st.integers(-3, 3))
    def remove(self, element, count):
        model = self.model
        found = [i for i, e in enumerate(model) if e == element]
        gone = found[:count] if count > 0 else found[count:]
        assert self.list.remove(element, count) == len(gone)
        self.model = [e for i, e in enumerate(model) if i not in gone]

    @rule(data=st.data())
    def slice(self, data):
        start = data.draw(st.integers(0, len(self.model)))
        stop = data.draw(st.integers(start, len(self.model)))
        assert self.list.slice(start, stop) == self.model[start:stop]

    @rule()
    def copy(self):
        twin = self.list.copy()
        assert twin == self.list
        self.list.push_left([b"only here"])
        assert list(twin) == self.model
        self.list = twin

    @invariant()
    def equals_the_model(self):
        assert list(self.list) == self.model
        assert len(self.list) == len(self.model)
        assert [self.list[i] for i in range(len(self.model))] == self.model


TestTwoEnds = TwoEnds.TestCase


def test_short_lists_are_listpacks_up_to_8192_bytes():
    items = List(elements=[b"x" * 62] * 127)
    assert items.encoding == "listpack"
    # 7 + 127 · 64 bytes are in; Redis adds the text's length alone before it compares.
    items.push_right([b"x" * 57])
    assert items.encoding == "listpack"
    items.push_right([b""])
    assert items.encoding == "quicklist"


def test_a_long_list_becomes_short_again_at_half_the_size():
    items = List(elements=[b"x" * 62] * 200)
    assert items.encoding == "quicklist"
    items.drop_left(136)
    assert items.encoding == "quicklist"
    items.drop_left(1)
    assert items.encoding == "listpack"


@pytest.mark.parametrize(("fill", "most"), [(5, 5), (0, 1), (-1, 1021), (-9, 16381)])
def test_the_limit_can_be_another(fill, most):
    items = List(fill)
    for i in range(most):
        items.push_right([b"%d" % (30000 + i % 10)])
    assert items.encoding == "listpack"
    items.push_right([b"30000"] * 3)
    assert items.encoding == "quicklist"


def test_small_integers_take_less_room_than_their_text():
    items = List()
    for _ in range(4000):
        items.push_right([b"127"])
    assert items.encoding == "listpack"


def test_a_queue_is_drained_in_linear_time():
    items = List(elements=[b"%d" % i for i in range(100_000)])
    for i in range(100_000):
        assert items.pop_left() == b"%d" % i
    items = List(elements=[b"%d" % i for i in range(100_000)])
    for i in range(50_000):
        assert items.pop_left_many(2) == [b"%d" % (2 * i), b"%d" % (2 * i + 1)]
    assert not items
