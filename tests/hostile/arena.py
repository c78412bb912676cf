"""A fresh engine with an innocent library and a hostile one, and what must hold afterwards.

A `Case` is one hostile library and how to drive it. `fight` loads it beside an innocent
library, drives it, compares what came of it, and then has a look at the whole house. What
may crash V8 is fought in a process of its own (``python -m hostile.arena MODULE NAME``),
where a crash is a failure of that one test.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trignb
from trignb.errors import ResponseError
from trignb.functions.calls import JS_OUT_OF_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Whatever it may be.
ANY = ...
TERMINATED = "Err Execution was terminated due to OOM or timeout"
FULL = "JS engine reached OOM state and can not run any more code"

LIMIT_MS = 100
# A watch looks every 50 ms and an isolate that does not stop is given half a second.
TOLERANCE_S = 1.5
# Two cores, and colleagues on both of them.
PATIENCE_S = 5.0

# The long mode runs what takes minutes or gigabytes.
LONG = bool(os.environ.get("TRIGNB_LONG"))

INNOCENT = """#!js api_version=1.0 name=innocent
let n = 0;
redis.registerFunction('count', () => ++n);
redis.registerKeySpaceTrigger('t', 'innocent:', (client, data) => { client.call('incr', 'fired'); });
"""
NEXT = """#!js api_version=1.0 name=next
redis.registerFunction('f', (client) => client.call('incr', 'next'));
redis.registerAsyncFunction('a', async (client) => client.block((c) => c.call('incr', 'next')));
"""


@dataclass(frozen=True)
class Case:
    """One hostile library.

    Attributes
    ----------
    name : str
        Of the test.
    body : str
        JavaScript behind the prologue's line; the function ``f`` is what is called.
    drive : str
        ``call``, ``async``, ``set`` (fires what the library registered for ``k``), ``add``
        (to the stream ``s``), ``load``, or the name of a function in `DRIVES`.
    expect : object
        The reply; a string that starts with ``!`` is an error's text, `...` anything.
    alone : bool
        In a process of its own.
    config : dict
        Parameters of the engine.
    limit_ms : int
        ``lock-redis-timeout``.
    tolerance_s : float
        How much later than that the drive may end.
    grows : int or None
        Bytes by which the process may have grown in the end; None: nobody looks.
    after : object
        What ``after`` of the hostile library answers then; None: there is none.
    long : bool
        Only in the long mode.
    """

    name: str
    body: str
    drive: str = "call"
    expect: Any = f"!{TERMINATED}"
    alone: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    limit_ms: int = LIMIT_MS
    tolerance_s: float = TOLERANCE_S
    grows: int | None = None
    after: Any = b"fine"
    long: bool = False

    def __str__(self) -> str:
        return self.name


def function(name: str, body: str, **options: Any) -> Case:
    """Return the case of a sync function with this body."""
    code = f"redis.registerFunction('f', (client, ...args) => {{ {body} }});"
    return Case(name, code, **options)


def wanted(cases: Iterable[Case]) -> list[Case]:
    """Return the cases of this mode."""
    return [case for case in cases if LONG or not case.long]


def resident_bytes() -> int:
    """Return the memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -- driving


def outcome(call: Callable[[], Any]) -> Any:
    """Return a reply, or an error's text behind ``!``."""
    try:
        return call()
    except ResponseError as error:
        return f"!{error}"


def _set(engine: trignb.Engine) -> Any:
    engine.execute("SET", "k", "v")
    return outcome_of_trigger(engine)


def outcome_of_trigger(engine: trignb.Engine) -> Any:
    """Return what became of the last run of the hostile library's keyspace trigger."""
    (trigger,) = engine.library_registry.libraries["lib"].triggers.values()
    until(lambda: not trigger.running)
    return f"!{trigger.last_error}" if trigger.num_failed else trigger.num_success


def _add(engine: trignb.Engine) -> Any:
    engine.execute("XADD", "s", "*", "f", "v")
    return last_error_of_stream(engine)


def last_error_of_stream(engine: trignb.Engine) -> Any:
    """Return the last error of the stream ``s``, or how many records were processed.

    None when TFUNCTION LIST does not know the stream.
    """
    (library,) = engine.execute("TFUNCTION", "LIST", "LIBRARY", "lib", "vvv")
    (trigger,) = library[b"stream_triggers"]
    for stream in trigger[b"streams"]:
        error = stream[b"last_error"]
        return f"!{error.decode()}" if error else stream[b"total_record_processed"]
    return None


DRIVES: dict[str, Callable[[trignb.Engine], Any]] = {
    "call": lambda engine: engine.call("lib.f"),
    "async": lambda engine: engine.execute("TFCALLASYNC", "lib.f", 0),
    "set": _set,
    "add": _add,
}


