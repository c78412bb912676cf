"""Where V8 would end the process for want of stack, the library's isolate is given up instead."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

HEAD = "#!js api_version=1.0 name=lib\n"
NAMES = """
const n = 30000, deep = '('.repeat(n) + ')'.repeat(n);
let asked = 0;
const turns = { toString() { return asked++ ? deep : 'x'; } };
const liar = { [Symbol.match]: true, source: deep, flags: '', constructor: undefined };
// Calls f with less and less stack until there is none.
function deepest(f) {
    let left = 2000;
    const go = () => { try { go(); } catch { if (left-- > 0) f(left); } };
    go();
}
"""

# Each is the body of a function; the call ends, well or badly.
WAYS = {
    "escaped brackets": "new RegExp('(\\\\)'.repeat(n) + ')'.repeat(n)).test('')",
    "brackets in classes": "new RegExp('([)]'.repeat(n) + ')'.repeat(n)).test('')",
    "constructor, two answers": "new RegExp(turns).test('')",
    "called, two answers": "RegExp(turns).test('')",
    "subclass": "class R extends RegExp {}; new R(turns).test('')",
    "Reflect": "Reflect.construct(RegExp, [turns]).test('')",
    "the prototype's constructor": "new (/x/.constructor)(turns).test('')",
    "liar": "new RegExp(liar).test('')",
    "match": "'x'.match(turns)",
    "matchAll": "[...'x'.matchAll(turns)]",
    "search": "'x'.search(turns)",
    "compile": "/x/.compile(turns).test('x')",
    "split of a liar": "RegExp.prototype[Symbol.split].call(liar, 'xy')",
    "matchAll of a liar": "[...RegExp.prototype[Symbol.matchAll].call(liar, 'xy')]",
    "species": (
        "const r = /x/; r.constructor = { [Symbol.species]: function () {"
        " return new RegExp(turns); } }; 'xyx'.split(r)"
    ),
    "Function": "Function('return /' + deep + '/.test(\"\")')()",
    "async function": (
        "(async () => {}).constructor('return /' + deep + '/.test(\"\")')()"
    ),
    "generator": (
        "(function* () {}).constructor('yield /' + deep + '/.test(\"\")')().next()"
    ),
    "lookahead": "new RegExp('(?='.repeat(n) + ')'.repeat(n)).test('')",
    "lookbehind": "new RegExp('(?<='.repeat(n) + ')'.repeat(n)).test('')",
    "not capturing": "new RegExp('(?:a|'.repeat(n) + ')'.repeat(n)).test('')",
    "modifiers": "new RegExp('(?i:'.repeat(n) + ')'.repeat(n)).test('')",
    "named groups": (
        "let p = ''; for (let i = 0; i < n; i++) p += '(?<g' + i + '>';"
        "new RegExp(p + ')'.repeat(n)).test('')"
    ),
    "quantifiers": "new RegExp('(?:'.repeat(n) + 'a' + ')*'.repeat(n)).test('')",
    "back-references": "new RegExp('(\\\\1'.repeat(n) + ')'.repeat(n)).test('')",
    "classes in classes": "new RegExp('['.repeat(n) + 'a' + ']'.repeat(n), 'v').test('')",
    "replace": "'x'.replace(/x/, () => { new RegExp(turns).test(''); })",
    "at the end of the stack, 900 deep": (
        "deepest((k) => new RegExp('('.repeat(900) + k + ')'.repeat(900)).test('x'))"
    ),
    "at the end of the stack, flat": "deepest((k) => new RegExp('a|b' + k).test('x'))",
    "at the end of the stack, Function": (
        "deepest((k) => Function('return /(a|(b|c' + k + '))+/.test(\"b\")')())"
    ),
    "arrays in arrays": "Function('return ' + '['.repeat(1e5) + ']'.repeat(1e5))()",
    "brackets": "Function('return ' + '('.repeat(1e5) + '1' + ')'.repeat(1e5))()",
    "templates": "Function('return ' + '`${'.repeat(5e4) + '1' + '}`'.repeat(5e4))()",
    "a long sum": "Function('return ' + '1+'.repeat(2e5) + '1')()",
    "arrows": "Function('return ' + '()=>'.repeat(1e5) + '1')()",
    "blocks": "Function('{'.repeat(1e5) + '}'.repeat(1e5))()",
    "not": "Function('return ' + '!'.repeat(2e5) + '1')()",
    "patterns": "Function('const ' + '['.repeat(5e4) + 'a' + ']'.repeat(5e4) + '=1')()",
    "optional chains": "Function('return a' + '?.b'.repeat(1e5))()",
    "ternaries": "Function('return ' + '1?'.repeat(5e4) + '1' + ':1'.repeat(5e4))()",
    "JSON in": "JSON.parse('['.repeat(2e5) + ']'.repeat(2e5))",
    "JSON out": "let a = []; for (let i = 0; i < 2e5; i++) a = [a]; JSON.stringify(a)",
    "flat": "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a.flat(Infinity)",
    "join": "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; String(a)",
    "proxies": "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x",
    "bound": "let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(); f()",
    "prototypes": "let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); o.x",
    "getters": "const o = { get x() { return this.x; } }; o.x",
    "a value for Python": "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a",
    "spread": "Math.max(...new Array(1e7))",
    "apply": "Math.max.apply(null, new Array(1e7))",
}

CHILD = """
import sys, threading, trignb
from trignb.errors import ResponseError

