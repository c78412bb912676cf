"""The live views in JupyterLab: what is on the screen, and what a click does.

One notebook, one kernel, one page: each test runs cells of its own and leaves the others alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis
from playwright.sync_api import Browser, Locator, expect

from browser.conftest import Book, Lab

LIBRARY = """
#!js api_version=1.0 name=audit
redis.registerKeySpaceTrigger('stamp', 'fellowship:', (client, data) => {
  if (data.event === 'hset')
    client.call('hset', data.key, 'last_updated', client.call('time')[0]);
}, { description: 'when a member was last seen' });
redis.registerKeySpaceTrigger('deny', 'orc:', () => {
  throw new TypeError('no orcs here');
});
redis.registerKeySpaceTrigger('count', 'fellowship:', (client, data) => {
  client.call('incr', 'changes');
});
""".strip()

WRITING = """
%%redis --quiet
HSET fellowship:1 name Frodo title "Ring Bearer"
HSET fellowship:2 name Sam
SET orc:1 Ugluk
SET "<img src=x onerror=alert(1)>" 1
""".strip()

TYPES = """
%%redis --quiet
SET motd '{"text": "speak, friend", "doors": ["Moria"]}'
SET blob "\\x00\\xff\\x01binary"
RPUSH road:east Bree Rivendell Lorien
SADD road:inns "Prancing Pony" "Green Dragon"
ZADD leagues 40 Bree 120.5 Rivendell
XADD log 1767268800000-0 who Frodo where Bree
SET ring:worn 1 EX 3600
""".strip()

# Longer than the test looks at it; interrupted at its end.
LOOPING = """
import time
for i in range(2000):
    engine.execute('HSET', f'fellowship:{i % 9}', 'step', str(i))
    time.sleep(0.02)
