"""What a library may register, how it is refused, and what it finds in its world."""

from __future__ import annotations

import time

import pytest

from js.fakes import PROLOGUE, TIMEOUT_MS
from trignb.js.runtime import JsError, JsOom, JsTerminated, JsTimeout
from trignb.js.v8 import LibraryRuntime

FUNCTION_OPTIONS = "Option < NativeFunctionOptionalArgs >"
TRIGGER_OPTIONS = "Option < NoficationConsumerOptionalArgs >"
STREAM_OPTIONS = "Option < StreamTriggerOptionalArgs >"


def argument(position, kind, reason):
    return f"Can not convert value at position {position} into {kind}. {reason}."


def field(position, kind, name, reason):
    return argument(position, kind, f"Failed getting field {name}, {reason}.")


NOT_GIVEN = "Wrong number of arguments given"
NO_TEXT = "Value is not string"
NO_OBJECT = "Given argument must be an object"
FN = "Second argument to 'registerFunction' must be a function"
KEYSPACE_PREFIX = (
    "Second argument to 'registerKeySpaceTrigger' must be a string or ArrayBuffer "
    "representing the prefix"
)
STREAM_PREFIX = (
    "Second argument to 'registerStreamTrigger' must be a String or ArrayBuffer "
    "representing the prefix"
)
FIRED = "'onTriggerFired' argument to 'registerKeySpaceTrigger' must be a function"

REFUSED = [
    ("Function()", argument(0, "V8LocalUtf8", NOT_GIVEN)),
    ("Function(1, f)", argument(0, "V8LocalUtf8", NO_TEXT)),
    ("Function('x')", argument(1, "V8LocalValue", NOT_GIVEN)),
    ("Function('x', f, undefined)", argument(2, FUNCTION_OPTIONS, NO_OBJECT)),
    ("Function('x', f, null)", argument(2, FUNCTION_OPTIONS, NO_OBJECT)),
    ("Function('x', f, 5)", argument(2, FUNCTION_OPTIONS, NO_OBJECT)),
    (
        "Function('x', 1, {flags: 5})",
        field(2, FUNCTION_OPTIONS, "flags", "Value is not an array"),
    ),
    (
        "Function('x', f, {description: 1})",
        field(2, FUNCTION_OPTIONS, "description", NO_TEXT),
    ),
    (
        "Function('x', f, {a: 1, flags: [], b: 2})",
        argument(2, FUNCTION_OPTIONS, "Unknown properties given: a,b"),
    ),
    (
        "Function('x', f, [1])",
        argument(2, FUNCTION_OPTIONS, "Unknown properties given: 0,length"),
    ),
    (
        "Function('x', f, Object.defineProperty({}, 'hidden', {configurable: true}))",
        argument(2, FUNCTION_OPTIONS, "Unknown properties given: hidden"),
    ),
    ("Function('x', 1)", FN),
    ("AsyncFunction('x', 1)", FN),
    (
        "Function('x', async () => 1)",
        (
            "'registerFunction' can not be used with async function, "
            "use 'registerAsyncFunction' instead."
        ),
    ),
    (
        "Function('x', f, {flags: [1]})",
        "Failed parsing function flags, wrong type of string value",
    ),
    (
        "Function('x', f, {flags: [new String('no-writes')]})",
        "Failed parsing function flags, wrong type of string value",
    ),
    (
        "Function('x', f, {flags: ['toString']})",
        "Failed parsing function flags, Unknow flag 'toString' was given",
    ),
    (
        "Function('', f)",
        "Unallowed function name '', Empty name is not allowed.",
    ),
    (
        "AsyncFunction('a😀b', f)",
        "Unallowed function name 'a😀b', Unallowed char was given '😀'.",
    ),
    ("AsyncFunction('taken', f)", "Function taken already exists"),
    ("KeySpaceTrigger('x', 'p')", argument(2, "V8LocalValue", NOT_GIVEN)),
    (
        "KeySpaceTrigger('x', 'p', f, {window: 1})",
        argument(3, TRIGGER_OPTIONS, "Unknown properties given: window"),
    ),
    (
        "KeySpaceTrigger('x', 1, 1)",
        "Third argument to 'registerKeySpaceTrigger' must be a function",
    ),
    ("KeySpaceTrigger('x', 1, f, {onTriggerFired: 1})", FIRED),
    ("KeySpaceTrigger('x', 1, f, {onTriggerFired: async () => 1})", FIRED),
    ("KeySpaceTrigger('x', 1, f)", KEYSPACE_PREFIX),
    ("KeySpaceTrigger('-', new String('p'), f)", KEYSPACE_PREFIX),
    ("KeySpaceTrigger('x', new Uint8Array(2), f)", KEYSPACE_PREFIX),
    (
        "KeySpaceTrigger('a-b', '', f)",
        "Unallowed key space trigger name 'a-b', Unallowed char was given '-'.",
    ),
    ("KeySpaceTrigger('taken', '', f)", "Notification consumer already exists"),
    (
        "StreamTrigger('x', 'p', f, {window: 1.5})",
        field(3, STREAM_OPTIONS, "window", "Value is not long"),
    ),
    (
        "StreamTrigger('x', 'p', f, {isStreamTrimmed: 1})",
        field(3, STREAM_OPTIONS, "isStreamTrimmed", "Value is not a boolean"),
    ),
    (
        "StreamTrigger('x', 1, 1, {window: 0})",
        "The fifth argument to 'registerStreamTrigger' must be a function",
    ),
    (
        "StreamTrigger('x', 1, f, {window: 0n})",
        "window argument must be a positive number",
    ),
    ("StreamTrigger('-', 1, f)", STREAM_PREFIX),
    (
        "StreamTrigger(' ', '', f)",
        "Unallowed stream trigger name ' ', Unallowed char was given ' '.",
    ),
    ("StreamTrigger('taken', '', f)", "Stream registration already exists"),
    ("ClusterFunction()", argument(0, "V8LocalUtf8", NOT_GIVEN)),
    (
        "ClusterFunction('x', 1)",
        "Second argument to 'registerClusterFunction' must be a function",
    ),
    ("ClusterFunction('x', f)", "Remote function must be async"),
    (
        "ClusterFunction('?', async () => 1)",
        "Unallowed cluster function name '?', Unallowed char was given '?'.",
    ),
    ("ClusterFunction('taken', async () => 1)", "Remote function taken already exists"),
]

