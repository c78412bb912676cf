"""The views as ``%tf`` gives them."""

from __future__ import annotations

from typing import Any

import pytest

from live_views import LIBRARY, Screen, picture
from trignb.notebook.errors import UsageError
from trignb.notebook.widgets import Board, Browser, Editor, Feed, Monitor


@pytest.fixture
def tf(shell: Any, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``%tf`` of a notebook whose engine has a library."""
    monkeypatch.setenv("TRIGNB_SYNC", "1")
    shell.run_cell_magic("tfunction", "", LIBRARY)
    return lambda line: shell.run_line_magic("tf", line)


def test_monitor(tf: Any) -> None:
    monitor = tf("monitor stamp")
    assert isinstance(monitor, Monitor)
    assert "stamp" in picture(monitor)
    assert "deny" not in picture(monitor)


def test_feed(tf: Any) -> None:
    feed = tf("feed user:* --event hset --library audit")
    assert isinstance(feed, Feed)
    assert (feed.pattern, feed.event, feed.library) == ("user:*", "hset", "audit")


def test_editor(tf: Any) -> None:
    editor = tf("editor")
    assert isinstance(editor, Editor)
    assert editor.code == LIBRARY
    assert tf("editor audit").library == "audit"
    with pytest.raises(UsageError, match="there is no library audt") as caught:
        tf("editor audt")
    assert caught.value.hint == "did you mean audit?"


def test_keys(tf: Any) -> None:
    browser = tf("keys user:* --type zset --db 3")
    assert isinstance(browser, Browser)
    assert (browser.pattern, browser.type, browser.db) == ("user:*", "zset", 3)
    with pytest.raises(UsageError, match="there is no type json"):
        tf("keys --type json")


def test_rate_is_an_option(shell: Any, tf: Any) -> None:
    shell.run_line_magic("config", "TrignbMagics.feed_rate = 4")
    assert tf("monitor").board.rate == 4


def test_words_too_many_are_refused(tf: Any) -> None:
    with pytest.raises(UsageError, match="nothing is known of b"):
        tf("monitor a b")


def test_unloading_leaves_still_pictures(shell: Any, tf: Any, screen: Screen) -> None:
    view = tf("monitor")
    view.show()
    shell.run_line_magic("unload_ext", "trignb")
    # The engines are closed when a cell ends.
    shell.run_cell("pass")
    assert view.is_closed
    ((_, bundle),) = screen.updates
    assert "stamp" in bundle["text/html"]
    shell.run_line_magic("load_ext", "trignb")


def test_reloading_keeps_views(shell: Any, tf: Any) -> None:
    view = tf("monitor")
    view.show()
    shell.run_cell("%reload_ext trignb")
    assert not view.is_closed
    assert isinstance(view.board, Board)
    view.close()


def test_views_of_an_engine_that_is_not_ours_are_closed_too(
    shell: Any, tf: Any, screen: Screen
) -> None:
    shell.run_cell("import trignb; mine = trignb.Engine()")
    tf("engine mine")
    view = tf("monitor --engine mine")
    view.show()
    tf("engine mine --close")
    assert view.is_closed
    assert not shell.user_ns["mine"].core.closed
    shell.user_ns["mine"].close()
