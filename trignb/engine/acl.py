"""Users and what they may do: rules, selectors, passwords, and the check before a command.

A user has one root selector and any number of further ones; a command is allowed if one selector allows
it whole: the command, each key in the way it is used, each channel. Source: observed on the oracle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from trignb.engine.spec import command_facts
from trignb.glob import matcher

__all__ = [
    "CATEGORIES",
    "Access",
    "AclError",
    "Denial",
    "Selector",
    "UnknownName",
    "UnmatchedParenthesis",
    "User",
    "add_commands",
    "apply_rules",
    "category_commands",
    "has_spaces",
    "hash_password",
    "merge_selectors",
    "open_user",
]

CATEGORIES: Final = (
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
)

_READ: Final = 1
_WRITE: Final = 2


class AclError(Exception):
    """A rule Redis refuses; ``str(error)`` is the reason only.

    ``rule`` and its ``place`` among the rules are known to who applies several.
    """

    rule = ""
    place = 0


class UnknownName(AclError):
    """A rule names a command or a category that is not there."""

    def __init__(self) -> None:
        super().__init__("Unknown command or category name in ACL")


class UnmatchedParenthesis(AclError):
    """A selector does not end."""


class Denial(Exception):
    """A command that is not allowed.

    ``reason`` is ``command``, ``key`` or ``channel``; ``object`` what was refused, ``place`` how
    many of its kind were allowed before it.
    """

    def __init__(self, reason: str, subject: bytes, place: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.object = subject
        self.place = place


@dataclass(slots=True)
class Access:
    """What one call touches: keys with how they are used, and channels.

    ``channels`` come with whether the name is a pattern, which must be granted literally.
    """

    keys: list[tuple[bytes, bool, bool]] = field(default_factory=list)
    channels: list[tuple[bytes, bool]] = field(default_factory=list)


@cache
def category_commands(category: str) -> frozenset[str]:
    """Return the full names (``config|get``) of a category's commands."""
    mark = "@" + category
    return frozenset(
        facts.name.replace(" ", "|")
        for facts in command_facts().values()
        if mark in facts.acl_categories
    )


@cache
def _all_commands() -> frozenset[str]:
    return frozenset(name.replace(" ", "|") for name in command_facts())


@cache
def _subcommands(container: str) -> frozenset[str]:
    return frozenset(n for n in _all_commands() if n.startswith(container + "|"))


# Commands that layers above added, the same names in every engine of the process.
_added_commands: set[str] = set()


def add_commands(names: Iterable[str]) -> None:
    """Take note of commands that rules may name although the table does not know them."""
    _added_commands.update(names)


def _is_known(name: str) -> bool:
    return name in _all_commands() or name in _added_commands


