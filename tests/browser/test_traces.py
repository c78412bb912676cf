"""Traces in JupyterLab: a tree that folds by mouse and keyboard, and stays when the kernel is gone.

A trace brings no script, so errors of the page are JupyterLab's own: its list of cells loses a node
now and then.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from browser.conftest import Book, Lab

LIBRARY = """
#!js api_version=1.0 name=audit
redis.registerKeySpaceTrigger('stamp', 'fellowship:', (client, data) => {
  client.call('hset', data.key, 'last_updated', client.call('time')[0]);
});
redis.registerKeySpaceTrigger('deny', 'orc:', () => {
  throw new TypeError('no orcs here');
});
redis.registerKeySpaceTrigger('later', 'fellowship:', async (client) => {
  client.block(c => c.call('incr', 'changes'));
});
""".strip()

TRACED = """
%%redis --trace
HSET fellowship:1 name Frodo title "Ring Bearer"
SET orc:1 Ugluk
SET "<img src=x onerror=alert(1)>" 1
""".strip()

CELLS = [
    "%load_ext trignb\n%tf clock set 2024-01-01T00:00:00Z",
    "%%tfunction\n" + LIBRARY,
    TRACED,
    "%%redis --dry-run\nDEL fellowship:1\nSET orc:2 Shagrat",
    "%tf explain fellowship:1",
]


@pytest.fixture(scope="module")
def book(lab: Lab, chromium: Browser) -> Iterator[Book]:
    """The notebook of these tests, its cells run."""
    lab.write("traces.ipynb", CELLS)
    book = Book(lab, chromium, "traces.ipynb")
    for index in range(len(CELLS)):
        book.run(index)
    yield book
    book.close()


def test_the_tree_folds_and_is_readable_in_both_themes(book: Book) -> None:
    output = book.output(2)
    tree = output.locator(".trignb-trace")
    expect(output).to_contain_text("redis> SET orc:1 Ugluk")
    expect(tree).to_contain_text("trigger audit.deny: failed: TypeError: no orcs here")
    expect(tree).to_contain_text("<img src=x onerror=alert(1)>")
    assert tree.locator("img, script").count() == 0
    book.picture("trace-light", output)

    inner = tree.get_by_text('fellowship:1 (hash): + last_updated "1704067200"')
    expect(inner).to_be_visible()
    first = tree.locator("summary").first
    first.click()
    expect(inner).to_be_hidden()
    # The same by the keyboard.
    first.focus()
    book.page.keyboard.press("Enter")
    expect(inner).to_be_visible()

    book.theme("dark")
    book.picture("trace-dark", book.output(2))
    book.theme("light")
    assert not book.remote


def test_dry_runs_and_explanations_are_shown(book: Book) -> None:
    dry = book.output(3)
    expect(dry).to_contain_text("dry run, nothing of it is kept:")
    # The trigger of `del` writes the hash anew: that is seen before it happens.
    expect(dry.locator(".trignb-trace li").first).to_contain_text(
        'fellowship:1 (hash): - name "Frodo"'
    )
    book.picture("dry-run", dry)
    explained = book.output(4).locator(".trignb-trace")
    expect(explained).to_contain_text("trigger audit.stamp: ok")
    expect(explained.locator("summary").first).to_contain_text("notebook> HSET")
    assert not book.remote


def test_the_tree_stays_when_the_kernel_is_gone(book: Book) -> None:
    book.command("docmanager:save")
    book.page.wait_for_function(
        "() => !window.jupyterapp.shell.currentWidget.context.model.dirty"
    )
    book.shut_down_kernel()
    book.page.reload()
    book.wait_until_open()
    tree = book.output(2).locator(".trignb-trace")
    summary = tree.locator("summary").first
    expect(summary).to_contain_text("HSET fellowship:1")
    inner = tree.get_by_text("client.block of audit.later")
    expect(tree).to_contain_text("onerror")
    summary.click()
    expect(tree.locator("details").first).not_to_have_attribute("open", "")
    expect(inner.first).to_be_hidden()
    assert not book.remote
