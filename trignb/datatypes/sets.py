"""The set: members in order of insertion, and an index of them once chance is asked for.

Redis keeps a small set in the order of insertion (or of the integers), so ours is a dict without values: a
Python set's order changes with every process, and no notebook could repeat it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from trignb.datatypes.listpack import is_int64

if TYPE_CHECKING:
    from random import Random

__all__ = ["Set", "SetLimits"]

INTSET: Final = "intset"
LISTPACK: Final = "listpack"
HASHTABLE: Final = "hashtable"


class SetLimits(NamedTuple):
    """Up to where Redis keeps a set small: ``set-max-…`` of the configuration."""

    intset_entries: int = 512
    listpack_entries: int = 128
    listpack_value: int = 64


_DEFAULT_LIMITS = SetLimits()


class Set(dict[bytes, None]):
    """Members, each the key of a None.

    Read it like a set; change it through its own methods, which keep ``encoding`` and
    the order for random choices right. ``encoding`` is what OBJECT ENCODING says; it goes
    from intset over listpack to hashtable and never back.

    Parameters
    ----------
    members : sequence of bytes
        What it starts with; its first one and its length decide the first encoding.
    limits : SetLimits
        Sizes at which the encoding changes.
    """

    __slots__ = ("_order", "_places", "encoding")

    def __init__(
        self, members: Sequence[bytes] = (), limits: SetLimits = _DEFAULT_LIMITS
    ) -> None:
        super().__init__()
        # Members in any order and each one's index in it, both None until they are needed.
        self._order: list[bytes] | None = None
        self._places: dict[bytes, int] | None = None
        self.encoding = _first_encoding(members, limits)
        if members:
            self.add_members(members, limits)

    @classmethod
    def grown(cls, members: Iterable[bytes], limits: SetLimits) -> Set:
        """Return a set to which members were added one by one, as Redis makes unions."""
        grown, rest = cls(), iter(members)
        for member in rest:
            grown._make_room(member, limits)
            grown[member] = None
            if grown.encoding is HASHTABLE:
                grown.update(dict.fromkeys(rest))
        return grown

    def __repr__(self) -> str:
        return f"<Set of {len(self)}, {self.encoding}>"

    def copy(self) -> Set:
        """Return a set of the same members and the same encoding."""
        twin = Set()
        twin.update(self)
        twin.encoding = self.encoding
        return twin

    # -- changing

    def add_members(
        self, members: Sequence[bytes], limits: SetLimits = _DEFAULT_LIMITS
    ) -> int:
        """Add members; returns how many were new."""
        if self._order is not None:
            self._append_to_order(members)
        before = len(self)
        if self.encoding is HASHTABLE:
            self.update(dict.fromkeys(members))
            return len(self) - before
        if len(members) > (
            limits.intset_entries
            if self.encoding is INTSET
            else limits.listpack_entries
        ):
            # Redis goes by the number of arguments here, repeated ones included.
            self.encoding = HASHTABLE
            self.update(dict.fromkeys(members))
            return len(self) - before
        for member in members:
            if member not in self:
                self._make_room(member, limits)
                self[member] = None
        return len(self) - before

    def remove_members(self, members: Iterable[bytes]) -> int:
        """Remove members; returns how many there were."""
        before = len(self)
        if self._order is None:
            for member in members:
                self.pop(member, None)
        else:
            for member in members:
                if member in self:
                    self._take(member)
        return before - len(self)

    def in_order(self) -> list[bytes]:
        """Return the members as Redis lists them: integers ascending, others as inserted."""
        if self.encoding is INTSET:
            return sorted(self, key=int)
        return list(self)

    # -- chance

    def random_member(self, chance: Random) -> bytes:
        """Return any member, each with the same chance."""
        return chance.choice(self._ordered())

    def random_members(self, chance: Random, count: int) -> list[bytes]:
        """Return up to count different members."""
        order = self._ordered()
        return chance.sample(order, min(count, len(order)))

    def pop_random(self, chance: Random) -> bytes:
        """Take any member away."""
        member = self.random_member(chance)
        self._take(member)
        return member

    def _ordered(self) -> list[bytes]:
        if self._order is None:
            self._order = list(self)
            self._places = {member: i for i, member in enumerate(self._order)}
        return self._order

    def _append_to_order(self, members: Iterable[bytes]) -> None:
        order, places = self._order, self._places
        assert order is not None
        assert places is not None
        for member in members:
            if member not in places:
                places[member] = len(order)
                order.append(member)

    def _take(self, member: bytes) -> None:
        """Remove a member that is there; the last one in order takes its place."""
        order, places = self._order, self._places
        assert order is not None
        assert places is not None
        del self[member]
        place, last = places.pop(member), order.pop()
        if last is not member and last != member:
            order[place] = last
            places[last] = place

    # -- encoding

    def _make_room(self, member: bytes, limits: SetLimits) -> None:
        """Change the encoding where one more member asks for it."""
        n = len(self)
        if self.encoding is HASHTABLE:
            return
        if self.encoding is INTSET:
            if is_int64(member):
                if n + 1 > limits.intset_entries:
                    self.encoding = HASHTABLE
                return
            self._leave_intset()
            if n and max(map(len, self)) > limits.listpack_value:
                self.encoding = HASHTABLE
                return
        small = n < limits.listpack_entries and len(member) <= limits.listpack_value
        self.encoding = LISTPACK if small else HASHTABLE

    def _leave_intset(self) -> None:
        """Put the integers in the order in which Redis converts them."""
        integers = sorted(self, key=int)
        self.clear()
        self.update(dict.fromkeys(integers))


def _first_encoding(members: Sequence[bytes], limits: SetLimits) -> str:
    n = len(members)
    if not n or (is_int64(members[0]) and n <= limits.intset_entries):
        return INTSET
    return LISTPACK if n <= limits.listpack_entries else HASHTABLE
