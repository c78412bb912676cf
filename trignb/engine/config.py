"""Configuration: CONFIG GET and CONFIG SET over one table of parameters.

A parameter knows its name, how to read and print its value, its default and whether it may change at
run time; the table is `trignb.engine.parameters`. Whoever lives by a value registers with `on_change`;
nothing is looked up per command.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from trignb.engine.parameters import PARAMETERS, Parameter
from trignb.errors import ResponseError
from trignb.glob import matcher

if TYPE_CHECKING:
    from trignb.engine.core import Core

__all__ = ["Config", "Parameter"]

Watcher = Callable[[Any], None]

# What lets a dangerous command through.
_ENABLED_BY = {"debug": "enable-debug-command", "module": "enable-module-command"}

# Parameters of the functions layer keep the underscore of their prefix.
_MODULE_PREFIX = "redisgears_2."
_ODD_ENDING = "-cpulist"


class Config:
    """The parameters' values, parsed, by canonical name in ``values``.

    ``parameters`` maps every name, aliases included, to its `Parameter`; ``file`` is where CONFIG
    REWRITE writes, empty when the configuration comes from no file.
    """

    def __init__(self, databases: int) -> None:
        self.parameters: dict[str, Parameter] = {}
        self.values: dict[str, Any] = {}
        self.file = ""
        # Whether a new engine is being set up, as opposed to CONFIG SET.
        self.is_initial = False
        self._watchers: dict[str, list[Watcher]] = {}
        self.add(PARAMETERS)
        self.values["databases"] = databases
        with contextlib.suppress(OSError):
            self.values["dir"] = os.getcwd()

    def add(self, parameters: Iterable[Parameter]) -> None:
        """Take in parameters, with their defaults; for layers that have their own."""
        for parameter in parameters:
            self.parameters[parameter.name] = parameter
            if parameter.alias:
                self.parameters[parameter.alias] = parameter
            self.values[parameter.name] = parameter.default

    def attach(self, core: Core) -> None:
        """Connect the parameters that the core itself lives by."""
        stop: Callable[[], None] = _nothing

        def notify(flags: int) -> None:
            nonlocal stop
            stop()
            stop = core.listen(core.pubsub.on_event, core.pubsub.event_mask(flags))

        self.on_change("notify-keyspace-events", notify)

    def on_change(self, name: str, watcher: Watcher) -> None:
        """Call `watcher(value)` now and whenever the parameter changes.

        A watcher may raise `ResponseError` with a reason: the whole CONFIG SET is undone then,
        and the watchers that had already been told hear the old value again. It may change
        other entries of ``values``, which are undone likewise.
        """
        self._watchers.setdefault(name, []).append(watcher)
        watcher(self.values[name])

    # -- reading

    def text(self, name: str) -> str:
        """Return a value as CONFIG GET prints it."""
        parameter = self.parameters[name]
        return parameter.show(self.values[parameter.name])

    def get(self, *patterns: bytes) -> dict[bytes, bytes]:
        """Return the parameters that match any of the patterns, name to text.

        A name without wildcards is answered in the caller's spelling and finds hidden
        parameters too, as in Redis.
        """
        found: dict[str, bytes] = {}
        for pattern in patterns:
            name = pattern.decode("utf-8", "replace").lower()
            if any(c in pattern for c in b"*?["):
                matches = matcher(pattern, ignore_case=True)
                for name, parameter in self.parameters.items():
                    if not parameter.hidden and matches(name.encode()):
                        found.setdefault(name, name.encode())
            elif name in self.parameters:
                found.setdefault(name, pattern)
        return {shown: self._encoded(name) for name, shown in found.items()}

    def _encoded(self, name: str) -> bytes:
        return self.text(name).encode("utf-8", "surrogateescape")

    def refusal_of(self, command: str, *, is_local: bool = True) -> str | None:
        """Return the error for a command that has to be enabled first, None if it is."""
        word = command.partition("|")[0]
        option = _ENABLED_BY.get(word)
        if option is None or self._is_enabled(option, is_local):
            return None
        return (
            f"ERR {word.upper()} command not allowed. If the {option} option is set to "
            '"local", you can run it from a local connection, otherwise you need to set '
            "this option in the configuration file, and then restart the server."
        )

    def _is_enabled(self, option: str, is_local: bool) -> bool:
        """Whether an option says yes, to this machine's clients at least."""
        allowed = self.values[option]
        return bool(allowed == "yes" or (allowed == "local" and is_local))

    # -- changing

    def set(self, pairs: Iterable[tuple[str, str]], *, is_local: bool = True) -> None:
        """Change parameters at run time, all or none of them (CONFIG SET).

        Raises
        ------
        ResponseError
            For an unknown name, a parameter given twice, one that cannot change, a value out
            of range, or the veto of a watcher.
        """
        pairs = list(pairs)
        seen = set()
        for given, _ in pairs:
            name = given.lower()
            parameter = self.parameters.get(name)
            if parameter is None:
                raise _unknown(given)
            if parameter.immutable:
                raise _failed(given, "can't set immutable config")
            if parameter.protected and not self._is_enabled(
                "enable-protected-configs", is_local
            ):
                raise _failed(given, "can't set protected config")
            if name in seen:
                raise _failed(given, "duplicate parameter")
            seen.add(name)
        self._assign(pairs)

    def set_initial(self, given: Mapping[str, str | int | float | bool]) -> None:
        """Set parameters of a new engine; immutable ones are allowed here.

        ``_`` in a name stands for ``-``, a bool for yes and no.
        """
        pairs = []
        for key, value in given.items():
            name = _canonical_spelling(key)
            if name.lower() not in self.parameters or name == "databases":
                raise _unknown(key)
            pairs.append((name, _as_text(value)))
        self.is_initial = True
        try:
            self._assign(pairs)
        finally:
            self.is_initial = False

    def replace_default(self, name: str, value: Any) -> None:
        """Let a parameter start with another value, in range or not.

        Redis takes a module's arguments so: CONFIG SET is what looks at the range.
        """
        self.values[name] = value
        for watcher in self._watchers.get(name, ()):
            watcher(value)

    def _assign(self, pairs: list[tuple[str, str]]) -> None:
        before = dict(self.values)
        told: list[tuple[Watcher, str]] = []
        name = ""
        try:
            for name, given in pairs:
                parameter = self.parameters[name.lower()]
                old = self.values[parameter.name]
                text = given if parameter.binary else _before_zero(given)
                self.values[parameter.name] = parameter.parse(text, old)
            for name, _ in pairs:
                canonical = self.parameters[name.lower()].name
                if self.values[canonical] == before[canonical]:
                    continue
                for watcher in self._watchers.get(canonical, ()):
                    told.append((watcher, canonical))
                    watcher(self.values[canonical])
        except BaseException as error:
            self.values.update(before)
            for watcher, canonical in reversed(told):
                watcher(before[canonical])
            if isinstance(error, ResponseError):
                raise _failed(name.lower(), str(error)) from None
            raise


def _canonical_spelling(key: str) -> str:
    if key.startswith(_MODULE_PREFIX):
        return _MODULE_PREFIX + key.removeprefix(_MODULE_PREFIX).replace("_", "-")
    name = key.replace("_", "-")
    # Four names of Redis have an underscore.
    return name.replace("-", "_") if name.endswith(_ODD_ENDING) else name


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _before_zero(text: str) -> str:
    return text.partition("\0")[0]


def _unknown(name: str) -> ResponseError:
    return ResponseError(
        f"ERR Unknown option or number of arguments for CONFIG SET - '{_before_zero(name)}'"
    )


def _failed(name: str, reason: str) -> ResponseError:
    return ResponseError(
        f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
    )


def _nothing() -> None:
    """Do nothing."""
