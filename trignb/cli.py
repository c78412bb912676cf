"""The console script: ``trignb serve``, ``demo``, ``check``, ``call`` and ``typings``."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trignb.api import Engine
from trignb.errors import JavaScriptError, ResponseError, TrignbError

__all__ = ["main"]

Entry = dict[str, Any]

# Not a docstring: click's mark before lines it shall leave alone is a backspace.
_SERVE_HELP = """Serve an engine on a port until SHUTDOWN, SIGTERM or SIGINT.

Takes every directive of redis.conf as redis-server does, after two dashes:

\b
  trignb serve --port 7000 --maxmemory 100mb --save 900 1
  trignb serve redis.conf --requirepass secret --logfile trignb.log
  trignb serve --load lib.js --gears-config lock-redis-timeout=1000

It listens on 127.0.0.1:6379 unless it is told otherwise, keeps everything in memory
unless --dir, --save or --appendonly say where it goes, and logs to standard error. Once
clients may connect a line says "Ready to accept connections".
"""

TYPINGS = Path(__file__).parent / "js" / "typings"

_LIBRARY_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Commands(click.Group):
    """The commands; a name that is almost right gets a hint."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], self.commands)
            text = error.format_message()
            # Later versions of click say it themselves.
            if not close or "Did you mean" in text:
                raise
            raise click.UsageError(f"{text} Did you mean {close[0]!r}?", ctx) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trignb", message="%(prog)s %(version)s")
def main() -> None:
    """JavaScript triggers and functions on a Redis-compatible keyspace."""


@main.command()
def demo() -> None:
    """Run the first tutorial and print its transcript.

    The exit status is 0 only if every cell did what the notebook says.
    """
    # Imported here: a notebook is run by packages that the other commands do without.
    from trignb.notebook.demo import run_demo

    sys.exit(run_demo())


@main.command(
    # Without -h: `--bind -host` is a directive's word.
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": ["--help"],
    },
    help=_SERVE_HELP,
    options_metavar="[REDIS.CONF] [--DIRECTIVE VALUE ...] [OPTIONS]",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A redis.conf. Directives on the command line win over it.",
)
@click.option(
    "--load",
    "libraries",
    multiple=True,
    type=_LIBRARY_FILE,
    help="A library to load; may be repeated.",
)
@click.option(
    "--gears-config",
    "gears",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of triggers and functions, as CONFIG GET redisgears_2.* lists them "
    "(without that prefix); may be repeated.",
)
@click.option(
    "--seed",
    help="What chance follows (SPOP, eviction, Math.random …): the same choices for the same seed.",
)
@click.pass_context
def serve(
    context: click.Context,
    config: Path | None,
    libraries: tuple[Path, ...],
    gears: tuple[str, ...],
    seed: str | None,
) -> None:
    """Serve an engine on a port until SHUTDOWN, SIGTERM or SIGINT."""
    # Imported here: the other commands do without sockets.
    from trignb.server.directives import DirectiveError
    from trignb.server.main import serve_engine, server_version

    args = list(context.args)
    if args[:1] in (["-v"], ["--version"]):
        click.echo(server_version())
        return
    if args[:1] == ["--check-system"]:
        click.echo("Nothing in this system keeps trignb from running.")
        return
    more = None
    if args and config is None and not args[0].startswith("-"):
        config = _configuration_file(args.pop(0))
    if args and "-" in (args[0], args[-1]):
        args.pop(0 if args[0] == "-" else -1)
        more = sys.stdin.buffer.read()
    try:
        serve_engine(args, config, libraries, gears, seed, more)
    except (DirectiveError, TrignbError, OSError) as error:
        if isinstance(error, DirectiveError) and error.report:
            click.echo(error.report, err=True)
        click.echo(f"trignb: {error}", err=True)
        sys.exit(1)


def _configuration_file(name: str) -> Path:
    """Return the path of a configuration file, or end as redis-server does without one."""
    path = Path(name)
    try:
        path.stat()
    except OSError as error:
        click.echo(
            f"Fatal error, can't open config file '{path.absolute()}': "
            f"{error.strerror}",
            err=True,
        )
        sys.exit(1)
    return path


@main.command()
@click.argument("files", nargs=-1, required=True, type=_LIBRARY_FILE)
@click.option(
    "--config", metavar="JSON", help="What the libraries see as redis.config."
)
def check(files: tuple[Path, ...], config: str | None) -> None:
    """Load libraries and list what they register.

    Each file is loaded into an engine of its own. The exit status is 1 when one of them
    fails to load, so a CI job can run this.
    """
    console = Console(highlight=False)
    good = [_check_file(console, path, config) for path in files]
    sys.exit(0 if all(good) else 1)


