"""ACL files that are right and wrong: what they load, what they are refused with, what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oracle.server import RedisServer, require_server
from oracle.wire import Connection
from trignb import Engine

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]

DEFAULT = "user default on nopass ~* &* +@all\n"
HASH = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
# A selector that does not end makes 7.2.4 end.
CONTENTS = [
    "",
    "user alice on nopass ~* +@all\n",
    "\n\n  \nuser bob on >p ~x &y +get  \n",
    "user default off ~* +@all &x\nuser alice on\n",
    "user default on >foo +@all -get\n",
    "user alice on nopass +@al ~*\n",
    "user alice on foo\nuser bob +nope ~x\nuser alice on\n",
    *("alice on\n", "user\n", "user \n", "user alice\n", "USER alice on\n"),
    "user alice ON NOPASS\n",
    "user alice on nopass\nuser alice off\n",
    "user default on nopass ~* +@all\nuser default on nopass\n",
    "# no comment\nuser alice on\n",
    "user alice on (~x +get) (%R~y +@read)\n",
    "user alice foo +zz bar +yy\nuser bob foo\nbaz\nuser bob\n",
    "user alice on ~x ~*\nuser bob ~* ~x foo +zz\n",
    f"user alice on #{HASH} #abc\n",
    "user alice on <p\n",
    "user alice\ton\tnopass\n",
    "user al\tice on\n",
    "  user alice on\n",
    "user alice on\r\nuser bob on\r\n",
    "user alice on nopass",
    'user "a b" on\n',
    "user alice on allchannels &x\n",
    "user alice on nopass +get|x +config|foo +config|get|x\n",
    "user a\nuser b\nuser c off\nfoo\nbar\nuser d +zz\n",
    "user alice on nopass ~* +@all\0x\n",
    "user alice on %R\n",
    "user alice reset on +get|x\n",
]


class Both:
    """A server and an engine, each with an ACL file of its own."""

    def __init__(self, server: RedisServer, engine: Engine, paths: list[Path]) -> None:
        self.ports = [server.port, engine.serve().port]
        self.paths = paths
        self.connections = [Connection(port) for port in self.ports]

    def write(self, text: str) -> None:
        """Write the same into both files."""
        for path in self.paths:
            path.write_text(text, newline="")

    def ask(self, *words: str) -> Any:
        """Return what both answer to a command, which has to be the same."""
        theirs, ours = (
            str(connection.execute(*words)).replace(str(path), "FILE")
            for connection, path in zip(self.connections, self.paths, strict=True)
        )
        assert ours == theirs, words
        return theirs

    def saved(self) -> None:
        """Save on both; the lines have to be the same."""
        self.ask("ACL", "SAVE")
        theirs, ours = (sorted(path.read_text().split("\n")) for path in self.paths)
        assert ours == theirs


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    require_server("redis72")
    paths = [tmp_path / "theirs.acl", tmp_path / "ours.acl"]
    for path in paths:
        path.write_text(DEFAULT)
    with (
        RedisServer("redis72", aclfile=str(paths[0])) as server,
        Engine(aclfile=str(paths[1])) as engine,
    ):
        both = Both(server, engine, paths)
        yield both
        for connection in both.connections:
            connection.close()


def test_files_load_or_are_refused_alike(both: Both, counts: Counter[str]) -> None:
    for text in CONTENTS:
        both.write(text if "default" in text else DEFAULT + text)
        both.ask("ACL", "LOAD")
        both.ask("ACL", "LIST")
        both.saved()
        both.write(DEFAULT)
        for connection in both.connections:
            assert connection.execute("ACL", "LOAD") == "OK", text
        counts["ACL files that load or are refused alike"] += 1


def test_a_file_that_is_gone(both: Both) -> None:
    for path in both.paths:
        path.unlink()
    assert both.ask("ACL", "LOAD") == (
        "ERR Error loading ACLs, opening file 'FILE': No such file or directory"
    )


@pytest.mark.parametrize("user", ["default", "alice"])
def test_loading_hangs_up_on_users_other_than_the_default_one(
    both: Both, user: str
) -> None:
    both.write(DEFAULT + "user alice on nopass ~* &* +@all\n")
    both.ask("ACL", "LOAD")
    for port, observer in zip(both.ports, both.connections, strict=True):
        client = Connection(port)
        if user != "default":
            assert client.execute("AUTH", user, "any") == "OK"
        assert observer.execute("ACL", "LOAD") == "OK"
        if user == "default":
            assert client.execute("PING") == "PONG"
        else:
            assert client.socket.recv(1) == b""
        client.close()


def test_who_loads_hears_the_answer_before_the_end(both: Both) -> None:
    both.write(DEFAULT + "user alice on nopass ~* &* +@all\n")
    both.ask("ACL", "LOAD")
    for port in both.ports:
        client = Connection(port)
        assert client.execute("AUTH", "alice", "any") == "OK"
        assert client.execute("ACL", "LOAD") == "OK"
        assert client.socket.recv(1) == b""
        client.close()
