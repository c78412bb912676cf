"""What goes into an append-only file of what units propagate, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trignb.persistence.annotations import annotate
from trignb.resp.propagated import PropagatedStream

if TYPE_CHECKING:
    from trignb.engine.core import Core, Effect

__all__ = ["AofEncoder"]

# What concerns other clients only is for replicas, and what redis-server has no command for
# becomes an annotation.
_NOT_KEPT: Final = frozenset({b"publish", b"spublish"})
_INTERNAL: Final = b"_rg_internals."
_SHORTEST: Final = len(b"publish")


class AofEncoder:
    """Encodes what a sink gets.

    Attributes
    ----------
    is_stamped : bool
        Whether each second begins with a line that tells it.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.is_stamped = False
        self._stream = PropagatedStream()
        self._stamped_s = 0

    def restart(self) -> None:
        """Begin another file."""
        self._stream.restart()
        self._stamped_s = 0

    def encode(self, batch: list[Effect]) -> bytes:
        """Return what a unit has for the file, which may be nothing."""
        for _, args in batch:
            if len(args[0]) >= _SHORTEST and _is_special(args[0]):
                data = self._encode_special(batch)
                break
        else:
            data = self._stream.encode(batch)
        return self.stamp() + data if self.is_stamped and data else data

    def _encode_special(self, batch: list[Effect]) -> bytes:
        kept = [effect for effect in batch if effect[1][0].lower() not in _NOT_KEPT]
        if len(kept) < len(batch) and len(kept) <= _FRAMED_ONE:
            # Of a transaction one command is left, or none.
            kept = kept[1:-1]
        return b"".join(
            annotate(effect[1])
            if effect[1][0].startswith(_INTERNAL)
            else self._stream.encode((effect,))
            for effect in kept
        )

    def stamp(self) -> bytes:
        """Return a line with the time, where another second has begun."""
        now_s = self.core.now_ms() // 1000
        if now_s == self._stamped_s:
            return b""
        self._stamped_s = now_s
        return b"#TS:%d\r\n" % now_s


# MULTI, one command, EXEC.
_FRAMED_ONE: Final = 3


def _is_special(name: bytes) -> bool:
    return name.startswith(_INTERNAL) or name.lower() in _NOT_KEPT
