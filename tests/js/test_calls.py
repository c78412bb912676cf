"""Functions and `client.call`: conversions, clients, errors and where they happened."""

from __future__ import annotations

import math

import pytest

from js.fakes import Section
from trignb.errors import ResponseError
from trignb.js.runtime import Job, JsError
from trignb.reply import (
    BigNumber,
    NullArray,
    SetOfLists,
    SetReply,
    Status,
    Verbatim,
)

AT_0 = "Can not convert value at position 0 into V8LocalUtf8. "


def verbatim(data, form="txt"):
    value = Verbatim(data)
    value.format = form
    return value


# What commands answer -----------------------------------------------------------------

DESCRIBE = """
const kind = (v) => v === null ? 'null'
    : v instanceof ArrayBuffer ? 'buffer ' + new Uint8Array(v).join()
    : v instanceof String ? 'object ' + v
    : Array.isArray(v) ? v.map(kind)
    : v instanceof Set ? ['set', ...[...v].map(kind)]
    : typeof v === 'object' ? Object.entries(v).flat().map(kind)
    : typeof v + ' ' + v;
const tags = (v) => [kind(v), kind(v.__reply_type), kind(v.__format)];
"""


@pytest.mark.parametrize(
    ("reply", "text", "raw"),
    [
        (Status("PONG"), b"string PONG", b"buffer 80,79,78,71"),
        (Status("OK"), b"string OK", b"buffer 79,75"),
        (b"a", b"string a", b"buffer 97"),
        (b"", b"string ", b"buffer "),
        (7, b"bigint 7", b"bigint 7"),
        (-(1 << 40), b"bigint -1099511627776", b"bigint -1099511627776"),
        (1.5, b"number 1.5", b"number 1.5"),
        (math.inf, b"number Infinity", b"number Infinity"),
        (True, b"boolean true", b"boolean true"),
        (None, b"null", b"null"),
        (NullArray(), b"null", b"null"),
        ([b"a", [1]], [b"string a", [b"bigint 1"]], [b"buffer 97", [b"bigint 1"]]),
        (
            {b"b": b"x", b"a": 1, 5: None},
            [b"string 5", b"null", b"string b", b"string x", b"string a", b"bigint 1"],
            [
                b"string 5",
                b"null",
                b"string b",
                b"buffer 120",
                b"string a",
                b"bigint 1",
            ],
        ),
        (
            {b"__proto__": b"x", b"toString": 1},
            [b"string __proto__", b"string x", b"string toString", b"bigint 1"],
            [b"string __proto__", b"buffer 120", b"string toString", b"bigint 1"],
        ),
        ({b"m"}, [b"set", b"string m"], [b"set", b"buffer 109"]),
    ],
)
def test_replies(load, host, reply, text, raw):
    host.replies[b"x"] = reply
    library = load(
        DESCRIBE
        + """redis.registerFunction('text', (c) => kind(c.call('reply', 'x')));
        redis.registerFunction('raw', (c) => kind(c.callRaw('reply', 'x')));"""
    )
    assert library.call("text") == text
    # The one status that has a message of its own is a text of the runtime.
    assert library.call("raw") == raw


@pytest.mark.parametrize(
    ("reply", "method", "tags"),
    [
        (BigNumber(1 << 70), "call", [b"object %d" % (1 << 70), b"string big_number", b"undefined undefined"]),
        (BigNumber(-5), "callRaw", [b"object -5", b"string big_number", b"undefined undefined"]),
        (verbatim(b"hi"), "call", [b"object hi", b"string verbatim", b"string txt"]),
        (verbatim("é".encode(), "mkd"), "call", [b"object \xc3\xa9", b"string verbatim", b"string mkd"]),
        (verbatim(b"\xff"), "callRaw", [b"buffer 255", b"string verbatim", b"string txt"]),
    ],
)  # fmt: skip
def test_tagged_replies(load, host, reply, method, tags):
    host.replies[b"x"] = reply
    library = load(
        f"{DESCRIBE} redis.registerFunction('f', (c) => tags(c.{method}('reply', 'x')))"
    )
    assert library.call("f") == tags


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"\xff", b"Could not decode value as string"),
        ([b"a", {b"k": b"\xff"}], b"Could not decode value as string"),
        ({b"\xff": 1}, b"Binary map key is not supported"),
        ({None: 1}, b"Given object can not be a object key"),
        ([ResponseError("ERR inside")], b"ERR inside"),
        (verbatim(b"\xff"), b"Could not decode value as string"),
    ],
)
def test_replies_that_cannot_be_converted(evaluate, host, reply, text):
    host.replies[b"x"] = reply
    assert evaluate("try { client.call('reply', 'x') } catch (e) { return e }") == text


