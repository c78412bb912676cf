"""Each case gives the same on our server and on Redis with the module."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from module.cases import FOLDER, read_cases
from module.compare import run_case, told
from module.exclusions import read_exclusions, split
from module.tables import table_cases

if TYPE_CHECKING:
    from module.cases import Case
    from module.conftest import Sides

CASES = [
    *(case for path in sorted(FOLDER.glob("*.txt")) for case in read_cases(path)),
    *table_cases(),
]
# A protocol and an error verbosity.
QUICK = [(2, 1), (3, 2)]
LONG = [*QUICK, (2, 2), (3, 1)]


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_gives_the_same(
    case: Case, sides: Sides, counts: Counter[str], long: bool
) -> None:
    for resp, verbosity in LONG if long else QUICK:
        try:
            differences = run_case(case, *sides.get(), resp, verbosity)
        except BaseException:
            # What a case has left behind is not to be the next one's trouble.
            sides.drop()
            raise
        left, stale = split(case.name, resp, differences)
        assert not left, f"RESP{resp}, verbosity {verbosity}: " + told(case, left)
        assert not stale, f"nothing differs any more: {stale}"
        counts["sessions with libraries compared with the module"] += 1


def test_names_are_unique() -> None:
    names = Counter(case.name for case in CASES)
    assert not [name for name, count in names.items() if count > 1]


def test_every_exclusion_matches_a_case() -> None:
    for each in read_exclusions():
        matched = [c for c in CASES if fnmatchcase(c.name, each.cases)]
        assert matched, f"no case is called {each.cases}"
