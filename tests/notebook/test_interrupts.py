"""Stop, in a real kernel: the cell ends within a second, and the engine is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernels import Kernel

# `tell` prints from a thread of its own that the cell has come where it is to be interrupted.
PREPARE = """
import threading, time
def tell(condition):
    def watch():
        while not condition():
            time.sleep(0.005)
        print('running', flush=True)
    threading.Thread(target=watch, daemon=True).start()
engine = %tf engine default
registry, waiting = engine.library_registry, engine.core.blocking.sessions
in_javascript = lambda: registry.in_library
is_blocked = lambda: waiting
from trignb.js.words import RUNNING
is_busy = lambda: runtime()._instance.channel.control[RUNNING]
runtime = lambda: registry.libraries['x'].runtime
has_jobs = lambda: registry.libraries['x'].host.live_jobs
def has_pings():
    ping = engine.core.table.find(b"PING")
    calls = ping.calls
    return lambda: ping.calls > calls
"""
LIBRARY = """%%tfunction x
redis.registerFunction('loop', () => { while (true); });
redis.registerFunction('fine', () => 'fine');
redis.registerKeySpaceTrigger('loops', 'loop:', () => { while (true); });
let kept;  // A promise that nobody can keep any more is dropped.
redis.registerAsyncFunction('never', () => new Promise(keep => { kept = keep; }));
redis.registerAsyncFunction('busy', async () => { while (true); });
redis.registerAsyncFunction('blocks', async (client) => client.block(() => { while (true); }));
redis.registerAsyncFunction('later', async (client, n) => n + '!');
"""


@pytest.fixture(scope="module", autouse=True)
def _prepared(kernel: Kernel) -> Iterator[None]:
    assert kernel.run("%load_ext trignb")[0] == "ok"
    assert kernel.run(PREPARE)[0] == "ok"
    # As long as a test may take: it is Stop that has to end them.
    kernel.run("%redis CONFIG SET redisgears_2.lock-redis-timeout 50000")
    yield
    kernel.run("%redis CONFIG SET redisgears_2.lock-redis-timeout 500")
    assert kernel.run("%tf reset") == ("ok", ["OK"])


def assert_whole(kernel: Kernel) -> None:
    """Assert that commands, functions and waiting clients are as ever."""
    assert kernel.run("%redis SET after 1") == ("ok", ["OK"])
    assert kernel.run("%redis TFCALL x.fine 0") == ("ok", ['"fine"'])
    assert kernel.run("%redis TFCALLASYNC x.later 0 1") == ("ok", ['"1!"'])
    assert kernel.run("engine.execute('RPUSH', 'q', 'a'), len(waiting)") == (
        "ok",
        ["(1, 0)"],
    )
    assert kernel.run("%redis BLPOP q 1") == ("ok", ['1) "q"\n2) "a"'])
    assert kernel.run("engine.core.nesting, registry.in_library") == (
        "ok",
        ["(0, False)"],
    )


@pytest.mark.parametrize(
    ("cell", "when"),
    [
        ("%redis TFCALL x.loop 0", "in_javascript"),
        ("%tf call x.loop", "in_javascript"),
        ("%redis SET loop:1 v", "in_javascript"),
        ("%redis BLPOP q 0", "is_blocked"),
        ("%redis TFCALLASYNC x.never 0", "has_jobs"),
        ("%tf call x.never", "has_jobs"),
        ("engine.call('x.never', timeout=1000)", "has_jobs"),
        ("await engine.call_async('x.never')", "has_jobs"),
        ("%tf call x.busy", "is_busy"),
        ("%redis TFCALLASYNC x.blocks 0", "is_busy"),
        ("engine.call('x.busy', timeout=1000)", "is_busy"),
        ("%redis -r 1000000000 PING", "has_pings()"),
    ],
)
def test_stop(kernel: Kernel, cell: str, when: str) -> None:
    kernel.run(LIBRARY)
    waits = []
    # Another process may have the machine for a second; it does not thrice.
    while not waits or (min(waits) > 1 and len(waits) < 3):
        texts, waited = kernel.interrupt(f"tell({when})\n{cell}", "running")
        if cell.startswith("%"):
            assert texts[0] == "KeyboardInterrupt"
        assert "KeyboardInterrupt" in texts[0] or "CancelledError" in texts[0]
        waits.append(waited)
        assert_whole(kernel)
    assert min(waits) < 1


def test_await_in_a_cell(kernel: Kernel) -> None:
    kernel.run(LIBRARY)
    assert kernel.run("await engine.call_async('x.later', args=[2])") == (
        "ok",
        ["b'2!'"],
    )
    assert kernel.run(
        "import asyncio\n"
        "await asyncio.gather(*(engine.call_async('x.later', args=[i]) for i in (1, 2)))"
    ) == ("ok", ["[b'1!', b'2!']"])


def test_stop_of_a_frame_that_is_written(kernel: Kernel) -> None:
    kernel.run("import pandas as pd; frame = pd.DataFrame({'n': range(3_000_000)})")
    texts, _ = kernel.interrupt(
        "tell(lambda: engine.core.databases[5].data)\nengine.hset_frame(frame, db=5)",
        "running",
    )
    assert any("KeyboardInterrupt" in text for text in texts)
    same = "len(engine.hash_frame(db=5)) == len(engine.core.databases[5].data) > 0"
    assert kernel.run(same) == ("ok", ["True"])
    kernel.run("del frame")
    kernel.run(LIBRARY)
    assert_whole(kernel)
