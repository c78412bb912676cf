"""Dialogues: what several clients say to a server, and what each of them hears, push and hang-up included.

A dialogue is text, one command a line, ``b: GET a`` for the client b (``a`` without a name); words are
quoted as redis-cli takes them, and what stands between ``;;`` is sent in one packet. ``{b.id}`` stands for a client's number, ``{port}`` for the server's. Lines that begin
with a mark are no commands:

``!hangup b``
    b closes its connection.
``!hear b``
    Go on when b has heard something, however long it takes.
``!only INFO stats / tracking_``
    A command of which only the lines with these beginnings count.
``!ids CLIENT ID``
    A command that answers with clients' numbers.

What two right servers may tell differently (numbers of clients, ports, ages, buffers) is evened out here.
"""

from __future__ import annotations

import re
import select
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from oracle.wire import Connection
from trignb.resp.inline import split_inline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Side", "dialogues", "differences"]

# How long a client may be waited for.
_PATIENCE_S: Final = 10
# After so many questions to a server everything that it had to say has been sent: a hang-up comes
# a round after its reason, a message to another client in the round of it.
_ROUNDS: Final = 4
# Their order is a hash table's.
_UNORDERED: Final = (
    ("ACL", "CAT"),
    ("PUBSUB", "CHANNELS"),
    ("PUBSUB", "SHARDCHANNELS"),
)
# Fields of CLIENT LIST about memory, files and time.
_VOLATILE: Final = re.compile(
    r"\b(laddr|addr|fd|age|idle|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|"
    r"tot-mem|events)=\S*"
)
_TIMES: Final = re.compile(r"usec=\d+,usec_per_call=[\d.]+,")
_FLUSHED: Final = re.compile(r"invalidate, (_|\$-1)\]$")
# What follows these in a reply is a time, a version or the like.
_VOLATILE_AFTER: Final = (
    *("$age-seconds", "$timestamp-created", "$timestamp-last-updated"),
    *("$version", "$modules", "$id"),
)
# What follows these is a client's number.
_NUMBER_AFTER: Final = ("$redirect", "$tracking-redir-broken")


class Client:
    """One client of one server."""

    def __init__(self, port: int) -> None:
        self.connection = Connection(port)
        number = self.connection.execute("CLIENT", "ID")
        # A server that wants a password first does not tell it.
        self.id = number if type(number) is int else 0
        host, own_port = self.connection.socket.getsockname()
        self.address = f"{host}:{own_port}"
        self.heard = b""
        self.is_open = True

    def say(self, commands: list[list[bytes]]) -> None:
        """Send commands at once; to a server that hung up they are said in vain."""
        try:
            self.connection.socket.sendall(b"".join(map(_packed, commands)))
        except OSError:
            self.is_open = False

    def listen(self) -> bool:
        """Take what has come; tell whether the server hung up now."""
        if not self.is_open:
            return False
        sock = self.connection.socket
        while select.select([sock], [], [], 0)[0]:
            try:
                data = sock.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                self.is_open = False
                return True
            self.heard += data
        return False

    def hang_up(self) -> None:
        """Close the connection."""
        self.is_open = False
        self.connection.close()


class Side:
    """One server and its clients by name."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: dict[str, Client] = {}
        self.observer = Connection(port)
        self._observer_id = self.observer.execute("CLIENT", "ID")
        self._first_entry: int | None = None

    def ask(self, *words: str | bytes) -> Any:
        """Run a command as a client beside the dialogue."""
        return self.observer.execute(*words)

    def client(self, name: str) -> Client:
        """Return a client, connecting it at its first word."""
        if name not in self.clients:
            self.clients[name] = Client(self.port)
        return self.clients[name]

    def settle(self) -> None:
        """Return when the server has done all that was said to it."""
        for _ in range(_ROUNDS):
            self.ask("PING")

    def say(self, name: str, commands: list[list[bytes]]) -> None:
        """Have a client say something."""
        filled = [[self._filled_in(word) for word in words] for words in commands]
        self.client(name).say(filled)
        self.settle()

    def wait_for(self, name: str) -> None:
        """Return when a client has heard something."""
        self.client(name)
        sock = self.clients[name].connection.socket
        select.select([sock], [], [], _PATIENCE_S)
        self.settle()

    def _filled_in(self, word: bytes) -> bytes:
        def value(match: re.Match[bytes]) -> bytes:
            client = self.client(match[1].decode())
            return b"%d" % client.id if match[2] == b"id" else client.address.encode()

        word = word.replace(b"{port}", b"%d" % self.port)
        return re.sub(rb"\{(\w+)\.(id|addr)\}", value, word)

    def told(
        self, *, unordered: bool, ids: bool, only: tuple[str, ...]
    ) -> dict[str, str]:
        """Return what each client has heard since the last time, as text."""
        found = {}
        for name, client in self.clients.items():
            ended = client.listen()
            heard, client.heard = client.heard, b""
            messages = [
                self._evened_out(message, unordered, only)
                for message in _messages(heard)
            ]
            if ids:
                messages = [
                    m if isinstance(m, tuple) else self._named(m) for m in messages
                ]
            parts = _in_order([*map(_shown, messages)])
            if ended:
                parts.append("(hangs up)")
            if parts:
                found[name] = " ".join(parts)
        return found

    def _evened_out(self, item: Any, unordered: bool, only: tuple[str, ...]) -> Any:
        if isinstance(item, tuple):
            mark, items = item
            items = [self._evened_out(each, False, only) for each in items]
            for i, each in enumerate(items[:-1]):
                if each in _VOLATILE_AFTER:
                    items[i + 1] = "."
                elif each == "$entry-id":
                    items[i + 1] = self._entry(items[i + 1])
                elif each in _NUMBER_AFTER:
                    items[i + 1] = self._named(items[i + 1])
            return mark, sorted(items, key=repr) if unordered else items
        if only:
            lines = _TIMES.sub("", item[1:]).split(r"\r\n")
            return ",".join(sorted(line for line in lines if line.startswith(only)))
        for name, client in self.clients.items():
            item = item.replace(client.address, f"<{name}.addr>")
            number = rf"(?<!\w)(n?id=|redir=){client.id}\b"
            item = re.sub(number, rf"\1<{name}.id>", item)
        item = re.sub(rf"(?<!\w)(n?id=){self._observer_id}\b", r"\1<observer>", item)
        return _VOLATILE.sub(r"\1=.", item).replace(str(self.port), "<port>")

    def _named(self, number: str) -> str:
        """Return the name of the client that has a number."""
        for name, client in self.clients.items():
            if number == f":{client.id}":
                return f":<{name}.id>"
        return number

    def _entry(self, number: str) -> str:
        """Return an entry of ACL LOG by its distance from the first seen."""
        value = int(number[1:])
        if self._first_entry is None:
            self._first_entry = value
        return f":{value - self._first_entry:+d}"

    def close(self) -> None:
        """Hang up all clients."""
        for client in self.clients.values():
            client.hang_up()
        self.clients.clear()
        self.observer.close()


def dialogues(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the titles (``## title``) of a text's dialogues with their lines."""
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, *lines = part.splitlines()
        kept = [line.strip() for line in lines if line.strip()]
        yield title.strip(), [line for line in kept if not line.startswith("#")]


