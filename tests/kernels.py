"""A real kernel, spoken to as a front end does."""

from __future__ import annotations

import time
from typing import Any

from trignb.notebook.demo import kernel_manager

# The first answer of a kernel takes seconds on a busy machine.
PATIENCE_S = 30


class Kernel:
    """A kernel and its client.

    Whatever a request brings is read in `finish`; `wait_for` reads ahead.
    """

    def __init__(self) -> None:
        self.manager = kernel_manager(asynchronous=False)
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)
        self.texts: list[str] = []

    # -- cells

    def start(self, code: str) -> str:
        """Send a cell; return the id of the request."""
        self.texts = []
        return str(self.client.execute(code))

    def wait_for(self, request: str, text: str) -> None:
        """Return when a cell that runs has printed a text."""
        while not any(text in shown for shown in self.texts):
            assert self._read(request) != "idle", f"{text!r} was not printed"

    def finish(self, request: str) -> tuple[str, list[str]]:
        """Return a request's status and what it showed."""
        while self._read(request) != "idle":
            pass
        return self.reply(request)["status"], self.texts

    def run(self, code: str) -> tuple[str, list[str]]:
        """Run a cell."""
        return self.finish(self.start(code))

    def interrupt(self, code: str, text: str) -> tuple[list[str], float]:
        """Interrupt a cell when it has printed a text.

        Returns what it showed but for the text, and how long it took, in seconds.
        """
        request = self.start(code)
        self.wait_for(request, text)
        began = time.monotonic()
        self.manager.interrupt_kernel()
        status, texts = self.finish(request)
        waited = time.monotonic() - began
        assert status == "error"
        return [shown for shown in texts if shown != text], waited

    # -- other questions

    def complete(self, code: str, position: int | None = None) -> dict[str, Any]:
        """Return the reply to Tab at a position of a cell, its end by default."""
        request = self.client.complete(code, position)
        return self.reply(str(request))

    def inspect(self, code: str) -> str:
        """Return what Shift-Tab shows at the end of a cell; nothing if nothing is found."""
        reply = self.reply(str(self.client.inspect(code)))
        return str(reply["data"].get("text/plain", ""))

    def reply(self, request: str) -> dict[str, Any]:
        """Return the content of the reply to a request."""
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE_S)
            if reply["parent_header"].get("msg_id") == request:
                content: dict[str, Any] = reply["content"]
                return content

    def _read(self, request: str) -> str:
        """Read one message; return the kernel's state when it tells it."""
        message = self.client.get_iopub_msg(timeout=PATIENCE_S)
        if message["parent_header"].get("msg_id") != request:
            return ""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self.texts.append(content["text"].strip())
        elif kind in ("execute_result", "display_data"):
            self.texts.append(content["data"]["text/plain"])
        elif kind == "error":
            self.texts.append("\n".join(content["traceback"]))
        return str(content["execution_state"]) if kind == "status" else ""

    def close(self) -> None:
        """Stop the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
