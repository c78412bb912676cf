"""Small things that no random session asks about, the same here and on a real redis-server."""

from __future__ import annotations

import contextlib
import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from oracle.pair import Pair, same
from oracle.server import RedisServer
from oracle.test_differential import run_step
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from oracle.runners import OracleRunner
    from trignb import Engine

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]


@pytest.fixture
def pair(oracle_runner: OracleRunner) -> Iterator[Pair]:
    pair = Pair(oracle_runner)
    yield pair
    for name, value in (("proto-max-bulk-len", "512mb"), ("rdbcompression", "yes")):
        pair.clients[2].connection.execute("CONFIG", "SET", name, value)
    pair.close()


def run_script(pair: Pair, counts: Counter[str], script: str) -> None:
    """Run commands, one a line, on both sides."""
    lines = [line.split() for line in script.splitlines() if line.strip()]
    for words in lines:
        run_step(pair, 2, tuple((w == '""' and "") or w for w in words))
    counts["commands of small matters, all agree"] += len(lines)


def test_encodings_of_strings_changed_in_place(
    pair: Pair, counts: Counter[str]
) -> None:
    run_script(
        pair,
        counts,
        """
        SET a 10
        INCRBYFLOAT a 5
        OBJECT ENCODING a
        GET a
        STRLEN a
        TYPE a
        COPY a b
        OBJECT ENCODING b
        RENAME a c
        OBJECT ENCODING c
        MOVE c 1
        MGET b c
        GETRANGE b 0 -1
        GETSET b 7
        OBJECT ENCODING b
        INCRBYFLOAT b 1e3
        OBJECT ENCODING b
        INCR b
        OBJECT ENCODING b
        INCRBYFLOAT b 0.5
        OBJECT ENCODING b
        INCRBYFLOAT b 0.5
        OBJECT ENCODING b
        OBJECT REFCOUNT b
        INCRBYFLOAT b 0
        SETRANGE b 0 2
        OBJECT ENCODING b
        SET b 12
        OBJECT ENCODING b
        INCRBYFLOAT b 1
        APPEND b 1
        OBJECT ENCODING b
        SET b 12
        INCRBYFLOAT b 1
        SETBIT b 0 0
        BITCOUNT b
        OBJECT ENCODING b
        SET b 12
        INCRBYFLOAT b 1
        BITOP OR d b
        OBJECT ENCODING d
        BITOP NOT d b
        OBJECT ENCODING d
        LCS b d
        PFADD b x
        SORT b
        GETEX b
        GETDEL b
        INCRBYFLOAT n 1
        OBJECT ENCODING n
        INCRBYFLOAT n 1e40
        OBJECT ENCODING n
        SET n 9
        SETRANGE n 0 ""
        APPEND n ""
        OBJECT ENCODING n
        APPEND new 12
        OBJECT ENCODING new
        SETRANGE other 0 12
        OBJECT ENCODING other
        """,
    )


def test_strings_longer_than_allowed(pair: Pair, counts: Counter[str]) -> None:
    run_script(
        pair,
        counts,
        """
        CONFIG SET proto-max-bulk-len 10
        CONFIG SET proto-max-bulk-len 1mb
        CONFIG GET proto-max-bulk-len
        SETRANGE a 1048575 x
        SETRANGE a 1048576 x
        SETRANGE a 1048576 ""
        SETRANGE none 1048576 ""
        SETRANGE a 9223372036854775807 x
        SETRANGE a -1 x
        APPEND a x
        APPEND a ""
        STRLEN a
        SETBIT b 8388607 1
        SETBIT b 8388608 1
        GETBIT b 8388608
        SETBIT b 4294967295 1
        BITFIELD b SET u8 8388601 1
        BITFIELD b SET u8 #1048576 1
        BITFIELD b GET u8 #1048576
        BITFIELD_RO b GET u8 #1048576
        LCS a a
        CONFIG SET proto-max-bulk-len 512mb
        APPEND a x
        """,
    )


# -- COMMAND

# The fields of COMMAND INFO.
FIELDS = ("name", "arity", "flags", "first", "last", "step", "categories", "tips")
# Of the module.
ADDED = (b"tf", b"tconfig", b"_rg_internals", b"redisgears_2.")


def commands_by_name(infos: list[Any]) -> dict[str, Any]:
    """Return what COMMAND INFO tells of each command and subcommand."""
    found = {}
    for info in infos:
        found[info[0].decode()] = info
        found |= commands_by_name(info[9])
    return found


