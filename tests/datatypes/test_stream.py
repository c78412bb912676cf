"""The stream against a dict, and its nodes against Redis's rules for them."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trignb.datatypes.consumer_groups import UNKNOWN, ConsumerGroup
from trignb.datatypes.stream import MAX_ID, Stream, format_id, parse_id

ITEMS = (b"f", b"v")
NODE_ENTRIES = 5


def filled(n, node_entries=100, node_bytes=4096):
    stream = Stream()
    for number in range(1, n + 1):
        stream.add(number << 64, ITEMS, node_entries, node_bytes)
    return stream


def ids(stream):
    return [entry_id >> 64 for entry_id, _ in stream.range(0)]


class Entries(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream()
        self.model: dict[int, tuple[bytes, ...]] = {}
        self.top = 0

    @rule(n=st.integers(1, 12))
    def add(self, n):
        for _ in range(n):
            self.top += 1
            items = (b"f", b"%d" % self.top)
            self.stream.add(self.top, items, NODE_ENTRIES, 4096)
            self.model[self.top] = items

    @precondition(lambda self: self.top)
    @rule(data=st.data())
    def remove(self, data):
        entry_id = data.draw(st.integers(1, self.top))
        assert self.stream.remove(entry_id) == (
            self.model.pop(entry_id, None) is not None
        )

    @precondition(lambda self: self.top)
    @rule(data=st.data())
    def remove_many(self, data):
        first = data.draw(st.integers(1, self.top))
        for entry_id in range(first, self.top, 2):
            assert self.stream.remove(entry_id) == (entry_id in self.model)
            self.model.pop(entry_id, None)

    @rule(length=st.integers(0, 40))
    def trim_to_length(self, length):
        gone = max(len(self.model) - length, 0)
        dropped = self.stream.trim_to_length(length, whole_nodes=False, limit=0)
        assert dropped == gone
        for entry_id in list(self.model)[:gone]:
            del self.model[entry_id]

    @precondition(lambda self: self.top)
    @rule(data=st.data())
    def trim_before(self, data):
        bound = data.draw(st.integers(0, self.top + 1))
        gone = [entry_id for entry_id in self.model if entry_id < bound]
        dropped = self.stream.trim_before(bound, whole_nodes=False, limit=0)
        assert dropped == len(gone)
        for entry_id in gone:
            del self.model[entry_id]

    @rule(length=st.integers(0, 40), limit=st.sampled_from([0, 3, 12]))
    def trim_nodes(self, length, limit):
        before = len(self.model)
        dropped = self.stream.trim_to_length(length, whole_nodes=True, limit=limit)
        assert before - dropped >= min(length, before)
        assert not limit or dropped <= limit
        for entry_id in list(self.model)[:dropped]:
            del self.model[entry_id]

    @rule()
    def copy(self):
        self.stream = self.stream.copy()

    @invariant()
    def the_same_entries(self):
        stream, model = self.stream, self.model
        assert stream.range(0) == list(model.items())
        assert stream.length == len(stream) == len(model)
        assert stream.first_id == min(model, default=0)
        assert stream.top_id == max(model, default=0)
        assert stream.last_id == stream.entries_added == self.top
        assert sum(node.live for node in stream.nodes) == len(model)

    @invariant()
    def parts_of_them(self):
        low, high = self.top // 3, self.top * 2 // 3
        part = [pair for pair in self.model.items() if low <= pair[0] <= high]
        assert self.stream.range(low, high) == part
        assert self.stream.range(low, high, 3) == part[:3]
        assert self.stream.range(low, high, 2, reverse=True) == part[::-1][:2]
        for entry_id in (-1, low, high):
            assert self.stream.get(entry_id) == self.model.get(entry_id)
            after = sum(known > entry_id for known in self.model)
            assert self.stream.count_after(entry_id) == after


TestEntries = Entries.TestCase


def test_nodes_by_number_of_entries():
    stream = filled(12, node_entries=5)
    assert [node.live for node in stream.nodes] == [5, 5, 2]


@pytest.mark.parametrize(
    ("value", "per_node"),
    [
        # Counted on redis-server 7.0.15 with stream-node-max-bytes 300.
        (b"v", 26),
        (b"1", 28),
        (b"12345", 23),
        (b"x" * 50, 4),
        (b"x" * 63, 3),
        (b"x" * 64, 3),
        (b"x" * 400, 1),
    ],
)
def test_nodes_by_bytes(value, per_node):
    stream = Stream()
    for number in range(1, 100):
        stream.add(number << 64, (b"f", value), 100, 300)
    assert {node.live for node in stream.nodes[:-1]} == {per_node}


def test_trimming_whole_nodes():
    stream = filled(12, node_entries=5)
    assert stream.trim_to_length(8, whole_nodes=True, limit=0) == 0
    assert stream.trim_to_length(6, whole_nodes=True, limit=4) == 0
    assert stream.trim_to_length(6, whole_nodes=True, limit=5) == 5
    assert ids(stream) == [6, 7, 8, 9, 10, 11, 12]
    assert stream.trim_before(11 << 64, whole_nodes=True, limit=0) == 5
    assert ids(stream) == [11, 12]


@pytest.mark.parametrize(
    ("firsts", "nodes"),
    [
        ([], 1),
        ([0], 2),
        # The last byte differs; the first; and one branch below another.
        ([0, 1], 4),
        ([0, 1 << 127], 5),
        ([0, 1, 1 << 64], 8),
    ],
)
def test_radix_nodes(firsts, nodes):
    stream = Stream()
    for first in firsts:
        stream.add(first, ITEMS, 1, 4096)
    assert stream.radix_nodes() == nodes


class TestIds:
    @pytest.mark.parametrize(
        ("text", "entry_id"),
        [
            (b"5", 5 << 64),
            (b"5-7", 5 << 64 | 7),
            (b"05-007", 5 << 64 | 7),
            (b" +5- 7", 5 << 64 | 7),
            (b"1--05", (1 << 64) + (1 << 64) - 5),
            (b"18446744073709551615-18446744073709551615", MAX_ID),
        ],
    )
    def test_read(self, text, entry_id):
        assert parse_id(text) == entry_id

    def test_a_missing_sequence(self):
        assert parse_id(b"5", 9) == 5 << 64 | 9

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"-",
            b"+",
            b"-5",
            b"1-",
            b"1-x",
            b"x",
            b"1-1-1",
            b"1--5",
            b"18446744073709551616",
            b"0" * 128,
        ],
    )
    def test_refused(self, text):
        with pytest.raises(ValueError, match=r".+"):
            parse_id(text)

    def test_shown(self):
        assert format_id(5 << 64 | 7) == b"5-7"


class TestLag:
    def test_of_a_group_at_the_start(self):
        group = ConsumerGroup(0)
        assert Stream().lag(group) == 0
        stream = filled(5)
        assert stream.lag(group) == 5
        stream.advance(group, 1 << 64)
        assert (group.entries_read, stream.lag(group)) == (1, 4)

    def test_is_unknown_in_the_middle(self):
        stream = filled(5)
        group = ConsumerGroup(2 << 64)
        assert stream.lag(group) is None
        stream.advance(group, 3 << 64)
        assert group.entries_read == UNKNOWN
        stream.advance(group, 5 << 64)
        assert group.entries_read == 5

    def test_is_unknown_with_a_deletion_ahead(self):
        stream = filled(5)
        group = ConsumerGroup(0)
        stream.advance(group, 1 << 64)
        stream.remove(3 << 64)
        assert stream.lag(group) is None
