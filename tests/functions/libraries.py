"""Sources and questions that the tests of libraries share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from trignb.errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    import trignb
    from trignb.functions.triggers import KeyspaceTrigger


def lib(body: str, name: str = "lib", version: str = "1.0") -> str:
    """Return a library's source; `body` starts on line 2."""
    return f"#!js api_version={version} name={name}\n{body}"


def error_of(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Return the text of the error reply that the call ends with."""
    with pytest.raises(ResponseError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def eventually(check: Callable[[], Any], timeout: float = 10.0) -> None:
    """Wait for something that happens in the background."""
    end = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def trigger_of(
    engine: trignb.Engine, name: str, library: str = "lib"
) -> KeyspaceTrigger:
    """Return a loaded keyspace trigger."""
    return engine.library_registry.libraries[library].triggers[name]


def counters(trigger: KeyspaceTrigger) -> tuple[int, int, int, int]:
    """Return triggered, finished, success, failed."""
    return (
        trigger.num_triggered,
        trigger.num_finished,
        trigger.num_success,
        trigger.num_failed,
    )


def listed(engine: trignb.Engine, *words: str) -> list[dict[bytes, Any]]:
    """Return what TFUNCTION LIST answers."""
    reply: list[dict[bytes, Any]] = engine.execute("TFUNCTION", "LIST", *words)
    return reply
