"""Several clients at once: the same session on a real server and on a served engine.

A session is a text, a line for each step: ``one BLPOP k 0 …``. Behind the client's name may stand

- ``!``: the client is sent the command and has to wait; the next step comes once it does,
- ``~``: the client is sent the command, whatever becomes of it,
- ``?`` (no command): what it has been told meanwhile, or that it still waits,
- ``x`` (no command): it hangs up.

``ID:name`` in a command stands for a client's number.

Nothing depends on how long something takes: whether a client waits is asked of the server.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oracle.wire import Connection
from trignb.errors import ResponseError
from trignb.resp.inline import split_inline

__all__ = ["play", "sessions"]

WAITS = "still waits"
ENDED = "the connection ended"
_PATIENCE_S = 20

# What two right servers may tell otherwise.
_VARYING = (
    re.compile(rb"usec=\d+,usec_per_call=[\d.]+"),
    re.compile(
        rb"(?:id|addr|laddr|fd|age|idle|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|omem|"
        rb"tot-mem)=\S*"
    ),
    re.compile(rb"client_recent_max_(?:in|out)put_buffer:\d+\r\n"),
)


class _Side:
    """The clients of one server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.admin = Connection(port)
        self.clients: dict[str, Connection] = {}
        self.ids: dict[str, str] = {}
        for words in (
            ("CLIENT", "UNPAUSE"),
            ("FLUSHALL",),
            ("CONFIG", "RESETSTAT"),
            ("SLOWLOG", "RESET"),
        ):
            self.admin.execute(*words)

    def client(self, name: str) -> Connection:
        if name not in self.clients:
            resp = 3 if name.startswith("three") else 2
            self.clients[name] = client = Connection(self.port, resp)
            self.ids[name] = str(client.execute("CLIENT", "ID"))
        return self.clients[name]

    def waits(self, name: str) -> bool:
        told = self.admin.execute("CLIENT", "LIST", "ID", self.ids[name])
        flags = re.search(rb" flags=(\S+)", told)
        return flags is not None and b"b" in flags[1]

    def step(self, line: str) -> Any:
        mark, name, words = _split(line)
        for other in re.findall(r"ID:(\w+)", line):
            self.client(other)
        words = [
            re.sub(rb"ID:(\w+)", lambda m: self.ids[m[1].decode()].encode(), word)
            for word in words
        ]
        client = self.client(name)
        match mark:
            case "!":
                client.send(*words)
                _until(lambda: self.waits(name))
                return None
            case "~":
                client.send(*words)
                return None
            case "?":
                return WAITS if self.waits(name) else _heard(client)
            case "x":
                client.close()
                number = self.ids[name]
                del self.clients[name]
                _until(lambda: not self.admin.execute("CLIENT", "LIST", "ID", number))
                return None
        client.send(*words)
        while not select.select([client.socket], [], [], 0.05)[0]:
            if self.waits(name):
                return WAITS
        return _heard(client)

    def close(self) -> None:
        self.admin.execute("CLIENT", "UNPAUSE")
        for client in [self.admin, *self.clients.values()]:
            client.close()


def _split(line: str) -> tuple[str, str, list[bytes]]:
    name, _, rest = line.partition(" ")
    words = split_inline(rest.encode())
    assert words is not None, line
    mark = name[-1] if name[-1] in "!~?x" else ""
    return mark, name.removesuffix(mark) if mark else name, words


def _heard(client: Connection) -> Any:
    client.socket.settimeout(_PATIENCE_S)
    try:
        return client.read()
    except (ConnectionError, TimeoutError):
        return ENDED


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.002)


def even(reply: Any) -> Any:
    """Return a reply without what may differ."""
    if isinstance(reply, ResponseError):
        return "error", str(reply)
    if isinstance(reply, list):
        return [even(item) for item in reply]
    if isinstance(reply, bytes):
        for pattern in _VARYING:
            reply = pattern.sub(b"", reply)
        if reply.startswith(b"# Commandstats"):
            # The order is that of a hash table; how often others were asked is our doing.
            lines = sorted(reply.split(b"\r\n"))
            asked = (b"cmdstat_client|list", b"cmdstat_client|id", b"cmdstat_function")
            return [line for line in lines if not line.startswith(asked)]
    return reply


def sessions(path: Path) -> Iterator[tuple[str, str]]:
    """Yield names and texts of the sessions in a file; ``##`` begins one."""
    for part in path.read_text("utf-8").split("## ")[1:]:
        name, _, text = part.partition("\n")
        yield name, text


def play(text: str, real: int, ours: int) -> list[str]:
    """Play a session on two ports; returns how they differ, in lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    sides = [_Side(real), _Side(ours)]
    differences: list[str] = []
    try:
        for line in lines:
            theirs, here = (even(side.step(line)) for side in sides)
            if theirs != here or type(theirs) is not type(here):
                differences += [f"{line}", f"  redis {theirs!r}", f"  here  {here!r}"]
    finally:
        for side in sides:
            side.close()
    return differences
