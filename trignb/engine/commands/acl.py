"""ACL: users, rules, and what was refused."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from trignb.engine.acl import (
    CATEGORIES,
    AclError,
    Denial,
    Selector,
    UnknownName,
    UnmatchedParenthesis,
    User,
    category_commands,
    has_spaces,
    merge_selectors,
)
from trignb.engine.args import to_int, wrong_arity
from trignb.engine.commands.connection import wrong_subcommand
from trignb.engine.files import check_place, replace
from trignb.engine.help import help_lines
from trignb.engine.permissions import denial_text, describe_entry
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Reply, SetReply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("server")
command = family.command

Args = list[bytes]

_NO_FILE = (
    "ERR This Redis instance is not configured to use an ACL file. You may want to "
    "specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming "
    "you have a Redis configuration file set) in order to store users in the Redis "
    "configuration."
)


@command("ACL SETUSER")
def acl_setuser(s: Session, args: Args) -> Status:
    """Creates a user or changes what it may do."""
    name, *rules = map(_text, args[2:])
    if has_spaces(name):
        raise ResponseError("ERR Usernames can't contain spaces or null characters")
    try:
        s.core.permissions.set_user(name, rules)
    except UnmatchedParenthesis as error:
        raise ResponseError(f"ERR {error}") from None
    except AclError as error:
        # A zero byte ends a C string, and a rule in a text is one.
        shown = error.rule.partition("\0")[0]
        raise ResponseError(
            f"ERR Error in ACL SETUSER modifier '{shown}': {error}"
        ) from None
    return OK


@command("ACL GETUSER")
def acl_getuser(s: Session, args: Args) -> Reply:
    """Describes a user."""
    user = s.core.permissions.users.get(_text(args[2]))
    if user is None:
        return None
    return {
        b"flags": SetReply([flag.encode() for flag in user.flags()]),
        b"passwords": [digest.encode() for digest in user.passwords],
        **_describe(user.root),
        b"selectors": [_describe(selector) for selector in user.selectors],
    }


def _describe(selector: Selector) -> dict[bytes, bytes]:
    return {
        b"commands": _bytes(selector.describe_commands()),
        b"keys": _bytes(selector.describe_keys()),
        b"channels": _bytes(selector.describe_channels()),
    }


@command("ACL DELUSER")
def acl_deluser(s: Session, args: Args) -> int:
    """Deletes users and closes their connections."""
    names = [_text(name) for name in args[2:]]
    if "default" in names:
        raise ResponseError("ERR The 'default' user cannot be removed")
    return sum(s.core.permissions.delete_user(name) for name in names)


@command("ACL LIST")
def acl_list(s: Session, args: Args) -> list[bytes]:
    """Lists the users with their rules."""
    users = s.core.permissions.users
    return [_bytes(users[name].describe()) for name in sorted(users)]


@command("ACL USERS")
def acl_users(s: Session, args: Args) -> list[bytes]:
    """Lists the names of the users."""
    return [_bytes(name) for name in sorted(s.core.permissions.users)]


@command("ACL WHOAMI")
def acl_whoami(s: Session, args: Args) -> bytes:
    """Returns the user of this connection."""
    return _bytes(s.user)


@command("ACL CAT")
def acl_cat(s: Session, args: Args) -> list[bytes]:
    """Lists the categories, or the commands of one."""
    if len(args) > 3:
        raise wrong_subcommand(args)
    if len(args) == 2:
        return [category.encode() for category in CATEGORIES]
    category = _text(args[2]).lower()
    if category not in CATEGORIES:
        raise ResponseError(f"ERR Unknown category '{_shown(args[2])}'")
    return [name.encode() for name in sorted(category_commands(category))]


@command("ACL DRYRUN")
def acl_dryrun(s: Session, args: Args) -> Reply:
    """Tells whether a user might run a command, without running it."""
    name, argv = _text(args[2]), args[3:]
    if name not in s.core.permissions.users:
        raise ResponseError(f"ERR User '{_shown(args[2])}' not found")
    wanted = s.core.table.find_for(argv)
    if wanted is None:
        raise ResponseError(f"ERR Command '{_shown(argv[0])}' not found")
    if not wanted.accepts(len(argv)):
        raise wrong_arity(wanted.name)
    try:
        s.core.permissions.deny(name, wanted, argv)
    except Denial as denial:
        return denial_text(name, wanted, denial)
    return OK


@command("ACL GENPASS")
def acl_genpass(s: Session, args: Args) -> bytes:
    """Returns a random password."""
    if len(args) > 3:
        raise wrong_subcommand(args)
    bits = to_int(args[2]) if len(args) == 3 else 256
    if not 0 < bits <= 4096:
        raise ResponseError(
            "ERR ACL GENPASS argument must be the number of bits for the output "
            "password, a positive number up to 4096"
        )
    digits = (bits + 3) // 4
    return secrets.token_hex(digits)[:digits].encode()


@command("ACL LOG")
def acl_log(s: Session, args: Args) -> Reply:
    """Returns what was refused lately, or forgets it."""
    if len(args) > 3:
        raise wrong_subcommand(args)
    log = s.core.permissions.log
    if len(args) == 3 and args[2].upper() == b"RESET":
        log.clear()
        return OK
    number = to_int(args[2]) if len(args) == 3 else 10
    now = s.core.now_ns()
    return [describe_entry(entry, now) for entry in list(log)[: max(number, 0)]]


@command("ACL SAVE")
def acl_save(s: Session, args: Args) -> Status:
    """Writes the users to the ACL file."""
    path = _file(s)
    users = s.core.permissions.users
    lines = "".join(users[name].describe() + "\n" for name in sorted(users))
    draft = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        check_place(str(path))
        draft.write_text(lines, "utf-8", "surrogateescape")
        replace(str(draft), str(path))
    except OSError:
        raise ResponseError(
            "ERR There was an error trying to save the ACLs. Please check the server "
            "logs for more information"
        ) from None
    return OK


@command("ACL LOAD")
def acl_load(s: Session, args: Args) -> Status:
    """Takes the users from the ACL file, all or none."""
    path = _file(s)
    try:
        lines = path.read_text("utf-8", "surrogateescape").split("\n")
    except OSError as error:
        raise ResponseError(
            f"ERR Error loading ACLs, opening file '{path}': {error.strerror}"
        ) from None
    s.core.permissions.replace_users(_read_users(s, path, lines), hang_up=True)
    return OK


def _file(s: Session) -> Path:
    name = s.core.config.values["aclfile"]
    if not name:
        raise ResponseError(_NO_FILE)
    return Path(name)


def _read_users(s: Session, path: Path, lines: list[str]) -> dict[str, User]:
    """Return the users of a file; raises one error that names all that is wrong with it."""
    users: dict[str, User] = {}
    errors: list[str] = []
    for number, line in enumerate(lines, 1):
        # A zero byte ends a C string; other blanks than these are part of a word.
        text = line.partition("\0")[0].strip(" \t\r")
        if not text:
            continue
        words = [word for word in text.split(" ") if word]
        place = f"{path}:{number}"
        if words[0] != "user" or len(words) < 2:
            errors.append(
                f"{place} should start with user keyword followed by the username. "
            )
        elif has_spaces(words[1]):
            errors.append(
                f"'{place}: username '{words[1]}' contains invalid characters. "
            )
        elif words[1] in users:
            errors.append(
                f"WARNING: Duplicate user '{words[1]}' found on line {number}. "
            )
        else:
            user = users[words[1]] = s.core.permissions.new_user(words[1])
            errors += [f"{place}: {error}. " for error in _apply_line(user, words[2:])]
    if errors:
        raise ResponseError(
            f"ERR {''.join(errors)}WARNING: ACL errors detected, no change to the "
            "previously active ACL rules was performed"
        )
    return users


def _apply_line(user: User, words: list[str]) -> list[str]:
    """Apply the rules of a line; returns what is wrong with them.

    Each unknown name is told, and of everything else what comes first.
    """
    errors = []
    is_broken = False
    try:
        rules = merge_selectors(words)
    except AclError as error:
        return [str(error).removesuffix(".")]
    for rule in rules:
        try:
            user.apply(rule)
        except UnknownName as error:
            errors.append(f"Error in applying operation '{rule}': {error}")
        except AclError as error:
            if not is_broken:
                errors.append(str(error))
            is_broken = True
    return errors


@command("ACL HELP")
def acl_help(s: Session, args: Args) -> list[Status]:
    """Prints this help."""
    return help_lines(s, b"ACL")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _shown(raw: bytes) -> str:
    """Return a name as errors print it: a zero byte ends a C string."""
    return _text(raw.partition(b"\0")[0])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
