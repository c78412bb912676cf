"""What a primary sends, applied to this engine.

A `Follower` is our end of a primary's stream: a session that runs its commands. It outlives a broken link. A
transaction counts as got when it is complete: what had come of half a one is asked for again, and whoever
is promoted has all of a transaction or nothing, and so have his replicas.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from trignb.engine.session import Session
from trignb.errors import ResponseError
from trignb.replication.stream import INTERNAL, StreamError, StreamParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from trignb.engine.core import Core
    from trignb.replication.feed import Feed
    from trignb.replication.stream import Request

__all__ = ["Follower"]

logger = logging.getLogger(__name__)

_USER: Final = "(superuser)"


class Follower:
    """Runs the stream of a primary.

    Parameters
    ----------
    feed : Feed
        This engine's own stream, which passes on every byte.
    db : int
        Database that the stream has selected.
    acknowledge : callable
        Called when the primary asks how far we are.
    """

    def __init__(
        self, feed: Feed, db: int, address: str, acknowledge: Callable[[], None]
    ) -> None:
        core = feed.core
        self._feed = feed
        self._core: Core = core
        self._acknowledge = acknowledge
        self.parser = StreamParser()
        # Of a transaction that is not complete: its bytes, and where internal commands are.
        self._raw = bytearray()
        self._spans: list[tuple[int, int]] = []
        self.session = session = Session(core, 2)
        session.is_primary = session.authenticated = True
        session.user, session.address = _USER, address
        session.db = core.databases[db if db < len(core.databases) else 0]
        session.rearm()

    def restart(self) -> None:
        """Forget the half of a command or transaction that came last: it is sent again."""
        self.parser = StreamParser()
        self.session.discard_transaction()
        self._raw.clear()
        self._spans.clear()

    def apply(self, request: Request) -> None:
        """Run one command of the stream; the lock is held.

        Raises
        ------
        StreamError
            When what follows would go to another database than the primary's.
        """
        core, (args, raw) = self._core, request
        core.obeys = True
        try:
            if args and not self._is_question(args):
                self._run(args)
        finally:
            core.obeys = False
        self._pass_on(raw, is_internal=bool(args) and args[0].startswith(INTERNAL))

    def _run(self, args: list[bytes]) -> None:
        try:
            self._core.run(self.session, args)
        except ResponseError as error:
            name = args[0].decode("utf-8", "replace")
            if name.upper() == "SELECT":
                raise StreamError(f"the primary has more databases: {error}") from None
            # As Redis: two servers that differ are no reason to lose a replica.
            logger.warning("%s from the primary failed: %s", name, error)

    def _pass_on(self, raw: bytes, *, is_internal: bool) -> None:
        """Take note that some bytes have been run, or wait for the end of a transaction."""
        begin = len(self._raw)
        self._raw += raw
        if is_internal:
            self._spans.append((begin, begin + len(raw)))
        if self.session.queue is None:
            data, spans = bytes(self._raw), self._spans
            self._raw, self._spans = bytearray(), []
            self._feed.selected = self.session.db.index
            self._feed.append(data, spans)

    def _is_question(self, args: list[bytes]) -> bool:
        if args[0].upper() != b"REPLCONF":
            return False
        if len(args) > 1 and args[1].upper() == b"GETACK":
            self._acknowledge()
        return True

    def close(self) -> None:
        """Forget the primary."""
        self.session.close()
