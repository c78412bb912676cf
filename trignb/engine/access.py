"""When keys were last used and how often: OBJECT IDLETIME and FREQ, and whoever evicts.

Nothing is noted until somebody wants to know: the first OBJECT IDLETIME starts the notes, and so does
a ``maxmemory-policy`` that lives by them. From then on a gate sees every command before it runs and notes
the keys it names; GET and SET themselves know nothing of it. A key not used since counts
as idle since the notes began. Idle times run on a clock of 24 bits of seconds, decay on one of 16 bits of
minutes, as in Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trignb.engine.keyspecs import has_keys, keys_of

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["AccessNotes"]

# Commands that look at a key without using it.
_LOOK_ONLY: Final = frozenset(
    (
        *("exists", "type", "ttl", "pttl", "expiretime", "pexpiretime"),
        *("object|encoding", "object|freq", "object|idletime", "object|refcount"),
        *("debug|object", "memory|usage", "watch", "unwatch"),
    )
)

# Commands whose keys are used, if at all, by the commands they run.
_CALLERS: Final = frozenset(
    (
        *("eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"),
        *("tfcall", "tfcallasync"),
    )
)
_UNNOTED: Final = _LOOK_ONLY | _CALLERS

# Commands that give a key, their last one, a value of another key.
_MAKERS: Final = frozenset({"copy", "rename", "renamenx"})

# LFU counters start here, so that a new key is not the first to go.
_LFU_START: Final = 5
_LFU_MAX: Final = 255
# Seconds and minutes after which the two clocks begin anew.
_SECONDS: Final = 1 << 24
_MINUTES: Final = 1 << 16
# Notes of deleted keys that may pile up before they are thrown away.
_STALE: Final = 1024


class AccessNotes:
    """Last use of every key, in seconds, and its LFU counter while the policy is LFU."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.is_on = False
        self.is_lfu = False
        self._since = 0
        self._users: list[Command] = []
        self._calls_seen = 0
        self._quiet_since: int | None = None
        self._used: list[dict[bytes, int]] = []
        self._counters: list[dict[bytes, int]] = []
        core.config.on_change("maxmemory-policy", self._choose_policy)

    def _choose_policy(self, policy: str) -> None:
        self.is_lfu = policy.endswith("-lfu")
        if self.is_lfu or policy.endswith("-lru"):
            self.start()

    def start(self) -> None:
        """Note accesses from now on."""
        if self.is_on:
            return
        core = self.core
        self.is_on = True
        self._since = self._now()
        if self._quiet_since is not None and self._calls_of_users() == self._calls_seen:
            self._since = self._quiet_since
        self._used = [{} for _ in range(core.config.values["databases"])]
        self._counters = [{} for _ in self._used]
        core.gates.append(self.note)
        core.rearm_sessions()

    def sample(self) -> None:
        """Take note, now and then before notes begin, whether any command used keys.

        A server does so. Thus keys that rest since before the first question are idle
        for longer than since that question.
        """
        if self.is_on:
            return
        calls = self._calls_of_users()
        if calls != self._calls_seen or self._quiet_since is None:
            self._calls_seen = calls
            self._quiet_since = self._now()

    def _calls_of_users(self) -> int:
        if not self._users:
            self._users = [
                command
                for command in self.core.table.by_name.values()
                if command.name not in _LOOK_ONLY and has_keys(command)
            ]
        return sum(command.calls for command in self._users)

    def idle_s(self, db: Database, key: bytes) -> int:
        """Return the seconds since a key was used."""
        self.start()
        used = self._used[db.index].get(key, self._since)
        return (self._now() - used) % _SECONDS

    def frequency(self, db: Database, key: bytes) -> int:
        """Return a key's LFU counter, 0 to 255, as it has decayed by now."""
        self.start()
        counter = self._counters[db.index].get(key, _LFU_START)
        period: int = self.core.config.values["lfu-decay-time"]
        if not period:
            return counter
        used = self._used[db.index].get(key, self._since)
        minutes = (self._now() // 60 - used // 60) % _MINUTES
        return max(counter - minutes // period, 0)

    def set_idle(self, db: Database, key: bytes, idle_s: int) -> None:
        """Say how long a key has been idle (RESTORE … IDLETIME)."""
        self.start()
        self._used[db.index][key] = self._now() - idle_s

    def set_frequency(self, db: Database, key: bytes, counter: int) -> None:
        """Set a key's LFU counter (RESTORE … FREQ)."""
        self.start()
        self._used[db.index][key] = self._now()
        self._counters[db.index][key] = counter

    def renew(self, db: Database, key: bytes) -> None:
        """Take note of a value that has replaced another and inherits nothing from it."""
        if self.is_on:
            self._used[db.index][key] = self._now()
            self._counters[db.index].pop(key, None)

    def note_new(self, db: Database, key: bytes) -> None:
        """Take note of a key that no command named beforehand, as scripts make them."""
        if self.is_on:
            self._used[db.index].setdefault(key, self._now())

    def forget(self, db: Database, key: bytes) -> None:
        """Drop the notes of a key that is gone."""
        if self.is_on:
            self._used[db.index].pop(key, None)
            self._counters[db.index].pop(key, None)

    def swapped(self, one: Database, other: Database) -> None:
        """Take note that two databases have exchanged their contents."""
        if self.is_on:
            for notes in (self._used, self._counters):
                i, j = one.index, other.index
                notes[i], notes[j] = notes[j], notes[i]

    def _now(self) -> int:
        return self.core.clock.read() // 1_000_000_000

    def note(self, session: Session, command: Command, args: list[bytes]) -> None:
        """Take note of the keys of a command that is about to run."""
        name = command.name
        if name in _UNNOTED:
            return
        keys = keys_of(command, args)
        if session.no_touch and name != "touch":
            # A key that comes into being is new, whoever makes it.
            keys = keys[-1:] if name in _MAKERS else []
        for key in keys:
            self._note(session.db, key)

    def _note(self, db: Database, key: bytes) -> None:
        used = self._used[db.index]
        if self.is_lfu:
            self._count(db, key)
        used[key] = self._now()
        if len(used) > _STALE + 2 * len(db.data):
            data, counters = db.data, self._counters[db.index]
            self._used[db.index] = {k: s for k, s in used.items() if k in data}
            self._counters[db.index] = {k: c for k, c in counters.items() if k in data}

    def _count(self, db: Database, key: bytes) -> None:
        """Count a use, the less likely the higher the counter already is."""
        counters = self._counters[db.index]
        if key not in db.data:
            counters[key] = _LFU_START
            return
        counter = self.frequency(db, key)
        factor = self.core.config.values["lfu-log-factor"]
        chance = 1 / (max(counter - _LFU_START, 0) * factor + 1)
        if counter < _LFU_MAX and self.core.chance.access.random() < chance:
            counter += 1
        counters[key] = counter
