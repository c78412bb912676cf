"""The log: Redis's lines, levels, files."""

from __future__ import annotations

import io
import logging
import re
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from trignb import Engine
from trignb.server import logs

from .waiting import wait_until

LINE = re.compile(r"\d+:M \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} ([-.*#]) (.*)")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "trignb.log"
    handler = logs.start_logging(str(path))
    yield path
    logs.stop_logging(handler)


def lines_of(path: Path) -> list[tuple[str, ...]]:
    found = [LINE.fullmatch(line) for line in path.read_text("utf-8").splitlines()]
    return [each.groups() for each in found if each]


def test_levels_have_the_marks_of_redis(path: Path) -> None:
    logs.set_level("debug")
    for level in (logging.DEBUG, logs.VERBOSE, logging.INFO, logging.WARNING):
        logging.getLogger("trignb.x").log(level, "level %d", level)
    assert lines_of(path) == [
        (".", "level 10"),
        ("-", "level 15"),
        ("*", "level 20"),
        ("#", "level 30"),
    ]


def test_loglevel_says_what_is_left_out(path: Path) -> None:
    logger = logging.getLogger("trignb.x")
    for word in ("debug", "verbose", "notice", "warning", "nothing"):
        logs.set_level(word)
        for level in (10, 15, 20, 30):
            logger.log(level, word)
    found = [text for _, text in lines_of(path)]
    assert [found.count(w) for w in ("debug", "verbose", "notice", "warning")] == [
        *(4, 3, 2, 1)
    ]
    assert "nothing" not in found


def test_scripts_libraries_and_warnings_are_logged(path: Path) -> None:
    logs.set_level("debug")
    with Engine() as engine:
        for level in ("DEBUG", "VERBOSE", "NOTICE", "WARNING"):
            engine.execute("EVAL", f"redis.log(redis.LOG_{level}, '{level}')", "0")
        engine.load(
            "#!js api_version=1.0 name=lib\n"
            "redis.registerFunction('f', () => redis.log('from a library') || 1);"
        )
        engine.call("lib.f")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("mind the gap", stacklevel=1)
    lines = lines_of(path)
    assert lines[:4] == [
        (".", "DEBUG"),
        ("-", "VERBOSE"),
        ("*", "NOTICE"),
        ("#", "WARNING"),
    ]
    assert ("*", "lib: from a library") in lines
    assert any(mark == "#" and "mind the gap" in text for mark, text in lines)


def test_connections_are_logged_at_verbose(path: Path) -> None:
    logs.set_level("verbose")
    with Engine() as engine, engine.serve() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            host, port = sock.getsockname()
            sock.sendall(b"PING\r\n")
            assert sock.recv(100)
        wait_until(lambda: len(lines_of(path)) == 2)
    (mark, accepted), (_, closed) = lines_of(path)
    assert (mark, accepted) == ("-", f"Accepted {host}:{port}")
    assert closed.startswith("Client closed connection id=")


def test_a_replica_says_that_it_is_one(tmp_path: Path) -> None:
    path = tmp_path / "trignb.log"
    handler = logs.start_logging(str(path))
    try:
        logs.show_role(handler, lambda: True)
        logging.getLogger("trignb.x").info("here")
    finally:
        logs.stop_logging(handler)
    assert re.match(r"\d+:S \d\d \w{3} ", path.read_text("utf-8"))


def test_a_log_that_was_moved_away_begins_anew(path: Path) -> None:
    logger = logging.getLogger("trignb.x")
    logger.info("old")
    path.rename(path.with_suffix(".1"))
    logger.info("new")
    assert lines_of(path) == [("*", "new")]


def test_a_traceback_follows_its_line(path: Path) -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("trignb.x").exception("went wrong")
    text = path.read_text("utf-8")
    assert " # went wrong\nTraceback" in text
    assert "KeyError: 'lost'" in text


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    handler = logs.start_logging("")
    try:
        logging.getLogger("trignb.x").warning("look [here]")
    finally:
        logs.stop_logging(handler)
    assert "\x1b[1;33m" in terminal.getvalue()
    assert "look [here]" in terminal.getvalue()