def differences(theirs: Side, ours: Side, lines: Iterable[str]) -> list[str]:
    """Lead a dialogue with both servers; returns what they answered differently, in lines."""
    found = []
    for line in lines:
        only: tuple[str, ...] = ()
        command = line
        if line.startswith("!only "):
            command, _, names = line.removeprefix("!only ").partition(" / ")
            only = tuple(names.split())
        ids = line.startswith("!ids ")
        name, commands = _split(command.removeprefix("!ids "))
        for side in (theirs, ours):
            if line.startswith("!hangup "):
                side.client(line.split()[1]).hang_up()
                side.settle()
            elif line.startswith("!hear "):
                side.wait_for(line.split()[1])
            else:
                side.say(name, commands)
        unordered = any(
            tuple(word.decode("latin-1").upper() for word in commands[0][: len(start)])
            == start
            for start in _UNORDERED
        )
        told = [s.told(unordered=unordered, ids=ids, only=only) for s in (theirs, ours)]
        for client in sorted(told[0].keys() | told[1].keys()):
            redis, here = (heard.get(client, "nothing") for heard in told)
            if redis != here:
                found += [line, f"    {client} hears of redis: {redis}"]
                found += [f"    {client} hears here    : {here}"]
    return found


def _split(line: str) -> tuple[str, list[list[bytes]]]:
    match = re.match(r"(\w+): +(.*)", line)
    name, rest = (match[1], match[2]) if match else ("a", line)
    commands = []
    for part in rest.split(" ;; "):
        words = split_inline(part.encode())
        assert words is not None, line
        commands.append(words)
    return name, commands


def _packed(words: list[bytes]) -> bytes:
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n" % len(words) + b"".join(parts)


def _tells_of_a_flush(part: str) -> bool:
    return _FLUSHED.search(part) is not None


def _in_order(parts: list[str]) -> list[str]:
    """Even out who is told first that everything was flushed: Redis turns its list of clients."""
    runs = groupby(parts, _tells_of_a_flush)
    return [part for _, run in runs for part in _sorted_if_flush([*run])]


def _sorted_if_flush(run: list[str]) -> list[str]:
    return sorted(run) if _tells_of_a_flush(run[0]) else run


# -- replies, with the kind of each


def _messages(data: bytes) -> list[Any]:
    found, at = [], 0
    while at < len(data):
        try:
            item, at = _item(data, at)
        except ValueError:
            # An array with fewer items than it says (CLIENT REPLY in a transaction).
            item, at = repr(data[at:]), len(data)
        found.append(item)
    return found


def _item(data: bytes, at: int) -> tuple[Any, int]:
    end = data.index(b"\r\n", at)
    mark, rest = chr(data[at]), data[at + 1 : end]
    at = end + 2
    if mark in "$=!*~>%" and int(rest) >= 0:
        size = int(rest)
        if mark in "$=!":
            return mark + repr(data[at : at + size])[2:-1], at + size + 2
        items = []
        for _ in range(2 * size if mark == "%" else size):
            item, at = _item(data, at)
            items.append(item)
        return (mark, items), at
    return mark + repr(rest)[2:-1], at


def _shown(item: Any) -> str:
    if isinstance(item, tuple):
        return f"{item[0]}[{', '.join(map(_shown, item[1]))}]"
    return str(item)
