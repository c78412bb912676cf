"""Replies of commands as JavaScript gets them (docs/semantics.md, Values in)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import trignb
from functions.libraries import error_of, lib
from trignb.engine.spec import CommandFamily, Facts
from trignb.errors import ResponseError
from trignb.reply import (
    NULL_ARRAY,
    OK,
    BigNumber,
    SetOfLists,
    SetReply,
    Status,
    Verbatim,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = Facts(
    name="canned",
    arity=-1,
    flags=0,
    acl_categories=(),
    first_key=0,
    last_key=0,
    key_step=0,
    since="",
    group="module",
    deprecated_since="",
    tips=(),
    key_specs="",
    kind="command",
)

# What came, told in text: types, own properties, order.
TELL = r"""
function tell(v) {
    if (v === null || v === undefined) return String(v);
    if (v instanceof ArrayBuffer) {
        return `buffer(${[...new Uint8Array(v)].join()})` + extras(v, []);
    }
    if (typeof v === 'string') return JSON.stringify(v);
    if (typeof v === 'bigint') return `${v}n`;
    if (Object.is(v, -0)) return '-0';
    if (typeof v === 'number' || typeof v === 'boolean') return String(v);
    if (v instanceof String) {
        return `String(${v})` + extras(v, [...v].map((_, i) => String(i)));
    }
    if (Array.isArray(v)) return `[${v.map(tell).join()}]`;
    if (v instanceof Set) return `Set(${[...v].map(tell).join()})`;
    const plain = Object.getPrototypeOf(v) === Object.prototype ? '' : '?';
    return `${plain}{${Object.keys(v).map(k => `${k}:${tell(v[k])}`).join()}}`;
}
function extras(v, known) {
    return Object.keys(v).filter(k => !known.includes(k)).map(k => `.${k}=${v[k]}`).join('');
}
const how = (method) => (client) => tell(client[method]('canned'));
redis.registerFunction('call', how('call'));
redis.registerFunction('callRaw', how('callRaw'));
redis.registerAsyncFunction('callAsync', (c) => c.callAsync('canned').then(tell));
redis.registerAsyncFunction('callAsyncRaw', (c) => c.callAsyncRaw('canned').then(tell));
redis.registerFunction('thrown', (client, method) => {
    try { client[method]('canned'); } catch (e) { return `${typeof e} ${e}`; }
});
redis.registerAsyncFunction('rejected', (client, method) =>
    client[method]('canned').catch(e => `${typeof e} ${e}`));
