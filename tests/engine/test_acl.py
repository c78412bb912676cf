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
    with pytest.raises(
        trignb.ResponseError,
        match="^ERR ACL failure in script: No permissions to access a key script: ",
    ):
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


@pytest.mark.parametrize(
    "call",
    [
        ("SORT", "pub:l", "BY", "secret:*", "ALPHA"),
        ("SORT", "pub:l", "BY", "nosort", "GET", "secret:*"),
        ("SORT", "pub:l", "BY", "nosort", "GET", "#"),
        ("SORT_RO", "pub:l", "GET", "secret:*"),
    ],
)
def test_patterns_of_sort_want_a_user_who_may_read_every_key(
    engine: trignb.Engine, call: tuple[str, ...]
) -> None:
    engine.execute("RPUSH", "pub:l", "1")
    engine.load(
        "#!js api_version=1.0 name=l\n"
        "redis.registerFunction('run', (c, ...a) => c.call(...a));"
    )
    ann = login(engine, "ann", "+@all", "~pub:*")
    script = f"return redis.call({', '.join(map(repr, call))})"
    for way in (call, ("EVAL", script, "0"), ("TFCALL", "l.run", "0", *call)):
        with pytest.raises(
            trignb.ResponseError, match="of SORT denied due to insufficient ACL perm"
        ):
            ann.execute(*way)
    engine.execute("ACL", "SETUSER", "ann", "%R~*")
    assert len(ann.execute(*call)) == 1


def test_names_need_not_be_text(engine: trignb.Engine) -> None:
    engine.execute("ACL", "SETUSER", b"\xff", "on", "nopass")
    session = engine.session()
    session.execute("AUTH", b"\xff", "any")
    with pytest.raises(trignb.ResponseError, match="^NOPERM"):
        session.execute("GET", "k")
    (entry,) = engine.execute("ACL", "LOG")
    assert entry[b"username"] == b"\xff"


def test_patterns_without_a_right_are_refused(engine: trignb.Engine) -> None:
    # 7.2.4 takes them and ends when it has to show them.
    for rule in ("%", "%~x", "%X~x", "%RR~x"):
        with pytest.raises(trignb.ResponseError, match=": Syntax error$"):
            engine.execute("ACL", "SETUSER", "ann", rule)
