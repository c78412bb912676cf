from __future__ import annotations

import re
import time

import pytest

import trignb
from live_views import Screen, control, picture
from trignb.notebook.widgets import Feed


@pytest.fixture
def feed(live: trignb.Engine, screen: Screen) -> Feed:
    feed = live.feed()
    feed.show()
    return feed


def events(feed: Feed) -> list[str]:
    """Return event and key of each row, as they are shown."""
    rows = re.findall(r"<tr>(.*?)</tr>", picture(feed))[1:]
    return [
        " ".join(
            re.sub("<[^>]*>", "", c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t", r)[:2]
        )
        for r in rows
    ]


def test_newest_first_and_effects_below_causes(live: trignb.Engine, feed: Feed) -> None:
    live.execute("SET", "a", "1")
    live.execute("HSET", "user:1", "a", "1")
    assert events(feed) == ["hset user:1", "└ hset user:1", "set a"]


def test_chain_of_causes_is_indented_further(live: trignb.Engine, feed: Feed) -> None:
    # An expiry inside of a trigger's run has a cause that has one itself.
    live.load(
        "#!js api_version=1.0 name=deep\n"
        'redis.registerKeySpaceTrigger("touch", "go", (c) => { c.call("get", "old"); });\n'
        'redis.registerKeySpaceTrigger("gone", "old", (c) => { c.call("set", "end", "1"); });'
    )
    live.execute("SET", "old", "1", "PX", "1")
    live.clock.freeze(at="2026-01-01T12:00:01Z")
    live.execute("SET", "go", "1")
    assert events(feed)[:3] == ["set go", "└ expired old", "\u2003└ set end"]


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("user:*", ["hset user:1", "└ hset user:1"]),
        ("or?", ["set orc"]),
        ("x", []),
        ("", 3),
    ],
)
def test_pattern(live: trignb.Engine, feed: Feed, pattern: str, shown: object) -> None:
    live.execute("SET", "orc", "1")
    live.execute("HSET", "user:1", "a", "1")
    control(feed, "Keys").value = pattern
    assert events(feed) == shown or len(events(feed)) == shown


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ("hset", ["hset user:1", "└ hset user:1"]),
        ("h*", ["hset user:1", "└ hset user:1"]),
        ("strings", ["set orc:1"]),
        ("generic", ["del orc:1"]),
        ("set", ["set orc:1"]),
        ("sets", []),
        ("new keys", ["new user:1", "new orc:1"]),
        ("nothing", []),
    ],
)
def test_event(live: trignb.Engine, feed: Feed, event: str, shown: list[str]) -> None:
    live.execute("SET", "orc:1", "1")
    live.execute("DEL", "orc:1")
    live.execute("HSET", "user:1", "a", "1")
    control(feed, "Event").value = event
    assert events(feed) == shown


def test_library(live: trignb.Engine, feed: Feed) -> None:
    live.load(
        "#!js api_version=1.0 name=other\n"
        'redis.registerKeySpaceTrigger("all", "x", () => 1);'
    )
    live.execute("SET", "x", "1")
    live.execute("SET", "y", "1")
    live.execute("HSET", "user:1", "a", "1")
    show = control(feed, "Show")
    assert list(show.options) == ["all events", "what fired triggers", "audit", "other"]
    show.value = "audit"
    assert events(feed) == ["hset user:1", "└ hset user:1"]
    show.value = "other"
    assert events(feed) == ["set x"]
    show.value = "what fired triggers"
    assert len(events(feed)) == 3
    assert len(feed.df()) == 3


def test_library_that_goes_stays_chosen(live: trignb.Engine, feed: Feed) -> None:
    live.execute("HSET", "user:1", "a", "1")
    control(feed, "Show").value = "audit"
    live.execute("TFUNCTION", "DELETE", "audit")
    assert control(feed, "Show").value == "audit"
    assert len(events(feed)) == 2


def test_filters_from_python(live: trignb.Engine) -> None:
    feed = live.feed("user:*", event="hset", library="audit")
    live.execute("HSET", "user:1", "a", "1")
    live.execute("SET", "user:2", "a")
    feed.refresh()
    assert events(feed) == ["hset user:1", "└ hset user:1"]
    feed.select("*", event="", library="")
    assert len(events(feed)) == 3
    feed.close()


def test_clear_shows_only_what_comes(live: trignb.Engine, feed: Feed) -> None:
    live.execute("SET", "a", "1")
    control(feed, "Clear").click()
    assert events(feed) == []
    live.execute("SET", "b", "1")
    assert events(feed) == ["set b"]
    assert len(live.notifications()) > 1


def test_outcomes(live: trignb.Engine, feed: Feed) -> None:
    live.execute("HSET", "user:1", "a", "1")
    live.execute("SET", "orc:1", "1")
    assert "✓ audit.stamp" in picture(feed)
    assert "✗ audit.deny" in picture(feed)
    assert "audit.deny: failed" in picture(feed)


def test_run_that_ends_later_is_told(live: trignb.Engine, feed: Feed) -> None:
    library = live.load(
        "#!js api_version=1.0 name=slow\n"
        'redis.registerKeySpaceTrigger("later", "s", async (c) => { c.block(() => 1); });'
    )
    with live.core.lock:
        # The coroutine wants the lock, which is ours.
        live.execute("SET", "s", "1")
        assert "… slow.later" in picture(feed)
    deadline = time.monotonic() + 20
    while library.triggers["later"].running:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    feed.board.tick()
    assert "✓ slow.later" in picture(feed)


def test_keys_are_escaped_and_marks_are_shown(live: trignb.Engine, feed: Feed) -> None:
    live.execute("SET", "<img onerror=alert(1)>", "1")
    live.execute("SET", b"\xff\x00", "1")
    live.execute("SET", "\u202egnp.exe\n", "1")
    html = picture(feed)
    assert "<img" not in html
    assert "&lt;img onerror" in html
    assert "\\xff\\x00" in html
    assert "\\u202egnp.exe\\n" in html


def test_other_databases_are_named(live: trignb.Engine, feed: Feed) -> None:
    session = live.session()
    session.execute("SELECT", "3")
    session.execute("SET", "a", "1")
    assert "a db 3" in events(feed)[0]


def test_long_feed_is_cut(live: trignb.Engine, feed: Feed) -> None:
    for i in range(150):
        live.execute("SET", f"k{i}", "1")
    assert len(events(feed)) == 50
    assert "50 events or more" in picture(feed)
    assert len(feed.df()) == 150


def test_log_starts_with_the_feed() -> None:
    with trignb.Engine() as engine:
        feed = engine.feed()
        engine.execute("SET", "a", "1")
        feed.refresh()
        assert events(feed) == ["set a"]
        assert "set" in feed.static()
        feed.close()
