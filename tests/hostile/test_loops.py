"""A loop without an end costs its caller the time limit, and nobody anything else."""

from __future__ import annotations

import pytest

from hostile.arena import DRIVES, fight
from hostile.loops import CASES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_ends(case) -> None:
    fight(case, DRIVES)
