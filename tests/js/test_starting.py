"""Which flags V8 is started with, and which threads are prepared when, without V8."""

from __future__ import annotations

import platform
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from trignb.js import starting
from trignb.js.starting import FLAGS, Start, has_protection_keys


class AlreadyStarted(Exception):
    pass


class Function:
    """A function of the library: notes which thread called it with what."""

    def __init__(self):
        self.calls = []

    def __call__(self, flag):
        self.calls.append((threading.get_ident(), flag))


class Dll:
    def __init__(self):
        self.rights = Function()
        setattr(self, starting._TAKE_RIGHTS, self.rights)


class Launcher:
    """What py_mini_racer offers; `running` if other code has started V8."""

    def __init__(self, running):
        self.dll = Dll()
        self.running = running
        self.flags = None

    def __call__(self, *, flags=("default",), ignore_duplicate_init=False):
        if self.running and not ignore_duplicate_init:
            raise AlreadyStarted
        if not self.running:
            self.flags, self.running = flags, True
        return self.dll


def never():
    raise AssertionError("the CPU does not matter here")


def test_v8_is_told_to_use_no_keys_and_then_no_thread_needs_rights():
    launcher = Launcher(running=False)
    v8 = Start(launcher, AlreadyStarted, never)
    assert launcher.flags == FLAGS
    assert "--no-memory-protection-keys" in FLAGS
    assert v8.dll is launcher.dll
    v8.prepare_thread()
    assert launcher.dll.rights.calls == []


def test_where_other_code_started_v8_each_thread_takes_rights_once():
    launcher = Launcher(running=True)
    v8 = Start(launcher, AlreadyStarted, lambda: True)
    assert v8.dll is launcher.dll
    assert launcher.dll.rights.calls == []
    v8.prepare_thread()
    v8.prepare_thread()
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            pool.submit(v8.prepare_thread).result()
        other = pool.submit(threading.get_ident).result()
    assert launcher.dll.rights.calls == [(threading.get_ident(), False), (other, False)]


def test_without_protection_keys_no_thread_takes_rights():
    """The instructions that change them are not there."""
    launcher = Launcher(running=True)
    v8 = Start(launcher, AlreadyStarted, lambda: False)
    v8.prepare_thread()
    assert launcher.dll.rights.calls == []


def test_the_function_is_in_the_library():
    assert hasattr(starting.start().dll, starting._TAKE_RIGHTS)


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("fpu pku ospke sse", True),
        ("fpu pku sse", False),
        ("fpu ospkeleton", False),
        ("", False),
    ],
)
def test_keys_count_where_the_system_uses_them(tmp_path, monkeypatch, flags, found):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: ospke\n")
    assert has_protection_keys(told) is found


def test_other_computers_have_no_keys(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("flags : ospke\n")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not has_protection_keys(told)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert not has_protection_keys(tmp_path / "missing")


def test_an_isolate_is_made_and_freed_by_prepared_threads(load, monkeypatch):
    prepared = []
    v8 = starting.start()
    monkeypatch.setattr(
        v8,
        "_rights",
        lambda flag: prepared.append(threading.current_thread().name),
    )
    monkeypatch.setattr(v8, "_prepared", threading.local())
    load("redis.registerFunction('f', () => 1);")
    assert prepared == [threading.current_thread().name]
    load("redis.registerFunction('f', () => 1);").runtime.dispose()
    assert prepared == [threading.current_thread().name, "trignb-free"]
