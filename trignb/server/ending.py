"""The end of a served process by a signal: as soon as possible, and always.

A signal asks the server's loop. While a script holds the loop it cannot hear: then a thread kills the script, or,
if it has written already, ends the process as SHUTDOWN NOSAVE would, which keeps no half of a script.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from signal import Signals as Signal
from typing import TYPE_CHECKING, Final

from trignb.server.process import Signals

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.server.server import Server

__all__ = ["Ending"]

logger = logging.getLogger(__name__)

_BUSY_S: Final = 0.05
# How long a script may go on, how long it may take to be killed, and how long everything else
# may keep the loop from hearing, or the process from ending once the loop has.
_SCRIPT_S: Final = 1.0
_KILL_S: Final = 1.0
_OTHER_S: Final = 10.0


class Ending:
    """Follows SIGTERM and SIGINT for a server.

    Parameters
    ----------
    engine : Engine
        What is served.
    server : Server
        Who serves it.
    tidy : callable
        Removes what the process leaves on disk; for an end without farewell.
    """

    def __init__(
        self, engine: Engine, server: Server, tidy: Callable[[], None]
    ) -> None:
        self.engine = engine
        self.server = server
        self._tidy = tidy
        self._heard = threading.Event()
        self._is_watched = self._is_told = False
        self.signals = Signals(self._ask)
        engine.core.leave = self._leave

    # -- in a signal handler

    def _ask(self, _number: Signal) -> None:
        self.engine.core.is_ending = True
        self._heard.clear()
        self.server.loop.call_soon(self._end)
        self.server.loop.wake()
        if not self._is_watched:
            self._is_watched = True
            threading.Thread(target=self._watch, name="trignb-end", daemon=True).start()

    # -- on the loop's thread

    def _end(self) -> None:
        number, core = self.signals.pending, self.engine.core
        if number is None:
            return
        if not self._is_told:
            self._is_told = True
            logger.warning("Received %s scheduling shutdown...", number.name)
        if core.nesting and not core.is_loading:
            # A script lets others in; it is given a moment to end.
            self.server.loop.call_later(_BUSY_S, self._end)
            return
        self._heard.set()
        if core.is_loading:
            self.server.loop.stop()
            return
        words = core.config.values[f"shutdown-on-{number.name.lower()}"]
        with core.lock:
            shown = {word.upper().encode() for word in words}
            self.engine.saver.shutdown.begin(shown, self._refused)

    def _refused(self) -> None:
        """Take note that the process is not to end."""
        logger.warning(
            "Errors trying to shut down the server. "
            "Check the logs for more information."
        )
        self.signals.pending = None
        self.engine.core.is_ending = self._is_told = False

    # -- on a thread of its own

    def _watch(self) -> None:
        if not self._heard.wait(_SCRIPT_S):
            self._kill()
        if self.server.wait(None if self._heard.is_set() else _OTHER_S):
            # What is left is closing; a library that does not end is no reason to stay.
            threading.Event().wait(_OTHER_S)
        self._leave()

    def _kill(self) -> None:
        """End the script that runs: kindly while it has changed nothing."""
        run = self.engine.scripts.running
        if run is not None and not run.wrote:
            logger.warning("The script that runs is killed: %s", run.name)
            run.killed = True
            if self._heard.wait(_KILL_S):
                return
        if self.engine.scripts.running is not None:
            logger.warning("A script that has written does not end: nothing is saved.")
            self._leave()

    def _leave(self) -> None:
        logger.warning("trignb is now ready to exit, bye bye...")
        with contextlib.suppress(OSError):
            self._tidy()
        os._exit(0)
