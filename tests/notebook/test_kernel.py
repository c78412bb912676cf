"""A real kernel, spoken to as a front end does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from trignb.notebook.demo import kernel_manager

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first answer of a kernel takes seconds on a busy machine.
PATIENCE_S = 60


class Kernel:
    """A kernel and its client."""

    def __init__(self) -> None:
        self.manager = kernel_manager(asynchronous=False)
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)

    def start(self, code: str) -> str:
        """Send a cell; return the id of the request."""
        return str(self.client.execute(code))

    def wait_until_running(self, request: str) -> None:
        """Return when the kernel has begun with a cell."""
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE_S)
            mine = message["parent_header"].get("msg_id") == request
            if mine and message["msg_type"] == "execute_input":
                return

    def finish(self, request: str) -> tuple[str, list[str]]:
        """Return a request's status and what it showed."""
        texts: list[str] = []
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE_S)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                texts.append(content["text"].strip())
            elif kind in ("execute_result", "display_data"):
                texts.append(content["data"]["text/plain"])
            elif kind == "error":
                texts.append("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE_S)
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"]["status"], texts

    def run(self, code: str) -> tuple[str, list[str]]:
        return self.finish(self.start(code))

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


@pytest.fixture(autouse=True)
def _loaded(kernel: Kernel) -> None:
    assert kernel.run("%load_ext trignb")[0] == "ok"


def test_results_and_errors(kernel: Kernel) -> None:
    assert kernel.run("%redis SET a 1") == ("ok", ["OK"])
    status, texts = kernel.run("%redis HGTALL a")
    assert status == "error"
    (text,) = texts
    assert text.splitlines() == [
        "RedisError: ERR unknown command 'HGTALL', with args beginning with: 'a' ",
        "hint: did you mean HGETALL?",
    ]
    assert kernel.run("%redis GET a") == ("ok", ['"1"'])


def test_transcript_then_error(kernel: Kernel) -> None:
    status, texts = kernel.run("%%redis\nSET a x\nINCR a\nSET b 1")
    assert status == "error"
    assert texts[0] == "redis> SET a x\nOK"
    assert texts[1].startswith("RedisError: ERR value is not an integer")


def test_load_twice_keeps_the_data(kernel: Kernel) -> None:
    kernel.run("%redis SET kept 1")
    kernel.run("%load_ext trignb")
    assert kernel.run("%redis GET kept") == ("ok", ['"1"'])
    assert kernel.run("%reload_ext trignb") == ("ok", [])
    assert kernel.run("%redis GET kept") == ("ok", ['"1"'])


def test_unload(kernel: Kernel) -> None:
    kernel.run("%redis SET gone 1")
    assert kernel.run("%unload_ext trignb") == ("ok", [])
    _, texts = kernel.run("%redis GET gone")
    assert "Line magic function `%redis` not found" in texts[0]
    _, texts = kernel.run("%config")
    assert "TrignbMagics" not in texts[0]
    kernel.run("%load_ext trignb")
    assert kernel.run("%redis EXISTS gone") == ("ok", ["(integer) 0"])


def test_unload_stops_the_threads(kernel: Kernel) -> None:
    kernel.run("%%tfunction x\nredis.registerFunction('f', () => 1);")
    kernel.run("%redis SET k v EX 100")
    kernel.run("%unload_ext trignb")
    count = (
        "len([t for t in __import__('threading').enumerate() if 'trignb' in t.name])"
    )
    assert kernel.run(count) == ("ok", ["0"])


def interrupt_when_running(kernel: Kernel, code: str) -> tuple[str, list[str], float]:
    request = kernel.start(code)
    kernel.wait_until_running(request)
    # From the magic to the endless loop it is milliseconds.
    time.sleep(0.5)
    interrupted = time.monotonic()
    kernel.manager.interrupt_kernel()
    status, texts = kernel.finish(request)
    return status, texts, time.monotonic() - interrupted


@pytest.mark.parametrize(
    ("prepare", "run"),
    [
        (
            "redis.registerFunction('f', () => { while (true); });",
            "%redis TFCALL x.f 0",
        ),
        (
            "redis.registerKeySpaceTrigger('t', 'k', () => { while (true); });",
            "%redis SET k1 v",
        ),
    ],
)
def test_interrupt_stops_javascript(kernel: Kernel, prepare: str, run: str) -> None:
    kernel.run("%redis CONFIG SET redisgears_2.lock-redis-timeout 30000")
    assert kernel.run(f"%%tfunction x\n{prepare}\n")[0] == "ok"
    status, texts, waited = interrupt_when_running(kernel, run)
    assert status == "error"
    assert "KeyboardInterrupt" in texts[-1]
    assert waited < 10
    assert kernel.run("%redis SET after 1") == ("ok", ["OK"])
    assert kernel.run("%redis TFUNCTION DELETE x") == ("ok", ["OK"])


def test_interrupt_of_a_cell_of_commands(kernel: Kernel) -> None:
    status, texts, waited = interrupt_when_running(
        kernel, "%%redis --quiet\n1000000000 PING"
    )
    assert status == "error"
    assert "KeyboardInterrupt" in texts[-1]
    assert waited < 10
    assert kernel.run("%redis PING") == ("ok", ["PONG"])
