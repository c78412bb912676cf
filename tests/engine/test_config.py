"""CONFIG's table: kinds of values, all or nothing, watchers, what a new engine is given."""

from __future__ import annotations

import contextlib

import pytest

import trignb
from oracle.server import RedisServer
from trignb.engine.config import Config
from trignb.engine.parameters import PARAMETERS, integer
from trignb.errors import ResponseError

FAILED = "ERR CONFIG SET failed (possibly related to argument '{}') - {}"


@pytest.fixture
def config():
    return Config(16)


def refusal(config, *pairs):
    with pytest.raises(ResponseError) as caught:
        config.set(pairs)
    return str(caught.value)


# -- kinds of values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0"),
        ("100mb", "104857600"),
        ("1k", "1000"),
        ("1Kb", "1024"),
        ("2g", "2000000000"),
        ("1GB", "1073741824"),
        ("1B", "1"),
        ("007", "7"),
        ("", "0"),
        ("mb", "0"),
        ("18446744073709551616", "18446744073709551615"),
    ],
)
def test_memory(config, text, shown):
    config.set([("maxmemory", text)])
    assert config.text("maxmemory") == shown


@pytest.mark.parametrize("text", ["-1", "1 mb", "+1", "0x10", "1tb", "abc"])
def test_not_memory(config, text):
    assert refusal(config, ("maxmemory", text)) == FAILED.format(
        "maxmemory", "argument must be a memory value"
    )


@pytest.mark.parametrize(
    "text", ["x", "", "01", " 1", "1 ", "+1", "-0", "1e3", "9" * 20]
)
def test_not_an_integer(config, text):
    assert refusal(config, ("timeout", text)) == FAILED.format(
        "timeout", "argument couldn't be parsed into an integer"
    )


def test_bounds(config):
    assert refusal(config, ("maxmemory-samples", "0")) == FAILED.format(
        "maxmemory-samples", "argument must be between 1 and 2147483647 inclusive"
    )
    assert refusal(config, ("proto-max-bulk-len", "1")) == FAILED.format(
        "proto-max-bulk-len",
        "argument must be between 1048576 and 9223372036854775807 inclusive",
    )


def test_hz_and_the_backlog_are_moved_into_their_range(config):
    for given, kept in (("0", 1), ("600", 500), ("50", 50)):
        config.set([("hz", given)])
        assert config.values["hz"] == kept
    config.set([("repl-backlog-size", "100")])
    assert config.values["repl-backlog-size"] == 16384


def test_yes_and_no_in_any_case(config):
    config.set([("lazyfree-lazy-expire", "YES")])
    assert config.values["lazyfree-lazy-expire"] is True
    assert config.text("lazyfree-lazy-expire") == "yes"
    assert refusal(config, ("lazyfree-lazy-expire", "true")) == FAILED.format(
        "lazyfree-lazy-expire", "argument must be 'yes' or 'no'"
    )


def test_words(config):
    config.set([("maxmemory-policy", "ALLKEYS-lru"), ("loglevel", "nothing")])
    assert config.values["maxmemory-policy"] == "allkeys-lru"
    assert refusal(config, ("appendfsync", "maybe")) == FAILED.format(
        "appendfsync", "argument(s) must be one of the following: everysec, always, no"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [("900 1 60 10000", None), ("", None), ("+900 1", "900 1"), ("9 ", "9 0")],
)
def test_save(config, text, shown):
    config.set([("save", text)])
    assert config.text("save") == (text if shown is None else shown)


@pytest.mark.parametrize("text", ["x", "1 2 3", "0 1", "900 -1", "900  1", " 900 1"])
def test_not_save_points(config, text):
    assert refusal(config, ("save", text)) == FAILED.format(
        "save", "Invalid save parameters"
    )


def test_client_output_buffer_limits_keep_the_other_classes(config):
    name = "client-output-buffer-limit"
    config.set([(name, "replica 1mb 2 3 NORMAL 4 5 6")])
    assert (
        config.text(name) == "normal 4 5 6 slave 1048576 2 3 pubsub 33554432 8388608 60"
    )
    for text, reason in {
        "foo": "Wrong number of arguments in buffer limit configuration.",
        "foo 1 2 3": "Invalid client class specified in buffer limit configuration.",
        "normal x 2 3": "Error in hard, soft or soft_seconds setting in buffer limit "
        "configuration.",
    }.items():
        assert refusal(config, (name, text)) == FAILED.format(name, reason)


def test_no_word_is_a_zero(config):
    name = "client-output-buffer-limit"
    config.set([(name, "normal 1 1 "), ("oom-score-adj-values", " 1 ")])
    config.set([(name, "")])
    assert config.text(name).startswith("normal 1 1 0 ")
    assert config.text("oom-score-adj-values") == "0 1 0"


