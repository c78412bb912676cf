"""A real kernel, spoken to as a front end does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kernels import Kernel


@pytest.fixture(autouse=True)
def _loaded(kernel: Kernel) -> None:
    assert kernel.run("%load_ext trignb")[0] == "ok"


def test_results_and_errors(kernel: Kernel) -> None:
    assert kernel.run("%redis SET a 1") == ("ok", ["OK"])
    status, texts = kernel.run("%redis HGTALL a")
    assert status == "error"
    (text,) = texts
    assert text.splitlines() == [
        "RedisError: ERR unknown command 'HGTALL', with args beginning with: 'a' ",
        "hint: did you mean HGETALL?",
    ]
    assert kernel.run("%redis GET a") == ("ok", ['"1"'])


def test_transcript_then_error(kernel: Kernel) -> None:
    status, texts = kernel.run("%%redis\nSET a x\nINCR a\nSET b 1")
    assert status == "error"
    assert texts[0] == "redis> SET a x\nOK"
    assert texts[1].startswith("RedisError: ERR value is not an integer")


def test_load_twice_keeps_the_data(kernel: Kernel) -> None:
    kernel.run("%redis SET kept 1")
    kernel.run("%load_ext trignb")
    assert kernel.run("%redis GET kept") == ("ok", ['"1"'])
    assert kernel.run("%reload_ext trignb") == ("ok", [])
    assert kernel.run("%redis GET kept") == ("ok", ['"1"'])


def test_unload(kernel: Kernel) -> None:
    kernel.run("%redis SET gone 1")
    assert kernel.run("%unload_ext trignb") == ("ok", [])
    _, texts = kernel.run("%redis GET gone")
    assert "Line magic function `%redis` not found" in texts[0]
    _, texts = kernel.run("%config")
    assert "TrignbMagics" not in texts[0]
    kernel.run("%load_ext trignb")
    assert kernel.run("%redis EXISTS gone") == ("ok", ["(integer) 0"])


def test_unload_stops_the_threads(kernel: Kernel) -> None:
    kernel.run("%%tfunction x\nredis.registerFunction('f', () => 1);")
    kernel.run("%redis SET k v EX 100")
    kernel.run("%unload_ext trignb")
    count = (
        "len([t for t in __import__('threading').enumerate() if 'trignb' in t.name])"
    )
    assert kernel.run(count) == ("ok", ["0"])
