"""Memory of a large batch is given back by the next small one."""

import sys

import pytest
from process import run_python

CODE = """
from pathlib import Path
import adagen_rt

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 / 1024

def generate(count):
    pipeline.generate([0] * count, range(count), batch_size=count, steps=4)
    return resident()

pipeline = adagen_rt.load("fashion-dit", threads=1)
generate(1)
print(*(generate(count) for count in (1, 64, 1)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_batch_leaves_little():
    done = run_python(CODE)
    assert done.returncode == 0, done.stderr
    before, during, after = map(float, done.stdout.split())
    assert during - before > 100  # MB; else this would show nothing
    assert after - before < 0.4 * (during - before)
