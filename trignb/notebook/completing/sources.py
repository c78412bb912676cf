"""The names there are: commands, keys, functions, variables … each kind by its word.

Nothing here is a command: no event, no hit or miss, no access time. Whoever holds the engine's lock is
waited for only briefly; completion offers nothing then rather than have a cell wait.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trignb.datatypes import TYPE_NAMES

if TYPE_CHECKING:
    from trignb.notebook.magics import TrignbMagics
    from trignb.notebook.workbench import Bench

__all__ = ["KEY_WORDS", "Name", "Question", "names_of", "python_names"]

# What signatures call a key.
KEY_WORDS: Final = frozenset(("key", "source", "destination", "newkey"))

# How long the lock is waited for, and how long it is kept.
_LOCK_S: Final = 0.02
_LOOK_S: Final = 0.03
_LOOK_EVERY: Final = 1000

# Types by the group of the commands that are for them.
_TYPE_OF_GROUP: Final = {
    **{group: group for group in ("string", "list", "set", "hash", "stream")},
    "sorted-set": "zset",
    "geo": "zset",
    "bitmap": "string",
    "hyperloglog": "string",
}


class Name(NamedTuple):
    """One candidate: what it is, and of which kind."""

    text: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for.

    Attributes
    ----------
    magics, bench : TrignbMagics, Bench
        Whose names, and of which engine.
    prefix : str
        How the name begins.
    group : str
        Group of the command at work, which tells the type of its keys.
    key : str
        First key of the command, whose fields are meant.
    """

    magics: TrignbMagics
    bench: Bench
    prefix: str = ""
    group: str = ""
    key: str = ""


def names_of(kind: str, question: Question) -> list[Name]:
    """Return the names of a kind that begin as asked, those that fit best first."""
    if "|" in kind:
        return _plain(kind.split("|"), "option", question)
    if kind in KEY_WORDS:
        return _keys(question)
    source = _SOURCES.get(kind)
    return _plain(source(question), kind, question) if source is not None else []


def _plain(texts: Iterable[str | bytes], kind: str, question: Question) -> list[Name]:
    prefix = question.prefix.encode()
    encoded = [t if isinstance(t, bytes) else t.encode() for t in texts]
    return [Name(text, kind) for text in encoded if text.startswith(prefix)]


@contextmanager
def _looking(bench: Bench) -> Iterator[bool]:
    """Hold the engine's lock if it is to be had soon; tell whether it was."""
    lock = bench.engine.core.lock
    got = lock.acquire(timeout=_LOCK_S)
    try:
        yield got
    finally:
        if got:
            lock.release()


# -- keys and what is in them


def _keys(question: Question) -> list[Name]:
    limit = question.magics.complete_keys_limit
    wanted = _TYPE_OF_GROUP.get(question.group)
    fitting: list[Name] = []
    others: list[Name] = []
    with _looking(question.bench) as got:
        if not got:
            return []
        for key, kind in islice(_live_keys(question), limit * 20):
            fits = wanted is None or kind == wanted
            (fitting if fits else others).append(Name(key, kind))
            if len(fitting) >= limit:
                break
    return [*sorted(fitting), *sorted(others)][:limit]


def _live_keys(question: Question) -> Iterator[tuple[bytes, str]]:
    """Yield keys of the client's database with their types, for a few milliseconds."""
    db, core = question.bench.session.db, question.bench.engine.core
    prefix, expires = question.prefix.encode(), db.expires
    now_ms = core.clock.read() // 1_000_000
    ends = monotonic() + _LOOK_S
    for number, (key, value) in enumerate(db.data.items()):
        if number % _LOOK_EVERY == 0 and monotonic() > ends:
            return
        if key.startswith(prefix) and expires.get(key, now_ms) >= now_ms:
            yield key, TYPE_NAMES.get(type(value), "key")


def _fields(question: Question) -> list[str | bytes]:
    with _looking(question.bench) as got:
        value = question.bench.session.db.data.get(question.key.encode())
        if not got or TYPE_NAMES.get(type(value)) != "hash" or value is None:
            return []
        return sorted(islice(value, question.magics.complete_keys_limit))


# -- libraries


def _libraries(question: Question) -> list[str | bytes]:
    return list(question.bench.engine.library_registry.libraries)


