"""The type declarations: right libraries pass the TypeScript compiler, wrong ones do not."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest

import trignb
from trignb.cli import TYPINGS

ROOT = Path(__file__).parents[2]
PROLOGUE = "#!js api_version=1.0 name=lib\n"

# Right whatever the compiler's mood.
RIGHT = {
    "stamp": """
redis.registerKeySpaceTrigger("stamp", "user:", (client, data) => {
    if (data.key !== null && client.call("type", data.key) === "hash") {
        client.call("hset", data.key, "at", client.call("time")[0]);
    }
}, {description: "stamps", onTriggerFired: (client, data) => { data.seen = data.event; }});
""",
    "numbers": """
redis.registerFunction("add", (client, key, by) => {
    const n = client.call("INCRBY", key, by) + 1n;
    const score = (client.call("zscore", "z", "m") ?? 0) + 0.5;
    return [n, score, Number(client.call("get", key) ?? "0") + 1];
}, {flags: [redis.functionFlags.NO_WRITES, "allow-oom"]});
""",
    "bytes": """
redis.registerFunction("size", (client, key, value) => {
    client.call("set", key, value);
    const raw = client.callRaw("get", key);
    const rows = client.callRaw("xrange", key, "-", "+").map(([id, fields]) => fields[0].byteLength);
    return value.byteLength + (raw === null ? 0 : raw.byteLength) + rows.length;
}, {flags: [redis.functionFlags.RAW_ARGUMENTS]});
""",
    "background": """
redis.registerAsyncFunction("later", async (client, key) => {
    const length = client.block((c) => c.call("llen", key) + 1n);
    const [name, value] = await client.block((c) => c.callAsync("blpop", key, "0"));
    const [results, errors] = await client.runOnShards("count", key);
    return `${length} ${name.toUpperCase()} ${value} ${results.length} ${errors.join()}`;
});
redis.registerFunction("start", (client) => client.executeAsync(async (c) => c.block((b) => 1)));
redis.registerClusterFunction("count", async (client, key) => key.length);
""",
    "streams": """
redis.registerStreamTrigger("read", new Uint8Array([255]).buffer, async (client, data) => {
    const [ms, seq] = data.id;
    client.block((c) => c.call("hset", "last", "ms", (ms + seq).toString()));
    console.log(data.record.map(([field, value]) => `${field}=${value}`).join());
}, {window: 3, isStreamTrimmed: true});
""",
    "settings": """
const {limit = 5, words = []} = redis.config;
redis.registerFunction("words", () => words.length < limit && client_less());
function client_less() { redis.log(redis.apiVersion() + redis.v8Version()); return null; }
""",
    "spread": """
redis.registerFunction("spread", (client, key, ...values) => {
    client.call("rpush", key, ...values);
    const words = ["lrange", key, "0", "-1"];
    const list = client.call(...words);
    const fields = Object.entries({a: "1", b: "2"}).flat();
    client.call("hset", "h", ...fields);
    const counts = ["x", "y"].map((member) => client.call("sismember", "s", member) + 1n);
    const bytes = client.callRaw(...words);
    const later = () => client.callAsync(...words);
    const rawer = () => client.callAsyncRaw("get", key);
    return [list, fields, counts, bytes.length, typeof later, typeof rawer];
});
""",
    "kinds of arguments": """
const bytes = new Uint8Array([1, 2, 3]);
redis.registerKeySpaceTrigger("binary", bytes.buffer, (client, data) => {
    client.call("set", data.key_raw, bytes.buffer);
    client.call("set", new String("k"), new String("v"));
    client.call(new String("set"), "k", "v");
    client.call("set", "n", String(5));
    client.call("set", "n", `${5n}`);
    redis.log(new String("text"));
});
redis.registerClusterFunction("remote", async (client, a) => a);
redis.registerAsyncFunction("calls", async (client, key) => {
    const one = await client.runOnKey(key, "remote", {a: [1]}, bytes.buffer, null);
    const two = await client.runOnKey(bytes.buffer, new String("remote"));
    return [one, two, await client.runOnShards(new String("remote"), 1, "2", [3])];
});
""",
    "others": """
