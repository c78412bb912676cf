"""One engine's command table, merged from the families by name.

No module registers anything by being imported: `FAMILIES` is the list, in the order of the manual.
"""

from __future__ import annotations

from collections.abc import Iterable

from trignb.engine.acl import add_commands
from trignb.engine.args import wrong_arity
from trignb.engine.commands import (
    acl,
    bitmaps,
    clients,
    cluster,
    connection,
    debugging,
    expiration,
    geo,
    hashes,
    hyperloglog,
    introspection,
    keys,
    keyspace,
    latency,
    lists,
    migration,
    pubsub,
    server,
    sets,
    sorted_set_algebra,
    sorted_sets,
    sorting,
    stream_groups,
    stream_info,
    stream_reads,
    streams,
    strings,
    transactions,
)
from trignb.engine.spec import (
    CONTAINER_ARITY,
    MODULE,
    Command,
    CommandFamily,
    Facts,
    Handler,
    command_facts,
)
from trignb.errors import ResponseError

__all__ = ["FAMILIES", "CommandTable"]

FAMILIES = (
    strings.family,
    bitmaps.family,
    hyperloglog.family,
    hashes.family,
    lists.family,
    sets.family,
    sorted_sets.family,
    sorted_set_algebra.family,
    geo.family,
    streams.family,
    stream_reads.family,
    stream_groups.family,
    stream_info.family,
    keys.family,
    expiration.family,
    keyspace.family,
    sorting.family,
    migration.family,
    transactions.family,
    pubsub.family,
    connection.family,
    clients.family,
    server.family,
    latency.family,
    acl.family,
    debugging.family,
    introspection.family,
    cluster.family,
)


class CommandTable(dict[bytes, Command]):
    """Maps names to commands: ``SET`` and ``set`` directly, other spellings by `find`."""

    def __init__(self, families: Iterable[CommandFamily] = FAMILIES) -> None:
        super().__init__()
        self.by_name: dict[str, Command] = {}
        for family in families:
            self.add(family)

    def add(self, family: CommandFamily) -> None:
        """Take in a family's commands, containers before their subcommands."""
        add_commands(
            facts.name for facts, _ in family.handlers.values() if facts.flags & MODULE
        )
        for name, (facts, handler) in sorted(family.handlers.items()):
            if facts.kind == "subcommand":
                self._add_subcommand(name, facts, handler)
            else:
                self._add_command(name, Command(facts, handler))

    def find(self, name: bytes) -> Command | None:
        """Return the command of this name in any spelling."""
        return self.get(name) or self.get(name.upper())

    def find_for(self, args: list[bytes]) -> Command | None:
        """Return the command, or the subcommand, that a whole call names."""
        found = self.find(args[0])
        if found is None or not found.subcommands or len(args) < 2:
            return found
        return found.subcommands.get(args[1].upper())

    def rename(self, old: bytes, new: bytes) -> None:
        """Have a command answer to another name only, or to none when it is empty.

        Raises
        ------
        ResponseError
            When there is no such command, or the new name is another's.
        """
        command = self.find(old)
        if command is None:
            raise ResponseError("No such command in rename-command")
        if new and self.find(new) is not None:
            raise ResponseError("Target command name already exists")
        for name in [name for name, each in self.items() if each is command]:
            del self[name]
        if new:
            self[new.lower()] = self[new.upper()] = command

    def named(self, name: bytes) -> Command | None:
        """Return the command of a name as people write it, ``config|get`` included."""
        container, bar, word = name.partition(b"|")
        found = self.find(container)
        if found is None or not bar:
            return found
        return (found.subcommands or {}).get(word.upper())

    def _add_command(self, name: str, command: Command) -> None:
        self.by_name[name] = command
        self[name.encode()] = self[name.upper().encode()] = command

    def _add_subcommand(self, name: str, facts: Facts, handler: Handler) -> None:
        container, _, word = name.partition(" ")
        parent = self.by_name.get(container)
        if parent is None:
            parent = Command(command_facts()[container], _no_subcommand)
            self._add_command(container, parent)
        if parent.subcommands is None:
            parent.subcommands = {}
            parent.arity = CONTAINER_ARITY
        command = Command(facts, handler)
        parent.subcommands[word.encode()] = command
        parent.subcommands[word.upper().encode()] = command
        self.by_name[name] = command


def _no_subcommand(_session: object, args: list[bytes]) -> object:
    # Reached by nobody: a container is always resolved to one of its subcommands first.
    raise wrong_arity(args[0].decode("utf-8", "replace").lower())
