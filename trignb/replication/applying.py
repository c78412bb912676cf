"""What a primary sends, applied to this engine.

A `Follower` is our copy of a primary's state: the offset we have, and a session that runs the commands. It
outlives a broken link, so a transaction of which half had come goes on when the link is back.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from trignb.engine.session import Session
from trignb.errors import ResponseError
from trignb.replication.stream import INTERNAL, StreamParser

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
        self.session = session = Session(core, 2)
        session.is_primary = session.authenticated = True
        session.user, session.address = _USER, address
        session.db = core.databases[db if db < len(core.databases) else 0]
        session.rearm()

    def restart_parser(self) -> None:
        """Forget the half of a command that came last: it is sent again."""
        self.parser = StreamParser()

    def apply(self, request: Request) -> None:
        """Run one command of the stream; the lock is held."""
        core, (args, raw) = self._core, request
        core.obeys = True
        try:
            if args and not self._is_question(args):
                core.run(self.session, args)
        except ResponseError as error:
            # As Redis: two servers that differ are no reason to lose a replica.
            name = args[0].decode("utf-8", "replace")
            logger.warning("%s from the primary failed: %s", name, error)
        finally:
            core.obeys = False
            spans = [(0, len(raw))] if raw and args[0].startswith(INTERNAL) else []
            self._feed.selected = self.session.db.index
            self._feed.append(raw, spans)

    def _is_question(self, args: list[bytes]) -> bool:
        if args[0].upper() != b"REPLCONF":
            return False
        if len(args) > 1 and args[1].upper() == b"GETACK":
            self._acknowledge()
        return True

    def close(self) -> None:
        """Forget the primary."""
        self.session.close()
