"""One Lua state per engine: scripts compiled once, run as often as they are called.

Everything happens under the engine's lock, on the thread of the command that called the script. A hook looks
at the clock every hundred thousand instructions: a script that runs for longer than
``busy-reply-threshold`` lets other clients in, who are told BUSY and may kill it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from lupa.lua51 import LuaError, LuaRuntime, lua_type

from trignb.engine import spec
from trignb.engine.eviction import OUT_OF_MEMORY
from trignb.errors import ResponseError
from trignb.lua import bits, cjson, cmsgpack, structs
from trignb.lua.constants import REDIS_CONSTANTS
from trignb.lua.convert import (
    error_table,
    from_lua,
    number_argument,
    one_line,
    reply_error,
    to_lua,
)
from trignb.lua.run import Killed, Run, ScriptError

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["ScriptRuntime"]

_HOOK_EVERY: Final = 100_000

# Lua's C stack holds eight thousand values; far fewer are worth saving two tables.
_SPREAD: Final = 200

_LOGGER = logging.getLogger("trignb.lua")
# Redis's verbose lies between Python's debug and info.
_LEVELS: Final = (logging.DEBUG, 15, logging.INFO, logging.WARNING)


class ScriptRuntime:
    """The Lua state and what it calls back."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.run: Run | None = None
        self._lua = LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
        )
        self.table: Callable[[Any], Any] = self._lua.table_from
        self.is_table = is_table
        self.is_function = is_function
        source = files("trignb.lua").joinpath("sandbox.lua").read_bytes()
        load = self._lua.eval(
            b"function(s) return assert(loadstring(s, '=sandbox')) end"
        )
        self.api = load(source)(self._host())
        self.api[b"prepare"]()
        self.api[b"prepare_hook"](self._hook, _HOOK_EVERY)
        # By kind of run: with keys and arguments one by one, and in tables.
        self._enter = {
            "eval": (self.api[b"run_spread"], self.api[b"run"]),
            "function": (self.api[b"call_spread"], self.api[b"call"]),
        }

    # -- what Lua calls

    def _host(self) -> Any:
        t = self.table
        return t(
            {
                b"error_parts": _error_parts,
                b"redis_functions": t(
                    {
                        b"call": self._call,
                        b"pcall": self._pcall,
                        b"error_reply": self._error_reply,
                        b"status_reply": self._status_reply,
                        b"log": self._log,
                        b"sha1hex": self._sha1hex,
                        b"setresp": self._setresp,
                        b"set_repl": self._set_repl,
                        b"replicate_commands": self._replicate_commands,
                        b"acl_check_cmd": self._acl_check_cmd,
                        b"breakpoint": self._breakpoint,
                        b"debug": self._debug,
                    }
                ),
                b"redis_constants": t(REDIS_CONSTANTS),
                b"bit": self._library(bits.LIBRARY),
                b"cjson": self._library(cjson.library(self.table, is_table)),
                b"cmsgpack": self._library(cmsgpack.library(self.table, is_table)),
                b"struct": self._library(structs.LIBRARY),
            }
        )

    def _library(self, description: dict[bytes, dict[bytes, Any]]) -> Any:
        """Return a library's functions and constants as Lua tables."""
        functions = {
            name: self._raising(function)
            for name, function in description[b"functions"].items()
        }
        constants = self.table(description[b"constants"])
        return self.table(
            {b"functions": self.table(functions), b"constants": constants}
        )

    def _raising(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its (failed, value…) answer raised or returned."""

        def call(*args: Any) -> Any:
            failed, *values = function(len(args), *args)
            if not failed:
                return values[0] if len(values) == 1 else tuple(values)
            error = self.script_error("")
            text = values[0].decode("utf-8", "replace")
            if error.source is not None:
                text = f"{error.source[1:].decode()}:{error.line}: {text}"
            return self._raise(f"ERR {text}", error)

        return call

    def _raise(self, text: str, error: ScriptError) -> Any:
        raise ScriptError(text, error.source, error.line)

    def _call(self, *args: Any) -> Any:
        """Run a command; an error reply is an error of the script."""
        try:
            return self._reply(args)
        except ResponseError as error:
            self.core.count_error(error)
            raise self.script_error(str(error), counted=True) from None

    def _pcall(self, *args: Any) -> Any:
        """Run a command; an error reply is a table."""
        try:
            return self._reply(args)
        except ResponseError as error:
            self.core.count_error(error)
            return error_table(error, self.table)

    def _reply(self, args: tuple[Any, ...]) -> Any:
        run = self.run
        if run is None:
            raise ResponseError("ERR redis.call outside of a script")
        reply = self._execute(run, self._arguments(args))
        return to_lua(reply, self.table, run.resp)

    def script_error(self, text: str, *, counted: bool = False) -> ScriptError:
        """Return an error to raise into Lua, with the line at work."""
        place = self.api[b"position"]()
        source, line = place if isinstance(place, tuple) else (None, None)
        return ScriptError(text, source, line, counted=counted)

    def _arguments(self, args: tuple[Any, ...]) -> list[bytes]:
        if not args:
            raise ResponseError(
                "ERR Please specify at least one argument for this redis lib call"
            )
        argv = []
        for arg in args:
            if type(arg) is bytes:
                argv.append(arg)
            elif isinstance(arg, (int, float)) and not isinstance(arg, bool):
                argv.append(number_argument(arg))
            else:
                raise ResponseError(
                    "ERR Lua redis lib command arguments must be strings or integers"
                )
        return argv

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
        try:
            return core.call(session, command, argv)
        finally:
            session.resp, session.null_array = resp, null

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
        if run.read_only and command.flags & (spec.WRITE | spec.MAY_REPLICATE):
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

    def _error(self, text: str) -> Any:
        return error_table(ResponseError(text), self.table)

    def _error_reply(self, *args: Any) -> Any:
        if len(args) != 1 or not isinstance(args[0], bytes):
            return self._error("ERR wrong number or type of arguments")
        text = one_line(args[0])
        text = text[1:] if text.startswith("-") else text
        return self._error(text)

    def _status_reply(self, *args: Any) -> Any:
        if len(args) != 1 or not isinstance(args[0], bytes):
            return self._error("ERR wrong number or type of arguments")
        return self.table({b"ok": args[0]})

    def _log(self, *args: Any) -> Any:
        if len(args) < 2:
            raise self.script_error("ERR redis.log() requires two arguments or more.")
        level = args[0]
        if isinstance(level, bool) or not isinstance(level, (int, float)):
            raise self.script_error("ERR First argument must be a number (log level).")
        if not 0 <= level <= 3:
            raise self.script_error("ERR Invalid debug level.")
        text = b" ".join(arg for arg in args[1:] if isinstance(arg, bytes))
        _LOGGER.log(_LEVELS[int(level)], text.decode("utf-8", "replace"))
        return None

    def _sha1hex(self, *args: Any) -> Any:
        if len(args) != 1:
            raise self.script_error("ERR wrong number of arguments")
        text = args[0]
        if isinstance(text, (int, float)) and not isinstance(text, bool):
            text = b"%.14g" % text
        data = text if isinstance(text, bytes) else b""
        return hashlib.sha1(data).hexdigest().encode()

    def _setresp(self, *args: Any) -> Any:
        if len(args) != 1:
            raise self.script_error("ERR redis.setresp() requires one argument.")
        if args[0] not in (2, 3):
            raise self.script_error("ERR RESP version must be 2 or 3.")
        if self.run is not None:
            self.run.resp = int(args[0])
        return None

    def _set_repl(self, *args: Any) -> Any:
        if len(args) != 1:
            raise self.script_error("ERR redis.set_repl() requires one argument.")
        flags = args[0]
        if not isinstance(flags, (int, float)) or not 0 <= flags <= 3:
            raise self.script_error(
                "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or "
                "REPL_NONE."
            )
        return None

    def _replicate_commands(self, *_args: Any) -> Any:
        return True

    def _breakpoint(self, *_args: Any) -> Any:
        return False

    def _debug(self, *_args: Any) -> Any:
        return None

    def _acl_check_cmd(self, *args: Any) -> Any:
        if not args:
            raise self.script_error(
                "ERR Please specify at least one argument for this redis lib call"
            )
        run = self.run
        try:
            argv = self._arguments(args)
        except ResponseError:
            raise self.script_error(
                "ERR redis.acl_check_cmd() command arguments must be strings or integers"
            ) from None
        command = self.core.table.find_for(argv)
        if command is None:
            raise self.script_error(
                "ERR Invalid command passed to redis.acl_check_cmd()"
            )
        return run is None or self.core.permissions.allows(run.session, command, argv)

    # -- running

    def compile(self, source: bytes, chunk: bytes) -> Any:
        """Return the function for a source; raises LuaError's text as ResponseError."""
        answer = self.api[b"compile"](source, chunk)
        if isinstance(answer, tuple):
            raise ResponseError(one_line(answer[1] or b""))
        return answer

    def execute(
        self, run: Run, function: Any, keys: list[bytes], argv: list[bytes]
    ) -> Any:
        """Call a compiled script or a registered function; returns its reply."""
        spread, in_tables = self._enter[run.kind]
        outer, self.run = self.run, run
        try:
            if len(keys) + len(argv) < _SPREAD:
                answer = spread(function, len(keys), *keys, *argv)
            else:
                answer = in_tables(function, self.table(keys), self.table(argv))
        except LuaError as error:
            raise ResponseError(self._describe(run, str(error), None)) from None
        except Killed:
            raise self._killed(run) from None
        finally:
            # First, as the hook looks at it even while it is being taken off.
            self.run = outer
            if run.killed:
                self.api[b"unwatch"]()
            self.core.busy = None
        ok, value = answer if isinstance(answer, tuple) else (answer, None)
        if not ok:
            raise self._failure(run, value)
        return from_lua(value, is_table, run.resp)

    def load_library(
        self,
        chunk: Any,
        functions: dict[bytes, Callable[..., Any]],
        constants: dict[bytes, Any],
    ) -> None:
        """Run a library's code with these members of ``redis`` and no others."""
        answer = self.api[b"load_library"](
            chunk,
            self.table({**functions, b"log": self._log}),
            self.table(constants),
        )
        ok, error = answer if isinstance(answer, tuple) else (answer, None)
        if not ok:
            raise self._load_failure(error)

    def _load_failure(self, error: Any) -> BaseException:
        if is_table(error):
            host = error[b"host"]
            if isinstance(host, BaseException):
                return host
            text = error[b"err"]
            if isinstance(text, bytes):
                return ResponseError(one_line(text))
        return ResponseError("ERR unknown error")

    def _failure(self, run: Run, error: Any) -> BaseException:
        if isinstance(error, BaseException):
            return error
        if not is_table(error):
            return ResponseError(self._describe(run, "ERR unknown error", None))
        host = error[b"host"]
        if isinstance(host, Killed):
            return self._killed(run)
        if isinstance(host, BaseException):
            return host
        text = error[b"err"]
        shown = one_line(text) if isinstance(text, bytes) else "ERR unknown error"
        return reply_error(error, self._describe(run, shown, error))

    def _killed(self, run: Run) -> ResponseError:
        text = "ERR Script killed by user with SCRIPT KILL... script: " + run.name
        if run.place is not None:
            source, line = run.place
            text += f", on {source.decode()}:{line}."
        return ResponseError(text)

    def _describe(self, run: Run, text: str, error: Any) -> str:
        source = error[b"source"] if error is not None else None
        if not isinstance(source, bytes):
            return f"{text} script: {run.name}"
        line = error[b"line"]
        return f"{text} script: {run.name}, on {source.decode()}:{int(line)}."

    # -- the hook

    def _hook(self, *_args: Any) -> None:
        run = self.run
        if run is None:
            return
        if run.killed:
            raise Killed
        threshold = self.core.config.values["busy-reply-threshold"]
        if (time.monotonic() - run.started) * 1000 > threshold:
            self._let_others_in(run)

    def _let_others_in(self, run: Run) -> None:
        """Release the lock for a moment: others hear BUSY and may kill the script."""
        core = self.core
        core.busy = self._busy
        state = core.lock._release_save()  # type: ignore[attr-defined]
        # A server serves its other clients on this very thread.
        thread, run.thread = run.thread, 0
        try:
            core.breathe(0.001)
        finally:
            run.thread = thread
            core.lock._acquire_restore(state)  # type: ignore[attr-defined]
        if run.killed:
            place = self.api[b"position"]()
            run.place = place if isinstance(place, tuple) else None
            self.api[b"kill"](self._hook)
            raise Killed

    def _busy(self, _session: Session, command: Command) -> bool:
        """Tell another thread's client that a script runs; let through what may end it."""
        run = self.run
        if run is None or run.thread == threading.get_ident():
            return False
        if command.flags & spec.ALLOW_BUSY:
            return True
        raise self._busy_error(run)

    def _busy_error(self, run: Run) -> ResponseError:
        kill = "SCRIPT" if run.kind == "eval" else "FUNCTION"
        return ResponseError(
            f"BUSY Redis is busy running a script. You can only call {kill} KILL or "
            "SHUTDOWN NOSAVE."
        )

    def kill(self, kind: str) -> None:
        """Kill the running script (SCRIPT KILL) or function (FUNCTION KILL)."""
        run = self.run
        if run is None:
            raise ResponseError("NOTBUSY No scripts in execution right now.")
        if run.kind != kind:
            raise self._busy_error(run)
        if run.wrote:
            raise ResponseError(
                "UNKILLABLE Sorry the script already executed write commands against "
                "the dataset. You can either wait the script termination or kill the "
                "server in a hard way using the SHUTDOWN NOSAVE command."
            )
        run.killed = True


def _error_parts(error: Any) -> Any:
    """Return text, place and whether it is counted of an error the host raised, else None."""
    if not isinstance(error, ScriptError):
        return None
    text = str(error).encode("utf-8", "surrogateescape")
    return text, error.source, error.line, error.counted


def is_table(value: Any) -> bool:
    """Whether a value from Lua is a table."""
    return bool(lua_type(value) == "table")


def is_function(value: Any) -> bool:
    """Whether a value from Lua is a function."""
    return bool(lua_type(value) == "function")
