"""Places on the globe, kept as sorted sets: GEOADD, distances, and searches around a centre."""

from __future__ import annotations

from math import isfinite, trunc
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from trignb.datatypes import SortedSet
from trignb.datatypes.geo import (
    MAX_LATITUDE,
    MAX_LONGITUDE,
    Box,
    Circle,
    Place,
    Plan,
    Shape,
    distance,
    geohash_text,
    place_of,
    plan_search,
    score_of,
)
from trignb.datatypes.partial_sort import first_sorted
from trignb.engine.args import INT64_MIN, syntax_error, to_float, to_int
from trignb.engine.commands.sorted_sets import zadd
from trignb.engine.events import ZSET
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import ShownDouble

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.reply import Reply

family = CommandFamily("geo")
command = family.command

Args = list[bytes]

_UNITS: Final = {b"m": 1.0, b"km": 1000.0, b"ft": 0.3048, b"mi": 1609.34}
_UNDECODABLE = "ERR could not decode requested zset member"


# Places ----------------------------------------------------------------------------


@command("GEOADD")
def geoadd(s: Session, args: Args) -> Reply:
    """Adds places, or moves places that are there."""
    core = s.core
    at, words = 2, set()
    while at < len(args) and args[at].upper() in (b"NX", b"XX", b"CH"):
        words.add(args[at].upper())
        at += 1
    if (len(args) - at) % 3 or {b"NX", b"XX"} <= words:
        raise syntax_error()
    sent = [b"zadd", *args[1:at]]
    for i in range(at, len(args), 3):
        sent += (b"%d" % score_of(_place(args[i : i + 2])), args[i + 2])
    dirty = core.dirty
    reply = zadd(s, sent)
    if core.sinks and core.dirty != dirty:
        core.propagate_as(sent)
    return reply


@command("GEOPOS")
def geopos(s: Session, args: Args) -> list[Reply]:
    """Returns longitude and latitude of members."""
    scores = _scores(s, args)
    return [
        s.null_array if score is None else _position(s, place_of(score))
        for score in scores
    ]


@command("GEOHASH")
def geohash(s: Session, args: Args) -> list[bytes | None]:
    """Returns the geohashes of members, as other programs read them."""
    return [None if x is None else geohash_text(x) for x in _scores(s, args)]


@command("GEODIST")
def geodist(s: Session, args: Args) -> bytes | None:
    """Returns how far two members are from each other."""
    unit_m = _unit(args[4]) if len(args) == 5 else 1.0
    if len(args) > 5:
        raise syntax_error()
    zset = s.db.read_type(args[1], SortedSet)
    if zset is None or args[2] not in zset or args[3] not in zset:
        return None
    a, b = place_of(zset.scores[args[2]]), place_of(zset.scores[args[3]])
    return _show_distance(distance(a, b) / unit_m)


def _scores(s: Session, args: Args) -> list[float | None]:
    zset = s.db.read_type(args[1], SortedSet)
    scores = {} if zset is None else zset.scores
    return [scores.get(member) for member in args[2:]]


def _place(texts: Args) -> Place:
    longitude, latitude = to_float(texts[0]), to_float(texts[1])
    if not (
        -MAX_LONGITUDE <= longitude <= MAX_LONGITUDE
        and -MAX_LATITUDE <= latitude <= MAX_LATITUDE
    ):
        raise ResponseError(
            f"ERR invalid longitude,latitude pair {longitude:f},{latitude:f}"
        )
    return Place(longitude, latitude)


def _unit(text: bytes) -> float:
    unit_m = _UNITS.get(text.lower())
    if unit_m is None:
        raise ResponseError("ERR unsupported unit provided. please use M, KM, FT, MI")
    return unit_m


def _position(s: Session, place: Place) -> list[Reply]:
    texts = [_show_degrees(degrees) for degrees in place]
    return list(map(_as_double, texts)) if s.resp == 3 else [*texts]


def _as_double(text: bytes) -> ShownDouble:
    """Return a double that keeps all of its decimals in RESP3."""
    number = ShownDouble(text)
    number.text = text
    return number


def _show_degrees(degrees: float) -> bytes:
    text = (b"%.17f" % degrees).rstrip(b"0").rstrip(b".")
    return b"0" if text == b"-0" else text


def _show_distance(value: float) -> bytes:
    # Four decimals, halves to the even one: what is rounded is the product, as in Redis.
    scaled = value * 10_000
    if 0 <= scaled < 1e18:
        return b"%d.%04d" % divmod(round(scaled), 10_000)
    if not isfinite(scaled):
        return b"%.4f" % value
    whole, part = divmod(abs(round(scaled)), 10_000)
    return b"%s%d.%04d" % (b"-" if scaled < 0 and (whole or part) else b"", whole, part)


# Searches --------------------------------------------------------------------------


