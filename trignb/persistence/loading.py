"""Loading: an RDB file into an engine, all of it or nothing."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.interrupts import undisturbed
from trignb.engine.kept import loading
from trignb.errors import RdbError, ResponseError
from trignb.persistence.rdb_file import Contents, Keys, read_rdb

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.lua.libraries import Libraries
    from trignb.persistence.rdb_file import Progress

__all__ = ["MOST_DATABASES", "check_databases", "highest_database", "install", "load"]

# An engine made for a file has no more; a number in a file of 28 bytes may be four billion.
MOST_DATABASES: Final = 16_384


def load(
    core: Core,
    libraries: Libraries,
    data: bytes,
    *,
    flush: bool = True,
    merge: bool = False,
    spare: bool = False,
    progress: Progress | None = None,
    every: int = 1 << 20,
) -> Contents:
    """Load the contents of a file; nobody hears of it, and no counter of changes moves.

    Parameters
    ----------
    core : Core
        The engine.
    libraries : Libraries
        Its libraries of Lua functions.
    data : bytes
        The file.
    flush : bool
        Whether the keys and libraries there are make way.
    merge : bool
        Whether a key or library of the file may take the place of one there is.
    spare : bool
        Whether what layers above keep (JavaScript libraries) stays when the file has none.
    progress, every : callable and int, optional
        See `trignb.persistence.rdb_file.read_rdb`.

    Raises
    ------
    RdbError
        When the file cannot be loaded; nothing has changed then.
    """
    now_ms = core.clock.read() // 1_000_000
    contents = read_rdb(data, core.config.values, now_ms, progress, every)
    with core.lock:
        install(core, libraries, contents, flush=flush, merge=merge, spare=spare)
    return contents


@undisturbed()
def install(
    core: Core,
    libraries: Libraries,
    contents: Contents,
    *,
    flush: bool = True,
    merge: bool = False,
    spare: bool = False,
) -> None:
    """Put the contents of a file in; the lock is held. Options as for `load`."""
    check_databases(contents, len(core.databases))
    if not (flush or merge):
        for index, keys in contents.databases.items():
            for key in keys.data.keys() & core.databases[index].data.keys():
                raise RdbError(f"the key {key!r} is there already")
    policy = b"FLUSH" if flush else b"REPLACE" if merge else b"APPEND"
    with loading(core, clear=False), ExitStack() as undo:
        # Only these can fail, and they undo what they did.
        prepared = []
        for kept in core.kept:
            value = contents.aux.get(kept.field)
            upgrade = not flush or (spare and value is None)
            prepared.append(kept.prepare(value, upgrade=upgrade))
            undo.callback(prepared[-1].discard)
        _restore(libraries, contents.functions, policy)
        undo.pop_all()
        if flush:
            for listener in core.flush_listeners:
                listener()
        for db in core.databases:
            # Of its own for each: it becomes the database's.
            keys = contents.databases.get(db.index) or Keys()
            if flush:
                db.replace_data(keys.data, keys.deadlines)
            elif keys.data:
                db.replace_data(*_merged(db, keys))
            _note_access(core, db, keys)
        for ready in prepared:
            ready.install()
    if any(db.expires for db in core.databases):
        core.wake_cycle()
    core.contents_replaced()
    core.saves.keys_expired = contents.expired
    core.saves.keys_loaded = sum(len(k.data) for k in contents.databases.values())


def _restore(libraries: Libraries, functions: list[bytes], policy: bytes) -> None:
    try:
        libraries.restore(functions, policy)
    except ResponseError as error:
        raise RdbError(f"a library of functions cannot be loaded: {error}") from None


def check_databases(contents: Contents, databases: int) -> None:
    """Raise RdbError if a file has keys in a database that an engine does not have."""
    highest = highest_database(contents)
    if highest >= databases:
        raise RdbError(
            f"the file has keys in database {highest}, the engine has {databases} "
            "databases"
        )


def highest_database(contents: Contents) -> int:
    """Return the number of the last database with keys."""
    return max((i for i, keys in contents.databases.items() if keys.data), default=0)


def _merged(db: Database, keys: Keys) -> tuple[dict[bytes, Any], dict[bytes, int]]:
    deadlines = {k: at for k, at in db.expires.items() if k not in keys.data}
    return {**db.data, **keys.data}, {**deadlines, **keys.deadlines}


def _note_access(core: Core, db: Database, keys: Keys) -> None:
    """Take over how keys were used, where that matters to this engine."""
    policy = core.config.values["maxmemory-policy"]
    if policy.endswith("-lru"):
        for key, idle_s in keys.idle_s.items():
            core.access.set_idle(db, key, idle_s)
    elif policy.endswith("-lfu"):
        for key, frequency in keys.frequency.items():
            core.access.set_frequency(db, key, frequency)
