"""Libraries of Lua functions: FUNCTION LOAD, what it registers, FCALL."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trignb.errors import ResponseError
from trignb.lua.constants import REDIS_CONSTANTS
from trignb.lua.run import Run
from trignb.lua.scripts import FLAGS, needs_memory
from trignb.resp.inline import split_inline

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.lua.runtime import ScriptRuntime
    from trignb.lua.scripts import Scripts
    from trignb.reply import Reply

__all__ = ["Function", "FunctionLibrary", "Libraries"]

# What a library or function needs beside its code.
_PER_ENTRY = 128
_NAME = re.compile(rb"[A-Za-z0-9_]+")
_NOT_LOADING = "ERR redis.register_function can only be called on FUNCTION LOAD command"
_BAD_NAME = (
    "ERR Library names can only contain letters, numbers, or underscores(_) and must be "
    "at least one character long"
)


@dataclass(frozen=True, slots=True)
class Function:
    """A registered function."""

    name: bytes
    callback: Any
    flags: tuple[str, ...]
    description: bytes | None


@dataclass(slots=True)
class FunctionLibrary:
    """A loaded library."""

    name: bytes
    code: bytes
    functions: dict[bytes, Function] = field(default_factory=dict)


class Libraries:
    """The function libraries of one engine."""

    def __init__(self, core: Core, scripts: Scripts) -> None:
        self.core = core
        self.scripts = scripts
        self.loaded: dict[bytes, FunctionLibrary] = {}
        # By name in small letters: clients may write it as they like.
        self.functions: dict[bytes, Function] = {}
        declared = core.eviction.declared
        declared["fcall"] = declared["fcall_ro"] = self._needs_memory

        core.pause.only_reads["fcall"] = self._only_reads

    # -- loading

    def load(self, code: bytes, *, replace: bool) -> bytes:
        """Load a library; returns its name. Nothing changes when it fails."""
        name, body = _parse_metadata(code)
        old = self.loaded.get(name)
        if old is not None and not replace:
            raise ResponseError(f"ERR Library '{name.decode()}' already exists")
        library = FunctionLibrary(name, code)
        self._evaluate(library, body)
        if not library.functions:
            raise ResponseError("ERR No functions registered")
        own = set() if old is None else {name.lower() for name in old.functions}
        for function in library.functions:
            if function.lower() in self.functions and function.lower() not in own:
                raise ResponseError(f"ERR Function {function.decode()} already exists")
        if old is not None:
            self._unlink(old)
        self.loaded[name] = library
        for registered in library.functions.values():
            self.functions.setdefault(registered.name.lower(), registered)
        return name

    def _evaluate(self, library: FunctionLibrary, body: bytes) -> None:
        runtime = self.scripts.runtime
        try:
            chunk = runtime.compile(body, b"@user_function")
        except ResponseError as error:
            raise ResponseError(f"ERR Error compiling function: {error}") from None
        functions = {b"register_function": self._registrar(library)}
        try:
            runtime.load_library(chunk, functions, REDIS_CONSTANTS)
        except ResponseError as error:
            raise ResponseError(f"ERR Error registering functions: {error}") from None

    def _registrar(self, library: FunctionLibrary) -> Callable[..., Any]:
        runtime = self.scripts.runtime

        def register(*args: Any) -> tuple[None, bytes] | None:
            try:
                if runtime.run is not None:
                    raise ResponseError(_NOT_LOADING)
                function = _read_registration(runtime, args)
                if function.name in library.functions:
                    raise ResponseError("ERR Function already exists in the library")
            except ResponseError as error:
                return None, str(error).encode("utf-8", "surrogateescape")
            library.functions[function.name] = function
            return None

        return register

    def _unlink(self, library: FunctionLibrary) -> None:
        del self.loaded[library.name]
        for name in library.functions:
            self.functions.pop(name.lower(), None)

    def delete(self, name: bytes) -> None:
        """Delete a library."""
        library = self.loaded.get(name)
        if library is None:
            raise ResponseError("ERR Library not found")
        self._unlink(library)

    def flush(self) -> None:
        """Delete all libraries."""
        self.loaded.clear()
        self.functions.clear()

    def restore(self, codes: list[bytes], policy: bytes) -> None:
        """Take libraries from a dump: all or none."""
        loaded, functions = dict(self.loaded), dict(self.functions)
        try:
            if policy == b"FLUSH":
                self.flush()
            for code in codes:
                name, _ = _parse_metadata(code)
                if name in self.loaded and policy != b"REPLACE":
                    raise ResponseError(f"ERR Library {name.decode()} already exists")
                self.load(code, replace=True)
        except BaseException:
            self.loaded, self.functions = loaded, functions
            raise

    def code_bytes(self) -> int:
        """Return about what the libraries take."""
        each = sum(len(library.code) + _PER_ENTRY for library in self.loaded.values())
        return each + _PER_ENTRY * len(self.functions)

    # -- calling

    def _needs_memory(self, args: list[bytes]) -> bool:
        function = self.functions.get(args[1].lower())
        return function is not None and needs_memory(function.flags)

    def _only_reads(self, args: list[bytes]) -> bool:
        function = self.functions.get(args[1].lower())
        return function is not None and "no-writes" in function.flags

    def find(self, name: bytes) -> Function:
        """Return a function; raises ResponseError when there is none of that name."""
        function = self.functions.get(name.lower())
        if function is None:
            raise ResponseError("ERR Function not found")
        return function

    def call(
        self,
        s: Session,
        name: bytes,
        keys: list[bytes],
        argv: list[bytes],
        *,
        read_only: bool,
    ) -> Reply:
        """Call a function for a client (FCALL)."""
        function = self.find(name)
        no_writes = "no-writes" in function.flags
        run = Run(s, "function", name.decode("utf-8", "replace"), no_writes)
        return self.scripts.run(
            run,
            function.callback,
            keys,
            argv,
            function.flags,
            refused=read_only and not no_writes,
        )


def _parse_metadata(code: bytes) -> tuple[bytes, bytes]:
    """Return a library's name and the code behind its first line."""
    if not code.startswith(b"#!"):
        raise ResponseError("ERR Missing library metadata")
    line, newline, _ = code.partition(b"\n")
    if not newline:
        raise ResponseError("ERR Invalid library metadata")
    words = split_inline(line)
    if words is None:
        raise ResponseError("ERR Invalid library metadata")
    engine, *options = words
    engine = engine.removeprefix(b"#!")
    name: bytes | None = None
    for option in options:
        key, equals, value = option.partition(b"=")
        if key.lower() != b"name" or not equals:
            given = option.decode("utf-8", "replace")
            raise ResponseError(f"ERR Invalid metadata value given: {given}")
        if name is not None:
            raise ResponseError(
                "ERR Invalid metadata value, name argument was given multiple times"
            )
        name = value
    if name is None:
        raise ResponseError("ERR Library name was not given")
    if not _NAME.fullmatch(name):
        raise ResponseError(_BAD_NAME)
    if engine.lower() != b"lua":
        shown = engine.decode("utf-8", "replace")
        raise ResponseError(f"ERR Engine '{shown}' not found")
    return name, code[len(line) :]


