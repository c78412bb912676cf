"""The table of ``%tf``'s subcommands, and how a line becomes a call of one.

::

    @subcommand("library", event=word("event", "only this event", of="event"))
    def notifications(call: Call) -> pd.DataFrame:
        \"\"\"``notifications [PATTERN] [--event E]``: the keyspace events of late.\"\"\"

A subcommand says which words it takes, each by what it names, and which options; the same
words serve the parser, completion and ``%tf help``. The first line of its docstring is its
line of help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from inspect import getdoc
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trignb.notebook.errors import UsageError, suggestion
from trignb.notebook.options import Option, Parsed, parse, word
from trignb.notebook.text import readable
from trignb.notebook.tokenize import split

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.notebook.magics import TrignbMagics
    from trignb.notebook.workbench import Bench

__all__ = [
    "Call",
    "Subcommand",
    "overview",
    "run_subcommand",
    "subcommand",
    "subcommands",
    "with_overview",
]

# What goes with every subcommand.
_SHARED: Final = {"--engine": word("engine", "another engine", of="engine")}


class Call:
    """One ``%tf`` line: who asked, and with what.

    Attributes
    ----------
    magics : TrignbMagics
        Who asked.
    rest : str
        The line behind the subcommand's name, as it was typed.
    names : mapping of str to object
        The notebook's variables.
    words : list of str
        The words that are no options; empty for a subcommand that reads `rest` itself.
    known : mapping of str to Option
        The subcommand's options by spelling, for one that reads `rest` itself.
    """

    def __init__(
        self, magics: TrignbMagics, rest: str, names: Mapping[str, Any]
    ) -> None:
        self.magics = magics
        self.rest = rest
        self.names = names
        self.words: list[str] = []
        self.options = Parsed()
        self.known: Mapping[str, Option] = {}

    def get(self, dest: str, default: Any = None) -> Any:
        """Return the value of an option."""
        return self.options.get(dest, default)

    def word(self, number: int = 0) -> str | None:
        """Return a word, counted from 0; None when there are not so many."""
        return self.words[number] if number < len(self.words) else None

    @property
    def bench(self) -> Bench:
        """The engine that is meant, with the notebook's client of it."""
        return self.magics.workbench.bench(self.get("engine"))

    @property
    def engine(self) -> Engine:
        """The engine that is meant."""
        return self.bench.engine


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One subcommand.

    Attributes
    ----------
    name : str
        As it is written behind ``%tf``.
    run : callable
        Gets the `Call`; what it returns is the magic's.
    takes : tuple of str
        What each word names: ``library``, ``function``, ``key``, ``command``, ``engine``,
        ``event``, ``channel``, ``path``, choices as ``set|advance``, or anything else, for
        which nothing is completed.
    options : mapping of str to Option
        By spelling, ``--engine`` included.
    reads_line : bool
        Whether it reads the line itself.
    """

    name: str
    run: Callable[[Call], Any]
    takes: tuple[str, ...]
    options: Mapping[str, Option]
    reads_line: bool

    @property
    def help(self) -> str:
        """The first line of the docstring, without its backticks."""
        return (getdoc(self.run) or "").partition("\n")[0].replace("``", "")


_REGISTERED: Final[dict[str, Subcommand]] = {}


def subcommand(
    *takes: str, reads_line: bool = False, **options: Option
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Register a function as the subcommand of its name.

    Parameters
    ----------
    *takes : str
        What each word names, see `Subcommand`; more words are refused.
    reads_line : bool
        The function reads ``call.rest`` itself.
    **options : Option
        ``keep_libraries=flag("keep")`` is ``--keep-libraries``.
    """
    spelled = {f"--{n.replace('_', '-')}": option for n, option in options.items()}

    def register(run: Callable[[Call], Any]) -> Callable[[Call], Any]:
        # A name that would hide another, as `help`, ends in an underscore.
        name = run.__name__.rstrip("_")
        known = {**spelled, **_SHARED}
        _REGISTERED[name] = Subcommand(name, run, takes, known, reads_line)
        return run

    return register


@cache
def subcommands() -> Mapping[str, Subcommand]:
    """Return all subcommands by name, in the order of the alphabet."""
    from trignb.notebook import subcommands as package

    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_REGISTERED.items()))


def overview() -> str:
    """Return one line of help for each subcommand."""
    return "\n".join(f"%tf {found.help}" for found in subcommands().values())


_Magic = TypeVar("_Magic", bound=Callable[..., Any])


def with_overview(magic: _Magic) -> _Magic:
    """Append the subcommands to a magic's docstring, which ``%tf?`` shows."""
    magic.__doc__ = f"{getdoc(magic)}\n\n{overview()}\n"
    return magic


def run_subcommand(magics: TrignbMagics, line: str, names: Mapping[str, Any]) -> Any:
    """Run one ``%tf`` line.

    Raises
    ------
    UsageError
        There is no such subcommand, or it is written otherwise.
    """
    name, _, rest = line.strip().partition(" ")
    known = subcommands()
    found = known.get(name or "help")
    if found is None:
        error = UsageError(f"%tf has no subcommand {name}")
        error.hint = suggestion(name, known) or "%tf help lists them"
        raise error
    call = Call(magics, rest, names)
    call.known = found.options
    if not found.reads_line:
        _read_words(call, found)
    return found.run(call)


def _read_words(call: Call, found: Subcommand) -> None:
    call.options = parse(call.rest, found.options, anywhere=True)
    call.words = [readable(token.value) for token in split(call.options.rest)]
    extra = call.words[len(found.takes) :]
    if extra:
        raise UsageError(f"nothing is known of {' '.join(extra)}")
