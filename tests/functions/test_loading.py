"""TFUNCTION LOAD and DELETE: arguments, order of checks, REPLACE and its rollback."""

from __future__ import annotations

import pytest

import trignb
from functions.libraries import counters, error_of, lib, listed, trigger_of
from trignb.errors import JavaScriptError, ResponseError

FUNCTION = "redis.registerFunction('f', () => 'one');"
PREFIX = "Failed loading library: "


# -- arguments


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ([], "Could not find library payload"),
        (["REPLACE"], "Could not find library payload"),
        (["CONFIG", "{}"], "Could not find library payload"),
        (["CONFIG"], "configuration value was not given"),
        (["USER"], "configuration value was not given"),
        (
            ["config", b"\xff", lib(FUNCTION)],
            "given configuration value is not a valid string",
        ),
        (["CONFIG", "5", lib(FUNCTION)], "configuration must be a valid json object"),
        (["CONFIG", "[]", lib(FUNCTION)], "configuration must be a valid json object"),
        (["CONFIG", '"x"', lib(FUNCTION)], "configuration must be a valid json object"),
        (
            ["CONFIG", "null", lib(FUNCTION)],
            "configuration must be a valid json object",
        ),
        ([b"#!js \xff"], "lib code must a valid string"),
        (["USER", "me", lib(FUNCTION)], "Unknown argument user"),
        (["USER", "me"], "Could not find library payload"),
        (
            ["DEBUG", lib(FUNCTION)],
            "The debug server address was not specified in the configuration.",
        ),
        (["nonsense"], "Invalid or missing prologue."),
    ],
)
def test_arguments_refused(engine, args, text) -> None:
    assert error_of(engine.execute, "TFUNCTION", "LOAD", *args).startswith(text)
    assert listed(engine) == []


@pytest.mark.parametrize("given", ["{", "{'a': 1}", "NaN", '{"a": NaN}', "[" * 100_000])
def test_configuration_that_is_not_json(engine, given) -> None:
    text = error_of(engine.execute, "TFUNCTION", "LOAD", "CONFIG", given, lib(FUNCTION))
    assert text.startswith(f"configuration must be a valid json, '{given}', ")
    assert text.endswith(".")


def test_keywords_in_any_case_and_order_the_last_configuration_wins(engine) -> None:
    code = lib("redis.registerFunction('f', () => redis.config.a);")
    for _ in range(2):
        reply = engine.execute(
            *("tfunction", "load", "config", '{"a":"1"}', "rePLACE"),
            *("Config", '{"a":"2"}', code),
        )
        assert reply == "OK"
    assert engine.execute("TFCALL", "lib.f", 0) == b"2"
    assert listed(engine)[0][b"configuration"] == b'{"a":"2"}'


def test_what_follows_the_code_is_ignored(engine) -> None:
    engine.execute("TFUNCTION", "LOAD", lib(FUNCTION))
    text = error_of(engine.execute, "TFUNCTION", "LOAD", lib(FUNCTION), "REPLACE")
    assert text == "Library lib already exists."


def test_subcommands(engine) -> None:
    assert error_of(engine.execute, "TFUNCTION", "FOO") == "Unknown subcommand foo"
    assert error_of(engine.execute, "TFUNCTION") == (
        "ERR wrong number of arguments for 'tfunction' command"
    )
    assert (
        error_of(engine.execute, "TFUNCTION", b"\xff")
        == "Couldn't parse as UTF-8 string"
    )


# -- the order of docs/semantics.md, Loading


def test_not_javascript(engine) -> None:
    with pytest.raises(JavaScriptError) as caught:
        engine.load(lib("redis.registerFunction('f', () => {});\nlet = (;"))
    error = caught.value
    assert str(error).startswith("Failed library compilation: SyntaxError: ")
    assert (error.library, error.line) == ("lib", 3)
    assert listed(engine) == []


def test_a_syntax_error_beats_an_existing_name(engine, load) -> None:
    load(FUNCTION)
    assert error_of(load, "(").startswith("Failed library compilation: ")


def test_version_not_supported(engine) -> None:
    assert error_of(engine.load, lib(FUNCTION, version="2.0")) == (
        "Failed library compilation: An unsupported API version was requested: 2.0. "
        "The supported versions are 1.0, 1.1."
    )


def test_exists_already(engine, load) -> None:
    load(FUNCTION)
    assert error_of(load, "throw 'not evaluated'") == "Library lib already exists."


