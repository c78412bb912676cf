"""The end of the stream that is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trignb.replication.backlog import Backlog
from trignb.replication.stream import hide
from trignb.resp.propagated import encode_request


@given(st.lists(st.binary(max_size=30)), st.integers(1, 40), st.integers(1, 1000))
def test_it_keeps_the_last_bytes(pieces, size, first):
    backlog, stream = Backlog(first, size), b""
    for piece in pieces:
        backlog.append(piece, [])
        stream += piece
        assert backlog.end == first + len(stream)
        assert len(backlog) == min(len(stream), size)
        kept = stream[-size:] if stream else b""
        assert backlog.since(backlog.first, plain=False) == kept
        assert backlog.has(backlog.first)
        assert backlog.has(backlog.end)
        assert not backlog.has(backlog.first - 1)
        assert not backlog.has(backlog.end + 1)


def test_internal_commands_are_hidden_from_plain_servers_only():
    backlog = Backlog(1, 1 << 20)
    secret = encode_request([b"_rg_internals.function", b"del", b"lib"])
    before, after = encode_request([b"SET", b"a", b"b"]), encode_request([b"PING"])
    backlog.append(before, [])
    backlog.append(secret + after, [(0, len(secret))])
    whole = before + secret + after
    shown = hide(whole, [(len(before), len(before) + len(secret))])
    for offset in range(1, len(whole) + 2):
        assert backlog.since(offset, plain=False) == whole[offset - 1 :]
        assert backlog.since(offset, plain=True) == shown[offset - 1 :]


def test_a_smaller_one_forgets_at_once():
    backlog = Backlog(1, 100)
    backlog.append(b"x" * 80, [(0, 40)])
    backlog.resize(30)
    assert (backlog.first, len(backlog)) == (51, 30)
    assert backlog.since(51, plain=True) == b"x" * 30
