"""Sizes up to which Redis keeps a value compact, read from the configuration when it changes.

Handlers read plain attributes here: looking a parameter up by name per command costs more than some commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trignb.datatypes import HashLimits, SetLimits

if TYPE_CHECKING:
    from trignb.engine.config import Config

__all__ = ["Limits"]

_SETS = (
    "set-max-intset-entries",
    "set-max-listpack-entries",
    "set-max-listpack-value",
)


class Limits:
    """The ``…-max-listpack-…`` parameters, and ``proto-max-bulk-len`` as ``string_size``.

    ``sets`` is a `SetLimits`, ``hashes`` a `HashLimits`, which HSET reads as two plain
    attributes, ``hash_entries`` and ``hash_value``. ``list_fill`` is ``list-max-listpack-size``.
    """

    __slots__ = (
        "hash_entries",
        "hash_value",
        "hashes",
        "list_fill",
        "sets",
        "string_size",
        "zset_entries",
        "zset_value",
    )

    def __init__(self, config: Config) -> None:
        self.zset_entries = self.zset_value = self.list_fill = 0
        self.hash_entries = self.hash_value = self.string_size = 0
        self.hashes = HashLimits()
        self.sets = SetLimits()
        for attribute, name in (
            ("hash_entries", "hash-max-listpack-entries"),
            ("hash_value", "hash-max-listpack-value"),
            ("zset_entries", "zset-max-listpack-entries"),
            ("zset_value", "zset-max-listpack-value"),
            ("list_fill", "list-max-listpack-size"),
            ("string_size", "proto-max-bulk-len"),
        ):
            config.on_change(name, self._keep(attribute))

        def keep_hashes(_value: Any) -> None:
            self.hashes = HashLimits(self.hash_entries, self.hash_value)

        for name in ("hash-max-listpack-entries", "hash-max-listpack-value"):
            config.on_change(name, keep_hashes)

        def keep_sets(_value: Any) -> None:
            values = config.values
            self.sets = SetLimits(*(values[name] for name in _SETS))

        for name in _SETS:
            config.on_change(name, keep_sets)

    def _keep(self, attribute: str) -> Any:
        def keep(value: Any) -> None:
            setattr(self, attribute, value)

        return keep