def _functions(question: Question) -> list[str | bytes]:
    libraries = question.bench.engine.library_registry.libraries
    return [
        f"{lib.name}.{name}" for lib in libraries.values() for name in lib.functions
    ]


def _triggers(question: Question) -> list[str | bytes]:
    libraries = question.bench.engine.library_registry.libraries
    return [
        name
        for lib in libraries.values()
        for name in (*lib.triggers, *lib.stream_triggers)
    ]


def _lua_functions(question: Question) -> list[str | bytes]:
    return sorted(question.bench.engine.lua_libraries.functions)


def _lua_libraries(question: Question) -> list[str | bytes]:
    return sorted(question.bench.engine.lua_libraries.loaded)


# -- the engine


def _commands(question: Question) -> list[str | bytes]:
    table = question.bench.engine.core.table.by_name
    return sorted(name.upper() for name in table if " " not in name)


def _groups(question: Question) -> list[str | bytes]:
    table = question.bench.engine.core.table.by_name
    return sorted({f"@{command.facts.group}" for command in table.values()})


def _channels(question: Question) -> list[str | bytes]:
    pubsub = question.bench.engine.core.pubsub
    return sorted({*pubsub.channels, *pubsub.shard_channels})


def _parameters(question: Question) -> list[str | bytes]:
    return sorted(question.bench.engine.core.config.values)


def _events(question: Question) -> list[str | bytes]:
    records = question.bench.engine.core.notifications.records.copy()
    return sorted({record[4] for record in records})


def _users(question: Question) -> list[str | bytes]:
    return sorted(question.bench.engine.core.permissions.users)


# -- the notebook


def _engines(question: Question) -> list[str | bytes]:
    return [
        "default",
        *(n for n in question.magics.workbench.benches if n != "default"),
    ]


def _snippets(question: Question) -> list[str | bytes]:
    return sorted(question.magics.workbench.snippets)


def _variables(question: Question) -> list[str | bytes]:
    names: Mapping[str, Any] = getattr(question.magics.shell, "user_ns", {})
    return sorted(name for name in names if not name.startswith("_"))


def _paths(question: Question) -> list[str | bytes]:
    folder, _, _ = question.prefix.rpartition("/")
    start = Path(folder or ("/" if question.prefix.startswith("/") else "."))
    try:
        found = sorted(islice(start.expanduser().iterdir(), 500))
    except OSError:
        return []
    head = f"{folder}/" if "/" in question.prefix else ""
    return [f"{head}{path.name}{'/' if path.is_dir() else ''}" for path in found]


_SOURCES: Final[Mapping[str, Callable[[Question], Iterable[str | bytes]]]] = {
    "@group": _groups,
    "channel": _channels,
    "command": _commands,
    "engine": _engines,
    "event": _events,
    "field": _fields,
    "function": _functions,
    "library": _libraries,
    "lua-function": _lua_functions,
    "lua-library": _lua_libraries,
    "parameter": _parameters,
    "path": _paths,
    "snippet": _snippets,
    "trigger": _triggers,
    "user": _users,
    "variable": _variables,
}


def python_names(text: str, names: Mapping[str, Any]) -> list[str]:
    """Return what a Python name may go on as: ``us`` as ``user``, ``user.na`` as ``user.name``."""
    owner, dot, _ = text.rpartition(".")
    if not dot:
        known = {*names, *vars(builtins)}
        return sorted(n for n in known if n.startswith(text) and _is_shown(n, text))
    try:
        value = _value_of(owner, names)
    except (AttributeError, KeyError):
        return []
    members = (f"{owner}.{name}" for name in dir(value) if _is_shown(name, text))
    return [name for name in members if name.startswith(text)]


def _is_shown(name: str, text: str) -> bool:
    return not name.startswith("_") or text.rpartition(".")[2].startswith("_")


def _value_of(owner: str, names: Mapping[str, Any]) -> Any:
    """Return the value of a dotted name; properties that are functions are not called."""
    first, *rest = owner.split(".")
    value = names[first]
    for name in rest:
        if isinstance(getattr(type(value), name, None), property):
            raise AttributeError(name)
        value = getattr(value, name)
    return value
