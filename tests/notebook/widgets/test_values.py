from __future__ import annotations

import re

import pytest

import trignb
from trignb.notebook.widgets.values import sample, value_html


def html(engine: trignb.Engine) -> str:
    """Return the value of the key ``k``."""
    return value_html(sample(engine.core.databases[0].data[b"k"]))


def cells(text: str) -> list[str]:
    return re.findall(r"<t[dh] ?[^>]*>(.*?)</t[dh]>", text.partition("<tbody>")[2])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"hello", "hello"),
        (b"12", "12"),
        ("caf\xe9\nline".encode(), "caf\xe9\nline"),
        (b'{"a":[1,2]}', "{\n  &quot;a&quot;: [\n    1,\n    2\n  ]\n}"),
        (b"{not json", "{not json"),
        (b"<b>", "&lt;b&gt;"),
        (b"\x00\x01abc\xff", "000000  00 01 61 62 63 ff"),
        ("\u202eabc".encode(), "000000  e2 80 ae"),
    ],
)
def test_string(engine: trignb.Engine, value: bytes, shown: str) -> None:
    engine.execute("SET", "k", value)
    assert f">{shown}" in html(engine)


def test_long_strings_are_cut(engine: trignb.Engine) -> None:
    engine.execute("SET", "k", "x" * 10_000)
    assert "5,996 bytes more" in html(engine)
    engine.execute("SET", "k", b"\xff" * 10_000)
    assert "9,488 bytes more" in html(engine)
    assert len(html(engine)) < 5_000
    # A character of several bytes at the cut.
    engine.execute("SET", "k", "\xe9\xe9" * 2_000 + "x" + "\u20ac" * 3_000)
    assert html(engine).count("\xe9") > 1_000


def test_changed_string(engine: trignb.Engine) -> None:
    engine.execute("APPEND", "k", "ab")
    engine.execute("APPEND", "k", "cd")
    engine.execute("SETRANGE", "k", "1", "x")
    assert ">axcd<" in html(engine)


def test_hash(engine: trignb.Engine) -> None:
    engine.execute("HSET", "k", "a", "1", "<b>", "\x00")
    assert cells(html(engine)) == ["a", "1", "&lt;b&gt;", "\\x00"]


def test_list(engine: trignb.Engine) -> None:
    engine.execute("RPUSH", "k", "b", "c")
    engine.execute("LPUSH", "k", "a")
    assert cells(html(engine)) == ["0", "a", "1", "b", "2", "c"]


def test_sets(engine: trignb.Engine) -> None:
    engine.execute("SADD", "k", "3", "1", "2")
    assert cells(html(engine)) == ["1", "2", "3"]
    engine.execute("SADD", "k", "x")
    assert sorted(cells(html(engine))) == ["1", "2", "3", "x"]


def test_sorted_set(engine: trignb.Engine) -> None:
    engine.execute("ZADD", "k", "2", "b", "-inf", "a", "0.5", "c")
    assert cells(html(engine)) == ["a", "-inf", "0", "c", "0.5", "1", "b", "2", "2"]


def test_stream(engine: trignb.Engine) -> None:
    engine.execute("XADD", "k", "1767268800000-0", "a", "1")
    engine.execute("XADD", "k", "18446744073709551615-0", "b", "2")
    assert cells(html(engine)) == [
        *("18446744073709551615-0", "", "2", ""),
        *("1767268800000-0", "2026-01-01 12:00:00", "", "1"),
    ]


def test_stream_of_many_fields(engine: trignb.Engine) -> None:
    pairs = [word for i in range(8) for word in (f"f{i}", str(i))]
    engine.execute("XADD", "k", "1-1", *pairs)
    assert cells(html(engine))[2].startswith("f0: 0, f1: 1")


def test_consumer_groups(engine: trignb.Engine) -> None:
    engine.execute("XADD", "k", "1-1", "a", "1")
    engine.execute("XGROUP", "CREATE", "k", "g", "0")
    engine.execute("XREADGROUP", "GROUP", "g", "me", "STREAMS", "k", ">")
    groups = html(engine).partition("Consumer groups")[2]
    assert cells(groups) == ["g", "1", "1", "1-1"]


@pytest.mark.parametrize("command", ["HSET", "RPUSH", "SADD", "ZADD", "XADD"])
def test_long_values_are_cut(engine: trignb.Engine, command: str) -> None:
    words = {"HSET": ["v"], "ZADD": ["m"], "XADD": ["f", "v"]}.get(command, [])
    for i in range(1, 151):
        name = f"{i}-1" if command == "XADD" else str(i)
        last = f"m{i}" if command == "ZADD" else None
        engine.execute(command, "k", name, *([last] if last else words))
    assert html(engine).count('scope="row"') == 100
    assert "50 more" in html(engine)
