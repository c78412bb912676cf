"""Keys as a tree: those that share what stands before a colon stand below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

from trignb.notebook.widgets.style import shown

__all__ = ["Entry", "tree"]

_SEPARATOR: Final = b":"
_WIDTH: Final = 34
_DIGITS: Final = 20

# A key in parts, and its type.
_Path: TypeAlias = "tuple[list[bytes], str]"


class Entry(NamedTuple):
    """One row of the tree: a key, or what several keys begin with (``is_folder``)."""

    name: bytes
    is_folder: bool

    @property
    def pattern(self) -> str:
        """What matches the key, or all the keys, as KEYS takes it."""
        escaped = "".join(
            f"\\{char}" if char in "*?[]\\^" else char
            for char in self.name.decode("utf-8", "replace")
        )
        return f"{escaped}*" if self.is_folder else escaped


def tree(keys: Iterable[tuple[bytes, str]]) -> list[tuple[str, Entry]]:
    """Return a row for each key and each folder: what it shows, and what it stands for.

    Parameters
    ----------
    keys : iterable of (bytes, str)
        Each key with the name of its type.
    """
    paths = [(key.split(_SEPARATOR), kind) for key, kind in keys]
    paths.sort(key=lambda path: [_order(part) for part in path[0]])
    return list(_rows(paths, 0))


def _order(part: bytes) -> tuple[int, int, bytes]:
    """Return what parts are sorted by: numbers by their value, before words."""
    is_number = part.isdigit() and len(part) < _DIGITS
    return (0, int(part), part) if is_number else (1, 0, part)


def _rows(paths: Sequence[_Path], depth: int) -> Iterator[tuple[str, Entry]]:
    """Yield the rows of keys that have their first `depth` parts in common."""
    for part, group in groupby(paths, key=lambda path: path[0][depth]):
        leaves: list[_Path] = []
        deeper: list[_Path] = []
        for path in group:
            (leaves if len(path[0]) == depth + 1 else deeper).append(path)
        yield from (_leaf(path, depth) for path in leaves)
        if len(deeper) > 1:
            name = _SEPARATOR.join([*deeper[0][0][: depth + 1], b""])
            label = f"{'  ' * depth}{shown(part, 30)}:"
            yield f"{label:{_WIDTH}} {len(deeper)} keys", Entry(name, True)
            yield from _rows(deeper, depth + 1)
        else:
            yield from (_leaf(path, depth) for path in deeper)


def _leaf(path: _Path, depth: int) -> tuple[str, Entry]:
    parts, kind = path
    rest = _SEPARATOR.join(parts[depth:])
    label = f"{'  ' * depth}{shown(rest, _WIDTH - 2 * min(depth, 8))}"
    return f"{label:{_WIDTH}} {kind}", Entry(_SEPARATOR.join(parts), False)
