"""The vocabulary of the channel: control words, messages and modes, named once.

JavaScript reads the same numbers: `as_javascript` puts them in front of the prelude.
Words of one group share a cache line; those that one side polls and the other rarely
writes have a line of their own.
"""

from __future__ import annotations

from typing import Final

# Words of the control block (int32). The conversation:
STATE: Final = 0  # > 0: a message to JavaScript, < 0: one to Python
LENGTH: Final = 1  # of the payload in bytes, or an integer result
TARGET: Final = 2  # callback to run, or number of arguments of a command
MODE: Final = 3
ITEM: Final = 4  # job, event or slot, by mode
COUNT: Final = 5  # number of flat arguments
ALLOWED: Final = 6  # what isBlockAllowed() answers in this section
ORIGIN: Final = 7
# Who is awake:
PUMP: Final = 16  # 1: JavaScript serves messages, 2: it does so inside block()
JS_SLEEPS: Final = 17
PY_SLEEPS: Final = 18
QUIET: Final = 19  # 1: do not look actively
# Notices from JavaScript outside of the conversation:
NOTICE: Final = 32
NOTICE_ID: Final = 33
NOTICE_LENGTH: Final = 34
# Background work:
JOBS: Final = 48  # length of the queue
TASK: Final = 49  # 1: JavaScript runs inside a task of ours, 0: in a microtask
RUNNING: Final = 50  # job whose first stretch runs now
PROBING: Final = 51  # a promise is about to be asked for: no job may run before
ORPHAN: Final = 52  # 1: the library was deleted
BOUNDED: Final = 53  # 1: what is served within block() can be terminated alone
# Time and chance:
CLOCK: Final = 64  # what JavaScript's clock shows, a mode below
CLOCK_NS: Final = (
    65  # of a time that is written down: nanoseconds beyond its millisecond
)
CLOCK_MS: Final = 33  # and its milliseconds, a float64 (words 66 and 67)
CHANCE: Final = 80  # and three more: what Math.random is about to draw from

# Modes of CLOCK.
SYSTEM_TIME: Final = 0
HELD_TIME: Final = 1  # what is written down
ASK_TIME: Final = 2  # ask by a notice, then it is written down

# Messages to JavaScript.
RUN: Final = 1
REPLY: Final = 2
REPLY_INT: Final = 3
REPLY_OK: Final = 4
REPLY_NULL: Final = 5
REPLY_ERROR: Final = 6
REPLY_LATER: Final = 7
GROW: Final = 8

# Messages to Python.
CALL: Final = -1
CALL_OTHER: Final = -2  # a call with bits, below, in MODE
RESULT: Final = -3
RESULT_NULL: Final = -4
RESULT_INT: Final = -5
PENDING: Final = -6
THROWN: Final = -7
LOG: Final = -8
GROWN: Final = -9
BLOCK_ENDED: Final = -10  # what was served within block() was terminated

# Bits of CALL_OTHER.
RAW: Final = 1
LATER: Final = 2
MANY: Final = 4  # arguments are encoded one by one, there are too many to be flat

# Modes of RUN.
CALL_FLAT: Final = 0
CALL_VALUES: Final = 1
TRIGGER_FLAT: Final = 2
TRIGGER_VALUES: Final = 3
TRIGGER_SLOT: Final = 4
FIRE_FLAT: Final = 5
FIRE_VALUES: Final = 6
RECORD: Final = 7
BLOCK: Final = 8
UNBLOCK: Final = 9
PROBE: Final = 10
INTERNAL: Final = 11

# What INTERNAL does, in TARGET.
NOTHING: Final = 0
BEGIN_LOAD: Final = 1
END_LOAD: Final = 2
ADD_EVENT: Final = 3
LOAD_OUTCOME: Final = 4
LAST_FAILURE: Final = 5

# Kinds of letters.
START: Final = 1
START_TRIGGER: Final = 2
START_SLOT: Final = 3
START_RECORD: Final = 4
SETTLE: Final = 5
DROP_SLOT: Final = 6
TIMER: Final = 7

# Kinds of NOTICE.
JOB_DONE: Final = 0
JOB_FAILED: Final = 1
WANT_BLOCK: Final = 2
LOG_LINE: Final = 3
HAVE_JOBS: Final = 4
WANT_TIMER: Final = 5
WANT_MAIL: Final = 6
WANT_TIME: Final = 7

CONTROL_BYTES: Final = 16384
MAIN_BYTES: Final = 1 << 20
NOTICE_BYTES: Final = 1 << 16
REGION_BYTES: Final = 1 << 29  # no region grows beyond
MAX_FLAT: Final = 3000
# Under this name the prelude shows Python a function for a moment.
BOUNDED_NAME: Final = "trignb:bounded"


def as_javascript() -> str:
    """Return every word as one ``const`` declaration, on one line."""
    return (
        "const "
        + ", ".join(
            f"{name} = {value!r}"
            for name, value in sorted(globals().items())
            if name.isupper() and type(value) in (int, str)
        )
        + ";"
    )