class Selector:
    """One set of permissions.

    Attributes
    ----------
    commands : set of str
        Allowed commands by full name, container names included.
    future : bool
        Whether commands that do not exist yet are allowed (``+@all``).
    refused : set of str
        Commands of other layers that are not allowed in spite of that.
    first_args : dict
        Plain command to first arguments with which alone it is allowed.
    rules : list of str
        How the commands came about, as ACL LIST shows it.
    """

    def __init__(self, *, all_channels: bool = False) -> None:
        self.commands: set[str] = set()
        self.future = False
        self.refused: set[str] = set()
        self.first_args: dict[str, list[str]] = {}
        self.rules: list[str] = []
        self.all_keys = False
        self.all_channels = all_channels
        self.keys: list[tuple[bytes, int]] = []
        self.channels: list[bytes] = []

    def copy(self) -> Selector:
        """Return a selector that shares nothing changeable with this one."""
        twin = Selector()
        twin.commands = set(self.commands)
        twin.future, twin.refused = self.future, set(self.refused)
        twin.first_args = {k: list(v) for k, v in self.first_args.items()}
        twin.rules = list(self.rules)
        twin.all_keys, twin.all_channels = self.all_keys, self.all_channels
        twin.keys, twin.channels = list(self.keys), list(self.channels)
        return twin

    @property
    def all_commands(self) -> bool:
        """Whether every command is allowed, present and future."""
        return self.future and not self.rules

    # -- rules

    def apply(self, rule: str) -> None:
        """Apply one rule; raises AclError."""
        low = rule.lower()
        if low in ("allkeys", "~*"):
            self.all_keys = True
            self.keys.clear()
        elif low == "resetkeys":
            self.all_keys = False
            self.keys.clear()
        elif low in ("allchannels", "&*"):
            self.all_channels = True
            self.channels.clear()
        elif low == "resetchannels":
            self.all_channels = False
            self.channels.clear()
        elif low in ("allcommands", "+@all"):
            self._all(True)
        elif low in ("nocommands", "-@all"):
            self._all(False)
        elif rule[0] == "~" or rule[0] == "%":
            self._add_keys(rule)
        elif rule[0] == "&":
            self._add_channel(rule[1:])
        elif low[:2] in ("+@", "-@"):
            self._category(low)
        elif rule[0] == "+":
            self._allow(low[1:])
        elif rule[0] == "-":
            self._forbid(low[1:])
        else:
            raise AclError("Syntax error")

    def _all(self, allowed: bool) -> None:
        self.commands = set(_all_commands()) if allowed else set()
        self.future = allowed
        self.refused.clear()
        self.first_args.clear()
        self.rules.clear()

    def _add_keys(self, rule: str) -> None:
        if self.all_keys:
            raise AclError(
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not "
                "valid and does not have any effect. Try 'resetkeys' to start with an "
                "empty list of patterns"
            )
        access = _READ | _WRITE
        pattern = rule[1:]
        if rule[0] == "%":
            letters, _, pattern = rule[1:].partition("~")
            access = _LETTERS.get(letters.upper(), 0)
            if not access:
                raise AclError("Syntax error")
        if has_spaces(pattern):
            raise AclError("Syntax error")
        raw = pattern.encode("utf-8", "surrogateescape")
        for i, (known, had) in enumerate(self.keys):
            if known == raw:
                self.keys[i] = (raw, had | access)
                return
        self.keys.append((raw, access))

    def _add_channel(self, pattern: str) -> None:
        if self.all_channels:
            raise AclError(
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is "
                "not valid and does not have any effect. Try 'resetchannels' to start "
                "with an empty list of channels"
            )
        if has_spaces(pattern):
            raise AclError("Syntax error")
        raw = pattern.encode("utf-8", "surrogateescape")
        if raw not in self.channels:
            self.channels.append(raw)

    def _category(self, rule: str) -> None:
        category = rule[2:]
        if category not in CATEGORIES:
            raise UnknownName
        names = category_commands(category)
        if rule[0] == "+":
            self.commands |= names
        else:
            self.commands -= names
        for name in names:
            self.first_args.pop(name, None)
        self._note(rule)

    def _allow(self, name: str) -> None:
        command, bar, first = name.rpartition("|")
        if _is_known(name):
            self.commands.add(name)
            self.refused.discard(name)
            self.commands |= _subcommands(name)
            self.first_args.pop(name, None)
            self._note("+" + name)
            return
        if not bar or not _is_known(command):
            raise UnknownName
        if "|" in command:
            raise AclError("Allowing first-arg of a subcommand is not supported")
        if not first:
            raise AclError("Syntax error")
        if _subcommands(command):
            raise UnknownName
        if command not in self.commands:
            self.first_args.setdefault(command, []).append(first)
        self._note("+" + name)

    def _forbid(self, name: str) -> None:
        if not _is_known(name):
            raise UnknownName
        self.commands.discard(name)
        if name in _added_commands:
            self.refused.add(name)
        self.commands -= _subcommands(name)
        self.first_args.pop(name, None)
        self._note("-" + name)

    def _note(self, rule: str) -> None:
        """Remember a rule, dropping what it makes superfluous."""
        name = rule[1:]
        self.rules = [
            r for r in self.rules if r[1:] != name and not r[1:].startswith(name + "|")
        ]
        self.rules.append(rule)

    # -- telling

    def describe_commands(self) -> str:
        """Return the command rules as ACL GETUSER shows them."""
        return " ".join(["+@all" if self.future else "-@all", *self.rules])

    def describe_keys(self) -> str:
        """Return the key patterns as ACL GETUSER shows them."""
        if self.all_keys:
            return "~*"
        return " ".join(_KEY_MARKS[access] + _text(p) for p, access in self.keys)

    def describe_channels(self) -> str:
        """Return the channel patterns as ACL GETUSER shows them."""
        if self.all_channels:
            return "&*"
        return " ".join("&" + _text(p) for p in self.channels)

    def describe(self) -> str:
        """Return the whole selector as a line of rules."""
        parts = [self.describe_keys()]
        if self.all_channels:
            parts.append("&*")
        else:
            parts += ["resetchannels", self.describe_channels()]
        return " ".join(filter(None, [*parts, self.describe_commands()]))

    # -- checking

    def check(self, name: str, args: list[bytes], access: Access) -> None:
        """Raise Denial unless this selector allows the whole call."""
        if not self._allows_command(name, args):
            raise Denial("command", name.encode())
        if not self.all_keys:
            for i, (key, reads, writes) in enumerate(access.keys):
                if not self.allows_key(key, reads, writes):
                    raise Denial("key", key, i)
        if not self.all_channels:
            for i, (channel, literal) in enumerate(access.channels):
                if not self._allows_channel(channel, literal):
                    raise Denial("channel", channel, i)

    def allows(self, name: str, args: list[bytes], access: Access) -> bool:
        """Whether this selector allows the whole call."""
        try:
            self.check(name, args, access)
        except Denial:
            return False
        return True

    def _allows_command(self, name: str, args: list[bytes]) -> bool:
        if name in self.commands:
            return True
        if self.future and name not in _all_commands() and name not in self.refused:
            return True
        firsts = self.first_args.get(name)
        if not firsts or len(args) < 2:
            return False
        return _text(args[1]).lower() in firsts

    def allows_key(self, key: bytes, reads: bool, writes: bool) -> bool:
        """Whether a key may be read, written or both."""
        needed = (_READ if reads else 0) | (_WRITE if writes else 0)
        return any(
            access & needed == needed and _matches(pattern, key)
            for pattern, access in self.keys
        )

    def _allows_channel(self, channel: bytes, literal: bool) -> bool:
        if literal:
            return channel in self.channels
        return any(_matches(pattern, channel) for pattern in self.channels)

    def allows_channel(self, channel: bytes, *, literal: bool) -> bool:
        """Whether a channel, or with `literal` a pattern of channels, may be listened to."""
        return self.all_channels or self._allows_channel(channel, literal)

    @property
    def reads_all_keys(self) -> bool:
        """Whether every key may be read, whatever its name."""
        return self.all_keys or any(
            pattern == b"*" and access & _READ for pattern, access in self.keys
        )


