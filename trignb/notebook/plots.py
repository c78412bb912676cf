"""Plots of an engine in one line each: ``engine.plot.events()``, ``.latency()``, ``.graph()``.

The graph is a picture of our own, see `trignb.notebook.graph`; the others are matplotlib's, which is an extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trignb.notebook.graph import TriggerGraph, trigger_graph

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.axes import Axes

    from trignb.api import Engine

__all__ = ["Plots"]


class Plots:
    """The plots of one engine; what `Engine.plot` gives."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __repr__(self) -> str:
        return "<plots of an engine: .events(), .latency(), .graph()>"

    def events(
        self, freq: str | None = None, by: str = "event", *, ax: Axes | None = None
    ) -> Axes:
        """Plot the keyspace events in the notification log over the engine's time.

        Parameters
        ----------
        freq : str, optional
            How long a step is, as pandas writes it: ``"1s"``, ``"5min"``. Chosen to fit
            without it.
        by : {"event", "event_class", "key_type", "origin"}
            What the colours stand for. The eight most frequent have one, others share one.
        ax : Axes, optional
            Where to draw; a figure of its own without it.

        Returns
        -------
        matplotlib.axes.Axes
            One area per colour, stacked: events per step.

        Raises
        ------
        ImportError
            When matplotlib is missing; says what to install.
        ValueError
            When there is no such `by` or `freq`, or it makes more than 100,000 steps.
        """
        axes: Axes = _charts().events(self._engine.notifications(), freq, by, ax)
        return axes

    def latency(self, library: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Plot how long the runs of triggers and the calls of functions take.

        Parameters
        ----------
        library : str, optional
            Only those of one library.
        ax : Axes, optional
            Where to draw; a figure of its own without it.

        Returns
        -------
        matplotlib.axes.Axes
            A histogram each over a logarithmic axis of microseconds, as a share of the
            runs; a dashed line stands at the median, a dotted one at the 99th percentile.

        Raises
        ------
        ImportError
            When matplotlib is missing; says what to install.
        """
        registry = self._engine.library_registry
        with self._engine.core.lock:
            timed = {
                f"{item.library}.{item.name}": item.times
                for found in registry.libraries.values()
                for item in found.registrations()
                if hasattr(item, "times") and library in (None, found.name)
            }
            axes: Axes = _charts().latency(timed, ax)
        return axes

    def graph(self) -> TriggerGraph:
        """Return which keys fire which triggers, and what these wrote, as a picture.

        It needs no matplotlib. ``.df()`` are its edges, ``.svg()`` and ``.save(path)`` the
        drawing.
        """
        return trigger_graph(self._engine)


def _charts() -> ModuleType | Any:
    try:
        from trignb.notebook import charts
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        message = "plots need matplotlib: pip install 'trignb[plots]'"
        raise ImportError(message, name="matplotlib") from error
    return charts
