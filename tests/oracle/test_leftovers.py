"""Small things that no random session asks about, the same here and on a real redis-server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oracle.pair import Pair
from oracle.test_differential import run_step

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from oracle.runners import OracleRunner

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]


@pytest.fixture
def pair(oracle_runner: OracleRunner) -> Iterator[Pair]:
    pair = Pair(oracle_runner)
    yield pair
    pair.clients[2].connection.execute("CONFIG", "SET", "proto-max-bulk-len", "512mb")
    pair.close()


def run_script(pair: Pair, counts: Counter[str], script: str) -> None:
    """Run commands, one a line, on both sides."""
    lines = [line.split() for line in script.splitlines() if line.strip()]
    for words in lines:
        run_step(pair, 2, tuple((w == '""' and "") or w for w in words))
    counts["commands of small matters, all agree"] += len(lines)


def test_encodings_of_strings_changed_in_place(
    pair: Pair, counts: Counter[str]
) -> None:
    run_script(
        pair,
        counts,
        """
        SET a 10
        INCRBYFLOAT a 5
        OBJECT ENCODING a
        GET a
        STRLEN a
        TYPE a
        COPY a b
        OBJECT ENCODING b
        RENAME a c
        OBJECT ENCODING c
        MOVE c 1
        MGET b c
        GETRANGE b 0 -1
        GETSET b 7
        OBJECT ENCODING b
        INCRBYFLOAT b 1e3
        OBJECT ENCODING b
        INCR b
        OBJECT ENCODING b
        INCRBYFLOAT b 0.5
        OBJECT ENCODING b
        INCRBYFLOAT b 0.5
        OBJECT ENCODING b
        OBJECT REFCOUNT b
        INCRBYFLOAT b 0
        SETRANGE b 0 2
        OBJECT ENCODING b
        SET b 12
        OBJECT ENCODING b
        INCRBYFLOAT b 1
        APPEND b 1
        OBJECT ENCODING b
        SET b 12
        INCRBYFLOAT b 1
        SETBIT b 0 0
        BITCOUNT b
        OBJECT ENCODING b
        SET b 12
        INCRBYFLOAT b 1
        BITOP OR d b
        OBJECT ENCODING d
        BITOP NOT d b
        OBJECT ENCODING d
        LCS b d
        PFADD b x
        SORT b
        GETEX b
        GETDEL b
        INCRBYFLOAT n 1
        OBJECT ENCODING n
        INCRBYFLOAT n 1e40
        OBJECT ENCODING n
        SET n 9
        SETRANGE n 0 ""
        APPEND n ""
        OBJECT ENCODING n
        APPEND new 12
        OBJECT ENCODING new
        SETRANGE other 0 12
        OBJECT ENCODING other
        """,
    )


def test_strings_longer_than_allowed(pair: Pair, counts: Counter[str]) -> None:
    run_script(
        pair,
        counts,
        """
        CONFIG SET proto-max-bulk-len 10
        CONFIG SET proto-max-bulk-len 1mb
        CONFIG GET proto-max-bulk-len
        SETRANGE a 1048575 x
        SETRANGE a 1048576 x
        SETRANGE a 1048576 ""
        SETRANGE none 1048576 ""
        SETRANGE a 9223372036854775807 x
        SETRANGE a -1 x
        APPEND a x
        APPEND a ""
        STRLEN a
        SETBIT b 8388607 1
        SETBIT b 8388608 1
        GETBIT b 8388608
        SETBIT b 4294967295 1
        BITFIELD b SET u8 8388601 1
        BITFIELD b SET u8 #1048576 1
        BITFIELD b GET u8 #1048576
        BITFIELD_RO b GET u8 #1048576
        LCS a a
        CONFIG SET proto-max-bulk-len 512mb
        APPEND a x
        """,
    )
