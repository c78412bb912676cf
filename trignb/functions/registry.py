"""The libraries of one engine."""

from __future__ import annotations

from typing import Any


class Registry:
    def __init__(self, core: Any) -> None:
        self.core = core
        self.libraries: dict[str, Any] = {}

    def close(self) -> None:
        self.libraries.clear()
