"""``%%tfunction`` and ``%tf``: libraries, their errors in the cell, statistics, the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import trignb
from trignb.notebook.columns import TEXT
from trignb.notebook.errors import JSError, RedisError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AUDIT = """#!js api_version=1.0 name=audit
redis.registerKeySpaceTrigger('stamp', 'fellowship:', (client, data) => {
  if (data.event === 'hset')
    client.call('hset', data.key, 'last_updated', client.call('time')[0]);
});
redis.registerFunction('echo', (client, ...args) => args.join('|'));
redis.registerFunction('conf', () => JSON.stringify(redis.config));
redis.registerFunction('fail', () => inner());
function inner() {
  throw new TypeError('bad');
}
"""


@pytest.fixture
def load(shell: Any) -> Callable[..., Any]:
    return lambda cell, line="": shell.run_cell_magic("tfunction", line, cell)


@pytest.fixture
def redis(shell: Any) -> Callable[..., Any]:
    return lambda line: shell.run_line_magic("redis", line)


@pytest.fixture
def tf(shell: Any) -> Callable[..., Any]:
    return lambda line: shell.run_line_magic("tf", line)


def shown(shell: Any, capsys: Any, cell: str) -> str:
    shell.run_cell(cell)
    captured = capsys.readouterr()
    return str(captured.out + captured.err)


# -- loading


def test_summary(load: Any) -> None:
    assert load(AUDIT) == (
        "OK  library audit: 1 keyspace trigger (stamp), 3 functions (echo, conf, fail)"
    )


def test_trigger_of_a_cell_fires_in_the_next(load: Any, redis: Any, tf: Any) -> None:
    load(AUDIT)
    tf("clock set 2024-01-01T00:00:00Z")
    reply = redis('HSET fellowship:1 name "Frodo Baggins" title "Ring Bearer"')
    assert reply == 2
    assert redis("HGETALL fellowship:1").text == (
        '1) "name"\n2) "Frodo Baggins"\n3) "title"\n4) "Ring Bearer"\n'
        '5) "last_updated"\n6) "1704067200"'
    )
    assert reply.triggers[
        ["library", "trigger", "event", "outcome"]
    ].values.tolist() == [["audit", "stamp", "hset", "ok"]]
    assert reply.notifications["origin"].tolist() == ["client", "client", "trigger"]


def test_cells_are_run_again(load: Any) -> None:
    load(AUDIT)
    assert load(AUDIT).startswith("OK  library audit")
    with pytest.raises(RedisError) as caught:
        load(AUDIT, "--new")
    assert str(caught.value) == "Library audit already exists."
    assert "without --new" in caught.value.hint


def test_name_writes_the_header(load: Any, redis: Any) -> None:
    code = "redis.registerFunction('f', () => 'ok');\n"
    assert load(code, "short") == "OK  library short: 1 function (f)"
    assert redis("TFCALL short.f 0") == "ok"
    with pytest.raises(
        UsageError, match="names library other, the cell's header audit"
    ):
        load(AUDIT, "other")
    assert load(AUDIT, "audit").startswith("OK")


def test_missing_header_gets_a_hint(load: Any) -> None:
    with pytest.raises(RedisError) as caught:
        load("redis.registerFunction('f', () => 1);")
    assert str(caught.value).startswith("Invalid or missing")
    assert "%%tfunction NAME" in caught.value.hint


def test_braces_are_javascript(load: Any, redis: Any) -> None:
    load(
        "redis.registerFunction('f', () => { const v = {a: {b: 1}}; return `${v.a.b}`; });",
        "x",
    )
    assert redis("TFCALL x.f 0") == "1"


def test_config(load: Any, redis: Any, shell: Any) -> None:
    shell.user_ns["settings"] = {"field": "x", "n": 1}
    load(AUDIT, "--config settings")
    assert redis("TFCALL audit.conf 0") == '{"field":"x","n":1}'
    shell.user_ns["text"] = '{"n": 2}'
    load(AUDIT, "--config text")
    assert redis("TFCALL audit.conf 0") == '{"n":2}'
    with pytest.raises(UsageError) as caught:
        load(AUDIT, "--config setings")
    assert caught.value.hint == "did you mean settings?"
    shell.user_ns["number"] = 5
    with pytest.raises(UsageError, match="takes a dict or a JSON text"):
        load(AUDIT, "--config number")


def test_check_loads_nothing(load: Any, redis: Any) -> None:
    assert load(AUDIT, "--check").endswith("; checked, not loaded")
    assert redis("TFUNCTION LIST") == []
    with pytest.raises(JSError):
        load("#!js api_version=1.0 name=x\n(", "--check")


def test_call_after_loading(load: Any) -> None:
    text = load(AUDIT, '--call "echo 1 key \\"an arg\\""')
    assert text.splitlines()[1] == '"key|an arg"'
    with pytest.raises(JSError):
        load(AUDIT, "--call fail")


def test_out_and_engine(load: Any, shell: Any, tf: Any, redis: Any) -> None:
    tf("engine other --new")
    tf("engine default")
    load(AUDIT, "--out lib --engine other")
    assert shell.user_ns["lib"].name == "audit"
    assert redis("TFUNCTION LIST") == []
    assert len(redis("--engine other TFUNCTION LIST")) == 1


def test_show(load: Any) -> None:
    bundle = load(AUDIT, "--show")._repr_mimebundle_()
    assert bundle["text/plain"].startswith("OK  library audit")
    assert "fellowship:" in bundle["text/html"]
    assert "<span" in bundle["text/html"]


def test_unknown_option(load: Any) -> None:
    with pytest.raises(UsageError) as caught:
        load(AUDIT, "--cofnig x")
    assert caught.value.hint == "did you mean --config?"


# -- where it went wrong


def test_error_names_the_line_of_the_cell(shell: Any, capsys: Any) -> None:
    text = shown(
        shell,
        capsys,
        "%%tfunction\n#!js api_version=1.0 name=audit\nfunction f() {\n"
        '  throw new TypeError("bad")\n}\nf()\n',
    )
    assert text == (
        "JSError: Failed loading library: TypeError: bad.\n"
        "  cell line 4, column 9, in f (library audit)\n"
        '  4 |   throw new TypeError("bad")\n'
        "    |         ^\n"
        "  called from cell line 6\n"
    )


def test_error_with_a_header_of_the_magic(shell: Any, capsys: Any) -> None:
    text = shown(shell, capsys, "%%tfunction x\n\nnope();\n")
    assert "cell line 3, column 1" in text
    assert "  3 | nope();\n    | ^\n" in text


def test_syntax_error(shell: Any, capsys: Any) -> None:
    text = shown(
        shell,
        capsys,
        "%%tfunction\n#!js api_version=1.0 name=audit\n\nlet a = 1 + ;\n",
    )
    assert text.startswith("JSError: Failed library compilation: SyntaxError:")
    assert "cell line 4, column 13" in text
    assert "  4 | let a = 1 + ;\n    |             ^\n" in text


def test_code_that_ends_too_early(shell: Any, capsys: Any) -> None:
    text = shown(
        shell, capsys, "%%tfunction\n#!js api_version=1.0 name=audit\nf(\n  1,\n\n"
    )
    assert "cell line 4, column 5" in text
    assert "  4 |   1,\n    |     ^\n" in text


def test_error_of_a_registration(shell: Any, capsys: Any) -> None:
    text = shown(shell, capsys, "%%tfunction x\nredis.registerFunction('f', 1);\n")
    assert "Second argument to 'registerFunction' must be a function" in text
    assert "  2 | redis.registerFunction('f', 1);\n" in text


def test_blank_lines_above_the_header(shell: Any, capsys: Any) -> None:
    text = shown(
        shell, capsys, "%%tfunction\n\n\n#!js api_version=1.0 name=audit\nnope();\n"
    )
    assert "cell line 5, column 1" in text


def test_error_in_a_call_is_told_as_a_line_of_the_library(
    load: Any, shell: Any, capsys: Any
) -> None:
    load(AUDIT)
    text = shown(shell, capsys, "%redis TFCALL audit.fail 0")
    assert text == (
        "JSError: TypeError: bad\n"
        "  line 10, column 9, in inner (library audit, line 11 of its cell)\n"
        "  10 |   throw new TypeError('bad');\n"
        "     |         ^\n"
        "  called from line 8\n"
    )


def test_error_is_a_javascript_error(load: Any, redis: Any) -> None:
    load(AUDIT)
    with pytest.raises(trignb.JavaScriptError) as caught:
        redis("TFCALL audit.fail 0")
    assert str(caught.value) == "TypeError: bad"
    assert (caught.value.library, caught.value.line, caught.value.column) == (
        "audit",
        10,
        9,
    )
    reply = redis("--ok TFCALL audit.fail 0")
    assert reply.text == "(error) TypeError: bad"


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("TFCALL adit.echo 0", "did you mean audit?"),
        ("TFCALL audit.ehco 0", "did you mean audit.echo?"),
        ("TFCALL audit.stamp 0", "stamp is a keyspace trigger and runs by itself"),
        ("TFCALL audit.xyz 0", "library audit has echo, conf, fail"),
    ],
)
def test_hints(load: Any, redis: Any, command: str, hint: str) -> None:
    load(AUDIT)
    with pytest.raises(RedisError) as caught:
        redis(command)
    assert caught.value.hint == hint


def test_a_loop_is_stopped_and_the_next_command_runs(load: Any, redis: Any) -> None:
    load("redis.registerFunction('f', () => { while (true); });", "loop")
    with pytest.raises(RedisError, match="terminated due to OOM or timeout"):
        redis("TFCALL loop.f 0")
    assert redis("SET a 1") == "OK"


# -- DataFrames


def test_stats(load: Any, redis: Any, tf: Any) -> None:
    empty = tf("stats")
    load(AUDIT)
    load(
        "redis.registerKeySpaceTrigger('deny', 'orc:', () => {\n"
        "  throw new TypeError('boom'); }, {description: 'no orcs'});",
        "other",
    )
    redis("HSET fellowship:1 a 1")
    redis("HSET orc:1 a 1")
    frame = tf("stats")
    assert dict(empty.dtypes) == dict(frame.dtypes)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "prefix": TEXT, "description": TEXT, "num_triggered": "int64",
        "num_finished": "int64", "num_success": "int64", "num_failed": "int64",
        "running": "int64", "last_ms": "float64", "total_ms": "float64",
        "avg_ms": "float64", "max_ms": "float64", "last_error": TEXT,
        "last_error_line": "Int64", "last_run": "datetime64[ms, UTC]",
    }  # fmt: skip
    assert frame.index.names == empty.index.names == ["library", "trigger"]
    assert frame.loc[("audit", "stamp"), "num_success"] == 1
    deny = frame.loc[("other", "deny")]
    assert (deny["num_failed"], deny["last_error"]) == (1, "TypeError: boom")
    assert (deny["last_error_line"], deny["description"]) == (3, "no orcs")
    assert frame["last_error"].isna().tolist() == [True, False]
    assert tf("stats other").index.tolist() == [("other", "deny")]
    with pytest.raises(UsageError) as caught:
        tf("stats otehr")
    assert caught.value.hint == "did you mean other?"


def test_functions(load: Any, redis: Any, tf: Any) -> None:
    empty = tf("functions")
    load(AUDIT)
    redis("TFCALL audit.echo 0 x")
    redis("--ok TFCALL audit.fail 0")
    redis("HSET fellowship:1 a 1")
    frame = tf("functions audit")
    assert dict(empty.dtypes) == dict(frame.dtypes)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "kind": "category", "is_async": "bool", "flags": TEXT, "prefix": TEXT,
        "window": "Int64", "description": TEXT, "calls": "int64", "failures": "int64",
        "avg_ms": "float64", "line": "Int64",
    }  # fmt: skip
    frame = frame.droplevel(0)
    assert frame.loc["echo", ["kind", "calls", "failures"]].tolist() == [
        "function",
        1,
        0,
    ]
    assert frame.loc["fail", ["calls", "failures"]].tolist() == [1, 1]
    assert frame.loc["stamp", ["kind", "prefix", "line"]].tolist() == [
        "keyspace_trigger",
        "fellowship:",
        2,
    ]


def test_every_kind_of_registration(load: Any, tf: Any) -> None:
    load(
        "redis.registerFunction('f', () => 1, {flags: ['no-writes', 'allow-oom']});\n"
        "redis.registerAsyncFunction('g', async () => 1);\n"
        "redis.registerClusterFunction('c', async () => 1);\n"
        "redis.registerStreamTrigger('s', 'st:', () => {}, {window: 3});\n"
        "redis.registerKeySpaceTrigger('k', 'x:', async () => {});\n",
        "all",
    )
    frame = tf("functions").droplevel(0)
    assert frame["kind"].to_dict() == {
        "f": "function",
        "g": "async_function",
        "c": "cluster_function",
        "s": "stream_trigger",
        "k": "keyspace_trigger",
    }
    assert frame.loc["f", "flags"] == "no-writes,allow-oom"
    assert frame.loc["s", "window"] == 3
    assert frame["prefix"].dropna().to_dict() == {"s": "st:", "k": "x:"}
    assert bool(frame.loc["g", "is_async"])
    library = tf("libraries").loc["all"]
    assert library[["functions", "cluster_functions"]].tolist() == [2, 1]


def test_libraries(load: Any, tf: Any) -> None:
    empty = tf("libraries")
    tf("clock set 2024-01-01T00:00:00Z")
    load(AUDIT)
    load(AUDIT)
    frame = tf("libraries")
    assert dict(empty.dtypes) == dict(frame.dtypes)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "engine": TEXT, "api_version": TEXT, "user": TEXT, "functions": "int64",
        "cluster_functions": "int64", "keyspace_triggers": "int64",
        "stream_triggers": "int64", "pending_jobs": "int64", "configuration": TEXT,
        "code_lines": "int64", "code_sha1": TEXT,
        "loaded_at": "datetime64[ms, UTC]", "loads": "int64",
    }  # fmt: skip
    row = frame.loc["audit"]
    assert row[["engine", "functions", "loads"]].tolist() == ["js", 3, 2]
    assert row["loaded_at"].isoformat() == "2024-01-01T00:00:00+00:00"


def test_function_list_as_frame(load: Any, redis: Any) -> None:
    load(AUDIT)
    assert redis("TFUNCTION LIST vvv").df().loc["audit", "functions"] == 3
    assert redis("-3 TFUNCTION LIST").df().loc["audit", "keyspace_triggers"] == 1
    assert "text/html" in redis("TFUNCTION LIST")._repr_mimebundle_()


def test_logs(load: Any, redis: Any, tf: Any) -> None:
    load(AUDIT)
    redis("HSET fellowship:1 a 1")
    redis("SET other 1")
    log = tf("notifications")
    stamped = log[log["origin"] == "trigger"].iloc[0]
    cause = log.loc[stamped["cause_seq"]]
    assert (cause["event"], cause["triggers"]) == ("hset", ["audit.stamp"])
    assert tf("notifications fellowship:*")["key"].unique().tolist() == ["fellowship:1"]
    assert tf("notifications --event set")["key"].tolist() == ["other"]
    commands = tf("commands")
    joined = log.join(commands[["command"]], on="command_seq")
    assert joined.loc[joined["event"] == "set", "command"].tolist() == ["SET"]
    assert "audit" in commands["from_library"].tolist()


def test_errors_and_log(load: Any, redis: Any, tf: Any) -> None:
    assert tf("errors").empty
    assert tf("log").empty
    load(AUDIT)
    load("redis.registerFunction('f', () => redis.log('hello'));", "talks")
    redis("--ok TFCALL audit.fail 0")
    redis("TFCALL talks.f 0")
    assert tf("errors")[["library", "name", "line"]].values.tolist() == [
        ["audit", "fail", 10]
    ]
    assert tf("errors talks").empty
    assert tf("log talks")["text"].tolist() == ["hello"]
    assert tf("log audit").empty
    redis("TFUNCTION DELETE talks")
    assert len(tf("log talks")) == 1
    with pytest.raises(UsageError, match="there is no library talk"):
        tf("log talk")


# -- the rest of %tf


def test_clock(tf: Any, redis: Any) -> None:
    assert (
        tf("clock set 2024-01-01T00:00:00Z")
        == "clock: manual, 2024-01-01T00:00:00.000Z"
    )
    assert tf("clock advance 1h30m") == "clock: manual, 2024-01-01T01:30:00.000Z"
    assert tf("clock advance 1.5") == "clock: manual, 2024-01-01T01:30:01.500Z"
    assert tf("clock advance 250ms") == tf("clock")
    assert tf("clock set 1658390831") == "clock: manual, 2022-07-21T08:07:11.000Z"
    redis("SET k v EX 10")
    tf("clock advance 10s")
    # A key lives through the millisecond of its deadline, as in Redis.
    assert redis("EXISTS k") == 1
    tf("clock advance 1ms")
    assert redis("EXISTS k") == 0
    assert tf("clock real").startswith("clock: real, 20")
    assert tf("clock freeze").startswith("clock: manual, 20")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("clock set yesterday", "yesterday is not a time"),
        ("clock advance soon", "soon is not a duration"),
        ("clock advance", "takes 1 value"),
        ("clock real now", "takes no value"),
        ("clock sett 1", "%tf clock has no sett"),
        ("stat", "%tf has no subcommand stat"),
        ("stats a b", "nothing is known of b"),
        ("call", "%tf call needs LIBRARY.FUNCTION"),
        ("help NONSENSE", "there is no command NONSENSE"),
        ("help @nonsense", "there is no group @nonsense"),
        ("engine x y", "nothing is known of y"),
    ],
)
def test_faults(tf: Any, line: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason.replace(".", r"\.")):
        tf(line)


def test_call(load: Any, tf: Any, shell: Any) -> None:
    load(AUDIT)
    shell.user_ns.update(keys=["a", "b"], value="an arg")
    assert tf("call audit.echo") == ""
    assert tf("call audit.echo k1 k2 -- x") == "k1|k2|x"
    assert tf("call audit.echo {{*keys}} -- {{value}}").cli() == (
        'TFCALL audit.echo 2 a b "an arg"'
    )
    with pytest.raises(JSError):
        tf("call audit.fail")


def test_call_of_an_async_function(load: Any, tf: Any) -> None:
    load(
        "redis.registerAsyncFunction('f', async (client, key) =>\n"
        "  client.block(c => c.call('incr', key).toString()));",
        "slow",
    )
    reply = tf("call slow.f k")
    assert reply == "1"
    assert reply.cli() == "TFCALLASYNC slow.f 1 k"


def test_call_as_one_wants(load: Any, tf: Any) -> None:
    load(AUDIT)
    assert tf("call --async audit.echo k").cli() == "TFCALLASYNC audit.echo 1 k"
    load("redis.registerAsyncFunction('f', async () => 1);", "slow")
    with pytest.raises(RedisError, match="declared as async"):
        tf("call --sync slow.f")
    with pytest.raises(UsageError) as caught:
        tf("call --asynk slow.f")
    assert caught.value.hint == "did you mean --async?"
    tf("engine other --new")
    tf("engine default")
    with pytest.raises(RedisError, match="Unknown library slow"):
        tf("call --engine other slow.f")


def test_call_that_takes_too_long(load: Any, tf: Any, redis: Any) -> None:
    load(
        "let kept; redis.registerAsyncFunction('f', () =>\n"
        "  new Promise(done => { kept = done; }));\n"
        "redis.registerFunction('end', () => { kept('late'); return 1; });",
        "slow",
    )
    with pytest.raises(TimeoutError) as caught:
        tf("call --timeout 0.01 slow.f")
    assert str(caught.value) == "slow.f did not answer within 0.01 s"
    assert redis("TFCALL slow.end 0") == 1
    for wrong in ("0", "-1", "soon", "nan"):
        with pytest.raises(UsageError, match="--timeout takes seconds"):
            tf(f"call --timeout {wrong} slow.f")


def test_export_and_import(load: Any, tf: Any, redis: Any, tmp_path: Path) -> None:
    load(AUDIT)
    path = tmp_path / "audit.js"
    assert tf(f"export audit {path}") == f"OK  library audit: 11 lines in {path}"
    assert path.read_text("utf-8") == AUDIT
    with pytest.raises(UsageError, match="--force replaces it"):
        tf(f"export audit {tmp_path}")
    assert tf(f"export audit {tmp_path} --force").startswith("OK")
    redis("TFUNCTION DELETE audit")
    assert tf(f"import {path}").startswith("OK  library audit: 1 keyspace trigger")
    assert redis("TFCALL audit.echo 0 x") == "x"
    with pytest.raises(RedisError, match="already exists"):
        tf(f"import {path} --new")


def test_import_says_where_a_file_is_wrong(
    shell: Any, capsys: Any, tmp_path: Path
) -> None:
    path = tmp_path / "bad.js"
    path.write_text("#!js api_version=1.0 name=bad\n\nnope();\n", "utf-8")
    text = shown(shell, capsys, f"%tf import {path}")
    assert "  line 3, column 1 (library bad)\n  3 | nope();\n" in text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("export", "takes a library and a path"),
        ("export nothing x.js", "there is no library nothing"),
        ("export audit", "a path is missing"),
        ("export audit /nowhere/at/all.js", "No such file or directory"),
        ("import", "a path is missing"),
        ("import /nowhere.js", "No such file or directory"),
        ("import {folder}/binary.js", "is not UTF-8"),
    ],
)
def test_files_that_cannot_be(
    load: Any, tf: Any, tmp_path: Path, line: str, reason: str
) -> None:
    load(AUDIT)
    (tmp_path / "binary.js").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=reason):
        tf(line.format(folder=tmp_path))


def test_reset(load: Any, redis: Any, tf: Any) -> None:
    load(AUDIT)
    redis("HSET fellowship:1 a 1")
    redis("MULTI")
    assert tf("reset --keep-libraries") == "OK  libraries kept"
    assert redis("DBSIZE") == 0
    assert tf("stats")["num_triggered"].tolist() == [0]
    assert tf("notifications").empty
    assert tf("reset") == "OK"
    assert tf("libraries").empty


def test_help(tf: Any) -> None:
    text = tf("help HSET")
    assert text.splitlines()[0].startswith("HSET  ")
    assert "usage: HSET key (field value) …" in text
    assert "complexity: N fields" in text
    assert "arguments: at least 1" in tf("help debug")
    assert "group: hash" in text
    assert "subcommands: " in tf("help config")
    assert tf("help config get").startswith("CONFIG GET")
    assert any(line.startswith("HSET ") for line in tf("help @hash").splitlines())
    assert "%tf stats [LIBRARY]" in tf("help")
    assert tf("") == tf("help")
