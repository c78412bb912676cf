"""trignb: Redis's triggers and functions, in a notebook.

>>> import trignb
>>> engine = trignb.Engine()
>>> engine.execute("SET", "k", "v")
'OK'
"""

from __future__ import annotations

from typing import Any

from trignb.api import Engine, Snapshot
from trignb.clock import Clock
from trignb.engine.session import Session
from trignb.errors import (
    AofError,
    EngineClosed,
    JavaScriptError,
    RdbError,
    ResponseError,
    TrignbError,
)
from trignb.reply import BigNumber, Status, Verbatim

__version__ = "0.1.0"

__all__ = [
    "AofError",
    "BigNumber",
    "Clock",
    "Engine",
    "EngineClosed",
    "JavaScriptError",
    "RdbError",
    "ResponseError",
    "Session",
    "Snapshot",
    "Status",
    "TrignbError",
    "Verbatim",
    "__version__",
]


def load_ipython_extension(shell: Any) -> None:
    """Register the magics (``%load_ext trignb``)."""
    from trignb.notebook.extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics back (``%unload_ext trignb``)."""
    from trignb.notebook.extension import unload

    unload(shell)
