"""What goes over the wire: byte for byte (docs/semantics.md, On the wire)."""

from __future__ import annotations

import pytest

from functions.libraries import error_of, lib, listed
from trignb.errors import ResponseError
from trignb.resp.encode import encode, encode_error

RESULTS = """redis.registerFunction('value', (c, code) => Function('c', 'return ' + code)(c));
redis.registerFunction('fails', (c, text) => { throw text; });
redis.registerFunction('keys', (c, ...args) => args);"""


@pytest.fixture
def run(engine, load):
    load(RESULTS)

    def run(*args, resp: int = 3) -> bytes:
        try:
            return encode(engine.session(resp=resp).execute(*args), resp)
        except ResponseError as error:
            return encode_error(error)

    return run


@pytest.mark.parametrize(
    ("args", "line"),
    [
        # No code but where the text has one.
        (["TFCALL", "no.f", "0"], b"-Unknown library no\r\n"),
        (["TFCALL", "lib.no", "0"], b"-Unknown function no\r\n"),
        (["TFUNCTION", "FOO"], b"-Unknown subcommand foo\r\n"),
        (["TFUNCTION", "DELETE", "x"], b"-library does not exists\r\n"),
        (["TFUNCTION", "LIST", "x"], b"-Unknown option 'x'\r\n"),
        (["TFCALL", "lib.f"], b"-ERR wrong number of arguments for 'tfcall' command"),
        (["TFCALL", "lib.f", "x"], b"-ERR invalid digit found in string\r\n"),
        (["TFCALL", "lib.fails", "0", "text"], b"-text\r\n"),
        (
            ["TFCALL", "lib.value", "0", "c.call('get')"],
            b"-ERR wrong number of arguments for 'get' command\r\n",
        ),
        # One line, in UTF-8.
        (["TFCALL", "lib.fails", "0", "a\r\nb\0c"], b"-a  b c\r\n"),
        (["TFCALL", "a\r\n\0é.f", "0"], b"-Unknown library a   \xc3\xa9\r\n"),
        (["TFCALL", "lib.a\nb", "0"], b"-Unknown function a b\r\n"),
        (["TFUNCTION", "a\nb"], b"-Unknown subcommand a b\r\n"),
        (["TFUNCTION", "LIST", "a\nb"], b"-Unknown option 'a b'\r\n"),
        # What must be text.
        (["TFCALL", b"\xff.f", "0"], b"-Couldn't parse as UTF-8 string\r\n"),
        (["TFUNCTION", b"\xff"], b"-Couldn't parse as UTF-8 string\r\n"),
        (["TFUNCTION", "DELETE", b"\xff"], b"-Couldn't parse as UTF-8 string\r\n"),
    ],
)
@pytest.mark.parametrize("resp", [2, 3])
def test_errors(run, resp, args, line) -> None:
    reply = run(*args, resp=resp)
    assert reply.startswith(line)
    assert reply.count(b"\r\n") == 1