def test_values_end_at_a_zero_byte(config):
    config.set([("appendfsync", "no\0x"), ("maxmemory", "1mb\0x")])
    assert config.text("appendfsync") == "no"
    assert config.values["maxmemory"] == 1 << 20
    config.set([("masterauth", "a\0b")])
    assert config.text("masterauth") == "a\0b"
    assert refusal(config, ("timeout", "5\0")).endswith("parsed into an integer")
    assert refusal(config, ("no\0pe", "5")).endswith("CONFIG SET - 'no'")


def test_memory_of_clients_that_is_too_large_is_a_percentage(config):
    config.set([("maxmemory-clients", str((1 << 64) - 100))])
    assert config.text("maxmemory-clients") == "100%"
    assert refusal(config, ("maxmemory-clients", str(1 << 63))) == FAILED.format(
        "maxmemory-clients", "percentage argument must be less or equal to 100"
    )


def test_percentages(config):
    config.set([("maxmemory-clients", "10%")])
    assert config.text("maxmemory-clients") == "10%"
    config.set([("maxmemory-clients", "1kb")])
    assert config.text("maxmemory-clients") == "1024"
    assert refusal(config, ("maxmemory-clients", "101%")) == FAILED.format(
        "maxmemory-clients", "percentage argument must be less or equal to 100"
    )
    assert refusal(config, ("maxmemory-clients", "-5%")) == FAILED.format(
        "maxmemory-clients", "argument must be a memory or percent value"
    )


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        (
            "oom-score-adj-values",
            "1 2 9999",
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        ),
        (
            "latency-tracking-info-percentiles",
            "50 x",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        (
            "latency-tracking-info-percentiles",
            "101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        (
            "shutdown-on-sigterm",
            "save nosave",
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        (
            "proc-title-template",
            "{title} {x}",
            "template format is invalid or contains unknown variables",
        ),
        (
            "cluster-announce-hostname",
            "a b",
            "Hostnames may only contain alphanumeric characters, hyphens or dots",
        ),
        (
            "notify-keyspace-events",
            "Q",
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
    ],
)
def test_rules_of_their_own(config, name, text, reason):
    assert refusal(config, (name, text)) == FAILED.format(name, reason)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("oom-score-adj-values", "01 2 -3", "1 2 -3"),
        ("latency-tracking-info-percentiles", "1e1 33.333333333 50", "10 33.333333 50"),
        ("shutdown-on-sigterm", "FORCE now", "now force"),
        ("shutdown-on-sigterm", "default", "default"),
        ("proc-title-template", "a{title}", "a{title}"),
        ("notify-keyspace-events", "KEAmn", "AKEm"),
        ("notify-keyspace-events", "KEg$lshzxet", "g$lshzxetKE"),
    ],
)
def test_values_are_shown_as_redis_shows_them(config, name, text, shown):
    config.set([(name, text)])
    assert config.text(name) == shown


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
def test_every_default_can_be_read_back(parameter):
    shown = parameter.show(parameter.default)
    with contextlib.suppress(ResponseError):
        assert parameter.parse(shown, parameter.default) == parameter.default
        return
    assert (
        parameter.name == "dir"
    )  # it has to exist, and is known when the engine starts


# -- getting


def test_get_several_patterns(config):
    assert list(config.get(b"hz", b"set-max-l*", b"HZ")) == [
        b"hz",
        b"set-max-listpack-entries",
        b"set-max-listpack-value",
    ]


def test_a_name_comes_back_in_the_callers_spelling(config):
    assert config.get(b"MaxMemory") == {b"MaxMemory": b"0"}
    assert config.get(b"slave-read-only") == {b"slave-read-only": b"yes"}
    assert config.get(b"no-such") == {}


def test_hidden_ones_are_found_by_name_only(config):
    assert config.get(b"watchdog-period") == {b"watchdog-period": b"0"}
    assert config.get(b"watchdog*") == {}


def test_an_alias_is_the_same_value(config):
    config.set([("hash-max-ziplist-entries", "5")])
    assert config.get(b"hash-max-*-entries") == {
        b"hash-max-listpack-entries": b"5",
        b"hash-max-ziplist-entries": b"5",
    }


# -- setting


def test_all_or_nothing(config):
    assert refusal(config, ("hz", "20"), ("timeout", "x")).startswith("ERR CONFIG SET")
    assert config.values["hz"] == 10


def test_unknown(config):
    assert refusal(config, ("hz", "20"), ("NoSuch", "1")) == (
        "ERR Unknown option or number of arguments for CONFIG SET - 'NoSuch'"
    )
    assert config.values["hz"] == 10