def without_notes(specs: list[Any]) -> list[Any]:
    """Return key specifications without remarks, which are not copied from Redis."""
    return [
        {name: part for name, part in spec.items() if name != b"notes"}
        for spec in specs
    ]


def test_command_tells_the_same_of_each(oracle: RedisServer, engine: Engine) -> None:
    theirs = commands_by_name(oracle.connect(3).execute("COMMAND"))
    ours = commands_by_name(engine.session(3).execute("COMMAND"))
    assert not theirs.keys() - ours.keys()
    assert all(name.encode().startswith(ADDED) for name in ours if name not in theirs)
    for name in theirs.keys() & ours.keys():
        different = {
            field
            for field, mine, right in zip(
                FIELDS, ours[name], theirs[name], strict=False
            )
            if mine != right
        }
        assert not different, name
        assert ours[name][8] == without_notes(theirs[name][8]), name


def test_command_lists_the_same(
    oracle: RedisServer, engine: Engine, counts: Counter[str]
) -> None:
    connection = oracle.connect(2)
    filters = [
        *(["ACLCAT", word.decode()] for word in connection.execute("ACL", "CAT")),
        *(["ACLCAT", word] for word in ("@read", "READ", "nope", "")),
        *(["PATTERN", word] for word in ("*", "x*", "*|S*", "config|*", "[gs]et")),
        ["MODULE", "nope"],
        None,
    ]
    for words in filters:
        call = ("COMMAND", "LIST", *(["FILTERBY", *words] if words else []))
        theirs = set(connection.execute(*call))
        ours = {name for name in engine.execute(*call) if not name.startswith(ADDED)}
        assert ours == theirs, words
    counts["filters of COMMAND LIST, all agree"] += len(filters)


# Texts of the documentation are our own, or not here; complexities are formulas only.
TEXTS = {b"summary", b"complexity", b"history", b"replaced_by"}


def docs_by_name(docs: dict[bytes, Any]) -> dict[bytes, Any]:
    """Return the documentation of each command and subcommand."""
    found = {}
    for name, told in docs.items():
        found[name] = told
        found |= docs_by_name(told.get(b"subcommands", {}))
    return found


def in_order_of(told: Any) -> Any:
    """Return a reply with maps as pairs, so that their order counts."""
    if isinstance(told, dict):
        return [(name, in_order_of(value)) for name, value in told.items()]
    return [in_order_of(item) for item in told] if isinstance(told, list) else told


def test_command_docs_have_the_same_shape(oracle: RedisServer, engine: Engine) -> None:
    theirs = docs_by_name(oracle.connect(3).execute("COMMAND", "DOCS"))
    ours = docs_by_name(engine.session(3).execute("COMMAND", "DOCS"))
    for name in theirs:
        mine, right = ours[name], theirs[name]
        assert [field for field in right if field in mine] == list(mine), name
        left_out = right.keys() - mine.keys()
        assert left_out <= {b"complexity", b"history"}, name
        assert right.get(b"complexity", b"").startswith(mine.get(b"complexity", b"")), (
            name
        )
        assert in_order_of(mine.get(b"arguments")) == in_order_of(
            right.get(b"arguments")
        ), name
        for field in mine.keys() - TEXTS - {b"subcommands"}:
            assert mine[field] == right[field], (name, field)


def test_command_getkeysandflags_agrees(
    oracle: RedisServer, engine: Engine, counts: Counter[str]
) -> None:
    connection, session = oracle.connect(3), engine.session(3)
    chance = random.Random("keys")
    names = sorted(commands_by_name(session.execute("COMMAND")))
    words = [
        *"abk012",
        "3",
        "GET",
        "STORE",
        "KEYS",
        "STREAMS",
        "get",
        "set",
        "incrby",
        "u8",
    ]
    for _ in range(3000):
        line = chance.choice(names).split("|") + chance.choices(
            words, k=chance.randrange(8)
        )
        call = ("COMMAND", "GETKEYSANDFLAGS", *line)
        try:
            ours = session.execute(*call)
        except ResponseError as error:
            ours = error
        if not line[0].encode().startswith(ADDED):
            assert same(ours, connection.execute(*call)), line
            counts["commands whose keys and their flags agree"] += 1


# -- CONFIG

