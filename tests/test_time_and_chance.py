"""Time and chance belong to the engine: who reads them past it, and what a seed decides."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trignb

PACKAGE = Path(__file__).parents[1] / "trignb"

# Who may ask the system what time it is.
CLOCKS = {
    "clock.py": "it is the engine's clock",
    "rehearsal.py": "compares whose clock another one is",
    "server/logs.py": "stamps the log file, as the record was stamped by logging",
}
# Who may ask for chance, or for what cannot be guessed.
CHANCES = {
    "engine/chance.py": "it is the engine's chance",
    "engine/commands/hyperloglog.py": "PFSELFTEST tests itself with numbers of its own",
    "engine/commands/acl.py": "passwords are not to be guessed (ACL GENPASS)",
    "engine/core.py": "ids of the run and of replication tell engines apart",
    "engine/commands/debugging.py": "the same (DEBUG CHANGE-REPL-ID)",
    "replication/feed.py": "the same",
    "replication/full_sync.py": "the mark at the end of a file must not be in it",
    "engine/files.py": "names of temporary files of several processes",
}

DATES = {
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime"),
    *("time.asctime", "time.strftime", "time.clock_gettime", "time.clock_gettime_ns"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
    *("datetime.date.today", "email.utils.localtime", "email.utils.formatdate"),
}
CHOICES = ("random", "secrets", "uuid", "numpy.random")
CHOICE_CALLS = {"os.urandom", "os.getrandom"}


def names_used(path: Path) -> set[str]:
    """Every dotted name that a module uses of another one, as that one calls it."""
    tree = ast.parse(path.read_text())
    names: dict[str, str] = {}
    typing_only = {
        node
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            for name in node.names:
                names[name.asname or name.name.partition(".")[0]] = (
                    name.name if name.asname else name.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                names[name.asname or name.name] = f"{node.module}.{name.name}"
    used = set(names.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in names:
                used.add(f"{names[first]}.{rest}")
    return used


def modules_that(asks) -> dict[str, list[str]]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        names = sorted(filter(asks, names_used(path)))
        if names:
            found[str(path.relative_to(PACKAGE))] = names
    return found


def test_only_the_clock_knows_what_time_it_is():
    found = modules_that(lambda name: name in DATES)
    assert found.keys() - CLOCKS.keys() == set(), found
    assert CLOCKS.keys() - found.keys() == set(), "a stale row"


def test_only_chance_asks_for_chance():
    found = modules_that(
        lambda name: (
            name in CHOICE_CALLS
            or any(name == m or name.startswith(m + ".") for m in CHOICES)
        )
    )
    assert found.keys() - CHANCES.keys() == set(), found
    assert CHANCES.keys() - found.keys() == set(), "a stale row"


LIBRARY = """#!js api_version=1.0 name=lib
const early = Math.random();
redis.registerFunction('draw', () => [early, Math.random(), Math.random()].map(String));"""

COMMANDS = [
    "SADD s a b c d e f g h",
    *["SRANDMEMBER s", "SRANDMEMBER s 3", "SRANDMEMBER s -5", "SPOP s", "SPOP s 2"],
    "HSET h a 1 b 2 c 3 d 4 e 5",
    *["HRANDFIELD h", "HRANDFIELD h 3", "HRANDFIELD h -5 WITHVALUES"],
    "ZADD z 1 a 2 b 3 c 4 d 5 e",
    *["ZRANDMEMBER z", "ZRANDMEMBER z 3 WITHSCORES", "ZRANDMEMBER z -5"],
    *["SET k1 v", "SET k2 v", "SET k3 v", *["RANDOMKEY"] * 8],
    *["CONFIG SET maxmemory-policy allkeys-lfu", "CONFIG SET lfu-log-factor 1"],
    *[*["GET k1"] * 60, "OBJECT FREQ k1"],
    *["TFCALL lib.draw 0"] * 2,
    "EVAL return{tostring(math.random()),redis.call('srandmember','s')} 0",
]  # fmt: skip


def choices(engine) -> list[object]:
    engine.load(LIBRARY)
    return [engine.execute(*command.split()) for command in COMMANDS]


@pytest.fixture
def make_engine():
    engines = []

    def make(seed=None):
        engines.append(trignb.Engine(seed=seed))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def test_engines_with_one_seed_choose_alike(make_engine):
    first = choices(make_engine(7))
    assert choices(make_engine(7)) == first
    assert choices(make_engine("7")) == first
    assert choices(make_engine(8)) != first
    assert choices(make_engine("seven")) != first


def test_without_a_seed_they_choose_otherwise(make_engine):
    assert choices(make_engine()) != choices(make_engine())


PROGRAM = """
import random, sys
sys.path.insert(0, sys.argv[1])
from test_time_and_chance import choices
import trignb
random.seed(sys.argv[2])
with trignb.Engine(seed=7) as engine:
    print(choices(engine))
