"""What Python wants done in the background, without waiting for it.

Starting a coroutine or answering a ``callAsync`` needs no turn on the channel and no lock:
the letter goes into a queue, a task is posted, and when JavaScript gets to that task it
fetches all letters there are, from a callback on its own thread. So nobody waits for
background code that computes, and nobody is interrupted while writing to shared memory.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from trignb.js.words import NOTICE_LENGTH, START

if TYPE_CHECKING:
    from trignb.js.channel import Channel

__all__ = ["Mailbox"]

_HEAD: Final = struct.Struct("<4i")


class Mailbox:
    """Letters to one isolate."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._letters: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._letters)

    def put(
        self, kind: int, number: int, target: int, origin: int, payload: bytes = b""
    ) -> None:
        """Queue a letter that goes with the next one that is sent."""
        self._letters.append(_HEAD.pack(kind, number, target, origin) + payload)

    def send(
        self, kind: int, number: int, target: int, origin: int, payload: bytes = b""
    ) -> None:
        """Queue a letter and have it fetched."""
        self.put(kind, number, target, origin, payload)
        if not self._channel.isolate.dead:
            self._channel.isolate.start_mail()

    def withdraw(self, number: int) -> bool:
        """Take back what was to start a function; False if JavaScript has fetched it."""
        for letter in list(self._letters):
            # Numbers of jobs are numbers of other things, too.
            if _HEAD.unpack_from(letter)[:2] == (START, number):
                try:
                    self._letters.remove(letter)
                except ValueError:
                    return False
                return True
        return False

    def hand_over(self, room: int) -> None:
        """Give JavaScript what fits; called on its thread while it waits.

        The answer is how many bytes there are, 0 when nothing is left, and negative how
        many it should make room for.
        """
        letters, control = self._letters, self._channel.control
        taken: list[bytes] = []
        size = 0
        while letters and size + len(letters[0]) <= room:
            taken.append(letters.popleft())
            size += len(taken[-1])
        if taken:
            self._channel.isolate.side[:size] = b"".join(taken)
            control[NOTICE_LENGTH] = size
        else:
            control[NOTICE_LENGTH] = -len(letters[0]) if letters else 0
