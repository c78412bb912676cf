"""EVAL and its forms, SCRIPT, FUNCTION, FCALL."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from trignb.engine.args import to_int
from trignb.engine.help import help_lines
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.glob import matcher
from trignb.lua.dump import dump_functions, load_functions
from trignb.lua.run import busy_text
from trignb.lua.scripts import NO_SCRIPT
from trignb.reply import OK, Reply, SetReply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.lua.libraries import FunctionLibrary, Libraries
    from trignb.lua.scripts import Scripts

Args = list[bytes]

# What EVALSHA names is as long as this, or there is no such script.
_DIGEST_SIZE = 40


@lru_cache(maxsize=256)
def _digest(source: bytes) -> str:
    """Return a script's name; clients send the same few over and over."""
    return hashlib.sha1(source).hexdigest()


def _wrong_subcommand(args: Args) -> ResponseError:
    """Return the error of a subcommand with arguments that its arity does not tell of."""
    given = args[1].decode("utf-8", "replace")
    return ResponseError(
        f"ERR unknown subcommand or wrong number of arguments for '{given}'. Try "
        f"{args[0].decode('utf-8', 'replace').upper()} HELP."
    )


def numbered_keys(args: Args, at: int, bad: str = "") -> tuple[Args, Args]:
    """Read ``numkeys key … arg …``; returns keys and arguments."""
    number = to_int(args[at], bad or None)
    if number > len(args) - at - 1:
        raise ResponseError("ERR Number of keys can't be greater than number of args")
    if number < 0:
        raise ResponseError("ERR Number of keys can't be negative")
    after = at + 1 + number
    return args[at + 1 : after], args[after:]


def script_family(scripts: Scripts) -> CommandFamily:
    """Return the commands over one engine's scripts and functions."""
    family = CommandFamily("scripting")
    command = family.command

    def evaluate(s: Session, args: Args, *, by_digest: bool, read_only: bool) -> Reply:
        if by_digest and len(args[1]) != _DIGEST_SIZE:
            raise ResponseError(NO_SCRIPT)
        keys, argv = numbered_keys(args, 2)
        source = None if by_digest else args[1]
        digest = args[1].decode("latin-1").lower() if by_digest else _digest(args[1])
        return scripts.evaluate(s, digest, source, keys, argv, read_only)

    @command("EVAL")
    def eval_(s: Session, args: Args) -> Reply:
        """Runs a Lua script."""
        return evaluate(s, args, by_digest=False, read_only=False)

    @command("EVAL_RO")
    def eval_ro(s: Session, args: Args) -> Reply:
        """Runs a Lua script that may not write."""
        return evaluate(s, args, by_digest=False, read_only=True)

    @command("EVALSHA")
    def evalsha(s: Session, args: Args) -> Reply:
        """Runs a Lua script known by its digest."""
        return evaluate(s, args, by_digest=True, read_only=False)

    @command("EVALSHA_RO")
    def evalsha_ro(s: Session, args: Args) -> Reply:
        """Runs a Lua script known by its digest, which may not write."""
        return evaluate(s, args, by_digest=True, read_only=True)

    @command("SCRIPT LOAD")
    def script_load(s: Session, args: Args) -> bytes:
        """Compiles a script and keeps it; returns its digest."""
        return scripts.load(args[2]).encode()

    @command("SCRIPT EXISTS")
    def script_exists(s: Session, args: Args) -> list[int]:
        """Tells which digests are known."""
        return [int(scripts.knows(a.decode("latin-1").lower())) for a in args[2:]]

    @command("SCRIPT FLUSH")
    def script_flush(s: Session, args: Args) -> Status:
        """Forgets all scripts."""
        if len(args) > 3 or (
            len(args) == 3 and args[2].upper() not in (b"SYNC", b"ASYNC")
        ):
            raise ResponseError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
        scripts.flush()
        return OK

    @command("SCRIPT KILL")
    def script_kill(s: Session, args: Args) -> Status:
        """Kills the script that is running."""
        scripts.runtime.kill("eval")
        return OK

    @command("SCRIPT HELP")
    def script_help(s: Session, args: Args) -> list[Status]:
        """Prints this help."""
        return help_lines(s, b"SCRIPT")

    @command("SCRIPT DEBUG")
    def script_debug(s: Session, args: Args) -> Status:
        """Turns the script debugger off; there is none to turn on."""
        if args[2].upper() not in (b"NO", b"YES", b"SYNC"):
            raise ResponseError("ERR Use SCRIPT DEBUG YES/SYNC/NO")
        if args[2].upper() != b"NO":
            raise ResponseError("ERR SCRIPT DEBUG is not available in this engine")
        return OK

    return family


