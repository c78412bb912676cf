"""Commands as lines that redis-server reads over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trignb.persistence.annotations import annotate
from trignb.persistence.aof_file import read_commands


def test_lines_can_be_read():
    assert annotate([b"name", b"a word", b"", b"\xff\n"]) == (
        b'#trignb: name "a word" "" "\\xff\\n"\r\n'
    )


@given(st.lists(st.binary(), min_size=1, max_size=5), st.integers(0, 3000))
def test_what_is_annotated_is_read_again(args, padding):
    args.append(b"'\"\\\r\n x" * (padding // 7))
    data = annotate(args)
    assert [found for found, _, _ in read_commands(data)] == [args]
    lines = data.split(b"\n")
    assert lines.pop() == b""
    for line in lines:
        assert line.startswith((b"#trignb+", b"#trignb:"))
        assert len(line) < 1023
        # Neither a NUL nor anything else that is not printed.
        assert all(32 <= byte < 127 for byte in line[:-1])