TAKEN = """const f = () => 1;
redis.registerFunction('taken', f);
redis.registerKeySpaceTrigger('taken', '', f);
redis.registerStreamTrigger('taken', '', f);
redis.registerClusterFunction('taken', async () => 1);
"""


@pytest.mark.parametrize(("code", "text"), REFUSED)
def test_refused_registrations(load, code, text):
    with pytest.raises(JsError) as caught:
        load(TAKEN + "redis.register" + code)
    assert str(caught.value) == text
    assert caught.value.line == 7
    assert not caught.value.syntax


def test_refusals_can_be_caught(load):
    library = load(
        """let caught;
        try { redis.registerFunction('a b', () => 1) } catch (e) { caught = e }
        redis.registerFunction('f', () => [typeof caught, caught])"""
    )
    assert library.call("f") == [
        b"string",
        b"Unallowed function name 'a b', Unallowed char was given ' '.",
    ]


def test_registrations(load):
    library = load(
        """redis.registerFunction('f', () => 1, {
    description: 'says one', flags: ['raw-arguments', 'no-writes', 'no-writes']});
redis.registerAsyncFunction('g', async () => 1);
redis.registerAsyncFunction('h', () => 1, {flags: null, description: undefined});
redis.registerKeySpaceTrigger('t', 'é:', () => 1, {onTriggerFired: () => 2});
redis.registerKeySpaceTrigger('u', new Uint8Array([255, 0]).buffer, async () => 1);
redis.registerStreamTrigger('s', 's:', () => 1, {window: 3n, isStreamTrimmed: true});
redis.registerClusterFunction('c', async () => 1);
"""
    )
    f, g, h, t, u, s, c = library.registrations
    assert (f.kind, f.name, f.description) == ("function", "f", "says one")
    assert f.flags == ("no-writes", "raw-arguments")
    assert [each.line for each in library.registrations] == [2, 4, 5, 6, 7, 8, 9]
    assert (g.is_async, g.declared_async) == (True, True)
    assert (h.is_async, h.declared_async, h.description) == (False, True, None)
    assert (t.kind, t.prefix) == ("keyspace_trigger", "é:".encode())
    assert t.on_fired is not None
    assert (u.prefix, u.on_fired, u.is_async) == (b"\xff\x00", None, True)
    assert (s.kind, s.window, s.trimmed) == ("stream_trigger", 3, True)
    assert (c.kind, c.is_async) == ("cluster_function", True)
    callbacks = [each.callback for each in library.registrations] + [t.on_fired]
    assert len(set(callbacks)) == len(callbacks)


