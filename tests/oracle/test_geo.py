"""Places on the globe, the same on our engine and on a real redis-server."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from oracle.pair import Pair
from oracle.test_differential import ODD, run_step

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from oracle.runners import OracleRunner
    from oracle.wire import Argument

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(600)]

ROUNDS = int(os.environ.get("TRIGNB_GEO_ROUNDS", "40"))
SEARCHES = 40
EDGES = ["180", "-180", "179.9999999", "-179.9999999", "0", "1e-7"]
POLES = ["85.05112878", "-85.05112878", "85.05", "-85.0511287", "0", "-1e-9", "66.0001"]
UNITS = ["m", "km", "ft", "mi", "KM"]
# Scores that no GEOADD gives.
FOREIGN = ["-5", "1e300", "-1e300", "inf", "-inf", "0.5", "4503599627370497", "-0"]


@pytest.fixture
def pair(oracle_runner: OracleRunner) -> Iterator[Pair]:
    pair = Pair(oracle_runner)
    yield pair
    pair.close()


class Chooser(random.Random):
    """Chooses places and searches, near each other and at the ends of the world."""

    def near(self) -> tuple[str, str]:
        """Choose the middle of a crowd."""
        middle = self.uniform(-180, 180), self.uniform(-85.05, 85.05)
        return str(middle[0]), str(middle[1])

    def place(self, middle: tuple[str, str]) -> tuple[str, str]:
        """Choose a place near the middle, or anywhere."""
        kind = self.random()
        if kind < 0.1:
            return self.choice(EDGES), self.choice(POLES)
        if kind < 0.3:
            return self.near()
        spread = 10 ** self.uniform(-6, 1.5)
        x = float(middle[0]) + self.uniform(-spread, spread)
        y = float(middle[1]) + self.uniform(-spread, spread)
        return str(max(min(x, 180), -180)), str(max(min(y, 85.05), -85.05))

    def length(self) -> str:
        """Choose a radius or a side."""
        return self.choice(
            ["0", "1", "1e-300", "1e12", "inf", *[str(10 ** self.uniform(-2, 7.5))] * 9]
        )

    def details(self) -> list[str]:
        """Choose what to tell of each member."""
        return self.sample(["WITHDIST", "WITHCOORD", "withhash"], self.randrange(4))

    def order(self) -> list[str]:
        """Choose an order, or a count; with members at one place both say enough."""
        words = self.choice([[], ["ASC"], ["DESC"]])
        if self.random() < 0.3:
            words = [*words, "COUNT", str(self.randrange(1, 30))]
            if self.random() < 0.4:
                words.append("any")
        return words

    def search(self, middle: tuple[str, str]) -> tuple[Argument, ...]:
        """Choose a search of any kind."""
        unit = self.choice(UNITS)
        member = f"m{self.randrange(60)}"
        round_ = [self.length(), unit]
        box = ["BYBOX", self.length(), self.length(), unit]
        by = box if self.random() < 0.5 else ["BYRADIUS", *round_]
        origin = self.choice(
            [["FROMMEMBER", member], ["FROMLONLAT", *self.place(middle)]]
        )
        kind = self.randrange(8)
        if kind < 3:
            words = self.sample([origin, by, self.order(), self.details()], 4)
            return "GEOSEARCH", "g", *(word for group in words for word in group)
        if kind < 5:
            tail = self.choice([[], ["STOREDIST"]])
            return "GEOSEARCHSTORE", "d", "g", *origin, *by, *self.order(), *tail
        name = self.choice(["", "_RO"])
        store = [self.choice(["STORE", "storedist"]), "d"]
        extra = self.details() if name or self.random() < 0.5 else store
        if kind == 5:
            middle = self.place(middle)
            return f"GEORADIUS{name}", "g", *middle, *round_, *self.order(), *extra
        return f"GEORADIUSBYMEMBER{name}", "g", member, *round_, *self.order(), *extra


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_searches_find_the_same(pair: Pair, counts: Counter[str], seed: int) -> None:
    choose = Chooser(seed)
    middle = choose.near()
    places = [(*choose.place(middle), f"m{i}") for i in range(50)]
    run_step(pair, 2, ("GEOADD", "g", *(word for place in places for word in place)))
    if seed % 3 == 0:
        # So many that cells are looked up one by one.
        more = [(*choose.place(middle), f"more{i}") for i in range(100)]
        run_step(pair, 2, ("GEOADD", "g", *(word for place in more for word in place)))
    if seed % 4 == 0:
        for number, score in enumerate(FOREIGN):
            run_step(pair, 2, ("ZADD", "g", score, f"m{50 + number}"))
    members = [f"m{i}" for i in range(60)]
    for resp in (2, 3):
        for name in ("GEOPOS", "GEOHASH"):
            run_step(pair, resp, (name, "g", *members))
    for _ in range(SEARCHES):
        run_step(pair, choose.choice([2, 3]), choose.search(middle))
        resp = choose.choice([2, 3])
        run_step(pair, resp, ("ZRANGE", "d", "0", "-1", "WITHSCORES"))
        run_step(
            pair,
            resp,
            ("GEODIST", "g", *choose.choices(members, k=2), choose.choice(UNITS)),
        )
    counts["searches for places, all agree"] += SEARCHES


GEO_WORDS = [
    *b"NX XX CH m km parsecs FROMMEMBER FROMLONLAT BYRADIUS BYBOX ANY COUNT ASC".split(),
    *b"WITHDIST WITHHASH STORE STOREDIST 2 13.3 38.1 1 a Palermo places gone".split(),
]
NAMES = [
    *("GEOADD", "GEODIST", "GEOHASH", "GEOPOS", "GEOSEARCH", "GEOSEARCHSTORE"),
    *("GEORADIUS", "GEORADIUS_RO", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"),
]


@pytest.mark.parametrize("name", NAMES)
def test_odd_arguments_get_the_same_answer(
    pair: Pair, counts: Counter[str], name: str
) -> None:
    choose = random.Random(name)
    tries = 8 * ROUNDS
    for number in range(tries):
        if number % 10 == 0:
            pair.history.clear()
            run_step(pair, 2, ("FLUSHALL",))
            run_step(pair, 2, ("SET", "s", "10"))
            run_step(pair, 2, ("GEOADD", "places", "13.3", "38.1", "Palermo"))
            run_step(pair, 2, ("ZADD", "places", "2", "a"))
        key = choose.choice([b"places", b"places", b"gone", b"s"])
        rest = choose.choices(GEO_WORDS + ODD[:25], k=choose.randrange(10))
        run_step(pair, choose.choice([2, 3]), (name, key, *rest))
    counts["commands with odd arguments, all agree"] += tries


def test_plausible_arguments_get_the_same_answer(
    pair: Pair, counts: Counter[str]
) -> None:
    """Every option right or missing or twice, which chance alone hardly finds."""
    choose = random.Random("geo")
    words = [
        *(["FROMMEMBER", "Palermo"], ["FROMMEMBER", "nobody"], ["FROMMEMBER"]),
        *(["FROMLONLAT", "13", "38"], ["FROMLONLAT", "200", "x"], ["FROMLONLAT", "1"]),
        *(
            ["FROMLONLAT", "inf", "-86"],
            ["BYRADIUS", "300", "km"],
            ["BYRADIUS", "-1", "m"],
        ),
        *(["BYRADIUS", "a", "m"], ["BYRADIUS", "1", "x"], ["BYBOX", "4", "4", "km"]),
        *(["BYBOX", "-4", "4", "km"], ["BYBOX", "4", "q", "km"], ["BYBOX", "4", "4"]),
        *(
            ["WITHDIST"],
            ["COUNT", "1"],
            ["COUNT", "0"],
            ["COUNT", "x"],
            ["COUNT"],
            ["ANY"],
        ),
        *(["STOREDIST"], ["STORE", "d"], ["STOREDIST", "d"], ["ASC"], ["DESC"]),
    ]
    heads = [
        ["GEOSEARCH", "places"],
        ["geosearch", "gone"],
        ["GeoSearchStore", "d", "places"],
        ["GEOSEARCHSTORE", "d", "gone"],
        ["GEORADIUS", "places", "13", "38", "300", "km"],
        ["GEORADIUS", "gone", "13", "38", "-300", "km"],
        ["GEORADIUS", "gone", "13", "38", "300", "km"],
        ["GEORADIUS_RO", "places", "13", "38", "300", "km"],
        ["GEORADIUSBYMEMBER", "places", "Palermo", "300", "km"],
        ["GEORADIUSBYMEMBER", "gone", "Palermo", "x", "y"],
        ["GEORADIUSBYMEMBER_RO", "places", "nobody", "300", "km"],
    ]
    tries = 20 * ROUNDS
    for number in range(tries):
        if number % 10 == 0:
            pair.history.clear()
            run_step(pair, 2, ("FLUSHALL",))
            run_step(pair, 2, ("SET", "d", "in the way"))
            run_step(pair, 2, ("GEOADD", "places", "13.3", "38.1", "Palermo"))
            run_step(pair, 2, ("GEOADD", "places", "15", "37.5", "Catania"))
        options = choose.choices(words, k=choose.randrange(5))
        args = [*choose.choice(heads), *(word for option in options for word in option)]
        run_step(pair, choose.choice([2, 3]), tuple(args))
    counts["commands with odd arguments, all agree"] += tries
