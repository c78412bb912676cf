"""One Lua state per engine: scripts compiled once, run as often as they are called.

Everything happens under the engine's lock, on the thread of the command that called the script. A hook looks
at the clock every hundred thousand instructions: a script that runs for longer than
``busy-reply-threshold`` lets other clients in, who are told BUSY and may kill it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from math import inf
from typing import TYPE_CHECKING, Any, Final

from lupa.lua51 import LuaError, LuaRuntime, lua_type

from trignb.errors import ResponseError
from trignb.lua import bits, cjson, cmsgpack, structs
from trignb.lua.bytecode import keep_frames
from trignb.lua.constants import REDIS_CONSTANTS
from trignb.lua.convert import from_list, from_lua, one_line, reply_error
from trignb.lua.marks import MARKS, Tree
from trignb.lua.redislib import RedisFunctions
from trignb.lua.run import Killed, Run, busy_text

if TYPE_CHECKING:
    from trignb.engine.core import Core

__all__ = ["ScriptRuntime"]

_HOOK_EVERY: Final = 100_000

# Seconds that the top level of a library may take.
_LOADING_LIMIT: Final = 0.5

# Lua's C stack holds eight thousand values; far fewer are worth saving two tables.
_SPREAD: Final = 200

_FLAT, _LONG = MARKS["flat"], MARKS["long"]


class ScriptRuntime:
    """The Lua state and what it calls back."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._lua = LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
        )
        self.table: Callable[[Any], Any] = self._lua.table_from
        self.is_table = is_table
        self.is_function = is_function
        self.redis = RedisFunctions(core, self.table)
        self._load_until = inf
        # How many values the last function of a library gave.
        self._count = 0
        self.tree = Tree(self.table)
        self.api = self._load(b"sandbox")(self._host())
        self.tree.start(self.api)
        self.api[b"prepare_hook"](self._hook, self._die, _HOOK_EVERY)
        # By kind of run: with keys and arguments one by one, and in tables.
        self._enter = {
            "eval": (self.api[b"run_spread"], self.api[b"run"]),
            "function": (self.api[b"call_spread"], self.api[b"call"]),
        }

    def _load(self, name: bytes) -> Any:
        """Return a file of this package as a function of Lua."""
        load = self._lua.eval(b"function(s, n) return assert(loadstring(s, n)) end")
        source = files("trignb.lua").joinpath(f"{name.decode()}.lua").read_bytes()
        return load(source, b"=sandbox")

    @property
    def run(self) -> Run | None:
        """The script at work."""
        return self.redis.run

    # -- what Lua calls

    def _host(self) -> Any:
        t, redis = self.table, self.redis
        return t(
            {
                b"marks": t({name.encode(): mark for name, mark in MARKS.items()}),
                b"flatten": self._load(b"flatten"),
                b"json": self._load(b"json"),
                b"random": self._load(b"random"),
                b"new_cjson": lambda: self._library(cjson.new_instance(self.tree)),
                b"is_fatal": _is_fatal,
                b"keep_frames": keep_frames,
                b"count": lambda: self._count,
                b"call": redis.call,
                b"call_many": self._many(redis.call),
                b"pcall": redis.pcall,
                b"pcall_many": self._many(redis.pcall),
                b"redis_functions": t(redis.members()),
                b"script_functions": t(redis.script_members()),
                b"redis_constants": t(REDIS_CONSTANTS),
                b"bit": self._library(bits.LIBRARY),
                b"cjson": self._library(cjson.library(self.tree)),
                b"cmsgpack": self._library(cmsgpack.library(self.tree)),
                b"struct": self._library(structs.LIBRARY),
            }
        )

    def _library(self, description: dict[bytes, dict[bytes, Any]]) -> Any:
        """Return a library's functions and constants as Lua tables."""
        t = self.table
        functions = {
            name: partial(_counted, function)
            for name, function in description[b"functions"].items()
        }
        many = {
            name: partial(self._noting_count, function)
            for name, function in description.get(b"many", {}).items()
        }
        return t(
            {
                b"functions": t(functions),
                b"many": t(many),
                b"constants": t(description[b"constants"]),
                b"settings": t(description.get(b"settings", {})),
            }
        )

    def _noting_count(self, function: Callable[..., Any], *args: Any) -> Any:
        answer = function(len(args), *args)
        self._count = len(answer)
        return answer

    def _many(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function for many arguments, which come as a table."""

        def call(count: int, table: Any) -> Any:
            return function(*self.tree.list(table, count))

        return call

    def state_bytes(self) -> int:
        """Return what the Lua state takes."""
        return int(self.api[b"bytes"]())

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
        redis = self.redis
        outer, redis.run = redis.run, run
        try:
            if len(keys) + len(argv) < _SPREAD:
                answer = spread(function, len(keys), *keys, *argv)
            else:
                answer = in_tables(function, self.table(keys), self.table(argv))
        except LuaError as error:
            raise ResponseError(f"{error} script: {run.name}") from None
        except Killed:
            raise self._killed(run) from None
        finally:
            # First, as the hook looks at it even while it is being taken off.
            redis.run = outer
            if run.killed:
                self.api[b"unwatch"]()
            self.core.busy = None
        if type(answer) is not tuple:
            return None
        head = answer[0]
        if head is True:
            return from_lua(answer[1], run.resp)
        if head is _FLAT:
            return from_list(answer[1:], run.resp, self.core.count_error)
        if head is _LONG:
            return from_list(
                self.tree.list(answer[1], answer[2]), run.resp, self.core.count_error
            )
        raise self._failure(run, *answer[1:])

    def load_library(
        self,
        chunk: Any,
        functions: dict[bytes, Callable[..., Any]],
        constants: dict[bytes, Any],
    ) -> None:
        """Run a library's code with these members of ``redis`` and no others."""
        core = self.core
        if not core.is_loading:
            self._load_until = time.monotonic() + _LOADING_LIMIT
        outer, self.redis.run = self.redis.run, None
        try:
            answer = self.api[b"load_library"](
                chunk,
                self.table({**functions, b"log": self.redis.log}),
                self.table(constants),
            )
        except LuaError as error:
            raise ResponseError(f"ERR {error}") from None
        finally:
            self._load_until = inf
            self.redis.run = outer
            self.api[b"loaded"]()
        if answer is not True and not answer[0]:
            _, host, text, *_place = answer
            if host is not None:
                raise host
            raise ResponseError(one_line(text))

    def _failure(
        self,
        run: Run,
        host: Any,
        text: bytes,
        source: bytes | None,
        line: int,
        counted: bool,
    ) -> BaseException:
        if isinstance(host, Killed):
            return self._killed(run)
        if isinstance(host, BaseException):
            return host
        shown = one_line(text)
        if source is not None:
            shown += f" script: {run.name}, on {one_line(source)}:{int(line)}."
        return reply_error(shown, counted)

    def _killed(self, run: Run) -> ResponseError:
        text = "ERR Script killed by user with SCRIPT KILL... script: " + run.name
        if run.place is not None:
            source, line = run.place
            text += f", on {source.decode()}:{line}."
        return ResponseError(text)

    # -- the hook

    def _hook(self, *_args: Any) -> bool:
        """Look at the clock; says whether the script is to end here."""
        run = self.run
        if run is None:
            if time.monotonic() > self._load_until:
                raise ResponseError("ERR FUNCTION LOAD timeout")
            return False
        if not run.killed:
            threshold = self.core.config.values["busy-reply-threshold"]
            if (time.monotonic() - run.started) * 1000 > threshold:
                self._let_others_in(run)
        return run.killed

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
        # A script that waits for a time to come has to see it pass, as in Redis from here on.
        core.unit_ns = 0

    def _die(self, source: bytes | None = None, line: int = 0) -> None:
        """End the script that is at this place."""
        run = self.run
        if run is not None:
            if source is not None:
                run.place = (source, int(line))
            raise Killed

    def _busy(self) -> str | None:
        """Return what clients other than the script's own hear while it runs too long."""
        run = self.run
        if run is None or run.thread == threading.get_ident():
            return None
        return busy_text(run.kind)

    def kill(self, kind: str) -> None:
        """Kill the running script (SCRIPT KILL) or function (FUNCTION KILL)."""
        run = self.run
        if run is None:
            raise ResponseError("NOTBUSY No scripts in execution right now.")
        if run.wrote:
            raise ResponseError(
                "UNKILLABLE Sorry the script already executed write commands against "
                "the dataset. You can either wait the script termination or kill the "
                "server in a hard way using the SHUTDOWN NOSAVE command."
            )
        if run.kind != kind:
            raise ResponseError(busy_text(run.kind))
        run.killed = True


def _counted(function: Callable[..., Any], *args: Any) -> Any:
    """Call a library's function with the number of its arguments in front."""
    return function(len(args), *args)


def _is_fatal(error: Any) -> bool:
    """Whether an error is none that a script may catch: an interrupt, a kill."""
    return isinstance(error, BaseException)


def is_table(value: Any) -> bool:
    """Whether a value from Lua is a table."""
    return bool(lua_type(value) == "table")


def is_function(value: Any) -> bool:
    """Whether a value from Lua is a function."""
    return bool(lua_type(value) == "function")
