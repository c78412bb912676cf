"""A runtime nobody closed: the collector may take it while V8's thread still calls."""

from __future__ import annotations

import gc
import time

import trignb
from trignb.js.isolate import context_count

LIBRARY = """#!js api_version=1.0 name=lib
redis.registerFunction('f', () => 1);
redis.registerAsyncFunction('g', async c => { for (;;) await c.block(b => b.call('incr', 'n')); });
"""


def test_dropped_engines_free_their_isolates() -> None:
    gc.collect()
    before = context_count()
    for _ in range(20):
        engine = trignb.Engine()
        engine.load(LIBRARY)
        engine.execute("TFCALL", "lib.f", 0)
        del engine
        gc.collect()
    deadline = time.monotonic() + 10
    while context_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert context_count() <= before
