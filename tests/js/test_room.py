"""Limits of the process that V8 does not survive: libraries are refused, the engine goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
import threading

import pytest

from trignb.errors import JavaScriptUnavailable
from trignb.js import room

SCRIPT = """
import os, resource, sys
import trignb, trignb.api, trignb.js.isolate, py_mini_racer
engine = trignb.Engine()
engine.execute("SET", "precious", "data")
{limit}
for name in "ab":
    code = '''#!js api_version=1.0 name=%s
        redis.registerFunction('f', () => {{
            let deep = 0;
            const go = () => {{ deep++; go(); }};
            try {{ go(); }} catch {{ return deep > 1000 ? 1 : 0; }}
        }});'''
    try:
        engine.load(code % name)
        print("loaded", engine.call(name + ".f"))
    except trignb.JavaScriptUnavailable as error:
        print("refused", error)
print("still here", engine.execute("GET", "precious"))
"""


def limited(limit, shell="exec"):
    """Return the lines a process prints that puts a limit on itself."""
    script = SCRIPT.format(limit=limit)
    done = subprocess.run(
        ["/bin/sh", "-c", f'{shell} "$0" -c "$1"', sys.executable, script],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert lines.pop() == "still here b'data'"
    return lines


def test_without_limits_nothing_is_refused():
    assert limited("") == ["loaded 1"] * 2


@pytest.mark.parametrize(
    ("name", "bytes_"),
    [("RLIMIT_AS", 20 * 10**9), ("RLIMIT_AS", 10**9), ("RLIMIT_DATA", 10**8)],
)
def test_too_little_memory_is_named(name, bytes_):
    limit = f"resource.setrlimit(resource.{name}, ({bytes_},) * 2)"
    for line in limited(limit):
        assert line.startswith("refused ERR JavaScript cannot be used in this process")
        assert f"{name} is {bytes_} bytes" in line


@pytest.mark.parametrize("gigabytes", [30, 300, 600, 1100])
def test_any_limit_of_the_address_space_leaves_the_engine_alone(gigabytes, long):
    if not long and gigabytes != 1100:
        pytest.skip("only in the long mode")
    lines = limited(f"resource.setrlimit(resource.RLIMIT_AS, ({gigabytes}*10**9,)*2)")
    assert len({line.split()[0] for line in lines}) == 1


def test_where_no_memory_may_be_executable():
    lines = limited(
        textwrap.dedent("""
        import ctypes
        if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
            print("not on this kernel"), print("still here b'data'"), sys.exit()
        """)
    )
    if lines == ["not on this kernel"]:
        pytest.skip(lines[0])
    for line in lines:
        assert line.startswith("refused")
        assert "no memory may be made executable" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="root only can become someone else")
def test_where_no_thread_can_be_started():
    lines = limited(
        "os.setgid(12345); os.setuid(12345)\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))"
    )
    assert len(lines) == 2
    for line in lines:
        assert "no thread can be started" in line


@pytest.mark.parametrize("kilobytes", [256, 1024, "unlimited"])
def test_stacks_are_large_enough_whatever_the_shell_says(kilobytes):
    shell = f"ulimit -s {kilobytes}; exec"
    assert limited("", shell) == ["loaded 1"] * 2


# -- what it costs


def test_nothing_is_tried_out_where_nothing_is_limited(monkeypatch):
    unlimited = (resource.RLIM_INFINITY,) * 2
    monkeypatch.setattr(resource, "getrlimit", lambda which: unlimited)
    monkeypatch.setattr(subprocess, "run", None)
    room.check_start(("--single-threaded",))
    room.check_isolate()


def test_a_thread_that_cannot_be_started_is_told(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(JavaScriptUnavailable, match="no thread"):
        room.check_isolate()
