"""The engine and a real server, given the same commands and watched for differences.

Both get two clients, one speaking RESP2 and one RESP3. After every command the replies, the
events and what was propagated are compared; what two right servers may do differently (the
order of a dict, the milliseconds of a deadline) is evened out here, and only here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trignb
from oracle.runners import ALL_FLAGS, EVERYTHING, OracleRunner
from oracle.table import Event
from oracle.wire import Connection, as_bytes
from trignb.errors import ResponseError
from trignb.reply import BigNumber, NullArray, Status, Verbatim, to_resp2

if TYPE_CHECKING:
    from oracle.wire import Argument
    from trignb.engine.database import Database

Effect = tuple[int, list[bytes]]

# Replies that tell a time which passes between the two runs, and by how much they may
# differ: seconds and milliseconds.
CLOCK_READERS = {"ttl": 1, "expiretime": 1, "pttl": 2000, "pexpiretime": 2000}
# Whatever order a dict has, and what is chosen at random.
UNORDERED = {"keys", "scan", "smembers", "sinter", "sunion", "sdiff", "sscan"}
RANDOM = {"randomkey", "hrandfield", "srandmember", "zrandmember"}
# An RDB version and a checksum are part of DUMP's reply, what a cursor stands for is the
# server's own affair, and integers that Redis shares are idle since it started.
OPAQUE = {"dump", "scan on", "object idletime"}
NEAR_MS = 2000


@dataclass
class Client:
    """One client on both sides."""

    session: trignb.Session
    connection: Connection
    queued: list[str] = field(default_factory=list)


class Pair:
    """Two keyspaces that should be the same."""

    def __init__(self, runner: OracleRunner) -> None:
        self.runner = runner
        runner.reset()
        self.engine = trignb.Engine(notify_keyspace_events=ALL_FLAGS)
        self.engine.core.active_expire = False
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.engine.core.listen(self._hear, EVERYTHING)
        self.engine.core.sinks.append(self.effects.extend)
        self.engine.core.sinks_changed()
        self.clients = {
            resp: Client(
                self.engine.session(resp), Connection(runner.server.port, resp)
            )
            for resp in (2, 3)
        }
        self.history: list[str] = []

    def _hear(self, db: Database, _kind: int, event: bytes, key: bytes) -> None:
        self.events.append(Event(db.index, event, key))

    def close(self) -> None:
        """Hang up."""
        self.engine.close()
        for client in self.clients.values():
            client.connection.close()

    def step(self, resp: int, *args: Argument) -> list[str]:
        """Run a command on both sides; returns how they differ, in lines."""
        client = self.clients[resp]
        self.history.append(
            f"RESP{resp}> {' '.join(repr(as_bytes(a))[1:] for a in args)}"
        )
        theirs = client.connection.execute(*args)
        ours = self._execute(client.session, args)
        names = self._names(client, name_of(args), theirs)
        their_events, their_effects = self.runner.drain()
        our_events, self.events = self.events, []
        our_effects = self.effects[:]
        self.effects.clear()
        if {*UNORDERED, "scan on"} & set(names):
            for things in (their_events, our_events):
                things.sort(key=lambda event: (event.db, event.key, event.name))
            # By command first: the frame's database is nobody's and would sort elsewhere.
            their_effects.sort(key=lambda effect: (effect[1], effect[0]))
            our_effects.sort(key=lambda effect: (effect[1], effect[0]))
        lines = []
        if not replies_agree(names, ours, theirs):
            lines += [f"reply: redis {theirs!r}", f"       here  {ours!r}"]
        if their_events != our_events:
            lines += [f"events: redis {their_events}", f"        here  {our_events}"]
        if not effects_agree(our_effects, their_effects):
            lines += [f"sent: redis {their_effects}", f"      here  {our_effects}"]
        return lines

    def _execute(self, session: trignb.Session, args: tuple[Argument, ...]) -> Any:
        try:
            reply = session.execute(*args)
        except ResponseError as error:
            return error
        return to_resp2(reply) if session.resp == 2 else reply

    def _names(self, client: Client, name: str, reply: Any) -> list[str]:
        """Return the command, or for EXEC the commands that it ran."""
        if reply == "QUEUED" and isinstance(reply, Status):
            client.queued.append(name)
        if name not in ("exec", "discard"):
            return [name]
        names, client.queued = client.queued, []
        return ["exec", *names]


def name_of(args: tuple[Argument, ...]) -> str:
    """Return the command's name; a scan that goes on has one of its own."""
    name, *rest = (as_bytes(arg).decode("latin-1").lower() for arg in args)
    if name == "object":
        return " ".join([name, *rest[:1]])
    return "scan on" if name == "scan" and rest[:1] not in ([], ["0"]) else name


