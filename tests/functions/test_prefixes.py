"""Prefixes are looked up: the index finds what a scan finds."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from trignb.functions.prefixes import PrefixIndex

# Few letters, so that prefixes of prefixes are common.
WORDS = st.binary(max_size=5).map(lambda b: bytes(c % 3 + 0xFE - 1 for c in b))


@dataclass(frozen=True)
class Item:
    prefix: bytes
    position: int


@given(st.lists(WORDS, max_size=12), st.lists(WORDS, max_size=10), st.randoms())
def test_finds_what_a_scan_finds(prefixes, keys, random) -> None:
    items = [Item(prefix, i) for i, prefix in enumerate(prefixes)]
    shuffled = list(items)
    random.shuffle(shuffled)
    index = PrefixIndex(shuffled)
    for key in [*keys, *prefixes]:
        expected = tuple(item for item in items if key.startswith(item.prefix))
        assert index.find(key) == expected


def test_nothing_registered() -> None:
    assert PrefixIndex[Item]().find(b"key") == ()


def test_a_key_that_matches_nothing_needs_one_look_up() -> None:
    items = [Item(b"prefix%d:" % i, i) for i in range(10_000)]
    index = PrefixIndex(items)
    assert b"user:1"[: index.head_size] not in index.heads
    assert index.find(b"prefix77:x") == (items[77],)
    assert max(map(len, index.heads.values())) <= 4