def test_nothing_registered(engine, load) -> None:
    text = "Neither function nor other registrations were found."
    assert error_of(load, "") == text
    assert error_of(load, "redis.registerClusterFunction('c', async () => 1);") == text
    assert listed(engine) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("throw 'text'", "text"),
        ("throw new Error('text')", "Error: text"),
        ("foo()", "ReferenceError: foo is not defined"),
        ("redis.call('ping')", "TypeError: redis.call is not a function"),
        (FUNCTION * 2, "Function f already exists"),
        (
            "redis.registerFunction('f-g', () => 1)",
            "Unallowed function name 'f-g', Unallowed char was given '-'.",
        ),
        (
            "redis.registerFunction('f', 1)",
            "Second argument to 'registerFunction' must be a function",
        ),
        (
            "redis.registerFunction('f', async () => 1)",
            (
                "'registerFunction' can not be used with async function, "
                "use 'registerAsyncFunction' instead."
            ),
        ),
        (
            "redis.registerFunction('f', () => 1, {flags: ['no-reads']})",
            "Failed parsing function flags, Unknow flag 'no-reads' was given",
        ),
        (
            "redis.registerFunction('f', () => 1, {flags: [1]})",
            "Failed parsing function flags, wrong type of string value",
        ),
        (
            "redis.registerKeySpaceTrigger('t', '', 1)",
            "Third argument to 'registerKeySpaceTrigger' must be a function",
        ),
        (
            "redis.registerKeySpaceTrigger('t', 1, () => 1)",
            (
                "Second argument to 'registerKeySpaceTrigger' must be a string or "
                "ArrayBuffer representing the prefix"
            ),
        ),
        (
            (
                "redis.registerKeySpaceTrigger('t', '', () => 1, "
                "{onTriggerFired: async () => 1})"
            ),
            "'onTriggerFired' argument to 'registerKeySpaceTrigger' must be a function",
        ),
        (
            "for (const i of [1, 2]) redis.registerKeySpaceTrigger('t', '', () => 1)",
            "Notification consumer already exists",
        ),
        (
            "redis.registerKeySpaceTrigger('t:', '', () => 1)",
            "Unallowed key space trigger name 't:', Unallowed char was given ':'.",
        ),
        (
            "redis.registerStreamTrigger('s', '', () => 1, {window: 0})",
            "window argument must be a positive number",
        ),
        (
            "for (const i of [1, 2]) redis.registerStreamTrigger('s', '', () => 1)",
            "Stream registration already exists",
        ),
        (
            "for (const i of [1, 2]) redis.registerClusterFunction('c', async () => 1)",
            "Remote function c already exists",
        ),
    ],
)
def test_evaluation_failed(engine, load, body, message) -> None:
    with pytest.raises(JavaScriptError) as caught:
        load(body)
    assert str(caught.value) == f"{PREFIX}{message}."
    assert caught.value.line in (2, None)
    assert listed(engine) == []
    assert engine.library_registry.errors[-1].kind == "load"


def test_the_error_knows_line_column_and_stack(load) -> None:
    with pytest.raises(JavaScriptError) as caught:
        load("\nfunction g() {\n  throw new Error('x');\n}\ng();")
    error = caught.value
    assert (error.library, error.line, error.column) == ("lib", 4, 9)
    assert ":4:9" in error.stack
    assert ":6:" in error.stack


def test_verbose_errors_give_the_stack(engine, load) -> None:
    engine.execute("CONFIG", "SET", "redisgears_2.error-verbosity", "2")
    text = error_of(load, "\n\n\nfoo();")
    assert text.startswith(f"{PREFIX}ReferenceError: foo is not defined|")
    assert ":5:" in text
    assert text.endswith(".")


def test_a_library_may_catch_a_refused_registration(load) -> None:
    library = load(
        FUNCTION
        + """
try { redis.registerFunction('f', () => 1); }
catch (e) { redis.registerFunction(typeof e, () => 1); }"""
    )
    assert list(library.functions) == ["f", "string"]


def test_kinds_have_name_spaces_of_their_own(load) -> None:
    library = load(
        """redis.registerFunction('x', () => 1);
redis.registerClusterFunction('x', async () => 1);
redis.registerKeySpaceTrigger('x', 'p', () => 1);
redis.registerStreamTrigger('x', 's', () => 1);"""
    )
    assert library.registered == {
        "keyspace trigger": ["x"],
        "stream trigger": ["x"],
        "function": ["x"],
        "cluster function": ["x"],
    }
    assert repr(library) == (
        "<Library lib: 1 keyspace trigger (x), 1 stream trigger (x), 1 function (x), "
        "1 cluster function (x)>"
    )


# -- from Python


def test_engine_load(engine) -> None:
    library = engine.load(
        lib("redis.registerFunction('f', () => redis.config.list[1]);"),
        config={"list": ["a", "b"]},
    )
    assert engine.call("lib.f") == b"b"
    assert (library.name, library.engine, library.api_version) == ("lib", "js", "1.0")
    assert (library.user, library.loads) == ("default", 1)
    assert library.configuration == '{"list": ["a", "b"]}'
    assert library.loaded_at == engine.clock.now_ns()
    assert list(library.functions) == ["f"]
    assert library.functions["f"].line == 2
    engine.clock.advance(1)
    again = engine.load(lib(FUNCTION), replace=True)
    assert (again.loads, again.configuration) == (2, None)
    assert engine.library_registry.libraries == {"lib": again}