redis.registerFunction('back', (client) => client.call('canned'));
redis.registerFunction('backRaw', (client) => client.callRaw('canned'));
"""


class Canned:
    """An engine with a command whose reply the test says."""

    def __init__(self, engine: trignb.Engine) -> None:
        self.engine = engine
        self.reply: Any = None
        family = CommandFamily("module")
        family.command("canned", facts=FACTS)(lambda _s, _args: self._answer())
        engine.core.add_family(family)
        engine.load(lib(TELL))

    def _answer(self) -> Any:
        if type(self.reply) is ResponseError:
            raise self.reply
        return self.reply

    def ask(self, function: str, reply: Any, *args: str) -> Any:
        self.reply = reply
        return self.engine.execute("TFCALLASYNC", f"lib.{function}", 0, *args)

    def told(self, function: str, reply: Any) -> str:
        return self.ask(function, reply).decode()


@pytest.fixture(scope="module")
def canned() -> Iterator[Canned]:
    with trignb.Engine() as engine:
        yield Canned(engine)


def verbatim(text: bytes, form: str = "txt") -> Verbatim:
    value = Verbatim(text)
    value.format = form
    return value


BIG = 1 << 70

SAME = None
CASES = [
    # reply, with call, with callRaw (SAME: the same)
    (OK, '"OK"', "buffer(79,75)"),
    (Status("QUEUED"), '"QUEUED"', "buffer(81,85,69,85,69,68)"),
    (b"ab", '"ab"', "buffer(97,98)"),
    (b"", '""', "buffer()"),
    ("é€😀\0".encode(), '"é€😀\\u0000"', f"buffer({','.join(map(str, 'é€😀'.encode()))},0)"),
    (0, "0n", SAME),
    (-1, "-1n", SAME),
    ((1 << 31) - 1, "2147483647n", SAME),
    (1 << 31, "2147483648n", SAME),
    (-(1 << 63), "-9223372036854775808n", SAME),
    ((1 << 63) - 1, "9223372036854775807n", SAME),
    (1.5, "1.5", SAME),
    (3.0, "3", SAME),
    (-0.0, "-0", SAME),
    (float("inf"), "Infinity", SAME),
    (float("-inf"), "-Infinity", SAME),
    (float("nan"), "NaN", SAME),
    (True, "true", SAME),
    (False, "false", SAME),
    (None, "null", SAME),
    (NULL_ARRAY, "null", SAME),
    ([], "[]", SAME),
    ([b"a", b"b"], '["a","b"]', "[buffer(97),buffer(98)]"),
    ([b"a", 1, None, [b"b", [True]]], '["a",1n,null,["b",[true]]]',
     "[buffer(97),1n,null,[buffer(98),[true]]]"),
    ([OK, b"x"], '["OK","x"]', "[buffer(79,75),buffer(120)]"),
    ([Verbatim(b"x"), b"y"], '[String(x).__reply_type=verbatim.__format=txt,"y"]',
     "[buffer(120).__reply_type=verbatim.__format=txt,buffer(121)]"),
    ({}, "{}", SAME),
    ({b"f": b"v", b"g": 1}, '{f:"v",g:1n}', "{f:buffer(118),g:1n}"),
    # Integer-like names come first, in ascending order.
    ({b"b": 1, 5: 2, b"a": 3, b"2": 4}, "{2:4n,5:2n,b:1n,a:3n}", SAME),
    ({-5: 1, 1 << 40: 2}, "{-5:1n,1099511627776:2n}", SAME),
    ({Status("s"): 1, "é".encode(): 2}, "{s:1n,é:2n}", SAME),
    ({b"__proto__": 1, b"constructor": 2}, "{__proto__:1n,constructor:2n}", SAME),
    (SetReply([b"b", b"a", 3]), 'Set("b","a",3n)', "Set(buffer(98),buffer(97),3n)"),
    (SetReply([]), "Set()", SAME),
    (SetOfLists([[1], [2]]), "Set([1n],[2n])", SAME),
    ({1}, "Set(1n)", SAME),
    (BigNumber(BIG), f"String({BIG}).__reply_type=big_number", SAME),
    (BigNumber(-1), "String(-1).__reply_type=big_number", SAME),
    (verbatim(b"hi"), "String(hi).__reply_type=verbatim.__format=txt",
     "buffer(104,105).__reply_type=verbatim.__format=txt"),
    (verbatim("é".encode(), "mkd"), "String(é).__reply_type=verbatim.__format=mkd",
     "buffer(195,169).__reply_type=verbatim.__format=mkd"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "plain", "raw"), CASES)
def test_what_arrives(canned: Canned, reply: Any, plain: str, raw: str | None) -> None:
    for suffix, expected in (("", plain), ("Raw", plain if raw is None else raw)):
        assert canned.told(f"call{suffix}", reply) == expected
        assert canned.told(f"callAsync{suffix}", reply) == expected


REFUSED = [
    # reply, text, is it refused with callRaw too?
    (b"\xff", "Could not decode value as string", False),
    ([b"a", b"\xff"], "Could not decode value as string", False),
    (SetReply([b"\xff"]), "Could not decode value as string", False),
    ({b"a": b"\xff"}, "Could not decode value as string", False),
    (verbatim(b"\xff"), "Could not decode value as string", False),
    # A lone surrogate is not UTF-8.
    (b"\xed\xa0\x80", "Could not decode value as string", False),
    ({b"\xff": 1}, "Binary map key is not supported", True),
    ([{b"\xff": 1}], "Binary map key is not supported", True),
    ({1.5: 1}, "Given object can not be a object key", True),
    ({True: 1}, "Given object can not be a object key", True),
    ({None: 1}, "Given object can not be a object key", True),
    (ResponseError("ERR no"), "ERR no", True),
    (ResponseError("WRONGTYPE x"), "WRONGTYPE x", True),
    ([1, ResponseError("ERR inner")], "ERR inner", True),
    ({b"a": [ResponseError("ERR deep")]}, "ERR deep", True),
    (SetOfLists([[ResponseError("ERR set")]]), "ERR set", True),
]


@pytest.mark.parametrize(("reply", "text", "is_raw_too"), REFUSED)
def test_what_is_thrown(
    canned: Canned, reply: Any, text: str, is_raw_too: bool
) -> None:
    assert canned.ask("thrown", reply, "call") == f"string {text}".encode()
    assert canned.ask("rejected", reply, "callAsync") == f"string {text}".encode()
    assert error_of(canned.ask, "call", reply) == text
    if is_raw_too:
        assert canned.ask("thrown", reply, "callRaw") == f"string {text}".encode()
        assert (
            canned.ask("rejected", reply, "callAsyncRaw") == f"string {text}".encode()
        )
    else:
        assert "buffer(" in canned.told("callRaw", reply)
        assert "buffer(" in canned.told("callAsyncRaw", reply)


def test_the_first_error_wins(canned: Canned) -> None:
    reply = [ResponseError("ERR one"), b"\xff", ResponseError("ERR two")]
    assert canned.ask("thrown", reply, "call") == b"string ERR one"


def test_replies_of_real_commands(engine, load) -> None:
    """What surprises people who compare with other clients."""
    load(
        TELL
        + """redis.registerFunction('run', (c, ...args) => tell(c.call(...args)));
redis.registerFunction('thrice', (c, ...args) => {
    const n = c.call('incr', 'n');
    const tried = (f) => { try { return f(); } catch (e) { return e.name; } };
    return [typeof n, tried(() => n + 1), tried(() => JSON.stringify(n)), n == 1, n === 1];
});"""
    )
    run = engine.execute
    run("HSET", "h", "b", "1", "2", "2", "1", "3")
    run("SADD", "s", "x")
    run("ZADD", "z", "1.5", "m")
    for resp in (2, 3):
        session = engine.session(resp=resp)

        def told(*args: str) -> str:
            reply: bytes = session.execute("TFCALL", "lib.run", 0, *args)  # noqa: B023
            return reply.decode()

        assert told("hgetall", "h") == '{1:"3",2:"2",b:"1"}'
        assert told("smembers", "s") == 'Set("x")'
        assert told("zscore", "z", "m") == "1.5"
        assert told("get", "no") == "null"
        assert told("hget", "h", "no") == "null"
        assert told("blpop", "no", "0") == "null"
        assert told("set", "k", "v") == '"OK"'
        assert told("ping") == '"PONG"'
        assert told("type", "h") == '"hash"'
        assert told("exists", "h") == "1n"
        assert told("zrange", "z", "0", "-1", "withscores") == '[["m",1.5]]'
        assert told("xadd", "st", "1-1", "f", "v") == '"1-1"'
        assert told("del", "st") == "1n"
        assert told("command", "info", "nosuch") == "[null]"
        assert told("command", "info", "get").startswith('[["get",2n,Set(')
    assert run("TFCALL", "lib.thrice", 0) == [
        *(b"bigint", b"TypeError", b"TypeError", True, False)
    ]
