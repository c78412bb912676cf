"""The two servers of these tests: started once, made empty before each case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from module.sides import Side, TrignbServer
from oracle.server import RedisServer, require_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEBUG = [("enable-debug-command", "yes")]


class Sides:
    """Both servers; one that a case has brought down is started anew."""

    def __init__(self) -> None:
        self._ours: Side | None = None
        self._theirs: Side | None = None

    def get(self) -> tuple[Side, Side]:
        """Return ours and theirs."""
        if self._ours is None:
            self._ours = Side("ours", TrignbServer(gears=_DEBUG))
        if self._theirs is None:
            server = RedisServer("module72", None, _DEBUG, crash_log_enabled="no")
            self._theirs = Side("theirs", server)
        return self._ours, self._theirs

    def drop(self) -> None:
        """End both servers."""
        sides, self._ours, self._theirs = (self._ours, self._theirs), None, None
        for side in sides:
            if side is not None:
                side.close()


@pytest.fixture(scope="session")
def sides() -> Iterator[Sides]:
    """Both servers; without the module's the test is skipped, or failed where CI is set."""
    require_server("module72")
    found = Sides()
    yield found
    found.drop()
