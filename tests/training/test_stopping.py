"""The first signal lets a loop finish its step; what it means afterwards is the caller's."""

import signal
import threading

import pytest

from adagen_rt.training.stopping import stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_comes_after_the_work_is_saved(monkeypatch, number):
    came, saved = [], []
    earlier = signal.signal(number, lambda *_: came.append(len(saved)))
    try:
        with stopping() as stop:
            signal.raise_signal(number)
            assert stop
            assert not came
            saved.append("checkpoint")
        assert came == [1]
    finally:
        signal.signal(number, earlier)


def test_a_second_signal_ends_the_block_at_once():
    def block():
        with stopping():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("still running")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


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
