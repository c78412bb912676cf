"""Numbers as text: what becomes of doubles in replies, digests, payloads and scripts.

The engine's digits and those of a real server, over numbers chosen by hand and by hypothesis.
"""

from __future__ import annotations

import math
import os
import random
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import trignb
from oracle.wire import Connection
from trignb.doubles import format_double, format_number
from trignb.server.server import Server

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from oracle.server import RedisServer
    from oracle.wire import Argument

pytestmark = pytest.mark.oracle

ROUNDS = int(os.environ.get("TRIGNB_NUMBERS", "8"))
BATCH = 2000

EDGES = [
    *(0.0, -0.0, 1.0, 0.1, 1 / 3, 4.35, 1e5, 1e7, 1e8, 1e15, 1e16, 1e17, 1e18, 1e19),
    *(1e21, 1e22, 1e23, 1e100, 1e300, 1e-4, 1e-5, 1.5e-6, 1e-7, 5e-324, 1e-310),
    *(2.0**53 - 1, 2.0**53, -(2.0**53) - 2, 2.0**62, 2.0**62 + 1024, -(2.0**62)),
    *(2.0**63, -(2.0**63), 2.0**64, 1.7976931348623157e308, 2.2250738585072014e-308),
    *(math.inf, -math.inf, math.pi, 1234567890123456.75, 168857.5541642639, 7310.93705),
    # Digits of these are one more than needed, or not the nearest.
    *(1858.9452, 2.1232074390701496e-09, 87839144062938.125, 9.125036321982382e22),
]
doubles = st.one_of(
    st.sampled_from(EDGES),
    st.floats(allow_nan=False),
    st.integers(0, 2**64 - 1)
    .map(lambda bits: struct.unpack("<d", bits.to_bytes(8, "little"))[0])
    .filter(lambda number: number == number),
    st.floats(-1e6, 1e6),
    st.integers(-(2**60), 2**60).map(float),
    st.builds(round, st.floats(-1e5, 1e5), st.integers(0, 8)),
    # Subnormals.
    st.integers(1, 2**52).map(lambda bits: bits * 5e-324),
)
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


class Raw(Connection):
    """A client that sees the bytes of a reply."""

    def bytes_of(self, *args: Argument) -> bytes:
        """Send a command; return its reply as it came."""
        self.send(*args)
        return self._message()

    def _message(self) -> bytes:
        line = self.reader.readline()
        kind, size = line[:1], line[1:-2]
        if kind in b"$=":
            return line + (self.reader.read(int(size) + 2) if size != b"-1" else b"")
        if kind in b"*~>%":
            count = max(int(size), 0) * (2 if kind == b"%" else 1)
            return line + b"".join(self._message() for _ in range(count))
        return line


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """An engine on a port."""
    with (
        trignb.Engine(enable_debug_command="yes") as engine,
        engine.serve() as server,
    ):
        yield server


class Twins:
    """The same asked of both, over both protocols."""

    def __init__(self, oracle: RedisServer, server: Server) -> None:
        self.pairs = [
            (Raw(oracle.port, resp), Raw(server.port, resp)) for resp in (2, 3)
        ]
        self.asked = 0

    def ask(self, *args: Argument) -> None:
        """Compare the bytes of the replies."""
        for theirs, ours in self.pairs:
            self.asked += 1
            assert ours.bytes_of(*args) == theirs.bytes_of(*args), args

    def close(self) -> None:
        """Hang up."""
        for pair in self.pairs:
            for client in pair:
                client.close()


@pytest.fixture
def twins(oracle: RedisServer, server: Server, counts: Counter[str]) -> Iterator[Twins]:
    both = Twins(oracle, server)
    both.ask("FLUSHALL")
    yield both
    counts["questions about numbers, all answered in the same bytes"] += both.asked
    both.close()


ECHO = "local t = {} for i = 1, #ARGV do t[i] = redis.call('echo', tonumber(ARGV[i])) end return t"


def at_random(chance: random.Random) -> float:
    """Return a number of some kind."""
    match chance.randrange(5):
        case 0:
            number: float = struct.unpack("<d", chance.randbytes(8))[0]
            return number if math.isfinite(number) else math.inf
        case 1:
            return chance.uniform(-1, 1) * 10.0 ** chance.randrange(-25, 25)
        case 2:
            return round(chance.uniform(-1e5, 1e5), chance.randrange(9))
        case 3:
            return float(chance.randrange(-(2**64), 2**64))
    return chance.randrange(1, 1 << chance.randrange(1, 53)) * 5e-324


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_digits(oracle: RedisServer, counts: Counter[str], seed: int) -> None:
    chance = random.Random(seed)
    numbers = [*EDGES, *(at_random(chance) for _ in range(BATCH))]
    connection = oracle.connect(3)
    # A script's number is a double already, so no reading is compared here.
    texts = list(map(repr, numbers))
    told = connection.execute("EVAL", ECHO, "0", *texts)
    wrong = [
        (number, right, format_number(number))
        for number, right in zip(numbers, told, strict=True)
        if format_number(number) != right
    ]
    assert not wrong
    connection.execute("DEL", "many")
    pairs = [word for i, text in enumerate(texts) for word in (text, f"m{i}")]
    connection.execute("ZADD", "many", *pairs)
    members = [f"m{i}" for i in range(len(numbers))]
    connection.send("ZMSCORE", "many", *members)
    assert connection.reader.readline() == b"*%d\r\n" % len(numbers)
    for number in numbers:
        assert connection.reader.readline() == b",%b\r\n" % format_double(number)
    counts["doubles printed with the digits of Redis"] += len(numbers)