# What commands are given --------------------------------------------------------------


def test_arguments(evaluate):
    assert evaluate(
        r"""return client.call('echo', 'é😀', new String('obj'),
            new Uint8Array([255, 0]).buffer === null ? '' : 'x', '\ud800')"""
    ) == ["é😀".encode(), b"obj", b"x", "\N{REPLACEMENT CHARACTER}".encode()]


def test_buffers_as_arguments(evaluate, host):
    evaluate("client.callRaw('set', 'k', new Uint8Array([255, 0]).buffer)")
    assert host.data[b"k"] == b"\xff\x00"


REFUSED = "Failed consuming arguments. Can not convert value into bytes buffer."


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (argument, REFUSED)
        for argument in (
            "'echo', 1",
            "'echo', 'a', 1n",
            "'echo', true",
            "'echo', null",
            "'echo', undefined",
            "'echo', ['a']",
            "'echo', {}",
            "'echo', new Uint8Array(1)",
            "'echo', Symbol()",
            "'echo', {toString() { client.call('incr', 'x'); return 'a' }}",
        )
    ]
    + [
        ("", f"{AT_0}Wrong number of arguments given."),
        ("1", f"{AT_0}Value is not string."),
        ("new ArrayBuffer(1)", f"{AT_0}Value is not string."),
    ],
)
@pytest.mark.parametrize("method", ["call", "callRaw", "callAsync", "callAsyncRaw"])
def test_refused_arguments(evaluate, host, arguments, text, method):
    result = evaluate(
        f"try {{ client.{method}({arguments}) }} catch (e) {{ return e }}"
    )
    assert result == text.encode()
    assert host.calls == []


# What functions return ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        ("1", 1),
        ("1.0", 1),
        ("-2147483648", -(1 << 31)),
        ("2147483648", 2147483648.0),
        ("3000000000", 3e9),
        ("1.1", 1.1),
        ("Infinity", math.inf),
        ("5n", 5),
        ("2n ** 40n", 1 << 40),
        ("2n ** 63n", -(1 << 63)),
        ("'x'", b"x"),
        (r"'é\ud800'", "é\N{REPLACEMENT CHARACTER}".encode()),
        ("new String('x')", b"x"),
        ("new Uint8Array([255]).buffer", b"\xff"),
        ("null", None),
        ("undefined", b"undefined"),
        ("true", True),
        ("[]", []),
        ("['a', 'é', 'b']", [b"a", "é".encode(), b"b"]),
        ("['a', 1, [null, undefined]]", [b"a", 1, [None, b"undefined"]]),
        ("[,1]", [b"undefined", 1]),
        ("new Set(['b', 'a', 1, 2n])", SetReply([b"b", b"a", 1, 2])),
        # To Python, 1 and True are one member.
        ("new Set(['a', 1, true])", SetOfLists([b"a", 1, True])),
        ("new Set()", SetReply([])),
        ("({b: 1, a: 'x', 1: 2, '01': 3})", {1: 2, b"b": 1, b"a": b"x", b"01": 3}),
        ("Object.create({inherited: 1}, {own: {value: 2, enumerable: true}, hidden: {value: 3}})", {b"own": 2, b"inherited": 1}),
        ("({[Symbol()]: 1})", {}),
        ("new Map([['a', 1]])", {}),
        ("new Date()", {}),
        ("/x/", {}),
        ("() => 1", {}),
        ("new Error('x')", {}),
        ("[new Promise(() => 1)]", [{}]),
        ("new Uint8Array([7, 8])", {0: 7, 1: 8}),
        ("new Number(5)", {}),
        ("Object.assign(new String('O'), {__reply_type: 'status'})", Status("O")),
        ("Object.assign(new String('é'), {__reply_type: 'status'})", Status("é")),
        ("Object.assign(new String('9'), {__reply_type: 'big_number'})", b"9"),
        ("Object.assign(new ArrayBuffer(1), {__reply_type: 'status'})", b"\0"),
        ("Object.assign('x', {__reply_type: 'status'})", Status("x")),
        ("new (class extends String {})('x')", b"x"),
    ],
)  # fmt: skip
def test_results(evaluate, code, reply):
    got = evaluate(f"return {code}")
    assert (type(got), got) == (type(reply), reply)


