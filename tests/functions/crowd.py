"""A crowd of clients at four libraries, and what has to hold whatever they do.

Eight threads, two of them on sockets, write and read at random for some seconds. Readers look for pairs
that are half-done; every client keeps a tally of what it caused, and in the end the tallies have to
agree with what the libraries counted in the keyspace and with the statistics the engine keeps. What was
propagated meanwhile is replayed on another engine, which has to see no half-done pair between two units
either and to end up with the same keys. An unruly crowd has somebody among it who replaces, loads and
deletes libraries, changes parameters, pauses clients and flushes the database meanwhile.
"""

from __future__ import annotations

import faulthandler
import random
import tempfile
import threading
import time
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any

import redis

import trignb
from functions.libraries import eventually, lib, listed, trigger_of
from trignb.engine.core import NO_DB
from trignb.engine.digest import dataset_digest
from trignb.errors import ResponseError
from trignb.functions.host import NOT_MASTER

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS, ON_SOCKETS = 8, 2
PLACES = 3
WINDOW = 3
# How much background work may be waiting before clients leave off causing more.
BACKLOG = 100
STUCK_S = 20.0

LIBRARIES = {
    "one": """
redis.registerKeySpaceTrigger('mirror', 'src:', (client, data) => {
    client.call('set', 'mirror:' + data.key.slice(4), client.call('get', data.key));
    client.call('incr', 'n:src');
    client.call('incrby', 'n:sum', data.value);
}, {onTriggerFired: (client, data) => { data.value = client.call('get', data.key); }});
redis.registerKeySpaceTrigger('moody', 'mood:', (client, data) => {
    if (BigInt(client.call('get', data.key)) % 2n) throw new Error('odd');
});
redis.registerKeySpaceTrigger('brief', 'brief:', (client, data) => {
    if (data.event === 'expired') client.call('incr', 'n:expired');
});
redis.registerFunction('write', (client, a, b, value) => {
    client.call('set', a, value);
    client.call('set', b, value);
});
redis.registerFunction('read', (client, a, b) => [client.call('get', a), client.call('get', b)],
    {flags: ['no-writes']});
redis.registerFunction('add', (client, key, n) => client.call('xadd', key, '*', 'n', n));""",
    "two": """
redis.registerKeySpaceTrigger('check', 'src:', (client, data) => {
    const seen = client.call('get', 'mirror:' + data.key.slice(4));
    if (seen !== client.call('get', data.key)) throw new Error('the first trigger has not run');
});
redis.registerStreamTrigger('sync', 's', (client, data) => {
    if (client.call('setbit', 'bits:s', data.record[0][1], '1')) client.call('incr', 'n:twice');
});""",
    "three": """
redis.registerKeySpaceTrigger('job', 'job:', async (client) => {
    client.block(c => c.call('incr', 'n:job'));
});
redis.registerStreamTrigger('async', 't', async (client, data) => {
    client.block(c => {
        if (c.call('setbit', 'bits:t', data.record[0][1], '1')) c.call('incr', 'n:twice');
    });
}, {window: %d, isStreamTrimmed: true});
redis.registerAsyncFunction('write', async (client, a, b, value) => client.block(c => {
    c.call('set', a, value);
    c.call('set', b, value);
}));
redis.registerAsyncFunction('read', async (client, a, b) =>
    client.block(c => [c.call('get', a), c.call('get', b)]), {flags: ['no-writes']});"""
    % WINDOW,
    "four": """
redis.registerKeySpaceTrigger('chain', 'job:', async (client) => {
    client.block(c => c.call('incr', 'n:begun'));
    await null;
    client.block(c => c.call('incr', 'n:ended'));
});
redis.registerAsyncFunction('defer', client => client.executeAsync(async later =>
    later.block(c => c.call('incr', 'n:deferred'))));
redis.registerAsyncFunction('pop', client => client.callAsync('blpop', 'q', '0.02'));
redis.registerAsyncFunction('pop_later', async client =>
    await client.block(c => c.callAsync('blpop', 'q', '0.02')));""",
}
# Comes and goes.
GUEST = """
redis.registerKeySpaceTrigger('looks', 'src:', (client, data) => client.call('get', data.key));
redis.registerKeySpaceTrigger('later', 'job:', async client => client.block(c => c.call('ping')));
redis.registerFunction('sync', client => client.call('ping'));
redis.registerAsyncFunction('async', async client => client.block(c => c.call('ping')));"""
# "four" has clients that wait for commands; of a library that is gone the answers are dropped.
REPLACEABLE = ("one", "two", "three")

