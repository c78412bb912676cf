"""Cursors: whatever comes and goes, what stays is returned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.engine.scan import Cursors, ScanOptions, parse_cursor, parse_options
from trignb.errors import ResponseError

NAMES = [b"%d" % i for i in range(30)]


def walk(cursors, container, size, place="p", between=lambda: None):
    """Return every name of a whole scan; `between` runs after each page."""
    cursor, found = 0, []
    for _ in range(1000):
        cursor, page = cursors.page(cursor, size, container, place)
        assert len(page) <= size
        found += page
        if not cursor:
            return found
        between()
    raise AssertionError("the scan does not end")


@pytest.mark.parametrize("size", [1, 7, 29, 30, 31])
def test_a_quiet_container_is_walked_once(size):
    container = dict.fromkeys(NAMES)
    assert walk(Cursors(), container, size) == NAMES


@given(
    size=st.integers(1, 12),
    changes=st.lists(
        st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES)), max_size=12),
        max_size=40,
    ),
)
def test_what_is_there_all_the_time_is_returned(size, changes):
    container = dict.fromkeys(NAMES[:20])
    gone = set()
    todo = iter(changes)

    def between():
        for is_removal, name in next(todo, ()):
            if is_removal:
                container.pop(name, None)
                gone.add(name)
            else:
                container[name] = None

    found = walk(Cursors(), container, size, between=between)
    assert set(found) >= set(NAMES[:20]) - gone
    assert set(found) <= set(NAMES)


def test_a_removed_name_is_not_returned():
    container = dict.fromkeys(NAMES)
    cursors = Cursors()
    cursor, _ = cursors.page(0, 10, container, "p")
    del container[NAMES[15]]
    cursor, page = cursors.page(cursor, 5, container, "p")
    del container[NAMES[20]]
    _, rest = cursors.page(cursor, 100, container, "p")
    assert page + rest == [n for n in NAMES[10:] if n not in (NAMES[15], NAMES[20])]


def test_deleting_what_was_returned_does_not_hide_what_was_not():
    container = dict.fromkeys(NAMES)

    def delete_first():
        for name in list(container)[:5]:
            del container[name]

    cursors = Cursors()
    cursor, page = cursors.page(0, 5, container, "p")
    for name in page:
        del container[name]
    container[page[-1]] = None
    _, rest = cursors.page(cursor, 100, container, "p")
    assert set(page) | set(rest) == set(NAMES)


def test_a_cursor_may_be_used_again():
    container = dict.fromkeys(NAMES)
    cursors = Cursors()
    cursor, _ = cursors.page(0, 5, container, "p")
    first = cursors.page(cursor, 5, container, "p")
    assert cursors.page(cursor, 5, container, "p") == first


def test_a_cursor_of_another_place_begins_again():
    cursors = Cursors()
    container = dict.fromkeys(NAMES)
    cursor, _ = cursors.page(0, 5, container, "p")
    _, page = cursors.page(cursor, 5, container, "q")
    assert page == NAMES[:5]


def test_forgotten_scans_begin_again_and_take_no_room():
    cursors = Cursors()
    container = dict.fromkeys(NAMES)
    oldest, _ = cursors.page(0, 5, container, "p")
    for _ in range(1000):
        cursors.page(0, 5, container, "p")
    _, page = cursors.page(oldest, 5, container, "p")
    assert page == NAMES[:5]
    assert len(cursors._walks) == 256


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        (b"0", 0),
        (b"", 0),
        (b"+7", 7),
        (b"-1", (1 << 64) - 1),
        (b"18446744073709551615", (1 << 64) - 1),
        (b"5\0x", 5),
    ],
)
def test_cursors_are_read_as_c_does(text, cursor):
    assert parse_cursor(text) == cursor


@pytest.mark.parametrize("text", [b" 1", b"1 ", b"x", b"-", b"0x1", b"9" * 20])
def test_what_is_no_cursor(text):
    with pytest.raises(ResponseError, match="ERR invalid cursor"):
        parse_cursor(text)


def test_options():
    assert parse_options([b"SCAN", b"0"], 2) == ScanOptions()
    args = [b"SCAN", b"0", b"match", b"*", b"COUNT", b"5", b"type", b"hash"]
    assert parse_options(args, 2, with_type=True) == ScanOptions(None, 5, b"hash")
    matches = parse_options([b"SCAN", b"0", b"MATCH", b"a?"], 2).matches
    assert matches is not None
    assert matches(b"ab")
    with pytest.raises(ResponseError, match="ERR syntax error"):
        parse_options(args, 2)
