"""Tables of scripts and commands with Lua, for `test_lua_exact`.

Each case is a list of commands. Most scripts answer with a text that tells types and values of everything a
function returned or raised (``out``).
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Final

__all__ = [
    "arguments",
    "bit",
    "cjson",
    "cmsgpack",
    "commands",
    "read_only",
    "registrations",
    "script",
    "states",
    "struct",
]

Command = tuple[str | int, ...]
Case = list[Command]

# What is put together here; texts of JSON stand for bytes.
TABLES: Final[dict[str, list[str]]] = json.loads(
    (Path(__file__).parents[1] / "data" / "lua_tables.json").read_text("utf-8")
)

PRELUDE: Final = """local function show(v, d) d = d or 0
 if type(v) == 'table' then if d > 3 then return '{..}' end
   if rawequal(v,_G) then return '_G' end
   for _, n in ipairs{'math','string','table','redis','bit','cjson','struct','cmsgpack','coroutine'} do if rawequal(v,_G[n]) then return n end end
   local r = {} for k, x in next, v do r[#r+1] = tostring(k) .. '=' .. show(x, d+1) end table.sort(r) return '{' .. table.concat(r, ',') .. '}' end
 if type(v) == 'function' or type(v) == 'thread' then return type(v) end
 if type(v) == 'userdata' then return v == cjson.null and 'null' or 'userdata' end
 return type(v) .. ':' .. tostring(v) end
local function out(...) local r = {} for i = 1, select('#', ...) do r[i] = show((select(i, ...))) end return table.concat(r, ' | ') end
cjson.decode_max_depth(1000) cjson.encode_max_depth(1000) cjson.encode_number_precision(14) cjson.encode_sparse_array(false,2,10) cjson.encode_invalid_numbers(false) cjson.decode_invalid_numbers(true) cjson.encode_keep_buffer(true)
"""


def script(text: str) -> Case:
    """Return a case of one script, with two keys and two arguments."""
    return [("EVAL", text, 2, "k1", "k2", "a1", "a2")]


def shown(call: str) -> Case:
    """Return a case that tells what a protected call of a function gives."""
    return script(f"{PRELUDE}return out(pcall({call}))")


def lua_string(text: bytes) -> str:
    """Return a text as a literal of Lua's."""
    return "'" + "".join(f"\\{byte:03d}" for byte in text) + "'"


def cjson() -> list[Case]:
    """Return texts decoded, values encoded and settings changed."""
    cases = []
    for text in TABLES["json"]:
        literal = lua_string(text.encode("latin-1"))
        cases += [shown(f"cjson.decode, {literal}"), script(f"cjson.decode({literal})")]
        cases.append(
            script(
                f"{PRELUDE}cjson.decode_invalid_numbers(false) "
                f"local r = out(pcall(cjson.decode, {literal})) "
                "cjson.decode_invalid_numbers(true) return r"
            )
        )
    for value, setting in product(TABLES["values"], TABLES["settings"]):
        cases.append(
            script(f"{PRELUDE}{setting} return out(pcall(cjson.encode, {value}))")
        )
    cases += [script(f"return cjson.encode({value})") for value in TABLES["values"]]
    for name, given in product(TABLES["json_settings"], TABLES["options"]):
        call = f"cjson.{name}" + (f", {given}" if given else "")
        cases.append(
            script(f"{PRELUDE}return out(pcall({call})) .. out(cjson.{name}())")
        )
        cases.append(script(f"cjson.{name}({given}) return 1"))
    cases.append(script(PRELUDE))
    for depth in (1, 999, 1000, 1001):
        for opening, closing in ("[]", ('{"a":', "}")):
            cases.append(
                script(
                    f"local s = ('{opening}'):rep({depth}) .. 1 .. ('{closing}'):rep({depth}) "
                    "local ok, e = pcall(cjson.decode, s) return {tostring(ok), type(e)}"
                )
            )
    return cases


def cmsgpack() -> list[Case]:
    """Return values packed, and texts of all kinds unpacked."""
    tell = (
        "local function hex(s) return (s:gsub('.', function(c) "
        "return string.format('%02x', c:byte()) end)) end\n"
    )
    cases = []
    for value in TABLES["packed"]:
        cases.append(
            script(
                f"{tell}local ok, s = pcall(cmsgpack.pack, {value}) "
                "return {tostring(ok), ok and #s, ok and hex(s:sub(1, 80)) or s}"
            )
        )
        cases.append(
            script(f"{PRELUDE}return out(cmsgpack.unpack(cmsgpack.pack({value})))")
        )
    for depth, key in product((1, 15, 16, 17, 30), ("[1]", ".x")):
        cases.append(
            script(
                f"{tell}local t = {{}} local a = t for i = 1, {depth} do a{key} = {{}} "
                f"a = a{key} end return hex(cmsgpack.pack(t))"
            )
        )
    cases += [
        script(f"{tell}local t = {{}} {text} return hex(cmsgpack.pack(t))")
        for text in ("t[1]=t", "t.a=t", "t[1]={t}")
    ]
    cases += [
        script(
            f"{tell}local t = {{}} for i = 1, {count} do t[i] = 1 end "
            "local s = cmsgpack.pack(t) return {#s, hex(s:sub(1, 6))}"
        )
        for count in (15, 16, 65535, 65536)
    ]
    for digits in TABLES["raw"]:
        literal = lua_string(bytes.fromhex(digits))
        cases += [
            shown(f"cmsgpack.unpack, {literal}"),
            shown(f"cmsgpack.unpack_one, {literal}"),
            script(f"return type(cmsgpack.unpack({literal}))"),
        ]
    for given, name in product(
        TABLES["unpack_arguments"], ("unpack", "unpack_one", "unpack_limit")
    ):
        cases.append(shown(f"cmsgpack.{name}" + (f", {given}" if given else "")))
        cases.append(script(f"{PRELUDE}return out(cmsgpack.{name}({given}))"))
    cases.append(script("return select('#', cmsgpack.unpack(('\\1'):rep(7000)))"))
    cases.append(script("return select('#', cmsgpack.unpack(('\\1'):rep(9000)))"))
    cases.append(script("return cmsgpack.pack()"))
    return cases


def struct() -> list[Case]:
    """Return formats with values and data that do and do not fit."""
    tell = (
        "local function hex(s) return (s:gsub('.', function(c) "
        "return string.format('%02x', c:byte()) end)) end\n"
    )
    cases = []
    for form, values in product(TABLES["formats"], TABLES["struct_values"]):
        given = f", {values}" if values else ""
        cases.append(
            script(
                f"{tell}local ok, s = pcall(struct.pack, '{form}'{given}) "
                "return {tostring(ok), ok and hex(s) or s}"
            )
        )
    for form in TABLES["formats"]:
        cases.append(shown(f"struct.size, '{form}'"))
        cases += [
            shown(f"struct.unpack, '{form}', '{data}'")
            for data in TABLES["struct_data"]
        ]
    for given in TABLES["offsets"]:
        cases.append(shown("struct.unpack" + (f", {given}" if given else "")))
        cases.append(script(f"return struct.unpack({given})"))
    for given in ("", "nil", "1", "{}", "'b', 1", "true"):
        cases += [script(f"return struct.{n}({given})") for n in ("size", "pack")]
    return cases


def bit() -> list[Case]:
    """Return the operations on numbers and on what is none."""
    calls = [
        *product(("tobit", "bnot", "bswap", "tohex"), TABLES["one_number"]),
        *product(
            ("band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror"),
            TABLES["numbers"],
        ),
    ]
    cases = [shown(f"bit.{n}" + (f", {given}" if given else "")) for n, given in calls]
    return cases + [script(f"return bit.{n}({given})") for n, given in calls]


def registrations() -> list[Case]:
    """Return libraries that register well and badly, and what their functions do."""
    return [
        [
            ("FUNCTION", "LOAD", f"#!lua name=lib\n{code}"),
            ("FUNCTION", "LIST", "WITHCODE"),
            ("FCALL", "f", 1, "a", "b", "c"),
            ("FCALL_RO", "f", 0),
        ]
        for code in TABLES["libraries"]
    ]


LIBRARY: Final = (
    "#!lua name=lib\nredis.register_function('f', function(k, a) return {k, a} end)"
)


def commands() -> list[Case]:
    """Return the commands about scripts and functions, with good and bad arguments."""
    load = ("FUNCTION", "LOAD", LIBRARY)
    cases: list[Case] = [[tuple(line.split(" "))] for line in TABLES["plain"]]
    cases += [
        [load, tuple(line.split(" ")), ("FUNCTION", "LIST")]
        for line in TABLES["with_library"]
    ]
    for count, more in product(TABLES["counts"], ((), ("a",), ("a", "b", "c"))):
        cases.append(
            [
                load,
                ("EVAL", "return {KEYS, ARGV}", count, *more),
                ("EVALSHA", "0" * 40, count, *more),
                ("FCALL", "f", count, *more),
                ("FCALL", "nope", count, *more),
                ("FCALL_RO", "f", count, *more),
            ]
        )
    for line in TABLES["first_lines"]:
        code = "redis.register_function('f', function() return 1 end)"
        cases.append([("FUNCTION", "LOAD", f"{line}\n{code}"), ("FUNCTION", "LIST")])
        cases.append([("FUNCTION", "LOAD", line), ("EVAL", line, 0)])
        for body in (
            "return redis.call('get', 'x')",
            "return redis.call('set', 'x', 'y')",
            "error('x')",
            "syntax error",
        ):
            text = f"{line}\n{body}"
            cases.append([("EVAL", text, 0), ("EVAL_RO", text, 0)])
            cases.append([("SCRIPT", "LOAD", text)])
    other = "#!lua name=other\nredis.register_function('{}', function() return 2 end)"
    cases += [
        [load, load],
        [load, ("FUNCTION", "LOAD", other.format("f"))],
        [load, ("FUNCTION", "LOAD", other.format("F")), ("FUNCTION", "STATS")],
        [
            load,
            ("FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\nbad bad"),
            ("FCALL", "f", 0),
        ],
        [
            load,
            ("MULTI",),
            ("FCALL", "f", 1, "a", "b"),
            ("FCALL", "nope", 0),
            ("EXEC",),
        ],
        [("MULTI",), ("EVAL", "error('x')", 0), ("EVAL", "return 1", "x"), ("EXEC",)],
        [
            ("SCRIPT", "LOAD", "return 1"),
            ("EVALSHA", SHA.upper(), 0),
            ("EVALSHA_RO", SHA, 0),
        ],
        [("SCRIPT", "LOAD", "return 1"), ("SCRIPT", "EXISTS", SHA, "x", SHA.upper())],
    ]
    return cases


SHA: Final = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"


def read_only() -> list[Case]:
    """Return what scripts may call, and what those may that do not write."""
    cases: list[Case] = []
    for line in TABLES["called"]:
        words = "', '".join(line.split())
        call = f"return redis.call('{words}')"
        cases += [
            [("EVAL", call, 0)],
            [("EVAL_RO", call, 0)],
            [("EVAL", f"#!lua flags=no-writes\n{call}", 0)],
            [("EVAL", f"redis.setresp(3) return redis.pcall('{words}')", 0)],
        ]
    return cases


def arguments() -> list[Case]:
    """Return every function of every library with every odd argument."""
    cases = []
    for function in TABLES["functions"]:
        for value in TABLES["odd"]:
            if (function, value) in APART:
                continue
            given = f", {value}" if value else ""
            cases.append(shown(f"{function}{given}"))
            cases.append(script(f"{function}({value})\nreturn 'done'"))
        for first, second in product(
            ("nil", "1", "'x'", "{1, 2}"), ("nil", "1", "'y'")
        ):
            cases.append(shown(f"{function}, {first}, {second}"))
    return cases


# The sign of what is no number is the C library's choice, and the order of a table its history's.
APART: Final = {
    ("math.log", "-1"),
    ("cmsgpack.pack", "redis"),
    ("cmsgpack.pack", "math"),
}


# The flags that scripts declare (none at all first), and what they do.
DECLARED: Final = (
    None,
    *("", "no-writes", "allow-oom", "allow-stale", "no-writes,allow-stale"),
    *("allow-oom,allow-stale", "no-cluster", "allow-cross-slot-keys"),
)
DONE: Final = (
    "return 1",
    "return redis.call('get', 'x')",
    "return redis.call('set', 'x', 'y')",
    "redis.call('del', 'x') return redis.call('set', 'x', 'y')",
    "return redis.call('ping')",
    "return redis.call('publish', 'a', 'b')",
    "return redis.call('lpop', 'x')",
    "return {redis.pcall('set', 'x', 'y'), redis.pcall('get', 'x')}",
)
WRITING: Final = "return redis.call('set', 'x', 'y')"
FLAGGED: Final = f"""#!lua name=lib
redis.register_function('w', function() {WRITING} end)
redis.register_function{{function_name='r', flags={{'no-writes'}},
  callback=function() return redis.call('get', 'x') end}}
redis.register_function{{function_name='oom', flags={{'allow-oom'}},
  callback=function() {WRITING} end}}
redis.register_function{{function_name='stale', flags={{'allow-stale', 'no-writes'}},
  callback=function() return redis.call('get', 'x') end}}
redis.register_function{{function_name='stale_w', flags={{'allow-stale'}},
  callback=function() {WRITING} end}}
"""
# Into a state that refuses, and out of it.
STATES: Final = (
    (["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"]),
    (["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"]),
    (
        ["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"],
        ["REPLICAOF NO ONE", "CONFIG SET replica-serve-stale-data yes"],
    ),
    (
        ["CONFIG SET min-replicas-to-write 1"],
        ["CONFIG SET min-replicas-to-write 0"],
    ),
)


def states() -> list[Case]:
    """Return what scripts and functions may do while the server refuses something."""
    calls: Case = []
    for flags, body in product(DECLARED, DONE):
        if flags == "no-writes,allow-stale" and ("set" in body or "lpop" in body):
            # Two refusals at once, of which Redis tells the other first.
            continue
        first = "" if flags is None else f"#!lua flags={flags}\n"
        calls += [("EVAL", first + body, 0), ("EVAL_RO", first + body, 0)]
    for name in ("w", "r", "oom", "stale", "stale_w"):
        calls += [("FCALL", name, 0), ("FCALL_RO", name, 0)]
    calls += [
        ("SCRIPT", "LOAD", "return 1"),
        ("FUNCTION", "LOAD", "REPLACE", FLAGGED),
        ("FUNCTION", "DELETE", "lib"),
    ]
    return [
        [
            ("FUNCTION", "LOAD", FLAGGED),
            ("SET", "x", "1"),
            *(tuple(line.split()) for line in into),
            *calls,
            *(tuple(line.split()) for line in out),
            ("CONFIG", "RESETSTAT"),
            ("EVAL", "return {redis.error_reply('IN x'), {err='IN2 x'}}", 0),
            ("EVAL", "redis.pcall({}) return redis.pcall('nope')", 0),
            ("EVAL", "return redis.call({})", 0),
            ("INFO", "errorstats"),
        ]
        for into, out in STATES
    ]
