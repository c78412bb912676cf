"""Eight clients, four libraries, everything at once: see `functions.crowd` for what is checked."""

from __future__ import annotations

import sys

import pytest

import trignb
from functions.crowd import Crowd


@pytest.mark.parametrize("unruly", [False, True], ids=["orderly", "unruly"])
def test_a_crowd_sees_nothing_half_done_and_loses_nothing(
    unruly: bool, long: bool
) -> None:
    interval = sys.getswitchinterval()
    try:
        if unruly:
            # Threads change places wherever they can.
            sys.setswitchinterval(1e-5)
        with trignb.Engine() as engine:
            total = Crowd(engine, 60 if long else 2, seed=1, unruly=unruly).run()
    finally:
        sys.setswitchinterval(interval)
    # It was about something, on a slow machine too.
    assert min(total["pairs read"], total["src"]) > 20
    assert min(total["jobs"], total["records of s"], total["records of t"]) > 2
