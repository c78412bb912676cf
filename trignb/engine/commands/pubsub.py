"""SUBSCRIBE, PUBLISH and their kin.

A subscriber that gave an `on_push` (a network client, redis-py) gets each confirmation as a push message and
`NO_REPLY` stands for the reply; one without gets the confirmations as the reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trignb.engine.commands.connection import wrong_subcommand
from trignb.engine.help import help_lines
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.glob import matcher
from trignb.reply import NO_REPLY, Messages, Reply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("pubsub")
command = family.command

Args = list[bytes]


@command("SUBSCRIBE")
def subscribe(s: Session, args: Args) -> Reply:
    """Listens for messages published to channels."""
    return _enter(s, b"subscribe", args[1:], s.core.pubsub.subscribe, _count)


@command("PSUBSCRIBE")
def psubscribe(s: Session, args: Args) -> Reply:
    """Listens for messages published to channels that match patterns."""
    return _enter(s, b"psubscribe", args[1:], s.core.pubsub.psubscribe, _count)


@command("SSUBSCRIBE")
def ssubscribe(s: Session, args: Args) -> Reply:
    """Listens for messages published to shard channels."""
    if s.core.nesting > 1:
        raise ResponseError("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
    return _enter(s, b"ssubscribe", args[1:], s.core.pubsub.ssubscribe, _shard_count)


@command("UNSUBSCRIBE")
def unsubscribe(s: Session, args: Args) -> Reply:
    """Stops listening to channels."""
    names = args[1:] or list(s.channels)
    return _leave(s, b"unsubscribe", names, s.core.pubsub.unsubscribe, _count)


@command("PUNSUBSCRIBE")
def punsubscribe(s: Session, args: Args) -> Reply:
    """Stops listening to patterns."""
    names = args[1:] or list(s.patterns)
    return _leave(s, b"punsubscribe", names, s.core.pubsub.punsubscribe, _count)


@command("SUNSUBSCRIBE")
def sunsubscribe(s: Session, args: Args) -> Reply:
    """Stops listening to shard channels."""
    names = args[1:] or list(s.shard_channels)
    return _leave(s, b"sunsubscribe", names, s.core.pubsub.sunsubscribe, _shard_count)


@command("PUBLISH")
def publish(s: Session, args: Args) -> int:
    """Posts a message to a channel."""
    s.core.propagate_as(args)
    return s.core.pubsub.publish(args[1], args[2])


@command("SPUBLISH")
def spublish(s: Session, args: Args) -> int:
    """Posts a message to a shard channel."""
    s.core.propagate_as(args)
    return s.core.pubsub.spublish(args[1], args[2])


@command("PUBSUB CHANNELS")
def pubsub_channels(s: Session, args: Args) -> list[bytes]:
    """Lists the channels somebody listens to."""
    return _names(s.core.pubsub.channels, args)


@command("PUBSUB SHARDCHANNELS")
def pubsub_shardchannels(s: Session, args: Args) -> list[bytes]:
    """Lists the shard channels somebody listens to."""
    return _names(s.core.pubsub.shard_channels, args)


@command("PUBSUB NUMSUB")
def pubsub_numsub(s: Session, args: Args) -> list[Any]:
    """Counts the subscribers of channels."""
    return _numbers(s.core.pubsub.channels, args)


@command("PUBSUB SHARDNUMSUB")
def pubsub_shardnumsub(s: Session, args: Args) -> list[Any]:
    """Counts the subscribers of shard channels."""
    return _numbers(s.core.pubsub.shard_channels, args)


@command("PUBSUB NUMPAT")
def pubsub_numpat(s: Session, args: Args) -> int:
    """Counts the patterns somebody listens to."""
    return len(s.core.pubsub.patterns)


@command("PUBSUB HELP")
def pubsub_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of PUBSUB."""
    return help_lines(s, b"PUBSUB")


def _count(s: Session) -> int:
    return s.subscription_count


def _shard_count(s: Session) -> int:
    return len(s.shard_channels)


def _enter(
    s: Session,
    kind: bytes,
    names: list[bytes],
    join: Callable[[Session, bytes], None],
    total: Callable[[Session], int],
) -> Reply:
    confirmations = []
    for name in names:
        join(s, name)
        confirmations.append([kind, name, total(s)])
    return _confirm(s, confirmations)


def _leave(
    s: Session,
    kind: bytes,
    names: list[bytes],
    part: Callable[[Session, bytes], None],
    total: Callable[[Session], int],
) -> Reply:
    confirmations: list[list[Any]] = []
    for name in names:
        part(s, name)
        confirmations.append([kind, name, total(s)])
    return _confirm(s, confirmations or [[kind, None, total(s)]])


def _confirm(s: Session, confirmations: list[list[Any]]) -> Reply:
    s.rearm()
    # Within EXEC the confirmations are the command's part of the array.
    is_nested = s.core.nesting > 1
    if is_nested and s.link is not None:
        return Messages(confirmations)
    if s.on_push is None or is_nested:
        return confirmations[0] if len(confirmations) == 1 else confirmations
    for message in confirmations:
        s.push(message)
    return NO_REPLY


def _names(table: dict[bytes, Any], args: Args) -> list[bytes]:
    if len(args) > 3:
        raise wrong_subcommand(args)
    if len(args) == 2:
        return list(table)
    matches = matcher(args[2])
    return [name for name in table if matches(name)]


def _numbers(table: dict[bytes, Any], args: Args) -> list[Any]:
    out: list[Any] = []
    for name in args[2:]:
        out += [name, len(table.get(name, ()))]
    return out
