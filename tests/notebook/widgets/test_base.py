from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

import trignb
from live_views import Screen, control, models, picture, within

VIEW = "application/vnd.jupyter.widget-view+json"
KINDS = ["monitor", "feed", "editor", "browse"]


@pytest.fixture(params=KINDS)
def view(request: pytest.FixtureRequest, live: trignb.Engine) -> Any:
    view = getattr(live, request.param)()
    if request.param == "browse":
        live.execute("HSET", "user:1", "z", "1")
        view.select("user:1")
    return view


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "trignb-widgets"]


def test_shows_itself_with_text_and_html_beside_it(view: Any, screen: Screen) -> None:
    view._ipython_display_()
    (bundle,) = screen.bundles
    assert bundle[VIEW]["model_id"] == view.box.model_id
    assert bundle["text/plain"]
    assert "<table>" in bundle["text/html"]


def test_follows_only_once_shown(view: Any, screen: Screen) -> None:
    assert view.board.views == []
    view.show()
    view.show()
    assert view.board.views == [view]
    assert len(screen.bundles) == 2


def test_freeze_leaves_html_in_every_place(view: Any, screen: Screen) -> None:
    view.show()
    view.show()
    view.engine.execute("HSET", "user:1", "a", "1")
    view.freeze()
    assert [at for at, _ in screen.updates] == [0, 1]
    for _, bundle in screen.updates:
        assert VIEW not in bundle
        assert "user:" in bundle["text/html"]
    assert view.is_closed
    assert view.board.views == []


def test_closed_view_displays_what_it_left(view: Any, screen: Screen) -> None:
    view.engine.execute("HSET", "user:1", "a", "1")
    view.close()
    view.close()
    view.engine.execute("FLUSHALL")
    view._ipython_display_()
    (bundle,) = screen.bundles
    assert VIEW not in bundle
    assert "stamp" in bundle["text/html"]
    assert view.is_closed


def test_closing_leaves_no_model_thread_or_listener(
    live: trignb.Engine, screen: Screen
) -> None:
    def counts() -> tuple[int, int, int, int]:
        core = live.core
        return models(), len(core._listeners), len(core.sinks), len(threads())

    live.notifications()
    before = counts()
    for _ in range(3):
        for kind in KINDS:
            view = getattr(live, kind)()
            view.show()
            view.show()
            assert models() > before[0]
            view.close()
    assert counts() == before
    gone = weakref.ref(view)
    del view
    screen.bundles.clear()
    gc.collect()
    assert gone() is None


def test_engine_closes_its_views(live: trignb.Engine, screen: Screen) -> None:
    view = live.monitor()
    view.show()
    live.close()
    assert view.is_closed
    assert "audit" in screen.updates[0][1]["text/html"]


def test_closes_at_the_end_of_a_with_block(view: Any) -> None:
    with view as entered:
        assert entered is view
        assert repr(view).endswith(" live>")
    assert repr(view).endswith(" closed>")


def test_paused_view_stands_still(view: Any, screen: Screen) -> None:
    view.show()
    view.pause()
    before = picture(view)
    view.engine.execute("HSET", "user:1", "a", "1")
    assert picture(view) == before
    assert repr(view).endswith(" paused>")
    view.pause(False)
    assert picture(view) != before


@pytest.mark.parametrize("kind", ["monitor", "feed", "browse"])
def test_pause_button(live: trignb.Engine, kind: str) -> None:
    view = getattr(live, kind)()
    control(view, "Pause").value = True
    assert view.paused
    assert "paused" in picture(view)
    control(view, "Pause").value = False
    assert not view.paused
    assert "paused" not in picture(view)


def test_hidden_view_stands_still(view: Any, screen: Screen) -> None:
    view.show()
    for hide, back in (("display", ""), ("visibility", "visible")):
        setattr(view.box.layout, hide, {"display": "none"}.get(hide, "hidden"))
        before = picture(view)
        view.engine.execute("HSET", "user:1", hide, "1")
        assert picture(view) == before
        setattr(view.box.layout, hide, back)
        view.board.tick()
        assert picture(view) != before


def test_static_mode_makes_no_widgets(
    view: Any, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIGNB_STATIC", "1")
    before = models()
    view._ipython_display_()
    (bundle,) = screen.bundles
    assert set(bundle) == {"text/plain", "text/html"}
    assert models() == before
    assert view.board.views == []


def test_static_repeats(view: Any) -> None:
    view.engine.execute("HSET", "user:1", "a", "1")
    first, second = view.static(), view.static()
    assert first == second
    assert first.html == second.html
    assert "<style>" in first.html


def test_every_control_has_a_label_or_a_title(view: Any) -> None:
    boxes = [w for w in within(view.box) if not hasattr(w, "children")]
    controls = [w for w in boxes if type(w).__name__ not in ("HTML", "Label")]
    assert controls
    for widget in controls:
        assert widget.description, widget
        is_button = type(widget).__name__ in ("Button", "ToggleButton")
        assert widget.tooltip or not is_button, widget


def test_table_tells_screen_readers_what_it_is(view: Any) -> None:
    html = picture(view)
    assert "<caption>" in html
    assert 'scope="col"' in html


@pytest.mark.parametrize("sign", ["✓", "✗"])
def test_state_is_told_by_text_too(live: trignb.Engine, sign: str) -> None:
    view = live.feed()
    live.execute("HSET", "user:1", "a", "1")
    live.execute("SET", "orc:1", "1")
    assert sign in picture(view)


class Cells:
    """A kernel that runs cells: enough of one for a view to know where it is."""

    def __init__(self) -> None:
        self.parent: dict[str, Any] = {}

    @property
    def kernel(self) -> Cells:
        return self

    def get_parent(self) -> dict[str, Any]:
        return self.parent

    def run(self, cell: str, run: str, view: Any) -> None:
        self.parent = {"metadata": {"cellId": cell}, "header": {"msg_id": run}}
        view.show()


def test_cell_that_runs_again_closes_what_it_showed(
    live: trignb.Engine, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = Cells()
    monkeypatch.setattr("trignb.notebook.widgets.base.get_ipython", lambda: cells)
    first, second, other = live.monitor(), live.monitor(), live.feed()
    cells.run("a", "run 1", first)
    cells.run("b", "run 2", other)
    cells.run("a", "run 3", second)
    assert first.is_closed
    # Its place is the second's now: nothing may be written there.
    assert screen.updates == []
    assert live.board is not None
    assert live.board.views == [other, second]
    # The same view shown elsewhere too lives on.
    cells.run("c", "run 4", second)
    cells.run("a", "run 5", other)
    assert not second.is_closed