def test_engine_load_takes_the_configuration_as_text(engine) -> None:
    engine.load(lib(FUNCTION), config='{ "a" : 1 }')
    assert listed(engine)[0][b"configuration"] == b'{ "a" : 1 }'


def test_the_first_library_starts_the_notification_log(engine, load) -> None:
    engine.execute("SET", "k", "v")
    assert not engine.core.notifications.records
    load(FUNCTION)
    engine.execute("SET", "k", "v")
    assert len(engine.core.notifications.records) == 1


def test_a_log_that_is_not_wanted_stays_away() -> None:
    with trignb.Engine(log_size=0) as engine:
        engine.load(lib(FUNCTION))
        engine.execute("SET", "k", "v")
        assert not engine.core.notifications.records


def test_redis_log(engine, load) -> None:
    library = load("redis.log('it\\'s\\ta \\\\ \\n\\u00e9');" + FUNCTION)
    (line,) = library.logs
    assert line.text == "it's\ta \\ \né"
    assert line.time_ns == engine.clock.now_ns()


# -- REPLACE

TWO = """redis.registerFunction('f', () => 'old');
redis.registerKeySpaceTrigger('a', 'k', c => { c.call('rpush', 'seen', 'a1'); });
redis.registerKeySpaceTrigger('b', 'k', c => { c.call('rpush', 'seen', 'b1'); });"""


def test_replace_keeps_statistics_and_place(engine, load) -> None:
    load(TWO)
    load(
        "redis.registerKeySpaceTrigger('x', 'k', c => { c.call('rpush', 'seen', 'x1'); });",
        name="other",
    )
    engine.execute("SET", "k", "v")
    load(
        """redis.registerFunction('g', () => 'new');
redis.registerKeySpaceTrigger('c', 'k', c => { c.call('rpush', 'seen', 'c2'); });
redis.registerKeySpaceTrigger('b', 'k', c => { throw 'b2'; }, {description: 'two'});
redis.registerKeySpaceTrigger('a', 'k1', c => { c.call('rpush', 'seen', 'a2'); });""",
        replace=True,
    )
    engine.execute("SET", "k1", "v")
    assert engine.execute("LRANGE", "seen", 0, -1) == [
        *(b"a1", b"b1", b"x1"),
        *(b"a2", b"x1", b"c2"),
    ]
    assert counters(trigger_of(engine, "a")) == (2, 2, 2, 0)
    assert counters(trigger_of(engine, "b")) == (2, 2, 1, 1)
    assert counters(trigger_of(engine, "c")) == (1, 1, 1, 0)
    assert trigger_of(engine, "b").last_error == "b2"
    assert trigger_of(engine, "b").description == "two"
    assert error_of(engine.execute, "TFCALL", "lib.f", 0) == "Unknown function f"
    assert engine.execute("TFCALL", "lib.g", 0) == b"new"


def test_a_trigger_that_was_dropped_starts_from_zero(engine, load) -> None:
    load(TWO)
    engine.execute("SET", "k", "v")
    load(FUNCTION, replace=True)
    load(TWO, replace=True)
    assert counters(trigger_of(engine, "a")) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        "(",
        "throw 'x'",
        "redis.registerFunction('f', () => 'new'); redis.registerFunction('f', () => 1);",
        "redis.registerKeySpaceTrigger('a', 'z', () => 1); foo();",
        "redis.registerStreamTrigger('s', 'other', () => 1);",
        "",
        "while (true);",
    ],
)
def test_a_replace_that_fails_changes_nothing(engine, load, body) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    old = load(TWO + "redis.registerStreamTrigger('s', 'prefix', () => 1);")
    engine.execute("SET", "k", "v")
    before, snapshot = listed(engine, "vvv", "withcode"), engine.snapshot()
    error_of(load, body, replace=True)
    assert listed(engine, "vvv", "withcode") == before
    assert engine.snapshot() == snapshot
    assert engine.library_registry.libraries == {"lib": old}
    assert engine.execute("TFCALL", "lib.f", 0) == b"old"
    engine.execute("SET", "k", "v")
    assert engine.execute("LRANGE", "seen", 0, -1) == [b"a1", b"b1"] * 2
    assert counters(trigger_of(engine, "a")) == (2, 2, 2, 0)