def test_special_numbers(evaluate):
    got = evaluate("return [-0, NaN, 0, [-0]]")
    assert math.copysign(1, got[0]) == -1.0
    assert type(got[0]) is float
    assert math.isnan(got[1])
    assert type(got[2]) is int
    assert math.copysign(1, got[3][0]) == -1.0


@pytest.mark.parametrize("form", ["txt", "mkd"])
def test_verbatim_results(evaluate, form):
    got = evaluate(
        f"""return Object.assign(new String('é'),
            {{__reply_type: 'verbatim', __format: '{form}'}})"""
    )
    assert type(got) is Verbatim
    assert (got, got.format) == ("é".encode(), form)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "Object.assign(new String('x'), {__reply_type: 'verbatim'})",
            "Verbatim format length must be 3.",
        ),
        (
            "Object.assign(new String('x'), {__reply_type: 'verbatim', __format: 'é1'})",
            "Verbatim format must contains only ASCI values.",
        ),
        ("new Set([1.5])", "Give value is not a key"),
        ("new Set([null])", "Give value is not a key"),
        ("new Set([-0.5, 1])", "Give value is not a key"),
        ("new Set([['a']])", "Give value is not a key"),
        ("({2147483648: 1})", "Give value is not a key"),
        ("(() => { const a = []; a.push(a); return a })()", "nesting level reached"),
        ("({get x() { throw new Error('in a getter') }})", "Error: in a getter"),
        ("({get x() { return client.call('incr', 'x') }})", "Used on invalid client"),
    ],
)
def test_results_that_cannot_be_converted(evaluate, host, code, text):
    with pytest.raises(JsError) as caught:
        evaluate(f"return {code}")
    assert str(caught.value) == text
    assert host.data == {}


def test_depth_of_results(evaluate):
    nest = "let a = 1; for (let i = 0; i < %d; i++) a = [a]; return a"
    assert evaluate(nest % 100)
    with pytest.raises(JsError, match="nesting level reached"):
        evaluate(nest % 101)


def test_getters_may_log(evaluate, host):
    assert evaluate(
        "return {get x() { redis.log('here'); return 'long'.repeat(9) }}"
    ) == {b"x": b"long" * 9}
    assert host.logs == ["here"]


# Arguments of functions -----------------------------------------------------------------


def test_function_arguments(evaluate):
    assert evaluate("return args.map(a => typeof a + a)", b"a", "é".encode()) == [
        b"stringa",
        "stringé".encode(),
    ]


def test_function_arguments_must_be_text(evaluate):
    with pytest.raises(ResponseError, match="^Can not convert argument to string$"):
        evaluate("return 1", b"\xff")


def test_raw_function_arguments(evaluate):
    assert evaluate(
        "return args.map(a => a instanceof ArrayBuffer ? a : 'no')", b"\xff", raw=True
    ) == [b"\xff"]


# Clients --------------------------------------------------------------------------------


def test_is_block_allowed(load):
    library = load("redis.registerFunction('f', (c) => c.isBlockAllowed())")
    assert library.call("f") is False
    library.section = Section(block_allowed=True)
    assert library.call("f") is True


def test_client_methods_need_no_receiver(evaluate):
    assert (
        evaluate("const {call} = client; return [1].map(() => call('incr', 'x'))[0]")
        == 1
    )


