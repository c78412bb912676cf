"""Scripts by digest, and the first line that may declare what they do."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trignb.errors import ResponseError
from trignb.lua.run import Run
from trignb.resp.inline import split_inline

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.lua.runtime import ScriptRuntime
    from trignb.reply import Reply

__all__ = ["FLAGS", "NO_SCRIPT", "Script", "Scripts", "needs_memory"]

FLAGS: Final = (
    "no-writes",
    "allow-oom",
    "allow-stale",
    "no-cluster",
    "allow-cross-slot-keys",
)


# What the cache needs for each beside its text.
_PER_SCRIPT: Final = 128

NO_SCRIPT: Final = "NOSCRIPT No matching script. Please use EVAL."

_OUT_OF_MEMORY: Final = (
    "OOM allow-oom flag is not set on the script, can not run it when used memory > "
    "'maxmemory'"
)


def needs_memory(flags: Collection[str]) -> bool:
    """Whether a script that declares these flags does not run while memory is short."""
    return "allow-oom" not in flags and "no-writes" not in flags


@dataclass(frozen=True, slots=True)
class Script:
    """A compiled script; ``flags`` is None without a ``#!`` line."""

    source: bytes
    function: Any
    flags: frozenset[str] | None


class Scripts:
    """The scripts of one engine."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.cache: dict[str, Script] = {}
        self._runtime: ScriptRuntime | None = None
        declared = core.eviction.declared
        declared["eval"] = declared["eval_ro"] = self._source_needs_memory
        declared["evalsha"] = declared["evalsha_ro"] = self._digest_needs_memory
        core.pause.only_reads["eval"] = self._source_only_reads
        core.pause.only_reads["evalsha"] = self._digest_only_reads

    @property
    def runtime(self) -> ScriptRuntime:
        """The Lua state, made when first needed."""
        if self._runtime is None:
            # lupa is loaded with the first script, not with the package.
            from trignb.lua.runtime import ScriptRuntime

            self._runtime = ScriptRuntime(self.core)
        return self._runtime

    @property
    def running(self) -> Run | None:
        """The script or function at work."""
        return None if self._runtime is None else self._runtime.run

    def knows(self, digest: str) -> bool:
        """Whether a script of this digest is kept."""
        return digest in self.cache

    def flush(self) -> None:
        """Forget all scripts."""
        self.cache.clear()

    def load(self, source: bytes) -> str:
        """Compile a script and keep it; returns its digest."""
        digest = hashlib.sha1(source).hexdigest()
        if digest not in self.cache:
            self.cache[digest] = self._compile(source)
        return digest

    def _compile(self, source: bytes) -> Script:
        flags, body = None, source
        if source.startswith(b"#!"):
            line, newline, _ = source.partition(b"\n")
            if not newline:
                raise ResponseError("ERR Invalid script shebang")
            flags = _parse_shebang(line)
            body = source[len(line) :]
        try:
            function = self.runtime.compile(body, b"@user_script")
        except ResponseError as error:
            raise ResponseError(
                f"ERR Error compiling script (new function): {error}"
            ) from None
        return Script(source, function, flags)

    def state_bytes(self) -> int:
        """Return what the Lua state takes."""
        return 0 if self._runtime is None else self._runtime.state_bytes()

    def cached_bytes(self) -> int:
        """Return about what the kept scripts take."""
        return sum(len(script.source) + _PER_SCRIPT for script in self.cache.values())

    # -- what a script says of itself before it runs

    def _source_needs_memory(self, args: list[bytes]) -> bool:
        flags = _declared_flags(args[1])
        return flags is not None and needs_memory(flags)

    def _digest_needs_memory(self, args: list[bytes]) -> bool:
        flags = self._flags_of_digest(args[1])
        return flags is not None and needs_memory(flags)

    def _source_only_reads(self, args: list[bytes]) -> bool:
        return "no-writes" in (_declared_flags(args[1]) or ())

    def _digest_only_reads(self, args: list[bytes]) -> bool:
        return "no-writes" in (self._flags_of_digest(args[1]) or ())

    def _flags_of_digest(self, digest: bytes) -> Collection[str] | None:
        script = self.cache.get(digest.decode("latin-1").lower())
        return None if script is None else script.flags

    # -- running

    def evaluate(
        self,
        s: Session,
        digest: str,
        source: bytes | None,
        keys: list[bytes],
        argv: list[bytes],
        read_only: bool,
    ) -> Reply:
        """Run a script for a client, compiling it if it is new."""
        script = self.cache.get(digest)
        if script is None:
            if source is None:
                raise ResponseError(NO_SCRIPT)
            script = self.cache[digest] = self._compile(source)
        flags = script.flags
        no_writes = flags is not None and "no-writes" in flags
        run = Run(s, "eval", digest, read_only or no_writes)
        refused = read_only and flags is not None and not no_writes
        return self.run(run, script.function, keys, argv, flags, refused=refused)

    def run(
        self,
        run: Run,
        function: Any,
        keys: list[bytes],
        argv: list[bytes],
        declared: Collection[str] | None,
        *,
        refused: bool,
    ) -> Reply:
        """Run a compiled script, with the flags it declares, as part of the unit under way.

        One that may write is `refused` to a command for those that do not.
        """
        core, s = self.core, run.session
        for gate in core.script_gates:
            gate(declared)
        if refused:
            raise ResponseError(
                "ERR Can not execute a script with write flag using *_ro command."
            )
        if declared is not None:
            if core.eviction.refuses and needs_memory(declared):
                raise ResponseError(_OUT_OF_MEMORY)
            run.may_grow = "allow-oom" in declared
        db, frame = s.db, core.frame
        core.frame = frame.within("script")
        try:
            reply = self.runtime.execute(run, function, keys, argv)
        finally:
            core.frame = frame
            # What a script selects is its own business.
            s.db = db
            # Its commands were propagated one by one; it is not.
            core.propagate_as()
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def describe_run(self) -> Reply:
        """Return what FUNCTION STATS tells of the script at work, None without one."""
        run = None if self._runtime is None else self._runtime.run
        if run is None:
            return None
        return {
            b"name": run.name.encode(),
            b"command": list(self.core.argv or []),
            b"duration_ms": int((time.monotonic() - run.started) * 1000),
        }


def _declared_flags(source: bytes) -> Collection[str] | None:
    """Return the flags that a script declares, None without a first line that does."""
    line, _, _ = source.partition(b"\n")
    if not line.startswith(b"#!"):
        return None
    try:
        return _parse_shebang(line)
    except ResponseError:
        # Who runs it hears of that.
        return None


def _parse_shebang(line: bytes) -> frozenset[str]:
    words = split_inline(line)
    if not words:
        raise ResponseError("ERR Invalid engine in script shebang")
    engine, *options = [word.decode("utf-8", "surrogateescape") for word in words]
    if engine != "#!lua":
        raise ResponseError(f"ERR Unexpected engine in script shebang: {engine}")
    flags: set[str] = set()
    for option in options:
        if not option.startswith("flags="):
            raise ResponseError(f"ERR Unknown lua shebang option: {option}")
        given = option.removeprefix("flags=")
        for flag in given.split(",") if given else ():
            if flag not in FLAGS:
                raise ResponseError(f"ERR Unexpected flag in script shebang: {flag}")
            flags.add(flag)
    return frozenset(flags)
