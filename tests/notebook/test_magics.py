"""The magics in a real InteractiveShell, options one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import trignb
from trignb.notebook.errors import RedisError, UsageError
from trignb.notebook.reply import Replies, Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def magics(shell: Any) -> Any:
    return shell.magics_manager.registry["TrignbMagics"]


@pytest.fixture
def redis(shell: Any) -> Callable[..., Any]:
    """Run ``%redis``, or ``%%redis`` when there is a cell."""

    def run(line: str, cell: str | None = None) -> Any:
        if cell is None:
            return shell.run_line_magic("redis", line)
        return shell.run_cell_magic("redis", line, cell)

    return run


# -- %redis


def test_reply_is_shown_as_redis_cli_does(redis: Any) -> None:
    assert redis('SET greeting "hello world"').text == "OK"
    assert redis("GET greeting").text == '"hello world"'
    assert redis("GET nothing").text == "(nil)"


def test_reply_in_an_assignment(shell: Any) -> None:
    shell.run_cell("%redis SET hits 1\nn = %redis INCR hits\ntotal = int(n) + 1")
    assert shell.user_ns["total"] == 3


def test_python_values(shell: Any, redis: Any) -> None:
    shell.user_ns.update(user=b"\x00caf\xc3\xa9", fields={"name": "Ann Lee", "age": 41})
    assert redis("HSET u:{{user}} {{*fields}}") == 2
    assert redis("KEYS *caf*").text == r'1) "u:\x00caf\xc3\xa9"'
    assert redis("HGETALL u:{{user}}") == {"name": "Ann Lee", "age": "41"}


def test_local_names_of_a_function(shell: Any) -> None:
    shell.run_cell(
        "def store(value):\n    reply = %redis SET k {{value}}\nstore('local')\n"
        "back = %redis GET k"
    )
    assert shell.user_ns["back"] == "local"


def test_ipython_leaves_braces_and_dollars_alone(shell: Any, redis: Any) -> None:
    shell.user_ns["tag"] = "wrong"
    assert redis("SET {tag}:$tag x") == "OK"
    assert redis("EXISTS {tag}:$tag") == 1


def test_no_expand(redis: Any) -> None:
    redis("--no-expand SET k {{x}}")
    assert redis("GET k") == "{{x}}"


def test_expand_off(magics: Any, redis: Any) -> None:
    magics.expand = "off"
    assert redis("SET k {{x}}") == "OK"
    magics.expand = "braces"


def test_database_for_one_call(redis: Any) -> None:
    redis("-n 3 SET k three")
    assert redis("GET k") == None  # noqa: E711
    assert redis("-n 3 GET k") == "three"
    with pytest.raises(UsageError, match="-n takes 0 to 15"):
        redis("-n 16 GET k")


def test_database_is_refused_in_multi(redis: Any) -> None:
    redis("MULTI")
    with pytest.raises(UsageError, match="write SELECT"):
        redis("-n 1 GET k")
    redis("DISCARD")


def test_protocol_for_one_call(redis: Any) -> None:
    redis("HSET h a 1")
    assert redis("HGETALL h").text == '1) "a"\n2) "1"'
    assert redis("-3 HGETALL h").text == '1# "a" => "1"'
    assert redis("HGETALL h").raw == [b"a", b"1"]


def test_hello_changes_the_protocol(redis: Any) -> None:
    assert redis("HELLO 3").text.startswith('1# "server" => ')
    redis("HSET h a 1")
    assert redis("HGETALL h").text == '1# "a" => "1"'
    assert redis("-2 HGETALL h").text == '1) "a"\n2) "1"'
    redis("HELLO 2")


@pytest.mark.parametrize(
    ("option", "text"),
    [("--raw", "a\n1"), ("--json", '{"a":"1"}'), ("--csv", '"a","1"')],
)
def test_output_forms(redis: Any, option: str, text: str) -> None:
    redis("HSET h a 1")
    assert redis(f"{option} HGETALL h").text == text


def test_df_and_value(redis: Any) -> None:
    redis("HSET h a 1")
    assert redis("--df HGETALL h")["field"].tolist() == ["a"]
    assert redis("--value GET nothing") is None
    assert redis("--value HGETALL h") == {b"a": b"1"}


def test_time(redis: Any) -> None:
    assert redis("--time PING").text.startswith("PONG\n(0.")


def test_repeat(redis: Any) -> None:
    assert redis("-r 3 INCR n").text == "(integer) 1\n(integer) 2\n(integer) 3"
    assert redis("2 INCR n") == [4, 5]
    with pytest.raises(UsageError, match="-r takes 1 or more"):
        redis("-r 0 PING")


def test_error_is_raised_with_the_servers_text(redis: Any) -> None:
    redis("SET k text")
    with pytest.raises(trignb.ResponseError) as caught:
        redis("INCR k")
    assert isinstance(caught.value, RedisError)
    assert str(caught.value) == "ERR value is not an integer or out of range"


def test_ok_returns_the_error(redis: Any) -> None:
    reply = redis("--ok INCR")
    assert isinstance(reply, Reply)
    assert reply.error is not None
    assert reply.text.startswith("(error) ERR wrong number of arguments")


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("HGTALL x", "did you mean HGETALL?"),
        ("HELP SET", "%tf help COMMAND tells of a command"),
        ("CONFIG GTE x", "did you mean CONFIG GET?"),
        ("HSET", "%tf help HSET tells how it is written"),
        ("HGET k f", "k holds a string"),
        ("TFCALL adit.x 0", ""),
        ("EXEC", ""),
    ],
)
def test_hints(redis: Any, command: str, hint: str) -> None:
    redis("SET k text")
    with pytest.raises(RedisError) as caught:
        redis(command)
    assert caught.value.hint == hint


def test_missing_command(redis: Any) -> None:
    with pytest.raises(UsageError, match="needs a command"):
        redis("-3")


def test_events_of_a_command(redis: Any) -> None:
    events = redis("HSET h a 1").notifications
    assert events["event"].tolist() == ["new", "hset"]
    assert redis("HGET h a").notifications.empty
    assert redis("HSET h a 2").notifications["event"].tolist() == ["hset"]


# -- errors in the shell


def shown(shell: Any, capsys: Any, cell: str) -> str:
    shell.run_cell(cell)
    captured = capsys.readouterr()
    return str(captured.out + captured.err)


def test_no_traceback(shell: Any, capsys: Any) -> None:
    text = shown(shell, capsys, "%redis HGTALL x")
    assert text == (
        "RedisError: ERR unknown command 'HGTALL', with args beginning with: 'x' \n"
        "hint: did you mean HGETALL?\n"
    )


def test_caret_below_a_wrong_quote(shell: Any, capsys: Any) -> None:
    assert shown(shell, capsys, '%redis SET a "b"c') == (
        "UsageError: a closing quote must be followed by a space (column 10)\n"
        '    SET a "b"c\n'
        "             ^\n"
    )


def test_traceback_on_request(shell: Any, magics: Any, capsys: Any) -> None:
    magics.short_errors = False
    text = shown(shell, capsys, "%redis HGTALL x")
    magics.short_errors = True
    assert "Traceback (most recent call last)" in text


# -- %%redis


def test_transcript_of_a_transaction(redis: Any) -> None:
    replies = redis("", "MULTI\nHSET x name tom\n# why\nHSET x name jerry\nEXEC\n")
    assert replies.text == (
        "redis> MULTI\nOK\n"
        "redis(TX)> HSET x name tom\nQUEUED\n"
        "redis(TX)> HSET x name jerry\nQUEUED\n"
        "redis(TX)> EXEC\n1) (integer) 1\n2) (integer) 0"
    )


def test_prompt_shows_the_database(redis: Any) -> None:
    replies = redis("", "SELECT 2\nMULTI\nDISCARD\nSELECT 0\nPING")
    prompts = [prompt.split()[0] for prompt in replies.prompts]
    assert prompts == ["redis>", "redis[2]>", "redis[2](TX)>", "redis[2]>", "redis>"]


def test_a_single_command_is_not_echoed(redis: Any) -> None:
    assert redis("", "PING\n").text == "PONG"
    assert redis("--echo", "PING\n").text == "redis> PING\nPONG"
    assert redis("--no-echo", "PING\nPING\n").text == "PONG\nPONG"


def test_echo_option(magics: Any, redis: Any) -> None:
    magics.echo = "on"
    assert redis("", "PING\n").text == "redis> PING\nPONG"
    magics.echo = "off"
    assert redis("", "PING\nPING").text == "PONG\nPONG"
    magics.echo = "auto"


def test_repeats_in_a_cell(redis: Any) -> None:
    assert redis("", "2 INCR n\nGET n").text == (
        'redis> 2 INCR n\n(integer) 1\n(integer) 2\nredis> GET n\n"2"'
    )


def test_values_over_several_lines(redis: Any) -> None:
    redis("", 'SET k """one\n{{1+1}}"""\nGET k')
    assert redis("GET k") == "one\n2"


def test_out_and_quiet(shell: Any, redis: Any) -> None:
    assert redis("--out r --quiet", "SET a 1\nGET a") is None
    assert isinstance(shell.user_ns["r"], Replies)
    assert shell.user_ns["r"] == ["OK", "1"]


def test_cell_as_frame_and_values(redis: Any) -> None:
    assert redis("--value", "SET a 1\nGET a") == ["OK", b"1"]
    assert redis("--df", "SET a 1\nGET a")["command"].tolist() == ["SET a 1", "GET a"]
    assert redis("--df", "HSET h a 1\n")["value"].tolist() == [1]


def test_atomic(redis: Any) -> None:
    replies = redis("--atomic", "SET a 1\nINCR a")
    assert replies[-1] == ["OK", 2]
    assert replies.text.startswith("redis> MULTI\nOK\nredis(TX)> SET a 1\nQUEUED")


def test_atomic_leaves_no_transaction_behind(redis: Any) -> None:
    with pytest.raises(RedisError, match="unknown command"):
        redis("--atomic", "SET a 1\nNONSENSE")
    assert redis("GET a") == None  # noqa: E711
    assert redis("PING") == "PONG"


def test_failing_line_stops_the_cell(shell: Any, capsys: Any, redis: Any) -> None:
    text = shown(shell, capsys, "%%redis\nSET a x\n\nINCR a\nSET b 1")
    assert text == (
        "redis> SET a x\nOK\n"
        "RedisError: ERR value is not an integer or out of range\n"
        "    in line 4: INCR a\n"
    )
    assert redis("EXISTS b") == 0


def test_keep_going(redis: Any) -> None:
    replies = redis("--keep-going", "SET a x\nINCR a\nSET b 1")
    assert replies.text.endswith(
        "(error) ERR value is not an integer or out of range\nredis> SET b 1\nOK"
    )


def test_on_error_show(magics: Any, redis: Any) -> None:
    magics.on_error = "show"
    assert redis("INCR").error is not None
    magics.on_error = "raise"


def test_a_fault_in_the_last_line_runs_nothing(redis: Any) -> None:
    with pytest.raises(UsageError, match="line 2: this quote is never closed"):
        redis("", 'SET a 1\nSET b "')
    assert redis("EXISTS a") == 0


def test_expansion_fault_names_the_line(redis: Any) -> None:
    with pytest.raises(UsageError, match=r"line 3: {{nope}}: name 'nope'"):
        redis("", "SET a 1\nSET b {{nope}}")
    assert redis("EXISTS a") == 1


def test_words_behind_the_magic_are_refused(redis: Any) -> None:
    with pytest.raises(UsageError, match="commands stand below %%redis"):
        redis("GET a", "GET b")


def test_saved_cell_and_file(redis: Any, tmp_path: Any) -> None:
    redis("--save setup --quiet", "SET a 1\nINCR a")
    assert redis("--run setup") == ["OK", 2]
    path = tmp_path / "my commands.redis"
    path.write_text("# a file\nSET b 5\n")
    assert redis(f'--file "{path}"') == "OK"
    with pytest.raises(UsageError) as caught:
        redis("--run stup")
    assert caught.value.hint == "did you mean setup?"
    with pytest.raises(UsageError, match="No such file"):
        redis("--file nowhere.redis")


def test_autopandas(magics: Any, redis: Any) -> None:
    magics.autopandas = True
    assert isinstance(redis("PING"), pd.DataFrame)
    magics.autopandas = False


def test_text_options(magics: Any, redis: Any) -> None:
    redis("SET k caf\u00e9")
    assert redis("GET k").text == r'"caf\xc3\xa9"'
    magics.utf8 = True
    assert redis("GET k").text == '"caf\u00e9"'
    magics.utf8 = False


# -- engines


def test_engines(shell: Any, redis: Any) -> None:
    tf = shell.run_line_magic
    redis("SET a 1")
    assert isinstance(tf("tf", "engine other --new"), trignb.Engine)
    assert redis("EXISTS a") == 0
    assert redis("--engine default EXISTS a") == 1
    assert tf("tf", "engine") == "  default: 1 key, 0 libraries\n* other: empty" or (
        "* other" in tf("tf", "engine")
    )
    tf("tf", "engine default")
    assert redis("EXISTS a") == 1
    tf("tf", "engine other --close")
    with pytest.raises(UsageError) as caught:
        redis("--engine other PING")
    assert caught.value.hint == "%tf engine other --new creates it"
    with pytest.raises(UsageError) as caught:
        redis("--engine defualt PING")
    assert caught.value.hint == "did you mean default?"


def test_engine_made_in_python(shell: Any, redis: Any) -> None:
    with trignb.Engine() as engine:
        engine.execute("SET", "mine", "1")
        shell.user_ns["mine"] = engine
        assert shell.run_line_magic("tf", "engine mine") is engine
        assert redis("GET mine") == "1"
        shell.run_line_magic("tf", "engine mine --close")
        assert engine.execute("GET", "mine") == b"1"


def test_config_refuses_unknown_names(shell: Any, caplog: Any) -> None:
    shell.run_line_magic("config", "TrignbMagics.utf9 = True")
    assert "TrignbMagics has no option utf9; did you mean utf8?" in caplog.text


def test_config_of_new_engines(magics: Any, shell: Any, redis: Any) -> None:
    shell.run_line_magic("config", "TrignbMagics.clock = 'manual'")
    shell.run_line_magic("config", "TrignbMagics.resp = 3")
    shell.run_line_magic("config", "TrignbMagics.log_size = 2")
    shell.run_line_magic("tf", "engine made --new")
    assert redis("TIME") == ["1704067200", "0"]
    redis("HSET h a 1")
    assert redis("HGETALL h").text == '1# "a" => "1"'
    assert len(shell.run_line_magic("tf", "notifications")) == 2
    assert redis("CONFIG GET redisgears_2.lock-redis-timeout") == {
        "redisgears_2.lock-redis-timeout": "500"
    }
    shell.run_line_magic("tf", "engine made --close")
    magics.clock, magics.resp, magics.log_size = "real", 2, 10_000


# -- %redis_load


def test_redis_load_replaces_the_contents(
    shell: Any, redis: Any, tmp_path: Path
) -> None:
    path = tmp_path / "dump.rdb"
    with trignb.Engine() as engine:
        engine.execute("SET", "greeting", "hello")
        engine.execute("RPUSH", "list", "a", "b")
        engine.save(path)
    redis("SET gone x")
    note = shell.run_line_magic("redis_load", str(path))
    assert repr(note) == "OK  2 keys from dump.rdb"
    assert redis("GET greeting").text == '"hello"'
    assert redis("EXISTS gone").value == 0


@pytest.mark.parametrize(
    ("line", "text"),
    [("", "takes the path of an RDB file"), ("missing.rdb", "No such file")],
)
def test_redis_load_refuses(shell: Any, line: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        shell.run_line_magic("redis_load", line)


def test_redis_load_leaves_everything_when_the_file_is_damaged(
    shell: Any, redis: Any, tmp_path: Path
) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(b"REDIS0011not really")
    redis("SET kept x")
    with pytest.raises(UsageError, match=r"dump\.rdb"):
        shell.run_line_magic("redis_load", str(path))
    assert redis("EXISTS kept").value == 1