def _read_registration(runtime: ScriptRuntime, args: tuple[Any, ...]) -> Function:
    """Read the arguments of ``redis.register_function``, in both of its forms."""
    if len(args) not in (1, 2):
        raise ResponseError("ERR wrong number of arguments to redis.register_function")
    if len(args) == 1:
        if not runtime.is_table(args[0]):
            raise ResponseError(
                "ERR calling redis.register_function with a single argument is only "
                "applicable to Lua table (representing named arguments)."
            )
        return _read_named(runtime, args[0])
    name = _text(args[0], "first argument to redis.register_function must be a string")
    if not runtime.is_function(args[1]):
        raise ResponseError(
            "ERR second argument to redis.register_function must be a function"
        )
    return _function(name, args[1], (), None)


def _text(value: Any, otherwise: str) -> bytes:
    """Return a string, which a number is as well; raises ResponseError with the text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return b"%.14g" % value
    if not isinstance(value, bytes):
        raise ResponseError(f"ERR {otherwise}")
    return value


def _read_named(runtime: ScriptRuntime, given: Any) -> Function:
    name = callback = description = None
    flags: tuple[str, ...] = ()
    for key, value in given.items():
        if isinstance(key, bool) or not isinstance(key, (bytes, int, float)):
            raise ResponseError(
                "ERR named argument key given to redis.register_function is not a string"
            )
        word = key.lower() if isinstance(key, bytes) else None
        if word == b"function_name":
            name = _text(
                value,
                "function_name argument given to redis.register_function must be a "
                "string",
            )
        elif word == b"description":
            description = _text(
                value,
                "description argument given to redis.register_function must be a string",
            )
        elif word == b"callback":
            if not runtime.is_function(value):
                raise ResponseError(
                    "ERR callback argument given to redis.register_function must be a "
                    "function"
                )
            callback = value
        elif word == b"flags":
            flags = _read_flags(runtime, value)
        else:
            raise ResponseError("ERR unknown argument given to redis.register_function")
    if name is None:
        raise ResponseError(
            "ERR redis.register_function must get a function name argument"
        )
    if callback is None:
        raise ResponseError("ERR redis.register_function must get a callback argument")
    return _function(name, callback, flags, description)


def _read_flags(runtime: ScriptRuntime, given: Any) -> tuple[str, ...]:
    """Return the flags in a table's array, in the order of FUNCTION LIST."""
    if not runtime.is_table(given):
        raise ResponseError(
            "ERR flags argument to redis.register_function must be a table representing "
            "function flags"
        )
    flags, at = set(), 1
    while (flag := given[at]) is not None:
        name = flag.decode("latin-1").lower() if isinstance(flag, bytes) else ""
        if name not in FLAGS:
            raise ResponseError("ERR unknown flag given")
        flags.add(name)
        at += 1
    return tuple(flag for flag in FLAGS if flag in flags)


def _function(
    name: bytes, callback: Any, flags: tuple[str, ...], description: bytes | None
) -> Function:
    if not _NAME.fullmatch(name):
        raise ResponseError(_BAD_NAME)
    return Function(name, callback, flags, description)