def test_twice_the_same(config):
    assert refusal(config, ("hz", "1"), ("HZ", "2")) == FAILED.format(
        "HZ", "duplicate parameter"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("databases", "can't set immutable config"),
        ("dir", "can't set protected config"),
    ],
)
def test_what_cannot_change(config, name, reason):
    assert refusal(config, (name, "1")) == FAILED.format(name, reason)


def test_protected_ones_can_be_opened(tmp_path):
    config = Config(16)
    config.set_initial({"enable_protected_configs": "local"})
    config.set([("dir", str(tmp_path)), ("dbfilename", "x.rdb")])
    assert config.text("dir") == str(tmp_path)
    assert refusal(config, ("dir", str(tmp_path / "none"))) == FAILED.format(
        "dir", "No such file or directory"
    )


# -- watchers


def test_watchers_hear_the_value_now_and_when_it_changes(config):
    heard = []
    config.on_change("hz", heard.append)
    config.set([("hz", "20")])
    config.set([("hz", "20")])
    assert heard == [10, 20]


def test_a_veto_undoes_everything(config):
    heard = []

    def veto(value):
        heard.append(value)
        if value == 5:
            config.values["maxmemory"] = 1
            raise ResponseError("not that one")

    config.on_change("hz", heard.append)
    config.on_change("timeout", veto)
    assert refusal(config, ("hz", "20"), ("timeout", "5")) == FAILED.format(
        "timeout", "not that one"
    )
    assert (config.values["hz"], config.values["timeout"]) == (10, 0)
    assert config.values["maxmemory"] == 0
    assert heard == [10, 0, 20, 5, 0, 10]


def test_an_interrupt_undoes_everything(config):
    def struck(value):
        if value == 5:
            raise KeyboardInterrupt

    config.on_change("timeout", struck)
    with pytest.raises(KeyboardInterrupt):
        config.set([("hz", "20"), ("timeout", "5")])
    assert (config.values["hz"], config.values["timeout"]) == (10, 0)


def test_other_layers_add_their_own(config):
    config.add([integer("redisgears_2.lock-redis-timeout", 500, 100, 10**9)])
    config.set([("redisgears_2.lock-redis-timeout", "600")])
    assert config.get(b"redisgears_2.*") == {b"redisgears_2.lock-redis-timeout": b"600"}
    assert refusal(config, ("redisgears_2.lock-redis-timeout", "1")) == FAILED.format(
        "redisgears_2.lock-redis-timeout",
        "argument must be between 100 and 1000000000 inclusive",
    )


# -- a new engine


def test_parameters_of_a_new_engine():
    with trignb.Engine(
        maxmemory="100mb", hz=20, lazyfree_lazy_expire=True, io_threads=4
    ) as engine:
        assert engine.execute("CONFIG", "GET", "maxmemory", "hz", "io-threads") == {
            b"maxmemory": b"104857600",
            b"hz": b"20",
            b"io-threads": b"4",
        }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"no_such": 1},
            "Unknown option or number of arguments for CONFIG SET - 'no_such'",
        ),
        ({"hz": "x"}, "argument couldn't be parsed into an integer"),
    ],
)
def test_a_new_engine_refuses(given, message):
    with pytest.raises(ResponseError, match=message):
        trignb.Engine(**given)


def test_databases_are_told(engine):
    assert engine.execute("CONFIG", "GET", "databases") == {b"databases": b"16"}
    with trignb.Engine(databases=3) as small:
        assert small.execute("CONFIG", "GET", "databases") == {b"databases": b"3"}


@pytest.mark.oracle
@pytest.mark.usefixtures("oracle")
def test_names_and_defaults_are_redis_own():
    # Other tests may have changed those of the server they share.
    with RedisServer() as server:
        theirs = server.connect(3).execute("CONFIG", "GET", "*")
    with trignb.Engine() as engine:
        ours = engine.execute("CONFIG", "GET", "*")
    # What the oracle was started with, and what depends on the machine.
    told = {
        b"port",
        b"bind",
        b"dir",
        b"save",
        b"enable-debug-command",
        b"hz",
        b"dynamic-hz",
    }
    told |= {b"repl-diskless-sync-delay", b"repl-ping-replica-period", b"repl-timeout"}
    told |= {b"repl-ping-slave-period", b"logfile", b"notify-keyspace-events"}
    differing = {
        name: (value, ours.get(name))
        for name, value in theirs.items()
        if name not in told and ours.get(name) != value
    }
    assert differing == {}


@pytest.mark.parametrize("name", ["server_cpulist", "aof_rewrite_cpulist"])
def test_names_with_an_underscore_are_spelled_as_in_redis(name):
    with trignb.Engine(**{name: "0-1"}) as engine:
        told = engine.execute("CONFIG", "GET", "*cpulist")
        assert told[name.encode()] == b"0-1"
        assert len(told) == 4