def test_a_stream_trigger_keeps_its_prefix(engine, load) -> None:
    load("redis.registerStreamTrigger('s', 'old', () => 1);")
    body = "redis.registerStreamTrigger('s', new Uint8Array([255]).buffer, () => 1);"
    assert error_of(load, body, replace=True) == (
        "Failed loading library: Can not upgrade an existing consumer with different "
        "prefix, consumer: 's', old_prefix: old, new_prefix: [binary data].."
    )
    load("redis.registerStreamTrigger('s', 'old', () => 1, {window: 7});", replace=True)
    assert listed(engine, "v")[0][b"stream_triggers"][0][b"window"] == 7


def test_replace_of_nothing_is_a_load(load) -> None:
    assert load(FUNCTION, replace=True).loads == 1


def test_globals_are_lost(engine, load) -> None:
    body = "let n = 0; redis.registerFunction('f', () => ++n);"
    load(body)
    assert [engine.call("lib.f"), engine.call("lib.f")] == [1, 2]
    load(body, replace=True)
    assert engine.call("lib.f") == 1


# -- DELETE


def test_delete(engine, load) -> None:
    load(TWO)
    engine.execute("SET", "k", "v")
    assert engine.execute("TFUNCTION", "DELETE", "lib", "ignored") == "OK"
    assert listed(engine) == []
    assert engine.core.event_mask & ~engine.core.notifications.mask == 0
    engine.execute("SET", "k", "v")
    assert engine.execute("LLEN", "seen") == 2
    assert error_of(engine.execute, "TFCALL", "lib.f", 0) == "Unknown library lib"


def test_delete_refused(engine) -> None:
    assert (
        error_of(engine.execute, "TFUNCTION", "DELETE") == "function name was not given"
    )
    assert (
        error_of(engine.execute, "TFUNCTION", "delete", "x")
        == "library does not exists"
    )


def test_a_queued_job_still_runs_when_its_library_goes(engine, load) -> None:
    load(TWO)
    registry = engine.library_registry
    with engine.core.lock:
        engine.core.run_unit(
            lambda: (
                engine.execute("SET", "k", "v"),
                registry.delete("lib"),
            )
        )
    assert engine.execute("LRANGE", "seen", 0, -1) == [b"a1", b"b1"]
    assert not registry._retired


# -- elsewhere


def test_inside_a_transaction_loading_is_refused(engine) -> None:
    engine.execute("MULTI")
    engine.execute("TFUNCTION", "LOAD", lib(FUNCTION))
    engine.execute("TFUNCTION", "DELETE", "lib")
    engine.execute("TFUNCTION", "LIST")
    load, delete, lists = engine.execute("EXEC")
    for reply in (load, delete):
        assert isinstance(reply, ResponseError)
        assert str(reply) == "ERR Blocking module command called from transaction"
    assert lists == []


def test_no_listener_without_triggers(engine, load) -> None:
    load(FUNCTION)
    assert len(engine.core._listeners) == 2  # the log, pub/sub with an empty mask


def test_snapshot_and_reset(engine, load) -> None:
    load(TWO)
    engine.execute("SET", "k", "v")
    snapshot = engine.snapshot()
    engine.reset(keep_libraries=True)
    assert counters(trigger_of(engine, "a")) == (0, 0, 0, 0)
    engine.restore(snapshot)
    assert engine.execute("GET", "k") == b"v"
    assert counters(trigger_of(engine, "a")) == (0, 0, 0, 0)
    engine.reset()
    assert listed(engine) == []
    assert not engine.library_registry._retired


def test_engine_load_needs_no_password_and_is_logged(engine) -> None:
    engine.execute("CONFIG", "SET", "requirepass", "secret")
    engine.core.record_commands()
    engine.load(lib(FUNCTION))
    (record,) = engine.core.commands.records
    assert (record.client, record.args[:2]) == ("engine.load", [b"TFUNCTION", b"LOAD"])


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("import { redis } from '@redis/gears-api';", "bundle it"),
        ("import x from './x.js'; redis.registerFunction('f', x);", "bundle it"),
        ("const a = import.meta.url;", "bundle it"),
        ("const _ = require('lodash');", "bundle it"),
        ("module.exports = {};", "bundle it"),
        ("export const f = () => 1;", "exports nothing"),
        ("export default () => 1;", "exports nothing"),
        ("redis.registerFunction('f', () => 1); export {};", "exports nothing"),
        ("#!js api_version=1.0 name=lib\n1;", "prologue stands twice"),
    ],
)
def test_a_source_that_was_not_bundled_gets_a_hint(engine, load, code, note) -> None:
    with pytest.raises(trignb.JavaScriptError) as caught:
        load(code)
    assert note in caught.value.__notes__[0]
    # What clients read is V8's own text.
    assert note not in str(caught.value)


@pytest.mark.parametrize("code", ["syntax error", "throw new Error('export')", "x.y"])
def test_other_errors_get_no_hint(engine, load, code) -> None:
    with pytest.raises(trignb.JavaScriptError) as caught:
        load(code)
    assert not hasattr(caught.value, "__notes__")
