"""The options of ``%redis``, ``%%redis``, ``%%tfunction`` and ``%redis_load``.

One table each. `trignb.notebook.options.parse` reads lines by it, completion offers it, and
`documented` makes of it what ``%redis?`` shows, in the form of IPython's own magics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from IPython.core.magic_arguments import argument, magic_arguments

from trignb.notebook.options import Option, flag, number, word

__all__ = ["CELL", "LINE", "LOAD", "TFUNCTION", "documented"]

_SHARED: Final[Mapping[str, Option]] = {
    "-n": number("db", "database for this call"),
    "-2": flag("resp", 2, "replies in the shape of RESP2"),
    "-3": flag("resp", 3, "replies in the shape of RESP3"),
    "--raw": flag("mode", "raw", "text as redis-cli --raw prints it"),
    "--json": flag("mode", "json", "text as redis-cli --json prints it"),
    "--csv": flag("mode", "csv", "text as redis-cli --csv prints it"),
    "--df": flag("df", help="give a DataFrame"),
    "--value": flag("value", help="give the plain Python value"),
    "--time": flag("timed", help="append how long it took"),
    "--no-expand": flag("literal", help="keep {{…}} as it is"),
    "--engine": word("engine", "another engine", of="engine"),
    "--ok": flag("ok", help="an error is a reply, not an exception"),
    "--trace": flag("trace", help="show who caused what below the replies"),
    "--dry-run": flag("dry", help="run on a copy and show what becomes of the keys"),
}
LINE: Final[Mapping[str, Option]] = {
    **_SHARED,
    "-r": number("repeat", "how often to run it"),
    "--run": word("run", "run a saved cell", of="snippet"),
    "--file": word("file", "run the commands of a file", of="path"),
}
CELL: Final[Mapping[str, Option]] = {
    **_SHARED,
    "--out": word("out", "put the replies into a variable", of="variable"),
    "--save": word("save", "keep the cell for %redis --run", of="snippet"),
    "--quiet": flag("quiet", help="show nothing"),
    "--keep-going": flag("ok", help="errors do not end the cell"),
    "--echo": flag("echo", True, "show the commands"),
    "--no-echo": flag("echo", False, "show the replies alone"),
    "--atomic": flag("atomic", help="MULTI before, EXEC behind"),
}
TFUNCTION: Final[Mapping[str, Option]] = {
    "--new": flag("new", help="refuse to replace a library of the same name"),
    "--config": word(
        "config", "variable with what is redis.config, dict or JSON", of="variable"
    ),
    "--check": flag("check", help="load it into an engine that is thrown away"),
    "--call": word("call", 'call a function after loading: "fn 1 key arg"'),
    "--out": word("out", "put the library into a variable", of="variable"),
    "--engine": word("engine", "another engine", of="engine"),
    "--show": flag("show", help="show the source in colour"),
}
LOAD: Final[Mapping[str, Option]] = {
    "--engine": word("engine", "another engine", of="engine"),
}

_Magic = TypeVar("_Magic", bound=Callable[..., Any])

# Untyped upstream.
_argument: Any = argument
_magic_arguments: Any = magic_arguments


def documented(
    positional: str, about: str, *tables: tuple[str, Mapping[str, Option]]
) -> Callable[[_Magic], _Magic]:
    """Give a magic's method the docstring that ``?`` shows.

    Parameters
    ----------
    positional, about : str
        Name and description of what stands behind the options.
    *tables : pairs of str and mapping
        Options, each table with the magic it belongs to. One that not all tables have is
        told with its magic.
    """

    def decorate(magic: _Magic) -> _Magic:
        for spelling, option in reversed(_merged(tables).items()):
            magic = _argument(spelling, **_for_argparse(option))(magic)
        about_it: dict[str, Any] = {"nargs": "*", "help": about.replace("%", "%%")}
        magic = _argument(positional, **about_it)(magic)
        documented_magic: _Magic = _magic_arguments()(magic)
        return documented_magic

    return decorate


def _merged(tables: tuple[tuple[str, Mapping[str, Option]], ...]) -> dict[str, Option]:
    merged: dict[str, Option] = {}
    for magic, table in tables:
        for spelling, option in table.items():
            everywhere = all(spelling in other for _, other in tables)
            text = option.help if everywhere else f"{magic}: {option.help}"
            merged.setdefault(
                spelling, Option(option.dest, option.takes, option.constant, text)
            )
    return merged


def _for_argparse(option: Option) -> dict[str, Any]:
    told = {"help": option.help.replace("%", "%%"), "dest": option.dest}
    if option.takes is None:
        return {**told, "action": "store_const", "const": option.constant}
    return {**told, "metavar": "N" if option.takes is int else option.dest.upper()}
