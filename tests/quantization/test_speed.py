import time

from adagen_rt.quantization.speed import TURNS, times_as_fast


class Slow:
    def __init__(self, seconds):
        self.seconds, self.seen = seconds, []

    def run(self, inputs):
        self.seen.append(inputs)
        time.sleep(self.seconds)
        return {}


def test_the_faster_one_is_more_times_as_fast():
    fast, slow = Slow(0.001), Slow(0.006)
    assert times_as_fast(fast, slow, [{}]) > 1 > times_as_fast(slow, fast, [{}])


def test_both_meet_every_probe_in_every_turn():
    one, other = Slow(0), Slow(0)
    probes = [{"x": 1}, {"x": 2}]
    times_as_fast(one, other, probes)
    assert one.seen == other.seen == probes * (TURNS + 1)
