"""TFUNCTION LIST.

Every map begins with the original server's fields in its order, which is that of their names: clients
read them by position over RESP2. What the seed page names otherwise, its misspelt fields included, and
what we add come behind them (docs/compatibility.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trignb.datatypes.stream import format_id
from trignb.errors import ResponseError
from trignb.functions.failures import error_line
from trignb.reply import format_double

if TYPE_CHECKING:
    from trignb.functions.library import Function, Library
    from trignb.functions.streams import StreamPosition, StreamTrigger
    from trignb.functions.triggers import KeyspaceTrigger

__all__ = ["ListRequest", "describe", "parse_list_arguments"]

_VERBOSITY: Final[Mapping[str, int]] = {"verbose": 1, "v": 1, "vv": 2, "vvv": 3}
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What was asked for."""

    level: int = 0
    with_code: bool = False
    library: str | None = None


def parse_list_arguments(args: list[bytes]) -> ListRequest:
    """Read what follows ``TFUNCTION LIST``."""
    level, with_code, library = 0, False, None
    rest = iter(args)
    for arg in rest:
        option = _decode(arg, "Binary option is not allowed").lower()
        if option == "withcode":
            with_code = True
        elif option == "library":
            given = next(rest, None)
            if given is None:
                raise ResponseError("Library name was not given")
            library = _decode(given, "Library name is not a string")
        elif option in _VERBOSITY:
            level += _VERBOSITY[option]
        else:
            raise ResponseError(error_line(f"Unknown option '{option}'"))
    return ListRequest(level, with_code, library)


def _decode(arg: bytes, error: str) -> str:
    try:
        return arg.decode()
    except UnicodeDecodeError:
        raise ResponseError(error) from None


def describe(libraries: Iterable[Library], request: ListRequest) -> list[Any]:
    """Return one map per library."""
    return [
        _library(library, request)
        for library in libraries
        if request.library is None or library.name == request.library
    ]


def _library(library: Library, request: ListRequest) -> dict[bytes, Any]:
    level = request.level
    return {
        b"api_version": library.api_version.encode(),
        b"cluster_functions": _names(library.cluster_functions),
        **({b"code": library.code.encode()} if request.with_code else {}),
        b"configuration": _text(library.configuration),
        b"engine": library.engine.encode(),
        b"functions": (
            [_function(f) for f in library.functions.values()]
            if level
            else _names(library.functions)
        ),
        b"keyspace_triggers": (
            [_keyspace_trigger(t) for t in library.triggers.values()]
            if level
            else _names(library.triggers)
        ),
        b"name": library.name.encode(),
        b"pending_async_calls": [call.encode() for call in library.pending_async_calls],
        b"pending_jobs": library.pending_jobs,
        b"stream_triggers": (
            [_stream_trigger(t, level) for t in library.stream_triggers.values()]
            if level
            else _names(library.stream_triggers)
        ),
        b"user": library.user.encode(),
    }


def _function(function: Function) -> dict[bytes, Any]:
    return {
        b"description": _text(function.description),
        b"flags": [flag.encode() for flag in function.flags],
        b"is_async": function.is_async,
        b"name": function.name.encode(),
    }


def _keyspace_trigger(trigger: KeyspaceTrigger) -> dict[bytes, Any]:
    total_ms = trigger.total_ns // _MS
    last_ms = trigger.last_ns // _MS
    average = total_ms / trigger.num_finished if trigger.num_finished else 0.0
    return {
        b"description": _text(trigger.description),
        b"last_error": _text(trigger.last_error),
        b"last_execution_time": last_ms,
        b"name": trigger.name.encode(),
        b"num_failed": trigger.num_failed,
        b"num_finished": trigger.num_finished,
        b"num_success": trigger.num_success,
        b"num_trigger": trigger.num_triggered,
        b"total_execution_time": total_ms,
        b"num_triggered": trigger.num_triggered,
        b"last_exection_time": last_ms,
        b"total_exection_time": total_ms,
        b"avg_exection_time": format_double(average),
        b"prefix": trigger.prefix,
    }


def _stream_trigger(trigger: StreamTrigger, level: int) -> dict[bytes, Any]:
    streams = (
        {b"streams": [_stream(s, trigger) for s in trigger.streams.values()]}
        if level > 1
        else {}
    )
    return {
        b"description": _text(trigger.description),
        b"name": trigger.name.encode(),
        b"prefix": trigger.prefix,
        **streams,
        b"trim": trigger.trimmed,
        b"window": trigger.window,
    }


def _stream(position: StreamPosition, trigger: StreamTrigger) -> dict[bytes, Any]:
    failure = position.last_error
    verbosity = trigger.owner.registry.error_verbosity
    return {
        b"id_to_read_from": None
        if position.last_read is None
        else format_id(position.last_read),
        b"last_error": None if failure is None else _text(failure.text(verbosity)),
        b"last_lag": position.last_lag,
        b"last_processed_time": position.last_processed_time,
        b"name": position.name,
        b"pending_ids": [format_id(pending) for pending in position.pending],
        b"total_lag": position.total_lag,
        b"total_processed_time": position.total_processed_time,
        b"total_record_processed": position.total_record_processed,
    }


def _names(items: Mapping[str, object]) -> list[bytes]:
    return [name.encode() for name in items]


def _text(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "replace")
