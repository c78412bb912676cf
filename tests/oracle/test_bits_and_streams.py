"""Random sessions of bitmaps, HyperLogLogs and streams, on our engine and on a redis-server.

After every command replies, events and propagation are compared, and after every write the
whole value: a string's bytes, or all that XINFO tells of a stream, its nodes included.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from oracle.pair import Pair

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from oracle.runners import OracleRunner

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(600)]

# As many as TRIGNB_DIFFERENTIAL asks for; a session here has more steps than elsewhere.
SESSIONS = max(int(os.environ.get("TRIGNB_DIFFERENTIAL", "150")) // 5, 1)
STEPS = 120

KEYS = ["a", "b"]
GROUPS = ["g", "h"]
CONSUMERS = ["c", "d"]
NUMBERS = ["0", "1", "-1", "200", "-129", "9223372036854775807", "x"]

# Words of a command, or parts of one.
Command = Any


@pytest.fixture
def pair(oracle_runner: OracleRunner) -> Iterator[Pair]:
    pair = Pair(oracle_runner)
    yield pair
    for name, value in {
        "stream-node-max-entries": 100,
        "stream-node-max-bytes": 4096,
        "hll-sparse-max-bytes": 3000,
    }.items():
        pair.clients[2].connection.execute("CONFIG", "SET", name, value)
    pair.close()


def compare(pair: Pair, resp: int, command: Command) -> None:
    """Run a command on both sides; fail with the whole story when they differ."""
    lines = pair.step(resp, *command)
    if lines:
        pytest.fail("\n".join([*pair.history, *lines]), pytrace=False)


class Bits:
    """Draws commands on bits and on integers among them."""

    def __init__(self, chance: random.Random) -> None:
        self.pick: Any = chance.choice
        self.number = chance.randint

    def offset(self) -> Command:
        return self.pick([self.number(0, 90), self.number(0, 900), "-1", "x", "#3"])

    def index(self) -> int:
        return self.number(-20, 20)

    def step(self) -> Command:
        width = self.pick(["u8", "i8", "u1", "i64", "u63", "i13", "u64", "x"])
        offset = self.pick([self.number(0, 90), f"#{self.number(0, 9)}"])
        overflow = self.pick(["WRAP", "sat", "FAIL"])
        number = self.pick([*NUMBERS, str(self.number(-300, 300))])
        return self.pick(
            [
                ["get", width, offset],
                ["set", width, offset, number],
                ["overflow", overflow, "incrby", width, offset, number],
            ]
        )

    def command(self) -> Command:
        key, unit = self.pick(KEYS), self.pick(["bit", "BYTE"])
        steps = [word for _ in range(self.number(1, 3)) for word in self.step()]
        operation = self.pick(["and", "OR", "xor", "not"])
        ends = [self.index(), self.index()]
        return self.pick(
            [
                ["SETBIT", key, self.offset(), self.pick(["0", "1", "1", "2"])],
                ["GETBIT", key, self.offset()],
                ["BITCOUNT", key],
                ["BITCOUNT", key, *ends, unit],
                ["BITPOS", key, self.pick([0, 1])],
                ["BITPOS", key, self.pick([0, 1]), *ends[: self.number(1, 2)]],
                ["BITPOS", key, self.pick([0, 1]), *ends, unit],
                ["BITOP", operation, key, *(self.pick(KEYS) for _ in "12")],
                ["BITFIELD", key, *steps],
                ["BITFIELD_RO", key, *steps],
                ["SET", key, self.pick(["", "foobar", "12345"])],
                ["DEL", key],
            ]
        )


class Counters:
    """Draws commands on HyperLogLogs."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.pick: Any = chance.choice

    def command(self) -> Command:
        key, other = self.pick(KEYS), self.pick(KEYS)
        n = self.pick([0, 1, 1, 3, 40])
        elements = [self.chance.randbytes(self.chance.randint(0, 20)) for _ in range(n)]
        return self.pick(
            [
                ["PFADD", key, *elements],
                ["PFADD", key, *elements],
                ["PFADD", key, str(self.chance.randint(0, 50))],
                ["PFCOUNT", key],
                ["PFCOUNT", key, other, "none"],
                ["PFMERGE", key, other],
                ["PFDEBUG", self.pick(["decode", "ENCODING"]), key],
                ["PFDEBUG", "todense", key] if self.chance.random() < 0.1 else ["PING"],
                ["CONFIG", "SET", "hll-sparse-max-bytes", self.pick([60, 500, 3000])],
            ]
        )