@pytest.mark.parametrize(
    ("code", "resp2", "resp3"),
    [
        ("true", b":1\r\n", b"#t\r\n"),
        ("false", b":0\r\n", b"#f\r\n"),
        ("null", b"$-1\r\n", b"_\r\n"),
        ("1.5", b"$3\r\n1.5\r\n", b",1.5\r\n"),
        ("({a: 1})", b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
        ("new Set([1])", b"*1\r\n:1\r\n", b"~1\r\n:1\r\n"),
        ("[[], 1n]", b"*2\r\n*0\r\n:1\r\n", b"*2\r\n*0\r\n:1\r\n"),
        (
            "Object.assign(new String('a'), {__reply_type: 'verbatim', __format: 'txt'})",
            b"$1\r\na\r\n",
            b"=5\r\ntxt:a\r\n",
        ),
        (
            "Object.assign(new String('a'), {__reply_type: 'status'})",
            b"+a\r\n",
            b"+a\r\n",
        ),
    ],
)
def test_types(run, code, resp2, resp3) -> None:
    assert run("TFCALL", "lib.value", "0", code, resp=2) == resp2
    assert run("TFCALL", "lib.value", "0", code, resp=3) == resp3


def test_ok_is_a_simple_string(run, engine) -> None:
    source = lib("redis.registerFunction('f', () => 1);", "other")
    for resp in (2, 3):
        assert run("tfunction", "load", source, resp=resp) == b"+OK\r\n"
        assert run("Tfunction", "Delete", "other", resp=resp) == b"+OK\r\n"
    assert run("TCONFIG_SET", "error-verbosity", "1") == b"+OK\r\n"
    assert run("TCONFIG_GET", "foo", resp=2) == b"*0\r\n"
    assert run("TCONFIG_GET", "foo", resp=3) == b"%0\r\n"


def test_the_list_in_both_protocols(run) -> None:
    resp2, resp3 = (run("TFUNCTION", "LIST", "v", resp=resp) for resp in (2, 3))
    assert resp2.startswith(b"*1\r\n*22\r\n$11\r\napi_version\r\n$3\r\n")
    assert resp3.startswith(b"*1\r\n%11\r\n$11\r\napi_version\r\n$3\r\n")
    for reply, null, false in ((resp2, b"$-1", b":0"), (resp3, b"_", b"#f")):
        assert b"$13\r\nconfiguration\r\n%b\r\n" % null in reply
        assert b"$8\r\nis_async\r\n%b\r\n" % false in reply
        assert b"$12\r\npending_jobs\r\n:0\r\n" in reply


# -- the commands themselves

FLAGS = {"module", "noscript", "may_replicate"}
CALLS = FLAGS | {"movablekeys"}


@pytest.mark.parametrize(
    ("name", "arity", "flags", "keys"),
    [
        (b"tfunction", -2, FLAGS, [0, 0, 0]),
        (b"tfcall", -3, CALLS, [0, 0, 0]),
        (b"tfcallasync", -3, CALLS, [0, 0, 0]),
        (b"_rg_internals.function", -3, FLAGS, [0, 0, 0]),
        (b"_rg_internals.update_stream_last_read_id", 6, FLAGS, [3, 3, 1]),
    ],
)
def test_command_info(engine, name, arity, flags, keys) -> None:
    ((shown, shown_arity, shown_flags, *rest),) = engine.execute(
        "COMMAND", "INFO", name.upper()
    )
    assert (shown, shown_arity, set(shown_flags)) == (name, arity, flags)
    assert rest[:3] == keys


def test_keys_are_found(engine) -> None:
    def keys(*argv: str) -> list[bytes]:
        return engine.execute("COMMAND", "GETKEYS", *argv)

    assert keys("TFCALL", "lib.f", "2", "a", "b", "c") == [b"a", b"b"]
    assert keys("tfcallasync", "lib.f", "1", "a", "b") == [b"a"]
    assert keys(
        "_rg_internals.update_stream_last_read_id", "lib", "t", "stream", "1", "0"
    ) == [b"stream"]


def test_rights_are_those_of_the_command_and_the_declared_keys(engine, run) -> None:
    engine.execute("ACL", "SETUSER", "u", "on", "nopass", "~a*", "+tfcall")
    session = engine.session()
    session.execute("AUTH", "u", "x")
    call = session.execute
    assert call("TFCALL", "lib.keys", 1, "a1", "b") == [b"a1", b"b"]
    assert error_of(call, "TFCALL", "lib.keys", 2, "a1", "b") == (
        "NOPERM No permissions to access a key"
    )
    assert error_of(call, "TFCALLASYNC", "lib.keys", 0).startswith("NOPERM ")
    assert error_of(call, "TFUNCTION", "LIST").startswith("NOPERM ")


def test_rules_know_the_commands(engine, run) -> None:
    def may(*rules: str) -> list[bool]:
        engine.execute("ACL", "SETUSER", "u", "reset", "~*", *rules)
        calls = (["tfcall", "lib.keys", 0], ["TFUNCTION", "LIST"], ["PING"])
        return [engine.execute("ACL", "DRYRUN", "u", *argv) == "OK" for argv in calls]

    assert may("+@all", "-tfcall") == [False, True, True]
    assert may("+@all", "-tfcall", "+TFCALL") == [True, True, True]
    assert may("+@all", "-tfcall", "-tfunction", "+@all") == [True, True, True]
    assert may("+tfunction") == [False, True, False]
    assert may("+tfcall|lib.keys") == [True, False, False]
    assert may("+tfcall|lib.value") == [False, False, False]
    assert error_of(engine.execute, "ACL", "SETUSER", "u", "+tfoo").endswith(
        "Unknown command or category name in ACL"
    )


@pytest.mark.parametrize(
    "argv",
    [
        "'tfunction', 'list'",
        "'TFCALL', 'lib.keys', '0'",
        "'tfcallasync', 'lib.keys', '0'",
        "'_rg_internals.function', 'del', 'lib'",
    ],
)
def test_scripts_may_not_call_them(engine, run, argv) -> None:
    text = error_of(engine.execute, "EVAL", f"return redis.call({argv})", 0)
    assert text.startswith("ERR This Redis command is not allowed from script")
    assert len(listed(engine)) == 1


@pytest.mark.parametrize(
    "argv",
    [
        ("_rg_internals.function", "load", "code"),
        ("_rg_internals.function", "del", "lib"),
        ("_rg_internals.function", "foo", "lib"),
        ("_rg_internals.update_stream_last_read_id", "lib", "t", "s", "1", "0"),
    ],
)
def test_internal_commands_are_not_for_clients(run, argv) -> None:
    assert run(*argv) == (
        b"-Internal command should only be sent from primary or loaded from AOF\r\n"
    )
