"""The plots that matplotlib draws."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.dates import num2date
from matplotlib.figure import Figure

from functions.libraries import lib
from trignb.functions.statistics import Times
from trignb.notebook import charts
from trignb.notebook.errors import UsageError

if TYPE_CHECKING:
    import trignb


def fill(engine: trignb.Engine) -> None:
    engine.notifications()
    for second in range(10):
        engine.execute("LPUSH", "l", *range(second + 1))
        engine.execute("INCR", "n")
        engine.clock.advance(seconds=1)


def labels(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def stacked(ax: Axes) -> list[np.ndarray[Any, Any]]:
    """Return the heights of the areas, the lowest first."""
    return [np.array(p.get_data().values) - p.get_data().baseline for p in ax.patches]


def heard(n: int, kinds: int = 1, step_ms: int = 1000) -> pd.DataFrame:
    """Return a frame of events, one a step."""
    moments = pd.to_datetime(np.arange(n) * step_ms, unit="ms", utc=True)
    kind = [f"e{i % kinds:02}" for i in range(n)]
    return pd.DataFrame({"time": moments, "event": kind})


# -- events


def test_events_over_time(engine: trignb.Engine) -> None:
    fill(engine)
    ax = engine.plot.events("1s")
    assert isinstance(ax, Axes)
    assert labels(ax) == ["incrby (10)", "lpush (10)", "new (2)"]
    for heights in stacked(ax)[:2]:
        assert heights.tolist() == [1] * 10
    assert stacked(ax)[2].tolist() == [2, *[0] * 9]
    edges = num2date(ax.patches[0].get_data().edges)
    assert edges[0] == pd.Timestamp("2026-01-01T12:00:00Z")
    assert edges[-1] == pd.Timestamp("2026-01-01T12:00:10Z")
    assert ax.get_ylabel() == "events per 1 s"


def test_what_colours_stand_for(engine: trignb.Engine) -> None:
    fill(engine)
    assert labels(engine.plot.events(by="key_type")) == ["list (11)", "string (11)"]
    assert labels(engine.plot.events(by="event_class"))[0] == "$ (10)"
    assert labels(engine.plot.events(by="origin")) == ["client (22)"]
    with pytest.raises(ValueError, match="by is 'key'; it may be event, event_class"):
        engine.plot.events(by="key")


def test_the_rarest_share_a_colour() -> None:
    ax = charts.events(heard(100, kinds=12), "10s", "event")
    assert labels(ax)[-1] == "4 others (32)"
    assert len(labels(ax)) == 9
    assert sum(map(sum, stacked(ax))) == 100


@pytest.mark.parametrize(
    ("n", "step_ms", "unit"),
    [
        (1, 1, "1 s"),
        (50, 1, "1 ms"),
        (1000, 1, "10 ms"),
        (100, 1000, "1 s"),
        (100, 30_000, "30 s"),
        (2000, 60_000, "1 h"),
        (3000, 10**9, "6.94e+03 h"),
    ],
)
def test_steps_that_fit(n: int, step_ms: int, unit: str) -> None:
    ax = charts.events(heard(n, step_ms=step_ms), None, "event")
    shown = ax.get_ylabel().removeprefix("events per ")
    assert shown == unit
    (heights,) = stacked(ax)
    assert 1 <= len(heights) <= 122
    assert heights.sum() == n


@pytest.mark.parametrize("freq", ["x", "1ns", "-1s", "ME", ""])
def test_a_freq_that_is_none(freq: str) -> None:
    with pytest.raises(ValueError, match="freq is .*; write 1s, 5min"):
        charts.events(heard(3), freq, "event")


def test_too_many_steps() -> None:
    with pytest.raises(ValueError, match=r"864,000,001 steps are too many"):
        charts.events(heard(2, step_ms=864_000_000), "1ms", "event")


def test_many_events_take_no_time() -> None:
    ax = charts.events(heard(50_000, kinds=5, step_ms=20), "1s", "event")
    assert len(ax.patches) == 5


def test_nothing_yet(engine: trignb.Engine) -> None:
    for ax, text in [
        (engine.plot.events(), "no events yet"),
        (engine.plot.latency(), "nothing has run yet"),
    ]:
        assert [t.get_text() for t in ax.texts] == [text]
        assert ax.get_legend() is None
        assert ax._repr_png_().startswith(b"\x89PNG")


# -- latencies


def times(*us: float) -> Times:
    found = Times()
    for each in us:
        found.note(round(each * 1000))
    return found


def test_how_long_runs_take() -> None:
    ax = charts.latency({"lib.a": times(*range(1, 101)), "lib.b": Times()})
    (label,) = labels(ax)
    assert label.splitlines()[0] == "lib.a (100)"
    filled, line = ax.patches
    for patch in (filled, line):
        values, edges, _ = patch.get_data()
        assert sum(values) == pytest.approx(1)
        assert edges[0] <= 1
        assert edges[-1] >= 100
        # Quarters of an octave, from where buckets are that fine.
        assert max(np.diff(np.log2(edges[edges > 4]))) <= 0.33
    at = [line.get_xdata()[0] for line in ax.lines]
    assert at == [pytest.approx(50, rel=0.1), pytest.approx(99, rel=0.1)]
    assert ax.get_xscale() == "log"


def test_runs_of_no_time_have_a_place(engine: trignb.Engine) -> None:
    engine.load(lib("redis.registerKeySpaceTrigger('t', 'k', () => {});"))
    engine.execute("SET", "k", "v")
    ax = engine.plot.latency()
    assert labels(ax) == ["lib.t (1)\n  p50 0 µs, p99 0 µs"]
    assert ax.get_xlim()[0] > 0
    assert ax._repr_png_().startswith(b"\x89PNG")


def test_one_library(engine: trignb.Engine) -> None:
    for name in ("one", "two"):
        engine.load(lib("redis.registerFunction('f', () => 1);", name))
        engine.call(f"{name}.f")
    assert [t.partition(" ")[0] for t in labels(engine.plot.latency())] == [
        *("one.f", "two.f"),
    ]
    (only,) = labels(engine.plot.latency("two"))
    assert only.startswith("two.f (1)")


def test_the_busiest_have_colours_of_their_own() -> None:
    timed = {f"lib.t{i:02}": times(*[float(i)] * (i + 1)) for i in range(12)}
    shown = [label.partition(" (")[0] for label in labels(charts.latency(timed))]
    assert shown == [*(f"lib.t{i:02}" for i in range(11, 3, -1)), "4 others"]


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "0 µs"), (12.34, "12.3 µs"), (4500, "4.5 ms"), (2e6, "2 s"), (3e8, "5 min")],
)
def test_durations(us: float, text: str) -> None:
    assert charts._duration(us) == text


# -- matplotlib's own


def test_figures_are_nobody_else_s(engine: trignb.Engine) -> None:
    fill(engine)
    ax = engine.plot.events()
    assert (
        "matplotlib.pyplot" not in sys.modules
        or not sys.modules["matplotlib.pyplot"].get_fignums()
    )
    # To go on with.
    ax.set_title("lists")
    assert repr(ax).startswith("<ShownAxes: title={'center': 'lists'}")
    before = ax._repr_png_()
    assert before == ax._repr_png_()
    ax.get_figure().set_size_inches(4, 2)
    assert ax._repr_png_() != before


def test_axes_of_one_s_own(engine: trignb.Engine) -> None:
    fill(engine)
    above, below = Figure().subplots(2)
    assert engine.plot.events(ax=above) is above
    assert engine.plot.latency(ax=below) is below
    assert above.patches


def test_without_matplotlib(
    engine: trignb.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "trignb.notebook.charts")
    monkeypatch.delattr("trignb.notebook.charts")
    for name in [n for n in sys.modules if n.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for plot in (engine.plot.events, engine.plot.latency):
        with pytest.raises(ImportError) as caught:
            plot()
        assert str(caught.value) == "plots need matplotlib: pip install 'trignb[plots]'"
    assert repr(engine.plot.graph()) == "no trigger is loaded"


def test_subcommand(shell: Any) -> None:
    run = shell.run_line_magic
    run("redis", "SET k v")
    assert labels(run("tf", "plot events --freq 1s --by key_type")) == ["string (2)"]
    assert isinstance(run("tf", "plot latency"), Axes)
    assert repr(run("tf", "plot graph")) == "no trigger is loaded"


@pytest.mark.parametrize(
    ("line", "text", "hint"),
    [
        ("plot", "%tf plot takes events, latency, graph", ""),
        ("plot grap", "%tf plot takes events, latency, graph", "did you mean graph?"),
        ("plot events --freq x", "freq is 'x'; write 1s, 5min, 1h or 1D", ""),
    ],
)
def test_subcommand_written_otherwise(
    shell: Any, line: str, text: str, hint: str
) -> None:
    magic = shell.magics_manager.magics["line"]["tf"]
    with pytest.raises(UsageError, match=text.replace("[", r"\[")) as caught:
        magic(line)
    assert caught.value.hint == hint