""".strip()

CELLS = {
    "setup": "%load_ext trignb\nengine = %tf engine default",
    "load": "%%tfunction\n" + LIBRARY,
    "monitor": "%tf monitor",
    "feed": "%tf feed",
    "write": WRITING,
    "loop": LOOPING,
    "serve": "server = engine.serve()\nserver.port",
    "editor": "%tf editor audit",
    "types": TYPES,
    "keys": "%tf keys",
    "frozen": "frozen = engine.monitor()\nfrozen",
    "freeze": "frozen.freeze()",
}


class Views(Book):
    """The notebook of these tests, whose cells have names."""

    def show(self, name: str) -> Locator:
        """Run the cell of a name; return what it shows."""
        return self.run(list(CELLS).index(name))

    def shown(self, name: str) -> Locator:
        """Return what the cell of a name shows."""
        return self.output(list(CELLS).index(name))


@pytest.fixture(scope="module")
def views(lab: Lab, chromium: Browser) -> Iterator[Views]:
    """The notebook, its library loaded and its keys written."""
    lab.write("views.ipynb", list(CELLS.values()))
    book = Views(lab, chromium, "views.ipynb")
    for name in ("setup", "load", "write"):
        book.show(name)
    yield book
    book.close()


@pytest.fixture(autouse=True)
def _nothing_went_wrong(views: Views) -> Iterator[None]:
    yield
    views.check()


def test_monitor_filters_pauses_and_resets(views: Views) -> None:
    monitor = views.show("monitor").locator(".trignb-monitor")
    rows = monitor.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(monitor).to_contain_text("TypeError: no orcs here")
    expect(monitor).to_contain_text("1 failing")

    monitor.get_by_label("Filter").fill("orc")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("deny")
    monitor.get_by_label("Filter").fill("")
    expect(rows).to_have_count(3)

    # By keyboard, as a screen reader finds it.
    expect(monitor.get_by_role("table", name="Triggers")).to_be_visible()
    pause = monitor.get_by_role("button", name="Pause")
    pause.press("Space")
    expect(monitor).to_contain_text("paused")
    views.show("write")
    expect(rows.filter(has_text="deny").locator("td").nth(3)).to_have_text("1")
    views.shown("monitor")
    pause.press("Enter")
    expect(rows.filter(has_text="deny").locator("td").nth(3)).to_have_text("2")

    monitor.get_by_role("button", name="Reset counters").click()
    expect(monitor).to_contain_text("0 runs")
    expect(monitor).not_to_contain_text("TypeError")


def test_monitor_follows_a_cell_that_runs(views: Views) -> None:
    monitor = views.shown("monitor").locator(".trignb-monitor")
    views.start(list(CELLS).index("loop"))
    fired = monitor.locator("tbody tr").filter(has_text="stamp").locator("td").nth(3)
    expect(fired).to_have_text(re.compile(r"^\d\d+$"))
    first = int(fired.inner_text())
    expect(fired).not_to_have_text(str(first))
    expect(monitor.locator("tbody tr").filter(has_text="stamp")).to_contain_text("/s")
    assert views.kernel_is_busy()
    views.picture("monitor-light", views.shown("monitor"))
    views.theme("dark")
    views.picture("monitor-dark", views.shown("monitor"))
    views.theme("light")
    views.interrupt()


def test_feed_filters_and_shows_chains(views: Views) -> None:
    views.show("write")
    feed = views.show("feed").locator(".trignb-feed")
    rows = feed.locator("tbody tr")
    # A key is the user's data: it is shown, not obeyed.
    expect(feed).to_contain_text("<img src=x onerror=alert(1)>")
    assert feed.locator("img").count() == 0

    feed.get_by_label("Keys").fill("fellowship:2")
    expect(rows.nth(0)).to_contain_text("✓ audit.stamp")
    expect(rows.nth(1)).to_contain_text("└ hset")
    feed.get_by_label("Keys").fill("orc:*")
    expect(rows.nth(0)).to_contain_text("✗ audit.deny")
    feed.get_by_label("Keys").fill("")
    views.picture("feed-light", views.shown("feed"))
    views.theme("dark")
    views.picture("feed-dark", views.shown("feed"))
    views.theme("light")

    feed.get_by_role("button", name="Clear").click()
    expect(rows).to_have_count(0)


def test_feed_follows_clients_of_a_server(views: Views) -> None:
    port = int(views.show("serve").inner_text().split()[-1])
    feed = views.shown("feed").locator(".trignb-feed")
    with redis.Redis(port=port) as client:
        client.hset("fellowship:7", "name", "Legolas")
    expect(feed).to_contain_text("fellowship:7")
    expect(feed.locator("tbody tr").nth(0)).to_contain_text("client HSET")


def test_editor_checks_and_replaces(views: Views) -> None:
    editor = views.show("editor").locator(".trignb-editor")
    expect(editor).to_contain_text("as loaded")
    source = editor.get_by_label("Source")
    code = source.input_value()
    assert code.rstrip() == LIBRARY

    source.fill(code.replace("throw new", "thow new"))
    editor.get_by_role("button", name="Check").click()
    expect(editor.get_by_role("alert")).to_contain_text("SyntaxError")
    expect(editor.get_by_role("alert")).to_contain_text("7 |   thow new TypeError")
    views.picture("editor-error", views.shown("editor"))

    source.fill(code.replace("no orcs here", "no orcs, please"))
    expect(editor.locator(".plus")).to_contain_text("no orcs, please")
    expect(editor.locator(".minus")).to_contain_text("no orcs here")
    views.picture("editor-light", views.shown("editor"))
    views.theme("dark")
    views.picture("editor-dark", views.shown("editor"))
    views.theme("light")

    editor.get_by_role("button", name="Load").click()
    expect(editor.get_by_role("alert")).to_contain_text("already exists")
    editor.get_by_role("button", name="Replace").click()
    expect(editor.get_by_role("status")).to_contain_text("OK  library audit")
    expect(editor).to_contain_text("as loaded")
    views.show("write")
    expect(views.shown("monitor")).to_contain_text("no orcs, please")


def choose(listed: Locator, row: str) -> None:
    """Choose the row that begins with this."""
    option = listed.locator("option").filter(has_text=re.compile(rf"^\s*{row}"))
    listed.select_option(index=int(option.first.evaluate("o => o.index")))


def test_keys_shows_each_type_and_deletes(views: Views) -> None:
    views.show("types")
    keys = views.show("keys").locator(".trignb-keys")
    listed = keys.get_by_label("Keys of this page")
    for key, texts in {
        "motd": ["string", '"text": "speak, friend"'],
        "blob": ["string", "00 ff 01 62"],
        "east": ["list", "Rivendell"],
        "inns": ["set", "Prancing Pony"],
        "leagues": ["zset", "120.5"],
        "log": ["stream", "2026-01-01 12:00:00", "Frodo"],
        "ring:worn": ["string", "expires in"],
        r"1\s+hash": ["hash", "Ring Bearer", "fires audit.stamp"],
    }.items():
        choose(listed, key)
        for text in texts:
            expect(keys).to_contain_text(text)
    views.picture("keys-light", views.shown("keys"))
    views.theme("dark")
    views.picture("keys-dark", views.shown("keys"))
    views.theme("light")

    # By keyboard: what JupyterLab leaves to a list, and a name that is typed.
    listed.focus()
    views.page.keyboard.press("Home")
    expect(keys).to_contain_text('GET "<img src=x onerror=alert(1)>"')
    choose(listed, "road:")
    expect(keys).to_contain_text("2 keys on this page")
    keys.get_by_role("button", name="Only these").press("Space")
    expect(listed.locator("option")).to_have_count(3)
    keys.get_by_label("Key", exact=True).focus()
    views.page.keyboard.type("road:inns")
    expect(keys).to_contain_text("Prancing Pony")
    keys.get_by_role("button", name="Delete").click()
    keys.get_by_role("button", name="Really delete?").click()
    expect(keys.get_by_role("status").first).to_contain_text("DEL road:inns → 1")
    expect(listed.locator("option")).to_have_count(1)


def test_cell_that_runs_again_ends_its_view(views: Views) -> None:
    counts = (
        "(len(engine.board.views), len(__import__('comm').get_comm_manager().comms))"
    )
    before = views.value(counts)
    views.show("monitor")
    assert views.value(counts) == before
    expect(views.shown("monitor").locator(".trignb-monitor")).to_have_count(1)


def test_frozen_view_survives_save_shutdown_and_reload(views: Views) -> None:
    views.show("write")
    views.show("frozen")
    views.show("freeze")
    frozen = views.shown("frozen")
    expect(frozen.get_by_role("button")).to_have_count(0)
    expect(frozen).to_contain_text("TypeError: no orcs")
    views.command("docmanager:save")
    (output,) = views.lab.read(views.name).cells[list(CELLS).index("frozen")].outputs
    assert set(output.data) == {"text/plain", "text/html"}

    views.shut_down_kernel()
    views.page.reload()
    views.wait_until_open()
    expect(views.shown("frozen")).to_contain_text("TypeError: no orcs")
    expect(views.shown("frozen").locator("svg.trignb-spark").first).to_be_visible()
    views.picture("frozen", views.shown("frozen"))
