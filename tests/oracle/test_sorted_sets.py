"""Sorted sets where Redis's way of going through them shows, compared with a real server."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from oracle.pair import Pair
from oracle.test_differential import run_step

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from oracle.runners import OracleRunner

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]

# Infinities that meet, zeroes of both signs, and sources of several sizes.
ALGEBRA = """
    ZADD p inf m
    ZADD n -inf m 0 other
    ZADD a inf m
    ZADD b inf m
    ZADD w 0 a 0 b
    ZADD w2 -0 a
    SADD s m x y z
    ZUNIONSTORE u 3 p n p
    ZRANGE u 0 -1 WITHSCORES
    ZUNION 3 p n p WITHSCORES
    ZINTER 2 a b WEIGHTS 1 0 WITHSCORES
    ZINTER 2 a b WEIGHTS 0 1 WITHSCORES
    ZINTER 2 a b WEIGHTS 1 0 AGGREGATE MIN WITHSCORES
    ZINTER 2 a b WEIGHTS 1 0 AGGREGATE MAX WITHSCORES
    ZINTER 2 a b WEIGHTS 0 1 AGGREGATE MAX WITHSCORES
    ZUNION 2 a b WEIGHTS 1 0 AGGREGATE MIN WITHSCORES
    ZUNION 2 a b WEIGHTS 0 0 AGGREGATE MAX WITHSCORES
    ZUNION 3 s a n WEIGHTS inf -1 2 WITHSCORES
    ZINTER 3 s a n WEIGHTS inf -1 2 WITHSCORES
    ZINTERSTORE d 3 s a n WEIGHTS inf -1 2
    ZRANGE d 0 -1 WITHSCORES
    ZINTER 2 s s WEIGHTS inf -inf WITHSCORES
    ZUNION 2 s s WEIGHTS inf -inf WITHSCORES
    ZUNION 2 w w2 WITHSCORES
    ZUNION 2 w2 w AGGREGATE MIN WITHSCORES
    ZDIFF 2 s n WITHSCORES
    ZDIFF 2 n s WITHSCORES
    ZINTERCARD 2 s s LIMIT 3
    ZINTERCARD 2 s s LIMIT 9
    ZINTERCARD 2 s none LIMIT 1
"""
# A listpack holds whole scores as integers, which have no minus zero.
ZEROES = """
    ZADD z -0 x 0 y 5 z -5 w
    ZRANGE z 0 -1 WITHSCORES
    ZINCRBY z -0 x
    ZADD z INCR -0 new
    ZSCORE z new
    ZADD z CH -0.0 z
    ZRANGE z 0 -1 WITHSCORES
    COPY z y
    ZUNIONSTORE u 1 z WEIGHTS -1
    ZRANGE u 0 -1 WITHSCORES
    ZADD long -0 x
    ZADD long -0 {long}
    OBJECT ENCODING long
    ZADD long -0 q 0 r
    ZADD long XX CH -0 r
    ZRANGE long 0 -1 WITHSCORES
    ZUNIONSTORE d 1 long WEIGHTS -1
    ZRANGE d 0 -1 WITHSCORES
    ZREM long {long}
    ZRANGESTORE d long 0 -1
    OBJECT ENCODING d
    ZRANGE d 0 -1 WITHSCORES
    ZPOPMIN long 2
"""


@pytest.fixture
def pair(oracle_runner: OracleRunner) -> Iterator[Pair]:
    pair = Pair(oracle_runner)
    yield pair
    pair.close()


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("script", [ALGEBRA, ZEROES], ids=["algebra", "zeroes"])
def test_scores_that_are_hard_to_add_up(
    script: str, resp: int, pair: Pair, counts: Counter[str]
) -> None:
    lines = script.format(long="l" * 65).strip().splitlines()
    for line in lines:
        run_step(pair, resp, tuple(line.split()))
    counts["commands about sorted sets, all agree"] += len(lines)


@pytest.mark.parametrize("seed", range(20))
def test_ranges_of_members_over_different_scores(
    seed: int, pair: Pair, counts: Counter[str]
) -> None:
    choose = random.Random(seed)
    scores = [0, 1, 2] if seed % 2 else [0, 0, 1]
    for _ in range(choose.randrange(2, 12)):
        run_step(pair, 2, ("ZADD", "z", choose.choice(scores), _member(choose)))
    for _ in range(60):
        run_step(pair, 2, _lex_command(choose))
        # A skiplist that a range was stored in finds members by chance; this makes it small.
        run_step(pair, 2, ("ZUNIONSTORE", "d", 1, "d"))
        run_step(pair, 2, ("ZRANGE", "d", 0, -1, "WITHSCORES"))
    counts["commands about sorted sets, all agree"] += 120


def _member(choose: random.Random) -> str:
    return choose.choice("abcdef") + choose.choice("abc")


def _end(choose: random.Random) -> str:
    kind = choose.choice("-+[(")
    return kind if kind in "-+" else kind + _member(choose)


def _lex_command(choose: random.Random) -> tuple[str | int, ...]:
    ends = (_end(choose), _end(choose))
    limit: tuple[str | int, ...] = ()
    if choose.random() < 0.5:
        limit = ("LIMIT", choose.choice([0, 1, 2, -1, 5]), choose.choice([-1, 0, 1, 9]))
    reverse = choose.choice([(), ("REV",)])
    return choose.choice(
        [
            ("ZRANGEBYLEX", "z", *ends, *limit),
            ("ZREVRANGEBYLEX", "z", *ends, *limit),
            ("ZLEXCOUNT", "z", *ends),
            ("ZRANGE", "z", *ends, "BYLEX", *reverse, *limit),
            ("ZRANGESTORE", "d", "z", *ends, "BYLEX", *reverse, *limit),
            ("ZREMRANGEBYLEX", "d", *ends),
        ]
    )


def test_ranges_of_members_in_a_skiplist_whose_scores_ascend_with_them(
    pair: Pair, counts: Counter[str]
) -> None:
    choose = random.Random(7)
    for number in range(140):
        run_step(pair, 2, ("ZADD", "z", number // 3, f"m{number:03}"))
    for _ in range(100):
        low, high = choose.choices(range(140), k=2)
        ends = (f"{choose.choice('[(')}m{low:03}", f"{choose.choice('[(')}m{high:03}")
        run_step(pair, 2, ("ZRANGEBYLEX", "z", *ends))
        run_step(pair, 2, ("ZLEXCOUNT", "z", *ends))
        run_step(pair, 2, ("ZREVRANGEBYLEX", "z", *ends, "LIMIT", 1, 3))
    counts["commands about sorted sets, all agree"] += 440
