"""The first signal lets a loop finish its step; what it means afterwards is the caller's."""

import signal
import subprocess
import sys
import threading

import pytest

from adagen_rt.training.stopping import stopping

#: Ctrl-C for a process of its own: pytest and its workers have theirs.
SCRIPT = """
import signal
from adagen_rt.training.stopping import stopping

signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored in the background
saved = []
try:
    with stopping() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop
        saved.append("checkpoint")
except KeyboardInterrupt:
    assert saved
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("interrupted")
"""


@pytest.fixture
def terminated():
    """What SIGTERM does outside of the block."""
    came = []

    def note(number, frame):
        came.append(number)
        raise InterruptedError

    earlier = signal.signal(signal.SIGTERM, note)
    yield came
    assert signal.getsignal(signal.SIGTERM) is note
    signal.signal(signal.SIGTERM, earlier)


def test_a_signal_comes_after_the_work_is_saved(terminated):
    saved = []

    def block():
        with stopping() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop
            assert not terminated
            saved.append("checkpoint")

    with pytest.raises(InterruptedError):
        block()
    assert saved
    assert terminated == [signal.SIGTERM]


def test_ctrl_c_too():
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "interrupted\n", done.stderr
    assert "stopping after this step" in done.stderr


def test_a_second_signal_ends_the_block_at_once(terminated):
    def block():
        with stopping():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("still running")

    with pytest.raises(InterruptedError):
        block()
    assert terminated == [signal.SIGTERM]


def test_another_thread_leaves_the_signals_alone():
    seen = []

    def work():
        with stopping() as stop:
            seen.append(bool(stop))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
    assert signal.getsignal(signal.SIGINT) is before
