"""Scripts and functions answer byte for byte what those of Redis 7.2.4 answer: values, errors, lines."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oracle import lua_cases
from oracle.raw import RawClient, evened
from oracle.server import RedisServer, require_server
from trignb import Engine

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(240)]

SCRIPTS = (
    (Path(__file__).parents[1] / "data" / "lua_exact.txt")
    .read_text("utf-8")
    .rstrip("\n")
    .split("\n%%\n")
)

GROUPS = {
    "scripts": [lua_cases.script(text) for text in SCRIPTS],
    "cjson": lua_cases.cjson(),
    "cmsgpack": lua_cases.cmsgpack(),
    "struct": lua_cases.struct(),
    "bit": lua_cases.bit(),
    "registrations": lua_cases.registrations(),
    "commands": lua_cases.commands(),
    "read-only": lua_cases.read_only(),
    "arguments": lua_cases.arguments(),
    "states": lua_cases.states(),
}


@pytest.fixture(scope="module")
def reference() -> Iterator[RedisServer]:
    require_server("redis72")
    with RedisServer("redis72") as server:
        yield server


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with Engine() as engine:
        yield engine.serve().port


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("group", GROUPS)
def test_lua_answers_the_same(
    reference: RedisServer, port: int, group: str, resp: int, counts: Counter[str]
) -> None:
    different = []
    with (
        closing(RawClient(reference.port, resp)) as theirs,
        closing(RawClient(port, resp)) as ours,
    ):
        for case in GROUPS[group]:
            for command in (("FLUSHALL",), ("FUNCTION", "FLUSH"), *case):
                their, our = theirs.ask(*command), ours.ask(*command)
                if evened(their) != evened(our):
                    different.append((command, their[:300], our[:300]))
    counts["commands with Lua, byte for byte"] += sum(map(len, GROUPS[group]))
    assert not different[:20], f"{len(different)} differ"
