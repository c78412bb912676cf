"""Access notes: idle times and LFU counters."""

from __future__ import annotations

import pytest

import trignb
from trignb.engine.chance import Chance


def run(engine, *commands):
    return [engine.execute(*command.split()) for command in commands][-1]


def set_policy(engine, policy):
    engine.core.config.set([("maxmemory-policy", policy)])


def test_nothing_is_noted_until_somebody_asks(engine):
    run(engine, "SET k v", "GET k")
    assert not engine.core.access.is_on
    assert engine.core.gates == []
    assert run(engine, "OBJECT IDLETIME k") == 0
    assert engine.core.access.is_on


def test_idle_time_from_the_first_question_on(engine):
    run(engine, "MSET a 1 b 2 c 3", "OBJECT IDLETIME a")
    engine.clock.advance(10)
    run(engine, "GET a")
    engine.clock.advance(5)
    assert run(engine, "OBJECT IDLETIME a") == 5
    assert run(engine, "OBJECT IDLETIME b") == 15
    assert run(engine, "TOUCH b", "OBJECT IDLETIME b") == 0


@pytest.mark.parametrize(
    "command", ["TTL k", "PTTL k", "TYPE k", "EXISTS k", "OBJECT ENCODING k", "KEYS *"]
)
def test_a_mere_look_is_no_use(engine, command):
    set_policy(engine, "allkeys-lru")
    run(engine, "SET k v")
    engine.clock.advance(10)
    run(engine, command)
    assert run(engine, "OBJECT IDLETIME k") == 10


def test_a_client_that_does_not_touch(engine, session):
    set_policy(engine, "allkeys-lru")
    run(engine, "SET k v")
    engine.clock.advance(10)
    session.no_touch = True
    session.execute("GET", "k")
    assert run(engine, "OBJECT IDLETIME k") == 10
    session.execute("TOUCH", "k")
    assert run(engine, "OBJECT IDLETIME k") == 0


def test_every_key_of_a_command_is_noted(engine):
    set_policy(engine, "volatile-lru")
    run(engine, "MSET a 1 b 2 c 3")
    engine.clock.advance(10)
    run(engine, "MGET a b")
    idle = [run(engine, f"OBJECT IDLETIME {key}") for key in "abc"]
    assert idle == [0, 0, 10]


def test_restore_may_say_how_idle_a_key_is(engine):
    payload = run(engine, "SET k v", "DUMP k")
    engine.execute("RESTORE", "j", "0", payload, "IDLETIME", "100")
    assert run(engine, "OBJECT IDLETIME j") == 100
    set_policy(engine, "allkeys-lfu")
    engine.execute("RESTORE", "j", "0", payload, "FREQ", "77", "REPLACE")
    assert run(engine, "OBJECT FREQ j") == 77


def test_frequency_grows_slowly_and_decays(engine):
    engine.core.chance = Chance(3)
    set_policy(engine, "allkeys-lfu")
    run(engine, "SET k v")
    assert run(engine, "OBJECT FREQ k") == 5
    for _ in range(1000):
        run(engine, "GET k")
    often = run(engine, "OBJECT FREQ k")
    assert 10 < often < 40
    engine.clock.advance(3 * 60)
    assert run(engine, "OBJECT FREQ k") == often - 3
    engine.core.config.set([("lfu-decay-time", "0")])
    assert run(engine, "OBJECT FREQ k") == often


def test_idle_time_and_frequency_exclude_each_other(engine):
    set_policy(engine, "allkeys-lfu")
    run(engine, "SET k v")
    with pytest.raises(trignb.ResponseError, match=r"^ERR An LFU maxmemory policy is "):
        run(engine, "OBJECT IDLETIME k")


def test_notes_of_deleted_keys_are_thrown_away(engine):
    set_policy(engine, "allkeys-lru")
    for i in range(3000):
        run(engine, f"SET {i} v", f"DEL {i}")
    assert len(engine.core.access._used[0]) < 1200


@pytest.mark.parametrize("command", ["COPY k c REPLACE", "RENAME k c"])
def test_a_client_that_does_not_touch_makes_new_keys(engine, session, command):
    set_policy(engine, "allkeys-lru")
    run(engine, "MSET k v c v")
    engine.clock.advance(10)
    session.no_touch = True
    session.execute(*command.split())
    assert run(engine, "OBJECT IDLETIME c") == 0


def test_a_script_uses_the_keys_its_commands_use(engine):
    set_policy(engine, "allkeys-lru")
    run(engine, "MSET k v c v")
    engine.clock.advance(10)
    script = "redis.call('exists', KEYS[1]) return redis.call('get', KEYS[2])"
    assert engine.execute("EVAL", script, "2", "k", "c") == b"v"
    assert run(engine, "OBJECT IDLETIME k") == 10
    assert run(engine, "OBJECT IDLETIME c") == 0


def test_rest_before_the_first_question_counts_where_a_server_looks(engine):
    access = engine.core.access
    run(engine, "SET k v")
    access.sample()
    engine.clock.advance(10)
    run(engine, "TTL k", "EXISTS k", "PING")
    access.sample()
    engine.clock.advance(5)
    assert run(engine, "OBJECT IDLETIME k") == 15


def test_use_between_two_looks_of_a_server_is_use(engine):
    access = engine.core.access
    run(engine, "SET k v")
    access.sample()
    engine.clock.advance(10)
    run(engine, "GET k")
    assert run(engine, "OBJECT IDLETIME k") == 0


def test_a_restored_value_inherits_nothing(engine):
    set_policy(engine, "allkeys-lfu")
    run(engine, "CONFIG SET lfu-decay-time 0 lfu-log-factor 0", "SET k v")
    payload = engine.execute("DUMP", "k")
    engine.execute("RESTORE", "k", "0", payload, "REPLACE", "FREQ", "100")
    assert run(engine, "OBJECT FREQ k") == 100
    engine.execute("RESTORE", "k", "0", payload, "REPLACE")
    assert run(engine, "OBJECT FREQ k") == 5
    engine.execute("RESTORE", "k", "0", payload, "REPLACE", "IDLETIME", "1000")
    assert run(engine, "OBJECT FREQ k") == 5
    set_policy(engine, "allkeys-lru")
    assert run(engine, "OBJECT IDLETIME k") == 0
    engine.execute("RESTORE", "k", "0", payload, "REPLACE", "FREQ", "9")
    engine.clock.advance(5)
    assert run(engine, "OBJECT IDLETIME k") == 5
