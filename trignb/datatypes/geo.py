"""Places as scores of a sorted set: geohashes of 52 bits, distances, and what to search for an area.

Longitude and latitude are cut into halves 26 times each, and the bits of both, in turn, are the score. So
places near each other mostly have scores near each other: a search looks at the cell of its centre and at the
eight around it. Every step is done in the floating-point operations of Redis and in their order, as
one bit more or less would find other places at the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import asin, cos, isfinite, nan, pi, sin, sqrt
from typing import Final, NamedTuple

__all__ = [
    "MAX_LATITUDE",
    "MAX_LONGITUDE",
    "Box",
    "Cell",
    "Circle",
    "Place",
    "Shape",
    "cells_to_search",
    "distance",
    "geohash_text",
    "place_of",
    "score_of",
]

MAX_LONGITUDE: Final = 180.0
# Where Web Mercator ends.
MAX_LATITUDE: Final = 85.05112878

_STEPS: Final = 26
_EARTH_RADIUS_M: Final = 6372797.560856
_MERCATOR_MAX_M: Final = 20037726.37
_RADIAN: Final = pi / 180.0
_UINT32: Final = (1 << 32) - 1
_UINT64: Final = (1 << 64) - 1
_EVEN_BITS: Final = 0x5555555555555555
_ODD_BITS: Final = 0xAAAAAAAAAAAAAAAA
_ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"
# Half of the bits spread over an integer, or brought together: shifts and masks.
_SPREAD: Final = (
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, _EVEN_BITS),
)
_GATHER: Final = (
    (1, 0x3333333333333333),
    (2, 0x0F0F0F0F0F0F0F0F),
    (4, 0x00FF00FF00FF00FF),
    (8, 0x0000FFFF0000FFFF),
    (16, _UINT32),
)


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
    return _encode(place, _STEPS, MAX_LATITUDE)


# Members are looked at again and again, and unfolding a score takes longer than all else.
@lru_cache(maxsize=1 << 16)
def place_of(score: float) -> Place:
    """Return the middle of the cell that a score stands for."""
    west, south, east, north = Cell(_as_uint64(score), _STEPS).area()
    return Place(
        max(min((west + east) / 2, MAX_LONGITUDE), -MAX_LONGITUDE),
        max(min((south + north) / 2, MAX_LATITUDE), -MAX_LATITUDE),
    )


def geohash_text(score: float) -> bytes:
    """Return the eleven characters of the usual geohash, the last one always ``0``."""
    bits = _encode(place_of(score), _STEPS, 90.0)
    return bytes(_ALPHABET[bits >> shift & 31] for shift in range(47, 1, -5)) + b"0"


def _encode(place: Place, steps: int, max_latitude: float) -> int:
    cells = 1 << steps
    y = (place.latitude + max_latitude) / (max_latitude + max_latitude)
    x = (place.longitude + MAX_LONGITUDE) / (MAX_LONGITUDE + MAX_LONGITUDE)
    return _spread(int(y * cells)) | _spread(int(x * cells)) << 1


def _spread(bits: int) -> int:
    for shift, mask in _SPREAD:
        bits = (bits | bits << shift) & mask
    return bits


def _gather(bits: int) -> int:
    bits &= _EVEN_BITS
    for shift, mask in _GATHER:
        bits = (bits | bits >> shift) & mask
    return bits


def _as_uint64(score: float) -> int:
    """Convert as x86 does, also what was never meant as a place."""
    if not isfinite(score) or not -(2.0**63) <= score < 2.0**64:
        return 0 if score > 0 else 1 << 63
    return int(score) & _UINT64


def distance(a: Place, b: Place) -> float:
    """Return the metres between two places on a sphere."""
    v = sin((b.longitude * _RADIAN - a.longitude * _RADIAN) / 2)
    if v == 0.0:
        return _north_distance(a.latitude, b.latitude)
    south, north = a.latitude * _RADIAN, b.latitude * _RADIAN
    u = sin((north - south) / 2)
    h = u * u + cos(south) * cos(north) * v * v
    return 2.0 * _EARTH_RADIUS_M * asin(min(sqrt(h), 1.0))


def _north_distance(a: float, b: float) -> float:
    return _EARTH_RADIUS_M * abs(b * _RADIAN - a * _RADIAN)


# -- cells


class Cell(NamedTuple):
    """The places whose scores begin with the same bits, two per step."""

    bits: int
    step: int

    @classmethod
    def at(cls, place: Place, step: int) -> Cell:
        """Return the cell a place is in."""
        return cls(_encode(place, step, MAX_LATITUDE), step)

    def area(self) -> Area:
        """Return the degrees it covers."""
        y, x = _gather(self.bits), _gather(self.bits >> 1)
        cells = 1 << self.step
        width, height = 2 * MAX_LONGITUDE, 2 * MAX_LATITUDE
        return Area(
            -MAX_LONGITUDE + (x / cells) * width,
            -MAX_LATITUDE + (y / cells) * height,
            -MAX_LONGITUDE + ((x + 1 & _UINT32) / cells) * width,
            -MAX_LATITUDE + ((y + 1 & _UINT32) / cells) * height,
        )

    def scores(self) -> tuple[int, int]:
        """Return the lowest score in it and the lowest beyond it."""
        shift = 2 * (_STEPS - self.step)
        return self.bits << shift, self.bits + 1 << shift

    def moved(self, east: int, north: int) -> Cell:
        """Return a neighbour, one step or none to each side; the world is round."""
        bits = self.bits
        if east:
            bits = self._step_along(bits, _ODD_BITS, _EVEN_BITS, east)
        if north:
            bits = self._step_along(bits, _EVEN_BITS, _ODD_BITS, north)
        return Cell(bits, self.step)

    def _step_along(self, bits: int, own: int, other: int, by: int) -> int:
        """Count up or down in every second bit: the bits between are filled to carry."""
        cut = 64 - 2 * self.step
        moving, filler = bits & own, other >> cut
        if by > 0:
            moving += filler + 1
        else:
            moving = (moving | filler) - (filler + 1)
        return moving & own >> cut | bits & other


# -- what to look for


@dataclass(frozen=True, slots=True)
class Circle:
    """The places within some metres of a centre."""

    centre: Place
    radius_m: float

    def distance_of(self, place: Place) -> float | None:
        """Return how far a place is from the centre, None when it lies outside."""
        away = distance(self.centre, place)
        return None if away > self.radius_m else away

    @property
    def reach(self) -> tuple[float, float, float]:
        """Metres to the sides, up and down, and to the farthest point."""
        return self.radius_m, self.radius_m, self.radius_m


@dataclass(frozen=True, slots=True)
class Box:
    """The places of a rectangle around a centre; lengths in a unit of so many metres."""

    centre: Place
    width: float
    height: float
    unit_m: float

    def distance_of(self, place: Place) -> float | None:
        """Return how far a place is from the centre, None when it lies outside."""
        centre = self.centre
        if (
            _north_distance(place.latitude, centre.latitude)
            > self.height * self.unit_m / 2
        ):
            return None
        level = Place(centre.longitude, place.latitude)
        if distance(place, level) > self.width * self.unit_m / 2:
            return None
        return distance(centre, place)

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


Shape = Circle | Box


@lru_cache(maxsize=1 << 8)
def cells_to_search(shape: Shape) -> tuple[Cell, ...]:
    """Return the cells that cover a shape, the one of its centre first."""
    bounds = _bounds(shape)
    step = _step_for(shape.reach[2], shape.centre.latitude)
    cell = Cell.at(shape.centre, step)
    if step > 1 and _leaves_uncovered(cell, bounds):
        step -= 1
        cell = Cell.at(shape.centre, step)
    area = cell.area()
    # The sides on which the cell itself reaches beyond the bounds.
    done = (
        (0, -1) if step >= 2 and area.south < bounds.south else None,
        (0, 1) if step >= 2 and area.north > bounds.north else None,
        (-1, 0) if step >= 2 and area.west < bounds.west else None,
        (1, 0) if step >= 2 and area.east > bounds.east else None,
    )
    found = [cell]
    last: Cell | None = None
    for east, north in _AROUND:
        if (east, 0) in done or (0, north) in done:
            continue
        neighbour = cell.moved(east, north)
        # In a world of very few cells one lies on both sides.
        if neighbour != last:
            found.append(neighbour)
            last = neighbour
    return tuple(found)


# In the order in which Redis goes through them.
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


def _step_for(reach_m: float, latitude: float) -> int:
    """Return the step at which nine cells cover a shape in most cases."""
    if reach_m == 0:
        return _STEPS
    step = 1
    while reach_m < _MERCATOR_MAX_M:
        reach_m *= 2
        step += 1
    step -= 2
    if abs(latitude) > 66:
        step -= 2 if abs(latitude) > 80 else 1
    return max(min(step, _STEPS), 1)


def _leaves_uncovered(cell: Cell, bounds: Area) -> bool:
    """Whether a shape reaches beyond the cell's neighbours."""
    return (
        cell.moved(0, 1).area().north < bounds.north
        or cell.moved(0, -1).area().south > bounds.south
        or cell.moved(1, 0).area().east < bounds.east
        or cell.moved(-1, 0).area().west > bounds.west
    )
