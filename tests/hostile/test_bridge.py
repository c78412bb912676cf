"""No library bends the bridge, gets out of it, or reaches another one."""

from __future__ import annotations

import pytest

from hostile.arena import DRIVES, fight
from hostile.bridge import CASES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_stays_in_its_place(case) -> None:
    fight(case, DRIVES)