class Streams:
    """Draws commands on streams, with ids that grow most of the time."""

    def __init__(self, chance: random.Random) -> None:
        self.pick: Any = chance.choice
        self.number = chance.randint
        self.now = 1

    def entry_id(self) -> str:
        return f"{self.number(0, self.now + 1)}-{self.number(0, 2)}"

    def new_id(self) -> Command:
        self.now += self.pick([0, 0, 1, 1, 1, 300])
        return self.pick([f"{self.now}-*", f"{self.now}-{self.number(0, 9)}", "1-1"])

    def bound(self) -> Command:
        return self.pick(["-", "+", self.entry_id(), f"({self.entry_id()}", "5", "x"])

    def trim(self) -> Command:
        mark = self.pick([[], ["~"], ["="]])
        limit = self.pick([[], [], ["LIMIT", self.number(0, 9)]])
        length: Command = ["MAXLEN", *mark, self.number(0, 20), *limit]
        return self.pick([length, ["minid", *mark, self.entry_id(), *limit]])

    def items(self) -> Command:
        value = self.pick(["v", "1", "-70000", "x" * self.number(0, 90), ""])
        return self.pick([["f", value], ["f", value], ["f", value, "g", "1"]])

    def ids(self) -> Command:
        return [self.entry_id() for _ in range(self.number(1, 4))]

    def command(self) -> Command:
        draw = self.pick([self.on_entries, self.on_entries, self.on_groups])
        return draw(self.pick(KEYS))

    def on_entries(self, key: str) -> Command:
        options = self.pick([[], [], [], self.trim(), ["NOMKSTREAM"]])
        start, end = self.bound(), self.bound()
        return self.pick(
            [
                *[["XADD", key, *options, self.new_id(), *self.items()]] * 4,
                ["XTRIM", key, *self.trim()],
                ["XDEL", key, *self.ids()],
                ["XLEN", key],
                ["XRANGE", key, start, end],
                ["XREVRANGE", key, end, start, "COUNT", self.number(-1, 5)],
                ["XREAD", "COUNT", 3, "STREAMS", *KEYS, self.entry_id(), "0"],
                ["XREAD", "STREAMS", key, "$"],
                ["XINFO", "STREAM", key],
                ["COPY", "a", "b", "REPLACE"],
            ]
        )

    def on_groups(self, key: str) -> Command:
        group, consumer = self.pick(GROUPS), self.pick(CONSUMERS)
        target: Command = [key, group, consumer]
        start = self.pick(["$", "0", self.entry_id()])
        read = self.pick([[], ["ENTRIESREAD", self.number(-1, 5)]])
        claim = self.pick(
            [[], ["FORCE"], ["JUSTID"], ["RETRYCOUNT", 5], ["LASTID", "3"]]
        )
        query = self.pick([[], ["-", "+", 0], ["(1", self.bound(), 0, consumer]])
        more = self.pick([[], ["COUNT", 2], ["NOACK"]])
        after = self.pick([">", ">", "0", self.entry_id()])
        reading: Command = ["GROUP", group, consumer, *more, "STREAMS", key, after]
        return self.pick(
            [
                ["XGROUP", "CREATE", key, group, start, *read],
                ["XGROUP", "CREATE", key, group, start, "MKSTREAM"],
                ["XGROUP", "SETID", key, group, start, *read],
                ["XGROUP", "DESTROY", key, group],
                ["XGROUP", "DELCONSUMER", *target],
                *[["XREADGROUP", *reading]] * 4,
                ["XACK", key, group, *self.ids()],
                ["XPENDING", key, group, *query],
                ["XCLAIM", *target, self.pick([0, 0, 10**9]), *self.ids(), *claim],
                ["XAUTOCLAIM", *target, 0, self.bound(), "COUNT", self.number(0, 3)],
                ["XINFO", "GROUPS", key],
            ]
        )


def without_times(reply: Any) -> Any:
    """Return XINFO's reply without the times in it."""
    if isinstance(reply, dict):
        return {name: without_times(value) for name, value in reply.items()}
    if isinstance(reply, list):
        return [without_times(item) for item in reply]
    return "a time" if isinstance(reply, int) and reply > 10**12 else reply


def compare_streams(pair: Pair) -> None:
    """Compare all there is to know of both keys; what is absent only fires ``keymiss``."""
    client = pair.clients[3]
    for key in KEYS:
        theirs = client.connection.execute("XINFO", "STREAM", key, "FULL")
        if isinstance(theirs, dict):
            ours = client.session.execute("XINFO", "STREAM", key, "FULL")
            if without_times(ours) != without_times(theirs):
                story = [*pair.history, f"redis {theirs}", f"here  {ours}"]
                pytest.fail("\n".join(story), pytrace=False)
    pair.runner.drain()
    pair.events.clear()


@pytest.mark.parametrize("seed", range(SESSIONS))
@pytest.mark.parametrize("draw", [Bits, Counters])
def test_strings(
    draw: type[Bits | Counters], seed: int, pair: Pair, counts: Counter[str]
) -> None:
    chance = random.Random(seed)
    source = draw(chance)
    for _ in range(STEPS):
        command = source.command()
        compare(pair, chance.choice([2, 3]), command)
        for key in KEYS:
            compare(pair, 2, ["GET", key])
    counts["commands on bitmaps and HyperLogLogs, all agree"] += STEPS


@pytest.mark.parametrize("seed", range(SESSIONS))
def test_streams(seed: int, pair: Pair, counts: Counter[str]) -> None:
    chance = random.Random(seed)
    source = Streams(chance)
    limits = [chance.choice([100, 5, 3, 1, 0]), chance.choice([4096, 300, 100, 0])]
    compare(
        pair,
        2,
        [
            "CONFIG",
            "SET",
            "stream-node-max-entries",
            limits[0],
            "stream-node-max-bytes",
            limits[1],
        ],
    )
    for _ in range(STEPS):
        command = source.command()
        compare(pair, chance.choice([2, 3]), command)
        compare_streams(pair)
    counts["commands on streams, all agree"] += STEPS
