"""SHUTDOWN: the servers of an engine end once replicas have everything and the keys are saved."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from trignb.engine.blocking import Blocked, Waiter
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.persistence.saving import Saver

__all__ = ["Shutdown"]

logger = logging.getLogger(__name__)

_REASON: Final = "shutdown"
_PERIOD_S: Final = 0.02
_FAILED: Final = "ERR Errors trying to SHUTDOWN. Check logs."


class Shutdown:
    """The end of an engine's servers, as long as it is not there.

    Attributes
    ----------
    is_under_way : bool
        Whether replicas are waited for.
    """

    def __init__(self, saver: Saver) -> None:
        self.core = saver.core
        self.saver = saver
        self.is_under_way = False
        self._deadline = 0.0
        self._words: Collection[bytes] = ()
        self._refused: list[Callable[[], None]] = []
        self._waiters: list[Waiter] = []
        self.core.info_facts["server"] = self._facts

    # -- the command

    def ask(self, session: Session, words: Collection[bytes]) -> None:
        """End, or have the client wait until replicas have everything.

        Raises
        ------
        ResponseError
            When the keys cannot be saved.
        """
        if self.core.busy is not None and self.core.busy() is not None:
            self._end_script()
        if not self.is_under_way and not self._must_wait(words):
            if not self._finish(words):
                raise ResponseError(_FAILED)
            return
        self._wait(words)
        waiter = Waiter(session, self.core.argv or [], [], lambda: None, 0, None)
        self.core.blocking.sessions[session.id] = waiter
        self._waiters.append(waiter)
        raise Blocked(waiter)

    def begin(self, words: Collection[bytes], refused: Callable[[], None]) -> None:
        """End for another reason than a command; `refused` is called if that is given up."""
        if self.is_under_way:
            self._wait(words)
            self._refused.append(refused)
        elif self._must_wait(words):
            self._refused.append(refused)
            self._wait(words)
        elif not self._finish(words):
            refused()

    def abort(self) -> bool:
        """Go on after all; tells whether an end was under way."""
        if not self.is_under_way:
            return False
        logger.info("Shutdown manually aborted.")
        self._give_up()
        return True

    def _end_script(self) -> None:
        """End the script that lets others in, for SHUTDOWN NOSAVE, also when it has written."""
        if self.core.leave is not None:
            logger.info("User requested shutdown...")
            self.core.leave()
        run = self.saver.libraries.scripts.running
        if run is not None:
            run.killed = True

    # -- waiting for replicas

    def _must_wait(self, words: Collection[bytes]) -> bool:
        core = self.core
        return bool(
            b"NOW" not in words
            and core.servers
            and not core.is_loading
            and core.config.values["shutdown-timeout"]
            and core.lagging_replicas()
        )

    def _wait(self, words: Collection[bytes]) -> None:
        if self.is_under_way:
            if b"NOW" in words:
                self._deadline = 0.0
            return
        logger.info("User requested shutdown...")
        logger.info("Waiting for replicas before shutting down.")
        timeout_s = self.core.config.values["shutdown-timeout"]
        self.is_under_way, self._words = True, words
        self._deadline = time.monotonic() + timeout_s
        self.core.pause.start(1 << 40, everything=False, reason=_REASON)
        self._look_later()

    def _look_later(self) -> None:
        loop = self.core.servers[0].loop
        loop.call_soon(lambda: loop.call_later(_PERIOD_S, self._look))

    def _look(self) -> None:
        core = self.core
        with core.lock:
            if not self.is_under_way:
                return
            lagging = core.lagging_replicas()
            if lagging and time.monotonic() < self._deadline:
                self._look_later()
                return
            for text in lagging:
                logger.info("Lagging replica %s", text)
            if not self._finish(self._words, is_said=True):
                self._give_up()

    def _give_up(self) -> None:
        self.is_under_way = False
        self.core.pause.stop(_REASON)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.is_done:
                self.core.blocking.forget(waiter)
                waiter.finish(None, ResponseError(_FAILED))
        refused, self._refused = self._refused, []
        for call in refused:
            call()

    # -- the end

    def _finish(self, words: Collection[bytes], *, is_said: bool = False) -> bool:
        """End the servers after saving; tells whether they end. The lock is held."""
        core = self.core
        if not core.servers:
            return False
        if not is_said:
            logger.info("User requested shutdown...")
        wants = b"SAVE" in words or (
            b"NOSAVE" not in words and bool(core.config.values["save"])
        )
        if wants and not core.is_loading and not self._may_end(words):
            return False
        for server in list(core.servers):
            server.close_soon()
        return True

    def _may_end(self, words: Collection[bytes]) -> bool:
        """Save before the end; a failure keeps the server up unless FORCE says otherwise."""
        saver = self.saver
        logger.info("Saving the final RDB snapshot before exiting.")
        try:
            saver.save()
        except OSError as error:
            logger.warning("the keys could not be saved to %s: %s", saver.path, error)
            if b"FORCE" in words:
                return True
            logger.warning("Error trying to save the DB, can't exit.")
            return False
        logger.info("DB saved on disk")
        return True

    def _facts(self) -> dict[str, object]:
        """Return what INFO SERVER tells besides: the end to come, where one listens."""
        facts: dict[str, object] = {}
        if self.is_under_way:
            left_s = max(self._deadline - time.monotonic(), 0)
            facts["shutdown_in_milliseconds"] = int(left_s * 1000)
        number = 0
        for server in self.core.servers:
            for line in server.listening:
                facts[f"listener{number}"] = line
                number += 1
        return facts
