"""What COMMAND DOCS says of a command: what the tables of commands and arguments and the docstrings have.

Redis also tells histories, and explains complexities. They are texts of its documentation, which are not
copied, so histories are left out and complexities are formulas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trignb.engine.arguments import syntax_of
from trignb.engine.help import summary
from trignb.engine.spec import MODULE
from trignb.reply import SetReply, Status

if TYPE_CHECKING:
    from trignb.engine.spec import Command

__all__ = ["command_docs", "module_of", "subcommands_of"]

# The module that commands of the functions layer belong to.
_MODULE_NAME: Final = b"redisgears_2"

# Commands that only a server's own tests and its replicas send.
_SYSTEM_COMMANDS: Final = frozenset(
    {"debug", "pfdebug", "pfselftest", "replconf", "restore-asking"}
)

# What to use instead of a deprecated command.
_REPLACED_BY: Final = {
    "brpoplpush": "`BLMOVE source destination RIGHT LEFT`",
    "cluster|slaves": "`CLUSTER REPLICAS`",
    "cluster|slots": "`CLUSTER SHARDS`",
    "georadius": "`GEOSEARCH` or `GEOSEARCHSTORE`, `FROMLONLAT` and `BYRADIUS`",
    "georadius_ro": "`GEOSEARCH`, `FROMLONLAT` and `BYRADIUS`",
    "georadiusbymember": "`GEOSEARCH` or `GEOSEARCHSTORE`, `FROMMEMBER` and `BYRADIUS`",
    "georadiusbymember_ro": "`GEOSEARCH`, `FROMMEMBER` and `BYRADIUS`",
    "getset": "`SET key value GET`",
    "hmset": "`HSET`",
    "psetex": "`SET key value PX milliseconds`",
    "quit": "closing the connection",
    "rpoplpush": "`LMOVE source destination RIGHT LEFT`",
    "setex": "`SET key value EX seconds`",
    "setnx": "`SET key value NX`",
    "slaveof": "`REPLICAOF`",
    "substr": "`GETRANGE`",
    "zrangebylex": "`ZRANGE`, `BYLEX`",
    "zrangebyscore": "`ZRANGE`, `BYSCORE`",
    "zrevrange": "`ZRANGE`, `REV`",
    "zrevrangebylex": "`ZRANGE`, `REV` and `BYLEX`",
    "zrevrangebyscore": "`ZRANGE`, `REV` and `BYSCORE`",
}


def subcommands_of(command: Command) -> list[Command]:
    """Return what stands below a container, nothing for another command."""
    found = command.subcommands or {}
    return [sub for word, sub in found.items() if word and word == word.upper()]


def module_of(command: Command) -> bytes | None:
    """Return the module that a command belongs to, None for one of Redis's own."""
    return _MODULE_NAME if command.flags & MODULE else None


def command_docs(command: Command) -> dict[bytes, Any]:
    """Return the documentation of a command, its subcommands included."""
    facts, name = command.facts, command.name
    docs: dict[bytes, Any] = {
        b"summary": summary(command).encode(),
        b"since": facts.since.encode(),
        b"group": facts.group.encode(),
    }
    syntax = syntax_of(name)
    if syntax.complexity:
        docs[b"complexity"] = syntax.complexity
    module = module_of(command)
    if module is not None:
        docs[b"module"] = module
    if facts.deprecated_since:
        docs[b"doc_flags"] = SetReply([Status("deprecated")])
        docs[b"deprecated_since"] = facts.deprecated_since.encode()
        docs[b"replaced_by"] = _REPLACED_BY[name].encode()
    elif name in _SYSTEM_COMMANDS:
        docs[b"doc_flags"] = SetReply([Status("syscmd")])
    if syntax.arguments:
        docs[b"arguments"] = syntax.arguments
    below = subcommands_of(command)
    if below:
        docs[b"subcommands"] = {sub.name.encode(): command_docs(sub) for sub in below}
    return docs
