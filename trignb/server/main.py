"""A server as a process: directives, libraries, signals.

What ``trignb serve`` does once its arguments are read.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trignb.api import Engine
from trignb.resp.inline import split_inline
from trignb.server.server import Server

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["DirectiveError", "read_directives", "serve_engine"]

# What the server itself lives by, or the constructor takes apart from the others.
_OWN: Final = ("port", "bind", "unixsocket", "tls-port", "databases", "logfile")
_DEFAULT_PORT: Final = "6379"
_HIGHEST_PORT: Final = 65535


class DirectiveError(Exception):
    """A directive cannot be read."""


def read_directives(args: Iterable[str], path: Path | None) -> dict[str, str]:
    """Return directives by name: those of the file, then those of the command line.

    Raises
    ------
    DirectiveError
        For a line whose quotes do not fit, or an argument that belongs to no directive.
    """
    found: dict[str, str] = {}
    if path is not None:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            stripped = line.strip()
            if not stripped or stripped.startswith(b"#"):
                continue
            words = split_inline(stripped)
            if words is None or len(words) < 2:
                raise DirectiveError(f"{path}, line {number}: bad directive")
            name, *values = (w.decode("utf-8", "surrogateescape") for w in words)
            _add(found, name.lower(), values)
    name = ""
    given: dict[str, list[str]] = {}
    for arg in args:
        if arg.startswith("--") and len(arg) > 2:
            name = arg[2:].lower()
            given[name] = []
        elif not name:
            raise DirectiveError(f"{arg!r} belongs to no directive")
        else:
            given[name].append(arg)
    for name, values in given.items():
        found[name] = " ".join(values)
    return found


def _add(found: dict[str, str], name: str, values: list[str]) -> None:
    # A file has one line for each save point and each class of clients.
    text = " ".join(values)
    if name in ("save", "client-output-buffer-limit") and found.get(name) and text:
        text = f"{found[name]} {text}"
    found[name] = text


def serve_engine(
    args: Iterable[str],
    path: Path | None,
    libraries: Iterable[Path],
    gears: Iterable[str],
) -> None:
    """Serve until the end of the process is asked for.

    Raises
    ------
    DirectiveError
        When directives cannot be read.
    ResponseError
        When a value is refused, or a library does not load.
    OSError
        When the port is taken or a file cannot be read.
    """
    directives = read_directives(args, path)
    own = {name: directives.pop(name, "") for name in _OWN}
    for pair in gears:
        name, _, value = pair.partition("=")
        directives[f"redisgears_2.{name}"] = value
    say = _logger(own["logfile"])
    engine = Engine(databases=_number(own, "databases", "16"))
    try:
        _configure(engine, directives, say)
        _remember(engine, own, path)
        _load_data(engine, say)
        for library in libraries:
            engine.load(library.read_text("utf-8"))
        server = _open(engine, own, say)
        _end_on_signals(server)
        say("Ready to accept connections")
        server.run_forever()
        if engine.core.config.values["save"] and not server.was_shut_down:
            engine.execute("SAVE")
        say("bye bye")
    finally:
        engine.close()


def _number(own: dict[str, str], name: str, default: str) -> int:
    text = own[name] or default
    if not text.isdecimal() or int(text) > _HIGHEST_PORT:
        raise DirectiveError(f"bad value for {name}: {text!r}")
    return int(text)


def _configure(engine: Engine, directives: dict[str, str], say: Any) -> None:
    known = {}
    for name, value in directives.items():
        if name in engine.core.config.parameters:
            known[name] = value
        else:
            say(f"Warning: unknown directive {name!r} is ignored")
    if "dir" in known:
        engine.saver.has_directory = True
    engine.core.config.set_initial(known)


def _remember(engine: Engine, own: dict[str, str], path: Path | None) -> None:
    """Let CONFIG GET and CONFIG REWRITE know the directives that were taken apart."""
    config = engine.core.config
    for name in ("bind", "unixsocket", "logfile"):
        if own[name]:
            config.values[name] = own[name]
    config.values["tls-port"] = _number(own, "tls-port", "0")
    config.file = "" if path is None else str(path.resolve())


def _load_data(engine: Engine, say: Any) -> None:
    values = engine.core.config.values
    file = Path(values["dir"], values["dbfilename"])
    if engine.saver.has_directory and file.exists():
        began = time.monotonic()
        keys = engine.load_rdb(file)
        say(f"DB loaded from disk: {keys} keys, {time.monotonic() - began:.3f} seconds")


def _open(engine: Engine, own: dict[str, str], say: Any) -> Server:
    host = (own["bind"] or "127.0.0.1").split()[0].lstrip("-")
    port = _number(own, "port", _DEFAULT_PORT)
    tls_port = _number(own, "tls-port", "0")
    return Server(
        engine.core,
        "0.0.0.0" if host == "*" else host,
        port or None,
        unixsocket=own["unixsocket"],
        tls_port=tls_port or None,
        log=say,
    )


def _end_on_signals(server: Server) -> None:
    def end(_number: int, _frame: FrameType | None) -> None:
        server.close_soon()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _logger(path: str) -> Any:
    def say(line: str) -> None:
        stamp = time.strftime("%d %b %Y %H:%M:%S")
        text = f"{os.getpid()}:M {stamp} * {line}"
        if path:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text + "\n")
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    return say