# Every kind of wrong, and some that are right.
CONFIG_VALUES = [
    *("", "0", "1", "-1", "01", "+1", " 1", "1 ", "1.5", "x", "yes", "NO", "a b"),
    *("2147483647", "2147483648", "4294967296", "9223372036854775808"),
    *("18446744073709551615", "18446744073709551616", "-9223372036854775808"),
    *("10KB", "1tb", "-1mb", "mb", "50%", "101%", "777", "900 1", "900 1 ", "0 1"),
    *("normal 0 0 0", "normal 0 0 ", "foo 1 1 1", "0 0 0", "0 200 3000", "50 99.9"),
    *("nan", "save nosave", "now FORCE", "{title}", "{foo}", "a/b", "KEA", "z"),
    *("allkeys-lru", "EVERYSEC", "swapdb", "127.0.0.1 ::1", "\N{POUND SIGN}", "a\0b"),
    *(
        " ",
        "{title} ",
        "0x10",
        "a" * 5000,
        "3600 1 300 100",
        "replica 0 0 0",
        "C",
        "5 5",
    ),
]
# They move the server itself, or a wrong value cannot be undone.
LEFT_ALONE = {
    *(b"port", b"tls-port", b"bind", b"bind-source-addr", b"maxclients", b"maxmemory"),
    *(b"appendonly", b"watchdog-period", b"logfile"),
}
# The server has no certificates.
OTHERWISE = {b"tls-cluster", b"tls-replication"}


class BothConfigs:
    """The configurations of both sides, asked the same."""

    def __init__(self, oracle: RedisServer, engine: Engine) -> None:
        self.connection, self.session = oracle.connect(3), engine.session(3)
        self.wrong: list[str] = []
        self.asked = 0

    def ask(self, *args: str | bytes) -> None:
        """Note it when the answers differ."""
        theirs = self.connection.execute("CONFIG", *args)
        try:
            ours = self.session.execute("CONFIG", *args)
        except ResponseError as error:
            ours = error
        self.asked += 1
        # Which parameter comes first is up to a hash table.
        if not (ours == theirs if isinstance(theirs, dict) else same(ours, theirs)):
            self.wrong.append(f"{args}: redis {theirs!r}, here {ours!r}")

    def restore(self, name: bytes, value: bytes) -> None:
        """Set a parameter back; those that cannot change have not."""
        self.connection.execute("CONFIG", "SET", name, value)
        with contextlib.suppress(ResponseError):
            self.session.execute("CONFIG", "SET", name, value)


@pytest.fixture
def configs(oracle: RedisServer, engine: Engine) -> Iterator[BothConfigs]:
    # A server of its own: some of the values would make it useless for other tests.
    own = RedisServer()
    try:
        yield BothConfigs(own, engine)
    finally:
        own.close()


def test_config_set_agrees_on_every_value(
    configs: BothConfigs, counts: Counter[str]
) -> None:
    parameters = configs.connection.execute("CONFIG", "GET", "*")
    for name in sorted(parameters.keys() - LEFT_ALONE - OTHERWISE):
        # Immutable ones differ by how the oracle was started, others start as equals.
        configs.restore(name, parameters[name])
        refusal = configs.connection.execute("CONFIG", "SET", name, parameters[name])
        is_fixed = "immutable" in str(refusal) or "protected" in str(refusal)
        for value in CONFIG_VALUES[:3] if is_fixed else CONFIG_VALUES:
            configs.ask("SET", name, value)
            if not is_fixed:
                configs.ask("GET", name)
        configs.restore(name, parameters[name])
    assert not configs.wrong, "\n".join(configs.wrong)
    counts["questions to CONFIG, all agree"] += configs.asked


def test_config_set_of_several_agrees(
    configs: BothConfigs, counts: Counter[str]
) -> None:
    names = [b"hz", b"timeout", b"maxmemory-policy", b"hash-max-listpack-entries"]
    before = {
        name: configs.connection.execute("CONFIG", "GET", name)[name] for name in names
    }
    for name in names:
        configs.restore(name, before[name])
    for line in """
        SET
        SET hz
        SET hz 10 hz 11
        SET HZ 12 hz 13
        SET hz 10 nope
        SET hz 11 nope 1
        SET nope 1 databases 2
        SET databases 2 nope 1
        SET timeout 1 timeout 1 nope 1
        SET timeout 5 databases 3
        SET hz 12 timeout x
        SET maxmemory-policy foo hz x
        SET hz 99999 maxmemory-policy foo
        SET hash-max-ziplist-entries 1 hash-max-listpack-entries 2
        SET timeout 7 hz 0
        SET slaveof x
        SET dir /tmp hz 3
        GET
        GET nope
        GET HZ hz h?
        GET hash-max-*-entries
        GET timeout maxmemory-policy hz
        RESETSTAT x
        REWRITE
        REWRITE x
        NOPE
        """.splitlines():
        if line.strip():
            configs.ask(*line.split())
            configs.ask("GET", *names)
    for name in names:
        configs.restore(name, before[name])
    assert not configs.wrong, "\n".join(configs.wrong)
    counts["questions to CONFIG, all agree"] += configs.asked


