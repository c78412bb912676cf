"""Which isolates may look actively: no more of them than there are processors to spare.

Looking for an answer instead of sleeping makes a run five times as fast, as long as nobody else needs
the processor. Libraries that take turns do: each still looks while another one should run, and on two
processors a run of two libraries takes 110 us and one of five 230, where sleeping takes 40. So who
comes when all places are taken has the one that ran longest ago leave off, and gets a place itself
once it has run several times in a row.

Other processes need processors, too. Then both sides may end up on the same one, each looking while
the other should run: 350 us. So one that had to sleep again and again in spite of looking rests.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from weakref import ReferenceType

    from trignb.js.channel import Channel

__all__ = ["IN_VAIN", "STEADY", "TURNS", "Turns", "processors"]

# Runs in a row after which a library is taken to go on like this.
STEADY: Final = 4
# Runs that slept, none of them long after the one before, after which looking is in vain.
IN_VAIN: Final = 8
_SOON_S: Final = 0.001
_REST_S: Final = 0.05


def processors() -> int:
    """Return on how many processors this process may run."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class Turns:
    """All isolates of a process, whichever engine they belong to.

    Attributes
    ----------
    last : weakref or None
        Who ran last, by its ``place``: an isolate that everybody has forgotten ends.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.forget_all()

    def forget_all(self) -> None:
        """Start anew, in a process that is a fork, too."""
        self.last: ReferenceType[Channel] | None = None
        # Runs in a row that the next one to look still has to make.
        self._waits = 0
        self._looking: list[ReferenceType[Channel]] = []
        # The collector may end an isolate while we hold it.
        self._guard = threading.RLock()

    def take(self, channel: Channel) -> None:
        """Note a run, unless this one ran last and looks already."""
        # Who left is not told anything any more: its memory may be gone.
        place = channel.place
        with self._guard:
            again, self.last = self.last is place, place
            if channel.rests_until > monotonic():
                return
            looking = self._looking
            if place in looking:
                looking.remove(place)
            elif len(looking) >= self._most:
                # It would still be looking while this one runs.
                longest_ago = looking[0]()
                del looking[:1]
                if longest_ago is not None:
                    longest_ago.look(actively=False)
                self._waits = STEADY
                return
            elif self._waits:
                self._waits = self._waits - 1 if again else STEADY
                if self._waits:
                    return
            looking.append(place)
            channel.look(actively=True)

    def slept(self, channel: Channel) -> None:
        """Note a run that looked and had to sleep all the same."""
        now = monotonic()
        again = now - channel.slept_at < _SOON_S
        channel.slept_at = now
        channel.in_vain = channel.in_vain + 1 if again else 0
        if channel.in_vain >= IN_VAIN:
            channel.in_vain = 0
            channel.rests_until = now + _REST_S
            self.leave(channel)
            channel.look(actively=False)

    def leave(self, channel: Channel) -> None:
        """Forget an isolate that is gone."""
        with self._guard:
            if channel.place in self._looking:
                self._looking.remove(channel.place)
            if self.last is channel.place:
                self.last = None


TURNS: Final = Turns(max(processors() - 1, 1))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TURNS.forget_all)