redis.registerFunction("any", (client) => {
    const members = client.call("smembers", "s");
    for (const member of members) { client.call("unlink", member); }
    return client.call("SOME.MODULE", "x").whatever + client.call("lpop", "l", "2")[0];
});
""",
}

# Each with what the compiler has to say about it.
WRONG = {
    "a BigInt and a number": (
        'redis.registerFunction("f", (client) => client.call("incr", "n") + 1);',
        "Operator '\\+' cannot be applied",
    ),
    "a number as an argument": (
        'redis.registerFunction("f", (client) => client.call("set", "n", 5));',
        "'number' is not assignable to",
    ),
    "a list as an argument": (
        'redis.registerFunction("f", (client) => client.call("set", "n", [1]));',
        "not assignable to",
    ),
    "a typed array": (
        'redis.registerFunction("f", (client) => client.call("set", "n", new Uint8Array(1)));',
        "not assignable to",
    ),
    "a view": (
        'redis.registerFunction("f", (client) => client.call("set", "n", new DataView(new ArrayBuffer(1))));',
        "not assignable to",
    ),
    "a BigInt as an argument": (
        'redis.registerFunction("f", (client) => client.call("set", "n", client.call("incr", "m")));',
        "not assignable to",
    ),
    "a list of numbers, spread": (
        'redis.registerFunction("f", (client) => client.call("rpush", "l", ...[1, 2]));',
        "not assignable to",
    ),
    "a list as one argument": (
        'redis.registerFunction("f", (client) => client.call(["set", "k", "v"]));',
        "not assignable to",
    ),
    "a typed array as a prefix": (
        'redis.registerKeySpaceTrigger("t", new Uint8Array(1), () => {});',
        "not assignable to",
    ),
    "a String object as a prefix": (
        'redis.registerKeySpaceTrigger("t", new String("k"), () => {});',
        "not assignable to",
    ),
    "redis.call": (
        'redis.registerKeySpaceTrigger("t", "", () => { redis.call("incr", "n"); });',
        "Property 'call' does not exist on type 'RedisLibrary'",
    ),
    "a coroutine's client": (
        'redis.registerAsyncFunction("f", async (client) => client.call("get", "n"));',
        "Property 'call' does not exist on type 'AsyncClient'",
    ),
    "block without a coroutine": (
        'redis.registerFunction("f", (client) => client.block(() => 1));',
        "Property 'block' does not exist on type 'SyncClient'",
    ),
    "an unknown option": (
        'redis.registerStreamTrigger("t", "", () => {}, {trimmed: true});',
        "'trimmed' does not exist",
    ),
    "an unknown flag": (
        'redis.registerFunction("f", () => 1, {flags: ["no-reads"]});',
        "not assignable to type '.*FunctionFlag'",
    ),
    "no callback": (
        'redis.registerKeySpaceTrigger("t", "");',
        "Expected 3-4 arguments",
    ),
    "a Set as a list": (
        'redis.registerFunction("f", (client) => client.call("smembers", "s").length);',
        "Property 'length' does not exist on type 'Set<string>'",
    ),
    "text for bytes": (
        'redis.registerFunction("f", (client) => client.callRaw("get", "k").length);',
        "Property 'length' does not exist on type 'ArrayBuffer'",
    ),
    "bytes for text": (
        'redis.registerFunction("f", (client, a) => a.toUpperCase(), {flags: ["raw-arguments"]});',
        "'toUpperCase' does not exist on type 'ArrayBuffer'",
    ),
    "a timer": (
        'redis.registerFunction("f", () => setTimeout(() => 1, 1));',
        "setTimeout",
    ),
    "a document": ('redis.registerFunction("f", () => document.title);', "document"),
    "an event that is changed": (
        'redis.registerKeySpaceTrigger("t", "", (client, data) => { data.event = "x"; });',
        "read-only property",
    ),
}

# Cells of the tutorials that show what goes wrong, by their library.
WRONG_ON_PURPOSE = {"foo", "narrow", "sums"}


def tutorial_libraries() -> dict[str, str]:
    """Return the libraries of all tutorials that compile at all, by notebook and cell."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            magic, _, code = cell.source.partition("\n")
            if not magic.startswith("%%tfunction") or not code.startswith("#!js"):
                continue
            if "raises-exception" not in cell.metadata.get("tags", ()):
                found[f"{path.stem}-{number}"] = code
    return found