"""


def test_in_every_process_whatever_it_does_with_its_own_chance(make_engine):
    here = choices(make_engine(7))
    for mine in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), mine],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert there.stdout == f"{here}\n"


def test_what_an_engine_chooses_leaves_python_alone(make_engine):
    import random

    random.seed(5)
    expected = random.random()
    random.seed(5)
    choices(make_engine())
    assert random.random() == expected


def test_the_same_keys_are_evicted(make_engine):
    def survivors(seed):
        engine = make_engine(seed)
        engine.clock.freeze(at="2026-01-01")
        engine.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        for i in range(300):
            engine.execute("SET", f"k{i}", "v" * 100)
        used = engine.core.memory.used()
        engine.execute("CONFIG", "SET", "maxmemory", used - 10_000)
        engine.execute("SET", "last", "v")
        return sorted(engine.execute("KEYS", "*"))

    first = survivors(1)
    assert survivors(1) == first != survivors(2)
    assert len(first) < 301


def test_eviction_and_counters_of_use_take_nothing_from_commands(make_engine):
    plain, busy = make_engine(3), make_engine(3)
    for engine in (plain, busy):
        engine.execute("SADD", "s", *range(100))
        engine.execute("SET", "k", "v")
    busy.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    busy.execute("CONFIG", "SET", "lfu-log-factor", "1")
    for _ in range(50):
        busy.execute("GET", "k")
    ten = ("SRANDMEMBER", "s", "10")
    assert plain.execute(*ten) == busy.execute(*ten)


def test_a_reset_begins_anew_with_the_seed(make_engine):
    engine = make_engine(7)

    def chosen():
        # Scripts go on: one sequence for the process, as in Redis.
        both = zip(COMMANDS, choices(engine), strict=True)
        return [
            reply for name, reply in both if not name.startswith(("EVAL", "OBJECT"))
        ]

    first = chosen()
    engine.reset()
    assert chosen() == first


def test_a_restored_snapshot_brings_keys_back_and_no_chance(make_engine):
    engine, other = make_engine(7), make_engine(7)
    for each in (engine, other):
        each.execute("SADD", "s", *range(1000))
    snapshot = engine.snapshot()
    first = engine.execute("SRANDMEMBER", "s", "5")
    engine.restore(snapshot)
    second = engine.execute("SRANDMEMBER", "s", "5")
    assert [other.execute("SRANDMEMBER", "s", "5") for _ in range(2)] == [first, second]
    assert first != second


@pytest.mark.parametrize("seed", [None, 7])
def test_a_dry_run_shows_what_is_going_to_be_chosen(make_engine, seed):
    engine = make_engine(seed)
    engine.load(LIBRARY)
    engine.execute("SADD", "s", *range(1000))
    engine.call("lib.draw")
    with engine.dry_run() as dry:
        tried = dry.execute("SPOP", "s", "5"), dry.execute("TFCALL", "lib.draw", 0)[1:]
    done = engine.execute("SPOP", "s", "5"), engine.execute("TFCALL", "lib.draw", 0)[1:]
    assert tried == done


def test_a_replica_has_what_was_chosen(make_engine):
    engine = make_engine(7)
    engine.execute("SADD", "s", *range(100))
    with engine.replica(seed=1) as replica:
        engine.execute("SPOP", "s", "50")
        members = engine.execute("SMEMBERS", "s")
        assert replica.execute("SMEMBERS", "s") == members


def test_what_must_not_be_guessed_follows_no_seed(make_engine):
    first, second = make_engine(7), make_engine(7)
    assert first.execute("ACL", "GENPASS") != second.execute("ACL", "GENPASS")
    assert first.core.run_id != second.core.run_id
    assert first.core.replication_id != second.core.replication_id


def test_the_fixture_has_a_seed(trignb_engine):
    with trignb.Engine(seed=0) as engine:
        assert choices(trignb_engine) == choices(engine)
