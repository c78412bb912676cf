"""Payloads of streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes import Stream
from trignb.datatypes.consumer_groups import UNKNOWN, Consumer, ConsumerGroup
from trignb.datatypes.rdb import DEFAULTS, Reader, Writer, dump_value, load_value
from trignb.datatypes.rdb_stream import load_stream, save_stream

TEXT = st.one_of(st.binary(max_size=70), st.integers().map(lambda n: b"%d" % n))
ENTRIES = st.lists(
    st.tuples(
        st.integers(1, 1 << 40),
        st.sampled_from([(b"a", b"b"), (b"a",), (b"1", b"x" * 70)]),
        TEXT,
    ),
    max_size=60,
)


def make(entries, deleted=()):
    stream = Stream()
    at = 0
    for step, fields, value in entries:
        # Every other step is to a new millisecond, where sequences begin again.
        at = (at >> 64) + step << 64 if step % 2 else at + step
        stream.add(at, tuple(p for f in fields for p in (f, value)), 10, 4096)
    ids = [entry_id for entry_id, _ in stream.range(0)]
    for place in deleted:
        if ids:
            stream.remove(ids[place % len(ids)])
    return stream


def same(a, b):
    assert b.range(0) == a.range(0)
    for name in ("length", "last_id", "first_id", "max_deleted_id", "entries_added"):
        assert getattr(b, name) == getattr(a, name), name
    assert [(n.first, n.live) for n in b.nodes] == [(n.first, n.live) for n in a.nodes]
    assert list(b.groups) == sorted(a.groups)


@given(ENTRIES, st.lists(st.integers(0, 100), max_size=10))
def test_entries_come_back(entries, deleted):
    stream = make(entries, deleted)
    same(stream, load_value(dump_value(stream)))


@given(ENTRIES)
def test_nodes_have_the_size_they_had(entries):
    stream = make(entries)
    loaded = load_value(dump_value(stream))
    assert [n.byte_size() for n in loaded.nodes] == [
        n.byte_size() for n in stream.nodes
    ]


def grouped():
    stream = make([(2, (b"f",), b"v")] * 5)
    ids = [entry_id for entry_id, _ in stream.range(0)]
    group = stream.groups[b"g"] = ConsumerGroup(ids[3], 4)
    for name, mine in ((b"bob", ids[:2]), (b"ann", ids[2:3])):
        consumer = group.consumers[name] = Consumer(name, 1000)
        consumer.active_ms = 900
        for entry_id in mine:
            group.deliver(entry_id, consumer, 800)
    stream.groups[b"empty"] = ConsumerGroup(0, UNKNOWN)
    return stream


@pytest.mark.parametrize("form", [2, 3])
def test_groups_come_back(form):
    stream = grouped()
    out = Writer(compress=True)
    save_stream(out, stream, form)
    loaded = load_stream(Reader(bytes(out)), form)
    same(stream, loaded)
    before, group = stream.groups[b"g"], loaded.groups[b"g"]
    assert loaded.groups[b"empty"].entries_read == UNKNOWN
    assert (group.last_id, group.entries_read) == (before.last_id, 4)
    assert list(group.consumers) == [b"ann", b"bob"]
    assert [i for i, _ in group.pending.since()] == [
        i for i, _ in before.pending.since()
    ]
    for entry_id, entry in group.pending.since():
        assert entry.consumer.pending.get(entry_id) is entry
        assert (entry.delivered_ms, entry.deliveries) == (800, 1)
    bob = group.consumers[b"bob"]
    assert bob.seen_ms == 1000
    assert bob.active_ms == (900 if form == 3 else 1000)


def test_a_damaged_payload_is_refused_whatever_is_damaged():
    payload = dump_value(grouped())
    assert load_value(payload)
    for at in range(1, len(payload) - 10):
        damaged = payload[:at] + bytes([payload[at] ^ 0x41]) + payload[at + 1 :]
        try:
            load_value(damaged, DEFAULTS)
        except ValueError:
            continue
