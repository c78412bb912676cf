"""CLUSTER and its kin: this engine is one shard on its own and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trignb.engine.spec import CommandFamily, command_facts
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("cluster")
command = family.command

Args = list[bytes]


def disabled(s: Session, args: Args) -> Any:
    """Manages a cluster; there is none here."""
    raise ResponseError("ERR This instance has cluster support disabled")


for _name, _facts in command_facts().items():
    # Every command of the group answers alike, so the table is the list of them.
    if _facts.group == "cluster" and _facts.kind != "container":
        command(_name)(disabled)
