"""Commands of the group."""

from __future__ import annotations

from trignb.engine.spec import CommandFamily

family = CommandFamily("keys")
command = family.command
