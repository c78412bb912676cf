"""Memory that a library takes ends at the limit, and is given back."""

from __future__ import annotations

import pytest

from hostile.arena import DRIVES, fight, fight_apart, wanted
from hostile.memory import CASES


@pytest.mark.parametrize("case", wanted(CASES), ids=str)
def test_it_ends(case) -> None:
    if case.alone:
        fight_apart("hostile.memory", case)
    else:
        fight(case, DRIVES)
