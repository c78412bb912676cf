"""Cases: small libraries and what is asked of them, in a notation of their own.

A file under ``cases/`` is a list of them::

    ### a name, which says what is asked
    redis.registerFunction("f", () => 1n);
    > TFCALL lib.f 0

Lines before a command are the body of a library. It is loaded under the name ``lib`` before
the first command after it, unless that command has the word ``$code`` in it, which stands for
the library's source; a body that begins with ``#!`` has a prologue of its own. The commands:

``> COMMAND``
    runs a command, with words quoted as in redis-cli.
``~> COMMAND``
    the same; in which order an aggregate comes is not the module's to say: it hashes.
``@name> COMMAND``
    runs it on a connection of its own.
``@name& COMMAND``
    sends it, and goes on as soon as the client waits; ``@name<`` reads the reply.
``?> COMMAND => TEXT``
    runs it until the text is in the reply: something happens in the background.
``!> COMMAND``
    runs it, and compares nothing but the kind of the reply: a number that differs.

Lines that begin with ``//`` outside of a library, and empty lines, say nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Case", "Step", "case", "read_cases"]

FOLDER = Path(__file__).with_name("cases")
_COMMAND = re.compile(r"(~|\?|!|@\w+)?([>&<])(?: (.*))?")
_WORD = re.compile(
    r"""\s*(?: "((?:[^"\\]|\\.)*)" | '((?:[^'\\]|\\.)*)' | (\S+) )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


@dataclass(frozen=True)
class Step:
    """One command; ``how`` is one of ``run``, ``send`` and ``read``."""

    args: tuple[bytes, ...]
    client: str = "main"
    how: str = "run"
    is_unordered: bool = False
    is_vague: bool = False
    awaited: str = ""

    @property
    def text(self) -> str:
        """The command as it is told, without the source of a library."""
        words = [repr(word)[2:-1] for word in self.args]
        shown = " ".join(w if len(w) < 80 else "…" for w in words)
        return f"{self.client}< reply" if self.how == "read" else shown


@dataclass
class Case:
    """A list of steps with a name."""

    name: str
    steps: list[Step] = field(default_factory=list)


def case(name: str, text: str) -> Case:
    """Return a case whose libraries and commands are given as in a file."""
    found = Case(name)
    code: list[str] = []
    source = ""
    for line in text.splitlines():
        matched = _COMMAND.fullmatch(line)
        if matched is None:
            if code or not (not line.strip() or line.startswith("//")):
                code.append(line)
            continue
        rest = matched[3] or ""
        if code:
            body = "\n".join(code)
            is_whole = body.startswith("#!")
            source = body if is_whole else f"#!js api_version=1.0 name=lib\n{body}"
            code = []
            if "$code" not in rest:
                found.steps.append(Step((b"TFUNCTION", b"LOAD", source.encode())))
        found.steps.append(_step(matched[1] or "", matched[2], rest, source))
    assert not code, f"{name}: a library that nothing is asked of"
    return found


def _step(mark: str, kind: str, rest: str, source: str) -> Step:
    awaited = ""
    if mark == "?":
        rest, arrow, awaited = rest.rpartition(" => ")
        assert arrow, f"no ' => ' in {rest}"
    return Step(
        tuple(source.encode() if w == b"$code" else w for w in split_words(rest)),
        mark[1:] if mark.startswith("@") else "main",
        {">": "run", "&": "send", "<": "read"}[kind],
        mark == "~",
        mark == "!",
        awaited,
    )


def split_words(text: str) -> list[bytes]:
    """Return the words of a line, as redis-cli reads them."""
    return [_unescaped(*groups) for groups in _WORD.findall(text)]


def _unescaped(double: str, single: str, bare: str) -> bytes:
    if not double:
        return (single or bare).encode()
    return _ESCAPE.sub(
        lambda found: (
            bytes([int(found[1][1:], 16)])
            if len(found[1]) == 3
            else _LETTERS.get(found[1], found[1])
        ),
        double.encode(),
    )


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a file; their names begin with the file's."""
    found = []
    for block in re.split(r"^### ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        name, _, text = block.partition("\n")
        found.append(case(f"{path.stem}: {name.strip()}", text))
    return found