@settings(max_examples=5 * ROUNDS, suppress_health_check=SLOW)
@given(number=doubles, other=doubles, member=st.sampled_from(["m", "m" * 100]))
@example(number=-0.0, other=-0.0, member="m")
@example(number=-0.0, other=-0.0, member="m" * 100)
@example(number=1e23, other=1.5, member="m")
def test_scores(twins: Twins, number: float, other: float, member: str) -> None:
    text, more = repr(number), repr(other)
    ask: Any = twins.ask
    ask("DEL", "z", "y", "s", "h")
    ask("ZADD", "z", text, member)
    ask("ZSCORE", "z", member)
    ask("ZRANGE", "z", "0", "-1", "WITHSCORES")
    ask("DUMP", "z")
    ask("DEBUG", "DIGEST-VALUE", "z")
    ask("ZADD", "z", "INCR", more, member)
    ask("ZINCRBY", "z", more, member)
    ask("ZUNIONSTORE", "y", "1", "z", "WEIGHTS", "-1.5")
    ask("ZRANGEBYSCORE", "y", "-inf", text, "WITHSCORES")
    ask("DUMP", "y")
    ask("ZPOPMIN", "z")
    ask("SET", "s", text)
    ask("INCRBYFLOAT", "s", more)
    ask("DUMP", "s")
    ask("HINCRBYFLOAT", "h", "f", text)
    ask("HGET", "h", "f")
    if text == "-0.0":
        # Lua's minus zero comes to Python as a plain one.
        return
    ask("EVAL", "redis.setresp(3) return {double = ARGV[1] + 0}", "0", text)
    ask("EVAL", "return {ARGV[1] + 0, tostring(ARGV[1] + 0)}", "0", text)
    ask("EVAL", "return cjson.encode({ARGV[1] * ARGV[2]})", "0", text, "1")


TEXTS = st.one_of(
    doubles.map(repr),
    st.integers(-(10**30), 10**30).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(
        r"[+-]?0[xX][0-9a-fA-F]{1,20}(\.[0-9a-f]{0,9})?([pP]-?[0-9]{1,5})?"
    ).map(str.strip),
    st.from_regex(r"\A[ +\-]{0,2}[0-9.]{0,6}(e[+-]?[0-9]{0,4})?\Z").map(str.strip),
    st.sampled_from(
        [
            *(
                "nan",
                "-nan",
                "inf",
                "+Inf",
                "-INFINITY",
                "infinit",
                "",
                " ",
                "1 ",
                " 1",
            ),
            *(
                "\t1",
                "1\0",
                "1\0x",
                "\0",
                "(",
                "((1",
                "1e",
                "1e+",
                "0x",
                "0x.",
                ".",
                ".",
            ),
            *("1e400", "-1e400", "1e-400", "0x1p1024", "0x1p-1080", "1_0", "1,5", "1f"),
        ]
    ),
)


@settings(max_examples=8 * ROUNDS, suppress_health_check=SLOW)
@given(low=TEXTS, high=TEXTS)
@example(low=" 1", high="1e400")
@example(low="(", high="1\0x")
def test_texts_are_read_as_numbers(twins: Twins, low: str, high: str) -> None:
    ask: Any = twins.ask
    ask("DEL", "z", "s", "h", "new")
    ask("ZADD", "z", "-1", "a", "0", "b", "1", "c", "1e300", "d", "inf", "e")
    ask("ZCOUNT", "z", low, high)
    ask("ZRANGEBYSCORE", "z", "(" + low, high)
    ask("ZRANGE", "z", low, "(" + high, "BYSCORE")
    ask("ZADD", "new", low, "m")
    ask("ZINCRBY", "new", high, "m")
    ask("SET", "s", low)
    ask("INCRBYFLOAT", "s", high)
    ask("HSET", "h", "f", low)
    ask("HINCRBYFLOAT", "h", "f", high)
    ask("ZREMRANGEBYSCORE", "z", low, high)


LONGITUDES, LATITUDES = st.floats(-180, 180), st.floats(-85.05, 85.05)


@settings(max_examples=3 * ROUNDS, suppress_health_check=SLOW)
@given(
    places=st.lists(st.tuples(LONGITUDES, LATITUDES), min_size=2, max_size=2),
    unit=st.sampled_from(["m", "km", "ft", "mi"]),
)
def test_places(twins: Twins, places: list[tuple[float, float]], unit: str) -> None:
    ask: Any = twins.ask
    ask("DEL", "g")
    for name, place in zip("pq", places, strict=True):
        ask("GEOADD", "g", *map(repr, place), name)
    ask("GEOPOS", "g", "p", "q", "none")
    ask("GEODIST", "g", "p", "q", unit)
    box = ("FROMMEMBER", "p", "BYRADIUS", "20000", "km", "ASC")
    ask("GEOSEARCH", "g", *box, "WITHCOORD", "WITHDIST", "WITHHASH")
    script = "redis.setresp(3) return redis.call('geopos', KEYS[1], 'p')[1][1]"
    ask("EVAL", script, "1", "g")
