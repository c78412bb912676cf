"""The set against Python's own, with an order for random choices and without."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trignb.datatypes import Set, SetLimits
from trignb.datatypes.listpack import is_int64

CHANCE = random.Random(1)
MEMBERS = st.lists(st.sampled_from([b"%d" % i for i in range(12)]), max_size=8)


class RandomChoices(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.set = Set()
        self.model: set[bytes] = set()

    @rule(members=MEMBERS)
    def add(self, members):
        new = len(set(members) - self.model)
        assert self.set.add_members(members) == new
        self.model |= set(members)

    @rule(members=MEMBERS)
    def remove(self, members):
        gone = len(set(members) & self.model)
        assert self.set.remove_members(members) == gone
        self.model -= set(members)

    @rule()
    def choose(self):
        if self.model:
            assert self.set.random_member(CHANCE) in self.model

    @rule(count=st.integers(0, 15))
    def choose_many(self, count):
        chosen = self.set.random_members(CHANCE, count)
        assert len(chosen) == len(set(chosen)) == min(count, len(self.model))
        assert set(chosen) <= self.model

    @rule()
    def pop(self):
        if self.model:
            self.model.remove(self.set.pop_random(CHANCE))

    @rule()
    def copy(self):
        twin = self.set.copy()
        self.set.add_members([b"only here"])
        assert set(twin) == self.model
        self.set = twin

    @invariant()
    def equals_the_model(self):
        assert set(self.set) == self.model
        assert type(self.set) is Set


TestRandomChoices = RandomChoices.TestCase


def test_every_member_has_its_chance():
    members = Set([b"%d" % i for i in range(10)])
    members.random_member(CHANCE)
    members.remove_members([b"3", b"9"])
    counts = Counter(members.random_member(CHANCE) for _ in range(8000))
    assert counts.keys() == members.keys()
    assert all(850 < n < 1150 for n in counts.values())


def test_encoding_of_integers():
    members = Set([b"%d" % i for i in range(512)])
    assert members.encoding == "intset"
    members.add_members([b"512"])
    assert members.encoding == "hashtable"
    members.remove_members([b"512"])
    assert members.encoding == "hashtable"


def test_encoding_of_text():
    members = Set([b"1", b"2"])
    members.add_members([b"a"])
    assert members.encoding == "listpack"
    members.add_members([b"x" * 64])
    assert members.encoding == "listpack"
    members.add_members([b"x" * 65])
    assert members.encoding == "hashtable"


def test_encoding_by_number_of_members():
    members = Set([b"m%d" % i for i in range(128)])
    assert members.encoding == "listpack"
    assert members.copy().encoding == "listpack"
    members.add_members([b"m0"])
    assert members.encoding == "listpack"
    members.add_members([b"new"])
    assert members.encoding == "hashtable"
    integers = Set([b"%d" % i for i in range(128)])
    integers.add_members([b"a"])
    assert integers.encoding == "hashtable"


def test_encoding_with_other_limits():
    limits = SetLimits(2, 2, 3)
    assert Set([b"1", b"2"], limits).encoding == "intset"
    assert Set([b"1", b"2", b"3"], limits).encoding == "hashtable"
    assert Set([b"abc"], limits).encoding == "listpack"
    assert Set([b"abcd"], limits).encoding == "hashtable"
    members = Set([b"1234"], limits)
    members.add_members([b"a"], limits)
    assert members.encoding == "hashtable"


@pytest.mark.parametrize(
    "text", [b"0", b"-1", b"9223372036854775807", b"-9223372036854775808", b"10"]
)
def test_integers(text):
    assert is_int64(text)


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"-", b"00", b"-0", b"01", b"+1", b" 1", b"1 ", b"1_0", b"1.0", b"-01"),
        *(b"9223372036854775808", b"-9223372036854775809", b"1" * 21, b"\xb2"),
    ],
)
def test_not_integers(text):
    assert not is_int64(text)


@given(st.binary(max_size=22))
def test_an_integer_reads_back_the_same(text):
    if is_int64(text):
        assert b"%d" % int(text) == text
