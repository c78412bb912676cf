"""Looks for builtins that take no notice of being terminated: ``python -m hostile.search [PART…]``.

Every function that can be reached from ``globalThis`` is called with large things, as receiver
and as arguments, under a limit of 100 ms. One that runs on for half a second longer, or that
costs the library its isolate, is told. PART is the beginning of a path (``String.prototype``).
Each offender ends its process, since what it began computes on; the search goes on behind it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trignb
from trignb.errors import ResponseError

LIMIT_MS = 100
LATER_S = 0.5
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}

LIBRARY = """#!js api_version=1.0 name=search
const made = new Map(), seen = new Set(), found = [];
function look(object, path) {
    if ((typeof object !== 'object' && typeof object !== 'function') || object === null) return;
    if (seen.has(object) || path.split('.').length > 6) return;
    seen.add(object);
    if (typeof object === 'function') found.push([path, object]);
    for (const key of Reflect.ownKeys(object)) {
        const name = typeof key === 'symbol' ? '@' + key.description : key;
        const found = Object.getOwnPropertyDescriptor(object, key);
        for (const part of ['value', 'get', 'set']) {
            if (found[part]) look(found[part], path + '.' + name + (part === 'value' ? '' : '/' + part));
        }
    }
}
look(globalThis, '');
for (const [name, object] of [
    ['TypedArray', Object.getPrototypeOf(Uint8Array)],
    ['ArrayIterator', Object.getPrototypeOf([][Symbol.iterator]())],
    ['StringIterator', Object.getPrototypeOf(''[Symbol.iterator]())],
    ['MapIterator', Object.getPrototypeOf(new Map().keys())],
    ['SetIterator', Object.getPrototypeOf(new Set().keys())],
    ['RegExpIterator', Object.getPrototypeOf('x'.matchAll(/x/g))],
    ['IteratorHelper', Object.getPrototypeOf([].values().map((v) => v))],
    ['Generator', Object.getPrototypeOf(function* () {}.prototype)],
    ['Segments', Object.getPrototypeOf(new Intl.Segmenter().segment(''))],
]) look(object, '.' + name);

const LONG = 2 ** 25;
const MAKERS = {
    nothing: () => undefined,
    text: () => 'a'.repeat(LONG),
    needle: () => 'a'.repeat(2 ** 20) + 'b',
    tail: () => 'b' + 'a'.repeat(2 ** 20),
    wide: () => '\\u0130'.repeat(2 ** 22),
    digits: () => '9'.repeat(2 ** 22),
    words: () => 'a b'.repeat(2 ** 22),
    holes: () => { const a = []; a.length = 2 ** 32 - 1; return a; },
    array: () => new Array(2 ** 21).fill(1),
    bytes: () => new Uint8Array(2 ** 25),
    doubles: () => new Float64Array(2 ** 22),
    bigs: () => new BigInt64Array(2 ** 22),
    buffer: () => new ArrayBuffer(2 ** 25),
    view: () => new DataView(new ArrayBuffer(2 ** 25)),
    like: () => ({ length: 2 ** 53 - 1 }),
    big: () => 1n << (2n ** 29n),
    odd: () => 3n ** (2n ** 21n),
    large: () => 2 ** 31 - 1,
    larger: () => 2 ** 53 - 1,
    map: () => new Map(Array.from({ length: 2 ** 18 }, (v, i) => [i, i])),
    set: () => new Set(Array.from({ length: 2 ** 18 }, (v, i) => i)),
    expression: () => /(a*)*b|(a|aa)+$/gu,
    call: () => () => 0,
    endless: () => ({ *[Symbol.iterator]() { while (true) yield 1; } })[Symbol.iterator](),
    iterable: () => ({ *[Symbol.iterator]() { while (true) yield 1; } }),
    date: () => new Date(0),
    format: () => new Intl.NumberFormat('de'),
    collator: () => new Intl.Collator('de'),
    list: () => new Intl.ListFormat('de'),
    segmenter: () => new Intl.Segmenter('de'),
    segments: () => new Intl.Segmenter('de', { granularity: 'word' }).segment(thing('words')),
    options: () => ({ minimumFractionDigits: 100, style: 'currency', currency: 'EUR' }),
};
const FRESH = ' endless iterable map set ';
function thing(name) {
    if (FRESH.includes(' ' + name + ' ')) return MAKERS[name]();
    if (!made.has(name)) made.set(name, MAKERS[name]());
    return made.get(name);
}
const ARGS = [[], ['text'], ['needle'], ['tail'], ['wide'], ['digits'], ['holes'], ['array'], ['bytes'], ['doubles'],
    ['bigs'], ['like'], ['big'], ['odd'], ['large'], ['larger'], ['call'], ['expression'], ['iterable'], ['set'], ['map'],
    ['text', 'needle'], ['text', 'text'], ['needle', 'text'], ['large', 'text'], ['larger', 'text'], ['expression', 'text'],
    ['big', 'odd'], ['large', 'big'], ['like', 'call'], ['nothing', 'like'], ['nothing', 'array'], ['nothing', 'options'],
    ['array', 'call'], ['call', 'array'], ['bytes', 'large', 'large'], ['text', 'call'], ['call', 'nothing', 'array'],
    ['call', 'nothing', 'like'], ['holes', 'call'], ['needle', 'needle', 'options']];
