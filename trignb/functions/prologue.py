"""The first line of a library: ``#!js api_version=1.0 name=lib``.

See docs/semantics.md, The prologue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from trignb.errors import ResponseError

__all__ = ["Prologue", "check_api_version", "name_fault", "parse_prologue"]

ENGINE: Final = "js"
SUPPORTED_VERSIONS: Final = ((1, 0), (1, 1))

_INVALID: Final = (
    "Invalid or missing prologue. The rules for the prologue are: "
    "a) It starts on the first line. "
    'b) It is formatted as follows: "#!<engine name> <key>=<value>".'
)
_KNOWN: Final = ("api_version", "name")
_SEPARATOR: Final = re.compile("[ =]")
_BYTE: Final = re.compile(r"\+?0*[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Prologue:
    """What a library says of itself; ``version`` is ``api_version`` in numbers."""

    engine: str
    name: str
    api_version: str
    version: tuple[int, int]


def parse_prologue(code: str) -> Prologue:
    """Read a library's first line.

    Raises
    ------
    ResponseError
        Nothing is put before its text, unlike before those of the compilation.
    """
    first = code.partition("\n")[0].rstrip()
    if not first.startswith("#!"):
        raise ResponseError(_INVALID)
    engine, *pieces = _SEPARATOR.split(first[2:])
    if len(pieces) % 2 or not all(pieces):
        raise ResponseError(_INVALID)
    properties = _properties(list(zip(pieces[::2], pieces[1::2], strict=True)))
    if "api_version" not in properties:
        raise ResponseError("The api version is missing from the prologue.")
    version = _parse_version(properties["api_version"])
    if "name" not in properties:
        raise ResponseError("The library name is missing from the prologue.")
    unknown = [f'"{key}"' for key in properties if key not in _KNOWN]
    if unknown:
        raise ResponseError(
            f"Unknown prologue properties provided: {', '.join(unknown)}. "
            f"Known properties: {', '.join(_KNOWN)}."
        )
    name = properties["name"]
    fault = name_fault(name)
    if fault is not None:
        raise ResponseError(f"Unallowed library name '{name}', {fault}.")
    if engine != ENGINE:
        raise ResponseError(f"Unknown backend {engine}")
    return Prologue(engine, name, f"{version[0]}.{version[1]}", version)


def _properties(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    properties: dict[str, str] = {}
    repeated = []
    for key, value in pairs:
        if key in properties:
            repeated.append(key)
        properties[key] = value
    if repeated:
        raise ResponseError(
            f"Duplicated prologue properties found: {', '.join(repeated)}."
        )
    return properties


def _parse_version(given: str) -> tuple[int, int]:
    """Return major and minor; further parts are ignored."""
    parts = given.split(".")[:2]
    if len(parts) < 2 or not all(
        _BYTE.fullmatch(part) and int(part) < 256 for part in parts
    ):
        raise ResponseError(
            f'The API version has been incorrectly specified: "{given}". '
            'The expected format is "<major>.<minor>". An example: "1.1".'
        )
    return int(parts[0]), int(parts[1])


def name_fault(name: str) -> str | None:
    """Return why this may not name a library, a function or a trigger."""
    if not name:
        return "Empty name is not allowed"
    for char in name:
        if not (char == "_" or (char.isascii() and char.isalnum())):
            return f"Unallowed char was given '{char}'"
    return None


def check_api_version(version: tuple[int, int]) -> None:
    """Refuse a version that no engine here speaks."""
    if version not in SUPPORTED_VERSIONS:
        supported = ", ".join(f"{a}.{b}" for a, b in SUPPORTED_VERSIONS)
        raise ResponseError(
            f"An unsupported API version was requested: {version[0]}.{version[1]}. "
            f"The supported versions are {supported}."
        )
