"""What replicas and the AOF hear: effects, one batch per unit, loads in their own form."""

from __future__ import annotations

import pytest

from functions.libraries import error_of, lib
from trignb.engine.core import NO_DB

FUNCTION = "redis.registerFunction('f', (client, ...args) => client.call(...args));"


@pytest.fixture
def batches(engine) -> list:
    batches: list = []
    engine.core.sinks.append(batches.append)
    engine.core.sinks_changed()
    return batches


def words(batches) -> list[str]:
    """Return each batch as one text."""
    return [
        "; ".join(" ".join(a.decode() for a in args) for _, args in batch)
        for batch in batches
    ]


def test_a_trigger_s_effects_go_with_the_command(engine, load, batches) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'n'); });
redis.registerKeySpaceTrigger('quiet', 'q', c => { c.call('get', 'n'); });"""
    )
    batches.clear()
    engine.execute("SET", "k", "v")
    engine.execute("SET", "q", "v")
    engine.execute("GET", "k")
    assert words(batches) == ["MULTI; SET k v; incr n; EXEC", "SET q v"]


def test_a_transaction_is_one_batch(engine, load, batches) -> None:
    load("redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'n'); });")
    batches.clear()
    engine.execute("MULTI")
    engine.execute("SET", "k1", "v")
    engine.execute("SET", "k2", "v")
    engine.execute("EXEC")
    assert words(batches) == ["MULTI; SET k1 v; SET k2 v; incr n; incr n; EXEC"]


def test_a_trigger_of_a_read(engine, load, batches) -> None:
    load("redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'n'); });")
    batches.clear()
    engine.execute("GET", "k")
    assert words(batches) == ["incr n"]


def test_an_expired_key_and_its_trigger(engine, load, batches) -> None:
    load(
        "redis.registerKeySpaceTrigger('t', 'k', (c, data) => { c.call('incr', data.event); });"
    )
    engine.execute("SET", "k", "v", "PX", 5)
    batches.clear()
    engine.clock.advance(milliseconds=10)
    assert words(batches) == ["MULTI; DEL k; incr expired; EXEC"]


def test_the_database_of_the_event(engine, load, batches) -> None:
    load("redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'n'); });")
    batches.clear()
    session = engine.session()
    session.execute("SELECT", 4)
    session.execute("SET", "k", "v")
    # The frame of a transaction belongs to no database.
    assert [db for db, _ in batches[0]] == [NO_DB, 4, 4, NO_DB]


def test_functions_propagate_their_effects_only(engine, load, batches) -> None:
    load(
        FUNCTION
        + """redis.registerFunction('two', c => { c.call('set', 'a', '1'); c.call('set', 'b', '2'); });
redis.registerFunction('fails', c => { c.call('set', 'c', '3'); throw 'x'; });"""
    )
    batches.clear()
    engine.call("lib.f", (), ("get", "x"))
    engine.call("lib.f", (), ("set", "k", "v"))
    engine.call("lib.two")
    error_of(engine.call, "lib.fails")
    engine.execute("MULTI")
    engine.execute("TFCALL", "lib.f", 0, "incr", "n")
    engine.execute("EXEC")
    assert words(batches) == [
        "set k v",
        "MULTI; set a 1; set b 2; EXEC",
        "set c 3",
        "incr n",
    ]


def test_loads_and_deletes(engine, batches) -> None:
    code = lib(FUNCTION)
    engine.execute("TFUNCTION", "LOAD", code)
    engine.execute("TFUNCTION", "LOAD", "REPLACE", "CONFIG", '{"a":1}', code)
    error_of(engine.execute, "TFUNCTION", "LOAD", code)
    engine.execute("TFUNCTION", "LIST")
    engine.execute("TFUNCTION", "DELETE", "lib")
    load = "_rg_internals.function load"
    assert words(batches) == [
        f"{load} USER default {code}",
        f'{load} REPLACE CONFIG {{"a":1}} USER default {code}',
        "_rg_internals.function del lib",
    ]


INTERNAL = "Internal command should only be sent from primary or loaded from AOF"


def test_internal_commands(engine) -> None:
    run = engine.execute
    code = lib("redis.registerStreamTrigger('s', 'p', () => 1);")
    position = ("_rg_internals.update_stream_last_read_id", "lib", "s", "p1", "5", "6")
    load = ("_rg_internals.function", "load", "USER", "default", code)
    assert error_of(run, *load) == INTERNAL
    assert error_of(run, *position) == INTERNAL
    assert error_of(run, *position[:-1]) == (
        "ERR wrong number of arguments for "
        "'_rg_internals.update_stream_last_read_id' command"
    )
    engine.core.is_loading = True
    assert error_of(run, *position) == "No such library 'lib'"
    assert run(*load) == "OK"
    assert run(*load) == "OK"
    assert error_of(run, *position[:2], "no", *position[3:]) == "No such consumer 'no'"
    assert run(*position) == "OK"
    (library,) = run("TFUNCTION", "LIST", "vv")
    (stream,) = library[b"stream_triggers"][0][b"streams"]
    assert (stream[b"name"], stream[b"id_to_read_from"]) == (b"p1", b"5-6")
    assert run("_rg_internals.function", "del", "lib") == "OK"
    assert run("_rg_internals.function", "del", "lib") == "OK"


def test_the_keys_of_the_internal_command(engine) -> None:
    facts = engine.core.table.by_name["_rg_internals.update_stream_last_read_id"].facts
    assert (facts.arity, facts.first_key, facts.last_key, facts.key_step) == (
        6,
        3,
        3,
        1,
    )


def test_a_script_that_fails_half_way_keeps_the_trigger_s_first_effect(
    engine, load, batches
) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', c => {
    c.call('incr', 'n'); c.call('incr', 'm'); });"""
    )
    batches.clear()
    script = "redis.call('set', 'k', 'v') return redis.call('incr', 'k')"
    assert "not an integer" in error_of(engine.execute, "EVAL", script, 0)
    assert words(batches) == ["MULTI; set k v; incr n; incr m; EXEC"]
