"""The constants of the ``redis`` table."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["REDIS_CONSTANTS", "REPL_ALL"]

# Who hears of what a script writes: the append-only file (1) and replicas (2).
REPL_ALL: Final = 3

REDIS_CONSTANTS: Final[dict[bytes, Any]] = {
    b"LOG_DEBUG": 0,
    b"LOG_VERBOSE": 1,
    b"LOG_NOTICE": 2,
    b"LOG_WARNING": 3,
    b"REPL_NONE": 0,
    b"REPL_AOF": 1,
    b"REPL_SLAVE": 2,
    b"REPL_REPLICA": 2,
    b"REPL_ALL": REPL_ALL,
    b"REDIS_VERSION": b"7.2.6",
    b"REDIS_VERSION_NUM": 0x00070206,
}