def until(check: Callable[[], Any], timeout_s: float = PATIENCE_S) -> None:
    """Wait for something that happens in the background."""
    end = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


# -- the fight


def fight(case: Case, drives: dict[str, Callable[[trignb.Engine], Any]]) -> None:
    """Load it, drive it, look at what is left.

    Raises
    ------
    AssertionError
        Something is not as it must be.
    """
    with trignb.Engine(**case.config) as engine:
        engine.execute("TCONFIG_SET", "lock-redis-timeout", str(case.limit_ms))
        engine.load(INNOCENT)
        assert engine.call("innocent.count") == 1
        before = resident_bytes()
        found, took_s = drive(engine, case, drives)
        assert case.expect is ANY or found == case.expect, shorten(found)
        limit_s = case.limit_ms / 1000 + case.tolerance_s
        assert took_s < limit_s, f"{took_s:.2f} s"
        is_refused = engine.library_registry.js_is_out_of_memory()
        if is_refused:
            # As in the original, every library waits until the one that ran out is gone.
            for name in ("innocent.count", "lib.after"):
                assert outcome(partial(engine.call, name)) == f"!{JS_OUT_OF_MEMORY}"
            engine.execute("TFUNCTION", "DELETE", "lib")
        is_whole(engine)
        if case.after is not None and not is_refused:
            after = outcome(lambda: engine.call("lib.after"))
            assert case.after is ANY or after == case.after, after
            is_whole(engine)
        outcome(lambda: engine.execute("TFUNCTION", "DELETE", "lib"))
        is_whole(engine)
        if case.grows is not None:
            gc.collect()
            grown = resident_bytes() - before
            assert grown < case.grows, f"grown by {grown >> 20} MB"


def shorten(found: Any) -> str:
    """Return what came of it so that a terminal can show it."""
    return repr(found)[:1000]


def drive(
    engine: trignb.Engine,
    case: Case,
    drives: dict[str, Callable[[trignb.Engine], Any]],
) -> tuple[Any, float]:
    """Return what came of it, and how long it took."""
    code = "#!js api_version=1.0 name=lib\n" + case.body
    if case.after is not None:
        code += "\nredis.registerFunction('after', () => 'fine');"
    started = time.monotonic()
    found = outcome(lambda: engine.load(code) and b"loaded")
    if case.drive != "load":
        assert found == b"loaded", found
        started = time.monotonic()
        found = outcome(lambda: drives[case.drive](engine))
    return found, time.monotonic() - started


def is_whole(engine: trignb.Engine) -> None:
    """The engine is unlocked and consistent, the next and the innocent library work."""
    core = engine.core
    # What is asked here is not in a hurry: other processes may be at work too.
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "5000")
    replies: list[Any] = []

    def client() -> None:
        session = engine.session()
        replies.append(session.execute("SET", "other", "1"))
        replies.append(session.execute("GET", "other"))
        session.execute("MULTI")
        session.execute("SET", "other", "5")
        session.execute("INCR", "other")
        replies.append(session.execute("EXEC"))
        session.close()

    thread = threading.Thread(target=client, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert replies == ["OK", b"1", ["OK", 6]], f"the engine is locked: {replies}"
    assert core.nesting == 0
    assert not core.jobs
    assert core.frame.origin == "client"
    assert engine.library_registry.in_library is False
    is_at_work(engine)


def is_at_work(engine: trignb.Engine) -> None:
    """Libraries load and run, with triggers and in the background."""
    engine.execute("DEL", "fired", "next")
    count = engine.call("innocent.count")
    assert engine.call("innocent.count") == count + 1, "its globals are gone"
    engine.execute("SET", "innocent:1", "v")
    assert engine.execute("GET", "fired") == b"1"
    engine.load(NEXT, replace=True)
    assert engine.call("next.f") == 1
    assert engine.execute("TFCALLASYNC", "next.a", 0) == 2


# -- in a process of its own


def fight_apart(module: str, case: Case, timeout_s: float = 55) -> None:
    """Fight in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "hostile.arena", module, case.name],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    told = result.stderr[-2000:]
    assert result.returncode == 0, f"exit status {result.returncode}\n{told}"
    assert json.loads(result.stdout) == {"survived": case.name}


def main(module: str, name: str) -> None:
    """Fight one case of a module; what is printed is read by `fight_apart`."""
    room = importlib.import_module(module)
    (case,) = (case for case in room.CASES if case.name == name)
    fight(case, {**DRIVES, **getattr(room, "DRIVES", {})})
    sys.stdout.write(json.dumps({"survived": name}))


if __name__ == "__main__":
    main(*sys.argv[1:])
