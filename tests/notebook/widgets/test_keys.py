from __future__ import annotations

from typing import Any

import pytest

import trignb
from live_views import Screen, control, picture
from trignb.notebook.widgets import Browser


@pytest.fixture
def browser(live: trignb.Engine, screen: Screen) -> Browser:
    browser = live.browse()
    browser.show()
    return browser


def fill(live: trignb.Engine) -> None:
    """Write a key of each type."""
    live.execute("SET", "text", "hello")
    live.execute("RPUSH", "some:list", "a", "b")
    live.execute("SADD", "some:set", "m")
    live.execute("ZADD", "some:zset", "1.5", "m")
    live.execute("HSET", "user:1", "name", "tom")
    live.execute("HSET", "user:2", "name", "ann")
    live.execute("XADD", "log:1", "5-1", "a", "1")


def labels(browser: Browser) -> list[str]:
    """Return what the list shows, blanks as one."""
    options = control(browser, "Keys of this page").options
    return [" ".join(label.split()) for label, _ in options]


def choose(browser: Browser, name: str) -> None:
    """Choose a row by its beginning."""
    listed: Any = control(browser, "Keys of this page")
    (entry,) = [e for label, e in listed.options if label.strip().startswith(name)]
    listed.value = entry


def test_tree_of_keys(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    assert labels(browser) == [
        "log:1 stream",
        "some: 3 keys",
        "list list",
        "set set",
        "zset zset",
        "text string",
        "user: 2 keys",
        "1 hash",
        "2 hash",
    ]
    assert "7 keys of 7 in database 0" in picture(browser)


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ("text", ["string", "5 bytes", "embstr", ">hello<", "GET text", "no deadline"]),
        ("list", ["list", "2 elements", "listpack", ">1<", ">b<", "LRANGE some:list"]),
        ("set", ["set", "1 member", ">m<", "SMEMBERS some:set"]),
        ("zset", ["zset", ">1.5<", ">m<", "ZRANGE some:zset 0 -1 WITHSCORES"]),
        ("1 ", ["hash", "2 fields", ">name<", ">tom<", ">at<", "HGETALL user:1"]),
    ],
)
def test_value_by_type(
    live: trignb.Engine, browser: Browser, row: str, texts: list[str]
) -> None:
    fill(live)
    choose(browser, row)
    for text in texts:
        assert text in picture(browser)