class _Search:
    """What the options of a search ask for; what they do not, stands in the class."""

    unit_m: float = 1.0
    centre: Place | None = None
    radius: float | None = None
    box: tuple[float, float] | None = None
    from_member: bool = False
    from_place: bool = False
    with_distance: bool = False
    with_hash: bool = False
    with_position: bool = False
    count: int = 0
    any_will_do: bool = False
    order: bytes = b""
    store: bytes | None = None
    store_distance: bool = False

    @property
    def has_details(self) -> bool:
        """Whether more than the members is asked for."""
        return self.with_distance or self.with_hash or self.with_position

    def shape(self) -> Shape:
        """Return what to search; everything about it was given."""
        assert self.centre is not None
        if self.box is not None:
            return Box(self.centre, *self.box, self.unit_m)
        assert self.radius is not None
        return Circle(self.centre, self.radius * self.unit_m)


# A member within the shape: metres to the centre, score, member.
_Found = tuple[float, float, bytes]

_away_m = itemgetter(0)

# Up to here the members of a sorted set are all looked at, which is faster than nine ranges.
_FEW = 64


@command("GEORADIUS")
def georadius(s: Session, args: Args) -> Reply:
    """Finds members around a place; may store them."""
    return _around_place(s, args, may_store=True)


@command("GEORADIUS_RO")
def georadius_ro(s: Session, args: Args) -> Reply:
    """Finds members around a place, storing nothing."""
    return _around_place(s, args, may_store=False)


def _around_place(s: Session, args: Args, *, may_store: bool) -> Reply:
    zset = s.db.read_type(args[1], SortedSet)
    search = _Search()
    search.centre, search.from_place = _place(args[2:4]), True
    search.radius, search.unit_m = _radius(args[4:6])
    _parse_options(search, zset, args[6:], may_store=may_store)
    return _answer(s, zset, search)


@command("GEORADIUSBYMEMBER")
def georadiusbymember(s: Session, args: Args) -> Reply:
    """Finds members around another one; may store them."""
    return _around_member(s, args, may_store=True)


@command("GEORADIUSBYMEMBER_RO")
def georadiusbymember_ro(s: Session, args: Args) -> Reply:
    """Finds members around another one, storing nothing."""
    return _around_member(s, args, may_store=False)


def _around_member(s: Session, args: Args, *, may_store: bool) -> Reply:
    zset = s.db.read_type(args[1], SortedSet)
    search = _Search()
    search.from_member = True
    # Of a key that is not there, not even the radius is looked at.
    if zset is not None:
        search.centre = _place_of_member(zset, args[2])
        search.radius, search.unit_m = _radius(args[3:5])
    _parse_options(search, zset, args[5:], may_store=may_store)
    return _answer(s, zset, search)


@command("GEOSEARCH")
def geosearch(s: Session, args: Args) -> Reply:
    """Finds members within a circle or a box."""
    zset = s.db.read_type(args[1], SortedSet)
    search = _Search()
    _parse_options(search, zset, args[2:], name=args[0])
    return _answer(s, zset, search)


@command("GEOSEARCHSTORE")
def geosearchstore(s: Session, args: Args) -> Reply:
    """Stores the members within a circle or a box."""
    zset = s.db.read_type(args[2], SortedSet)
    search = _Search()
    search.store = args[1]
    _parse_options(search, zset, args[3:], name=args[0])
    return _answer(s, zset, search, b"geosearchstore")


# -- options


def _parse_options(
    search: _Search,
    zset: SortedSet | None,
    words: Args,
    *,
    may_store: bool = False,
    name: bytes = b"",
) -> None:
    """Read the options; `name` is GEOSEARCH or GEOSEARCHSTORE as it was spelled."""
    at, n = 0, len(words)
    while at < n:
        word = words[at].upper()
        if name and word in _SEARCH_WORDS:
            used = _search_option(search, zset, word, words[at + 1 :])
        else:
            used = _common_option(search, word, words[at + 1 :])
            if used is None and may_store:
                used = _store_option(search, word, words[at + 1 :])
        if used is None:
            raise syntax_error()
        at += 1 + used
    _check_options(search, name)


def _common_option(search: _Search, word: bytes, rest: Args) -> int | None:
    """Take one option in; returns how many words follow it, None for another option."""
    if word == b"WITHDIST":
        search.with_distance = True
    elif word == b"WITHHASH":
        search.with_hash = True
    elif word == b"WITHCOORD":
        search.with_position = True
    elif word == b"ANY":
        search.any_will_do = True
    elif word in (b"ASC", b"DESC"):
        search.order = word
    elif word == b"COUNT" and rest:
        search.count = to_int(rest[0])
        if search.count <= 0:
            raise ResponseError("ERR COUNT must be > 0")
        return 1
    else:
        return None
    return 0


def _store_option(search: _Search, word: bytes, rest: Args) -> int | None:
    if word not in (b"STORE", b"STOREDIST") or not rest:
        return None
    search.store = rest[0]
    search.store_distance = word == b"STOREDIST"
    return 1


_SEARCH_WORDS: Final = frozenset(
    (b"FROMMEMBER", b"FROMLONLAT", b"BYRADIUS", b"BYBOX", b"STOREDIST")
)