def function_family(libraries: Libraries) -> CommandFamily:
    """Return the commands over one engine's function libraries."""
    family = CommandFamily("scripting")
    command = family.command

    def call(s: Session, args: Args, *, read_only: bool) -> Reply:
        libraries.find(args[1])
        keys, argv = numbered_keys(args, 2, "ERR Bad number of keys provided")
        return libraries.call(s, args[1], keys, argv, read_only=read_only)

    @command("FCALL")
    def fcall(s: Session, args: Args) -> Reply:
        """Calls a Lua function."""
        return call(s, args, read_only=False)

    @command("FCALL_RO")
    def fcall_ro(s: Session, args: Args) -> Reply:
        """Calls a Lua function that may not write."""
        return call(s, args, read_only=True)

    @command("FUNCTION LOAD")
    def function_load(s: Session, args: Args) -> bytes:
        """Loads a library of Lua functions."""
        *options, code = args[2:]
        for option in options:
            if option.upper() != b"REPLACE":
                given = option.decode("utf-8", "replace")
                raise ResponseError(f"ERR Unknown option given: {given}")
        name = libraries.load(code, replace=bool(options))
        s.core.dirty += 1
        return name

    @command("FUNCTION DELETE")
    def function_delete(s: Session, args: Args) -> Status:
        """Deletes a library."""
        libraries.delete(args[2])
        s.core.dirty += 1
        return OK

    @command("FUNCTION FLUSH")
    def function_flush(s: Session, args: Args) -> Status:
        """Deletes all libraries."""
        if len(args) > 3:
            raise _wrong_subcommand(args)
        if len(args) == 3 and args[2].upper() not in (b"SYNC", b"ASYNC"):
            raise ResponseError("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
        libraries.flush()
        s.core.dirty += 1
        return OK

    @command("FUNCTION LIST")
    def function_list(s: Session, args: Args) -> list[Reply]:
        """Describes the libraries."""
        pattern, with_code = _parse_list(args[2:])
        matches = matcher(pattern.lower()) if pattern is not None else None
        return [
            _describe(library, with_code)
            for library in libraries.loaded.values()
            if matches is None or matches(library.name.lower())
        ]

    @command("FUNCTION STATS")
    def function_stats(s: Session, args: Args) -> Reply:
        """Tells what runs and how much is loaded."""
        running = libraries.scripts.running
        if running is not None and running.kind == "eval":
            # A script is none of theirs.
            raise ResponseError(busy_text(running.kind))
        counts = {
            b"libraries_count": len(libraries.loaded),
            b"functions_count": len(libraries.functions),
        }
        return {
            b"running_script": libraries.scripts.describe_run(),
            b"engines": {b"LUA": counts},
        }

    @command("FUNCTION DUMP")
    def function_dump(s: Session, args: Args) -> bytes:
        """Serializes all libraries."""
        return dump_functions(
            [lib.code for lib in libraries.loaded.values()],
            s.core.config.values["rdb-version"],
        )

    @command("FUNCTION RESTORE")
    def function_restore(s: Session, args: Args) -> Status:
        """Takes libraries from a payload."""
        if len(args) > 4:
            raise _wrong_subcommand(args)
        policy = args[3].upper() if len(args) == 4 else b"APPEND"
        if policy not in (b"APPEND", b"FLUSH", b"REPLACE"):
            raise ResponseError(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND "
                "or REPLACE."
            )
        libraries.restore(load_functions(args[2]), policy)
        s.core.dirty += 1
        return OK

    @command("FUNCTION HELP")
    def function_help(s: Session, args: Args) -> list[Status]:
        """Prints this help."""
        return help_lines(s, b"FUNCTION")

    @command("FUNCTION KILL")
    def function_kill(s: Session, args: Args) -> Status:
        """Kills the function that is running."""
        libraries.scripts.runtime.kill("function")
        return OK

    return family


def _parse_list(options: Args) -> tuple[bytes | None, bool]:
    pattern, with_code = None, False
    words = list(options)
    while words:
        word = words.pop(0)
        if word.upper() == b"WITHCODE" and not with_code:
            with_code = True
        elif word.upper() == b"LIBRARYNAME" and pattern is None:
            if not words:
                raise ResponseError("ERR library name argument was not given")
            pattern = words.pop(0)
        else:
            given = word.decode("utf-8", "replace")
            raise ResponseError(f"ERR Unknown argument {given}")
    return pattern, with_code


def _describe(library: FunctionLibrary, with_code: bool) -> Reply:
    description: dict[bytes, Reply] = {
        b"library_name": library.name,
        b"engine": b"LUA",
        b"functions": [
            {
                b"name": function.name,
                b"description": function.description,
                b"flags": SetReply([Status(flag) for flag in function.flags]),
            }
            for function in library.functions.values()
        ],
    }
    if with_code:
        description[b"library_code"] = library.code
    return description
