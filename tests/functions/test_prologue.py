"""The first line of a library (docs/semantics.md, The prologue)."""

from __future__ import annotations

import pytest

from trignb.errors import ResponseError
from trignb.functions.prologue import check_api_version, name_fault, parse_prologue

INVALID = (
    "Invalid or missing prologue. The rules for the prologue are: a) It starts on the "
    'first line. b) It is formatted as follows: "#!<engine name> <key>=<value>".'
)


LIBRARY_FAULT = "Unallowed library name 'lib-1', Unallowed char was given '-'."


def version_error(given: str) -> str:
    return (
        f'The API version has been incorrectly specified: "{given}". The expected format '
        'is "<major>.<minor>". An example: "1.1".'
    )


@pytest.mark.parametrize(
    "code",
    [
        "#!js api_version=1.0 name=lib",
        "#!js name=lib api_version=1.0\nredis.log('x')",
        "#!js name lib api_version 1.0",
        "#!js=name=lib=api_version=1.0",
        "#!js api_version=1.0 name=lib \t \r\nfoo",
        "#!js api_version=1.0.7 name=lib",
        "#!js api_version=+1.00.x name=lib",
    ],
)
def test_accepted(code: str) -> None:
    prologue = parse_prologue(code)
    assert (prologue.engine, prologue.name) == ("js", "lib")
    assert (prologue.api_version, prologue.version) == ("1.0", (1, 0))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", INVALID),
        ("redis.log('x')", INVALID),
        (" #!js api_version=1.0 name=foo", INVALID),
        ("\ufeff#!js api_version=1.0 name=foo", INVALID),
        ("\n#!js api_version=1.0 name=foo", INVALID),
        ("#!js name", INVALID),
        ("#!js name=", INVALID),
        ("#!js api_version=1.0  name=foo", INVALID),
        ("#!js api_version = 1.0 name=foo", INVALID),
        ("#!js api_version=1.0\tname=foo", INVALID),
        ("#!js api_version=1.0 name=foo x", INVALID),
        ("#!js name=foo name=bar", "Duplicated prologue properties found: name."),
        (
            "#!js name=a name=b api_version=1 name=c api_version=2",
            "Duplicated prologue properties found: name, name, api_version.",
        ),
        ("#!js", "The api version is missing from the prologue."),
        ("#!js name=foo", "The api version is missing from the prologue."),
        ("#!js name=foo api_version=1", version_error("1")),
        ("#!js name=foo api_version=1.x", version_error("1.x")),
        ("#!js name=foo api_version=1.2-3x", version_error("1.2-3x")),
        ("#!js name=foo api_version=256.0", version_error("256.0")),
        ("#!js name=foo api_version=-1.0", version_error("-1.0")),
        ("#!js name=foo api_version=.1", version_error(".1")),
        ("#!js name=foo api_version=1.", version_error("1.")),
        (f"#!js name=foo api_version={'9' * 5000}.0", version_error("9" * 5000 + ".0")),
        ("#!js api_version=1.x foo=bar", version_error("1.x")),
        ("#!js api_version=1.0", "The library name is missing from the prologue."),
        (
            "#!js api_version=1.0 foo=bar",
            "The library name is missing from the prologue.",
        ),
        (
            "#!js api_version=1.0 name=foo foo=1 xxx=2",
            (
                'Unknown prologue properties provided: "foo", "xxx". '
                "Known properties: api_version, name."
            ),
        ),
        (
            "#!js api_version=1.0 name=fo-o",
            "Unallowed library name 'fo-o', Unallowed char was given '-'.",
        ),
        (
            "#!lua api_version=1.0 name=f:o",
            "Unallowed library name 'f:o', Unallowed char was given ':'.",
        ),
        ("#!lua api_version=1.0 name=foo", "Unknown backend lua"),
        ("#!JS api_version=1.0 name=foo", "Unknown backend JS"),
        ("#! name=foo api_version=1.0", "Unknown backend "),
        ("#!js foo=1 foo=2", "Duplicated prologue properties found: foo."),
        ("#!js api_version=7.0 name=lib-1", LIBRARY_FAULT),
    ],
)
def test_refused(code: str, text: str) -> None:
    with pytest.raises(ResponseError) as caught:
        parse_prologue(code)
    assert str(caught.value) == text


def test_names() -> None:
    assert name_fault("") == "Empty name is not allowed"
    assert name_fault("aZ_09") is None
    assert name_fault("é") == "Unallowed char was given 'é'"
    assert name_fault("a.b-c") == "Unallowed char was given '.'"


def test_versions() -> None:
    check_api_version((1, 0))
    check_api_version((1, 1))
    for major, minor in ((2, 0), (1, 2), (0, 1), (255, 255)):
        with pytest.raises(ResponseError) as caught:
            check_api_version((major, minor))
        assert str(caught.value) == (
            f"An unsupported API version was requested: {major}.{minor}. "
            "The supported versions are 1.0, 1.1."
        )
