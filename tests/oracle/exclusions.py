"""Rows of the event table that are not compared in full, each for a stated reason.

The list is ``exclusions.toml``, made to be read and argued about. An entry names a row by
command, setup and invocation (left out: any), the side it speaks of, and the columns that
are let off; no columns means the row is not run there at all.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oracle.table import Row

FILE = Path(__file__).with_name("exclusions.toml")
FIELDS = ("reply", "events", "classes", "dirty", "propagated_as")


@dataclass(frozen=True)
class Exclusion:
    """One entry of the list, for one side."""

    commands: tuple[str, ...]
    reason: str
    side: str
    setup: str | None = None
    invocation: str | None = None
    fields: tuple[str, ...] = ()
    varies: bool = False

    def matches(self, row: Row) -> bool:
        """Whether the entry speaks of this row."""
        return (
            row.command in self.commands
            and self.setup in (None, " ; ".join(row.setup))
            and self.invocation in (None, " ; ".join(row.steps))
        )


@cache
def read_exclusions() -> list[Exclusion]:
    """Return all entries; one for both sides becomes two."""
    entries = tomllib.loads(FILE.read_text("utf-8"))["exclusion"]
    return [
        Exclusion(
            **entry
            | {"commands": tuple(entry["commands"]), "side": side}
            | {"fields": tuple(entry.get("fields", ()))}
        )
        for entry in entries
        for side in entry["side"].split("+")
    ]


def exclusions_of(row: Row, side: str) -> list[Exclusion]:
    """Return the entries for a row on one side, ``engine`` or ``oracle``."""
    return [
        exclusion
        for exclusion in read_exclusions()
        if exclusion.side == side and exclusion.matches(row)
    ]
