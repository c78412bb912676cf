from __future__ import annotations

import pytest

from js.fakes import FakeHost, Library


@pytest.fixture
def host():
    return FakeHost()


@pytest.fixture
def load(host):
    """Load a library; everything loaded is disposed of afterwards."""
    loaded = []

    def load(code, **options):
        loaded.append(Library(host, code, **options))
        return loaded[-1]

    yield load
    for library in loaded:
        library.runtime.dispose()


@pytest.fixture
def evaluate(load):
    """Return what a function with this body returns to Python."""

    def evaluate(body, *args, raw=False):
        library = load(f"redis.registerFunction('f', (client, ...args) => {{{body}}});")
        return library.call("f", *args, raw=raw)

    return evaluate
