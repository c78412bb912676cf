"""Threads and JavaScript on a CPU with memory protection keys, which is emulated."""

from __future__ import annotations

import os

import pytest

from js.protection_keys.machine import CannotRun, Machine

FATAL = "unprepared"
FEW = ("server", "foreign_start", FATAL)
ALL = ("main_only", "worker_first", "older_threads", "pool", "forked", "foreign_wasm")


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    """Run scenes on a machine; without an emulator the test is skipped, failed where CI is set."""
    folder = tmp_path_factory.mktemp("machine")

    def boot(scenes, cpu="max"):
        try:
            return Machine(folder, scenes, cpu)
        except CannotRun as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))

    return boot


@pytest.mark.timeout(1800)
def test_threads_on_a_cpu_with_protection_keys(boot, long):
    scenes = FEW + ALL if long else FEW
    machine = boot(scenes)
    assert machine.is_complete, machine.log
    assert machine.has_keys, machine.log
    # By py_mini_racer alone it does not go well, or this would prove nothing.
    expected = {name: -11 if name == FATAL else 0 for name in scenes}
    assert machine.status == expected, machine.log


@pytest.mark.timeout(1800)
def test_the_same_without_protection_keys(boot, long):
    if not long:
        pytest.skip("only in the long mode")
    machine = boot(FEW, "max,-pku")
    assert not machine.has_keys
    assert machine.status == dict.fromkeys(FEW, 0), machine.log
