"""GEOADD and the searches; `tests/oracle/test_geo.py` compares them with Redis."""

from __future__ import annotations

import pytest

SICILY = "GEOADD sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"


@pytest.fixture
def sicily(run):
    """Two cities, and what watches them."""
    assert run(SICILY) == 2
    return run


def test_geoadd_is_zadd_to_everybody_else(run):
    assert run(SICILY) == 2
    assert run.events == ["new sicily", "zadd sicily"]
    assert run.effects == [
        "zadd sicily 3479099956230698 Palermo 3479447370796909 Catania"
    ]
    assert run.dirty == 2


def test_geoadd_that_changes_nothing_is_silent(sicily):
    assert sicily(SICILY) == 0
    assert (sicily.events, sicily.effects, sicily.dirty) == ([], [], 0)
    assert sicily("GEOADD sicily NX 1 1 Palermo") == 0
    assert sicily("GEOADD sicily XX CH 1 1 Palermo 2 2 nobody") == 1
    assert sicily.effects == [
        "zadd sicily XX CH 3377822707026402 Palermo 3378191666521995 nobody"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GEOADD k NX XX 1 1 m", "ERR syntax error"),
        ("GEOADD k 1 1 m 2", "ERR syntax error"),
        ("GEOADD k NX CH CH", "ERR syntax error"),
        (
            "GEOADD k 181 1 m",
            "ERR invalid longitude,latitude pair 181.000000,1.000000",
        ),
        ("GEOADD k x 1 m", "ERR value is not a valid float"),
        ("GEOADD k 1e999 1 m", "ERR value is not a valid float"),
        ("GEODIST sicily Palermo Catania parsec", "ERR unsupported unit provided. please use M, KM, FT, MI"),
        ("GEORADIUS sicily 1 1 -1 km", "ERR radius cannot be negative"),
        ("GEORADIUS sicily 1 1 x km", "ERR need numeric radius"),
        ("GEORADIUSBYMEMBER sicily nobody 1 km", "ERR could not decode requested zset member"),
        (
            "GEORADIUS sicily 1 1 1 km WITHDIST STORE d",
            "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        ("GEORADIUS_RO sicily 1 1 1 km STORE d", "ERR syntax error"),
        ("GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km ANY", "ERR the ANY argument requires COUNT argument"),
        ("GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km COUNT 0", "ERR COUNT must be > 0"),
        (
            "GEOSEARCH sicily BYRADIUS 1 km ASC ASC ASC",
            "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH",
        ),
        (
            "geosearch sicily FROMMEMBER Palermo ASC ASC ASC",
            "ERR exactly one of BYRADIUS and BYBOX can be specified for geosearch",
        ),
    ],
)  # fmt: skip
def test_refused(sicily, text, message):
    assert str(sicily(text)) == message
    assert sicily.dirty == 0


def test_positions_are_exact_decimals_in_resp2_and_doubles_in_resp3(
    sicily, engine, session2
):
    assert session2.execute("GEOPOS", "sicily", "Palermo")[0] == [
        b"13.36138933897018433",
        b"38.11555639549629859",
    ]
    assert sicily("GEOPOS sicily Palermo nobody") == [
        [13.361389338970184, 38.1155563954963],
        None,
    ]


def test_search_by_box_with_everything(sicily):
    found = sicily(
        "GEOSEARCH sicily FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST WITHHASH WITHCOORD"
    )
    assert [item[0] for item in found] == [b"Catania", b"Palermo"]
    assert found[0][1:3] == [b"56.4413", 3479447370796909]


def test_storing(sicily):
    sicily("SET d x")
    args = "FROMLONLAT 15 37 BYRADIUS 200 km"
    assert sicily(f"GEOSEARCHSTORE d sicily {args} COUNT 1 STOREDIST") == 1
    assert sicily.events == ["geosearchstore d"]
    assert sicily("ZSCORE d Catania") == pytest.approx(56.4413, abs=1e-4)
    assert sicily("GEORADIUS sicily 0 0 1 km STORE d") == 0
    assert sicily.events == ["del d"]
    assert sicily.effects == ["GEORADIUS sicily 0 0 1 km STORE d"]


def test_any_stops_early_and_count_means_the_nearest(run):
    for i in range(100):
        run(["GEOADD", "g", str(i / 1000), "0", f"m{i:02}"])
    search = "GEOSEARCH g FROMLONLAT 0.099 0 BYRADIUS 100 km COUNT 3"
    assert run(search) == [b"m99", b"m98", b"m97"]
    assert len(run(search + " ANY")) == 3


def test_missing_keys(run):
    assert run("GEOSEARCH k FROMMEMBER m BYRADIUS 1 km") == []
    assert run.events == ["keymiss k"]
    assert run("GEODIST k a b") is None
    assert run("GEOHASH k a") == [None]
    assert run("GEORADIUSBYMEMBER k m not a-radius") == []
