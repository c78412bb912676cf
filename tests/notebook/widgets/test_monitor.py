from __future__ import annotations

import re

import pytest

import trignb
from live_views import Screen, control, picture
from trignb.notebook.widgets import Monitor


@pytest.fixture
def monitor(live: trignb.Engine, screen: Screen) -> Monitor:
    monitor = live.monitor()
    monitor.show()
    return monitor


def row(monitor: Monitor, name: str) -> list[str]:
    """Return the texts in a trigger's row."""
    (found,) = [r for r in re.findall(r"<tr>(.*?)</tr>", picture(monitor)) if name in r]
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", found)
    plain = [re.sub(r"<svg.*?</svg>", "", cell) for cell in cells]
    return [re.sub("<[^>]*>", "", cell) for cell in plain]


def names(monitor: Monitor) -> list[str]:
    """Return the triggers in the order in which they are shown."""
    return re.findall(
        r'title="[a-z]+ trigger of.*?</span>(\w+)</span>', picture(monitor)
    )


def test_idle(monitor: Monitor) -> None:
    assert row(monitor, "stamp") == [
        "audit.stamp", "idle", "user:", "–", "0", "0", "0", "–", "",
    ]  # fmt: skip
    assert row(monitor, "reader")[2] == "log: stream"


def test_counts_and_errors(live: trignb.Engine, monitor: Monitor) -> None:
    live.execute("HSET", "user:1", "a", "1")
    live.execute("SET", "orc:1", "1")
    live.execute("XADD", "log:1", "*", "a", "1")
    assert row(monitor, "stamp")[1:] == [
        "ok", "user:", "–", "1", "1", "0", "0.00 ms", "",
    ]  # fmt: skip
    assert row(monitor, "reader")[4:7] == ["1", "1", "0"]
    deny = row(monitor, "deny")
    assert deny[1] == "failing"
    assert deny[6] == "✗ 1"
    assert deny[8] == "line 6: TypeError: no &lt;b&gt;orcs&lt;/b&gt;"
    assert "1 failing" in picture(monitor)
    assert "3 runs" in picture(monitor)


def test_rates_by_the_engines_clock(live: trignb.Engine, monitor: Monitor) -> None:
    for _ in range(20):
        live.execute("HSET", "user:1", "a", "1")
    live.clock.advance(seconds=4)
    monitor.refresh()
    assert row(monitor, "stamp")[3] == "5.0/s"
    live.clock.advance(seconds=60)
    monitor.refresh()
    assert row(monitor, "stamp")[3] == "0.0/s"
    assert "V1" not in picture(monitor)


def test_latency_has_a_picture(live: trignb.Engine, monitor: Monitor) -> None:
    before = picture(monitor).count("h0")
    live.execute("HSET", "user:1", "a", "1")
    assert picture(monitor).count("h0") == before + 1
    assert 'role="img"' in picture(monitor)


def test_filter_by_name_and_by_prefix(monitor: Monitor) -> None:
    control(monitor, "Filter").value = "STAMP"
    assert names(monitor) == ["stamp"]
    assert "1 trigger of 3" in picture(monitor)
    assert list(monitor.df().index) == [("audit", "stamp")]
    control(monitor, "Filter").value = "orc"
    assert names(monitor) == ["deny"]
    control(monitor, "Filter").value = "nothing"
    assert names(monitor) == []


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("name", "deny"),
        ("most fired", "stamp"),
        ("most failed", "deny"),
        ("slowest", "deny"),
    ],
)
def test_sort(live: trignb.Engine, monitor: Monitor, order: str, first: str) -> None:
    live.execute("HSET", "user:1", "a", "1")
    live.execute("HSET", "user:2", "a", "1")
    live.execute("SET", "orc:1", "1")
    control(monitor, "Sort by").value = order
    assert names(monitor)[0] == first


def test_reset_is_for_what_is_shown(live: trignb.Engine, monitor: Monitor) -> None:
    live.execute("HSET", "user:1", "a", "1")
    live.execute("SET", "orc:1", "1")
    live.execute("XADD", "log:1", "*", "a", "1")
    control(monitor, "Filter").value = "deny"
    control(monitor, "Reset counters").click()
    control(monitor, "Filter").value = ""
    assert row(monitor, "deny")[1:] == [
        "idle", "orc:", "–", "0", "0", "0", "–", "",
    ]  # fmt: skip
    assert row(monitor, "stamp")[4] == "1"
    control(monitor, "Reset counters").click()
    assert row(monitor, "stamp")[4] == row(monitor, "reader")[4] == "0"
    assert len(live.errors()) == 1
    live.clock.advance(seconds=2)
    monitor.refresh()
    assert row(monitor, "stamp")[3] == "0.0/s"


def test_freeze_button(monitor: Monitor, screen: Screen) -> None:
    control(monitor, "Freeze").click()
    assert monitor.is_closed
    assert len(screen.updates) == 1


def test_replaced_library_keeps_its_counters(
    live: trignb.Engine, monitor: Monitor
) -> None:
    live.execute("HSET", "user:1", "a", "1")
    code = live.library_registry.libraries["audit"].code
    live.load(code.replace("deny", "refuse"), replace=True)
    assert names(monitor) == ["reader", "refuse", "stamp"]
    assert row(monitor, "stamp")[4] == "1"


def test_nothing_is_drawn_when_nothing_changed(
    live: trignb.Engine, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []
    monkeypatch.setattr(monitor, "html", lambda: drawn.append(None) or "")
    live.execute("SET", "unrelated", "1")
    assert drawn == []
    live.execute("HSET", "user:1", "a", "1")
    assert len(drawn) == 1


def test_no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    with trignb.Engine() as engine:
        monitor = engine.monitor()
        assert "No library has registered a trigger" in picture(monitor)
        assert "Empty DataFrame" in monitor.static()
        monitor.close()


def test_many_triggers_are_cut(live: trignb.Engine, monitor: Monitor) -> None:
    triggers = [
        f'redis.registerKeySpaceTrigger("t{i:02}", "t{i}:", () => 1);'
        for i in range(60)
    ]
    live.load("#!js api_version=1.0 name=crowd\n" + "\n".join(triggers))
    assert len(names(monitor)) == 50
    assert "the first 50 are shown" in picture(monitor)
