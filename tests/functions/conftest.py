"""Fixtures of the tests of libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import trignb
from functions.libraries import lib

if TYPE_CHECKING:
    from collections.abc import Callable

    from trignb.functions.library import Library


@pytest.fixture
def load(engine: trignb.Engine) -> Callable[..., Library]:
    """Load a library body under the name ``lib``."""

    def load(body: str, **options: Any) -> Library:
        name = options.pop("name", "lib")
        return engine.load(lib(body, name), **options)

    return load