def _matches(pattern: bytes, name: bytes) -> bool:
    """Whether a pattern matches; an empty name is matched by the empty pattern only."""
    return bool(matcher(pattern)(name)) if name else not pattern


_NO_SPACES: Final = frozenset(" \t\n\v\f\r\0")
_LETTERS = {"R": _READ, "W": _WRITE, "RW": _READ | _WRITE, "WR": _READ | _WRITE}
_KEY_MARKS = {_READ: "%R~", _WRITE: "%W~", _READ | _WRITE: "~"}


class User:
    """A user: on or off, passwords, selectors.

    ``all_channels`` says whether its selectors begin with every channel allowed.
    """

    def __init__(self, name: str, *, all_channels: bool = False) -> None:
        self.name = name
        self.all_channels = all_channels
        self.enabled = False
        self.nopass = False
        self.sanitize = True
        # Insertion-ordered SHA-256 digests.
        self.passwords: dict[str, None] = {}
        self.root = Selector(all_channels=all_channels)
        self.selectors: list[Selector] = []

    def copy(self) -> User:
        """Return a user that shares nothing changeable with this one."""
        twin = User(self.name)
        twin.take(self)
        return twin

    def take(self, other: User) -> None:
        """Become what `other` is, keeping the name."""
        self.enabled, self.nopass = other.enabled, other.nopass
        self.sanitize = other.sanitize
        self.passwords = dict(other.passwords)
        self.root = other.root.copy()
        self.selectors = [selector.copy() for selector in other.selectors]

    @property
    def unrestricted(self) -> bool:
        """Whether every command on every key and channel is allowed."""
        root = self.root
        return root.all_commands and root.all_keys and root.all_channels

    def apply(self, rule: str) -> None:
        """Apply one rule; raises AclError."""
        if not rule:
            return
        low = rule.lower()
        action = _USER_RULES.get(low)
        if action is not None:
            action(self)
        elif rule[0] in "><#!":
            self._password(rule)
        elif rule[0] == "(":
            self._selector(rule)
        else:
            self.root.apply(rule)

    def _password(self, rule: str) -> None:
        mark, text = rule[0], rule[1:]
        if mark in "><":
            digest = hash_password(text.encode("utf-8", "surrogateescape"))
        elif len(text) == 64 and all(c in "0123456789abcdef" for c in text):
            digest = text
        else:
            raise AclError(
                "The password hash must be exactly 64 characters and contain only "
                "lowercase hexadecimal characters"
            )
        if mark in ">#":
            self.passwords[digest] = None
            self.nopass = False
        elif digest not in self.passwords:
            raise AclError(
                "The password you are trying to remove from the user does not exist"
            )
        else:
            del self.passwords[digest]

    def _selector(self, rule: str) -> None:
        selector = Selector(all_channels=self.all_channels)
        for part in rule[1:-1].split():
            selector.apply(part)
        self.selectors.append(selector)

    def accepts(self, password: bytes) -> bool:
        """Whether the user may log in with this password."""
        return self.enabled and (
            self.nopass or hash_password(password) in self.passwords
        )

    def check(self, name: str, args: list[bytes], access: Access) -> None:
        """Raise the most telling Denial unless a selector allows the call."""
        worst: Denial | None = None
        for selector in (self.root, *self.selectors):
            try:
                selector.check(name, args, access)
                return
            except Denial as denial:
                if worst is None or _progress(denial) > _progress(worst):
                    worst = denial
        if worst is not None:
            raise worst

    def reads_all_keys(self, name: str, args: list[bytes], access: Access) -> bool:
        """Whether a selector that allows this call allows reading every key."""
        return any(
            selector.reads_all_keys and selector.allows(name, args, access)
            for selector in (self.root, *self.selectors)
        )

    def allows_channel(self, channel: bytes, *, literal: bool) -> bool:
        """Whether a selector allows listening to a channel, or to a pattern of them."""
        return any(
            selector.allows_channel(channel, literal=literal)
            for selector in (self.root, *self.selectors)
        )

    def flags(self) -> list[str]:
        """Return the flags as ACL GETUSER lists them."""
        flags = ["on" if self.enabled else "off"]
        if self.nopass:
            flags.append("nopass")
        flags.append("sanitize-payload" if self.sanitize else "skip-sanitize-payload")
        return flags

    def describe(self) -> str:
        """Return the user's line of ACL LIST."""
        parts = ["user", self.name, *self.flags()]
        parts += ["#" + digest for digest in self.passwords]
        parts.append(self.root.describe())
        parts += [f"({selector.describe()})" for selector in self.selectors]
        return " ".join(parts)


