"""The commands by which the shards of a cluster know each other; here is one shard, alone.

Clients of a cluster send some of them when they start, so they are answered as a server without a
cluster does. See docs/semantics.md, Cluster functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trignb.engine.spec import MODULE, NOSCRIPT, CommandFamily, Facts, Handler
from trignb.errors import ResponseError
from trignb.reply import OK, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

__all__ = ["cluster_family"]

Args = list[bytes]

_PREFIX: Final = "redisgears_2."
_ALONE: Final = "no cluster mode"
_FROM_SHARDS_ONLY: Final = "ERR the engine is not part of a cluster"


def cluster_family() -> CommandFamily:
    """Return the commands."""
    family = CommandFamily("module")
    for name, handler in _HANDLERS.items():
        family.command(_PREFIX + name, facts=_facts(_PREFIX + name))(handler)
    return family


def _facts(name: str) -> Facts:
    return Facts(
        name=name,
        arity=-1,
        flags=NOSCRIPT | MODULE,
        acl_categories=(),
        first_key=0,
        last_key=0,
        key_step=0,
        since="7.2.0",
        group="module",
        deprecated_since="",
        tips=(),
        key_specs="",
        kind="command",
    )


def _done(_s: Session, _args: Args) -> Status:
    """Do what has to be done with all other shards: there are none."""
    return OK


def _topology(_s: Session, _args: Args) -> Status:
    """Tell the topology of the cluster."""
    return Status(_ALONE)


def _hello(s: Session, _args: Args) -> bytes:
    """Answer a shard that connects: the id of this run."""
    return s.core.run_id.encode()


def _refused(_s: Session, _args: Args) -> Status:
    """Take nothing from other shards."""
    raise ResponseError(_FROM_SHARDS_ONLY)


_HANDLERS: Final[dict[str, Handler]] = {
    "refreshcluster": _done,
    "forceshardsconnection": _done,
    "networktest": _done,
    "infocluster": _topology,
    "hello": _hello,
    "clusterset": _refused,
    "clustersetfromshard": _refused,
    "innercommunication": _refused,
}