def _search_option(
    search: _Search, zset: SortedSet | None, word: bytes, rest: Args
) -> int | None:
    left = len(rest)
    if word == b"FROMMEMBER" and left >= 1 and not search.from_place:
        search.from_member = True
        if zset is not None:
            search.centre = _place_of_member(zset, rest[0])
        return 1
    if word == b"FROMLONLAT" and left >= 2 and not search.from_member:
        search.from_place = True
        search.centre = _place(rest[:2])
        return 2
    if word == b"BYRADIUS" and left >= 2 and search.box is None:
        search.radius, search.unit_m = _radius(rest[:2])
        return 2
    if word == b"BYBOX" and left >= 3 and search.radius is None:
        width = to_float(rest[0], "ERR need numeric width")
        height = to_float(rest[1], "ERR need numeric height")
        if width < 0 or height < 0:
            raise ResponseError("ERR height or width cannot be negative")
        search.box, search.unit_m = (width, height), _unit(rest[2])
        return 3
    if word == b"STOREDIST" and search.store is not None:
        search.store_distance = True
        return 0
    return None


def _place_of_member(zset: SortedSet, member: bytes) -> Place:
    score = zset.scores.get(member)
    if score is None:
        raise ResponseError(_UNDECODABLE)
    return place_of(score)


def _radius(texts: Args) -> tuple[float, float]:
    """Read a radius and its unit in metres."""
    radius = to_float(texts[0], "ERR need numeric radius")
    if radius < 0:
        raise ResponseError("ERR radius cannot be negative")
    return radius, _unit(texts[1])


def _check_options(search: _Search, name: bytes) -> None:
    if search.store is not None and search.has_details:
        what = "GEOSEARCHSTORE" if name else "STORE option in GEORADIUS"
        raise ResponseError(
            f"ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
        )
    if name and not (search.from_member or search.from_place):
        raise _exactly_one("FROMMEMBER or FROMLONLAT can be specified for", name)
    if name and search.radius is None and search.box is None:
        raise _exactly_one("BYRADIUS and BYBOX can be specified for", name)
    if search.any_will_do and not search.count:
        raise ResponseError("ERR the ANY argument requires COUNT argument")


def _exactly_one(what: str, name: bytes) -> ResponseError:
    given = name.decode("utf-8", "replace")
    return ResponseError(f"ERR exactly one of {what} {given}")


# -- results


def _answer(
    s: Session,
    zset: SortedSet | None,
    search: _Search,
    event: bytes = b"georadiusstore",
) -> Reply:
    """Search, then store what was found or return it."""
    found = [] if zset is None else _find(zset, search)
    if search.store is not None:
        return _store(s, search, found, event)
    if not search.has_details:
        return [member for _, _, member in found]
    return [_describe(s, search, item) for item in found]


def _find(zset: SortedSet, search: _Search) -> list[_Found]:
    found = _within(zset, search.shape(), search.count if search.any_will_do else 0)
    count = search.count or len(found)
    if search.order == b"DESC":
        return first_sorted(found, lambda item: -item[0], count)
    # Without ANY a count means the nearest ones.
    if search.order or (search.count and not search.any_will_do):
        return first_sorted(found, _away_m, count)
    return found


def _within(zset: SortedSet, shape: Shape, enough: int) -> list[_Found]:
    """Return the members within a shape, cell by cell; the first `enough`, 0 for all."""
    plan = plan_search(shape)
    if plan.turns and len(zset) <= _FEW:
        found = _within_few(zset, plan)
        return found[:enough] if enough else found
    away, size, irange = plan.away, plan.size, zset.entries.irange
    found = []
    for cell in plan.cells:
        # A tuple of the score alone sorts before every entry of that score.
        for score, member in irange((cell * size,), ((cell + 1) * size,)):
            away_m = away(score)
            if away_m is not None:
                found.append((away_m, score, member))
                if len(found) == enough:
                    return found
    return found


def _within_few(zset: SortedSet, plan: Plan) -> list[_Found]:
    _, size, turns, away = plan
    found: list[tuple[int, _Found]] = []
    for score, member in zset.entries:
        turn = turns.get(score // size)
        if turn is not None:
            away_m = away(score)
            if away_m is not None:
                found.append((turn, (away_m, score, member)))
    # Stable: within a cell the order of ranks stays.
    found.sort(key=_turn)
    return [item for _, item in found]


_turn = itemgetter(0)


def _describe(s: Session, search: _Search, item: _Found) -> list[Reply]:
    away_m, score, member = item
    described: list[Reply] = [member]
    if search.with_distance:
        described.append(_show_distance(away_m / search.unit_m))
    if search.with_hash:
        described.append(_as_int64(score))
    if search.with_position:
        described.append(_position(s, place_of(score)))
    return described


def _as_int64(score: float) -> int:
    return trunc(score) if -(2.0**63) <= score < 2.0**63 else INT64_MIN


def _store(s: Session, search: _Search, found: list[_Found], event: bytes) -> int:
    db, target = s.db, search.store
    assert target is not None
    if not found:
        db.delete_target(target)
        return 0
    zset = SortedSet(
        (member, away_m / search.unit_m if search.store_distance else score)
        for away_m, score, member in found
    )
    zset.choose_encoding(s.core.limits.zset_entries, s.core.limits.zset_value)
    db.assign(target, zset)
    db.changed(ZSET, event, target, len(found))
    return len(found)
