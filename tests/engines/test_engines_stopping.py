"""Being asked to stop by a signal's handler, at whatever moment it comes."""

from __future__ import annotations

import subprocess
import sys
import time
from threading import Timer

import pytest

from breakeven.wiring.stopping import Stop

AT_EVERY_STEP = """
import sys
from breakeven.wiring.stopping import Stop

stop = Stop()

def trace(frame, event, _):
    frame.f_trace_opcodes = True
    stop.set()
    return trace

sys.settrace(trace)
assert stop.wait(0.01)
assert stop.wait(0.01)
sys.settrace(None)
assert stop.is_set()
"""

BY_A_SIGNAL = """
import signal
from breakeven.wiring.stopping import Stop

stop = Stop()
signal.signal(signal.SIGALRM, lambda *_: stop.set())
signal.setitimer(signal.ITIMER_REAL, 0.1)
assert stop.wait(600)
"""


@pytest.mark.parametrize("code", [AT_EVERY_STEP, BY_A_SIGNAL], ids=["at every step of a wait", "by a signal"])
def test_a_handler_may_come_in_the_midst_of_a_wait_and_ends_it(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_wait_without_a_word_lasts_as_long_as_it_was_told() -> None:
    stop, began_s = Stop(), time.monotonic()
    assert not stop.wait(0.05)
    assert time.monotonic() - began_s >= 0.05
    assert not stop.is_set()


def test_another_thread_may_ask_and_it_stays_asked() -> None:
    stop = Stop()
    Timer(0.05, stop.set).start()
    assert stop.wait(30)
    assert [stop.wait(0), stop.wait(30), stop.is_set()] == [True] * 3
