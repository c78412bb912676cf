"""Every observed row of the event table, on our engine and on a real server.

The table was observed on Redis 7.2.6. What it says of reply, events, their order, database
and class, of the dirty counter and of propagation holds for the engine, row by row.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

import trignb
from oracle.exclusions import FIELDS, Exclusion, exclusions_of, read_exclusions
from oracle.runners import EngineRunner, OracleRunner
from oracle.server import RedisServer
from oracle.table import Outcome, Row, RowRun, read_table

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from trignb.engine.table import CommandTable

ROWS = read_table()
# Of DEBUG: what the harness itself understands, see `EngineRunner.execute`, and RELOAD.
TRIED = (["debug", "set-active-expire"], ["debug", "reload"])


# A name in the table that no Redis has: what it says of unknown commands holds here too.
UNKNOWN_EVERYWHERE = "nosuch"


@cache
def command_table() -> CommandTable:
    """Return the command table of an engine."""
    with trignb.Engine() as engine:
        return engine.core.table


def is_there(words: list[str]) -> bool:
    """Whether the engine has a command, or the subcommand that is meant."""
    name = words[0]
    if name in ("debug", UNKNOWN_EVERYWHERE):
        return words[:2] in TRIED or name == UNKNOWN_EVERYWHERE
    command = command_table().find(name.encode())
    if command is None or command.subcommands is None:
        return command is not None
    return words[1].encode() in command.subcommands


def missing_commands(row: Row) -> list[str]:
    """Name commands of a row that the engine does not have."""
    return [words[0].upper() for words in row.commands if not is_there(words)]


RUN_HERE = [row for row in ROWS if not missing_commands(row)]


def disagreements(row: Row, outcome: Outcome, let_off: list[Exclusion]) -> list[str]:
    """Return what differs, in lines for the report."""
    skipped = {field for exclusion in let_off for field in exclusion.fields}
    lines = []
    for field in FIELDS:
        expected, got = getattr(row, field), getattr(outcome, field)
        if field not in skipped and expected != got:
            lines += [f"{field}: table {expected}", f"{' ' * len(field)}  here  {got}"]
    return lines


def check(row: Row, outcome: Outcome, let_off: list[Exclusion]) -> None:
    """Fail with the row's story when it disagrees."""
    lines = disagreements(row, outcome, let_off)
    if lines:
        head = f"{' ; '.join(row.setup) or '-'} => {' ; '.join(row.steps)}"
        pytest.fail("\n".join([head, row.condition, *lines]), pytrace=False)


@pytest.fixture
def engine_runner() -> Iterator[EngineRunner]:
    """A fresh engine for each row."""
    runner = EngineRunner()
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def second_server(oracle: RedisServer) -> Iterator[RedisServer]:
    """What MIGRATE sends keys to."""
    with RedisServer(oracle.launch) as server:
        yield server


@pytest.fixture
def peer(row: Row, request: pytest.FixtureRequest) -> int:
    """Port of a second server, for the rows that need one."""
    if not row.needs_peer:
        return 0
    server: RedisServer = request.getfixturevalue("second_server")
    server.connect().execute("FLUSHALL")
    return server.port


@pytest.mark.parametrize("row", RUN_HERE, ids=lambda row: row.id)
def test_engine_does_what_the_table_says(
    row: Row, engine_runner: EngineRunner, peer: int, counts: Counter[str]
) -> None:
    let_off = exclusions_of(row, "engine")
    if any(not exclusion.fields for exclusion in let_off):
        counts[f"rows not run on the engine: {let_off[0].reason}"] += 1
        return
    check(row, RowRun(engine_runner, peer).run(row), let_off)
    counts["rows of the event table run on the engine, all agree"] += 1
    for exclusion in let_off:
        fields = ", ".join(exclusion.fields)
        counts[f"… of these without {fields}: {exclusion.reason}"] += 1


@pytest.mark.oracle
@pytest.mark.parametrize("row", RUN_HERE, ids=lambda row: row.id)
def test_oracle_does_what_the_table_says(
    row: Row, oracle_runner: OracleRunner, peer: int, counts: Counter[str]
) -> None:
    let_off = exclusions_of(row, "oracle")
    if any(not exclusion.fields for exclusion in let_off):
        counts[f"rows not run on redis-server: {let_off[0].reason}"] += 1
        return
    oracle_runner.reset()
    outcome = RowRun(oracle_runner, peer).run(row)
    # A subscriber is not told the class; test_engine… compares it.
    outcome.classes = row.classes
    check(row, outcome, let_off)
    counts["rows of the event table run on redis-server, all agree"] += 1
    for exclusion in let_off:
        fields = ", ".join(exclusion.fields)
        counts[f"… of these without {fields}: {exclusion.reason}"] += 1


def test_rows_left_for_later_are_counted(counts: Counter[str]) -> None:
    left = [row for row in ROWS if missing_commands(row)]
    for row in left:
        counts[f"rows left for later: they need {missing_commands(row)[0]}"] += 1
    assert len(RUN_HERE) + len(left) == len(ROWS)


def test_every_exclusion_speaks_of_a_row_that_is_run() -> None:
    for exclusion in read_exclusions():
        assert set(exclusion.fields) <= set(FIELDS)
        assert any(map(exclusion.matches, RUN_HERE)), exclusion


def test_no_exclusion_for_the_engine_is_stale() -> None:
    for exclusion in read_exclusions():
        may_agree = exclusion.varies or not exclusion.fields
        if exclusion.side == "engine" and not may_agree:
            rows = [row for row in RUN_HERE if exclusion.matches(row)]
            assert any(differs_there(row, exclusion) for row in rows), exclusion


def differs_there(row: Row, exclusion: Exclusion) -> bool:
    """Whether a column that an exclusion lets off is different indeed."""
    runner = EngineRunner()
    outcome = RowRun(runner).run(row)
    runner.close()
    return any(
        getattr(row, field) != getattr(outcome, field) for field in exclusion.fields
    )
