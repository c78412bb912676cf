"""All users of an engine, the check before each command, and the log of what was refused.

`Permissions.check` becomes ``core.permission`` while some user is restricted; before that nobody asks.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Final

from trignb.engine import spec
from trignb.engine.acl import (
    Access,
    Denial,
    UnmatchedParenthesis,
    User,
    apply_rules,
    merge_selectors,
    open_user,
)
from trignb.engine.keyspecs import key_refs
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = [
    "LogEntry",
    "Permissions",
    "access_of",
    "denial_text",
    "describe_client",
]

# Refusals alike within this time are one entry.
_SAME_ENTRY_NS: Final = 60_000_000_000
# So many of the latest entries are looked at for one alike.
_SEARCHED: Final = 10

_WRITES: Final = frozenset({"insert", "update", "delete"})

# Commands whose arguments are channels: which ones, and whether they are patterns.
_CHANNELS: Final = {
    "publish": (slice(1, 2), False),
    "spublish": (slice(1, 2), False),
    "subscribe": (slice(1, None), False),
    "ssubscribe": (slice(1, None), False),
    "psubscribe": (slice(1, None), True),
}


@dataclass(slots=True)
class LogEntry:
    """One line of ACL LOG."""

    number: int
    count: int
    reason: str
    context: str
    subject: bytes
    username: str
    created_ns: int
    updated_ns: int
    client: bytes


class Permissions:
    """Users by name; ``default`` always exists."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.users: dict[str, User] = {"default": open_user("default")}
        # Refusals by reason, for INFO.
        self.denied: Counter[str] = Counter()
        self.log: deque[LogEntry] = deque()
        self._numbers = count()
        # A deleted user's libraries and background work go on asking.
        self._somebody_left = False
        # Told whether anybody is restricted, whenever users change.
        self.watchers: list[Callable[[bool], None]] = []
        core.config.on_change("requirepass", self._set_password)

    def _set_password(self, password: str) -> None:
        """Follow ``requirepass``: it is the default user's only password."""
        user = self.users["default"]
        if password:
            user.apply("resetpass")
            user.apply(">" + password)
        else:
            user.apply("nopass")

    # -- users

    def set_user(self, name: str, rules: Iterable[str]) -> None:
        """Create or change a user, all rules or none; raises AclError."""
        user = self.users.get(name)
        draft = self.new_user(name) if user is None else user.copy()
        draft.all_channels = self.new_user(name).all_channels
        apply_rules(draft, merge_selectors(rules))
        if user is None:
            self.users[name] = draft
        else:
            user.take(draft)
            self._close_listeners(user)
        self.changed()

    def declare_user(self, name: str, rules: Iterable[str]) -> None:
        """Make a user as a configuration file declares it, from nothing; raises AclError."""
        try:
            merged = merge_selectors(rules)
        except UnmatchedParenthesis as error:
            error.args = ("Wrong format",)
            raise
        first = ["reset"] if name in self.users else []
        apply_rules(self.new_user(name), merged)
        self.set_user(name, [*first, *merged])

    def new_user(self, name: str) -> User:
        """Return a user that may do nothing yet, in no list."""
        default = self.core.config.values["acl-pubsub-default"]
        return User(name, all_channels=default == "allchannels")

    def _close_listeners(self, user: User) -> None:
        """Close clients that listen to what their user may not hear any more."""
        for session in list(self.core.sessions.values()):
            if session.user == user.name and not _may_listen(session, user):
                session.close()

    def delete_user(self, name: str) -> bool:
        """Delete a user and close its clients; tell whether there was one."""
        if self.users.pop(name, None) is None:
            return False
        self._somebody_left = True
        for session in list(self.core.sessions.values()):
            if session.user == name:
                session.close()
        self.changed()
        return True

    def replace_users(self, users: dict[str, User], *, hang_up: bool = False) -> None:
        """Take all users from elsewhere; a missing default stays open.

        Clients whose user is gone are closed, with `hang_up` those of every user but the default
        one, as Redis 7.2 does for ACL LOAD.
        """
        users.setdefault("default", open_user("default"))
        gone = self.users.keys() - users.keys()
        self.users = users
        self._somebody_left = self._somebody_left or bool(gone)
        for session in list(self.core.sessions.values()):
            if session.user in gone or (hang_up and session.user != "default"):
                session.close()
        self.changed()

    def declarations(self) -> list[str]:
        """Return the users as lines of a configuration file; none where an ACL file has them."""
        if self.core.config.values["aclfile"]:
            return []
        return [self.users[name].describe() for name in sorted(self.users)]

    def changed(self) -> None:
        """Have the check made from now on only if somebody is restricted."""
        restricted = self._somebody_left or not all(
            user.unrestricted for user in self.users.values()
        )
        self.core.permission = self.check if restricted else None
        self.core.rearm_sessions()
        for watcher in self.watchers:
            watcher(restricted)

    def is_open(self) -> bool:
        """Whether a new client is the default user without being asked."""
        user = self.users["default"]
        return user.enabled and user.nopass

    def authenticate(self, session: Session, name: str, password: bytes) -> None:
        """Make a session a user's, or raise WRONGPASS."""
        user = self.users.get(name)
        if user is None or not user.accepts(password):
            # AUTH or HELLO, as it was spelled.
            argv = self.core.argv or [b"AUTH"]
            session.last_command = self.core.table.find(argv[0])
            self.note(session, "auth", argv[0], name)
            raise ResponseError(
                "WRONGPASS invalid username-password pair or user is disabled."
            )

    # -- checking

    def check(self, session: Session, command: Command, args: list[bytes]) -> None:
        """Raise NOPERM unless the session's user may run this call."""
        try:
            self.deny(session.user, command, args)
        except Denial as denial:
            self.note_denial(session, command, denial)
            text = _noperm(session.user, command, denial)
            raise ResponseError(f"NOPERM {text}") from None

    def check_in_script(
        self, session: Session, command: Command, args: list[bytes]
    ) -> None:
        """Raise the error of a script's call unless its caller may run it."""
        try:
            self.deny(session.user, command, args)
        except Denial as denial:
            self.note_denial(session, command, denial)
            text = _noperm(session.user, command, denial)
            raise ResponseError(f"ERR ACL failure in script: {text}") from None

    def allows(self, session: Session, command: Command, args: list[bytes]) -> bool:
        """Whether a session's user might run this call; nothing is logged."""
        try:
            self.deny(session.user, command, args)
        except (Denial, ResponseError):
            return False
        return True

    def deny(self, name: str, command: Command, args: list[bytes]) -> None:
        """Raise Denial unless a user may run this call."""
        user = self.users.get(name)
        if user is None:
            raise ResponseError("User does not exists or disabled")
        if user.unrestricted or command.flags & spec.NO_AUTH:
            return
        user.check(command.name, args, access_of(command, args))

    def may_read_all_keys(self, session: Session, args: list[bytes]) -> bool:
        """Whether a session's user may read every key with this call.

        For commands whose arguments do not tell all the keys they read.
        """
        user, command = self.users.get(session.user), self.core.table.find(args[0])
        if session.is_primary or command is None:
            return True
        return user is not None and (
            user.unrestricted
            or user.reads_all_keys(command.name, args, access_of(command, args))
        )

    def user_exists(self, name: str) -> bool:
        """Whether a user is there and enabled."""
        user = self.users.get(name)
        return user is not None and user.enabled

    def key_denial(self, name: str, key: bytes) -> str | None:
        """Return why a user may not use a key in every way, None when it may."""
        if not self.user_exists(name):
            return "User does not exists or disabled"
        user = self.users[name]
        selectors = (user.root, *user.selectors)
        if any(s.all_keys or s.allows_key(key, True, True) for s in selectors):
            return None
        return "User does not have permissions on key"

    # -- the log

    def note_denial(self, session: Session, command: Command, denial: Denial) -> None:
        """Note that a session's user may not run a call."""
        is_command = denial.reason == "command"
        subject = command.name.encode() if is_command else denial.object
        self.note(session, denial.reason, subject, session.user)

    def note(self, session: Session, reason: str, subject: bytes, user: str) -> None:
        """Note a refusal, or count it where the last minute had the same one."""
        core = self.core
        self.denied[reason] += 1
        now = core.clock.read()
        context = _context(core, session)
        for entry in islice(self.log, _SEARCHED):
            if (entry.reason, entry.context, entry.subject, entry.username) == (
                reason,
                context,
                subject,
                user,
            ) and now - entry.updated_ns < _SAME_ENTRY_NS:
                entry.count += 1
                entry.updated_ns = now
                entry.client = describe_client(session)
                self.log.remove(entry)
                self.log.appendleft(entry)
                return
        client = describe_client(session)
        number = next(self._numbers)
        self.log.appendleft(
            LogEntry(number, 1, reason, context, subject, user, now, now, client)
        )
        while len(self.log) > core.config.values["acllog-max-len"]:
            self.log.pop()


