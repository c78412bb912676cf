"""Pending entries against a dict, and who has them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes.consumer_groups import Consumer, ConsumerGroup, PendingList

STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 200)), max_size=300)


@given(STEPS)
def test_pending_list(steps):
    consumer = Consumer(b"c", 0)
    pending, model = PendingList(), {}
    for is_put, entry_id in steps:
        if is_put:
            entry = model[entry_id] = object()
            pending.put(entry_id, entry)
        else:
            assert pending.pop(entry_id) is model.pop(entry_id, None)
        assert len(pending) == len(model)
        if model:
            assert (pending.first(), pending.last()) == (min(model), max(model))
    assert list(pending.since()) == sorted(model.items())
    assert [i for i, _ in pending.since(100)] == sorted(i for i in model if i >= 100)
    assert consumer.pending.get(1) is None


def test_leaving_in_order_stays_cheap():
    pending = PendingList()
    for entry_id in range(1, 1001):
        pending.put(entry_id, object())
    for entry_id in range(1, 1001):
        assert pending.first() == entry_id
        pending.pop(entry_id)
    assert not pending


def group_of_two():
    group = ConsumerGroup(0)
    one, two = (Consumer(name, 0) for name in (b"one", b"two"))
    group.consumers = {b"two": two, b"one": one}
    return group, one, two


def test_an_entry_has_one_owner():
    group, one, two = group_of_two()
    entry = group.deliver(1, one, 5)
    assert (len(one.pending), entry.delivered_ms, entry.deliveries) == (1, 5, 1)
    entry.deliveries = 4
    assert group.deliver(1, two, 6) is entry
    assert (len(one.pending), len(two.pending)) == (0, 1)
    assert (entry.consumer, entry.delivered_ms, entry.deliveries) == (two, 6, 1)
    assert group.acknowledge(1)
    assert not group.acknowledge(1)
    assert not two.pending


def test_a_consumer_leaves_with_what_it_has():
    group, one, two = group_of_two()
    group.deliver(1, one, 0)
    group.deliver(2, two, 0)
    group.deliver(3, one, 0)
    assert group.remove_consumer(b"one") == 2
    assert [i for i, _ in group.pending.since()] == [2]
    assert group.sorted_consumers() == [two]


def test_a_copy_shares_nothing():
    group, one, _ = group_of_two()
    group.deliver(1, one, 5)
    twin = group.copy()
    group.acknowledge(1)
    assert [i for i, _ in twin.consumers[b"one"].pending.since()] == [1]
    assert twin.pending.get(1).consumer is twin.consumers[b"one"]
    assert [consumer.name for consumer in twin.sorted_consumers()] == [b"one", b"two"]
