"""Places, scores and cells, without a keyspace."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trignb.datatypes.geo import (
    MAX_LATITUDE,
    Box,
    Cell,
    Circle,
    Place,
    distance,
    geohash_text,
    place_of,
    plan_search,
    score_of,
)

PALERMO = Place(13.361389, 38.115556)
CATANIA = Place(15.087269, 37.502669)

places = st.builds(Place, st.floats(-180, 180), st.floats(-MAX_LATITUDE, MAX_LATITUDE))


def test_score_and_geohash_are_those_of_the_manual() -> None:
    assert score_of(PALERMO) == 3479099956230698
    assert geohash_text(score_of(PALERMO)) == b"sqc8b49rny0"


def test_distance_is_that_of_the_manual() -> None:
    a, b = place_of(score_of(PALERMO)), place_of(score_of(CATANIA))
    assert distance(a, b) == pytest.approx(166274.1516, abs=1e-4)


@given(places)
def test_a_score_stands_for_a_place_nearby(place: Place) -> None:
    found = place_of(score_of(place))
    assert found.longitude == pytest.approx(place.longitude, abs=3e-6)
    assert found.latitude == pytest.approx(place.latitude, abs=2e-6)


@pytest.mark.parametrize("score", [-5.0, 1e300, -1e300, float("inf"), float("-inf")])
def test_any_score_is_a_place(score: float) -> None:
    longitude, latitude = place_of(score)
    assert abs(longitude) <= 180
    assert abs(latitude) <= MAX_LATITUDE


@given(places, st.integers(2, 26))
def test_neighbours_share_an_edge(place: Place, step: int) -> None:
    # Redis puts the very end of the world into a cell beyond it.
    inside = Place(place.longitude * 0.99, place.latitude * 0.99)
    cell = Cell.at(inside, step)
    here, east, north = cell.area(), cell.moved(1, 0).area(), cell.moved(0, 1).area()
    assert east.west == here.east or (here.east, east.west) == (180, -180)
    assert (east.south, east.north) == (here.south, here.north)
    # At the top the world goes on at the bottom.
    assert north.south in (here.north, -MAX_LATITUDE)
    assert cell.moved(1, 1).moved(-1, -1) == cell


@given(places)
def test_the_world_is_round(place: Place) -> None:
    cell = Cell.at(place._replace(longitude=179.999), 10)
    assert cell.moved(1, 0).area().west == -180


def find(shape: Circle | Box, crowd: list[Place]) -> set[Place]:
    """Search as the commands do: by cells first."""
    scores = [score_of(place) for place in crowd]
    found = set()
    plan = plan_search(shape)
    for cell in plan.cells:
        for score, place in zip(scores, crowd, strict=True):
            if score // plan.size == cell and plan.away(score) is not None:
                found.add(place)
    return found


@given(
    st.floats(-170, 170),
    st.floats(-60, 60),
    st.floats(1, 400_000),
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=20),
)
def test_cells_cover_what_is_near(
    x: float, y: float, metres: float, offsets: list[tuple[float, float]]
) -> None:
    crowd = [Place(x + dx, y + dy) for dx, dy in offsets]
    centre = Place(x, y)
    for shape in (Circle(centre, metres), Box(centre, metres, metres / 2, 1.0)):
        away = shape.measure()
        inside = {place for place in crowd if away(score_of(place)) is not None}
        assert find(shape, crowd) == inside


def test_no_cell_is_searched_twice() -> None:
    for radius_m in (0.0, 1.0, 1e5, 1e7, 1e9, float("inf")):
        plan = plan_search(Circle(Place(1.0, 2.0), radius_m))
        assert len(set(plan.cells)) == len(plan.cells) == len(plan.turns)


@given(places, places, st.sampled_from((0.0, 0.5, 1 - 1e-15, 1.0, 1 + 1e-15, 2.0)))
@example(Place(0.0, 0.0), Place(180.0, 0.0), 1.0)
def test_a_circle_ends_where_the_distance_says(
    centre: Place, place: Place, part: float
) -> None:
    score = score_of(place)
    away_m = distance(centre, place_of(score))
    radius_m = away_m * part
    found = Circle(centre, radius_m).measure()(score)
    assert found == (away_m if away_m <= radius_m else None)


def test_a_box_measures_along_the_parallel_of_the_place() -> None:
    away = Box(Place(0.0, 60.0), 200.0, 200.0, 1000.0).measure()
    assert away(score_of(Place(1.7, 60.0))) is not None
    assert away(score_of(Place(1.9, 60.0))) is None
    assert away(score_of(Place(0.0, 60.95))) is None
