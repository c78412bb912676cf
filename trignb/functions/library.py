"""What one load of a library registered: functions, triggers, and the runtime behind them.

A `Library` is one version. REPLACE makes a new one, which takes over the statistics and the places in
the firing order of the triggers that kept their names; the old one lives on only while its background
work runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trignb.functions.sections import LibrarySection, Origin
from trignb.functions.statistics import Times
from trignb.js.runtime import (
    CLUSTER_FUNCTION,
    FUNCTION,
    KEYSPACE_TRIGGER,
    STREAM_TRIGGER,
)

if TYPE_CHECKING:
    from trignb.functions.host import LibraryHost, LogLine
    from trignb.functions.prologue import Prologue
    from trignb.functions.registry import Registry
    from trignb.functions.streams import StreamTrigger
    from trignb.functions.triggers import KeyspaceTrigger
    from trignb.js.runtime import Registration, Runtime

__all__ = ["ClusterFunction", "Function", "Library", "LibrarySource"]

_KINDS: Final = (
    (FUNCTION, "functions"),
    (CLUSTER_FUNCTION, "cluster_functions"),
    (KEYSPACE_TRIGGER, "triggers"),
    (STREAM_TRIGGER, "stream_triggers"),
)


@dataclass(frozen=True, slots=True)
class LibrarySource:
    """What TFUNCTION LOAD was given."""

    code: str
    prologue: Prologue
    configuration: str | None
    user: str


class Function:
    """A registered function and its statistics.

    Attributes
    ----------
    library, name : str
        It is called as ``library.name``.
    flags : tuple of str
        ``no-writes``, ``allow-oom``, ``raw-arguments``.
    is_async : bool
        Registered by ``registerAsyncFunction``.
    is_coroutine : bool
        The callback is an ``async`` function.
    description : str or None
        Option ``description``.
    line : int or None
        Line of the library in which it was registered.
    calls, failures : int
        How often it was begun, and how often it failed.
    times : Times
        How long the calls took that have ended, by the engine's clock.
    """

    kind = FUNCTION

    def __init__(self, owner: Library, registration: Registration) -> None:
        self.owner = owner
        self.library = owner.name
        self.name = registration.name
        self.flags = registration.flags
        self.no_writes = "no-writes" in registration.flags
        self.allow_oom = "allow-oom" in registration.flags
        self.raw_arguments = "raw-arguments" in registration.flags
        self.is_async = registration.declared_async
        self.is_coroutine = registration.is_async
        self.description = registration.description
        self.line = registration.line
        self.callback = registration.callback
        self.calls = self.failures = 0
        self.times = Times()
        self._sections: dict[tuple[str, bool], LibrarySection] = {}

    def __repr__(self) -> str:
        kind = "async function" if self.is_async else "function"
        return f"<{kind} {self.library}.{self.name}>"

    @property
    def total_ns(self) -> int:
        """How long all calls took together, in ns."""
        return self.times.total_ns

    def section(self, user: str, block_allowed: bool) -> LibrarySection:
        """Return the section for a caller."""
        section = self._sections.get((user, block_allowed))
        if section is None:
            section = self._sections[user, block_allowed] = LibrarySection(
                self.origin(user),
                self.owner.host.session(user),
                block_allowed=block_allowed,
            )
        return section

    def origin(self, user: str) -> Origin:
        """Return what background work for a caller inherits."""
        return Origin(
            self.library,
            "function",
            user,
            no_writes=self.no_writes,
            allow_oom=self.allow_oom,
        )

    def reset_statistics(self) -> None:
        """Forget calls, failures and times."""
        self.calls = self.failures = 0
        self.times = Times()


@dataclass(frozen=True, slots=True)
class ClusterFunction:
    """A function that other shards may call."""

    library: str
    name: str
    line: int | None


class Library:
    """One loaded library.

    Attributes
    ----------
    name, engine, api_version : str
        From the prologue; the version is the one asked for.
    code : str
        The source, prologue included.
    configuration : str or None
        The JSON text that ``redis.config`` shows, exactly as given.
    user : str
        Who loaded it; its triggers act as this user.
    functions, cluster_functions, triggers, stream_triggers : dict
        What it registered, by name, in the order of registration.
    loaded_at : int
        Engine time of the load in ns since the epoch.
    loads : int
        How often a library of this name was loaded, replacements included.
    """

    def __init__(
        self, registry: Registry, source: LibrarySource, host: LibraryHost
    ) -> None:
        self.registry = registry
        self.host = host
        self.name = source.prologue.name
        self.engine = source.prologue.engine
        self.api_version = source.prologue.api_version
        self.code = source.code
        self.configuration = source.configuration
        self.user = source.user
        self.functions: dict[str, Function] = {}
        self.cluster_functions: dict[str, ClusterFunction] = {}
        self.triggers: dict[str, KeyspaceTrigger] = {}
        self.stream_triggers: dict[str, StreamTrigger] = {}
        self.loaded_at = registry.clock.read()
        self.loads = 1

    def __repr__(self) -> str:
        parts = [
            f"{len(names)} {kind if len(names) == 1 else kind + 's'} ({', '.join(names)})"
            for kind, names in self.registered.items()
            if names
        ]
        return f"<Library {self.name}: {', '.join(parts)}>"

    @property
    def registered(self) -> dict[str, list[str]]:
        """Names of what was registered, by kind in words."""
        return {
            "keyspace trigger": list(self.triggers),
            "stream trigger": list(self.stream_triggers),
            "function": list(self.functions),
            "cluster function": list(self.cluster_functions),
        }

    @property
    def runtime(self) -> Runtime:
        """The JavaScript behind it."""
        runtime = self.host.runtime
        assert runtime is not None
        return runtime

    @property
    def keyspace_triggers(self) -> dict[str, KeyspaceTrigger]:
        """Same as `triggers`."""
        return self.triggers

    @property
    def pending_jobs(self) -> int:
        """Length of the background queue, the running job excluded."""
        return self.runtime.pending_jobs

    @property
    def pending_async_calls(self) -> list[str]:
        """Commands of ``callAsync`` that have not been answered."""
        # Copied at once: without the lock it may change meanwhile.
        return [pending.text for pending in list(self.host.pending_calls)]

    @property
    def logs(self) -> list[LogLine]:
        """What ``redis.log`` wrote, oldest first."""
        return list(self.host.logs)

    @property
    def code_sha1(self) -> str:
        """SHA-1 of the source, in hex."""
        digest = hashlib.sha1(self.code.encode(), usedforsecurity=False)
        return digest.hexdigest()

    def registrations(self) -> list[Any]:
        """Everything it registered, kind by kind."""
        return [item for _, kind in _KINDS for item in getattr(self, kind).values()]