# What an unruly crowd may hear, and nobody else.
FORGIVEN = (
    "Function were unregistered",
    "Unknown library guest",
    NOT_MASTER,
)

COUNTERS = (
    "src",
    "sum",
    "job",
    "begun",
    "ended",
    "deferred",
    "twice",
    "won",
    "expired",
)
OTHERS = ("bits:s", "bits:t", "queue", "brief keys alive")
BRIEF = tuple(f"brief:{i}" for i in range(PLACES))
WRITE_BOTH = """redis.call('set', KEYS[1], ARGV[1])
redis.call('set', KEYS[2], ARGV[1])"""
READ_BOTH = "return {redis.call('get', KEYS[1]), redis.call('get', KEYS[2])}"

PARAMETERS = {
    "redisgears_2.error-verbosity": ("1", "2"),
    "redisgears_2.lock-redis-timeout": ("5000", "10000"),
    "notify-keyspace-events": ("", "KEA"),
    "slowlog-log-slower-than": ("0", "10000", "-1"),
    "latency-tracking": ("yes", "no"),
    "maxmemory": ("0", "8gb"),
}


class Client:
    """One of the crowd: does something at random, and keeps a tally of what it caused."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self.random = random.Random(crowd.seed * 100 + number)
        self.tally: Counter[str] = Counter()
        self.beat = time.monotonic()
        self.doing = ""
        self.execute: Callable[..., Any] = crowd.engine.execute
        if number < ON_SOCKETS:
            self.execute = redis.Redis(
                port=crowd.port, single_connection_client=True, socket_timeout=STUCK_S
            ).execute_command
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        crowd = self.crowd
        try:
            while not crowd.is_over():
                action = self.random.choice(ACTIONS)
                self.doing = action.__name__
                try:
                    action(self)
                except (ResponseError, redis.ResponseError) as error:
                    if not crowd.forgives(str(error)):
                        raise
                    self.tally["forgiven"] += 1
                self.beat = time.monotonic()
        except BaseException as error:  # noqa: BLE001  # told where the test looks
            crowd.failures.append(f"{self.doing}: {error!r}")

    def transaction(self, *commands: tuple[object, ...]) -> list[Any]:
        self.execute("MULTI")
        for command in commands:
            self.execute(*command)
        replies: list[Any] = self.execute("EXEC")
        return replies

    def number(self) -> str:
        return str(self.random.randrange(1_000_000))

    def place(self, word: str) -> str:
        return f"{word}:{self.random.randrange(PLACES)}"

    # -- pairs

    def write_pair(self) -> None:
        # A function that writes a source has to write its mirror: it fires no trigger.
        a, b, value = *self.pair(), self.number()
        ways = ["function", "block"]
        if a.startswith("pair"):
            ways += ["transaction", "script"]
        way = self.random.choice(ways)
        if way == "function":
            self.called("one.write", "TFCALL", a, b, value)
        elif way == "block":
            self.called("three.write", "TFCALLASYNC", a, b, value)
        elif way == "transaction":
            self.transaction(("SET", a, value), ("SET", b, value))
        else:
            self.execute("EVAL", WRITE_BOTH, 2, a, b, value)

    def read_pair(self) -> None:
        a, b = self.pair()
        way = self.random.choice(["transaction", "script", "function", "block", "mget"])
        if way == "transaction":
            seen = self.transaction(("GET", a), ("GET", b))
        elif way == "script":
            seen = self.execute("EVAL", READ_BOTH, 2, a, b)
        elif way == "function":
            seen = self.called("one.read", "TFCALL", a, b)
        elif way == "block":
            seen = self.called("three.read", "TFCALLASYNC", a, b)
        else:
            seen = self.execute("MGET", a, b)
        assert seen[0] == seen[1], (way, a, seen)
        self.tally["pairs read"] += 1

    def pair(self) -> tuple[str, str]:
        i = self.random.randrange(PLACES)
        if self.random.random() < 0.5:
            return f"pair:{i}:a", f"pair:{i}:b"
        return f"src:{i}", f"mirror:{i}"

    def called(self, name: str, command: str, *args: str) -> Any:
        reply = self.execute(command, name, 0, *args)
        self.tally[f"calls of {name}"] += 1
        return reply

    # -- events

    def write_source(self) -> None:
        key, way = self.place("src"), self.random.choice(["plain", "script", "twice"])
        values = [self.number()]
        if way == "plain":
            self.execute("SET", key, values[0])
        elif way == "script":
            self.execute("EVAL", "redis.call('set', KEYS[1], ARGV[1])", 1, key, *values)
        else:
            values.append(self.number())
            self.transaction(*(("SET", key, value) for value in values))
        self.tally["src"] += len(values)
        self.tally["sum"] += sum(map(int, values))

    def write_mood(self) -> None:
        value = self.number()
        self.execute("SET", self.place("mood"), value)
        self.tally["moods"] += 1
        self.tally["odd moods"] += int(value) % 2

    def write_job(self) -> None:
        if self.crowd.jobs_waiting() < BACKLOG:
            self.execute("SET", self.place("job"), "x")
            self.tally["jobs"] += 1

    def write_brief(self) -> None:
        old = self.execute("SET", self.place("brief"), "x", "PX", "5", "GET")
        self.tally["brief keys"] += 1
        if old is not None:
            self.tally["brief keys overwritten"] += 1

    def add_record(self) -> None:
        stream = self.random.choice("st")
        if stream == "t" and self.execute("XLEN", "t") > BACKLOG:
            return
        n = str(next(self.crowd.numbers))
        way = self.random.choice(["plain", "script", "function", "transaction"])
        if way == "plain":
            self.execute("XADD", stream, "*", "n", n)
        elif way == "script":
            script = "redis.call('xadd', KEYS[1], '*', 'n', ARGV[1])"
            self.execute("EVAL", script, 1, stream, n)
        elif way == "function":
            self.called("one.add", "TFCALL", stream, n)
        else:
            self.transaction(("XADD", stream, "*", "n", n))
        self.tally[f"records of {stream}"] += 1

    # -- the rest

    def win(self) -> None:
        self.execute("WATCH", "n:won")
        seen = int(self.execute("GET", "n:won") or 0)
        if self.transaction(("SET", "n:won", seen + 1)) is not None:
            self.tally["won"] += 1

    def push(self) -> None:
        self.execute("RPUSH", "q", "x")
        self.tally["pushed"] += 1

    def pop(self) -> None:
        name = self.random.choice(["four.pop", "four.pop_later"])
        if self.called(name, "TFCALLASYNC") is not None:
            self.tally["popped"] += 1

    def defer(self) -> None:
        self.called("four.defer", "TFCALLASYNC")
        self.tally["deferred"] += 1

    def visit(self) -> None:
        if self.crowd.unruly:
            way = self.random.choice(["TFCALL guest.sync", "TFCALLASYNC guest.async"])
            assert self.execute(*way.split(), 0) == b"PONG"

    def look_at_list(self) -> None:
        with self.crowd.engine.core.lock:
            libraries = listed(self.crowd.engine, "vvv")
        for library in libraries:
            for trigger in library[b"keyspace_triggers"]:
                ended = trigger[b"num_success"] + trigger[b"num_failed"]
                assert trigger[b"num_finished"] == ended, trigger
                assert trigger[b"num_trigger"] >= ended, trigger
                if trigger[b"name"] in (b"mirror", b"moody", b"check", b"brief"):
                    assert trigger[b"num_trigger"] == ended, trigger
            for trigger in library[b"stream_triggers"]:
                most = 0 if trigger[b"name"] == b"sync" else WINDOW
                for stream in trigger[b"streams"]:
                    assert len(stream[b"pending_ids"]) <= most, stream


ACTIONS = [
    *[Client.write_pair, Client.read_pair] * 4,
    *[Client.write_source] * 3,
    *[Client.add_record] * 3,
    Client.write_mood,
    Client.write_job,
    Client.write_brief,
    Client.win,
    Client.push,
    Client.pop,
    Client.defer,
    Client.visit,
    Client.look_at_list,
]


class Crowd:
    """The clients and who may disturb them; `run` lets them loose and checks."""

    def __init__(
        self, engine: trignb.Engine, seconds: float, seed: int, unruly: bool
    ) -> None:
        self.engine = engine
        self.seed = seed
        self.unruly = unruly
        self.failures: list[str] = []
        self.numbers = count()
        self.gone: Counter[str] = Counter()
        # Nothing is stuck only because there is little processor for many.
        engine.execute("CONFIG", "SET", "redisgears_2.lock-redis-timeout", "10000")
        for name, body in LIBRARIES.items():
            engine.load(lib(body, name))
        self.batches: list[list[tuple[int, list[bytes]]]] = []
        engine.core.sinks.append(self.batches.append)
        engine.core.sinks_changed()
        self.planted = 0
        self.plant()
        self.port = engine.serve().port
        self.ends = time.monotonic() + seconds
        self.clients = [Client(self, number) for number in range(CLIENTS)]

    def is_over(self) -> bool:
        return bool(self.failures) or time.monotonic() > self.ends

    def forgives(self, text: str) -> bool:
        return self.unruly and text in FORGIVEN

    def trigger(self, name: str) -> Any:
        library, trigger = name.split(".")
        return trigger_of(self.engine, trigger, library)

    def jobs_waiting(self) -> int:
        waiting: int = max(self.trigger(n).running for n in ("three.job", "four.chain"))
        return waiting

    def run(self) -> Counter[str]:
        """Let everybody loose, wait, check; return what happened."""
        for client in self.clients:
            client.thread.start()
        disturber = threading.Thread(target=self.disturb, daemon=True)
        if self.unruly:
            disturber.start()
        while any(client.thread.is_alive() for client in self.clients):
            self._watch()
            time.sleep(0.05)
        if self.unruly:
            disturber.join(STUCK_S)
        assert self.failures == []
        self.settle()
        total: Counter[str] = Counter()
        for client in self.clients:
            total += client.tally
        total["src"] += self.planted
        self.check(total)
        return total

    def _watch(self) -> None:
        now = time.monotonic()
        for client in self.clients:
            if client.thread.is_alive() and now - client.beat > STUCK_S:
                with tempfile.TemporaryFile("w+") as file:
                    faulthandler.dump_traceback(file)
                    file.seek(0)
                    raise AssertionError(f"stuck in {client.doing}\n{file.read()}")

    # -- somebody who disturbs

    def disturb(self) -> None:
        chance = random.Random(self.seed)
        execute = self.engine.execute
        try:
            while not self.is_over():
                time.sleep(chance.uniform(0.02, 0.1))
                what = chance.choice(["replace", "guest", "set", "pause", "flush"])
                if what == "replace":
                    name = chance.choice(REPLACEABLE)
                    self.engine.load(lib(LIBRARIES[name], name), replace=True)
                elif what == "guest":
                    self.invite()
                elif what == "set":
                    name = chance.choice(list(PARAMETERS))
                    execute("CONFIG", "SET", name, chance.choice(PARAMETERS[name]))
                elif what == "pause":
                    mode = chance.choice(["ALL", "WRITE"])
                    execute("CLIENT", "PAUSE", chance.randrange(1, 40), mode)
                else:
                    self.flush()
                self.gone[what] += 1
        except BaseException as error:  # noqa: BLE001  # told where the test looks
            self.failures.append(f"disturbing: {error!r}")

    def invite(self) -> None:
        """Load a library that others do not know, or delete it."""
        if "guest" in self.engine.library_registry.libraries:
            self.engine.execute("TFUNCTION", "DELETE", "guest")
        else:
            self.engine.load(lib(GUEST, "guest"))

    def flush(self) -> None:
        """Count and flush in one breath, so that nothing gets lost in between."""
        execute = self.engine.execute
        execute("MULTI")
        self._ask()
        execute("FLUSHDB")
        self.plant()
        self.gone += self._answers(execute("EXEC"))

    def plant(self) -> None:
        """Write every source: reading one that is not there would fire its triggers, too."""
        sources = [f"src:{i}" for i in range(PLACES)]
        self.engine.execute("MSET", *(word for key in sources for word in (key, "0")))
        self.planted += PLACES

    def _ask(self) -> None:
        execute = self.engine.execute
        execute("MGET", *(f"n:{name}" for name in COUNTERS))
        execute("BITCOUNT", "bits:s")
        execute("BITCOUNT", "bits:t")
        execute("LLEN", "q")
        execute("EXISTS", *BRIEF)

    def _answers(self, replies: list[Any]) -> Counter[str]:
        found = Counter(
            dict(zip(COUNTERS, (int(n or 0) for n in replies[0]), strict=True))
        )
        for name, reply in zip(OTHERS, replies[1 : 1 + len(OTHERS)], strict=True):
            found[name] = reply
        return found

    # -- when everybody is done

    def settle(self) -> None:
        """Wait until the background has done what there is to do."""
        self.engine.execute("CLIENT", "UNPAUSE")
        # Nobody reads what came while writes were paused, unless it is woken.
        registry = self.engine.library_registry
        eventually(lambda: not registry.streams.scan.is_running, 30)
        eventually(lambda: not self.jobs_waiting(), 30)
        eventually(lambda: not self.engine.execute("EXISTS", *BRIEF))
        positions = self.trigger_streams("three.async")
        eventually(lambda: not any(p.pending for p in positions.values()), 30)
        eventually(
            lambda: not any(each[b"pending_jobs"] for each in listed(self.engine))
        )
        hosts = [library.host for library in registry.libraries.values()]
        eventually(lambda: not any(host.live_jobs for host in hosts))

    def trigger_streams(self, name: str) -> dict[bytes, Any]:
        library, trigger = name.split(".")
        libraries = self.engine.library_registry.libraries
        return libraries[library].stream_triggers[trigger].streams

    def check(self, total: Counter[str]) -> None:
        """Compare what the clients caused with what was counted."""
        self.engine.execute("MULTI")
        self._ask()
        counted = self.gone + self._answers(self.engine.execute("EXEC"))
        assert counted["twice"] == 0
        for name in ("src", "sum", "won", "deferred"):
            assert counted[name] == total[name], name
        assert counted["bits:s"] == total["records of s"]
        assert counted["queue"] + total["popped"] == total["pushed"]
        ended = counted["expired"] + counted["brief keys alive"]
        assert ended + total["brief keys overwritten"] == total["brief keys"]
        self._check_triggers(total, counted)
        if self.unruly:
            assert counted["bits:t"] <= total["records of t"]
        else:
            self._check_exactly(total, counted)
        self._check_replica()
        core = self.engine.core
        assert (core.nesting, core.waiters, len(core.jobs)) == (0, 0, 0)

    def _check_replica(self) -> None:
        """Replay what was propagated, unit by unit."""
        firsts = [f"pair:{i}:a" for i in range(PLACES)]
        firsts += [f"src:{i}" for i in range(PLACES)]
        seconds = [f"pair:{i}:b" for i in range(PLACES)]
        seconds += [f"mirror:{i}" for i in range(PLACES)]
        with trignb.Engine() as replica:
            replica.core.record_notifications(0)
            execute = replica.execute
            for batch in self.batches:
                for db, argv in batch:
                    if db != NO_DB and not argv[0].startswith(b"_rg_internals."):
                        execute(*argv)
                seen = execute("MGET", *firsts, *seconds)
                assert seen[: len(firsts)] == seen[len(firsts) :], batch
            ours, theirs = self.engine.core.databases, replica.core.databases
            assert dataset_digest(theirs) == dataset_digest(ours)

    def _check_triggers(self, total: Counter[str], counted: Counter[str]) -> None:
        expected = {
            "one.mirror": (total["src"], total["src"]),
            "two.check": (total["src"], total["src"]),
            "one.moody": (total["moods"], total["moods"] - total["odd moods"]),
            "three.job": (total["jobs"], counted["job"]),
            "four.chain": (total["jobs"], counted["ended"]),
        }
        for name, (events, successes) in expected.items():
            trigger = self.trigger(name)
            assert trigger.num_triggered == events, name
            assert trigger.num_finished == events, name
            assert trigger.num_success == successes, name
            assert trigger.times.count == events, name
            assert sum(trigger.times.errors.values()) == trigger.num_failed, name
            if trigger.num_failed and name != "one.moody":
                assert self.forgives(trigger.last_error), trigger.last_error

    def _check_exactly(self, total: Counter[str], counted: Counter[str]) -> None:
        """Check what holds only where nobody replaced, paused or flushed anything."""
        assert counted["job"] == counted["begun"] == counted["ended"] == total["jobs"]
        assert counted["bits:t"] == total["records of t"]
        for name, stream in (("two.sync", b"s"), ("three.async", b"t")):
            where = self.trigger_streams(name)[stream]
            records = total[f"records of {stream.decode()}"]
            assert where.total_record_processed == records, name
            assert (where.failed, where.times.count) == (0, records), name
        assert self.engine.execute("XLEN", "t") == 0
        registry = self.engine.library_registry
        for library in registry.libraries.values():
            for name, function in library.functions.items():
                calls = total[f"calls of {library.name}.{name}"]
                assert (function.calls, function.failures) == (calls, 0), name
                assert function.times.count == calls, name
        assert registry.errors_noted == total["odd moods"]
