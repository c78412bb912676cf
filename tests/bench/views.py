"""What live views cost: the same commands in a kernel, with and without four views open.

In a real kernel, because half of a view's work is what its comm sends.
"""

from __future__ import annotations

from bench.measuring import Result, at_most
from oracle.server import RedisServer
from trignb.notebook.demo import kernel_manager

PATIENCE_S = 300

MEASURING = '''
import time
from collections import Counter
import trignb

LIBRARY = """#!js api_version=1.0 name=audit
redis.registerKeySpaceTrigger("stamp", "user:", (client, data) => {
    client.call("hset", data.key, "at", "1");
});
"""


def new_engine():
    engine = trignb.Engine(log_size=10_000)
    engine.load(LIBRARY)
    return engine


def seconds(engine, command, key, *words):
    execute, started = engine.execute, time.perf_counter()
    while time.perf_counter() - started < 0.4:
        for i in range(1000):
            execute(command, f"{key}:{i}", *words)
        rounds[engine] += 1
    return (time.perf_counter() - started) / rounds.pop(engine)


rounds = Counter()
plain, watched = new_engine(), new_engine()
views = [watched.monitor(), watched.feed(), watched.browse(), watched.editor()]
for view in views:
    view.show()
shares = []
for call in (("SET", "key", "v"), ("HSET", "user", "f", "v")):
    pairs = [(seconds(watched, *call), seconds(plain, *call)) for _ in range(15)]
    best_watched, best_plain = map(min, zip(*pairs))
    shares.append(100 * (best_watched / best_plain - 1))
'''


def bench_views(_server: RedisServer | None) -> list[Result]:
    """Four live views that follow commands and triggers."""
    rows = ("SET", "HSET that fires a trigger")
    return [
        at_most(
            f"{row}, four live views follow: what they cost",
            max(share, 0.0),
            5,
            ours=f"{share:.1f} %",
            unit="%",
        )
        for row, share in zip(rows, _shares(), strict=True)
    ]


def _shares() -> list[float]:
    """Return the shares of the time in %, measured in a kernel."""
    manager = kernel_manager(asynchronous=False)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE_S)
        reply = client.execute_interactive(
            MEASURING,
            user_expressions={"shares": "' '.join(map(str, shares))"},
            output_hook=lambda _: None,
            timeout=PATIENCE_S,
        )
        text = reply["content"]["user_expressions"]["shares"]["data"]["text/plain"]
        return [float(share) for share in text.strip("'").split()]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


BENCHES = (bench_views,)
