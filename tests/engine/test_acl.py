"""Users: rules, what they allow, whom they concern."""

from __future__ import annotations

from pathlib import Path

import pytest

import trignb


def login(engine: trignb.Engine, name: str, *rules: str) -> trignb.Session:
    """Make a user and return a session of it."""
    engine.execute("ACL", "SETUSER", name, "on", ">pw", *rules)
    session = engine.session()
    session.execute("AUTH", name, "pw")
    return session


def test_default_user(engine: trignb.Engine) -> None:
    assert engine.execute("ACL", "WHOAMI") == b"default"
    everything = b"user default on nopass sanitize-payload ~* &* +@all"
    assert engine.execute("ACL", "LIST") == [everything]
    assert engine.core.permission is None


def test_rules_are_all_or_none(engine: trignb.Engine) -> None:
    engine.execute("ACL", "SETUSER", "ann", "on", "+get")
    before = engine.execute("ACL", "GETUSER", "ann")
    with pytest.raises(trignb.ResponseError, match="modifier '\\+nothing'"):
        engine.execute("ACL", "SETUSER", "ann", "off", "+set", "+nothing")
    assert engine.execute("ACL", "GETUSER", "ann") == before


def test_commands_keys_and_channels(engine: trignb.Engine) -> None:
    ann = login(engine, "ann", "+get", "+publish", "%R~r*", "&news")
    engine.execute("SET", "r1", "v")
    assert ann.execute("GET", "r1") == b"v"
    assert ann.execute("PUBLISH", "news", "m") == 0
    for call, text in (
        (("SET", "r1", "x"), "User ann has no permissions to run the 'set' command"),
        (("GET", "x"), "No permissions to access a key"),
        (("PUBLISH", "other", "m"), "No permissions to access a channel"),
    ):
        with pytest.raises(trignb.ResponseError) as caught:
            ann.execute(*call)
        assert str(caught.value) == f"NOPERM {text}"
    assert engine.execute("GET", "r1") == b"v"


def test_selectors_are_tried_one_after_the_other(engine: trignb.Engine) -> None:
    ann = login(engine, "ann", "+get", "~a*", "(+set ~b*)")
    assert ann.execute("SET", "b1", "v") == "OK"
    with pytest.raises(trignb.ResponseError, match="^NOPERM"):
        ann.execute("SET", "a1", "v")


def test_refused_in_a_transaction(engine: trignb.Engine) -> None:
    ann = login(engine, "ann", "+multi", "+exec", "+get", "~*")
    ann.execute("MULTI")
    with pytest.raises(trignb.ResponseError, match="^NOPERM"):
        ann.execute("SET", "k", "v")
    with pytest.raises(trignb.ResponseError, match="^EXECABORT"):
        ann.execute("EXEC")


def test_checked_again_at_exec(engine: trignb.Engine) -> None:
    ann = login(engine, "ann", "+multi", "+exec", "+set", "~*")
    ann.execute("MULTI")
    ann.execute("SET", "k", "v")
    engine.execute("ACL", "SETUSER", "ann", "-set")
    (error,) = ann.execute("EXEC")
    assert str(error).startswith("NOPERM ACLs rules changed between the moment")


def test_wrong_password_is_logged(engine: trignb.Engine) -> None:
    session = engine.session()
    for _ in range(2):
        with pytest.raises(trignb.ResponseError, match="^WRONGPASS"):
            session.execute("AUTH", "nobody", "x")
    (entry,) = engine.execute("ACL", "LOG")
    assert (entry[b"count"], entry[b"reason"], entry[b"username"]) == (
        2,
        b"auth",
        b"nobody",
    )
    engine.execute("ACL", "LOG", "RESET")
    assert engine.execute("ACL", "LOG") == []


def test_requirepass_is_the_default_users_password(engine: trignb.Engine) -> None:
    engine.execute("CONFIG", "SET", "requirepass", "secret")
    session = engine.session()
    with pytest.raises(trignb.ResponseError, match="^NOAUTH"):
        session.execute("GET", "k")
    session.execute("AUTH", "secret")
    assert session.execute("GET", "k") is None


def test_a_deleted_users_clients_are_closed(engine: trignb.Engine) -> None:
    ann = login(engine, "ann", "+@all", "~*")
    assert engine.execute("ACL", "DELUSER", "ann", "nobody") == 1
    with pytest.raises(trignb.EngineClosed):
        ann.execute("PING")


def test_scripts_run_as_their_caller(engine: trignb.Engine) -> None:
    ann = login(engine, "ann", "+eval", "+get", "~a*")
    with pytest.raises(trignb.ResponseError, match="NOPERM"):
        ann.execute("EVAL", "return redis.call('get', 'b')", 0)
    assert ann.execute("EVAL", "return redis.acl_check_cmd('set','a','1')", 0) is None
    assert ann.execute("EVAL", "return redis.acl_check_cmd('get','a')", 0) == 1


def test_functions_run_as_caller_and_triggers_as_loader(engine: trignb.Engine) -> None:
    ann = login(engine, "ann", "+@all", "~a*")
    ann.execute(
        "TFUNCTION",
        "LOAD",
        "#!js api_version=1.0 name=lib\n"
        "redis.registerFunction('get', (c, k) => c.call('get', k));\n"
        "redis.registerKeySpaceTrigger('t', '', (c, d) => c.call('incr', 'a-count'));",
    )
    with pytest.raises(
        trignb.ResponseError, match="^NOPERM No permissions to access a key"
    ):
        ann.execute("TFCALL", "lib.get", 0, "b")
    assert engine.execute("TFCALL", "lib.get", 0, "b") is None
    engine.execute("SET", "a1", "v")
    engine.execute("SET", "b1", "v")
    row = engine.triggers().loc[("lib", "t")]
    assert (row["num_success"], row["num_failed"]) == (1, 1)
    assert row["last_error"] == (
        "User 'ann' has no permissions on key 'b1', "
        "User does not have permissions on key."
    )


def test_acl_file(tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    with trignb.Engine(aclfile=str(path)) as engine:
        engine.execute("ACL", "SETUSER", "ann", "on", ">pw", "+get", "~a*")
        assert engine.execute("ACL", "SAVE") == "OK"
        engine.execute("ACL", "DELUSER", "ann")
        assert engine.execute("ACL", "LOAD") == "OK"
        assert b"ann" in engine.execute("ACL", "USERS")
        before = engine.execute("ACL", "LIST")
        path.write_text("user bob +nothing\n")
        with pytest.raises(trignb.ResponseError, match="no change to the previously"):
            engine.execute("ACL", "LOAD")
        assert engine.execute("ACL", "LIST") == before


def test_genpass(engine: trignb.Engine) -> None:
    assert len(engine.execute("ACL", "GENPASS")) == 64
    assert len(engine.execute("ACL", "GENPASS", 5)) == 2
