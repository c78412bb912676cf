"""A few of V8's own functions, by their C++ names: what mini-racer's interface has no word for.

It can terminate tasks but not microtasks, and whatever it terminates is gone to the bottom of its
stack. V8 itself terminates anything, and lets who called a function from C++ catch that.

The names say which arguments a function takes, so one that has changed is missing and not called
wrongly; then `find` returns None and the bridge does without: an isolate that does not stop is given
up, with the library's variables.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Final, NamedTuple

__all__ = ["Boundary", "Native", "find"]

_P: Final = ctypes.c_void_p
_LOCAL: Final = "NS_5LocalI"

# Name: result, arguments. A handle (v8::Local) is a pointer to a slot, wherever it is passed.
_SYMBOLS: Final[dict[str, tuple[str, Any, list[Any]]]] = {
    "current": ("_ZN2v87Isolate13TryGetCurrentEv", _P, []),
    "terminate": ("_ZN2v87Isolate18TerminateExecutionEv", None, [_P]),
    "go_on": ("_ZN2v87Isolate24CancelTerminateExecutionEv", None, [_P]),
    "on_exhaustion": (
        "_ZN2v87Isolate18SetOOMErrorHandlerEPFvPKcRKNS_10OOMDetailsEE",
        *(None, [_P, _P]),
    ),
    "context": ("_ZN2v87Isolate17GetCurrentContextEv", _P, [_P]),
    "text": (
        "_ZN2v86String11NewFromUtf8EPNS_7IsolateEPKcNS_13NewStringTypeEi",
        *(_P, [_P, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]),
    ),
    "compile": (
        (
            f"_ZN2v86Script7CompileE{_LOCAL}NS_7ContextEEENS1_INS_6StringEEE"
            "PNS_12ScriptOriginE"
        ),
        *(_P, [_P, _P, _P]),
    ),
    "run": (f"_ZN2v86Script3RunE{_LOCAL}NS_7ContextEEE", _P, [_P, _P]),
    "keep": (
        "_ZN2v812api_internal18GlobalizeReferenceEPNS_8internal7IsolateEm",
        *(_P, [_P, ctypes.c_size_t]),
    ),
    "call": (
        f"_ZN2v88Function4CallE{_LOCAL}NS_7ContextEEENS1_INS_5ValueEEEiPS5_",
        *(_P, [_P, _P, _P, ctypes.c_int, _P]),
    ),
}


class Native(NamedTuple):
    """V8's functions. But for `terminate`, they are for the isolate's own thread.

    An isolate is its address, as ``current()`` returns it: None outside of one.
    """

    current: Any
    terminate: Any
    go_on: Any
    on_exhaustion: Any
    context: Any
    text: Any
    compile: Any
    run: Any
    keep: Any
    call: Any


@functools.cache
def find(path: str) -> Native | None:
    """Return V8's functions in the library that was loaded from `path`, None if one is missing."""
    library = ctypes.CDLL(path)
    found = {}
    for name, (symbol, result, arguments) in _SYMBOLS.items():
        try:
            function = library[symbol]
        except AttributeError:
            return None
        function.restype, function.argtypes = result, arguments
        found[name] = function
    return Native(**found)


class Boundary:
    """A JavaScript function that is called so that a termination ends it and not its caller.

    Made and used in callbacks from JavaScript, on the isolate's thread: there is a scope for
    handles then.

    Parameters
    ----------
    native : Native
        V8's functions.
    source : str
        An expression for the function; evaluated once.
    """

    def __init__(self, native: Native, source: str) -> None:
        self._native = native
        self._isolate = native.current()
        self._function = self._evaluate(source)
        self._undefined = self._evaluate("undefined")

    def _evaluate(self, source: str) -> int:
        native, isolate = self._native, self._isolate
        context = native.context(isolate)
        text = native.text(isolate, source.encode(), 0, -1)
        local = native.run(native.compile(context, text, None), context)
        kept: int = native.keep(isolate, ctypes.c_size_t.from_address(local).value)
        return kept

    def call(self) -> bool:
        """Call it; False if it was terminated, which goes on when the callback returns."""
        native = self._native
        context = native.context(self._isolate)
        return bool(native.call(self._function, context, self._undefined, 0, None))

    def go_on(self) -> None:
        """Have the termination end here."""
        self._native.go_on(self._isolate)
