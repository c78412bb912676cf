"""What threads do with JavaScript, each scene in a process of its own: ``python scenes.py NAME``.

They run on an emulated computer without pytest, so they print and assert, and end with status
0 if all is well.
"""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import trignb
from trignb.errors import ResponseError

# Then a scene shows where it hangs.
PATIENCE_S = 150
SCENES: dict[str, Callable[[], None]] = {}
# Hot enough for V8 to compile it, and a text that is compiled later.
CODE = """#!js api_version=1.0 name={0}
redis.registerFunction('f', (client) => {{
    let s = 0;
    for (let k = 0; k < 20000; k++) s += k % 7;
    client.call('incr', '{0}');
    return s + Function('return /^a(b|c)+$/.test("abc") ? 1 : 0')();
}});
redis.registerFunction('endless', () => {{ while (true); }});
redis.registerAsyncFunction('a', async (client) => client.block((c) => c.call('incr', '{0}')));
redis.registerKeySpaceTrigger('t', 'key:{0}', (client) => {{ client.call('incr', 'fired:{0}'); }});
"""
SUM = sum(k % 7 for k in range(20_000)) + 1


def scene(function: Callable[[], None]) -> Callable[[], None]:
    SCENES[function.__name__] = function
    return function


def use(engine: trignb.Engine, name: str) -> None:
    """Load a library and have it do everything; on the calling thread."""
    # An emulated CPU is slow.
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "60000")
    engine.load(CODE.format(name))
    assert engine.call(f"{name}.f") == SUM
    engine.execute("SET", f"key:{name}", "v")
    assert engine.execute("GET", f"fired:{name}") == b"1"
    assert isinstance(engine.execute("TFCALLASYNC", f"{name}.a", "0"), int)
    try:
        engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
        engine.call(f"{name}.endless")
    except ResponseError:
        pass
    else:
        raise AssertionError("it was not terminated")
    engine.execute("TFUNCTION", "LIST", "vv")


def on_thread(function: Callable[[], object]) -> None:
    """Call a function on a thread of its own; raise what it raised."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()


class Old:
    """A thread that is older than V8."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._pool.submit(int).result()

    def do(self, function: Callable[[], object]) -> None:
        self._pool.submit(function).result()


@scene
def main_only() -> None:
    with trignb.Engine() as engine:
        use(engine, "a")


@scene
def worker_first() -> None:
    engine = trignb.Engine()
    on_thread(lambda: use(engine, "a"))
    use(engine, "b")
    engine.close()


@scene
def older_threads() -> None:
    old = [Old(), Old()]
    engine = trignb.Engine()
    use(engine, "a")
    old[0].do(lambda: use(engine, "b"))
    old[1].do(lambda: engine.call("b.f"))
    old[1].do(lambda: engine.execute("TFUNCTION", "DELETE", "a"))
    old[1].do(lambda: use(engine, "c"))
    old[0].do(engine.close)


@scene
def pool() -> None:
    engine = trignb.Engine()
    with ThreadPoolExecutor(4) as workers:
        everybody = threading.Barrier(4)

        def work(number: int) -> None:
            everybody.wait(100)
            use(engine, f"lib{number}")

        list(workers.map(work, range(4)))
    use(engine, "last")
    engine.close()


@scene
def server() -> None:
    engine = trignb.Engine()
    port = engine.serve(port=0).port
    use(engine, "a")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(100)

        def send(*words: str) -> bytes:
            parts = [word.encode() for word in words]
            lines = [b"$%d\r\n%s\r\n" % (len(part), part) for part in parts]
            client.sendall(b"*%d\r\n" % len(lines) + b"".join(lines))
            return client.recv(4000)

        assert send("TFCALL", "a.f", "0").startswith(b":")
        assert send("TFUNCTION", "LOAD", CODE.format("b")) == b"+OK\r\n"
        assert send("TFCALL", "b.f", "0").startswith(b":")
        assert send("TFUNCTION", "DELETE", "a") == b"+OK\r\n"
    engine.close()


@scene
def forked() -> None:
    engine = trignb.Engine()
    on_thread(lambda: use(engine, "a"))

    def fork() -> None:
        child = os.fork()
        if child == 0:
            try:
                assert engine.call("a.f") == SUM
                on_thread(lambda: use(engine, "b"))
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0

    fork()
    Old().do(fork)
    use(engine, "c")
    engine.close()


@scene
def foreign_start() -> None:
    """Other code has started V8, with its own flags and on its own thread."""
    from py_mini_racer import MiniRacer

    old = Old()
    engine = trignb.Engine()
    server = engine.serve(port=0)
    others: list[MiniRacer] = []
    on_thread(lambda: others.append(MiniRacer()))
    use(engine, "a")
    old.do(lambda: use(engine, "b"))
    on_thread(lambda: use(engine, "c"))
    on_thread(lambda: engine.call("b.f"))
    old.do(lambda: engine.execute("TFUNCTION", "DELETE", "b"))
    assert others[0].eval("1 + 1") == 2
    server.close()
    engine.close()


@scene
def foreign_wasm() -> None:
    """We have started V8; other code of the process runs WebAssembly in it."""
    from py_mini_racer import MiniRacer

    old = Old()
    engine = trignb.Engine()
    on_thread(lambda: use(engine, "a"))
    # A module with one exported function f that returns 42.
    code = (
        "const bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,5,1,96,0,1,127,3,2,1,0,7,5,1,1,"
        "102,0,0,10,6,1,4,0,65,42,11]);"
        "new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f()"
    )

    def run() -> None:
        assert MiniRacer().eval(code) == 42

    old.do(run)
    run()
    engine.close()


@scene
def unprepared() -> None:
    """What all this is about, done by py_mini_racer alone."""
    from py_mini_racer import MiniRacer

    kept: list[MiniRacer] = []
    on_thread(lambda: kept.append(MiniRacer()))
    kept.append(MiniRacer())
    kept[-1].eval("1 + 1")


if __name__ == "__main__":
    faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
    SCENES[sys.argv[1]]()
    sys.stdout.flush()
