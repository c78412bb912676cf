"""Builtins that took no notice of a termination: what they answer now, and how soon they end."""

from __future__ import annotations

import random
import time

import pytest

from hostile.search import LATER_S, LIMIT_MS, Search, offenders
from trignb.errors import ResponseError
from trignb.js.isolate import wait_until_freed

LIBRARY = """#!js api_version=1.0 name=lib
redis.registerFunction('run', (client, code) => Function('return ' + code)());
"""

BURNING = (
    "'a'.repeat(2 ** 27).lastIndexOf('a'.repeat(2 ** 20) + 'b')",
    "'a'.repeat(2 ** 25).indexOf('b' + 'a'.repeat(2 ** 20))",
    "'a'.repeat(2 ** 25).includes('b' + 'a'.repeat(2 ** 20))",
    "'a'.repeat(2 ** 25).split('b' + 'a'.repeat(2 ** 20))",
    "'a'.repeat(2 ** 25).split({ toString: () => 'b' + 'a'.repeat(2 ** 20) })",
    "'a'.repeat(2 ** 25).replace('b' + 'a'.repeat(2 ** 20), '')",
    "'a'.repeat(2 ** 25).replaceAll('b' + 'a'.repeat(2 ** 20), '')",
    "String.prototype.split.call({ toString: () => 'a'.repeat(2 ** 25) }, 'b' + 'a'.repeat(2 ** 20))",
    "String.prototype.lastIndexOf.call({ toString: () => 'a'.repeat(2 ** 25) }, 'a'.repeat(2 ** 20) + 'b')",
    "new Float64Array(2 ** 22).toLocaleString()",
    "new BigInt64Array(2 ** 22).toLocaleString()",
    "new Array(2 ** 22).fill(1.5).toLocaleString()",
    "Array.prototype.toLocaleString.call({ length: 2 ** 53 - 1 })",
    "Array.prototype.toLocaleString.call(new Float64Array(2 ** 22))",
)  # fmt: skip


@pytest.fixture
def run(engine):
    engine.load(LIBRARY)
    return lambda code: engine.call("lib.run", args=[code])


@pytest.mark.parametrize("code", BURNING)
def test_it_ends_and_leaves_nothing_that_computes(engine, run, code):
    engine.execute("TCONFIG_SET", "lock-redis-timeout", str(LIMIT_MS))
    before = time.monotonic()
    with pytest.raises(ResponseError):
        run(code)
    assert (
        time.monotonic() - before < LIMIT_MS / 1000 + LATER_S + 1
    )  # others compute too
    # One that does not stop is never freed.
    assert wait_until_freed(20)
    assert run("1") == 1


def test_long_searches_find_what_short_ones_do(run):
    """By another algorithm, where there are many characters to compare."""
    rng = random.Random(5)
    for _ in range(12):
        unit = "".join(rng.choices("ab", k=rng.randint(1, 12)))
        text = unit * 30_000 + "".join(rng.choices("abc", k=40)) + unit * 30_000
        start = rng.randrange(len(text) - 9000)
        wanted = text[start : start + 9000]
        if rng.random() < 0.3:
            wanted = wanted[:-1] + "c"
        where = rng.choice([0, 5, -3, start, start + 1, len(text) - 1, 10**9])
        low = min(max(where, 0), len(text))
        assert run(f"'{text}'.indexOf('{wanted}', {where})") == text.find(wanted, low)
        assert run(f"'{text}'.includes('{wanted}', {where})") == int(
            wanted in text[low:]
        )
        expected = text.rfind(wanted, 0, max(where, 0) + len(wanted))
        assert run(f"'{text}'.lastIndexOf('{wanted}', {where})") == expected
        assert run(f"'{text}'.lastIndexOf('{wanted}')") == text.rfind(wanted)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("'abcabc'.lastIndexOf('abc')", 3),
        ("'abcabc'.lastIndexOf('abc', NaN)", 3),
        ("'abcabc'.lastIndexOf('abc', -1)", 0),
        ("'abcabc'.lastIndexOf('')", 6),
        ("'abc'.indexOf('', 9)", 3),
        ("'aundefined'.indexOf()", 1),
        ("'12'.includes(2)", 1),
        ("'a,b'.split(',').length", 2),
        ("'a,b,c'.split(',', 2).length", 2),
        ("'abc'.split().length", 1),
        ("'abc'.split('').length", 3),
        ("'x'.replace('x')", b"undefined"),
        ("'a-b-c'.replaceAll('-', (m, at) => at)", b"a1b3c"),
        ("'aXbxc'.split(/x/i).join()", b"a,b,c"),
        ("'abc'.replace({ [Symbol.replace]: (s) => s + '!' })", b"abc!"),
        ("'a1b'.split({ toString: () => 1 }).join()", b"a,b"),
        ("[1, [2, 3], null, undefined].toLocaleString()", b"1,2,3,,"),
        ("new Array(2000).fill(0.5).toLocaleString('de').slice(0, 7)", b"0,5,0,5"),
        ("new Uint8Array(2000).fill(7).toLocaleString().length", 3999),
        ("String.prototype.split.length + ' ' + String.prototype.split.name", b"2 split"),
        ("String.prototype.lastIndexOf.length", 1),
        ("[].toLocaleString.length", 0),
    ],
)  # fmt: skip
def test_ordinary_calls_are_as_they_were(run, code, expected):
    assert run(code) == expected


def test_a_long_array_that_holds_itself_is_shown_once(run):
    code = "(() => { const a = new Array(2000).fill(1); a[5] = a; return a.toLocaleString().length; })()"
    assert run(code) == 2000 + 1999 - 1


def test_the_search_reaches_what_there_is():
    names = Search([]).names
    for name in ("String.prototype.lastIndexOf", "TypedArray.prototype.toLocaleString",
                 "Intl.ListFormat.prototype.format", "BigInt.asIntN", "IteratorHelper.next",
                 "JSON.stringify", "Array.prototype.concat", "RegExp.prototype.flags/get"):  # fmt: skip
        assert f".{name}" in names


@pytest.mark.timeout(1500)
def test_no_builtin_runs_past_its_limit(long):
    parts = [".BigInt", ".Math", ".Number", ".JSON"] if long else [".BigInt.as"]
    assert list(offenders(parts)) == []
