"""Who changed a key last, and what is said where that is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import trignb
from functions.libraries import eventually, lib

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def noted(engine: trignb.Engine) -> trignb.Engine:
    """An engine that notes notifications and commands."""
    engine.notifications()
    engine.commands()
    return engine


@pytest.fixture
def client(noted: trignb.Engine) -> Iterator[trignb.Session]:
    session = noted.session(name="me")
    yield session
    session.close()


def lines(explanation: Any) -> list[str]:
    return str(repr(explanation)).split("\n")


def test_a_client(noted: trignb.Engine, client: trignb.Session) -> None:
    client.execute("SET", "k", "v")
    client.execute("GET", "k")
    client.execute("SET", "other", "v")
    assert lines(noted.explain("k")) == ["me> SET k v", "└─ event set k"]


def test_a_transaction_and_a_script(
    noted: trignb.Engine, client: trignb.Session
) -> None:
    for words in (["MULTI"], ["SET", "a", "1"], ["EXEC"]):
        client.execute(*words)
    client.execute("EVAL", "redis.call('set', KEYS[1], '1')", 1, "b")
    assert lines(noted.explain("a")) == ["me> EXEC", "└─ SET a 1", "   └─ event set a"]
    assert lines(noted.explain("b"))[1:] == ["└─ set b 1", "   └─ event set b"]


def test_a_chain_of_triggers(noted: trignb.Engine, client: trignb.Session) -> None:
    noted.load(
        lib("""redis.registerKeySpaceTrigger('one', 'k', (client, data) => {
        client.call('xadd', 's', '1-1', 'f', 'v');
    });
    redis.registerKeySpaceTrigger('two', 'k', () => {});
    redis.registerStreamTrigger('three', 's', (client) => { client.call('incr', 'n'); });""")
    )
    client.execute("SET", "k", "v")
    explanation = noted.explain("n")
    assert lines(explanation) == [
        "me> SET k v",
        "└─ event set k",
        "   └─ trigger lib.one: ok",
        "      └─ xadd s 1-1 f v",
        "         └─ event xadd s",
        "            └─ stream trigger lib.three: ok",
        "               └─ incr n",
        "                  └─ event incrby n",
    ]
    frame = explanation.df()
    assert frame["depth"].tolist() == list(range(8))
    assert frame["trigger"].dropna().tolist() == ["one", "three"]
    assert frame["client"].dropna().iloc[0] == "me"
    assert "<details open>" in explanation._repr_html_()


def test_functions_and_background_work(
    noted: trignb.Engine, client: trignb.Session
) -> None:
    noted.load(
        lib("""redis.registerFunction('f', (client) => client.call('incr', 'n'));
    redis.registerKeySpaceTrigger('later', 'k', async (client) => {
        client.block(c => c.call('incr', 'm'));
    });""")
    )
    client.execute("TFCALL", "lib.f", 0)
    assert lines(noted.explain("n")) == [
        "me> TFCALL lib.f 0",
        "└─ incr n",
        "   └─ event incrby n",
    ]
    client.execute("SET", "k", "v")
    eventually(lambda: noted.execute("GET", "m") == b"1")
    assert lines(noted.explain("m")) == [
        "code of lib.later",
        "└─ incr m",
        "   └─ event incrby m",
    ]


def test_without_the_command_log_the_caller_is_not_known(engine: trignb.Engine) -> None:
    engine.load(lib("redis.registerFunction('f', c => c.call('incr', 'n'));"))
    engine.execute("TFCALL", "lib.f", 0)
    assert lines(engine.explain("n"))[0] == "code of lib"


def test_keys_that_went(noted: trignb.Engine, client: trignb.Session) -> None:
    client.execute("SET", "k", "v", "PX", 10)
    noted.clock.advance(1)
    assert lines(noted.explain("k")) == ["expired k", "└─ event expired k"]
    client.execute("SET", "k", "v")
    client.execute("DEL", "k")
    assert lines(noted.explain("k")) == ["me> DEL k", "└─ event del k"]


def test_what_has_no_event_is_said(
    noted: trignb.Engine, client: trignb.Session
) -> None:
    client.execute("SET", "k", "v")
    snapshot = noted.snapshot()
    client.execute("FLUSHALL")
    assert lines(noted.explain("k"))[-1] == (
        "k is gone since, without an event: FLUSHALL, FLUSHDB, SWAPDB, a snapshot or a "
        "file do that"
    )
    client.execute("SET", "k", "v")
    client.execute("DEL", "k")
    noted.restore(snapshot)
    assert lines(noted.explain("k"))[-1].startswith("k is there again since")


def test_what_is_not_known_and_how_to_know_it(engine: trignb.Engine) -> None:
    engine.execute("SET", "k", "v")
    unknown = engine.explain("k")
    assert not unknown.is_known
    assert repr(unknown) == (
        "k: nothing is noted: engine.notifications() (%tf notifications) starts the log"
    )
    assert "nothing is noted" in unknown._repr_html_()
    assert len(unknown.df()) == 0
    engine.notifications()
    assert repr(engine.explain("k")) == (
        "k: not among the 0 events noted; it was changed before them"
    )
    assert repr(engine.explain("none")).endswith("it is not there")
    engine.execute("SET", "k", "w")
    assert engine.explain("k").is_known


def test_a_log_that_was_cut_or_switched_off(client: trignb.Session) -> None:
    engine = trignb.Engine(log_size=2)
    with engine:
        engine.load(
            lib("""redis.registerKeySpaceTrigger('t', 'k', (client) => {
            for (let i = 0; i < 3; i++) client.call('incr', 'n');
        });""")
        )
        engine.execute("SET", "k", "v")
        shown = lines(engine.explain("n"))
        assert shown[-1] == "what led there is no longer in the log"
        assert shown[0] == "trigger lib.t: ok"
        engine.core.record_notifications(0)
        assert not engine.explain("n").is_known


def test_passwords_and_long_arguments(
    noted: trignb.Engine, client: trignb.Session
) -> None:
    client.execute("SET", "k", "x" * 500)
    assert lines(noted.explain(b"k"))[0] == f"me> SET k {'x' * 200}…(+300 bytes)"


def test_databases(noted: trignb.Engine, client: trignb.Session) -> None:
    client.execute("SELECT", 2)
    client.execute("SET", "k", "v")
    assert not noted.explain("k").is_known
    assert lines(noted.explain("k", db=2)) == ["me> [2] SET k v", "└─ event set [2] k"]
    with pytest.raises(ValueError, match="db is 0 to 15"):
        noted.explain("k", db=16)
