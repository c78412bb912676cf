"""Whatever a builtin is asked for, the process lives and the engine is not held up."""

from __future__ import annotations

import pytest

from hostile.arena import fight_apart, wanted
from hostile.builtins import CASES


@pytest.mark.parametrize("case", wanted(CASES), ids=str)
def test_it_ends(case) -> None:
    fight_apart("hostile.builtins", case)