_WEIGHT = {"command": 0, "key": 1, "channel": 2}


def _progress(denial: Denial) -> tuple[int, int]:
    """Return how far the check of a selector came."""
    return _WEIGHT[denial.reason], denial.place


def _reset(user: User) -> None:
    user.take(User(user.name, all_channels=user.all_channels))


def _set_nopass(user: User) -> None:
    user.nopass = True
    user.passwords.clear()


def _reset_passwords(user: User) -> None:
    user.nopass = False
    user.passwords.clear()


_USER_RULES: dict[str, Callable[[User], None]] = {
    "on": lambda u: setattr(u, "enabled", True),
    "off": lambda u: setattr(u, "enabled", False),
    "nopass": _set_nopass,
    "resetpass": _reset_passwords,
    "sanitize-payload": lambda u: setattr(u, "sanitize", True),
    "skip-sanitize-payload": lambda u: setattr(u, "sanitize", False),
    "clearselectors": lambda u: u.selectors.clear(),
    "reset": _reset,
}


def open_user(name: str) -> User:
    """Return a user who may do everything without a password."""
    user = User(name)
    for rule in ("on", "nopass", "~*", "&*", "+@all"):
        user.apply(rule)
    return user


def merge_selectors(rules: Iterable[str]) -> list[str]:
    """Join the words of each ``(…)`` into one rule."""
    out: list[str] = []
    group: list[str] = []
    start = 0
    for i, rule in enumerate(rules):
        if group:
            group.append(rule)
        elif rule.startswith("("):
            group, start = [rule], i
        else:
            out.append(rule)
            continue
        if rule.endswith(")"):
            out.append(" ".join(group))
            group = []
    if group:
        error = UnmatchedParenthesis(
            f"Unmatched parenthesis in acl selector starting at '{group[0]}'."
        )
        error.place = start
        raise error
    return out


def apply_rules(user: User, rules: Iterable[str]) -> None:
    """Apply rules in their order; raises AclError that knows its rule."""
    for i, rule in enumerate(rules):
        try:
            user.apply(rule)
        except AclError as error:
            error.rule, error.place = rule, i
            raise


def has_spaces(text: str) -> bool:
    """Whether a name or pattern has blanks or zero bytes, which no rule may have."""
    return not _NO_SPACES.isdisjoint(text)


def hash_password(password: bytes) -> str:
    """Return the SHA-256 digest under which a password is kept."""
    return hashlib.sha256(password).hexdigest()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
