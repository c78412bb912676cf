from __future__ import annotations

import signal
import threading

import pytest

from trignb.engine.interrupts import undisturbed


def strike() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_strikes_after_the_block() -> None:
    done = []

    @undisturbed()
    def work() -> None:
        strike()
        strike()
        done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
    # From here on as before.
    with pytest.raises(KeyboardInterrupt):
        strike()


def test_an_error_of_the_block_is_not_lost() -> None:
    @undisturbed()
    def fail() -> None:
        strike()
        raise ValueError("why")

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert str(caught.value.__context__) == "why"


def test_without_an_interrupt_nothing_happens() -> None:
    with undisturbed():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_have_nothing_to_hold_back() -> None:
    done = []

    @undisturbed()
    def work() -> None:
        done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]
