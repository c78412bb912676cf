"""``%load_ext trignb`` and ``%unload_ext trignb``.

Loading twice is harmless. Unloading takes the magics back and closes the engines at the end
of the cell, not at once: ``%reload_ext`` unloads and loads again in one cell, and the data
must survive it.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from trignb.notebook.magics import TrignbMagics

__all__ = ["load", "unload"]

_LOADED: Final[WeakKeyDictionary[Any, TrignbMagics]] = WeakKeyDictionary()
_PARKED: Final[WeakKeyDictionary[Any, TrignbMagics]] = WeakKeyDictionary()

_NAMES: Final = (
    ("line", "redis"),
    ("line", "redis_load"),
    ("cell", "redis"),
    ("cell", "tfunction"),
    ("line", "tf"),
)


def load(shell: Any) -> None:
    """Register the magics in a shell."""
    if shell in _LOADED:
        return
    parked = _PARKED.pop(shell, None)
    magics = TrignbMagics(shell, parked.workbench if parked is not None else None)
    shell.register_magics(magics)
    shell.events.register("post_run_cell", magics.cell_notes)
    shell.Completer.custom_matchers.append(magics.matcher)
    _LOADED[shell] = magics


def unload(shell: Any) -> None:
    """Take the magics back; the engines are closed when the cell ends."""
    magics = _LOADED.pop(shell, None)
    if magics is None:
        return
    for kind, name in _NAMES:
        shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop(type(magics).__name__, None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
    shell.events.unregister("post_run_cell", magics.cell_notes)
    shell.Completer.custom_matchers.remove(magics.matcher)
    _PARKED[shell] = magics

    def close_unless_loaded_again(*_: object) -> None:
        shell.events.unregister("post_run_cell", close_unless_loaded_again)
        if _PARKED.get(shell) is magics:
            del _PARKED[shell]
            magics.workbench.close_all()

    shell.events.register("post_run_cell", close_unless_loaded_again)
