"""Libraries and stream positions in RDB files.

They are one field of JSON among what a file says about its server. A plain redis-server starts on such
a file and leaves the field out. See docs/semantics.md, Persistence.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from trignb.datatypes.stream import format_id, parse_id
from trignb.errors import RdbError, ResponseError

if TYPE_CHECKING:
    from trignb.functions.library import Library
    from trignb.functions.registry import Registry
    from trignb.functions.streams import StreamPosition

__all__ = ["LibraryKeeper"]

FIELD: Final = b"trignb-libraries"
FORM: Final = 1

# Stream names are bytes, and JSON has none: one character each.
_BYTES: Final = "latin-1"


class LibraryKeeper:
    """What one engine's libraries have in RDB files; a `trignb.engine.kept.Kept`."""

    field = FIELD

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def value(self, *, is_base: bool = False) -> bytes | None:
        """Return all libraries with the positions of their stream triggers.

        An RDB file has what was read last, as the original's; the base of an append-only file
        what was acknowledged, which is what is written behind it.
        """
        libraries = self.registry.libraries.values()
        if not libraries:
            return None
        content = {
            "form": FORM,
            "libraries": [_content(each, is_base=is_base) for each in libraries],
        }
        return json.dumps(content, separators=(",", ":")).encode()

    def prepare(self, value: bytes | None, *, upgrade: bool) -> PreparedLibraries:
        """Compile and evaluate the libraries of a file; nothing is replaced yet."""
        ready = PreparedLibraries(self.registry, clears=not upgrade)
        if value is None:
            return ready
        try:
            for each in _read(value):
                ready.add(each, is_fresh=not upgrade)
        except (ResponseError, ValueError, KeyError, TypeError) as error:
            ready.discard()
            raise RdbError(f"a JavaScript library cannot be loaded: {error}") from None
        except BaseException:
            ready.discard()
            raise
        return ready

    def clear(self) -> None:
        """Forget all libraries."""
        self.registry.forget_libraries()

    def loading_ended(self) -> None:
        """Read what the streams have that nobody has read yet."""
        if any(self.registry.streams):
            self.registry.streams.wake_all()


class PreparedLibraries:
    """Libraries of a file that have been evaluated and are not loaded yet."""

    def __init__(self, registry: Registry, *, clears: bool) -> None:
        self._registry = registry
        self._clears = clears
        self._ready: list[tuple[Library, dict[str, dict[bytes, int]]]] = []

    def add(self, content: dict[str, Any], *, is_fresh: bool) -> None:
        """Build one more."""
        library = self._registry.build(
            content["code"],
            content["config"],
            content["user"],
            replace=True,
            is_fresh=is_fresh,
        )
        self._ready.append((library, {}))
        for name, streams in content["streams"].items():
            self._ready[-1][1][name] = {
                stream.encode(_BYTES): parse_id(last_read.encode())
                for stream, last_read in streams.items()
            }

    def install(self) -> None:
        """Publish them."""
        if self._clears:
            self._registry.forget_libraries()
        for library, positions in self._ready:
            self._registry.publish(library)
            for name, streams in positions.items():
                trigger = library.stream_triggers.get(name)
                if trigger is not None:
                    for stream, last_read in streams.items():
                        trigger.stream(stream).last_read = last_read
        self._ready = []

    def discard(self) -> None:
        """Drop them."""
        for library, _ in self._ready:
            library.runtime.dispose()
        self._ready = []


def _content(library: Library, *, is_base: bool) -> dict[str, Any]:
    def position(where: StreamPosition) -> int | None:
        return where.acknowledged if is_base else where.last_read

    return {
        "code": library.code,
        "config": library.configuration,
        "user": library.user,
        "streams": {
            trigger.name: {
                name.decode(_BYTES): format_id(last).decode()
                for name, where in trigger.streams.items()
                if (last := position(where)) is not None
            }
            for trigger in library.stream_triggers.values()
        },
    }


def _read(value: bytes) -> list[dict[str, Any]]:
    content = json.loads(value)
    if content["form"] != FORM:
        raise ValueError(f"form {content['form']} of the field {FIELD.decode()}")
    libraries: list[dict[str, Any]] = content["libraries"]
    return libraries