# -- INFO COMMANDSTATS and ERRORSTATS

STATS_SESSIONS = """
    GET a ; GET ; GET a b ; NOPE ; SET a 1 ; INCR s ; LPUSH a 1 ; CONFIG NOPE ; CONFIG
    MULTI ; SET a 1 ; GET ; EXEC
    MULTI ; SET a x ; LPUSH a 1 ; GET a ; EXEC
    MULTI ; MULTI ; WATCH a ; DISCARD ; DISCARD ; EXEC
    MULTI ; SET a 1 ; NOPE ; EXEC
    HELLO 9 ; SELECT 99 ; CLIENT NOPE ; OBJECT FREQ ; XADD ; BLPOP x 0.01 ; BLPOP x -1
    AUTH x ; AUTH a b ; ACL SETUSER u on nopass +get +auth ~a ; AUTH u x ; GET a ; GET b ; SET a 1
    CONFIG SET maxmemory 1 ; SET a 1 ; GET a ; MULTI ; SET a 1 ; EXEC ; CONFIG SET maxmemory 0
    GET a ; Get a ; COMMAND COUNT ; SCRIPT EXISTS x ; CLIENT ID ; LATENCY RESET ; DEBUG ERROR x
    SORT a BY ; HSET a ; INCRBY a x ; SETEX a 0 1 ; EXPIRE a x ; SINTERCARD 0 a ; COPY a a
"""
STATS_SCRIPTS = [
    "return redis.call('lpush', 'a', 1)",
    "return redis.pcall('lpush', 'a', 1)",
    "redis.pcall('lpush', 'a', 1) return 1",
    "return redis.call('nope')",
    "redis.pcall('nope')",
    "return redis.call('get')",
    "redis.pcall('get')",
    "return redis.call('debug', 'x')",
    "redis.pcall('multi')",
    "return redis.error_reply('MYERR foo')",
    "return {err = 'X y'}",
    "return {err = 'nospace'}",
    "return )",
    "error('boo')",
    "error({err = 'My Err'})",
    "local e = redis.pcall('lpush', 'a', 1) error(e)",
    "local e = redis.pcall('lpush', 'a', 1) return {err = e.err}",
    "pcall(redis.call, 'lpush', 'a', 1)",
    "return redis.call('config', 'nope')",
]


def stats_of(text: bytes) -> dict[str, str]:
    """Return the counts INFO tells, without times."""
    found = {}
    for line in text.decode().splitlines():
        name, _, value = line.partition(":")
        if name.startswith("cmdstat_"):
            counts = (part for part in value.split(",") if "calls=" in part)
            found[name] = ",".join(counts)
        elif name.startswith("errorstat_") or name in (
            "total_commands_processed",
            "total_error_replies",
        ):
            found[name] = value
    return found


def stats_after(observer: Any, client: Any, lines: list[list[str]]) -> dict[str, str]:
    """Return what is counted of some commands of a client."""
    for words in (["FLUSHALL"], ["ACL", "DELUSER", "u"], ["SET", "a", "1"]):
        observer(*words)
    observer("CONFIG", "RESETSTAT")
    for words in lines:
        client(*words)
    return stats_of(observer("INFO", "stats", "commandstats", "errorstats"))


def test_every_call_is_counted_the_same(
    oracle: RedisServer, engine: Engine, counts: Counter[str]
) -> None:
    sessions = [
        [step.split() for step in line.split(" ; ")]
        for line in STATS_SESSIONS.splitlines()
        if line.strip()
    ]
    scripts = [[["EVAL", script, "0"]] for script in STATS_SCRIPTS]
    framed = [[["MULTI"], *lines, ["EXEC"]] for lines in scripts]
    engine.core.config.values["enable-debug-command"] = "yes"

    def here() -> Any:
        session = engine.session(2)

        def run(*args: str) -> Any:
            try:
                return session.execute(*args)
            except ResponseError as error:
                return error

        return run

    for lines in [*sessions, *scripts, *framed]:
        theirs = stats_after(oracle.connect().execute, oracle.connect().execute, lines)
        ours = stats_after(here(), here(), lines)
        if lines[-1][:2] == ["DEBUG", "ERROR"]:
            # Sent by a handler that did not fail.
            ours["cmdstat_debug"] = ours["cmdstat_debug"].replace(
                "failed_calls=1", "failed_calls=0"
            )
        assert ours == theirs, lines
        counts["sessions whose calls and errors are counted alike"] += 1
    oracle.connect().execute("ACL", "DELUSER", "u")


