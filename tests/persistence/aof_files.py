"""What tests of append-only files look at: the files, and engines on them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import trignb
from trignb.persistence.aof_file import read_commands
from trignb.resp.propagated import encode_request

LIBRARY = """#!js api_version=1.0 name=lib
redis.registerKeySpaceTrigger("count", "user:", (client, data) => {
    client.call("incr", "fired");
});
redis.registerStreamTrigger("reader", "log", (client, data) => {
    client.call("rpush", "seen", data.id[0].toString());
});
"""
LUA = "#!lua name=mylib\nredis.register_function('f', function() return 'hi' end)"


def engine_on(directory: Path, **config: Any) -> trignb.Engine:
    """Return an engine that writes down what it does in a directory."""
    options = {"enable_debug_command": "yes", "appendonly": True, **config}
    return trignb.Engine(dir=str(directory), **options)


def run(engine: trignb.Engine, text: str) -> Any:
    """Run a command given as words; returns an error's text for an error."""
    try:
        return engine.execute(*text.split())
    except trignb.ResponseError as error:
        return str(error)


def run_all(engine: trignb.Engine, script: str) -> None:
    """Run a command per line."""
    for line in script.strip().splitlines():
        run(engine, line)


def files(directory: Path) -> dict[str, bytes]:
    """Return the append-only files of a directory by name, without the lock."""
    home = directory / "appendonlydir"
    return {
        name: (home / name).read_bytes()
        for name in sorted(os.listdir(home))
        if not name.endswith(".lock")
    }


def last_file(directory: Path) -> Path:
    """Return the file that is written to."""
    manifest = (directory / "appendonlydir" / "appendonly.aof.manifest").read_text()
    return directory / "appendonlydir" / manifest.split()[-5]


def words(data: bytes) -> list[bytes]:
    """Return the commands in bytes, one text each; empty for a line that is none."""
    return [b" ".join(args) for args, _, _ in read_commands(data)]


def requests(*texts: str) -> bytes:
    """Return commands as they are in a file."""
    return b"".join(encode_request(text.encode().split()) for text in texts)


def write_files(directory: Path, **contents: bytes) -> None:
    """Write append-only files that somebody else might have left: ``i1=...`` or ``b1=...``."""
    home = directory / "appendonlydir"
    home.mkdir(exist_ok=True)
    lines = []
    for name, data in contents.items():
        kind, seq = name[0], name[1:]
        middle = {"b": "base", "i": "incr"}[kind]
        file = f"appendonly.aof.{seq}.{middle}.aof"
        (home / file).write_bytes(data)
        lines.append(f"file {file} seq {seq} type {kind}\n")
    (home / "appendonly.aof.manifest").write_text("".join(lines))


def digest(engine: trignb.Engine) -> str:
    """Return what DEBUG DIGEST says of all keys."""
    return str(engine.execute("DEBUG", "DIGEST"))