class Compiler:
    """The TypeScript compiler of npm on a folder of libraries."""

    def __init__(self, packages: Path) -> None:
        self.tsc = packages / "node_modules" / ".bin" / "tsc"

    def complaints(self, folder: Path, *options: str) -> dict[str, str]:
        """Return what it says of each file, by the file's stem; nothing of those it likes."""
        for source in TYPINGS.iterdir():
            (folder / source.name).write_text(source.read_text("utf-8"))
        done = subprocess.run(
            [self.tsc, "--project", "jsconfig.json", "--pretty", "false", *options],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        told: dict[str, str] = defaultdict(str)
        for line in done.stdout.splitlines():
            match = re.match(r"(.+?)\.(?:js|d\.ts)\(\d+,\d+\): (.*)", line)
            assert match or line.startswith(" "), done.stdout
            if match:
                stem = match[1]
                told[stem] += match[2] + "\n"
            else:  # it goes on
                told[stem] += line + "\n"
        assert bool(told) == bool(done.returncode), done.stdout + done.stderr
        return told


@pytest.fixture(scope="module")
def compiler(node_packages: Path) -> Compiler:
    return Compiler(node_packages)


def write(folder: Path, libraries: dict[str, str]) -> None:
    for name, code in libraries.items():
        text = code if code.startswith("#!js") else PROLOGUE + code
        (folder / f"{name}.js").write_text(text, "utf-8")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("strict", ["true", "false"])
def test_right_libraries_pass(compiler: Compiler, tmp_path: Path, strict: str) -> None:
    write(tmp_path, RIGHT)
    assert compiler.complaints(tmp_path, "--strict", strict) == {}


@pytest.mark.timeout(180)
def test_wrong_libraries_do_not(compiler: Compiler, tmp_path: Path) -> None:
    write(tmp_path, {name: code + "\n" for name, (code, _) in WRONG.items()})
    told = compiler.complaints(tmp_path)
    for name, (_, expected) in WRONG.items():
        assert re.search(expected, told[name]), (name, told[name])


@pytest.mark.timeout(180)
def test_libraries_of_the_tutorials_pass(compiler: Compiler, tmp_path: Path) -> None:
    libraries = tutorial_libraries()
    write(tmp_path, libraries)
    told = compiler.complaints(tmp_path)
    wrong = {name for name in told if not _named(libraries[name], WRONG_ON_PURPOSE)}
    assert not wrong, {name: told[name] for name in wrong}
    assert {_name(libraries[name]) for name in told} == WRONG_ON_PURPOSE


def _name(code: str) -> str:
    match = re.search(r"name=(\w+)", code)
    assert match
    return match[1]


def _named(code: str, names: set[str]) -> bool:
    return _name(code) in names


@pytest.mark.parametrize("name", RIGHT)
def test_right_libraries_are_right(engine: trignb.Engine, name: str) -> None:
    assert engine.load(PROLOGUE + RIGHT[name]).registered


def test_the_object_redis_has_what_is_declared(engine: trignb.Engine) -> None:
    text = (TYPINGS / "redis.d.ts").read_text("utf-8")
    body = text.partition("interface RedisLibrary {")[2].partition("\n}\n")[0]
    declared = set(re.findall(r"^    (?:readonly )?(\w+)[<(:]", body, re.M))
    engine.load(
        PROLOGUE
        + 'redis.registerFunction("f", () => Object.getOwnPropertyNames(redis));'
    )
    there = {name.decode() for name in engine.call("lib.f")}
    # The bridge to RedisAI is there and always refuses; nobody needs it completed.
    assert declared == there - {"redisai"}


def test_commands_that_are_declared_exist(engine: trignb.Engine) -> None:
    text = (TYPINGS / "redis.d.ts").read_text("utf-8")
    body = text.partition("interface RedisReplies {")[2].partition("\n}\n")[0]
    declared = re.findall(r"^    (\w+):", body, re.M)
    assert declared == sorted(declared)
    assert all(engine.execute("COMMAND", "INFO", *declared))


def test_the_settings_for_editors_are_json() -> None:
    json.loads((TYPINGS / "jsconfig.json").read_text("utf-8"))
