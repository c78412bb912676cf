"""`make pictures`: the pictures of the README, taken in JupyterLab.

The engine's clock is moved on second by second, so that a minute of business takes a moment.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A script has its own directory on its path, and needs the one above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Locator, expect

from browser.conftest import ROOT, Book, Lab, find_chromium, launched

FOLDER = ROOT / "docs" / "images"
MOST_BYTES = 150_000

LIBRARY = """
%%tfunction
#!js api_version=1.0 name=shop
redis.registerKeySpaceTrigger('revenue', 'order:', (client, data) => {
  const price = client.call('hget', data.key, 'price');
  if (price === null) throw new TypeError(`${data.key} has no price`);
  client.call('incrby', 'revenue', price);
});
redis.registerKeySpaceTrigger('restock', 'stock:', (client, data) => {
  if (Number(client.call('get', data.key)) < 5)
    client.call('sadd', 'to_order', data.key);
});
redis.registerKeySpaceTrigger('search', 'product:', (client, data) => {
  const words = client.call('hget', data.key, 'name').split(' ');
  for (let i = 0; i < 2000; i++) words.push(words[0].repeat(i % 7));
  client.call('sadd', `word:${words[0]}`, data.key);
});
redis.registerStreamTrigger('track', 'parcels', (client, data) => {
  client.call('hset', 'parcel', 'at', String(data.record[0][1]));
});
""".strip()

BUSINESS = """
import math, random
random.seed(7)
run = engine.execute
for second in range(60):
    busy = 1 + math.sin(second / 7)
    for _ in range(int(6 * busy) + random.randrange(3)):
        order = random.randrange(40)
        run("HSET", f"order:{order}", "price", str(random.randrange(5, 90)))
        run("SET", f"stock:{order % 9}", str(random.randrange(12)))
    for _ in range(random.randrange(4)):
        product = random.randrange(20)
        run("HSET", f"product:{product}", "name", random.choice(["lamp oil", "rope", "red sash"]))
    if second % 3 == 0:
        run("XADD", "parcels", "*", "at", random.choice(["Bree", "Lorien", "Edoras"]))
    if second in (21, 40):
        run("HSET", "order:99", "note", "gift")
    monitor.refresh()
    engine.clock.advance(seconds=1)
""".strip()

WRITES = """
%%redis --quiet
XADD parcels * at Edoras
SET stock:4 2
HSET product:7 name "lamp oil"
HSET order:99 note gift
HSET order:7 price 42 for Sam
""".strip()

CELLS = [
    "%load_ext trignb\nengine = %tf engine default",
    LIBRARY,
    "monitor = engine.monitor()\nmonitor",
    BUSINESS,
    "feed = engine.feed()\nfeed.clear()\nfeed",
    WRITES,
    'keys = engine.browse("*")\nkeys.select("order:7")\nkeys',
]
MONITOR, FEED, KEYS = 2, 4, 6


def main() -> None:
    """Take the pictures."""
    path = find_chromium()
    if path is None:
        raise SystemExit("no chromium: `make chromium` installs it")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with opened(path) as book:
        for index in range(len(CELLS)):
            book.run(index)
        for theme in ("dark", "light"):
            book.theme(theme)
            take(shown(book, MONITOR, "monitor", "no price"), f"monitor-{theme}")
        take(shown(book, FEED, "feed", "order:7"), "feed-light")
        take(shown(book, KEYS, "keys", "Sam"), "keys-light")
        book.check()
        book.close()


@contextmanager
def opened(path: str) -> Iterator[Book]:
    """A notebook with these cells, in a Lab of its own."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            lab.wait()
            lab.write("pictures.ipynb", CELLS)
            with launched(path) as browser:
                yield Book(lab, browser, "pictures.ipynb", scale=1.5)
        finally:
            lab.close()


def shown(book: Book, index: int, kind: str, text: str) -> Locator:
    """Return the view below a cell, once it shows a text."""
    view = book.output(index).locator(f".trignb-{kind}")
    expect(view).to_contain_text(text)
    return view


def take(view: Locator, name: str) -> None:
    """Take a picture of a view."""
    path = FOLDER / f"{name}.png"
    view.screenshot(path=path, animations="disabled")
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    assert size < MOST_BYTES


if __name__ == "__main__":
    main()