def test_stale_clients(load):
    library = load(
        """let saved;
        const attempt = (f) => { try { return f() } catch (e) { return e } };
        redis.registerFunction('keep', (c) => { saved = c; return c.call('incr', 'x') });
        redis.registerFunction('use', () => [
            attempt(() => saved.call('incr', 'x')),
            attempt(() => saved.isBlockAllowed()),
            attempt(() => saved.executeAsync(async () => 1))]);
        redis.registerAsyncFunction('outside', async () => [
            attempt(() => saved.call('incr', 'x')),
            attempt(() => saved.call('incr', 1)),
            attempt(() => saved.isBlockAllowed()),
            attempt(() => saved.executeAsync(async () => 1))]);
        redis.registerFunction('same', (c) => c === saved);"""
    )
    library.call("keep")
    assert library.call("use") == [
        b"Used on invalid client",
        b"Used on invalid client",
        b"Called 'executeAsync' out of context",
    ]
    assert library.run("outside") == [
        b"Main thread is not locked",
        b"Failed consuming arguments. Can not convert value into bytes buffer.",
        b"Used on invalid client",
        b"Called 'executeAsync' out of context",
    ]
    assert library.call("same") is False
    assert library.call("keep") == 2
    assert library.call("keep") == 3


def test_commands_get_the_section(load, host):
    library = load("redis.registerFunction('f', (c) => c.call('incr', 'x'))")
    library.section = Section("somebody")
    library.call("f")
    assert host.calls == [(library.section, [b"incr", b"x"])]


# Errors ---------------------------------------------------------------------------------


def test_errors_of_commands_are_strings(evaluate):
    assert evaluate(
        "try { client.call('fail') } catch (e) { return [typeof e, e, e.stack] }"
    ) == [b"string", b"WRONGTYPE Operation against a key", b"undefined"]


def test_where_a_command_failed(load):
    library = load(
        """const inner = (c) => {
    return c.call('fail', 'ERR no');
};
redis.registerFunction('f', (c) => inner(c));"""
    )
    with pytest.raises(JsError) as caught:
        library.call("f")
    error = caught.value
    assert (str(error), error.name, error.stack) == ("ERR no", "", "")
    assert (error.line, error.column) == (3, 14)
    assert error.trace.split("\n")[0].strip() == "at inner (lib.js:3:14)"
    assert "lib.js:5" in error.trace
    assert error.verbose == "ERR no"


def test_where_a_refused_argument_was_given(evaluate):
    with pytest.raises(JsError) as caught:
        evaluate("\n  client.call('get', 1)")
    assert (caught.value.line, caught.value.column) == (3, 10)


def test_a_caught_failure_is_forgotten(evaluate):
    with pytest.raises(JsError) as caught:
        evaluate("try { client.call('fail', 'a') } catch {} throw 'b'")
    assert (str(caught.value), caught.value.line) == ("b", None)


@pytest.mark.parametrize(
    ("code", "message", "name"),
    [
        ("throw 'x'", "x", ""),
        ("throw new Error('x')", "Error: x", "Error"),
        ("throw new RangeError('é')", "RangeError: é", "RangeError"),
        ("throw {}", "[object Object]", ""),
        ("throw undefined", "undefined", ""),
        ("throw {toString() { return 'mine' }}", "mine", ""),
        ("throw Object.create(null)", "", ""),
        (
            "throw {toString() { throw 1 }}",
            "",
            "",
        ),
        (
            "null.x",
            "TypeError: Cannot read properties of null (reading 'x')",
            "TypeError",
        ),
    ],
)
def test_thrown(evaluate, code, message, name):
    with pytest.raises(JsError) as caught:
        evaluate(code)
    assert (str(caught.value), caught.value.name) == (message, name)


def test_stacks(evaluate):
    with pytest.raises(JsError) as caught:
        evaluate("\n\n  throw new Error('x')")
    error = caught.value
    assert (error.line, error.column) == (4, 9)
    assert error.stack.startswith("Error: x\n    at ")
    assert "prelude" not in error.stack
    assert error.verbose.startswith("Error: x|    at ")
    assert ":4:9" in error.verbose


def test_endless_recursion(evaluate):
    with pytest.raises(JsError, match="RangeError: Maximum call stack size exceeded"):
        evaluate("const f = () => f(); f()")
    with pytest.raises(JsError, match="RangeError: Maximum call stack size exceeded"):
        evaluate("const f = () => { client.call('incr', 'x'); f() }; f()")


def test_large_errors(load, host):
    library = load(
        """redis.registerFunction('f', (c, text) => c.call('fail', text));
        redis.registerFunction('g', (c) => { throw new Error('é'.repeat(2e6)) });"""
    )
    text = b"ERR " + b"x" * 3_000_000
    with pytest.raises(JsError) as caught:
        library.call("f", text)
    assert str(caught.value) == text.decode()
    with pytest.raises(JsError) as caught:
        library.call("g")
    assert str(caught.value) == "Error: " + "é" * 2_000_000