redis.registerFunction('names', () => found.map(([path]) => path));
redis.registerFunction('receivers', () => Object.keys(MAKERS));
redis.registerFunction('args', () => ARGS.map((names) => names.join(' ')));
redis.registerFunction('run', (client, index, receiver, args, construct) => {
    const [path, f] = found[Number(index)];
    const given = args === '' ? [] : args.split(' ').map(thing);
    const value = construct === '1' ? Reflect.construct(f, given) : Reflect.apply(f, thing(receiver), given);
    return typeof value;
});
redis.registerFunction('make', (client, names) => { names.split(' ').forEach(thing); return 1; });
"""
# Functions of the engine's own, and what waits by design.
SKIPPED = (".redis", ".console", ".Promise")
# Whose methods are called on what; other functions are called on nothing.
RECEIVERS = {
    ".String.prototype": "text needle wide words",
    ".Array.prototype": "array holes like",
    ".TypedArray.prototype": "bytes doubles bigs",
    ".BigInt": "big odd",
    ".Map": "map",
    ".Set": "set",
    ".RegExp": "expression",
    ".Iterator": "endless",
    ".Date": "date",
    ".ArrayBuffer": "buffer",
    ".DataView": "view",
    ".Intl.NumberFormat": "format",
    ".Intl.Collator": "collator",
    ".Intl.ListFormat": "list",
    ".Intl.Segmenter": "segmenter",
    ".Segments": "segments",
    ".Object.prototype": "array bytes holes text",
    ".Function.prototype": "call",
}


class Search:
    """An engine with the library; `calls` are all there are to make."""

    def __init__(self, parts: list[str]) -> None:
        self.engine = trignb.Engine()
        self.engine.execute("TCONFIG_SET", "lock-redis-timeout", "20000")
        self.engine.load(LIBRARY)
        self.names = [name.decode() for name in self.engine.call("search.names")]
        args = [names.decode() for names in self.engine.call("search.args")]
        self.calls = []
        for index, path in enumerate(self.names):
            if path.startswith(SKIPPED) or not path.startswith(tuple(parts or [""])):
                continue
            for receiver in self._receivers(path).split():
                self.calls += [(index, receiver, names, "0") for names in args]
            if path.rpartition(".")[2][:1].isupper():
                self.calls += [(index, "nothing", names, "1") for names in args]

    @staticmethod
    def _receivers(path: str) -> str:
        found = [r for start, r in RECEIVERS.items() if path.startswith(start)]
        return found[0] if found else "nothing"

    def make(self, names: str) -> None:
        """Have things there before time counts."""
        self.engine.execute("TCONFIG_SET", "lock-redis-timeout", "20000")
        with contextlib.suppress(ResponseError):
            self.engine.call("search.make", args=[names])
        self.engine.execute("TCONFIG_SET", "lock-redis-timeout", str(LIMIT_MS))

    def call(self, index: int, receiver: str, names: str, construct: str) -> float:
        """Return how many seconds a call took."""
        self.make(f"{receiver} {names}".strip())
        before = time.monotonic()
        with contextlib.suppress(ResponseError):
            self.engine.call(
                "search.run", args=[str(index), receiver, names, construct]
            )
        return time.monotonic() - before


def search(parts: list[str], start: int) -> None:
    """Make the calls from number `start`; say each before, and stop at one that takes long."""
    searching = Search(parts)
    for number, call in enumerate(searching.calls):
        if number < start:
            continue
        told = {"number": number, "path": searching.names[call[0]], "call": call[1:]}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        took = searching.call(*call)
        if took > LIMIT_MS / 1000 + LATER_S:
            # The computer may have been busy; what does not end makes it so.
            took = searching.call(*call)
        if took > LIMIT_MS / 1000 + LATER_S:
            sys.stdout.write(json.dumps({**told, "took": round(took, 2)}) + "\n")
            break
    else:
        sys.stdout.write(json.dumps({"done": len(searching.calls)}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # whatever computes on


def offenders(parts: list[str], patience_s: float = 60) -> Iterator[dict[str, Any]]:
    """Yield the calls that run past their limit, one after another, a process for each."""
    start = 0
    while True:
        command = [sys.executable, "-m", "hostile.search", "--from", str(start), *parts]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        ) as child:
            last: dict[str, Any] = {}
            timer = threading.Timer(patience_s, child.kill)
            for line in child.stdout or ():
                timer.cancel()
                timer = threading.Timer(patience_s, child.kill)
                timer.start()
                if line.startswith("{"):
                    last = json.loads(line)
            timer.cancel()
        if "done" in last:
            return
        if "number" not in last:
            raise RuntimeError(f"the search does not start: status {child.returncode}")
        yield {**last, "status": child.returncode}
        start = last["number"] + 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--from"]:
        search(sys.argv[3:], int(sys.argv[2]))
    for found in offenders(sys.argv[1:]):
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
