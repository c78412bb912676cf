"""Cases that are products: each value in each place.

A value is an expression of JavaScript; its case is named after it. What ends the process of the
module is not asked: a text with half a surrogate pair, a property whose getter throws.
"""

from __future__ import annotations

from itertools import product

from module.cases import Case, case

__all__ = ["table_cases"]

# -- what a function returns

RETURNED = """
1
-1
0
-0
1.0
1.5
-1.5
1e21
1e-7
123456789.123
2147483647
2147483648
-2147483648
-2147483649
3000000000
NaN
Infinity
-Infinity
1n
-1n
9223372036854775807n
9223372036854775808n
-9223372036854775809n
18446744073709551616n
"x"
""
"\\u00e9\\u4e2d\\u{1f600}"
"a\\r\\nb\\0c"
new String("x")
new Number(1)
new Number(1.5)
new Boolean(true)
Object(1n)
Object(Symbol("s"))
Symbol("s")
undefined
null
true
false
[]
[1, "a", null, undefined, true, 1.5, [2, [3]]]
[,1]
new Array(3)
{}
{a: 1}
{1: "a"}
{1.5: "a"}
{"-1": "a"}
{4294967294: "a"}
{4294967295: "a"}
{2147483648: "a"}
{2147483647: "a"}
{a: undefined}
{a: null, b: [1, {c: 2}]}
{[Symbol("s")]: 1}
Object.create({a: 1})
Object.create(null)
Object.defineProperty({}, "a", {value: 1})
{get a() { return 7; }}
new Proxy({a: 1}, {})
new Proxy([1], {})
new Map([[1, 2]])
new Set([1])
new Set(["a", 1, 2n, true, "b"])
new Set([1.5])
new Set([null])
new Set([undefined])
new Set([[1]])
new Set([new Set([1])])
new Set([{a: 1}])
new Set([new String("x")])
new Set([new ArrayBuffer(1)])
new Set([NaN])
new Set([Symbol("s")])
new WeakMap()
new Date(0)
/x/g
new Error("x")
new TypeError("x")
() => 1
function f() {}
class {}
new ArrayBuffer(2)
new ArrayBuffer(0)
new Uint8Array([1, 2])
new Uint8Array([255, 254]).buffer
new Float64Array([1.5])
new DataView(new ArrayBuffer(1))
Math
JSON
globalThis.redis
redis.functionFlags
Object.assign(new String("OK"), {__reply_type: "status"})
Object.assign(new String("a\\r\\nb"), {__reply_type: "status"})
Object.assign(new String("x"), {__reply_type: "verbatim"})
Object.assign(new String("x"), {__reply_type: "verbatim", __format: "txt"})
Object.assign(new String("x"), {__reply_type: "verbatim", __format: "markdown"})
Object.assign(new String("x"), {__reply_type: "verbatim", __format: "mkd"})
Object.assign(new String("x"), {__reply_type: "verbatim", __format: ""})
Object.assign(new String("x"), {__reply_type: "verbatim", __format: 123})
Object.assign(new String("x"), {__reply_type: "verbatim", __format: "\\u00e9\\u00e9\\u00e9"})
Object.assign(new String("x"), {__reply_type: "verbatim", __format: new String("txt")})
Object.assign(new String("123"), {__reply_type: "big_number"})
Object.assign(new String("x"), {__reply_type: "error"})
Object.assign(new String("x"), {__reply_type: "bulk_string"})
Object.assign(new String("x"), {__reply_type: 5})
Object.assign(new String("x"), {__reply_type: undefined})
Object.assign(new String("x"), {__reply_type: new String("status")})
Object.assign({}, {__reply_type: "status"})
Object.assign(new ArrayBuffer(1), {__reply_type: "status"})
Object.assign(new ArrayBuffer(1), {__reply_type: "verbatim", __format: "txt"})
Object.assign([1], {__reply_type: "status"})
[Object.assign(new String("OK"), {__reply_type: "status"})]
[Object.assign(new String("x"), {__reply_type: "verbatim", __format: "t"})]
(a => { a.push(a); return a; })([])
(o => { o.o = o; return o; })({})
Array.from({length: 99}).reduce(a => [a], 1)
Array.from({length: 100}).reduce(a => [a], 1)
Array.from({length: 101}).reduce(a => [a], 1)
[[1, Symbol("s")]]
[Promise.reject]
[(async () => 1)()]
(async () => 1)()
(async () => { throw "no"; })()
(async () => { throw new Error("no"); })()
(async () => undefined)()
(async () => (async () => 2)())()
{then: 1}
{then(r) { r(5); }}
arguments.length
this
typeof this
"x".repeat(100000).length
new Intl.NumberFormat("en").format(1234.5)
String(Object.getOwnPropertyNames(redis).sort())
String(Object.getOwnPropertyNames(globalThis).sort())
String(Object.keys(redis))
String(redis)
Object.prototype.toString.call(redis)
typeof redis.v8Version()
redis.apiVersion()
redis.config
"""