@main.command()
@click.argument("function", metavar="LIBRARY.FUNCTION")
@click.argument("args", nargs=-1)
@click.option(
    "-l",
    "--load",
    "files",
    multiple=True,
    required=True,
    type=_LIBRARY_FILE,
    help="A library to load first; may be repeated.",
)
@click.option("-k", "--key", "keys", multiple=True, help="A key; may be repeated.")
@click.option(
    "-r",
    "--run",
    "lines",
    multiple=True,
    metavar="COMMAND",
    help='A command to run before the call, as in "SET k v"; may be repeated.',
)
@click.option(
    "-t",
    "--timeout",
    default=60.0,
    show_default=True,
    help="Seconds to wait for a function that goes on in the background.",
)
@click.option(
    "--config", metavar="JSON", help="What the libraries see as redis.config."
)
def call(
    function: str,
    args: tuple[str, ...],
    files: tuple[Path, ...],
    keys: tuple[str, ...],
    lines: tuple[str, ...],
    timeout: float,
    config: str | None,
) -> None:
    """Load libraries, call a function and print its reply as redis-cli would.

    A function may be asynchronous; the exit status is 1 when it fails or takes too long.
    """
    from trignb.notebook.errors import UsageError
    from trignb.notebook.text import show
    from trignb.notebook.tokenize import split

    console = Console(highlight=False)
    with Engine() as engine:
        for path in files:
            if not _load(console, engine, path, config):
                sys.exit(1)
        try:
            for line in lines:
                engine.execute(*(token.value for token in split(line)))
            reply = engine.call(function, keys, args, timeout=timeout)
        except UsageError as error:
            raise click.UsageError(str(error)) from error
        except ResponseError as error:
            click.echo(show(error))
            sys.exit(1)
        except TimeoutError as error:
            click.echo(f"trignb: {error}", err=True)
            sys.exit(1)
        click.echo(show(reply))


@main.command()
@click.argument(
    "folder",
    required=False,
    metavar="[DIR]",
    type=click.Path(file_okay=False, path_type=Path),
)
def typings(folder: Path | None) -> None:
    """Tell where the type declarations of the API lie, or copy them into DIR.

    An editor then completes redis.* and client.* in the libraries there. A jsconfig.json that
    makes it check plain JavaScript comes along, unless there is one.
    """
    if folder is None:
        click.echo(TYPINGS)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(TYPINGS.iterdir()):
        target = folder / source.name
        if source.suffix == ".json" and target.exists():
            click.echo(f"{target} is there, and stays as it is")
        else:
            target.write_text(source.read_text("utf-8"), "utf-8")
            click.echo(target)


def _check_file(console: Console, path: Path, config: str | None) -> bool:
    with Engine() as engine:
        if not _load(console, engine, path, config):
            return False
        (library,) = engine.execute("TFUNCTION", "LIST", "vv")
        _show_library(console, path, _as_text(library))
    return True


def _load(console: Console, engine: Engine, path: Path, config: str | None) -> bool:
    code = path.read_text("utf-8")
    try:
        engine.load(code, replace=True, config=config)
    except ResponseError as error:
        _show_error(console, path, code, error)
        return False
    return True


def _show_library(console: Console, path: Path, library: Entry) -> None:
    api = library["api_version"]
    console.print(
        f"[bold green]✓[/] {escape(str(path))}: library [bold]{library['name']}[/], "
        f"API {api}"
    )
    table = Table("kind", "name", "fires on, or flags", "description")
    for entry in library["functions"]:
        kind = "async function" if entry.get("is_async") else "function"
        flags = ", ".join(entry.get("flags") or ())
        _add(table, kind, entry["name"], flags, entry.get("description"))
    for entry in library["keyspace_triggers"]:
        where = _where("key", entry["prefix"])
        _add(table, "keyspace trigger", entry["name"], where, entry.get("description"))
    for entry in library["stream_triggers"]:
        where = f"{_where('stream', entry['prefix'])}, window {entry['window']}"
        if entry["trim"]:
            where += ", trimmed"
        _add(table, "stream trigger", entry["name"], where, entry.get("description"))
    for name in library["cluster_functions"]:
        _add(table, "cluster function", name, "", None)
    console.print(table)


def _where(kind: str, prefix: str) -> str:
    return f"{kind}s beginning with {prefix!r}" if prefix else f"any {kind}"


def _add(table: Table, *cells: str | None) -> None:
    table.add_row(*(escape(cell or "") for cell in cells))


def _show_error(console: Console, path: Path, code: str, error: ResponseError) -> None:
    console.print(f"[bold red]✗[/] {escape(str(path))}: {escape(str(error))}")
    if isinstance(error, JavaScriptError) and error.line:
        column = error.column or 1
        source = code.splitlines()[error.line - 1]
        console.print(f"  {escape(str(path))}:{error.line}:{column}")
        # Tabs before the caret keep it below its character, however wide they are.
        margin = "".join("\t" if c == "\t" else " " for c in source[: column - 1])
        console.print(f"    {escape(source)}\n    {margin}[bold red]^[/]")
    for note in getattr(error, "__notes__", ()):
        console.print(f"  hint: {escape(note)}")


def _as_text(value: Any) -> Any:
    """Return a reply with every byte string as text, what is not UTF-8 escaped."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {_as_text(key): _as_text(item) for key, item in value.items()}
    if isinstance(value, (list, set)):
        return [_as_text(item) for item in value]
    return value
