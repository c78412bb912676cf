"""Libraries may come and go as they like: what was begun ends, and nobody is held up."""

from __future__ import annotations

import pytest

from hostile.arena import DRIVES, fight
from hostile.lives import CASES
from hostile.lives import DRIVES as OWN


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_lives_on(case) -> None:
    fight(case, DRIVES | OWN)
