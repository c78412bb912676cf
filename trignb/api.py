"""The one class people hold.

`Engine` puts the layers together: the keyspace, the functions, and (imported when first asked for) the
redis-py client. Its DataFrames stand in `tables.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from types import TracebackType
from typing import TYPE_CHECKING, Any

from trignb.causes import Causes
from trignb.engine.chance import Chance, Seed
from trignb.engine.core import Core
from trignb.engine.dispatch import make_execute
from trignb.engine.files import replacing
from trignb.engine.session import Session
from trignb.errors import RdbError
from trignb.functions.awaiting import Caller, reply_soon
from trignb.functions.registry import Registry
from trignb.lua.commands import function_family, script_family
from trignb.lua.libraries import Libraries
from trignb.lua.scripts import Scripts
from trignb.persistence.aof import AppendOnlyFile
from trignb.persistence.aof_commands import aof_family, load_aof_subcommand
from trignb.persistence.commands import reload_subcommand, save_family
from trignb.persistence.loading import MOST_DATABASES, highest_database, install
from trignb.persistence.loading import load as load_contents
from trignb.persistence.rdb_file import read_rdb
from trignb.persistence.saving import Saver
from trignb.replication.commands import following_family, waiting_family
from trignb.replication.local import LocalLink, PrimaryClock
from trignb.replication.log import PropagationLog
from trignb.replication.role import Replication
from trignb.tables import Tables
from trignb.views import Views

if TYPE_CHECKING:
    import redis

    from trignb.clock import Clock
    from trignb.functions.library import Library
    from trignb.notebook.progress import Wanted
    from trignb.reply import Reply
    from trignb.server.server import Server

__all__ = ["Engine", "Snapshot"]


class Snapshot:
    """The contents of an engine at one moment; give it to `Engine.restore`.

    ``keys`` is the number of keys over all databases.
    """

    def __init__(self, contents: list[Any]) -> None:
        self.contents = contents
        self.keys = sum(len(data) for data, _ in contents)

    def __repr__(self) -> str:
        return f"<Snapshot of {self.keys} keys>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self.contents == other.contents

    __hash__ = None  # type: ignore[assignment]


class Engine(Tables, Views, Causes):
    """A Redis-compatible keyspace in this process, with triggers and functions.

    Parameters
    ----------
    clock : Clock, optional
        The engine's clock; the system's time when absent.
    databases : int
        How many databases there are.
    log_size : int, optional
        How many notifications to keep. Without it the log starts with the first library
        or the first call of `notifications`, and keeps 10,000; 0 keeps none.
    seed : int or str, optional
        What chance follows: SPOP and its kin, eviction, ``Math.random`` of libraries. Engines
        with the same seed choose alike; without one each chooses otherwise.
    **config
        Redis parameters and the functions' own (``redisgears_2.…``), as CONFIG SET takes
        them; ``_`` in a name stands for ``-``.

    Raises
    ------
    ResponseError
        When a parameter is unknown or its value is out of range.
    AofError
        With ``appendonly``, when the append-only file in ``dir`` is damaged or another engine
        writes it.

    Examples
    --------
    >>> with Engine() as engine:
    ...     engine.execute("SET", "greeting", "hello")
    ...     engine.execute("GET", "greeting")
    'OK'
    b'hello'
    """

    def __init__(
        self,
        clock: Clock | None = None,
        databases: int = 16,
        log_size: int | None = None,
        seed: Seed = None,
        **config: str | int | float | bool,
    ) -> None:
        self.core = core = Core(clock, databases, Chance(seed))
        self.clock: Clock = core.clock
        self._threads = threading.local()
        # An instance attribute shadows the documented method: see `engine/dispatch.py`.
        self.execute = make_execute(core, self._threads, self.session)  # type: ignore[method-assign]
        self.library_registry = Registry(core)
        self._caller = Caller(core)
        core.permissions.watchers.append(
            lambda restricted: self.library_registry.set_access(
                core.permissions if restricted else None
            )
        )
        self.scripts = Scripts(core)
        self.lua_libraries = Libraries(core, self.scripts)
        core.info_counts |= {
            "number_of_cached_scripts": lambda: len(self.scripts.cache),
            "number_of_functions": lambda: len(self.lua_libraries.functions),
            "number_of_libraries": lambda: len(self.lua_libraries.loaded),
            "used_memory_vm_eval": self.scripts.state_bytes,
            "used_memory_scripts_eval": self.scripts.cached_bytes,
            "used_memory_functions": self.lua_libraries.code_bytes,
        }
        core.add_family(script_family(self.scripts))
        core.add_family(function_family(self.lua_libraries))
        self.saver = Saver(core, self.lua_libraries)
        self.saver.has_directory = "dir" in config
        core.add_family(save_family(self.saver))
        core.debug_subcommands[b"RELOAD"] = reload_subcommand(self.saver)
        self.aof = AppendOnlyFile(core, self.saver)
        core.add_family(aof_family(self.aof))
        core.debug_subcommands[b"LOADAOF"] = load_aof_subcommand(self.aof)
        self.replication = Replication(self.saver)
        self.replication.listeners.append(self.library_registry.role_changed)
        core.add_family(following_family(self.replication))
        core.add_family(waiting_family(self.replication))
        self.propagation_log = PropagationLog(core)
        if log_size is not None:
            core.record_notifications(log_size)
        if config:
            core.config.set_initial(config)
            self._start_aof()

    def _start_aof(self) -> None:
        try:
            self.aof.start()
        except BaseException:
            self.close()
            raise

    @classmethod
    def from_rdb(
        cls,
        path: str | PathLike[str],
        *,
        progress: Wanted = None,
        **kwargs: Any,
    ) -> Engine:
        """Return an engine with the keys, Lua functions and libraries of an RDB file.

        Parameters
        ----------
        path : str or path
            A file that Redis 5 to 7.2 or `save` wrote. Keys whose deadline has passed are
            left out, and so is what belongs to modules, with a warning in the log.
        progress : callable or bool, optional
            Called with bytes read and bytes there are, once per megabyte and at the end.
            Without it a notebook shows a bar after a second; False shows none, True one
            on a terminal too.
        **kwargs
            As for `Engine`. Without ``databases`` there are as many as the file needs, 16
            at least.

        Raises
        ------
        RdbError
            When the file is none, of a later version, or damaged.
        OSError
            When it cannot be read.

        Examples
        --------
        >>> with Engine() as engine:
        ...     engine.execute("SET", "greeting", "hello")
        ...     engine.save("/tmp/dump.rdb")
        'OK'
        >>> with Engine.from_rdb("/tmp/dump.rdb") as engine:
        ...     engine.execute("GET", "greeting")
        b'hello'
        """
        from trignb.notebook.progress import watching

        with open(path, "rb") as file:
            data = file.read()
        engine = cls(**kwargs)
        try:
            core = engine.core
            now_ms = core.clock.read() // 1_000_000
            with watching("bytes", progress) as step:
                contents = read_rdb(data, core.config.values, now_ms, step)
            needed = highest_database(contents) + 1
            if needed > MOST_DATABASES and "databases" not in kwargs:
                raise RdbError(
                    f"the file has keys in database {needed - 1}; for more than "
                    f"{MOST_DATABASES} databases say how many with databases=…"
                )
            if needed > len(core.databases) and "databases" not in kwargs:
                engine.close()
                engine = cls(databases=needed, **kwargs)
            with engine.core.lock:
                install(engine.core, engine.lua_libraries, contents)
        except BaseException:
            engine.close()
            raise
        return engine

    def load_rdb(
        self,
        path: str | PathLike[str],
        *,
        progress: Wanted = None,
    ) -> int:
        """Replace keys and Lua functions by those of an RDB file; returns how many keys.

        Nobody hears of it: no events, no triggers. JavaScript libraries are replaced by those
        of the file; they stay when it has none, as files of other servers have. Arguments and
        errors are those of `from_rdb`; after an error nothing has changed.
        """
        from trignb.notebook.progress import watching

        with open(path, "rb") as file:
            data = file.read()
        with watching("bytes", progress) as step:
            load_contents(
                self.core, self.lua_libraries, data, spare=True, progress=step
            )
        return sum(len(db.data) for db in self.core.databases)

    # -- commands

    def execute(self, *args: str | bytes | float) -> Reply:
        """Run one command and return its reply.

        Each thread is a client of its own: SELECT, MULTI and WATCH of one thread do not
        concern another.

        Parameters
        ----------
        *args : str, bytes, int or float
            Name and arguments; ``str`` is sent as UTF-8.

        Returns
        -------
        bytes, int, float, bool, None, list, dict, set or Status
            The reply as RESP3 types it.

        Raises
        ------
        ResponseError
            The error reply, Redis's text word for word.
        TypeError
            When an argument is of another type.
        """
        raise AssertionError("replaced by make_execute in __init__")

    def session(self, resp: int = 3, name: str = "") -> Session:
        """Return a new client of the engine, with `.execute(*args)` of its own.

        ``resp`` is 3 or 2, the protocol its replies are shaped for.
        """
        session = Session(self.core, resp)
        session.name = name.encode()
        return session

    def client(self, **kwargs: Any) -> redis.Redis:
        """Return a `redis.Redis` of redis-py whose connection is this engine.

        Keyword arguments are those of `redis.Redis` that make sense without a network:
        ``decode_responses``, ``encoding``, ``db``, ``protocol``, ``client_name`` …
        """
        from trignb.client import engine_client

        return engine_client(self, **kwargs)

    def serve(
        self,
        port: int | None = 0,
        host: str = "127.0.0.1",
        *,
        unixsocket: str = "",
        tls_port: int | None = None,
    ) -> Server:
        """Open a port for redis-cli, client libraries and other processes.

        The server runs on a thread of its own; the engine stays usable here. Close it
        alone (`Server.close`) or with the engine.

        Parameters
        ----------
        port : int or None
            TCP port, 0 for any free one (see `Server.port`), None for no TCP port.
        host : str
            Address to listen on; several with blanks between.
        unixsocket : str
            Path of a unix socket to listen on.
        tls_port : int or None
            A port for TLS, with the certificates that the ``tls-…`` parameters name.

        Raises
        ------
        OSError
            When the address is taken.
        ResponseError
            When the certificates cannot be used.

        Examples
        --------
        >>> import redis
        >>> with Engine() as engine, engine.serve() as server:
        ...     redis.Redis(port=server.port).set("greeting", "hello")
        True
        """
        from trignb.server.server import Server

        return Server(
            self.core, host, port, unixsocket=unixsocket, tls_port=tls_port
        ).start()

    def replica(self, seed: Seed = None, **config: str | int | float | bool) -> Engine:
        """Return an engine in this process that is a replica of this one.

        It has keys, Lua functions and libraries, and by the time a command here returns it has
        that command's effects, those of triggers included. Its own triggers are silent, and it
        refuses writes (READONLY) until ``REPLICAOF NO ONE`` makes it a primary. Its clock is
        this engine's. When this engine is closed it goes on with what it has.

        Parameters
        ----------
        seed, **config
            Of the replica, as for `Engine`. What chance chose here it is told; its own is of
            use once it is a primary.

        Examples
        --------
        >>> with Engine() as engine, engine.replica() as replica:
        ...     engine.execute("SET", "greeting", "hello")
        ...     replica.execute("GET", "greeting")
        'OK'
        b'hello'
        """
        copy = Engine(
            PrimaryClock(self.clock), len(self.core.databases), None, seed, **config
        )
        try:
            LocalLink(self.replication, copy.replication).start()
        except BaseException:
            copy.close()
            raise
        return copy

    # -- libraries

    def load(
        self,
        code: str,
        replace: bool = False,
        config: Mapping[str, Any] | str | None = None,
    ) -> Library:
        """Load a library (TFUNCTION LOAD) and return what it registered.

        Parameters
        ----------
        code : str
            The source, prologue included.
        replace : bool
            Whether a library of this name may be replaced.
        config : dict or str, optional
            What the library sees as ``redis.config``, a dict or JSON text.

        Raises
        ------
        JavaScriptError
            When the code does not compile or does not run; nothing is changed then.
        ResponseError
            For every other reason Redis gives.
        """
        return self.library_registry.load_from_python(code, replace, config)

    def call(
        self,
        function: str,
        keys: Iterable[str | bytes] = (),
        args: Iterable[str | bytes | float] = (),
        *,
        timeout: float | None = None,
    ) -> Reply:
        """Call ``library.function`` with keys and arguments.

        Parameters
        ----------
        function : str
            Library and function, with a dot between them.
        keys, args : iterable
            What the function gets, keys first.
        timeout : float, optional
            With it the function may go on in the background (TFCALLASYNC) and is waited for,
            for so many seconds. Without it it has to answer at once (TFCALL).

        Raises
        ------
        JavaScriptError
            When it threw.
        ResponseError
            For every other reason Redis gives.
        TimeoutError
            When there was no answer in time; the function goes on all the same.
        """
        if timeout is None:
            keys = list(keys)
            return self.execute("TFCALL", function, len(keys), *keys, *args)
        own = self._own_session()
        return self._caller.call_within(own, function, keys, args, timeout)

    async def call_async(
        self,
        function: str,
        keys: Iterable[str | bytes] = (),
        args: Iterable[str | bytes | float] = (),
    ) -> Reply:
        """Call ``library.function`` (TFCALLASYNC) and await its answer.

        The function is called at once, on this thread; what it does in the background is
        awaited. Any number of calls may be under way. Cancelling one stops waiting for it,
        and the function goes on. Parameters and errors are those of `call`.

        Examples
        --------
        >>> async def total(engine):
        ...     calls = [engine.call_async("lib.count", args=[i]) for i in range(3)]
        ...     return sum(await asyncio.gather(*calls))
        """
        own, session = self._own_session(), self.session()
        session.user, session.authenticated = own.user, own.authenticated
        session.db = own.db
        try:
            begun = self._caller.begin(session, function, keys, args)
            return await reply_soon(begun)
        finally:
            session.close()

    def _own_session(self) -> Session:
        """Return the calling thread's session."""
        try:
            session: Session = self._threads.session
        except AttributeError:
            session = self._threads.session = self.session()
        return session

    # -- state

    def snapshot(self) -> Snapshot:
        """Return the contents of all databases: keys, values and deadlines."""
        with self.core.lock:
            return Snapshot([db.copy_data() for db in self.core.databases])

    def restore(self, snapshot: Snapshot) -> None:
        """Bring the contents of all databases back; fires no events.

        A snapshot can be restored any number of times. Libraries stay as they are.

        Raises
        ------
        ValueError
            When the snapshot comes from an engine with another number of databases.
        """
        self.core.restore(snapshot.contents)

    def save(self, path: str | PathLike[str], *, version: int | None = None) -> None:
        """Write keys with their deadlines, Lua functions and libraries to an RDB file.

        redis-server 7.2 and later start on it and leave the JavaScript libraries out.
        Commands of other threads wait meanwhile; BGSAVE lets them go on.

        Parameters
        ----------
        path : str or path
            The file; one that is there is replaced.
        version : int, optional
            10 for a file that redis-server 7.0 reads too, 11 for one of 7.2; the engine's
            ``rdb_version`` otherwise.

        Raises
        ------
        ValueError
            When there is no such version.
        OSError
            When the file cannot be written; one that was there stays as it was.
        """
        if version not in (None, 10, 11):
            raise ValueError(f"RDB version {version} cannot be written, 10 and 11 can")
        with self.core.lock, replacing(fspath(path)) as file:
            self.saver.write(file, version)

    def reset(self, *, keep_libraries: bool = False) -> None:
        """Drop all keys, logs and counters, and all libraries unless they are to be kept.

        With a seed chance begins anew as well; libraries that are kept go on with theirs.
        """
        with self.core.lock:
            self.core.chance.restart()
            for db in self.core.databases:
                db.clear()
            if keep_libraries:
                self.library_registry.reset_statistics()
            else:
                self.library_registry.clear()
            self.core.notifications.clear()
            self.core.commands.clear()
            self.propagation_log.clear()
            self.core.contents_replaced()

    def close(self) -> None:
        """Stop the engine and its JavaScript; later commands raise `EngineClosed`."""
        if self.board is not None:
            self.board.close()
        for server in list(self.core.servers):
            server.close()
        self.replication.close()
        self.aof.settle()
        self.library_registry.close()
        self.saver.close()
        self.core.close()
        # Last: until then a command may have come through and been acknowledged.
        self.aof.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        keys = sum(len(db.data) for db in self.core.databases)
        libraries = len(self.library_registry.libraries)
        state = "closed" if self.core.closed else f"{keys} keys, {libraries} libraries"
        return f"<trignb.Engine {state}>"
