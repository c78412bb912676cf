"""Differences from the module that stay, each for a stated reason.

The list is ``exclusions.toml``, made to be read and argued about.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from module.compare import Difference

__all__ = ["Exclusion", "read_exclusions", "split"]

FILE = Path(__file__).with_name("exclusions.toml")


@dataclass(frozen=True)
class Exclusion:
    """One entry: which differences of which cases are let off."""

    cases: str
    reason: str
    step: str = "*"
    what: str = "*"
    resp: int = 0
    varies: bool = False

    def covers(self, case: str, resp: int) -> bool:
        """Whether the entry speaks of a case over a protocol."""
        return fnmatchcase(case, self.cases) and self.resp in (0, resp)

    def lets_off(self, difference: Difference) -> bool:
        """Whether the entry speaks of a difference of such a case."""
        return fnmatchcase(difference.step, self.step) and fnmatchcase(
            difference.what, self.what
        )


@cache
def read_exclusions() -> list[Exclusion]:
    """Return all entries."""
    entries = tomllib.loads(FILE.read_text("utf-8")).get("exclusion", [])
    return [Exclusion(**entry) for entry in entries]


def split(
    case: str, resp: int, differences: list[Difference]
) -> tuple[list[Difference], list[Exclusion]]:
    """Return the differences that nothing lets off, and the entries that let off none."""
    entries = [each for each in read_exclusions() if each.covers(case, resp)]
    left = [d for d in differences if not any(each.lets_off(d) for each in entries)]
    stale = [
        each
        for each in entries
        if not each.varies and not any(map(each.lets_off, differences))
    ]
    return left, stale
