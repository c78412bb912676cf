"""Chance: where an engine's random numbers come from, and the one seed they follow.

Nothing else in an engine asks for random numbers, but for what must not be guessed (passwords, the
ids of runs and of replication); `tests/test_time_and_chance.py` holds the house to it.
"""

from __future__ import annotations

import random
from typing import Final, TypeAlias

__all__ = ["Chance", "Seed"]

Seed: TypeAlias = "int | str | None"

# Each purpose has a stream of its own: a key that is evicted, or a library that is loaded, takes
# nothing away from what SPOP is going to choose.
_PURPOSES: Final = ("commands", "eviction", "access", "libraries")
_STATE_BYTES: Final = 16


class Chance:
    """The streams of random numbers of one engine.

    Parameters
    ----------
    seed : int or str, optional
        Two engines with the same seed choose alike as long as they are asked alike. Without
        one every engine chooses otherwise.

    Attributes
    ----------
    commands : random.Random
        For SPOP, SRANDMEMBER, HRANDFIELD, ZRANDMEMBER and RANDOMKEY.
    eviction : random.Random
        For the keys that eviction looks at.
    access : random.Random
        For counters of use, which grow by chance (LFU).
    libraries : random.Random
        For what each library's ``Math.random`` starts with.
    """

    __slots__ = ("access", "commands", "eviction", "libraries", "seed")

    def __init__(self, seed: Seed = None) -> None:
        self.seed = seed
        self.commands = random.Random()
        self.eviction = random.Random()
        self.access = random.Random()
        self.libraries = random.Random()
        if seed is not None:
            self.restart()

    def restart(self) -> None:
        """Begin anew, from the seed if there is one."""
        for purpose in _PURPOSES:
            given = None if self.seed is None else f"{purpose}:{self.seed}"
            getattr(self, purpose).seed(given)

    def library_state(self) -> bytes:
        """Return 16 bytes for a library's ``Math.random`` to start with."""
        return self.libraries.randbytes(_STATE_BYTES)

    def copy(self) -> Chance:
        """Return chance that is going to choose what this one is going to choose."""
        copy = Chance()
        copy.seed = self.seed
        for purpose in _PURPOSES:
            getattr(copy, purpose).setstate(getattr(self, purpose).getstate())
        return copy
