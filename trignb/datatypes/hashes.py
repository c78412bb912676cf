"""The hash: a dict that remembers whether Redis would still keep it in a listpack."""

from __future__ import annotations

__all__ = ["Hash"]


class Hash(dict[bytes, bytes]):
    """Fields and values, in order of insertion.

    ``is_small`` is True while Redis would keep the hash as one listpack. It only ever
    goes to False: Redis does not convert back when a hash shrinks.
    """

    __slots__ = ("is_small",)

    def __init__(self) -> None:
        super().__init__()
        self.is_small = True

    def copy(self) -> Hash:
        """Return a hash with the same fields and the same encoding."""
        twin = Hash()
        twin.update(self)
        twin.is_small = self.is_small
        return twin
