from __future__ import annotations

from trignb.glob import matcher
from trignb.notebook.widgets.tree import Entry, tree


def rows(*keys: bytes) -> list[tuple[str, bytes, bool]]:
    """Return label without type, name, and whether it is a folder."""
    return [
        (label[:34].rstrip(), entry.name, entry.is_folder)
        for label, entry in tree((key, "string") for key in keys)
    ]


def test_shared_beginnings_are_folders() -> None:
    assert rows(b"a:b:1", b"a:b:2", b"a:c", b"d") == [
        ("a:", b"a:", True),
        ("  b:", b"a:b:", True),
        ("    1", b"a:b:1", False),
        ("    2", b"a:b:2", False),
        ("  c", b"a:c", False),
        ("d", b"d", False),
    ]


def test_one_key_is_no_folder() -> None:
    assert rows(b"a:b:1", b"c:d:1") == [
        ("a:b:1", b"a:b:1", False),
        ("c:d:1", b"c:d:1", False),
    ]


def test_key_that_others_stand_below() -> None:
    assert rows(b"a", b"a:1", b"a:2") == [
        ("a", b"a", False),
        ("a:", b"a:", True),
        ("  1", b"a:1", False),
        ("  2", b"a:2", False),
    ]


def test_odd_keys() -> None:
    assert rows(b"", b":", b"::", b"\xff:1", b"\xff:2") == [
        ("", b"", False),
        (":", b":", True),
        ("", b":", False),
        ("  :", b"::", False),
        ("\\xff:", b"\xff:", True),
        ("  1", b"\xff:1", False),
        ("  2", b"\xff:2", False),
    ]


def test_numbers_are_in_their_order() -> None:
    names = [name for _, name, _ in rows(b"a:10", b"a:9", b"a:x", b"a:02", b"a:2")]
    assert names == [b"a:", b"a:02", b"a:2", b"a:9", b"a:10", b"a:x"]
    assert len(rows(b"9" * 5000, b"1")) == 2


def test_very_deep_keys() -> None:
    deep = b":".join([b"x"] * 300)
    assert len(rows(deep + b":1", deep + b":2")) == 302


def test_pattern_matches_the_key_or_what_is_below() -> None:
    for name in (b"a*b", b"[x]?", b"back\\slash", b"^"):
        matches = matcher(Entry(name, is_folder=False).pattern.encode())
        assert matches(name)
        assert not matches(name + b"x")
        assert matcher(Entry(name, is_folder=True).pattern.encode())(name + b"x")
