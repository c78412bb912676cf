"""A redis.conf and the command line, split and settled."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle.server import RedisServer
from trignb.engine.parameters import PARAMETERS
from trignb.engine.stats import REDIS_VERSION
from trignb.server.directives import (
    DirectiveError,
    Settings,
    read_directives,
    settle,
)

KNOWN = {name: p for p in PARAMETERS for name in (p.name, p.alias) if name}


def settled(*args: str, file: Path | None = None) -> Settings:
    return settle(read_directives(args, file), KNOWN)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tmp_path / "redis.conf"


def test_the_command_line_wins_over_the_file(conf: Path) -> None:
    conf.write_text("# mine\n\nPORT 7000\nmaxmemory 1mb\n")
    values = settled("--port", "7001", "--appendonly", "no", file=conf).values
    assert values == {"port": "7001", "maxmemory": "1mb", "appendonly": "no"}


def test_quoted_values_and_escapes(conf: Path) -> None:
    conf.write_text('requirepass "a \\x41\\n\\"b"\nunixsocket \'/tmp/x y\'\n')
    assert settled(file=conf).values == {
        "requirepass": 'a A\n"b',
        "unixsocket": "/tmp/x y",
    }


def test_save_points_add_up_until_an_empty_one(conf: Path) -> None:
    conf.write_text('save 900 1\nsave ""\nsave 300 10\nsave 60 1000\n')
    assert settled(file=conf).values["save"] == "300 10 60 1000"
    assert settled("--save", "5", "1", file=conf).values["save"].endswith("1000 5 1")
    assert settled("--save", "", file=conf).values["save"] == ""
    assert settled("--save", "1", "2", "--save", "3", "4").values["save"] == "1 2 3 4"


def test_an_older_name_is_the_same_parameter(conf: Path) -> None:
    conf.write_text("hash-max-ziplist-entries 3\nslaveof 127.0.0.1 7000\n")
    assert settled(file=conf).values == {
        "hash-max-listpack-entries": "3",
        "replicaof": "127.0.0.1 7000",
    }


def test_includes_are_read_where_they_stand(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text("maxmemory 1mb\nhz 20\n")
    (tmp_path / "b.inc").write_text("hz 30\n")
    conf.write_text(f"hz 5\ninclude {tmp_path}/*.inc\nmaxmemory 2mb\n")
    assert settled(file=conf).values == {"hz": "30", "maxmemory": "2mb"}
    conf.write_text(f"include {tmp_path}/none*.inc\nhz 5\n")
    assert settled(file=conf).values == {"hz": "5"}


def test_an_include_that_is_not_there(conf: Path) -> None:
    conf.write_text("include /none/at/all.conf\n")
    with pytest.raises(OSError, match=r"all\.conf"):
        read_directives([], conf)


def test_files_that_include_each_other(conf: Path) -> None:
    conf.write_text(f"include {conf}\n")
    with pytest.raises(DirectiveError, match="include each other without end"):
        read_directives([], conf)


def test_users_and_renamed_commands_are_kept_in_order(conf: Path) -> None:
    conf.write_text('user a on +@all ~*\nuser b off\nrename-command CONFIG ""\n')
    found = settled("--user", "c", "on", file=conf)
    assert [each.values[0] for each in found.users] == ["a", "b", "c"]
    assert found.renames[0].values == ("CONFIG", "")


def test_unknown_names_in_a_file_are_left_out_with_a_hint(conf: Path) -> None:
    conf.write_text("hz 5\nmaxmemry 1mb\nloadmodule /x.so a b\nquite-another thing\n")
    found = settled(file=conf)
    assert found.values == {"hz": "5"}
    unknown, module, other = found.warnings
    assert "line 2: unknown directive 'maxmemry' is ignored" in unknown
    assert unknown.endswith("(did you mean maxmemory?)")
    assert "line 3: module '/x.so' is not loaded" in module
    assert other.endswith("'quite-another' is ignored")


def test_unknown_names_that_were_typed_are_an_error() -> None:
    with pytest.raises(
        DirectiveError, match=r"--maxmemry \(did you mean maxmemory\?\)"
    ):
        settled("--maxmemry", "1mb")
    with pytest.raises(DirectiveError, match=r"--lod \(did you mean load\?\)"):
        settled("--lod", "x.js")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('requirepass "a', "line 1: Unbalanced quotes in configuration line"),
        ("port", "line 1: 'port': wrong number of arguments"),
        ("maxmemory 1 2", "line 1: 'maxmemory 1 2': wrong number of arguments"),
        ("include a b", "line 1: 'include a b': wrong number of arguments"),
    ],
)
def test_lines_that_cannot_be_read(conf: Path, line: str, reason: str) -> None:
    conf.write_text(line + "\n")
    with pytest.raises(DirectiveError) as caught:
        settled(file=conf)
    assert str(caught.value).endswith(reason)


@pytest.mark.oracle
def test_every_parameter_of_redis_is_known(oracle: RedisServer) -> None:
    flat = oracle.connect().execute("CONFIG", "GET", "*")
    assert {name.decode() for name in flat[::2]} <= KNOWN.keys()


def test_an_argument_before_any_directive() -> None:
    with pytest.raises(DirectiveError, match="'x' belongs to no directive"):
        settled("x")


@pytest.mark.parametrize(
    ("args", "line", "shown", "reason"),
    [
        (("--port", "1", "extra"), 2, 'port "1" "extra"', "wrong number of arguments"),
        (("--hz", "1", "--maxmemory"), 3, "maxmemory", "wrong number of arguments"),
        (
            ("--slaveof", "a"),
            2,
            'slaveof "a"',
            "wrong number of arguments",
        ),
        (
            ("--replicaof", "localhost", "99999"),
            2,
            'replicaof "localhost" "99999"',
            "Invalid master port",
        ),
        # Right behind an option everything is its value, and an error before comes first.
        (
            ("--port", "1", "--dir", "--bar", "--foo"),
            3,
            'dir "--bar"',
            "No such file or directory",
        ),
        # But --save may have none, and an argument with a blank has its value already.
        (
            ("--save", "--foo"),
            3,
            "foo",
            "Bad directive or wrong number of arguments",
        ),
        (
            ("--port 17560", "--savx"),
            3,
            "savx",
            "Bad directive or wrong number of arguments",
        ),
        (("-x",), 2, '"-x"', "Bad directive or wrong number of arguments"),
        (
            ("--appendfilename", "a/b"),
            2,
            'appendfilename "a/b"',
            "appendfilename can't be a path, just a filename",
        ),
        (
            ("--loadmodule",),
            2,
            "loadmodule",
            "Bad directive or wrong number of arguments",
        ),
    ],
)
def test_what_redis_says_of_a_command_line(
    args: tuple[str, ...], line: int, shown: str, reason: str
) -> None:
    """As Redis 7.2.4 says it of the same arguments."""
    with pytest.raises(DirectiveError) as caught:
        settled(*args)
    assert caught.value.report == (
        f"\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n"
        f"Reading the configuration file, at line {line}\n>>> '{shown}'\n{reason}\n"
    )


def test_lines_are_counted_through_file_and_standard_input(conf: Path) -> None:
    conf.write_text('port 17560\n\n# x\nsave ""\n')
    for args, more, line in (
        (["--foo"], None, 6),
        ([], b'"\n', 5),
        (["--foo"], b"hz 5\n", 7),
    ):
        with pytest.raises(DirectiveError) as caught:
            settle(read_directives(args, conf, more), KNOWN)
        assert caught.value.line == line