def test_triggers_that_hear_of_a_key(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    choose(browser, "1 ")
    assert "fires audit.stamp" in picture(browser)
    assert "audit.deny" not in picture(browser)
    live.execute("XADD", "log:2", "9-1", "a", "1")
    browser.select("log:2")
    assert "fires audit.reader" in picture(browser)


def test_value_follows(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    browser.select("text")
    live.execute("SET", "text", "other")
    assert ">other<" in picture(browser)
    live.execute("DEL", "text")
    assert "text is not there" in picture(browser)
    assert control(browser, "Keys of this page").value is None
    live.execute("SET", "text", "back")
    assert ">back<" in picture(browser)
    assert control(browser, "Keys of this page").value.name == b"text"


def test_looking_changes_nothing(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    live.execute("SET", "due", "1", "PX", "1")
    live.clock.freeze(at="2026-01-01T13:00:00Z")
    core = live.core
    before = (core.hits, core.misses, core.dirty, core.event_seq, core.expired_keys)
    for name in ("text", "user:1", "due", "missing"):
        browser.select(name)
    assert "due is not there" not in labels(browser)
    after = (core.hits, core.misses, core.dirty, core.event_seq, core.expired_keys)
    assert after == before


def test_key_by_its_name(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    live.execute("SET", b"\xff", "1")
    finder = control(browser, "Key")
    assert set(finder.options) >= {"text", "user:1", "some:list"}
    finder.value = "tex"
    assert "Choose a key" in picture(browser)
    finder.value = "text"
    assert ">hello<" in picture(browser)


def test_filters(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    control(browser, "Pattern").value = "*s*"
    control(browser, "Type").value = "hash"
    assert labels(browser) == ["user: 2 keys", "1 hash", "2 hash"]
    assert "2 keys of 7" in picture(browser)
    assert list(browser.df().index) == ["user:1", "user:2"]
    control(browser, "Pattern").value = ""
    control(browser, "Type").value = "any type"
    assert len(labels(browser)) == 9


def test_databases(live: trignb.Engine, browser: Browser) -> None:
    session = live.session()
    session.execute("SELECT", "3")
    session.execute("SET", "there", "1")
    assert labels(browser) == []
    control(browser, "Database").value = 3
    assert labels(browser) == ["there string"]
    browser.select("there")
    control(browser, "Delete").click()
    control(browser, "Really delete?").click()
    assert session.execute("EXISTS", "there") == 0
    assert "DEL there → 1" in picture(browser)


def test_pages(live: trignb.Engine, browser: Browser) -> None:
    for i in range(450):
        live.execute("SET", f"key{i:03}", "1")
    assert len(labels(browser)) == 200
    assert control(browser, "Previous page").disabled
    control(browser, "Next page").click()
    control(browser, "Next page").click()
    assert len(labels(browser)) == 50
    assert "page 3" in picture(browser)
    assert control(browser, "Next page").disabled
    control(browser, "Pattern").value = "key0*"
    assert len(labels(browser)) == 100
    assert control(browser, "Next page").disabled
    control(browser, "Pattern").value = "key*"
    control(browser, "Next page").click()
    assert labels(browser)[0] == "key200 string"


def test_folder(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    live.execute("SET", "user:*", "1")
    choose(browser, "user:")
    assert "3 keys on this page" in picture(browser)
    assert "2 hash" in picture(browser)
    control(browser, "Only these").click()
    assert control(browser, "Pattern").value == "user:*"
    assert "3 keys of 8" in picture(browser)
    browser.select("user:*")
    control(browser, "Only these").click()
    assert control(browser, "Pattern").value == "user:\\*"
    assert labels(browser) == ["user:* string"]


def test_time_to_live(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    browser.select("text")
    control(browser, "Seconds to live").value = "3661"
    control(browser, "Set").click()
    assert "EXPIRE text 3661 → 1" in picture(browser)
    assert "expires in 1 h 1 min 1 s" in picture(browser)
    live.clock.advance(seconds=60)
    browser.board.tick()
    assert "expires in 1 h 1 s" in picture(browser)
    control(browser, "Seconds to live").value = "soon"
    control(browser, "Set").click()
    assert "ERR value is not an integer or out of range" in picture(browser)
    assert 'role="alert"' in picture(browser)
    control(browser, "Seconds to live").value = ""
    control(browser, "Set").click()
    assert "PERSIST text → 1" in picture(browser)
    assert "no deadline" in picture(browser)


def test_delete_asks_once_more(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    control(browser, "Delete").click()
    control(browser, "Really delete?").click()
    assert "choose a key first" in picture(browser)
    browser.select("text")
    control(browser, "Delete").click()
    assert live.execute("EXISTS", "text") == 1
    browser.select("some:list")
    control(browser, "Delete").click()
    control(browser, "Really delete?").click()
    assert live.execute("EXISTS", "text") == 1
    assert live.execute("EXISTS", "some:list") == 0


def test_keys_are_escaped(live: trignb.Engine, browser: Browser) -> None:
    name = "<img src=x onerror=alert(1)>"
    live.execute("HSET", name, name, name)
    browser.select(name)
    assert "<img" not in picture(browser)
    assert "<img" not in browser.static().html
    # The list is text to the browser: it shows what is there.
    assert labels(browser)[0].startswith("<img src=x onerror=alert(1)>")


def test_same_list_is_not_sent_again(live: trignb.Engine, browser: Browser) -> None:
    fill(live)
    sent: list[object] = []
    control(browser, "Keys of this page").observe(lambda _: sent.append(1), "options")
    live.execute("SET", "text", "other")
    assert sent == []
    live.execute("SET", "new", "1")
    assert sent


def test_still_picture(live: trignb.Engine) -> None:
    fill(live)
    browser = live.browse("user:*", type="hash")
    note = browser.static()
    assert "user:1" in note
    assert note.html.count('scope="row"') == 2
    browser.close()


def test_what_is_not_there_is_refused(live: trignb.Engine) -> None:
    with pytest.raises(ValueError, match="there is no type json; there are string"):
        live.browse(type="json")
    with pytest.raises(trignb.ResponseError, match="DB index is out of range"):
        live.browse(db=16)


def test_restored_snapshot_is_seen(live: trignb.Engine, browser: Browser) -> None:
    live.execute("SET", "text", "before")
    snapshot = live.snapshot()
    browser.select("text")
    live.execute("SET", "text", "after")
    assert ">after<" in picture(browser)
    live.restore(snapshot)
    browser.board.tick()
    assert ">before<" in picture(browser)