# -- DEBUG

DEBUG_LINES = """
    SLEEP ; SLEEP 0 ; SLEEP x ; SET-ACTIVE-EXPIRE 1 ; DIGEST ; DIGEST-VALUE ; DIGEST-VALUE a b
    LISTPACK h ; LISTPACK z ; LISTPACK a ; LISTPACK nope ; QUICKLIST big ; QUICKLIST big 1
    QUICKLIST big 1 2 ; QUICKLIST a ; QUICKLIST nope ; SDSLEN n ; SDSLEN big ; SDSLEN nope
    SDSLEN a ; HTSTATS 99 ; HTSTATS x ; HTSTATS 1 full ; HTSTATS 9 ; HTSTATS-KEY h ; HTSTATS-KEY a
    HTSTATS-KEY nope ; QUICKLIST-PACKED-THRESHOLD 100b ; QUICKLIST-PACKED-THRESHOLD 0
    QUICKLIST-PACKED-THRESHOLD x ; QUICKLIST-PACKED-THRESHOLD 4293918720
    QUICKLIST-PACKED-THRESHOLD 4293918721 ; QUICKLIST-PACKED-THRESHOLD 4gb
    POPULATE x ; POPULATE -1 ; POPULATE 2 k 3 4 ; POPULATE 2 p 3 ; STRUCTSIZE ; LOG x ; LOG
    SET-DISABLE-DENY-SCRIPTS 0 ; SET-SKIP-CHECKSUM-VALIDATION 0 ; SET-SKIP-CHECKSUM-VALIDATION
    REPLYBUFFER RESIZING 1 ; REPLYBUFFER PEAK-RESET-TIME x ; REPLYBUFFER PEAK-RESET-TIME RESET
    REPLYBUFFER foo 1 ; ERROR some ; ERROR ; LEAK x ; LEAK ; PAUSE-CRON 0 ; CLIENT-EVICTION
    CLIENT-EVICTION 1 ; CHANGE-REPL-ID ; MALLCTL x ; MALLCTL ; AOF-FLUSH-SLEEP 0
    DROP-CLUSTER-PACKET-FILTER 1 ; PROTOCOL string ; PROTOCOL integer ; PROTOCOL double
    PROTOCOL bignum ; PROTOCOL null ; PROTOCOL array ; PROTOCOL set ; PROTOCOL map
    PROTOCOL verbatim ; PROTOCOL true ; PROTOCOL false ; PROTOCOL foo ; PROTOCOL ; NOPE ; OBJECT
    OBJECT nope ; OBJECT a b ; RELOAD foo ; RELOAD
"""


@pytest.mark.parametrize("resp", [2, 3])
def test_debug_agrees(pair: Pair, counts: Counter[str], resp: int) -> None:
    pair.engine.core.config.values["enable-debug-command"] = "yes"
    for line in (
        "SET a hello",
        "SET n 1",
        "HSET h f v",
        "ZADD z 1 a",
        "RPUSH big " + "element " * 2000,
    ):
        run_step(pair, resp, tuple(line.split()))
    steps = DEBUG_LINES.replace("\n", " ; ").split(" ; ")
    lines = [step.split() for step in steps if step.strip()]
    for words in lines:
        run_step(pair, resp, ("DEBUG", *words))
    counts["questions to DEBUG, all agree"] += len(lines)


def test_debug_object_tells_the_same(pair: Pair, counts: Counter[str]) -> None:
    pair.engine.core.config.values["enable-debug-command"] = "yes"
    client = pair.clients[2]
    # Redis compresses a little better or worse.
    run_step(pair, 2, ("CONFIG", "SET", "rdbcompression", "no"))
    for line in (
        "SET number 12",
        "SET short hello",
        "SET long " + "x" * 100,
        "HSET hash f v",
        "SADD numbers 1 2 3",
        "ZADD scores 1 a 2 b",
        "RPUSH big " + " ".join(f"element{i}" for i in range(3000)),
        "XADD stream 1-1 f v",
    ):
        words = line.split()
        run_step(pair, 2, tuple(words))
        theirs = client.connection.execute("DEBUG", "OBJECT", words[1])
        ours = client.session.execute("DEBUG", "OBJECT", words[1])
        changing = r"Value at:0x[0-9a-f]+|lru:\d+|idle:\d+"
        assert re.sub(changing, "", ours) == re.sub(changing, "", theirs), words[:2]
        counts["questions to DEBUG, all agree"] += 1
