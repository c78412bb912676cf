"""COMMAND: what the engine knows of its own commands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.args import syntax_error
from trignb.engine.docs import command_docs as docs_of
from trignb.engine.docs import module_of, subcommands_of
from trignb.engine.help import help_lines
from trignb.engine.keyspecs import KeyRef, KeySpec, has_keys, key_refs, key_specs
from trignb.engine.spec import FLAG_NAMES, NO_MANDATORY_KEYS, CommandFamily
from trignb.errors import ResponseError
from trignb.glob import matcher
from trignb.reply import SetOfLists, SetReply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

family = CommandFamily("introspection")
command = family.command

Args = list[bytes]

# In the order in which Redis lists them.
_CATEGORIES: Final = tuple(
    "@" + word
    for word in (
        *("keyspace", "read", "write", "set", "sortedset", "list", "hash", "string"),
        *("bitmap", "hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow"),
        *("blocking", "dangerous", "connection", "transaction", "scripting"),
    )
)


@command("COMMAND")
def command_(s: Session, args: Args) -> list[Any]:
    """Describes all commands."""
    return [_info(c) for c in _commands(s)]


@command("COMMAND HELP")
def command_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of COMMAND."""
    return help_lines(s, b"COMMAND")


@command("COMMAND COUNT")
def command_count(s: Session, args: Args) -> int:
    """Counts the commands."""
    return len(_commands(s))


@command("COMMAND INFO")
def command_info(s: Session, args: Args) -> list[Any]:
    """Describes commands: arity, flags, keys, ACL categories."""
    if len(args) == 2:
        return [_info(c) for c in _commands(s)]
    found = (s.core.table.named(name) for name in args[2:])
    return [None if c is None else _info(c) for c in found]


@command("COMMAND DOCS")
def command_docs(s: Session, args: Args) -> dict[bytes, Any]:
    """Documents commands: summary, age, group."""
    if len(args) == 2:
        found: Iterable[Command | None] = _commands(s)
    else:
        found = (s.core.table.named(name) for name in args[2:])
    return {c.name.encode(): docs_of(c) for c in found if c is not None}


@command("COMMAND LIST")
def command_list(s: Session, args: Args) -> list[bytes]:
    """Lists the names of commands, all or those that pass a filter."""
    everything = list(_with_subcommands(_commands(s)))
    if len(args) == 2:
        return [c.name.encode() for c in everything]
    if len(args) != 5 or args[2].upper() != b"FILTERBY":
        raise syntax_error()
    kind, value = args[3].upper(), args[4]
    if kind == b"MODULE":
        found = [c for c in everything if module_of(c) == value]
    elif kind == b"ACLCAT":
        category = "@" + value.decode("utf-8", "replace").lower()
        found = [c for c in everything if category in c.facts.acl_categories]
    elif kind == b"PATTERN":
        matches = matcher(value, ignore_case=True)
        found = [c for c in everything if matches(c.name.encode())]
    else:
        raise syntax_error()
    return [c.name.encode() for c in found]


@command("COMMAND GETKEYS")
def command_getkeys(s: Session, args: Args) -> list[bytes]:
    """Returns the keys among a command's arguments."""
    return [ref.key for ref in _refs(s, args[2:])]


@command("COMMAND GETKEYSANDFLAGS")
def command_getkeysandflags(s: Session, args: Args) -> list[Any]:
    """Returns the keys among a command's arguments and what happens to them."""
    return [
        [ref.key, SetReply([*map(Status, ref.flags)])] for ref in _refs(s, args[2:])
    ]


def _refs(s: Session, argv: Args) -> list[KeyRef]:
    found = s.core.table.find(argv[0])
    if found is not None and found.subcommands is not None and len(argv) > 1:
        found = found.subcommands.get(argv[1].upper())
    if found is None:
        raise ResponseError("ERR Invalid command specified")
    if not has_keys(found):
        raise ResponseError("ERR The command has no key arguments")
    n, arity = len(argv), found.declared_arity
    if n != arity and (arity > 0 or n < -arity):
        raise ResponseError("ERR Invalid number of arguments specified for command")
    refs = key_refs(found, argv)
    if not refs and not found.flags & NO_MANDATORY_KEYS:
        raise ResponseError("ERR Invalid arguments specified for command")
    return refs


def _commands(s: Session) -> list[Command]:
    """Return the commands that are no subcommands, containers among them."""
    return [c for c in s.core.table.by_name.values() if "|" not in c.name]


def _with_subcommands(commands: Iterable[Command]) -> Iterable[Command]:
    for c in commands:
        yield c
        yield from subcommands_of(c)


# -- what is told of one command


def _info(c: Command) -> list[Any]:
    facts = c.facts
    flags = [Status(name) for name, bit in FLAG_NAMES.items() if c.flags & bit]
    return [
        c.name.encode(),
        c.declared_arity,
        SetReply(flags),
        facts.first_key,
        facts.last_key,
        facts.key_step,
        SetReply(
            [Status(name) for name in _CATEGORIES if name in facts.acl_categories]
        ),
        SetReply([tip.encode() for tip in facts.tips]),
        SetOfLists(map(_describe_spec, key_specs(facts.key_specs))),
        SetOfLists(map(_info, subcommands_of(c))),
    ]


def _describe_spec(spec: KeySpec) -> dict[bytes, Any]:
    return {
        b"flags": SetReply([*map(Status, spec.flags)]),
        b"begin_search": _describe_step(spec.begin, spec.begin_args),
        b"find_keys": _describe_step(spec.find, spec.find_args),
    }


def _describe_step(kind: str, arguments: Any) -> dict[bytes, Any]:
    return {
        b"type": kind.encode(),
        b"spec": {
            name.encode(): value.encode() if isinstance(value, str) else value
            for name, value in arguments.items()
        },
    }