INNOCENT = '''#!js api_version=1.0 name=other
redis.registerFunction('f', (client) => client.call('incr', 'n'));'''

with trignb.Engine() as engine:
    engine.load(INNOCENT)
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "3000")
    try:
        engine.load(sys.stdin.read())
        for _ in range(3):
            try:
                engine.execute({command})
            except ResponseError:
                pass
    except ResponseError:
        pass
    assert engine.execute("PING") == "PONG"
    assert engine.call("other.f") == 1
    engine.execute("TFUNCTION", "DELETE", "other")
    engine.load(INNOCENT)
    assert engine.call("other.f") == 2
print("lives")
"""


def outlive(source, command='"TFCALL", "lib.f", "0"'):
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(command=command)],
        input=source,
        text=True,
        capture_output=True,
        timeout=50,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-1500:])
    assert done.stdout.endswith("lives\n")


@pytest.mark.parametrize("name", WAYS)
def test_a_library_does_not_exhaust_the_process(name):
    body = WAYS[name]
    outlive(f"{HEAD}{NAMES}redis.registerFunction('f', () => {{ {body}; return 1; }});")


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("registerAsyncFunction('f', async () => { await null; FATAL })", "TFCALLASYNC lib.f 0"),
        ("registerFunction('f', (c) => { c.executeAsync(async () => { FATAL }); })", "TFCALL lib.f 0"),
        ("registerAsyncFunction('f', async (c) => c.block(() => { FATAL }))", "TFCALLASYNC lib.f 0"),
        ("registerKeySpaceTrigger('f', '', () => { FATAL })", "SET k v"),
        (
            "registerKeySpaceTrigger('f', '', () => {}, { onTriggerFired: () => { FATAL } })",
            "SET k v",
        ),
        ("registerKeySpaceTrigger('f', '', async () => { FATAL })", "SET k v"),
        ("registerStreamTrigger('f', '', () => { FATAL })", "XADD s * f v"),
        ("registerFunction('f', () => 1); FATAL", "TFCALL lib.f 0"),
    ],
)  # fmt: skip
def test_wherever_a_library_runs(kind, command):
    fatal = "Function('return /' + deep + '/.test(\"\")')();"
    words = ", ".join(f'"{word}"' for word in command.split())
    outlive(f"{HEAD}{NAMES}redis.{kind.replace('FATAL', fatal)};", words)


def test_a_literal_of_the_library():
    literal = "/" + "(\\)" * 30000 + ")" * 30000 + "/"
    outlive(f"{HEAD}redis.registerFunction('f', () => {literal}.test(''));")


def test_the_library_goes_on_with_new_variables(engine):
    engine.load(
        f"{HEAD}{NAMES}"
        + textwrap.dedent("""
        let calls = 0;
        redis.registerFunction('count', () => ++calls);
        redis.registerFunction('f', () => Function('return /' + deep + '/.test("")')());
        """)
    )
    assert engine.call("lib.count") == 1
    assert engine.call("lib.count") == 2
    with pytest.raises(Exception, match="Execution was terminated"):
        engine.call("lib.f")
    assert engine.call("lib.count") == 1