# -- what a callback throws

THROWN = """
"text"
""
"two\\nlines\\r\\0"
"\\u00e9 \\u4e2d"
new String("boxed")
new Error("message")
new Error("")
new Error("two\\nlines")
new TypeError("message")
Object.assign(new Error("message"), {stack: "my stack"})
Object.assign(new Error("message"), {stack: undefined})
Object.assign(new Error("message"), {stack: 5})
Object.assign(new Error("message"), {name: "Mine"})
Object.assign(new Error("message"), {message: {}})
new (class Own extends Error {})("own")
{}
{message: "m"}
{stack: "s"}
{toString() { return "mine"; }}
{toString() { throw "from toString"; }}
{toString() { throw new Error("from toString"); }}
{toString() { return {}; }}
{toString: null}
Object.create(null)
[]
[1, 2]
1
1.5
1n
NaN
true
null
undefined
Symbol("s")
() => 1
new Map()
new Date(0).toISOString()
(async () => 1)()
new Proxy({}, {get() { throw "trap"; }})
redis
"ERR mine"
"-ERR mine"
"WRONGTYPE x"
"""

# Each place in which code of a library runs and may throw; ``@`` is what it throws.
THROWING = {
    "function": """\
redis.registerFunction("f", () => { throw @; });
> TFCALL lib.f 0
> TFCALLASYNC lib.f 0
> MULTI
> TFCALL lib.f 0
> EXEC
""",
    "async function": """\
redis.registerAsyncFunction("f", async () => { throw @; });
> TFCALLASYNC lib.f 0
""",
    "block": """\
redis.registerAsyncFunction("f", async c => c.block(() => { throw @; }));
redis.registerAsyncFunction("g", async c => {
    try { c.block(() => { throw @; }); } catch (e) { return typeof e; }
});
> TFCALLASYNC lib.f 0
> TFCALLASYNC lib.g 0
""",
    "executeAsync": """\
redis.registerAsyncFunction("f", c => c.executeAsync(async () => { throw @; }));
> TFCALLASYNC lib.f 0
""",
    "keyspace trigger": """\
redis.registerKeySpaceTrigger("t", "k", () => { throw @; });
> SET k 1
> TFUNCTION LIST v
""",
    "onTriggerFired": """\
redis.registerKeySpaceTrigger("t", "k", () => 1, {onTriggerFired: () => { throw @; }});
> SET k 1
> TFUNCTION LIST v
""",
    "async keyspace trigger": """\
redis.registerKeySpaceTrigger("t", "k", async () => { throw @; });
> SET k 1
?> TFUNCTION LIST v => num_failed', :1
""",
    "stream trigger": """\
redis.registerStreamTrigger("t", "k", () => { throw @; });
> XADD k 1-1 f v
> TFUNCTION LIST vv
""",
    "prologue": """\
throw @;
> TFUNCTION LIST
""",
    "promise constructor": """\
redis.registerFunction("f", () => new Promise((resolve, reject) => { reject(@); }));
redis.registerFunction("g", () => new Promise(() => { throw @; }));
> TFCALLASYNC lib.f 0
> TFCALL lib.g 0
""",
    "cluster function": """\
redis.registerClusterFunction("r", async () => { throw @; });
redis.registerAsyncFunction("f", async c => c.runOnKey("k", "r"));
redis.registerAsyncFunction("g", async c => c.runOnShards("r"));
> TFCALLASYNC lib.f 0
> TFCALLASYNC lib.g 0
""",
}

# -- wrong arguments

# What is given where something else is wanted.
WRONG = """
undefined
null
1
1.5
-1
1n
true
"text"
""
new String("boxed")
{}
[]
[1]
() => 1
async () => 1
class {}
Symbol("s")
new ArrayBuffer(1)
new Uint8Array(1)
"""

# Entry points of the load, with the place of the wrong argument.
REGISTERING = """
redis.registerFunction(@, () => 1)
redis.registerFunction("f", @)
redis.registerFunction("f", () => 1, @)
redis.registerFunction("f", () => 1, {description: @})
redis.registerFunction("f", () => 1, {flags: @})
redis.registerFunction("f", () => 1, {flags: [@]})
redis.registerFunction("f", () => 1, {}, @)
redis.registerAsyncFunction(@, async () => 1)
redis.registerAsyncFunction("f", @)
redis.registerAsyncFunction("f", async () => 1, @)
redis.registerAsyncFunction("f", async () => 1, {flags: @})
redis.registerClusterFunction(@, async () => 1)
redis.registerClusterFunction("f", @)
redis.registerClusterFunction("f", async () => 1, @)
redis.registerKeySpaceTrigger(@, "", () => 1)
redis.registerKeySpaceTrigger("t", @, () => 1)
redis.registerKeySpaceTrigger("t", "", @)
redis.registerKeySpaceTrigger("t", "", () => 1, @)
redis.registerKeySpaceTrigger("t", "", () => 1, {description: @})
redis.registerKeySpaceTrigger("t", "", () => 1, {onTriggerFired: @})
redis.registerStreamTrigger(@, "", () => 1)
redis.registerStreamTrigger("t", @, () => 1)
redis.registerStreamTrigger("t", "", @)
redis.registerStreamTrigger("t", "", () => 1, @)
redis.registerStreamTrigger("t", "", () => 1, {description: @})
redis.registerStreamTrigger("t", "", () => 1, {window: @})
redis.registerStreamTrigger("t", "", () => 1, {isStreamTrimmed: @})
redis.log(@)
redis.apiVersion(@)
redis.functionFlags.x = @
redis.config.x = @
redis.registerFunction(); @
new Promise(@)
new Promise(r => r(@))
"""

