"""Configuration: one table of parameters, CONFIG GET and CONFIG SET over it.

A parameter knows its name, how to read and print its value, its default and whether it may change at
run time. Whoever lives by a value registers with `on_change`; nothing is looked up per command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trignb.engine.events import format_flags, parse_flags
from trignb.errors import ResponseError
from trignb.glob import matcher

if TYPE_CHECKING:
    from trignb.engine.core import Core

__all__ = ["Config", "Parameter"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of the configuration.

    ``parse`` raises ResponseError with the reason only; the frame around it is `Config.set`'s.
    """

    name: str
    default: Any
    parse: Callable[[str], Any] = str
    show: Callable[[Any], str] = str
    immutable: bool = False


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a parser for integers within bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ResponseError("argument couldn't be parsed into an integer") from None
        if not low <= value <= high:
            raise ResponseError(
                f"argument must be between {low} and {high} inclusive"
            )
        return value

    return parse


PARAMETERS = (
    Parameter("hz", 10, integer(1, 500)),
    Parameter("requirepass", ""),
    Parameter("notify-keyspace-events", 0, parse_flags, format_flags),
    Parameter("hash-max-listpack-entries", 512, integer(0, 1 << 62)),
    Parameter("hash-max-listpack-value", 64, integer(0, 1 << 62)),
)


class Config:
    """The parameters' values, parsed, by name in ``values``."""

    def __init__(self, databases: int) -> None:
        self.parameters = {p.name: p for p in PARAMETERS}
        self.parameters["databases"] = Parameter("databases", databases, immutable=True)
        self.values: dict[str, Any] = {
            name: p.default for name, p in self.parameters.items()
        }
        self._watchers: dict[str, list[Callable[[Any], None]]] = {}

    def attach(self, core: Core) -> None:
        """Connect the parameters that the core itself lives by."""
        stop: Callable[[], None] = _nothing

        def notify(flags: int) -> None:
            nonlocal stop
            stop()
            stop = core.listen(core.pubsub.on_event, core.pubsub.event_mask(flags))

        self.on_change("notify-keyspace-events", notify)

    def on_change(self, name: str, watcher: Callable[[Any], None]) -> None:
        """Call `watcher(value)` now and whenever the parameter changes."""
        self._watchers.setdefault(name, []).append(watcher)
        watcher(self.values[name])

    def get(self, *patterns: bytes) -> dict[bytes, bytes]:
        """Return the parameters that match any of the patterns, name to text."""
        matchers = [matcher(p.lower()) for p in patterns]
        return {
            name.encode(): p.show(self.values[name]).encode()
            for name, p in self.parameters.items()
            if any(matches(name.encode()) for matches in matchers)
        }

    def set(self, pairs: dict[str, str]) -> None:
        """Change parameters, all or none of them."""
        parsed = {}
        for name, text in pairs.items():
            parameter = self.parameters.get(name.lower())
            if parameter is None:
                raise ResponseError(
                    "ERR Unknown option or number of arguments for CONFIG SET - "
                    f"'{name}'"
                )
            try:
                if parameter.immutable:
                    raise ResponseError("can't set immutable config")
                parsed[parameter.name] = parameter.parse(text)
            except ResponseError as error:
                raise ResponseError(
                    "ERR CONFIG SET failed (possibly related to argument "
                    f"'{name}') - {error}"
                ) from None
        for name, value in parsed.items():
            self.values[name] = value
            for watcher in self._watchers.get(name, ()):
                watcher(value)


def _nothing() -> None:
    """Do nothing."""
