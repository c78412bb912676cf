"""``%redis``, ``%%redis``, ``%%tfunction`` and ``%tf``.

A magic reads its options, makes one call of the Python API (`trignb.Engine` and its
sessions) and returns what that gave. Errors are shown without a traceback: the server's
text, then at most one hint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from IPython.display import display
from traitlets import Bool, Enum, Int

from trignb.api import Engine
from trignb.errors import JavaScriptError, RdbError, ResponseError
from trignb.notebook.arguments import CELL, LINE, LOAD, TFUNCTION, documented
from trignb.notebook.completing.matcher import make_matcher
from trignb.notebook.display import Note, library_line, source_html
from trignb.notebook.errors import (
    RedisError,
    ShortError,
    UsageError,
    suggestion,
)
from trignb.notebook.expand import expand
from trignb.notebook.hints import hint
from trignb.notebook.javascript import js_error, library_source
from trignb.notebook.notes import CellNotes
from trignb.notebook.observing import Observed
from trignb.notebook.options import Parsed, parse
from trignb.notebook.reply import Replies, Reply, Style, parts_of
from trignb.notebook.subcommands.registry import run_subcommand, with_overview
from trignb.notebook.tokenize import CommandLine, read_cell, read_line, split
from trignb.notebook.workbench import LIBRARY_NAME, Bench, Source, Workbench

if TYPE_CHECKING:
    from traitlets.config import Config

    from trignb.functions.library import Library

__all__ = ["TrignbMagics"]

# A fixed moment, so that a notebook with a manual clock repeats.
_MANUAL_START: Final = "2024-01-01T00:00:00Z"

_TIMEOUT: Final = "redisgears_2.lock-redis-timeout"


@magics_class
class TrignbMagics(Magics):
    """Redis and its triggers in the cells of a notebook."""

    display = Enum(
        ["auto", "text", "html"],
        "auto",
        help="Tables beside the text: where they help, never, always.",
    ).tag(config=True)
    displaylimit = Int(50, min=1, help="Rows of an HTML table.").tag(config=True)
    autopandas = Bool(False, help="Replies are DataFrames.").tag(config=True)
    resp = Enum([2, 3], 2, help="Protocol of new engines' clients.").tag(config=True)
    on_error = Enum(
        ["raise", "show"], "raise", help="What an error reply does to a cell."
    ).tag(config=True)
    expand = Enum(["braces", "off"], "braces", help="Whether {{x}} is Python.").tag(
        config=True
    )
    utf8 = Bool(False, help="Leave UTF-8 readable in replies.").tag(config=True)
    echo = Enum(
        ["auto", "on", "off"],
        "auto",
        help="Show the commands of a cell: when there are several, always, never.",
    ).tag(config=True)
    notes = Bool(
        True, help="Below a cell, what libraries logged and which triggers failed."
    ).tag(config=True)
    short_errors = Bool(True, help="Errors without a traceback.").tag(config=True)
    clock = Enum(["real", "manual"], "real", help="Clock of new engines.").tag(
        config=True
    )
    log_size = Int(10_000, min=0, help="Events and commands that are kept.").tag(
        config=True
    )
    complete_keys_limit = Int(
        200, min=0, help="Keys that completion offers at most."
    ).tag(config=True)
    feed_rate = Int(
        10, min=1, max=10, help="How often a second live views may change."
    ).tag(config=True)
    js_timeout_ms = Int(
        500, min=100, help="How long a function may run, of new engines."
    ).tag(config=True)

    def __init__(self, shell: Any, workbench: Workbench | None = None) -> None:
        super().__init__(shell)
        self.workbench = workbench or Workbench(self.new_bench)
        self.workbench.new_bench = self.new_bench
        self.cell_notes = CellNotes(self)
        self.matcher = make_matcher(self)

    def update_config(self, config: Config) -> None:
        """Set options; an unknown one is refused, where traitlets only warns."""
        known = self.trait_names(config=True)
        section = config.get(type(self).__name__, {})
        for name in section:
            if name not in known:
                # %config has written it into the shell's own configuration.
                del section[name]
                # It logs the message alone, so the suggestion stands in it.
                advice = suggestion(name, known)
                raise UsageError(
                    f"TrignbMagics has no option {name}; {advice}".rstrip("; ")
                )
        super().update_config(config)

    def new_bench(self) -> Bench:
        """Make an engine as the options say."""
        config: dict[str, Any] = {_TIMEOUT: self.js_timeout_ms}
        engine = Engine(log_size=self.log_size, **config)
        engine.core.record_commands(self.log_size)
        if self.clock == "manual":
            engine.clock.freeze(at=_MANUAL_START)
        return Bench(engine, resp=self.resp)

    # -- the magics

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @documented("command", "one command", ("%redis", LINE), ("%%redis", CELL))
    def redis(self, line: str, cell: str | None = None, local_ns: Any = None) -> Any:
        """Run Redis commands, one behind %redis or one a line below %%redis.

        {{expr}} in an argument is a Python value, {{*seq}} one argument for each item.
        Options end at the first word that is none; -- ends them, too. What comes back is
        a Reply (Replies of a cell): .value, .text, .df(), .json(), .triggers and more.
        In a cell, # and // begin a comment, a leading number repeats the command, and
        three quotes open a value of several lines.
        """
        with self._short_errors():
            if cell is None:
                return self._redis_line(line, self._names(local_ns))
            return self._redis_cell(line, cell, self._names(local_ns))

    @no_var_expand
    @needs_local_scope
    @cell_magic
    @documented(
        "NAME",
        "writes the first line: #!js api_version=1.0 name=NAME",
        ("%%tfunction", TFUNCTION),
    )
    def tfunction(self, line: str, cell: str, local_ns: Any = None) -> Any:
        """Load the cell as a JavaScript library with functions and triggers.

        A library of the same name is replaced. Braces are JavaScript's own: nothing in the
        cell is expanded. Errors name the line of the cell.
        """
        with self._short_errors():
            return self._load(line, cell, self._names(local_ns))

    @no_var_expand
    @needs_local_scope
    @line_magic
    @with_overview
    def tf(self, line: str, local_ns: Any = None) -> Any:
        """Look at triggers, functions, logs and the clock."""
        with self._short_errors():
            return run_subcommand(self, line, self._names(local_ns))

    @no_var_expand
    @line_magic
    @documented("path", "an RDB file", ("%redis_load", LOAD))
    def redis_load(self, line: str) -> Note:
        """Load an RDB file in place of what the engine holds.

        One call of `Engine.load_rdb`. JavaScript libraries stay, no trigger fires.
        """
        with self._short_errors():
            options = parse(line, LOAD, anywhere=True)
            path = options.rest.strip("\"'")
            if not path:
                raise UsageError("%redis_load takes the path of an RDB file")
            bench = self.workbench.bench(options.get("engine"))
            try:
                keys = bench.engine.load_rdb(Path(path).expanduser())
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror}") from None
            except RdbError as error:
                raise UsageError(f"{path}: {error}") from None
        return Note(
            f"OK  {keys:,} key{'' if keys == 1 else 's'} from {Path(path).name}"
        )

    # -- %redis

    def _redis_line(self, line: str, names: Mapping[str, Any]) -> Any:
        options = parse(line, LINE)
        commands = self._line_commands(options)
        run = _Run(self, options, names)
        replies = run.execute(commands)
        several = len(replies) != 1 or options.get("repeat", 1) != 1
        if not several:
            run.observed.mark(replies[0])
        return self._deliver(replies if several else replies[0], options)

    def _line_commands(self, options: Parsed) -> list[CommandLine]:
        """Return the commands of a line, a saved cell or a file."""
        saved, path = options.get("run"), options.get("file")
        if saved is not None or path is not None:
            if options.rest:
                raise UsageError(
                    "a command and a saved cell or file do not go together"
                )
            return read_cell(self._snippet(saved) if saved is not None else _read(path))
        command = read_line(options.rest)
        if command is None:
            raise UsageError("%redis needs a command")
        repeat = options.get("repeat", command.repeat)
        if repeat < 1:
            raise UsageError("-r takes 1 or more")
        return [CommandLine(command.tokens, command.text, command.line, repeat)]

    def _snippet(self, name: str) -> str:
        snippets = self.workbench.snippets
        if name not in snippets:
            error = UsageError(f"no cell was saved as {name}")
            error.hint = suggestion(name, snippets)
            raise error
        return snippets[name]

    def _redis_cell(self, line: str, cell: str, names: Mapping[str, Any]) -> Any:
        options = parse(line, CELL)
        if options.rest:
            raise UsageError.at(
                "commands stand below %%redis", line, line.find(options.rest) + 1
            )
        commands = read_cell(cell)
        if options.get("save"):
            self.workbench.snippets[options.get("save")] = cell
        replies = _Run(self, options, names, in_cell=True).execute(commands)
        if options.get("out"):
            self._user_names()[options.get("out")] = replies
        return None if options.get("quiet") else self._deliver(replies, options)

    def _deliver(self, result: Reply | Replies, options: Parsed) -> Any:
        """Return the result in the form that was asked for."""
        as_table = options.get("df") or self.autopandas
        if options.get("value") or as_table:
            for part in parts_of(result):
                _publish(part)
        if options.get("value"):
            return result.value
        if as_table:
            only = isinstance(result, Replies) and len(result) == 1
            return result[0].df() if only else result.df()
        return result

    def style(self, options: Parsed) -> Style:
        """Return how replies are to be shown."""
        return Style(
            mode=options.get("mode", "standard"),
            display=self.display,
            utf8=self.utf8,
            timed=options.get("timed", False),
            limit=self.displaylimit,
        )

    # -- %%tfunction

    def _load(self, line: str, cell: str, names: Mapping[str, Any]) -> Any:
        options = parse(line, TFUNCTION, anywhere=True)
        source = library_source(cell, options.rest)
        config = self._config(options, names)
        bench = self.workbench.bench(options.get("engine"))
        if options.get("check"):
            return self._check(bench, source, config)
        replace = not options.get("new")
        library = self.load_library(bench, source, replace=replace, config=config)
        bench.sources[library.name] = source
        if options.get("out"):
            self._user_names()[options.get("out")] = library
        text = library_line(library)
        if options.get("call"):
            reply = self._call_after_load(bench, library.name, options.get("call"))
            text += f"\n{reply.text}"
        return Note(text, html=source_html(cell, text) if options.get("show") else "")

    def _config(self, options: Parsed, names: Mapping[str, Any]) -> Any:
        name = options.get("config")
        if name is None:
            return None
        if name not in names:
            error = UsageError(f"--config: there is no variable {name}")
            error.hint = suggestion(name, names)
            raise error
        if not isinstance(names[name], (Mapping, str)):
            kind = type(names[name]).__name__
            raise UsageError(
                f"--config takes a dict or a JSON text, {name} is a {kind}"
            )
        return names[name]

    def load_library(
        self, bench: Bench, source: Source, *, replace: bool = True, config: Any = None
    ) -> Library:
        """Load a library; an error names its place in the cell or the file."""
        named = LIBRARY_NAME.match(source.code)
        try:
            with bench.awaiting(named[1] if named else ""):
                return bench.engine.load(source.code, replace=replace, config=config)
        except ResponseError as error:
            args = (b"TFUNCTION", b"LOAD")
            raise self.failure(bench, error, args, source) from error

    def _check(self, bench: Bench, source: Source, config: Any) -> Note:
        """Load the library into an engine that is thrown away."""
        with Engine() as engine:
            scratch = Bench(engine)
            library = self.load_library(scratch, source, config=config)
            text = library_line(library)
        return Note(f"{text}; checked, not loaded")

    def _call_after_load(self, bench: Bench, library: str, text: str) -> Reply:
        words = [token.value for token in split(text)]
        if not words:
            raise UsageError("--call needs a function")
        function = f"{library}.".encode() + words[0]
        return self.run_one(bench, [b"TFCALL", function, *(words[1:] or [b"0"])])

    # -- what the magics share

    def run_one(
        self,
        bench: Bench,
        args: Sequence[bytes],
        execute: Callable[..., Any] | None = None,
    ) -> Reply:
        """Run one command; an error reply is raised, unless the options say otherwise."""
        reply = bench.run(args, self.style(Parsed()), execute)
        if reply.error is not None and self.on_error == "raise":
            raise self.failure(bench, reply.error, reply.args) from reply.error
        return reply

    def failure(
        self,
        bench: Bench,
        error: ResponseError,
        args: Sequence[bytes],
        source: Source | None = None,
    ) -> RedisError:
        """Return an error reply as a cell shows it; `source` is the library it loads."""
        advice = hint(str(error), args, bench.engine, bench.session)
        if not isinstance(error, JavaScriptError):
            return RedisError(str(error), advice)
        failure = js_error(error, bench, source)
        failure.hint = advice
        return failure

    @property
    def names(self) -> Mapping[str, Any]:
        """The notebook's variables."""
        return self._user_names()

    def _names(self, local_ns: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return what expressions see: the notebook's names, and a function's own."""
        return {**self._user_names(), **(local_ns or {})}

    def _user_names(self) -> dict[str, Any]:
        # A Magics object may do without a shell; ours is always made for one.
        names: dict[str, Any] = {} if self.shell is None else self.shell.user_ns
        return names

    @contextmanager
    def _short_errors(self) -> Iterator[None]:
        try:
            yield
        except ShortError as error:
            error.short = self.short_errors
            raise
        except KeyboardInterrupt as error:
            if self.short_errors:
                # Where Stop struck is of no use, and a traceback takes its time.
                vars(error)["_render_traceback_"] = lambda: ["KeyboardInterrupt"]
            raise


class _Run:
    """One run of commands by a magic."""

    def __init__(
        self,
        magics: TrignbMagics,
        options: Parsed,
        names: Mapping[str, Any],
        *,
        in_cell: bool = False,
    ) -> None:
        self.magics = magics
        self.options = options
        self.names = names
        self.in_cell = in_cell
        self.bench = magics.workbench.bench(options.get("engine"))
        self.observed = Observed(
            traced=options.get("trace", False), rehearsed=options.get("dry", False)
        )
        self.style = magics.style(options)
        self.lenient = options.get("ok") or magics.on_error == "show"
        self.expands = magics.expand == "braces" and not options.get("literal")
        self.replies: list[Reply] = []
        self.prompts: list[str] = []

    def execute(self, commands: list[CommandLine]) -> Replies:
        """Run the commands and return their replies."""
        try:
            with self.observed.around(self.bench) as self.bench:
                self._run_all(commands)
        except Exception:
            self._show_so_far()
            raise
        return self._replies()

    def _replies(self) -> Replies:
        replies = Replies(self.replies, self.prompts)
        self.observed.mark(replies)
        return replies

    def _run_all(self, commands: list[CommandLine]) -> None:
        options = self.options
        atomic = options.get("atomic", False)
        steps = [_MULTI, *commands, _EXEC] if atomic and commands else commands
        self.echoes = self._echoes(len(steps))
        with self.bench.speaking(db=options.get("db"), resp=options.get("resp")):
            try:
                for command in steps:
                    self._step(command)
            except BaseException:
                if atomic and self.bench.session.queue is not None:
                    self.bench.session.execute("DISCARD")
                raise

    def _echoes(self, count: int) -> bool:
        if not self.in_cell:
            return False
        echo = self.options.get("echo")
        if echo is not None:
            return bool(echo)
        return self.magics.echo == "on" or (self.magics.echo == "auto" and count > 1)

    def _step(self, command: CommandLine) -> None:
        args = self._arguments(command)
        prompt = self.bench.prompt() + command.text if self.echoes else ""
        for _ in range(command.repeat):
            reply = self.bench.run(args, self.style)
            if reply.error is not None and not self.lenient:
                raise self._failure(reply, reply.error, command) from reply.error
            self.replies.append(reply)
            self.prompts.append(prompt)
            prompt = ""

    def _arguments(self, command: CommandLine) -> list[bytes]:
        if not self.expands:
            return [token.value for token in command.tokens]
        try:
            return expand(command, self.names)
        except UsageError as error:
            if self.in_cell:
                error.args = (f"line {command.line + 1}: {error}",)
            raise

    def _failure(
        self, reply: Reply, error: ResponseError, command: CommandLine
    ) -> RedisError:
        failure = self.magics.failure(self.bench, error, reply.args)
        if self.in_cell:
            # The magic stands in the cell's first line.
            where = f"in line {command.line + 1}: {command.text}"
            failure.detail = (where, *failure.detail)
        return failure

    def _show_so_far(self) -> None:
        replies = self._replies()
        if (replies or parts_of(replies)) and not self.options.get("quiet"):
            _publish(replies)


def _publish(shown: Any) -> None:
    publish: Any = display  # untyped upstream
    publish(shown)


_MULTI: Final = CommandLine(tuple(split("MULTI")), "MULTI")
_EXEC: Final = CommandLine(tuple(split("EXEC")), "EXEC")


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except OSError as error:
        raise UsageError(f"--file: {error.strerror}: {path}") from error
