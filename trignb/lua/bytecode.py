"""Compiled Lua changed so that its calls in tail position keep their frames.

What a script calls is in Redis a function in C, which leaves the caller's frame, and with it the line that an
error names, in place. Ours are functions in Lua, for which a tail call would give the frame up. A call of a
function of the script's own stays a tail call: recursion may go as deep as it likes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["keep_frames"]

# "\033Lua", version 5.1, format 0, little-endian, sizes of int, size_t, instruction and number, numbers as doubles.
_HEADER: Final = b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00"
_OPCODE: Final = 0x3F
_CLOSURE: Final = 36
_CALL: Final = 28
_TAIL_CALL: Final = 29
_MOVE: Final = 0
_GET_UPVALUE: Final = 4
_STRING: Final = 4
# Of the other constants: nil, a boolean, a number.
_SIZES: Final = {0: 0, 1: 1, 3: 8}


def keep_frames(dump: bytes) -> bytes | None:
    """Return the dump with such calls changed; None when there is nothing to change."""
    if not dump.startswith(_HEADER):
        return None
    code = bytearray(dump)
    return bytes(code) if _Patcher(code).run() else None


@dataclass(slots=True)
class _Function:
    """One function of a dump: where its instructions begin, they, and the names of its variables.

    ``locals_`` are (name, first instruction, first one behind its scope).
    """

    start: int
    code: tuple[int, ...]
    locals_: list[tuple[bytes, int, int]]
    upvalues: list[bytes]

    def local(self, register: int, at: int) -> bytes | None:
        """Return the name of the local variable a register holds at an instruction."""
        active = [name for name, first, end in self.locals_ if first <= at < end]
        return active[register] if register < len(active) else None

    def closures(self) -> Iterator[bytes]:
        """Go through the names of local variables that are given a function of the script's."""
        for index, instruction in enumerate(self.code):
            if instruction & _OPCODE == _CLOSURE:
                # Instructions that say what it captures follow, then the variable's scope begins.
                for at in range(index, min(index + 64, len(self.code))):
                    name = self.local(instruction >> 6 & 0xFF, at + 1)
                    if name is not None:
                        yield name
                        break


class _Patcher:
    """Reads the functions of a dump, and changes it."""

    def __init__(self, code: bytearray) -> None:
        self.code = code
        self.at = len(_HEADER)
        self.functions: list[_Function] = []

    def run(self) -> bool:
        """Change the dump; says whether there was anything to change."""
        self._read_function()
        own = {name for function in self.functions for name in function.closures()}
        changed = [self._patch(function, own) for function in self.functions]
        return True in changed

    def _int(self) -> int:
        (value,) = struct.unpack_from("<i", self.code, self.at)
        self.at += 4
        return int(value)

    def _string(self) -> bytes:
        (size,) = struct.unpack_from("<Q", self.code, self.at)
        start, self.at = self.at + 8, self.at + 8 + size
        return bytes(self.code[start : self.at - 1]) if size else b""

    def _read_function(self) -> None:
        self._string()
        # Lines of its definition; numbers of upvalues, parameters; vararg; size of its stack.
        self.at += 8 + 4
        count = self._int()
        start, self.at = self.at, self.at + 4 * count
        code = struct.unpack_from(f"<{count}I", self.code, start)
        self._skip_constants()
        for _ in range(self._int()):
            self._read_function()
        lines = self._int()
        self.at += 4 * lines
        locals_ = [
            (self._string(), self._int(), self._int()) for _ in range(self._int())
        ]
        upvalues = [self._string() for _ in range(self._int())]
        self.functions.append(_Function(start, code, locals_, upvalues))

    def _skip_constants(self) -> None:
        for _ in range(self._int()):
            kind = self.code[self.at]
            self.at += 1
            if kind == _STRING:
                self._string()
            else:
                self.at += _SIZES[kind]

    def _patch(self, function: _Function, own: set[bytes]) -> bool:
        changed = False
        for index, instruction in enumerate(function.code):
            if instruction & _OPCODE == _TAIL_CALL:
                name = _called(function, index, instruction >> 6 & 0xFF)
                if name not in own:
                    patched = instruction & ~_OPCODE | _CALL
                    at = function.start + 4 * index
                    struct.pack_into("<I", self.code, at, patched)
                    changed = True
        return changed


def _called(function: _Function, index: int, register: int) -> bytes | None:
    """Return the name of the variable that a call's function comes from, if it is one."""
    for at in range(index - 1, -1, -1):
        instruction = function.code[at]
        opcode = instruction & _OPCODE
        if instruction >> 6 & 0xFF == register and opcode not in _WITHOUT_RESULT:
            source = instruction >> 23
            if opcode == _MOVE:
                return function.local(source, at)
            if opcode == _GET_UPVALUE and source < len(function.upvalues):
                return function.upvalues[source]
            return None
    return None


# SETGLOBAL, SETUPVAL, SETTABLE, JMP, EQ, LT, LE, TEST, RETURN, SETLIST, CLOSE: their first operand is no result.
_WITHOUT_RESULT: Final = frozenset({7, 8, 9, 22, 23, 24, 25, 26, 30, 34, 35})
