"""What is known of a command, and how a handler is bound to it.

Arity, flags, keys, ACL categories, group and age come from one table, ``commands.tsv`` (observed on
Redis 7.2.6). A handler is one function under ``@command("NAME")`` in its group's module; nothing else
declares it. Commands that Redis does not have carry their facts in the decorator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trignb.engine.session import Session

__all__ = [
    "CONTAINER_ARITY",
    "FLAG_NAMES",
    "Command",
    "CommandFamily",
    "Facts",
    "Handler",
    "command_facts",
]

Handler = Callable[["Session", list[bytes]], Any]

WRITE: Final = 1 << 0
READONLY: Final = 1 << 1
DENYOOM: Final = 1 << 2
ADMIN: Final = 1 << 3
PUBSUB: Final = 1 << 4
NOSCRIPT: Final = 1 << 5
BLOCKING: Final = 1 << 6
LOADING: Final = 1 << 7
STALE: Final = 1 << 8
SKIP_MONITOR: Final = 1 << 9
SKIP_SLOWLOG: Final = 1 << 10
ASKING: Final = 1 << 11
FAST: Final = 1 << 12
NO_AUTH: Final = 1 << 13
MAY_REPLICATE: Final = 1 << 14
NO_MANDATORY_KEYS: Final = 1 << 15
NO_ASYNC_LOADING: Final = 1 << 16
NO_MULTI: Final = 1 << 17
MOVABLEKEYS: Final = 1 << 18
ALLOW_BUSY: Final = 1 << 19
MODULE: Final = 1 << 20

FLAG_NAMES: Final[Mapping[str, int]] = {
    "write": WRITE,
    "readonly": READONLY,
    "denyoom": DENYOOM,
    "module": MODULE,
    "admin": ADMIN,
    "pubsub": PUBSUB,
    "noscript": NOSCRIPT,
    "blocking": BLOCKING,
    "loading": LOADING,
    "stale": STALE,
    "skip_monitor": SKIP_MONITOR,
    "skip_slowlog": SKIP_SLOWLOG,
    "asking": ASKING,
    "fast": FAST,
    "no_auth": NO_AUTH,
    "may_replicate": MAY_REPLICATE,
    "no_mandatory_keys": NO_MANDATORY_KEYS,
    "no_async_loading": NO_ASYNC_LOADING,
    "no_multi": NO_MULTI,
    "movablekeys": MOVABLEKEYS,
    "allow_busy": ALLOW_BUSY,
}

# No argument count equals it and none is below it, so a container always takes the slow way
# through `Core.resolve`, and plain commands pay nothing for subcommands.
CONTAINER_ARITY: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Facts:
    """One row of the command table."""

    name: str
    arity: int
    flags: int
    acl_categories: tuple[str, ...]
    first_key: int
    last_key: int
    key_step: int
    since: str
    group: str
    deprecated_since: str
    tips: tuple[str, ...]
    key_specs: str
    kind: str


class Command:
    """A command of one engine: its facts, its handler, its counters.

    ``name`` is lower case; a subcommand's is ``config|get``.
    """

    __slots__ = (
        "arity",
        "calls",
        "durations",
        "facts",
        "failed",
        "flags",
        "handler",
        "name",
        "rejected",
        "subcommands",
        "usec",
    )

    def __init__(self, facts: Facts, handler: Handler) -> None:
        self.name = facts.name.replace(" ", "|")
        self.facts = facts
        self.handler = handler
        self.arity = facts.arity
        self.flags = facts.flags
        self.subcommands: dict[bytes, Command] | None = None
        self.calls = 0
        self.failed = 0
        self.rejected = 0
        self.usec = 0
        # See `trignb.engine.durations`; filled while commands are measured.
        self.durations: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Command {self.name}>"

    @property
    def declared_arity(self) -> int:
        """Arity as COMMAND reports it; a container's own hides behind its sentinel."""
        return self.facts.arity

    def accepts(self, n: int) -> bool:
        """Whether so many arguments, the name included, are not too few and not too many."""
        arity = self.facts.arity
        return n == arity if arity > 0 else n >= -arity


class CommandFamily:
    """The handlers of one group; a module opens with ``command = CommandFamily("hash").command``."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.handlers: dict[str, tuple[Facts, Handler]] = {}

    def command(
        self,
        name: str,
        *,
        facts: Facts | None = None,
    ) -> Callable[[Handler], Handler]:
        """Bind a handler to a command; the handler itself is returned unchanged.

        Parameters
        ----------
        name : str
            As documented, ``HSET`` or ``CONFIG GET``.
        facts : Facts, optional
            Only for commands that Redis's own table does not have.
        """
        key = name.lower()

        def bind(handler: Handler) -> Handler:
            self.handlers[key] = (facts or command_facts()[key], handler)
            return handler

        return bind


def parse_flag_names(names: str) -> int:
    """Return the mask for a comma-separated list of flag names."""
    mask = 0
    for name in filter(None, names.split(",")):
        mask |= FLAG_NAMES[name]
    return mask


@cache
def command_facts() -> dict[str, Facts]:
    """Return the whole command table, lower-case name (``config get``) to facts."""
    text = files("trignb.engine").joinpath("commands.tsv").read_text("utf-8")
    lines = text.splitlines()[1:]
    return {facts.name: facts for facts in map(_parse_row, lines)}


def _parse_row(line: str) -> Facts:
    (
        name,
        arity,
        flags,
        categories,
        first,
        last,
        step,
        since,
        group,
        deprecated,
        tips,
        specs,
        kind,
    ) = line.split("\t")
    return Facts(
        name=name,
        arity=int(arity),
        flags=parse_flag_names(flags),
        acl_categories=tuple(filter(None, categories.split(","))),
        first_key=int(first),
        last_key=int(last),
        key_step=int(step),
        since=since,
        group=group,
        deprecated_since=deprecated,
        tips=tuple(filter(None, tips.split(","))),
        key_specs=specs,
        kind=kind,
    )
