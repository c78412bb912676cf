"""A host that runs a handful of commands, and a library on V8 to go with it."""

from __future__ import annotations

import threading
from typing import Any

from trignb.clock import Clock
from trignb.errors import ResponseError
from trignb.js.runtime import Job, Registration, RuntimeLimits
from trignb.js.v8 import LibraryRuntime
from trignb.reply import OK

PROLOGUE = "#!js api_version=1.0 name=lib\n"
TIMEOUT_MS = 5000


class Section:
    def __init__(self, origin: Any = "user", block_allowed: bool = False) -> None:
        self.origin = origin
        self.block_allowed = block_allowed


class FakeHost:
    """Commands are methods called ``do_<name>``; tests add their own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.data: dict[bytes, Any] = {}
        self.replies: dict[bytes, Any] = {}
        self.calls: list[tuple[Any, list[bytes]]] = []
        self.logs: list[str] = []
        self.lost: list[str] = []
        self.jobs: list[Job] = []
        self.blocks: list[Any] = []
        self.refuse_block: str | None = None
        self.block_ms = TIMEOUT_MS
        self.remote_ms = 500
        self.waiting: list[Any] = []
        self.clock = Clock()
        self.chance = b"0123456789abcdef"
        self.commands = {
            name[3:].encode(): getattr(self, name)
            for name in dir(self)
            if name.startswith("do_")
        }

    def chance_state(self) -> bytes:
        return self.chance

    def acquire(self) -> None:
        self.lock.acquire()

    def release(self) -> None:
        self.lock.release()

    def execute(self, section: Any, argv: list[bytes]) -> Any:
        self.calls.append((section, argv))
        command = self.commands.get(argv[0])
        if command is None:
            raise ResponseError(f"ERR unknown command '{argv[0].decode()}'")
        return command(*argv[1:])

    def execute_async(self, section: Any, argv: list[bytes], done: Any) -> None:
        if argv[0] == b"wait":
            self.waiting.append(done)
        else:
            done(self.execute(section, argv))

    def enter_block(self, origin: Any) -> Section:
        if self.refuse_block is not None:
            raise ResponseError(self.refuse_block)
        self.blocks.append(origin)
        return Section(("block", origin), block_allowed=True)

    def leave_block(self, section: Any) -> None:
        self.blocks.append(section.origin)

    def block_timeout_ms(self) -> int:
        return self.block_ms

    def remote_timeout_ms(self) -> int:
        return self.remote_ms

    def cluster_origin(self, origin: Any) -> Any:
        return ("cluster", origin)

    def log(self, text: str) -> None:
        self.logs.append(text)

    def job_done(self, job: Job) -> None:
        self.jobs.append(job)

    def ran_out_of_memory(self) -> None:
        self.lost.append("memory")

    def isolate_lost(self, reason: str) -> None:
        self.lost.append(reason)

    def do_incr(self, key: bytes) -> int:
        self.data[key] = self.data.get(key, 0) + 1
        return self.data[key]

    def do_set(self, key: bytes, value: bytes) -> Any:
        self.data[key] = value
        return OK

    def do_get(self, key: bytes) -> Any:
        return self.data.get(key)

    def do_echo(self, *args: bytes) -> Any:
        return list(args)

    def do_reply(self, name: bytes) -> Any:
        return self.replies[name]

    def do_fail(self, text: bytes = b"WRONGTYPE Operation against a key") -> Any:
        raise ResponseError(text.decode())


class Library:
    """A loaded library, called by the names it registered."""

    def __init__(self, host: FakeHost, code: str, **options: Any) -> None:
        self.host = host
        limits = RuntimeLimits(**options.pop("limits", {}))
        self.runtime = LibraryRuntime(host, "lib", PROLOGUE + code, limits, **options)
        self.section = Section()
        self.timeout_ms = TIMEOUT_MS
        with host.lock:
            self.registrations = self.runtime.load(TIMEOUT_MS)
        self.by_name = {each.name: each for each in self.registrations}

    def __getitem__(self, name: str) -> Registration:
        return self.by_name[name]

    def call(self, name: str, *args: bytes, raw: bool = False) -> Any:
        with self.host.lock:
            return self.runtime.call(
                self[name].callback, self.section, args, self.timeout_ms, raw
            )

    def start(self, name: str, *args: bytes, origin: Any = "user") -> Job:
        with self.host.lock:
            return self.runtime.start(self[name].callback, origin, args)

    def run(self, name: str, *args: bytes) -> Any:
        """Start it in the background and wait."""
        return self.start(name, *args).result(10)

    def trigger(self, name: str, event: str, key: bytes) -> Any:
        """Do with one event what the engine does."""
        runtime, each = self.runtime, self[name]
        with self.host.lock:
            data = None
            if each.on_fired is not None:
                data = runtime.fire(
                    each.on_fired, self.section, event, key, self.timeout_ms
                )
            if each.is_async:
                return runtime.start_trigger(each.callback, "user", event, key, data)
            return runtime.run_trigger(
                each.callback, self.section, event, key, self.timeout_ms, data
            )
