"""TFUNCTION DEBUG: what the original offers to its developers, as far as it has a meaning here.

See docs/semantics.md, Debug subcommands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.args import wrong_arity
from trignb.errors import ResponseError
from trignb.functions.failures import error_line
from trignb.functions.information import isolate_counts
from trignb.reply import OK, Reply

if TYPE_CHECKING:
    from trignb.functions.registry import Registry

__all__ = ["debug"]

_HELP: Final = [
    (
        b"allow_unsafe_redis_commands - libraries may call what scripts may not; "
        b"cannot be undone"
    ),
    b"dump_pending_async_calls - commands of callAsync that have not been answered",
    b"js <subcommand> - the JavaScript engine, see 'js help'",
    b"help - this text",
]
_JS_HELP: Final = [
    b"isolates_aggregated_stats - isolates in use, not in use, and their heap limits",
    b"isolates_stats - heap of each library",
    b"isolates_strong_count - for each isolate by how many it is held; 0: released",
    b"isolates_gc - forget the released isolates",
    b"request_v8_gc_for_debugging - collect the garbage of every library",
    b"avoid_global_allow_list - libraries loaded from now on keep all globals",
    b"help - this text",
]


def debug(registry: Registry, args: list[bytes]) -> Reply:
    """Run ``TFUNCTION DEBUG``, if the engine was started with ``enable-debug-command``."""
    if not registry.setting("enable-debug-command"):
        raise ResponseError("Debug command are disabled")
    try:
        words = [arg.decode() for arg in args]
    except UnicodeDecodeError:
        raise ResponseError("Failed converting arguments to string") from None
    if not words:
        raise wrong_arity("tfunction")
    if words[0] == "help":
        return _HELP
    if words[0] == "allow_unsafe_redis_commands":
        registry.unsafe_commands = True
        return OK
    if words[0] == "dump_pending_async_calls":
        return {
            name.encode(): [call.encode() for call in library.pending_async_calls]
            for name, library in registry.libraries.items()
            if library.pending_async_calls
        }
    if words[0] != "js":
        raise ResponseError(
            error_line(f"Backend '{words[0]}' does not exists or not yet loaded")
        )
    if len(words) < 2:
        raise ResponseError("Subcommand was not provided")
    answer = _JS_WORDS.get(words[1].lower())
    if answer is None:
        raise ResponseError(error_line(f"Unknown subcommand '{words[1]}'"))
    return answer(registry)


def _aggregated(registry: Registry) -> list[Any]:
    counts = isolate_counts(registry)
    names = ("active", "not_active", "combined_memory_limit")
    return [part for name in names for part in (name.encode(), counts[name])]


def _per_isolate(registry: Registry) -> dict[bytes, Any]:
    stats = {}
    for name, library in registry.libraries.items():
        heap = library.runtime.heap_statistics()
        stats[name.encode()] = {
            b"total_heap_size": heap.total,
            b"used_heap_size": heap.used,
            b"heap_size_limit": heap.limit,
        }
    return stats


def _strong_counts(registry: Registry) -> list[int]:
    # As in the original: the library and its client hold an isolate, a released one is
    # held by nothing.
    in_use = registry.runtimes()
    return [2 if held else 0 for held in registry.isolates.are_in_use(in_use)]


def _tidy(registry: Registry) -> Reply:
    registry.isolates.tidy(registry.runtimes())
    return OK


def _collect(registry: Registry) -> Reply:
    for library in registry.libraries.values():
        library.runtime.collect_garbage()
    return OK


def _keep_globals(registry: Registry) -> Reply:
    registry.all_globals = True
    return OK


_JS_WORDS: Final[Mapping[str, Callable[[Any], Reply]]] = {
    "help": lambda _registry: _JS_HELP,
    "isolates_aggregated_stats": _aggregated,
    "isolates_stats": _per_isolate,
    "isolates_strong_count": _strong_counts,
    "isolates_gc": _tidy,
    "request_v8_gc_for_debugging": _collect,
    "avoid_global_allow_list": _keep_globals,
}
