"""What functions return, as clients get it (triggers and functions, sections 6.2 and 6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import trignb
from functions.libraries import lib
from trignb.errors import ResponseError
from trignb.resp.encode import encode, encode_error

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each expression becomes a function of its own, so that nothing is evaluated but by V8.
SCALARS = [
    # expression, RESP2, RESP3 (None: the same)
    ("1", ":1", None),
    ("1.0", ":1", None),
    ("0", ":0", None),
    ("-2147483648", ":-2147483648", None),
    ("2147483647", ":2147483647", None),
    ("2147483648", "$10|2147483648", ",2147483648"),
    ("-2147483649", "$11|-2147483649", ",-2147483649"),
    ("3000000000", "$10|3000000000", ",3000000000"),
    ("-0", "$2|-0", ",-0"),
    ("1.1", "$3|1.1", ",1.1"),
    ("0.1 + 0.2", "$19|0.30000000000000004", ",0.30000000000000004"),
    ("NaN", "$3|nan", ",nan"),
    ("Infinity", "$3|inf", ",inf"),
    ("-Infinity", "$4|-inf", ",-inf"),
    ("5n", ":5", None),
    ("-(2n ** 31n) - 1n", ":-2147483649", None),
    ("2n ** 63n - 1n", ":9223372036854775807", None),
    ("2n ** 63n", ":-9223372036854775808", None),
    ("2n ** 64n + 7n", ":7", None),
    ("-(2n ** 64n) - 7n", ":-7", None),
    ("'text'", "$4|text", None),
    ("''", "$0|", None),
    ("'é€😀'", "$9|é€😀", None),
    # U+FFFD stands for half a character.
    ("'a\\ud800'", "$4|a\ufffd", None),
    ("'\\udc00\\ud800'", "$6|\ufffd\ufffd", None),
    ("'\\ud83d\\ude00'", "$4|😀", None),
    ("new String('s')", "$1|s", None),
    ("typed('status', 'FINE')", "+FINE", None),
    ("typed('status', 'é')", "+é", None),
    ("typed('status', 'two\\r\\nlines')", "+two  lines", None),
    ("typed('big_number', '123')", "$3|123", None),
    ("typed('whatever', 'x')", "$1|x", None),
    ("typed('verbatim', 'x', 'txt')", "$1|x", "=5|txt:x"),
    ("typed('verbatim', 'é', 'mkd')", "$2|é", "=6|mkd:é"),
    ("typed('verbatim', '', 'txt')", "$0|", "=4|txt:"),
    ("bytes(1, 2)", "$2|\x01\x02", None),
    ("bytes()", "$0|", None),
    ("Object.assign(bytes(65), {__reply_type: 'verbatim', x: 1})", "$1|A", None),
    ("null", "$-1", "_"),
    ("true", ":1", "#t"),
    ("false", ":0", "#f"),
    ("undefined", "$9|undefined", None),
]  # fmt: skip

AGGREGATES = [
    ("[]", "*0", "*0"),
    ("[1, 'a', null, true]", "*4|:1|$1|a|$-1|:1", "*4|:1|$1|a|_|#t"),
    ("['a', 'é', '']", "*3|$1|a|$2|é|$0|", "*3|$1|a|$2|é|$0|"),
    ("[, 1]", "*2|$9|undefined|:1", "*2|$9|undefined|:1"),
    ("[undefined]", "*1|$9|undefined", "*1|$9|undefined"),
    ("[[[]]]", "*1|*1|*0", "*1|*1|*0"),
    ("({})", "*0", "%0"),
    ("({a: 1, b: null})", "*4|$1|a|:1|$1|b|$-1", "%2|$1|a|:1|$1|b|_"),
    # Array indices are integers and come first; what only looks like one is text.
    ("({b: 1, 10: 2, 2: 3})", "*6|:2|:3|:10|:2|$1|b|:1", "%3|:2|:3|:10|:2|$1|b|:1"),
    ("({'01': 1, '-1': 2, '1.5': 3, '': 4})",
     "*8|$2|01|:1|$2|-1|:2|$3|1.5|:3|$0||:4", "%4|$2|01|:1|$2|-1|:2|$3|1.5|:3|$0||:4"),
    ("({2147483647: 1, 4294967295: 2})",
     "*4|:2147483647|:1|$10|4294967295|:2", "%2|:2147483647|:1|$10|4294967295|:2"),
    ("({'é': 1})", "*2|$2|é|:1", "%1|$2|é|:1"),
    # Inherited ones are told, hidden ones and symbols are not.
    ("Object.create({up: 1}, {own: {value: 2, enumerable: true}, not: {value: 3}})",
     "*4|$3|own|:2|$2|up|:1", "%2|$3|own|:2|$2|up|:1"),
    ("({[Symbol('s')]: 1})", "*0", "%0"),
    ("Object.create(null)", "*0", "%0"),
    ("({get g() { return 'got'; }})", "*2|$1|g|$3|got", "%1|$1|g|$3|got"),
    ("new (class A { x = 1; y() {} })()", "*2|$1|x|:1", "%1|$1|x|:1"),
    ("new Set(['b', 'a', 1, 2n, true, new String('s'), bytes(65)])",
     "*7|$1|b|$1|a|:1|:2|:1|$1|s|$1|A", "~7|$1|b|$1|a|:1|:2|#t|$1|s|$1|A"),
    ("new Set()", "*0", "~0"),
    ("[new Set([1]), {s: new Set(['x'])}]",
     "*2|*1|:1|*2|$1|s|*1|$1|x", "*2|~1|:1|%1|$1|s|~1|$1|x"),
    # To a reply, 1 and 1n are one member.
    ("new Set([1, 1n])", "*1|:1", "~1|:1"),
    ("new Set([typed('status', 'x')])", "*1|$1|x", "~1|$1|x"),
    # No enumerable properties: empty.
    ("new Map([['a', 1]])", "*0", "%0"),
    ("new Date()", "*0", "%0"),
    ("/x/", "*0", "%0"),
    ("() => 1", "*0", "%0"),
    ("[function f() {}, class A {}]", "*2|*0|*0", "*2|%0|%0"),
    ("new Error('x')", "*0", "%0"),
    ("[new TypeError('x')]", "*1|*0", "*1|%0"),
    ("[Promise.resolve(1)]", "*1|*0", "*1|%0"),
    ("new WeakMap()", "*0", "%0"),
    ("new DataView(bytes(1))", "*0", "%0"),
    ("new Number(5)", "*0", "%0"),
    ("new Boolean(true)", "*0", "%0"),
    ("new Uint8Array([7, 8])", "*4|:0|:7|:1|:8", "%2|:0|:7|:1|:8"),
    ("new Float64Array([0.5])", "*2|:0|$3|0.5", "%1|:0|,0.5"),
    ("new BigInt64Array([-1n])", "*2|:0|:-1", "%1|:0|:-1"),
    ("new Proxy([1], {})", "*1|:1", "*1|:1"),
    ("new (class B extends Array {})(1, 2)", "*2|:1|:2", "*2|:1|:2"),
    ("(async () => ({settled: 1}))()", "*2|$7|settled|:1", "%1|$7|settled|:1"),
    ("deep(100)", "*1|" * 99 + "*0", "*1|" * 99 + "*0"),
]  # fmt: skip

KEY = "Give value is not a key"
LENGTH = "Verbatim format length must be 3."
REFUSED = [
    ("typed('verbatim', 'x')", LENGTH),
    ("typed('verbatim', 'x', '')", LENGTH),
    ("typed('verbatim', 'x', 'text')", LENGTH),
    ("typed('verbatim', 'x', null)", LENGTH),
    (
        "typed('verbatim', 'x', 'té')",
        "Verbatim format must contains only ASCI values.",
    ),
    ("[typed('verbatim', 'x')]", LENGTH),
    ("new Set([1.5])", KEY),
    ("new Set([-0.5])", KEY),
    ("new Set([2147483648])", KEY),
    ("new Set([null])", KEY),
    ("new Set([undefined])", KEY),
    ("new Set([[]])", KEY),
    ("new Set([{}])", KEY),
    ("new Set([new Set()])", KEY),
    ("({2147483648: 1})", KEY),
    ("({4294967294: 1})", KEY),
    ("deep(101)", "nesting level reached"),
    ("deep(100000)", "nesting level reached"),
    ("(() => { const a = []; a.push(a); return a; })()", "nesting level reached"),
    ("(() => { const a = {}; a.a = a; return a; })()", "nesting level reached"),
    ("[1, {get g() { throw 'from a getter'; }}]", "from a getter"),
    (
        "new Proxy({}, {ownKeys() { throw new RangeError('trap'); }})",
        "RangeError: trap",
    ),
    ("(async () => typed('verbatim', 'x'))()", LENGTH),
]

THROWN = [
    ("throw 'x'", "x"),
    ("throw ''", ""),
    ("throw new Error('x')", "Error: x"),
    ("throw new TypeError('two\\nlines\\0')", "TypeError: two lines "),
    ("throw {}", "[object Object]"),
    ("throw {toString() { return 'mine'; }}", "mine"),
    ("throw [1, 2]", "1,2"),
    ("throw 5", "5"),
    ("throw 5n", "5"),
    ("throw null", "null"),
    ("throw undefined", "undefined"),
    ("throw new String('s')", "s"),
    ("throw Symbol('s')", ""),
    ("throw new (class Mine extends Error { name = 'Mine'; })('m')", "Mine: m"),
    ("null.x", "TypeError: Cannot read properties of null (reading 'x')"),
    ("foo", "ReferenceError: foo is not defined"),
    ("client.call('foo')", "ERR unknown command 'foo', with args beginning with: "),
    ("client.call('set', 'k')", "ERR wrong number of arguments for 'set' command"),
    ("client.call('lpush', 's', 'x')",
     "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("return (async () => { throw new Error('async'); })()", "Error: async"),
    ("return (async () => { throw 'plain'; })()", "plain"),
    ("return (async () => client.call('get'))()",
     "ERR wrong number of arguments for 'get' command"),
]  # fmt: skip

HELPERS = """
function typed(type, text, format) {
    const s = new String(text);
    s.__reply_type = type;
    if (format !== undefined) s.__format = format;
    return s;
}
function bytes(...list) { return new Uint8Array(list).buffer; }
function deep(n) { let a = []; for (let i = 1; i < n; i++) a = [a]; return a; }
"""


@pytest.fixture(scope="module")
def functions() -> Iterator[trignb.Engine]:
    """An engine with a function per case: ``v0``, ``v1`` ... and ``t0``, ``t1`` ..."""
    values = [case[0] for case in SCALARS + AGGREGATES + REFUSED]
    body = HELPERS + "".join(
        f"redis.registerFunction('v{i}', (client) => ({expression}));\n"
        for i, expression in enumerate(values)
    )
    body += "".join(
        f"redis.registerAsyncFunction('b{i}', async (client) => ({expression}));\n"
        for i, expression in enumerate(values)
    )
    body += "".join(
        f"redis.registerFunction('t{i}', (client) => {{ {statement}; }});\n"
        for i, (statement, _) in enumerate(THROWN)
    )
    with trignb.Engine() as engine:
        engine.load(lib(body))
        engine.execute("SET", "s", "text")
        yield engine


def wire(engine: trignb.Engine, name: str, resp: int, command: str = "TFCALL") -> bytes:
    try:
        reply = engine.session(resp=resp).execute(command, f"lib.{name}", 0)
    except ResponseError as error:
        return encode_error(error)
    return encode(reply, resp)


def as_wire(text: str) -> bytes:
    return (text.replace("|", "\r\n") + "\r\n").encode()


@pytest.mark.parametrize(
    ("number", "expression", "resp2", "resp3"),
    [(i, *case) for i, case in enumerate(SCALARS + AGGREGATES)],
)
def test_values(functions, number, expression, resp2, resp3) -> None:
    assert wire(functions, f"v{number}", 2) == as_wire(resp2)
    assert wire(functions, f"v{number}", 3) == as_wire(resp3 or resp2)
    # A promise's value takes another way, the same for both protocols.
    in_background = wire(functions, f"b{number}", 3, "TFCALLASYNC")
    assert in_background == as_wire(resp3 or resp2)


@pytest.mark.parametrize(
    ("number", "expression", "text"),
    [(i, *case) for i, case in enumerate(REFUSED, len(SCALARS) + len(AGGREGATES))],
)
def test_what_is_no_reply(functions, number, expression, text) -> None:
    for resp in (2, 3):
        assert wire(functions, f"v{number}", resp) == as_wire(f"-{text}")
    in_background = wire(functions, f"b{number}", 3, "TFCALLASYNC")
    assert in_background == as_wire(f"-{text}")


@pytest.mark.parametrize(
    ("number", "statement", "text"), [(i, *case) for i, case in enumerate(THROWN)]
)
def test_exceptions(functions, number, statement, text) -> None:
    assert wire(functions, f"t{number}", 2) == as_wire(f"-{text}")


@pytest.mark.parametrize(
    ("command", "resp2", "resp3"),
    [
        ("'ping'", "$4|PONG", None),
        ("'set', 'k', 'v'", "$2|OK", None),
        ("'incr', 'n'", ":1", None),
        ("'get', 'no'", "$-1", "_"),
        ("'hgetall', 'h'", "*6|:1|$1|x|:20|$1|y|$1|f|$1|v", "%3|:1|$1|x|:20|$1|y|$1|f|$1|v"),
        ("'smembers', 's'", "*2|$1|b|$1|a", "~2|$1|b|$1|a"),
        ("'zscore', 'z', 'm'", "$3|1.5", ",1.5"),
        ("'zscore', 'z', 'n'", ":2", None),
    ],
)  # fmt: skip
def test_round_trips(engine, load, command, resp2, resp3) -> None:
    """A command's reply that is returned as it is (trap 5: a status becomes a bulk string)."""
    load(f"redis.registerFunction('f', c => c.call({command}));")
    engine.execute("HSET", "h", "20", "y", "f", "v", "1", "x")
    engine.execute("SADD", "s", "b", "a")
    engine.execute("ZADD", "z", "1.5", "m", "2", "n")
    for resp, text in ((2, resp2), (3, resp3 or resp2)):
        engine.execute("DEL", "n")
        assert wire(engine, "f", resp) == as_wire(text)


def test_raw_round_trips_keep_every_byte(engine, load) -> None:
    load("redis.registerFunction('f', (c, ...args) => c.callRaw(...args));")
    value = bytes(range(256))
    engine.execute("SET", "k", value)
    engine.execute("RPUSH", "l", value, b"\xff")
    assert engine.execute("TFCALL", "lib.f", 0, "get", "k") == value
    assert engine.execute("TFCALL", "lib.f", 0, "lrange", "l", "0", "-1") == [
        value,
        b"\xff",
    ]
