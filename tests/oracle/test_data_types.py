"""Small matters of single data types, the same here and on a real redis-server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oracle.pair import Pair
from oracle.test_differential import run_step

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from oracle.runners import OracleRunner

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]

SCRIPTS = {
    "a list follows the limit of the moment while it is short": """
        CONFIG SET list-max-listpack-size -2
        RPUSH l a b c
        CONFIG SET list-max-listpack-size 1
        OBJECT ENCODING l
        LINSERT l BEFORE none q
        OBJECT ENCODING l
        LPOP l
        OBJECT ENCODING l
        LPOP l
        OBJECT ENCODING l
        DEL l
        CONFIG SET list-max-listpack-size 3
        RPUSH l a b c
        OBJECT ENCODING l
        LSET l 10 z
        OBJECT ENCODING l
        LSET l 0 z
        OBJECT ENCODING l
        CONFIG SET list-max-listpack-size 2
        LSET l 10 z
        OBJECT ENCODING l
        LSET l 0 z
        OBJECT ENCODING l
        RPOP l
        OBJECT ENCODING l
        RPOP l
        OBJECT ENCODING l
        RPUSH m a
        LMOVE m l LEFT LEFT
        OBJECT ENCODING l
        CONFIG SET list-max-listpack-size 1
        RPUSH m a
        LMOVE m l LEFT LEFT
        OBJECT ENCODING l
        DEL l m
        CONFIG SET list-max-listpack-size -2
        DEL l
        RPUSH l a b
        LSET l 0 {y:9000}
        OBJECT ENCODING l
        LSET l 0 b
        OBJECT ENCODING l
        LSET l 9 {y:9000}
        OBJECT ENCODING l
        LPOP l
        OBJECT ENCODING l
        CONFIG SET list-max-listpack-size -2
    """,
    "a quicklist becomes short when something is taken away": """
        CONFIG SET list-max-listpack-size 128
        RPUSH l {x:9000}
        OBJECT ENCODING l
        LSET l 0 {y:7000}
        OBJECT ENCODING l
        LSET l 0 {y:9000}
        OBJECT ENCODING l
        RPUSH l b
        OBJECT ENCODING l
        LPOP l
        OBJECT ENCODING l
        RPUSH l {x:9000}
        OBJECT ENCODING l
        RPOP l
        OBJECT ENCODING l
        LREM l 0 b
        RPUSH l {x:9000}
        LINSERT l BEFORE {x:9000} q
        LPOP l
        OBJECT ENCODING l
        RPUSH l {x:9000} {x:9000} {x:9000}
        OBJECT ENCODING l
        LPUSH l q
        OBJECT ENCODING l
        LTRIM l 1 1
        OBJECT ENCODING l
        CONFIG SET list-max-listpack-size -2
        DEL l
        RPUSH l {x:4000} {x:4000} {x:100}
        OBJECT ENCODING l
        DUMP l
        RPOP l
        OBJECT ENCODING l
        RPOP l
        OBJECT ENCODING l
    """,
    "an index of LSET is 32 bits long": """
        RPUSH l a b c d
        LSET l 4294967296 x
        LSET l 4294967297 y
        LSET l -4294967297 z
        LSET l 2147483648 q
        LSET l -9223372036854775808 w
        LRANGE l 0 -1
        LINDEX l 4294967296
        LREM l 4294967296 z
        LPOS l z RANK 4294967297
        LPOS l y COUNT 0 MAXLEN 4294967296
        LTRIM l 4294967296 4294967297
        EXISTS l
    """,
    "a limit needs a rough bound": """
        XADD s 1-1 f v
        XADD s LIMIT 0 * f v
        XADD s LIMIT 0 *
        XADD s LIMIT 5 * f v
        XADD s LIMIT 0 bad f v
        XADD s NOMKSTREAM LIMIT 0 3-3
        XADD s MAXLEN 5 LIMIT 0 9-1 f v
        XADD s LIMIT 0 MAXLEN ~ 5 2-1 f v
        XADD text LIMIT 0 3-3 f v
        XTRIM s LIMIT 0
        XTRIM s LIMIT 5
        XTRIM s MAXLEN 5 LIMIT 0
        XTRIM s MAXLEN ~ 5 LIMIT 0
        XLEN s
    """,
    "a stream named twice": """
        XADD s 1-1 f v
        XADD s 2-1 f v
        XREAD STREAMS s s s 0 0 $
        XREAD COUNT 1 STREAMS s s 0 1
        XGROUP CREATE s g 0
        XREADGROUP GROUP g c COUNT 1 STREAMS s s > 0
        XREADGROUP GROUP g c STREAMS s s s 0 0 >
    """,
}


@pytest.fixture
def pair(oracle_runner: OracleRunner) -> Iterator[Pair]:
    pair = Pair(oracle_runner)
    yield pair
    pair.close()


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_scripts(script: str, pair: Pair, counts: Counter[str]) -> None:
    lines = [line.split() for line in script.strip().splitlines()]
    for words in lines:
        run_step(pair, 2, tuple(map(spelled_out, words)))
    counts["commands of data types, all agree"] += len(lines)


def spelled_out(word: str) -> str:
    """Return a word, ``{x:9000}`` as so many of a letter."""
    if not word.startswith("{"):
        return word
    letter, count = word.strip("{}").split(":")
    return letter * int(count)
