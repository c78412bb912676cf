"""Sorting as far as needed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes.partial_sort import first_sorted

numbers = st.lists(st.integers(0, 30).map(float), max_size=200)


@given(numbers, st.integers(0, 200))
def test_the_first_are_the_smallest(keys: list[float], count: int) -> None:
    items = list(enumerate(keys))
    found = first_sorted(items, lambda item: item[1], count)
    assert [key for _, key in found] == sorted(keys)[:count]
    assert len(set(found)) == len(found)


@given(numbers)
def test_all_of_them_keep_their_order_where_equal(keys: list[float]) -> None:
    items = list(enumerate(keys))
    found = first_sorted(items, lambda item: item[1], len(items))
    assert found == sorted(items, key=lambda item: item[1])


def test_few_equal_ones_keep_their_order() -> None:
    items = [(name, 1.0) for name in "abcdef"]
    assert first_sorted(items, lambda item: item[1], 2) == items[:2]