# Methods of clients; a function tries each and returns what came of it.
CALLING = """
c.call(@)
c.call("echo", @)
c.call("echo", "x", @)
c.call(@, "x")
c.callRaw("echo", @)
c.callRaw(@)
c.callAsync("echo", @)
c.callAsyncRaw("echo", @)
c.callAsync(@)
c.executeAsync(@)
c.isBlockAllowed(@)
"""
CALLING_ASYNC = """
c.block(@)
c.runOnKey(@, "r")
c.runOnKey("k", @)
c.runOnKey("k", "r", @)
c.runOnShards(@)
c.runOnShards("r", @)
"""


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def _returned(value: str) -> Case:
    return case(
        f"returned: {value}",
        f"""\
redis.registerFunction("f", function() {{ return {_wrapped(value)}; }});
redis.registerAsyncFunction("g", async function() {{ return {_wrapped(value)}; }});
~> TFCALL lib.f 0
~> TFCALLASYNC lib.f 0
~> TFCALLASYNC lib.g 0
~> TFCALL lib.f 1 a b
""",
    )


def _wrapped(value: str) -> str:
    # An object literal or a class at the start of a statement would be a block.
    return f"({value})"


def _thrown(place: str, value: str) -> Case:
    return case(
        f"thrown in {place}: {value}", THROWING[place].replace("@", f"({value})")
    )


def _registering(template: str) -> Case:
    """Each wrong argument in a try of its own, then what all of them have registered."""
    tries = "\n".join(
        f"try {{ told.push(String({template.replace('@', value).replace('; ', ', ')})); }}"
        " catch (e) { told.push(typeof e + ' ' + String(e)); }"
        for value in _lines(WRONG)
    )
    return case(
        f"registering: {template}",
        f"""\
const told = [];
{tries}
redis.registerFunction("told", () => told);
> TFCALL lib.told 0
> TFUNCTION LIST vvv
""",
    )


def _registering_uncaught(template: str, value: str) -> Case:
    return case(
        f"uncaught: {template.replace('@', value)}",
        f"""\
{template.replace("@", value)};
redis.registerFunction("other", () => 1);
> TFUNCTION LIST vvv
""",
    )


def _calling(template: str) -> Case:
    names = []
    lines = []
    for number, value in enumerate(_lines(WRONG)):
        names.append(f"f{number}")
        body = template.replace("@", value)
        lines.append(
            f'redis.registerAsyncFunction("f{number}", c => {{ try {{ const r = {body};'
            ' return r instanceof Object && r.then ? "promise" : [typeof r, r];'
            " } catch (e) { return [typeof e, String(e)]; } });"
        )
    asked = "\n".join(f"~> TFCALLASYNC lib.{name} 0" for name in names)
    return case(f"calling: {template}", "\n".join(lines) + "\n" + asked)


def _calling_async(template: str) -> Case:
    lines = [
        'redis.registerClusterFunction("r", async (c, ...args) => args.map(String));'
    ]
    names = []
    for number, value in enumerate(_lines(WRONG)):
        names.append(f"f{number}")
        body = template.replace("@", value)
        lines.append(
            f'redis.registerAsyncFunction("f{number}", async c => {{ try {{'
            f" const r = await {body}; return [typeof r, r];"
            " } catch (e) { return [typeof e, String(e)]; } });"
        )
    asked = "\n".join(f"~> TFCALLASYNC lib.{name} 0" for name in names)
    return case(f"calling: {template}", "\n".join(lines) + "\n" + asked)


def table_cases() -> list[Case]:
    """Return the cases of all tables."""
    uncaught = ("undefined", "1", '"text"', "{}", "[1]", "async () => 1")
    cases = [
        *map(_returned, _lines(RETURNED)),
        *(_thrown(place, value) for place, value in product(THROWING, _lines(THROWN))),
        *map(_registering, _lines(REGISTERING)),
        *(
            _registering_uncaught(template, value)
            for template, value in product(_lines(REGISTERING), uncaught)
        ),
        *map(_calling, _lines(CALLING)),
        *map(_calling_async, _lines(CALLING_ASYNC)),
    ]
    # One template with one value may be another with another: [@] with 1, @ with [1].
    return list({each.name: each for each in cases}.values())