def test_large_replies_of_other_calls(load, host):
    host.replies[b"x"] = [b"\xff" * 3_000_000, None]
    library = load("redis.registerFunction('f', (c) => c.callRaw('reply', 'x'))")
    assert library.call("f") == host.replies[b"x"]
    host.replies[b"x"] = "é".encode() * 3_000_000
    library = load("redis.registerFunction('f', (c) => c.callAsync('reply', 'x'))")
    assert library.call("f").result(10) == host.replies[b"x"]


def test_a_bug_in_the_host_surfaces(load, host):
    library = load("redis.registerFunction('f', (c, n) => c.call(n, 'x'))")
    host.commands[b"bug"] = lambda key: 1 // 0
    with pytest.raises(ZeroDivisionError):
        library.call("f", b"bug")
    assert library.call("f", b"incr") == 1


# Promises -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        ("(async () => client.call('incr', 'x'))()", 1),
        ("(async () => { await null; await null; return 'x' })()", b"x"),
        ("Promise.resolve(undefined)", b"undefined"),
        ("Promise.all([1, Promise.resolve(2)])", [1, 2]),
    ],
)
def test_settled_promises(evaluate, code, reply):
    assert evaluate(f"return {code}") == reply


def test_rejected_promises(evaluate):
    with pytest.raises(JsError, match="^Error: x$") as caught:
        evaluate("return (async () => {\n throw new Error('x') })()")
    assert caught.value.line == 3
    with pytest.raises(JsError, match="^x$") as caught:
        evaluate("return (async () => { throw 'x' })()")
    assert caught.value.verbose == "x"
    with pytest.raises(JsError) as caught:
        evaluate("return (async () => { throw {} })()")
    assert caught.value.verbose == "undefined"


def test_no_commands_after_await(evaluate):
    with pytest.raises(JsError, match="^Main thread is not locked$"):
        evaluate("return (async () => { await null; client.call('incr', 'x') })()")


@pytest.mark.parametrize(
    "code",
    [
        "new Promise(resolve => resolve(1))",
        "(async () => await new Promise(resolve => resolve(1)))()",
        "client.executeAsync(async () => 1)",
        "client.callAsync('incr', 'x')",
        "client.callAsyncRaw('incr', 'x')",
    ],
)
def test_pending_promises(evaluate, code):
    job = evaluate(f"return {code}")
    assert isinstance(job, Job)
    assert job.origin == "user"
    assert job.result(5) == 1


def test_pending_promises_that_fail(evaluate, host):
    job = evaluate("return new Promise((resolve, reject) => reject(new Error('no')))")
    with pytest.raises(JsError, match="^Error: no$"):
        job.result(5)
    assert host.jobs == [job]
    assert isinstance(job.error, JsError)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("new Promise()", "Bad argument to 'Promise' function"),
        ("new Promise(async () => 1)", "Bad argument to 'Promise' function"),
        (
            "new Promise(resolve => resolve())",
            (
                "Can not convert value at position 0 into V8LocalValue. "
                "Wrong number of arguments given."
            ),
        ),
    ],
)
def test_promise_arguments(evaluate, code, text):
    with pytest.raises(JsError) as caught:
        evaluate(f"return {code}")
    assert str(caught.value) == text


def test_promises_are_still_promises(evaluate):
    assert evaluate(
        """class Mine extends Promise {}
        const mine = new Mine(resolve => resolve(1));
        return [new Promise(() => 1) instanceof Promise, mine instanceof Mine,
            (async () => 1)() instanceof Promise, Promise.name]"""
    ) == [True, True, True, b"Promise"]


def test_the_first_settlement_wins(evaluate):
    job = evaluate("return new Promise((yes, no) => { yes(1); no(2); yes(3) })")
    assert job.result(5) == 1


def test_results_too_large(evaluate):
    with pytest.raises(JsError, match="^ERR value too large$"):
        evaluate("return new ArrayBuffer(2 ** 29)")


def test_arguments_too_large(evaluate, host):
    assert evaluate(
        "try { client.call('echo', new ArrayBuffer(2 ** 29)) } catch (e) { return e }"
    ) == (b"ERR value too large")