def test_options_are_consumed(load):
    library = load(
        """const options = {description: 'x', flags: ['no-writes']};
        redis.registerFunction('f', () => Object.keys(options).length, options);
        redis.registerFunction('g', () => 1, options);"""
    )
    assert library.call("f") == 0
    assert library["g"].description is None


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("registerFunction('x', () => 1)", "Called 'register_function' out of context"),
        (
            "registerKeySpaceTrigger('x', '', () => 1)",
            "Called 'registerKeySpaceTrigger' out of context",
        ),
        (
            "registerStreamTrigger('x', '', () => 1)",
            "Called 'registerFunction' out of context",
        ),
        (
            "registerClusterFunction('x', async () => 1)",
            "Called 'registerClusterFunction' out of context",
        ),
    ],
)
def test_registering_after_load(evaluate, code, text):
    assert evaluate(f"try {{ redis.{code} }} catch (e) {{ return e }}") == text.encode()


# What does not compile or evaluate ----------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message", "line", "column"),
    [
        ("var a = ;", "SyntaxError: Unexpected token ';'", 2, 9),
        ("\nfunction f() {", "SyntaxError: Unexpected end of input", 3, 15),
        ("  return 1", "SyntaxError: Illegal return statement", 2, 3),
        (
            "import x from 'y'",
            "SyntaxError: Cannot use import statement outside a module",
            2,
            1,
        ),
        (
            "/* a */ 'use strict';\nwith (a) {}",
            "SyntaxError: Strict mode code may not include a with statement",
            3,
            1,
        ),
        (
            "let a; let a;",
            "SyntaxError: Identifier 'a' has already been declared",
            2,
            12,
        ),
        (
            "await 1",
            "SyntaxError: await is only valid in async functions and the top level bodies of modules",
            2,
            1,
        ),
    ],
)
@pytest.mark.parametrize("step", ["compile", "load"])
def test_what_does_not_compile(host, code, message, line, column, step):
    runtime = LibraryRuntime(host, "lib", PROLOGUE + code)
    with pytest.raises(JsError) as caught:
        runtime.compile() if step == "compile" else runtime.load(TIMEOUT_MS)
    error = caught.value
    assert (str(error), error.line, error.column) == (message, line, column)
    assert error.syntax
    assert error.name == "SyntaxError"
    runtime.dispose()


def test_columns_without_a_prologue(host):
    runtime = LibraryRuntime(host, "lib", "'use strict'; var a = ;")
    with pytest.raises(JsError) as caught:
        runtime.compile()
    assert (caught.value.line, caught.value.column) == (1, 23)
    runtime.dispose()


def test_compiling_does_nothing(host):
    code = """let a = 1; var b = 2; function c() {} redis.log('evaluated');
    redis.registerFunction('f', () => 1);"""
    runtime = LibraryRuntime(host, "lib", PROLOGUE + code)
    runtime.compile()
    assert host.logs == []
    assert len(runtime.load(TIMEOUT_MS)) == 1
    assert host.logs == ["evaluated"]
    runtime.dispose()


@pytest.mark.parametrize(
    ("code", "message", "line", "column"),
    [
        ("throw 'x\\ny'", "x\ny", 2, 1),
        ("\n  throw new Error('a\\nb')", "Error: a\nb", 3, 9),
        ("const f = () => null.x;\nf();", None, 2, 22),
        ("throw {}", "[object Object]", 2, 1),
        ("throw 5", "5", 2, 1),
        ("throw 'é😀'", "é😀", 2, 1),
        ("const redis = 1", None, 1, 1),  # V8 does not say where
    ],
)
def test_throwing_while_loading(load, code, message, line, column):
    with pytest.raises(JsError) as caught:
        load(code)
    error = caught.value
    assert message is None or str(error) == message
    assert (error.line, error.column) == (line, column)
    assert not error.syntax