def _may_listen(session: Session, user: User) -> bool:
    """Whether a user may hear all that a session listens to."""
    return all(
        user.allows_channel(name, literal=names is session.patterns)
        for names in (session.channels, session.patterns, session.shard_channels)
        for name in names
    )


def describe_client(session: Session) -> bytes:
    """Return a client's line of CLIENT LIST, for logs."""
    from trignb.engine.commands.clients import describe

    return describe(session, None)


def _context(core: Core, session: Session) -> str:
    if core.frame.origin == "script":
        return "lua"
    if core.frame.origin in ("function", "trigger"):
        return "module"
    return "multi" if session.queue is not None else "toplevel"


def access_of(command: Command, args: list[bytes]) -> Access:
    """Return the keys and channels a call touches."""
    access = Access()
    for key, flags in key_refs(command, args):
        access.keys.append((key, "access" in flags, not _WRITES.isdisjoint(flags)))
    where = _CHANNELS.get(command.name)
    if where is not None:
        access.channels = [(channel, where[1]) for channel in args[where[0]]]
    return access


def _noperm(user: str, command: Command, denial: Denial) -> str:
    if denial.reason == "command":
        return f"User {user} has no permissions to run the '{command.name}' command"
    return f"No permissions to access a {denial.reason}"


def denial_text(user: str, command: Command, denial: Denial) -> bytes:
    """Return what ACL DRYRUN answers to a call that is not allowed."""
    name = user.encode("utf-8", "surrogateescape")
    if denial.reason == "command":
        shown = command.name.encode()
        return b"User %b has no permissions to run the '%b' command" % (name, shown)
    return b"User %b has no permissions to access the '%b' %b" % (
        name,
        denial.object,
        denial.reason.encode(),
    )


def describe_entry(entry: LogEntry, now_ns: int) -> dict[bytes, Any]:
    """Return an entry as ACL LOG shows it."""
    return {
        b"count": entry.count,
        b"reason": entry.reason.encode(),
        b"context": entry.context.encode(),
        b"object": entry.subject,
        b"username": entry.username.encode("utf-8", "surrogateescape"),
        b"age-seconds": (now_ns - entry.updated_ns) // 1_000_000 / 1000,
        b"client-info": entry.client,
        b"entry-id": entry.number,
        b"timestamp-created": entry.created_ns // 1_000_000,
        b"timestamp-last-updated": entry.updated_ns // 1_000_000,
    }
