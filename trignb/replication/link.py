"""The link to our primary: a thread that connects, loads, follows, and comes back when it was cut off."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from trignb.errors import RdbError
from trignb.persistence.rdb_file import read_rdb
from trignb.replication.handshake import LinkError, PrimarySocket, shake_hands
from trignb.replication.stream import StreamError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from trignb.replication.handshake import Offer
    from trignb.replication.role import Replication
    from trignb.replication.stream import Request

__all__ = ["PrimaryLink"]

logger = logging.getLogger(__name__)

# Seconds before the next try after each failure in a row, and between acknowledgements.
_PAUSES_S: Final = (0.05, 0.2, 1.0)
_ACK_S: Final = 1.0
# After a load the primary may need a moment until it listens to us.
_FIRST_ACKS_S: Final = (0.0, 0.02, 0.05, 0.1, 0.2)
# How long commands wait while the stream is applied.
_SLICE_S: Final = 0.002


class PrimaryLink:
    """Follows a primary until it is closed.

    Attributes
    ----------
    state : str
        As ROLE tells it: ``connect``, ``connecting``, ``handshake``, ``sync``, ``connected``.
    down_since : float or None
        Since when there is no link, by `time.monotonic`; None before the first one.
    sync_bytes, sync_total : int
        How much of the RDB file has come, and how long it is (0: unknown).
    """

    def __init__(
        self,
        replication: Replication,
        host: str,
        port: int,
        *,
        hands_over: bool = False,
    ) -> None:
        self.replication = replication
        # FAILOVER: the other one is our replica yet, and is asked to take over.
        self._hands_over = hands_over
        self.host, self.port = host, port
        self.state = "connect"
        self.down_since: float | None = None
        self.sync_bytes = self.sync_total = 0
        self._socket: PrimarySocket | None = None
        self._stop = threading.Event()
        self._first_acks: list[float] = []
        self._acked_at = 0.0
        self._thread = threading.Thread(
            target=self._run, name="trignb-primary-link", daemon=True
        )

    @property
    def is_up(self) -> bool:
        """Whether we get what happens at the primary."""
        return self.state == "connected"

    @property
    def silence_s(self) -> int:
        """Whole seconds since the primary was heard of, -1 without a link."""
        link = self._socket
        if link is None:
            return -1
        return int(time.monotonic() - link.heard_at)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Hang up; the thread ends soon."""
        self._stop.set()
        link = self._socket
        if link is not None:
            link.close()

    def join(self) -> None:
        """Wait for the end of the thread; the lock must not be held."""
        if self._thread is not threading.current_thread():
            self._thread.join(5.0)

    # -- the thread

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._attempt()
            except (OSError, LinkError, RdbError, StreamError) as error:
                if not self._stop.is_set():
                    logger.warning(
                        "the link to primary %s:%d: %s", self.host, self.port, error
                    )
                self._failed()
            except Exception:
                # Whatever it was: the next try may do better, and a replica without a thread none.
                logger.exception("the link to a primary broke in an unforeseen way")
                self._failed()
            failures = 0 if self.is_up else failures + 1
            self._lost()
            self._stop.wait(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])

    def _failed(self) -> None:
        if self._hands_over:
            self.replication.handed_over(self, done=False)

    def _lost(self) -> None:
        link, self._socket = self._socket, None
        if link is not None:
            link.release()
        if self.is_up:
            self.down_since = time.monotonic()
        self.state = "connect"

    def _attempt(self) -> None:
        values = self.replication.core.config.values
        self.state = "connecting"
        tls = _tls_context(values) if values["tls-replication"] else None
        link = PrimarySocket(self.host, self.port, values["repl-timeout"], tls)
        self._socket = link
        if self._stop.is_set():
            return
        self.state = "handshake"
        wanted, offset = self.replication.position()
        port = self.replication.announced_port()
        offer = shake_hands(
            link, values, wanted, offset, port, hands_over=self._hands_over
        )
        if offer.is_full:
            self._load(link, offer)
        elif not self.replication.continued(self, offer.id):
            return
        if self._hands_over:
            self._hands_over = False
            self.replication.handed_over(self, done=True)
        self._first_acks = list(_FIRST_ACKS_S) if offer.is_full else [0.0]
        self.state = "connected"
        self._follow(link)

    def _load(self, link: PrimarySocket, offer: Offer) -> None:
        self.sync_bytes = self.sync_total = 0
        self.state = "sync"
        data = link.payload(self._note_progress)
        replication = self.replication
        # Nobody waits while the file is read; what there was is there until it can be replaced.
        contents = read_rdb(
            data,
            replication.core.config.values,
            progress=lambda _done, _total: link.send_sign_of_life(),
        )
        replication.loaded(self, contents, offer)

    def _note_progress(self, done: int, total: int) -> None:
        self.sync_bytes, self.sync_total = done, total

    # -- the stream

    def _follow(self, link: PrimarySocket) -> None:
        values = self.replication.core.config.values
        follower = self.replication.follower
        while not self._stop.is_set() and follower is not None:
            self._acknowledge_in_time()
            data = link.some(self._patience_s())
            if data:
                self._apply(follower.parser.feed(data))
            elif time.monotonic() - link.heard_at > values["repl-timeout"]:
                raise LinkError("the primary has been silent for too long")

    def _apply(self, requests: list[Request]) -> None:
        core, follower = self.replication.core, self.replication.follower
        waiting = iter(requests)
        request = next(waiting, None)
        while request is not None:
            core.acquire_in_background()
            try:
                if self._stop.is_set() or follower is None:
                    return
                end = time.perf_counter() + _SLICE_S
                while request is not None and time.perf_counter() < end:
                    follower.apply(request)
                    request = next(waiting, None)
            finally:
                core.lock.release()

    def _patience_s(self) -> float:
        if self._first_acks:
            return self._first_acks[0]
        return self._acked_at + _ACK_S - time.monotonic()

    def _acknowledge_in_time(self) -> None:
        if self._first_acks:
            self._first_acks.pop(0)
            self.acknowledge()
        elif time.monotonic() - self._acked_at >= _ACK_S:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Tell the primary what we have."""
        link = self._socket
        if link is not None:
            self._acked_at = time.monotonic()
            link.send(*self.replication.acknowledgement())


def _tls_context(values: Mapping[str, Any]) -> ssl.SSLContext:
    # Imported when it is needed: OpenSSL makes `import trignb` longer for nothing.
    from trignb.replication.tls import client_context

    return client_context(values)
