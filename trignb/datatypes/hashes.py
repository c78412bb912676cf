"""The hash: a dict that remembers whether Redis would still keep it in a listpack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Hash", "HashLimits"]


class HashLimits(NamedTuple):
    """Up to where Redis keeps a hash small: ``hash-max-listpack-…`` of the configuration."""

    entries: int = 512
    value: int = 64


class Hash(dict[bytes, bytes]):
    """Fields and values, in order of insertion.

    ``is_small`` is True while Redis would keep the hash as one listpack. It only ever
    goes to False: Redis does not convert back when a hash shrinks. Whoever writes a field
    directly calls `grow` after it.
    """

    __slots__ = ("is_small",)

    def __init__(self) -> None:
        super().__init__()
        self.is_small = True

    def __repr__(self) -> str:
        return f"<Hash of {len(self)}, {self.encoding}>"

    @property
    def encoding(self) -> str:
        """What OBJECT ENCODING says."""
        return "listpack" if self.is_small else "hashtable"

    def copy(self) -> Hash:
        """Return a hash with the same fields and the same encoding."""
        twin = Hash()
        twin.update(self)
        twin.is_small = self.is_small
        return twin

    def grow(self, limits: HashLimits, *written: bytes) -> None:
        """Note that these fields and values were written; the encoding may change."""
        if self.is_small and (
            len(self) > limits.entries or _longest(written) > limits.value
        ):
            self.is_small = False

    def fill(self, elements: list[bytes], limits: HashLimits) -> None:
        """Take fields and values, one after the other, as HSET does.

        Redis goes by the number of arguments here, repeated fields included.
        """
        if len(elements) > 2 * limits.entries:
            self.is_small = False
        self.update(zip(elements[::2], elements[1::2], strict=True))
        self.grow(limits, *elements)


def _longest(texts: Iterable[bytes]) -> int:
    return max(map(len, texts), default=0)
