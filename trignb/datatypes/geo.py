"""Places as scores of a sorted set: geohashes of 52 bits, distances, and what to search for an area.

Longitude and latitude are cut into halves 26 times each, and the bits of both, in turn, are the score. So
places near each other mostly have scores near each other: a search looks at the cell of its centre and at the
eight around it. Every step is done in the floating-point operations of Redis and in their order, as
one bit more or less would find other places at the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import asin, cos, frexp, inf, isfinite, nan, pi, sin, sqrt
from typing import Final, NamedTuple

__all__ = [
    "MAX_LATITUDE",
    "MAX_LONGITUDE",
    "Box",
    "Cell",
    "Circle",
    "Place",
    "Plan",
    "Shape",
    "distance",
    "geohash_text",
    "place_of",
    "plan_search",
    "score_of",
]

MAX_LONGITUDE: Final = 180.0
# Where Web Mercator ends.
MAX_LATITUDE: Final = 85.05112878

_STEPS: Final = 26
_EARTH_RADIUS_M: Final = 6372797.560856
_EARTH_DIAMETER_M: Final = 2.0 * _EARTH_RADIUS_M
_MERCATOR_MAX_M: Final = 20037726.37
_RADIAN: Final = pi / 180.0
_UINT32: Final = (1 << 32) - 1
_UINT64: Final = (1 << 64) - 1
_ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"


class Place(NamedTuple):
    """A point, in degrees."""

    longitude: float
    latitude: float


class Area(NamedTuple):
    """What a cell covers, in degrees."""

    west: float
    south: float
    east: float
    north: float


# -- places and bits


def score_of(place: Place) -> int:
    """Return the score of a place within the limits."""
    return Cell.at(place, _STEPS).bits


def place_of(score: float) -> Place:
    """Return the middle of the cell that a score stands for."""
    return _spot_of(score)[0]


# A place, its longitude and latitude in radians, and the latitude's cosine.
_Spot = tuple[Place, float, float, float]


# Members are looked at again and again, and unfolding a score takes longer than all else.
@lru_cache(maxsize=1 << 16)
def _spot_of(score: float) -> _Spot:
    west, south, east, north = Cell(*_unfold(_as_uint64(score)), _STEPS).area()
    place = Place(
        max(min((west + east) / 2, MAX_LONGITUDE), -MAX_LONGITUDE),
        max(min((south + north) / 2, MAX_LATITUDE), -MAX_LATITUDE),
    )
    return _in_radians(place)


def _in_radians(place: Place) -> _Spot:
    latitude = place.latitude * _RADIAN
    return place, place.longitude * _RADIAN, latitude, cos(latitude)


def geohash_text(score: float) -> bytes:
    """Return the eleven characters of the usual geohash, the last one always ``0``."""
    bits = Cell.at(place_of(score), _STEPS, 90.0).bits
    return bytes(_ALPHABET[bits >> shift & 31] for shift in range(47, 1, -5)) + b"0"


def _spread(number: int) -> int:
    """Put a zero before each bit: the digits are read to the base of four."""
    return int(f"{number:b}", 4)


def _unfold(bits: int) -> tuple[int, int]:
    """Return the numbers in the odd and in the even bits."""
    digits = f"{bits:064b}"
    return int(digits[::2], 2), int(digits[1::2], 2)


def _as_uint64(score: float) -> int:
    """Convert as x86 does, also what was never meant as a place."""
    if not isfinite(score) or not -(2.0**63) <= score < 2.0**64:
        return 0 if score > 0 else 1 << 63
    return int(score) & _UINT64


def distance(a: Place, b: Place) -> float:
    """Return the metres between two places on a sphere."""
    return _distance(_in_radians(a), _in_radians(b))


def _distance(a: _Spot, b: _Spot) -> float:
    _, west, south, south_cos = a
    _, east, north, north_cos = b
    v = sin((east - west) / 2)
    if v == 0.0:
        return _EARTH_RADIUS_M * abs(north - south)
    u = sin((north - south) / 2)
    h = u * u + south_cos * north_cos * v * v
    return _EARTH_DIAMETER_M * asin(min(sqrt(h), 1.0))


# -- cells


class Cell(NamedTuple):
    """The places whose scores begin with the same bits: column and row of so many halvings."""

    x: int
    y: int
    step: int

    @classmethod
    def at(cls, place: Place, step: int, max_latitude: float = MAX_LATITUDE) -> Cell:
        """Return the cell a place is in."""
        longitude, latitude = place
        y = (latitude + max_latitude) / (max_latitude + max_latitude)
        x = (longitude + MAX_LONGITUDE) / (MAX_LONGITUDE + MAX_LONGITUDE)
        cells = 1 << step
        return cls(int(x * cells), int(y * cells), step)

    @property
    def bits(self) -> int:
        """What the scores in it begin with."""
        return _spread(self.x) << 1 | _spread(self.y)

    def area(self) -> Area:
        """Return the degrees it covers."""
        x, y, step = self
        cells = 1 << step
        return Area(
            _meridian(x, cells),
            _parallel(y, cells),
            _meridian(x + 1 & _UINT32, cells),
            _parallel(y + 1 & _UINT32, cells),
        )

    def moved(self, east: int, north: int) -> Cell:
        """Return a neighbour, one step or none to each side; the world is round."""
        x, y, step = self
        # The very end of the world lies in a cell beyond the last; only a step leaves it.
        last = (1 << step) - 1
        return Cell(
            x + east & last if east else x, y + north & last if north else y, step
        )


def _meridian(x: int, cells: int) -> float:
    return -MAX_LONGITUDE + (x / cells) * (2 * MAX_LONGITUDE)


def _parallel(y: int, cells: int) -> float:
    return -MAX_LATITUDE + (y / cells) * (2 * MAX_LATITUDE)


# -- what to look for


# Tells how far a score is away from the centre, None when it lies outside.
Away = Callable[[float], float | None]


class Circle(NamedTuple):
    """The places within some metres of a centre."""

    centre: Place
    radius_m: float

    @property
    def reach(self) -> tuple[float, float, float]:
        """Metres to the sides, up and down, and to the farthest point."""
        return self.radius_m, self.radius_m, self.radius_m

    def measure(self) -> Away:
        """Return what tells which scores lie inside; distances written out for speed."""
        radius_m, spot_of = self.radius_m, _spot_of
        _, west, south, south_cos = _in_radians(self.centre)
        beyond = _surely_beyond(radius_m)

        def away(score: float) -> float | None:
            _, east, north, north_cos = spot_of(score)
            v = sin((east - west) / 2)
            if v == 0.0:
                away_m = _EARTH_RADIUS_M * abs(north - south)
            else:
                u = sin((north - south) / 2)
                h = u * u + south_cos * north_cos * v * v
                if h > beyond:
                    return None
                half_chord = sqrt(h)
                away_m = _EARTH_DIAMETER_M * asin(
                    half_chord if half_chord < 1.0 else 1.0
                )
            return None if away_m > radius_m else away_m

        return away


class Box(NamedTuple):
    """The places of a rectangle around a centre; lengths in a unit of so many metres."""

    centre: Place
    width: float
    height: float
    unit_m: float

    @property
    def reach(self) -> tuple[float, float, float]:
        """Metres to the sides, up and down, and to the farthest point."""
        half_width, half_height = self.width / 2, self.height / 2
        corner = sqrt(half_width * half_width + half_height * half_height)
        return (
            self.unit_m * half_width,
            self.unit_m * half_height,
            corner * self.unit_m,
        )

    def measure(self) -> Away:
        """Return what tells which scores lie inside."""
        width_m, height_m = self.width * self.unit_m / 2, self.height * self.unit_m / 2
        centre = _in_radians(self.centre)
        place, meridian, parallel, _ = centre

        def away(score: float) -> float | None:
            spot = _spot_of(score)
            _, _, latitude, narrow = spot
            if _EARTH_RADIUS_M * abs(parallel - latitude) > height_m:
                return None
            # Sideways along the member's own parallel.
            if _distance(spot, (place, meridian, latitude, narrow)) > width_m:
                return None
            return _distance(centre, spot)

        return away


Shape = Circle | Box


def _surely_beyond(radius_m: float) -> float:
    """Return the square of a half chord too long for a radius, by more than rounding.

    It spares most members outside an arc sine; those at the edge are measured.
    """
    if radius_m > _EARTH_RADIUS_M:
        return inf
    half_chord = sin(radius_m / _EARTH_DIAMETER_M)
    return half_chord * half_chord * (1 + 1e-9)


class Plan(NamedTuple):
    """How to search for a shape.

    ``cells`` are bits of scores without their last ones, ``size`` how many scores begin with them;
    ``turns`` says which cell is the how-manieth, and is empty when one comes up twice.
    """

    cells: tuple[int, ...]
    size: int
    turns: dict[float, int]
    away: Away


@lru_cache(maxsize=1 << 8)
def plan_search(shape: Shape) -> Plan:
    """Return the cells that cover a shape, the one of its centre first."""
    bounds = _bounds(shape)
    step = _step_for(shape.reach[2], shape.centre.latitude)
    cell = Cell.at(shape.centre, step)
    if step > 1 and _leaves_uncovered(cell, bounds):
        step -= 1
        cell = Cell.at(shape.centre, step)
    cells = _around(cell, bounds)
    turns: dict[float, int] = {bits: turn for turn, bits in enumerate(cells)}
    if len(turns) < len(cells):
        turns = {}
    return Plan(cells, 1 << 2 * (_STEPS - step), turns, shape.measure())


def _around(cell: Cell, bounds: Area) -> tuple[int, ...]:
    """Return a cell and those of its neighbours that the bounds reach into, as bits."""
    x, y, step = cell
    last = (1 << step) - 1
    columns = [_spread(at) << 1 for at in (x, x + 1 & last, x - 1 & last)]
    rows = [_spread(at) for at in (y, y + 1 & last, y - 1 & last)]
    done_east = done_north = done_west = done_south = False
    if step >= 2:
        # The sides on which the cell itself reaches beyond the bounds.
        west, south, east, north = cell.area()
        done_west, done_south = west < bounds.west, south < bounds.south
        done_east, done_north = east > bounds.east, north > bounds.north
    without_column = (False, done_east, done_west)
    without_row = (False, done_north, done_south)
    found = [columns[0] | rows[0]]
    before = -1
    for column, row in _AROUND:
        if without_column[column] or without_row[row]:
            continue
        neighbour = columns[column] | rows[row]
        # In a world of very few cells one lies on both sides.
        if neighbour != before:
            found.append(neighbour)
            before = neighbour
    return tuple(found)


# In the order in which Redis goes through them: 1 is east and north, -1 west and south, which
# as an index is the last.
_AROUND: Final = (
    *((0, 1), (0, -1), (1, 0), (-1, 0)),
    *((1, 1), (-1, 1), (1, -1), (-1, -1)),
)


def _bounds(shape: Shape) -> Area:
    """Return degrees that a shape does not leave; meridians meet towards the poles."""
    width_m, height_m, _ = shape.reach
    x, y = shape.centre
    dy = height_m / _EARTH_RADIUS_M / _RADIAN
    pole_y = y - dy if y < 0 else y + dy
    # An infinite radius has no bounds.
    narrow = cos(pole_y * _RADIAN) if isfinite(pole_y) else nan
    dx = width_m / _EARTH_RADIUS_M / narrow / _RADIAN
    return Area(x - dx, y - dy, x + dx, y + dy)


_WORLD_PART, _WORLD_POWER = frexp(_MERCATOR_MAX_M)


def _step_for(reach_m: float, latitude: float) -> int:
    """Return the step at which nine cells cover a shape in most cases."""
    if reach_m == 0:
        return _STEPS
    step = -1
    if reach_m < _MERCATOR_MAX_M:
        # As often as it can be doubled until it is the whole world.
        part, power = frexp(reach_m)
        step += _WORLD_POWER - power + (part < _WORLD_PART)
    if abs(latitude) > 66:
        step -= 2 if abs(latitude) > 80 else 1
    return max(min(step, _STEPS), 1)


def _leaves_uncovered(cell: Cell, bounds: Area) -> bool:
    """Whether a shape reaches beyond the cell's neighbours."""
    x, y, step = cell
    cells = 1 << step
    last = cells - 1
    return (
        _parallel((y + 1 & last) + 1, cells) < bounds.north
        or _parallel(y - 1 & last, cells) > bounds.south
        or _meridian((x + 1 & last) + 1, cells) < bounds.east
        or _meridian(x - 1 & last, cells) > bounds.west
    )