def test_a_stack_of_the_library_only(load):
    with pytest.raises(JsError) as caught:
        load("function f() { null.x }\n[1].sort(), [2, 1].sort((a, b) => f());")
    error = caught.value
    assert error.name == "TypeError"
    assert error.stack.startswith("TypeError: Cannot read properties of null")
    assert "at f (lib.js:2:21)" in error.stack
    assert "prelude" not in error.stack
    assert "|    at f (<anonymous>:2:21)|" in error.verbose


def test_a_rejected_completion_value(load):
    with pytest.raises(JsError, match="^Failed evaluating module: Error: no$"):
        load("(async () => { await null; throw new Error('no') })()")


def test_a_pending_completion_value(load):
    assert (
        load("redis.registerFunction('f', () => 1); new Promise(() => 1)").call("f")
        == 1
    )


@pytest.mark.parametrize(
    "code",
    [
        "while (true);",
        "while (true) try { while (true); } catch {}",
        "/(a+)+$/.exec('a'.repeat(50) + 'b')",
        "(async () => { await null; while (true); })()",
    ],
)
def test_loading_takes_too_long(host, code):
    runtime = LibraryRuntime(host, "lib", PROLOGUE + code)
    started = time.monotonic()
    with pytest.raises(
        JsTimeout, match="Err Execution was terminated due to OOM or timeout"
    ):
        runtime.load(200)
    assert time.monotonic() - started < 3
    runtime.dispose()


def test_loading_takes_too_much_memory(load):
    with pytest.raises(JsOom):
        load("const a = []; while (true) a.push({});", limits={"heap_bytes": 32 << 20})


def test_a_disposed_library(load):
    library = load("redis.registerFunction('f', () => 1)")
    library.runtime.dispose()
    library.runtime.dispose()
    with pytest.raises(JsTerminated):
        library.call("f")
    assert library.runtime.heap_statistics().total == 0


# The world ----------------------------------------------------------------------------


def test_globals(evaluate):
    absent = "Atomics SharedArrayBuffer WebAssembly eval EvalError setTimeout"
    present = "console Promise Intl Iterator FinalizationRegistry redis JSON Proxy"
    assert evaluate(
        f"return '{absent} {present}'.split(' ').map(name => typeof globalThis[name])"
    ) == [b"undefined"] * 6 + [
        b"object",
        b"function",
        b"object",
        b"function",
        b"function",
        b"object",
        b"object",
        b"function",
    ]


def test_redis_object(evaluate):
    result = evaluate(
        """try { redis.config = 1 } catch {}
        delete globalThis.redis;
        return [redis.apiVersion(), typeof redis.v8Version(), redis.config,
                redis.functionFlags, Object.isFrozen(redis)]"""
    )
    assert result == [
        b"1.1",
        b"string",
        {},
        {
            b"NO_WRITES": b"no-writes",
            b"ALLOW_OOM": b"allow-oom",
            b"RAW_ARGUMENTS": b"raw-arguments",
        },
        True,
    ]


def test_config(load):
    library = load(
        "redis.registerFunction('f', () => redis.config.a[1])",
        config_json='{"a": [1, "é"]}',
    )
    assert library.call("f") == "é".encode()


def test_log(host, evaluate):
    evaluate(
        r"""redis.log('tab\t "quote" \'\\ é😀\n');
        redis.log(new String('object')); console.log('plain', 1, {});"""
    )
    assert host.logs == [
        'tab\t "quote" \'\\ é😀\n',
        "object",
        "plain 1 [object Object]",
    ]


def test_log_wants_text(evaluate):
    with pytest.raises(JsError) as caught:
        evaluate("redis.log(1)")
    assert str(caught.value) == argument(0, "V8LocalUtf8", NO_TEXT)


def test_redisai_is_absent(evaluate):
    for use in ("redis.redisai.create_tensor()", "client.redisai.open_model('x')"):
        with pytest.raises(JsError, match="RedisAI is not initialize"):
            evaluate(use)


def test_globals_persist(load):
    library = load("let n = 0; redis.registerFunction('f', () => ++n)")
    assert [library.call("f") for _ in range(3)] == [1, 2, 3]
