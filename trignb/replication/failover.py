"""FAILOVER: a primary hands over to one of its replicas, and nothing that was written is lost.

Writes pause; when the replica has everything it is asked to take over, by a PSYNC that says so, and the old
primary is its replica from then on. When it does not work out in time the old primary goes on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from trignb.engine.args import syntax_error, to_int
from trignb.errors import ResponseError
from trignb.reply import OK, Status

if TYPE_CHECKING:
    from trignb.replication.replica import Replica
    from trignb.replication.role import Replication

__all__ = ["Failover"]

# Writes pause until it is over one way or the other.
_FOR_LONG_MS: Final = 1 << 40

_REASON: Final = "failover"
_NONE: Final = "no-failover"
_WAITING: Final = "waiting-for-sync"
_UNDER_WAY: Final = "failover-in-progress"


class Plan(NamedTuple):
    """Who is to take over (None: who is first), and how long that may take (0: for ever)."""

    target: tuple[str, int] | None
    timeout_s: float
    is_forced: bool


class Failover:
    """The hand-over of one engine.

    Attributes
    ----------
    state : str
        As INFO tells it.
    """

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self.state = _NONE
        self._plan = Plan(None, 0, is_forced=False)
        self._deadline = 0.0

    # -- the command

    def start(self, words: list[bytes]) -> Status:
        """Begin, or give up what has begun (ABORT)."""
        if [word.lower() for word in words] == [b"abort"]:
            if self.state == _NONE:
                raise ResponseError("ERR No failover in progress.")
            self.abort()
            return OK
        plan = _read(words)
        self._check(plan)
        self._plan = plan
        self._deadline = time.monotonic() + plan.timeout_s
        self.state = _WAITING
        self._replication.core.pause.start(
            _FOR_LONG_MS, everything=False, reason=_REASON
        )
        self._replication.ask_for_acks()
        return OK

    def _check(self, plan: Plan) -> None:
        replication = self._replication
        if replication.core.is_replica:
            raise ResponseError("ERR FAILOVER is not valid when server is a replica.")
        if self.state != _NONE:
            raise ResponseError("ERR FAILOVER already in progress.")
        # One in this process listens nowhere.
        replicas = [r for r in replication.replicas.attached() if not r.is_local]
        if not replicas:
            raise ResponseError("ERR FAILOVER requires connected replicas.")
        if plan.is_forced and not (plan.target and plan.timeout_s):
            raise ResponseError(
                "ERR FAILOVER with force option requires both a timeout and target HOST "
                "and IP."
            )
        if plan.target is None:
            return
        wanted = [r for r in replicas if r.address == plan.target]
        if not wanted:
            raise ResponseError("ERR FAILOVER target HOST and PORT is not a replica.")
        if not wanted[0].is_online:
            raise ResponseError("ERR FAILOVER target replica is not online.")

    def abort(self) -> None:
        """Stay, or become, what we were: a primary."""
        state, self.state = self.state, _NONE
        if state == _UNDER_WAY:
            self._replication.promote()
        if state != _NONE:
            self._replication.core.pause.stop(_REASON)

    # -- as time goes by

    def look(self) -> None:
        """Hand over if the replica has everything; the lock is held and no unit is open."""
        if self.state != _WAITING:
            return
        plan = self._plan
        ready = next(
            filter(self._is_ready, self._replication.replicas.attached()), None
        )
        if ready is not None:
            self._hand_over(*ready.address)
        elif plan.timeout_s and time.monotonic() > self._deadline:
            if plan.is_forced and plan.target is not None:
                self._hand_over(*plan.target)
            else:
                self.abort()

    def _is_ready(self, replica: Replica) -> bool:
        return (
            replica.is_online
            and not replica.is_local
            and self._plan.target in (None, replica.address)
            and replica.ack_offset >= self._replication.feed.offset
        )

    def _hand_over(self, host: str, port: int) -> None:
        self.state = _UNDER_WAY
        self._replication.follow(host, port, hands_over=True)

    def succeeded(self) -> None:
        """Take note that the replica has taken over; the lock is held."""
        if self.state == _UNDER_WAY:
            self.state = _NONE
            self._replication.core.pause.stop(_REASON)


def _read(words: list[bytes]) -> Plan:
    target: tuple[str, int] | None = None
    timeout_s, is_forced = 0.0, False
    rest = list(words)
    while rest:
        word = rest.pop(0).lower()
        if word == b"to" and len(rest) > 1 and target is None:
            host = rest.pop(0).decode("utf-8", "replace")
            target = (host, to_int(rest.pop(0)))
        elif word == b"timeout" and rest and not timeout_s:
            timeout_s = to_int(rest.pop(0)) / 1000
            if timeout_s <= 0:
                raise ResponseError("ERR FAILOVER timeout must be greater than 0")
        elif word == b"force" and not is_forced:
            is_forced = True
        else:
            raise syntax_error()
    return Plan(target, timeout_s, is_forced)