def replies_agree(names: list[str], ours: Any, theirs: Any) -> bool:
    """Whether two replies say the same; EXEC's are compared one by one."""
    if names[0] != "exec":
        return reply_agrees(names[0], ours, theirs)
    if not (isinstance(ours, list) and isinstance(theirs, list)):
        return same(ours, theirs)
    return len(ours) == len(theirs) == len(names) - 1 and all(
        map(reply_agrees, names[1:], ours, theirs)
    )


def reply_agrees(name: str, ours: Any, theirs: Any) -> bool:
    """Whether two replies to a command say the same."""
    if name in CLOCK_READERS and type(ours) is type(theirs) is int:
        # Minus one and minus two are answers of their own.
        tolerance = CLOCK_READERS[name] if min(ours, theirs) > 0 else 0
        return bool(-tolerance <= ours - theirs <= tolerance)
    if name in UNORDERED:
        return same(in_order(ours), in_order(theirs))
    if name in RANDOM:
        return bool(shape(ours) == shape(theirs))
    if name in OPAQUE:
        return type(ours) is type(theirs)
    return same(ours, theirs)


def same(ours: Any, theirs: Any) -> bool:
    """Whether two replies are equal, their types included."""
    if isinstance(ours, ResponseError) or isinstance(theirs, ResponseError):
        return type(ours) is type(theirs) and as_text(ours) == as_text(theirs)
    if wire_kind(ours) != wire_kind(theirs):
        return False
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, dict):
        return same(list(ours.items()), list(theirs.items()))
    if isinstance(ours, tuple):
        return all(map(same, ours, theirs))
    if isinstance(ours, NullArray):
        return True
    return bool(ours == theirs)


def as_text(error: ResponseError) -> str:
    """Return an error's text; what is not UTF-8 in it cannot be text."""
    return str(error).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def wire_kind(reply: Any) -> str:
    """Return the RESP type of a reply."""
    kinds = (
        Status,
        Verbatim,
        BigNumber,
        bytes,
        bool,
        int,
        float,
        list,
        dict,
        set,
        tuple,
    )
    for kind in kinds:
        if isinstance(reply, kind):
            return kind.__name__
    return repr(reply)


def in_order(reply: Any) -> Any:
    """Return a reply with the keys it lists in order."""
    if isinstance(reply, (set, dict)):
        return set(reply)
    if not isinstance(reply, list):
        return reply
    if len(reply) == 2 and isinstance(reply[1], list):
        return [reply[0], sorted(reply[1])]
    return sorted(reply)


def shape(reply: Any) -> Any:
    """Return the outline of a reply: types and lengths."""
    if isinstance(reply, ResponseError):
        return str(reply)
    if isinstance(reply, list):
        return [shape(item) for item in reply]
    return wire_kind(reply)


def effects_agree(ours: list[Effect], theirs: list[Effect]) -> bool:
    """Whether two batches would leave two replicas the same."""
    ours, theirs = list(map(plain_effect, ours)), list(map(plain_effect, theirs))
    return len(ours) == len(theirs) and all(map(effect_agrees, ours, theirs))


def plain_effect(effect: Effect) -> Effect:
    """Leave out the database of a frame, and how a name was spelled."""
    db, args = effect
    args = [arg.upper() if is_word(arg) else arg for arg in args]
    # The database of the frame around a transaction is that of whatever came before.
    return (0 if args[0] in (b"MULTI", b"EXEC") else db), args


def is_word(arg: bytes) -> bool:
    """Whether an argument may be a name or an option."""
    return arg.isalpha()


def effect_agrees(ours: Effect, theirs: Effect) -> bool:
    """Whether two commands are the same but for milliseconds."""
    return (
        ours[0] == theirs[0]
        and len(ours[1]) == len(theirs[1])
        and all(map(argument_agrees, ours[1], theirs[1]))
    )


def argument_agrees(ours: bytes, theirs: bytes) -> bool:
    """Whether two arguments are equal, or two times that are near each other."""
    if ours == theirs:
        return True
    are_times = ours.isdigit() and theirs.isdigit() and len(ours) == len(theirs) == 13
    return are_times and abs(int(ours) - int(theirs)) <= NEAR_MS
