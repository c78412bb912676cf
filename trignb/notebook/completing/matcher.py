"""The matcher on IPython's completer: from a place in a cell to what may stand there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from IPython.core.completer import SimpleCompletion, context_matcher

from trignb.notebook.arguments import CELL, LINE, LOAD, TFUNCTION
from trignb.notebook.completing.place import (
    COMMAND,
    LIBRARY,
    Place,
    find_place,
)
from trignb.notebook.completing.sources import (
    Name,
    Question,
    names_of,
    python_names,
)
from trignb.notebook.signatures import signature
from trignb.notebook.subcommands.registry import subcommands

if TYPE_CHECKING:
    from trignb.engine.spec import Command
    from trignb.notebook.magics import TrignbMagics
    from trignb.notebook.options import Option
    from trignb.notebook.workbench import Bench

__all__ = ["make_matcher"]

_TABLES: Final[Mapping[str, Mapping[str, Option]]] = {
    "%redis": LINE,
    "%%redis": CELL,
    "%%tfunction": TFUNCTION,
    "%redis_load": LOAD,
}
# What libraries say most often; the rest of JavaScript is not ours to know.
_JAVASCRIPT: Final = (
    *("redis.registerFunction", "redis.registerAsyncFunction", "redis.config"),
    *("redis.registerKeySpaceTrigger", "redis.registerStreamTrigger", "redis.log"),
    *("redis.registerClusterFunction", "redis.apiVersionSupported"),
    *("client.call", "client.callRaw", "client.callAsync", "client.callAsyncRaw"),
    *("client.block", "client.executeAsync", "client.isBlockAllowed"),
    *("client.runOnKey", "client.runOnShards"),
    *("data.event", "data.key", "data.key_raw", "data.id", "data.record"),
    *("data.record_raw", "data.stream_name", "data.stream_name_raw"),
)


class _Handled(list[SimpleCompletion]):
    """The answer of a place that is ours, though there may be nothing to offer.

    IPython lets a matcher keep the others away only if it has something itself; without
    this a cell of commands would be offered Python's names.
    """

    def __len__(self) -> int:
        return super().__len__() or 1


def make_matcher(magics: TrignbMagics) -> Any:
    """Return the matcher for a shell's magics."""

    def match(context: Any) -> dict[str, Any]:
        place = find_place(
            context.full_text, context.cursor_line, context.cursor_position
        )
        if place is None:
            return {"completions": [], "suppress": False}
        fragment, found = _offers(place, magics)
        return {
            "completions": _Handled(found),
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    # Untyped upstream. Before all others, so that none of them is asked in vain.
    as_matcher: Any = context_matcher(identifier="trignb", priority=1000)
    return as_matcher(match)


def _offers(place: Place, magics: TrignbMagics) -> tuple[str, list[SimpleCompletion]]:
    """Return what is to be replaced, and by what."""
    if place.expression is not None and magics.expand == "braces":
        names = python_names(place.expression, magics.names)
        return place.expression, [SimpleCompletion(n, type="variable") for n in names]
    word = place.word
    found = _Finder(place, magics).names()
    spelled = ((word.spelled(name.text), name.kind) for name in found)
    offers = {text: kind for text, kind in spelled if text is not None}
    return word.raw, [SimpleCompletion(t, type=kind) for t, kind in offers.items()]


class _Finder:
    """What fits at a place."""

    def __init__(self, place: Place, magics: TrignbMagics) -> None:
        self.place = place
        self.magics = magics
        self.word = place.word
        self.words = list(place.words)
        self.engine: str | None = None

    def names(self) -> Iterable[Name]:
        """Return the candidates."""
        if self.place.part == LIBRARY:
            return self._literals(_JAVASCRIPT, "") if self.word.raw else []
        if self.place.part == COMMAND:
            return self._command(self.words)
        if self.place.magic == "%tf":
            return self._subcommand()
        rest = self._without_options(_TABLES[self.place.magic])
        if not isinstance(rest, list):
            return rest
        if self.place.magic == "%redis":
            return self._command(rest)
        return self._of("path") if self.place.magic == "%redis_load" else []

    # -- options

    def _without_options(
        self, table: Mapping[str, Option], *, anywhere: bool = False
    ) -> list[str] | tuple[Name, ...]:
        """Return the words behind the options; or what fits if the cursor is among them."""
        words, others = iter(self.words), []
        for word in words:
            option = table.get(word)
            if option is None:
                others.append(word)
                if not anywhere:
                    others += [] if word == "--" else list(words)
                    break
            elif option.takes is not None:
                value = next(words, None)
                if value is None:
                    return tuple(self._of(option.of))
                if option.dest == "engine":
                    self.engine = value
        rest = [*(others if others[:1] != ["--"] else []), *words]
        if self.word.raw.startswith("-") and (anywhere or not others):
            return tuple(self._options(table))
        return rest

    def _options(self, table: Mapping[str, Option]) -> Iterator[Name]:
        for spelling in table:
            if spelling.startswith(self.word.raw) and spelling not in self.words:
                yield Name(spelling.encode(), "option")

    # -- commands

    def _command(self, words: Sequence[str]) -> Iterable[Name]:
        """Return what fits in a command; `words` are those of it that are written."""
        if words and words[0].isdecimal():
            words = words[1:]
        if not words:
            return self._upper_or_lower("command")
        command = self._bench.engine.core.table.find(words[0].encode())
        if command is None:
            return []
        if command.subcommands and len(words) == 1:
            found = {w.decode().upper() for w in command.subcommands if w}
            return self._literals(sorted(found), "subcommand")
        return self._arguments(command, words)

    def _arguments(self, command: Command, words: Sequence[str]) -> Iterable[Name]:
        name, given = words[0], list(words[1:])
        if command.subcommands:
            name, given = f"{name} {given[0]}", given[1:]
        written = signature(name)
        if written is None:
            return []
        expected = written.expected(given)
        found = list(self._literals(expected.literals, "argument"))
        for value in expected.values:
            if value == "command":
                found += self._upper_or_lower("command")
            else:
                group = "" if value == "destination" else command.facts.group
                found += self._of(value, group, given[0] if given else "")
        return found

    def _literals(self, texts: Iterable[str], kind: str) -> Iterator[Name]:
        prefix = self.word.value
        for text in texts:
            if text.lower().startswith(prefix.lower()):
                shown = text.lower() if kind and prefix.islower() else text
                yield Name(shown.encode(), kind or "function")

    def _upper_or_lower(self, kind: str) -> Iterable[Name]:
        everything = names_of(kind, Question(self.magics, self._bench))
        return self._literals([name.text.decode() for name in everything], kind)

    # -- %tf

    def _subcommand(self) -> Iterable[Name]:
        known = subcommands()
        if not self.words:
            return self._literals(known, "subcommand")
        found = known.get(self.words[0])
        if found is None:
            return []
        self.words = self.words[1:]
        if found.reads_line:
            rest = self._without_options(found.options)
            if not isinstance(rest, list):
                return rest
            return self._function_line(rest, found.takes)
        rest = self._without_options(found.options, anywhere=True)
        if not isinstance(rest, list):
            return rest
        if len(rest) >= len(found.takes):
            return []
        if found.takes[len(rest)] == "command":
            if self.word.value.startswith("@"):
                return self._of("@group")
            return self._command(rest)
        return self._of(found.takes[len(rest)])

    def _function_line(
        self, words: Sequence[str], takes: Sequence[str]
    ) -> Iterable[Name]:
        """Return what fits in ``LIBRARY.FUNCTION [KEY …] -- [ARG …]``."""
        if not words:
            return self._of(takes[0])
        return [] if "--" in words else self._of("key")

    # -- names

    @property
    def _bench(self) -> Bench:
        return self.magics.workbench.peek(self.engine)

    def _of(self, kind: str, group: str = "", key: str = "") -> list[Name]:
        question = Question(self.magics, self._bench, self.word.value, group, key)
        return names_of(kind, question)
