"""Glob patterns: what they match, and that a real Redis agrees."""

from __future__ import annotations

import random
import time

import pytest

from trignb.glob import matcher


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (b"", [b""], [b"a"]),
        (b"*", [b"", b"a", b"\xff\n"], []),
        (b"**", [b"a", b"ab"], [b""]),
        (b"a*", [b"a", b"ab", b"a\n"], [b"", b"ba"]),
        (b"*a", [b"a", b"ba", b"aa"], [b"", b"ab"]),
        (b"a*b*c", [b"abc", b"axbxbxc"], [b"ab", b"acb"]),
        (b"?", [b"a", b"\n", b"*"], [b"", b"aa"]),
        (b"h[ae]llo", [b"hallo", b"hello"], [b"hillo", b"hllo"]),
        (b"h[^e]llo", [b"hallo"], [b"hello"]),
        (b"[a-c]", [b"a", b"b", b"c"], [b"d", b"-"]),
        (b"[c-a]", [b"a", b"b", b"c"], [b"d"]),
        # A range as far as the bracket, in a class that is not closed then.
        (b"[a-]", [b"a", b"]", b"_"], [b"-", b"b"]),
        (b"[-a]", [b"a", b"-"], [b"b"]),
        (b"[]]", [], [b"]", b"]]"]),
        (b"[ab", [b"a", b"b"], [b"[ab"]),
        (b"[", [], [b"[", b""]),
        (b"[^", [b"a", b"["], [b""]),
        (b"[^]", [b"a", b"]"], [b""]),
        (b"[\\]]", [b"]"], [b"\\"]),
        (b"[[-^]", [b"[", b"\\", b"]", b"^"], [b"a", b"-"]),
        (b"\\*", [b"*"], [b"a", b"\\*"]),
        (b"a\\", [b"a\\"], [b"a"]),
        (b"a.b", [b"a.b"], [b"axb"]),
        # Bytes are signed in C: from -1 to 97.
        (b"[\xff-a]", [b"\xff", b"\0", b"A", b"a"], [b"b", b"\xfe"]),
    ],
)
def test_patterns(pattern, matching, other):
    matches = matcher(pattern)
    assert [s for s in matching if not matches(s)] == []
    assert [s for s in other if matches(s)] == []


def test_case_is_ignored_where_asked_for():
    assert matcher(b"MAX*[A-C]", ignore_case=True)(b"maxmemory-b")
    assert not matcher(b"max[A-z]", ignore_case=True)(b"max_")
    assert not matcher(b"MAX*")(b"max")


def test_many_stars_take_no_exponential_time():
    matches = matcher(b"a*" * 30 + b"b")
    started = time.perf_counter()
    assert not matches(b"a" * 2000)
    assert time.perf_counter() - started < 1


@pytest.mark.oracle
def test_a_real_server_agrees(oracle):
    chance = random.Random(20260101)
    letters = [bytes([c]) for c in b"abcA-^[]\\*?\n\0\xff"]

    def text(longest, alphabet):
        return b"".join(chance.choices(alphabet, k=chance.randint(0, longest)))

    connection = oracle.connect()
    connection.execute("FLUSHALL")
    keys = {text(4, letters) for _ in range(300)} | {b""}
    connection.execute("MSET", *[word for key in keys for word in (key, b"1")])
    for _ in range(600):
        pattern = text(7, [*letters, b"[", b"]", b"*", b"-", b"^", b"\\"])
        theirs = set(connection.execute("KEYS", pattern))
        assert {key for key in keys if matcher(pattern)(key)} == theirs, pattern
    connection.execute("FLUSHALL")


@pytest.mark.parametrize("one", [b"*?", b"*a", b"*[a]", b"*\\a"])
def test_a_thousand_stars_are_the_most(one: bytes) -> None:
    text = b"a" * 50_000
    assert matcher(one * 1000)(text)
    assert matcher(one * 1000 + b"*")(text)
    assert not matcher(one * 1001)(text)
    assert not matcher(one * 50_000)(text)


def test_a_star_at_the_end_is_not_counted() -> None:
    assert matcher(b"a*" * 1001)(b"a" * 1001)
    assert not matcher(b"a*" * 1002)(b"a" * 5000)
    assert matcher(b"*" * 50_000 + b"a")(b"a")


def test_question_marks_in_a_row_are_counted() -> None:
    assert matcher(b"?" * 50_000)(b"x" * 50_000)
    assert not matcher(b"?" * 50_000)(b"x" * 49_999)
    assert matcher(b"a??c*?")(b"abbcdd")
    assert not matcher(b"a??c*?")(b"abbc")
