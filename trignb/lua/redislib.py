"""The functions of the ``redis`` table, as Lua calls them.

Each answers with its value, or with None and the text of an error, which is raised on Lua's side.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from trignb.engine import spec
from trignb.engine.eviction import OUT_OF_MEMORY
from trignb.errors import ResponseError
from trignb.lua.arguments import numeral, to_int32
from trignb.lua.constants import REPL_ALL
from trignb.lua.convert import error_table, number_argument, to_lua

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.spec import Command
    from trignb.lua.run import Run

__all__ = ["RedisFunctions"]

_LOGGER = logging.getLogger("trignb.lua")
# Redis's verbose lies between Python's debug and info.
_LEVELS: Final = (logging.DEBUG, 15, logging.INFO, logging.WARNING)

# What replicas hear of although it writes nothing, which COMMAND INFO keeps to itself.
_MAY_REPLICATE: Final = frozenset({"pfcount", "publish", "spublish"})

Answer = Any


class _ArgumentsError(ResponseError):
    """Arguments of ``redis.call`` that are none of a command's."""


class RedisFunctions:
    """What a script's ``redis`` table can do; ``run`` is the script at work, None while a library loads."""

    def __init__(self, core: Core, table: Callable[[Any], Any]) -> None:
        self.core = core
        self.table = table
        self.run: Run | None = None

    def members(self) -> dict[bytes, Callable[..., Answer]]:
        """Return what scripts and functions have, but for ``call`` and ``pcall``."""
        return {
            b"error_reply": self._error_reply,
            b"status_reply": self._status_reply,
            b"log": self.log,
            b"sha1hex": _sha1hex,
            b"setresp": self._setresp,
            b"set_repl": self._set_repl,
            b"acl_check_cmd": self._acl_check_cmd,
        }

    def script_members(self) -> dict[bytes, Callable[..., Answer]]:
        """Return what only scripts have."""
        return {
            b"replicate_commands": _replicate_commands,
            b"breakpoint": _breakpoint,
            b"debug": _debug,
        }

    # -- commands

    def call(self, *args: Any) -> Answer:
        """Run a command; an error reply is an error of the script, counted or not."""
        try:
            return self._reply(args)
        except ResponseError as error:
            self._count(error)
            return None, str(error).encode("utf-8", "surrogateescape"), error.counted

    def pcall(self, *args: Any) -> Answer:
        """Run a command; an error reply is a table."""
        try:
            return self._reply(args)
        except ResponseError as error:
            self._count(error)
            return error_table(error, self.table)

    def _count(self, error: ResponseError) -> None:
        """Count an error reply; wrong arguments are one only if the script ends with it."""
        if not isinstance(error, _ArgumentsError):
            self.core.count_error(error)

    def _reply(self, args: tuple[Any, ...]) -> Any:
        run = self.run
        if run is None:
            raise ResponseError("ERR redis.call outside of a script")
        reply = self._execute(run, _arguments(args))
        return to_lua(reply, self.table, run.resp)

    def _execute(self, run: Run, argv: list[bytes]) -> Any:
        core, session = self.core, run.session
        command = None
        try:
            command = self._find(argv)
            self._check(run, command, argv)
        except ResponseError as error:
            if command is not None:
                command.rejected += 1
            core.tracing.refused(session, argv, error)
            raise
        resp, null = session.resp, session.null_array
        # The script's protocol decides the shape of the reply, not the client's.
        session.resp = run.resp
        session.null_array = None
        if command.flags & spec.WRITE:
            # Whether it changes anything or fails: this script is not stopped half-way.
            run.wrote = True
        first = len(core.effects)
        try:
            return core.call(session, command, argv)
        finally:
            session.resp, session.null_array = resp, null
            if run.target != REPL_ALL:
                core.withhold(first, run.target)

    def _find(self, argv: list[bytes]) -> Command:
        command = self.core.table.find(argv[0])
        if command is None:
            raise ResponseError("ERR Unknown Redis command called from script")
        if command.subcommands is not None and len(argv) > 1:
            found = command.subcommands.get(argv[1].upper())
            if found is None:
                raise ResponseError("ERR Unknown Redis command called from script")
            command = found
        return command

    def _check(self, run: Run, command: Command, argv: list[bytes]) -> None:
        arity = command.arity
        if len(argv) != arity and (arity > 0 or len(argv) < -arity):
            raise ResponseError(
                "ERR Wrong number of args calling Redis command from script"
            )
        if command.flags & spec.NOSCRIPT:
            raise ResponseError("ERR This Redis command is not allowed from script")
        if run.read_only and (
            command.flags & spec.WRITE or command.name in _MAY_REPLICATE
        ):
            raise ResponseError(
                "ERR Write commands are not allowed from read-only scripts."
            )
        if self.core.permission is not None:
            self.core.permissions.check_in_script(run.session, command, argv)
        for gate in self.core.gates:
            gate(run.session, command, argv)
        # A script that has begun to write goes on to its end.
        may_grow = run.may_grow or run.wrote
        if self.core.eviction.refuses and command.flags & spec.DENYOOM and not may_grow:
            raise ResponseError(OUT_OF_MEMORY)

    # -- replies

    def _wrong_arguments(self) -> Answer:
        error = ResponseError("ERR wrong number or type of arguments")
        error.counted = False
        return error_table(error, self.table)

    def _error_reply(self, *args: Any) -> Answer:
        if len(args) != 1 or not isinstance(args[0], bytes):
            return self._wrong_arguments()
        text = args[0].removeprefix(b"-")
        # A word of its own in front is the error's code.
        if b" " not in text:
            text = b"ERR " + text
        return self.table({b"err": text})

    def _status_reply(self, *args: Any) -> Answer:
        if len(args) != 1 or not isinstance(args[0], bytes):
            return self._wrong_arguments()
        return self.table({b"ok": args[0]})

    # -- the rest

    def log(self, *args: Any) -> Answer:
        """Write to the log of the engine."""
        if len(args) < 2:
            return None, b"ERR redis.log() requires two arguments or more."
        level = numeral(args[0])
        if level is None:
            return None, b"ERR First argument must be a number (log level)."
        if not 0 <= to_int32(level) <= 3:
            return None, b"ERR Invalid debug level."
        # What has no text is left out.
        texts = [_text(arg) for arg in args[1:] if _has_text(arg)]
        text = b" ".join(texts)
        _LOGGER.log(_LEVELS[to_int32(level)], text.decode("utf-8", "replace"))
        return None

    def _setresp(self, *args: Any) -> Answer:
        if len(args) != 1:
            return None, b"ERR redis.setresp() requires one argument."
        version = numeral(args[0])
        if version is None or to_int32(version) not in (2, 3):
            return None, b"ERR RESP version must be 2 or 3."
        if self.run is not None:
            self.run.resp = int(version)
        return None

    def _set_repl(self, *args: Any) -> Answer:
        if len(args) != 1:
            return None, b"ERR redis.set_repl() requires one argument."
        # What is no number is none of the flags.
        target = to_int32(numeral(args[0]) or 0)
        if target & ~REPL_ALL:
            return None, (
                b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or "
                b"REPL_NONE."
            )
        if self.run is not None:
            self.run.target = target
        return None

    def _acl_check_cmd(self, *args: Any) -> Answer:
        if not args:
            return None, (
                b"ERR Please specify at least one argument for this redis lib call"
            )
        run = self.run
        try:
            argv = _arguments(args)
        except ResponseError as error:
            return None, str(error).encode()
        command = self.core.table.find_for(argv)
        if command is None:
            return None, b"ERR Invalid command passed to redis.acl_check_cmd()"
        return run is None or self.core.permissions.allows(run.session, command, argv)


def _arguments(args: tuple[Any, ...]) -> list[bytes]:
    if not args:
        raise _ArgumentsError(
            "ERR Please specify at least one argument for this redis lib call"
        )
    argv = []
    for arg in args:
        if type(arg) is bytes:
            argv.append(arg)
        elif isinstance(arg, (int, float)) and not isinstance(arg, bool):
            argv.append(number_argument(arg))
        else:
            raise _ArgumentsError(
                "ERR Lua redis lib command arguments must be strings or integers"
            )
    return argv


def _has_text(value: Any) -> bool:
    return isinstance(value, (bytes, int, float)) and not isinstance(value, bool)


def _text(value: Any) -> bytes:
    """Return a string, or a number as Lua spells it; nothing of anything else."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return b"%.14g" % value
    return b""


def _sha1hex(*args: Any) -> Answer:
    if len(args) != 1:
        return None, b"ERR wrong number of arguments"
    return hashlib.sha1(_text(args[0])).hexdigest().encode()


def _replicate_commands(*_args: Any) -> Answer:
    return True


def _breakpoint(*_args: Any) -> Answer:
    return False


def _debug(*_args: Any) -> Answer:
    return None
