"""What caused what: the methods of `Engine` that trace, explain and try out.

pandas is not needed for any of it, until a table is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.notebook.explain import Explanation
    from trignb.notebook.trace import Trace
    from trignb.rehearsal import DryRun

__all__ = ["Causes"]


class Causes:
    """Traces, explanations and dry runs."""

    def trace(self, clients: str = "mine", max_spans: int = 10_000) -> Trace:
        """Return a trace, to be opened by ``with``: who caused what, as a tree.

        It shows commands, their events, the triggers these fired, what those called in turn, and
        what became of each key, with times; background work is followed to its end. Replies,
        events and their order are those of an engine that nobody traces. While a trace
        is open a command takes some 10 µs more, without one nothing.

        Parameters
        ----------
        clients : {"mine", "all"}
            What this thread does, whatever client it speaks as, or what everybody does.
        max_spans : int
            How many spans are kept.

        Examples
        --------
        >>> with engine.trace() as t:
        ...     engine.execute("HSET", "user:1", "name", "tom")
        1
        >>> t
        HSET user:1 name tom → (integer) 1
        ├─ user:1 (hash, new): + name "tom"
        └─ event hset user:1
        >>> t.diff().keys()
        ['user:1']
        """
        from trignb.notebook.trace import Trace

        return Trace(cast("Engine", self), clients, max_spans)

    def explain(self, key: str | bytes, db: int = 0) -> Explanation:
        """Tell who changed a key last and through which chain of causes.

        That is read from the notification log, which starts with the first library or the
        first call of `notifications`; names of clients from the command log, if there is one.
        Where it is not known the answer says so, and what to switch on.

        Raises
        ------
        ValueError
            When there is no such database.
        """
        from trignb.notebook.explain import explain

        return explain(cast("Engine", self), key, db)

    def dry_run(self) -> DryRun:
        """Return a copy of this engine to try something on, to be used by ``with``.

        It has the keys, the configuration, users and libraries, these freshly loaded; nothing
        that is done to it touches this engine. `DryRun.diff` tells what became of the keys.

        Examples
        --------
        >>> with engine.dry_run() as dry:
        ...     dry.execute("DEL", "user:1")
        ...     dry.diff()
        1
        user:1 (hash, gone): was {name: "tom"}
        """
        from trignb.rehearsal import DryRun

        return DryRun(cast("Engine", self))
