"""trignb: Redis's triggers and functions, in a notebook.

>>> import trignb
>>> engine = trignb.Engine()
>>> engine.execute("SET", "k", "v")
'OK'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trignb.api import Engine, Snapshot
    from trignb.clock import Clock
    from trignb.engine.session import Session
    from trignb.errors import (
        AofError,
        EngineClosed,
        JavaScriptError,
        JavaScriptUnavailable,
        RdbError,
        ResponseError,
        TrignbError,
    )
    from trignb.reply import BigNumber, Status, Verbatim

# The one place that says it; pyproject.toml reads it here.
__version__ = "0.1.0"

__all__ = [
    "AofError",
    "BigNumber",
    "Clock",
    "Engine",
    "EngineClosed",
    "JavaScriptError",
    "JavaScriptUnavailable",
    "RdbError",
    "ResponseError",
    "Session",
    "Snapshot",
    "Status",
    "TrignbError",
    "Verbatim",
    "__version__",
]

# Each public name and the module that defines it. The modules are imported when a name is
# first used: pytest loads our plugin, and with it this package, in every run.
_HOMES: Final = {
    "AofError": "trignb.errors",
    "BigNumber": "trignb.reply",
    "Clock": "trignb.clock",
    "Engine": "trignb.api",
    "EngineClosed": "trignb.errors",
    "JavaScriptError": "trignb.errors",
    "JavaScriptUnavailable": "trignb.errors",
    "RdbError": "trignb.errors",
    "ResponseError": "trignb.errors",
    "Session": "trignb.engine.session",
    "Snapshot": "trignb.api",
    "Status": "trignb.reply",
    "TrignbError": "trignb.errors",
    "Verbatim": "trignb.reply",
}
# Modules that are reached as attributes without an import of their own.
_MODULES: Final = frozenset({"clock", "errors", "reply"})


if not TYPE_CHECKING:  # A type checker would take any name for one of ours.

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used."""
        if name in _MODULES:
            return import_module(f"trignb.{name}")
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'trignb' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Register the magics (``%load_ext trignb``)."""
    from trignb.notebook.extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics back (``%unload_ext trignb``)."""
    from trignb.notebook.extension import unload

    unload(shell)
