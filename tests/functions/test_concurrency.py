"""Eight clients, four libraries, everything at once: see `functions.crowd` for what is checked."""

from __future__ import annotations

import pytest

import trignb
from functions.crowd import Crowd


@pytest.mark.parametrize("unruly", [False, True], ids=["orderly", "unruly"])
def test_a_crowd_sees_nothing_half_done_and_loses_nothing(
    unruly: bool, long: bool
) -> None:
    with trignb.Engine() as engine:
        total = Crowd(engine, 60 if long else 2, seed=1, unruly=unruly).run()
    # It was about something.
    assert total["pairs read"] > 100
    assert total["src"] > 100
    assert total["jobs"] > 10
    assert total["records of t"] > 10
