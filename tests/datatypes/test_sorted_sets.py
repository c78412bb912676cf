"""The sorted set against ``sorted()`` of a dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trignb.datatypes import SortedSet

INF = float("inf")
SCORES = st.sampled_from([-INF, -1.5, -0.0, 0.0, 5e-324, 1.0, 1e308, INF])
MEMBERS = st.sampled_from([b"", b"a", b"ab", b"b", b"\xff", b"\xff\xff"])


def by_rank(scores):
    return sorted((score, member) for member, score in scores.items())


class Ranks(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.zset = SortedSet()
        self.model: dict[bytes, float] = {}

    @rule(member=MEMBERS, score=SCORES)
    def put(self, member, score):
        self.zset.put(member, score)
        if self.model.get(member) != score:
            self.model[member] = score

    @rule(member=MEMBERS)
    def discard(self, member):
        assert self.zset.discard(member) == (self.model.pop(member, None) is not None)

    @rule(start=st.integers(0, 6), stop=st.integers(0, 6))
    def drop_ranks(self, start, stop):
        gone = by_rank(self.model)[start:stop]
        assert self.zset.drop_ranks(start, stop) == gone
        for _, member in gone:
            del self.model[member]

    @rule()
    def copy(self):
        twin = self.zset.copy()
        self.zset.put(b"only here", 1.0)
        assert twin != self.zset
        self.zset = twin

    @rule(score=SCORES)
    def rank_of_score(self, score):
        scores = list(self.model.values())
        assert self.zset.rank_of_score(score) == sum(s < score for s in scores)
        beyond = self.zset.rank_of_score(score, beyond=True)
        assert beyond == sum(s <= score for s in scores)

    @invariant()
    def equals_the_model(self):
        entries = by_rank(self.model)
        assert list(self.zset.entries) == entries
        assert list(self.zset) == [member for _, member in entries]
        assert self.zset.scores == self.model
        assert len(self.zset) == len(self.model)
        assert all(m in self.zset for m in self.model)
        assert [self.zset.rank(m) for _, m in entries] == list(range(len(entries)))


TestRanks = Ranks.TestCase


@given(st.dictionaries(st.binary(max_size=3), st.floats(allow_nan=False)))
def test_made_in_one_go(scores):
    assert list(SortedSet(scores.items()).entries) == by_rank(scores)


def test_encoding():
    zset = SortedSet((b"%d" % i, float(i)) for i in range(128))
    assert zset.encoding == "listpack"
    zset.put(b"5", 7.0)
    assert zset.encoding == "listpack"
    zset.put(b"new", 0.0)
    assert zset.encoding == "skiplist"
    zset.discard(b"new")
    assert zset.copy().encoding == "skiplist"
    zset.choose_encoding()
    assert zset.encoding == "listpack"
    zset.put(b"x" * 65, 1.0)
    assert zset.encoding == "skiplist"
    assert SortedSet([(b"x" * 65, 1.0)]).encoding == "skiplist"
