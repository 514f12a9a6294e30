"""Memory of a large batch."""

import sys

import pytest
from process import run_python

CODE = """
from pathlib import Path
import adagen_rt

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 / 1024

def generate(count):
    pipeline.generate([0] * count, range(count), batch_size=count)
    return resident()

pipeline = adagen_rt.load("{engine}", threads=1)
generate(1)
print(*(generate(count) for count in (1, 64, 1)))
"""


def measure(engine: str) -> tuple[float, float, float]:
    """Return the megabytes before, after and again after a batch of 64."""
    done = run_python(CODE.replace("{engine}", engine))
    assert done.returncode == 0, done.stderr
    before, during, after = map(float, done.stdout.split())
    return before, during, after


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_batch_leaves_little():
    before, during, after = measure("fashion-var")
    assert during - before > 100  # MB; else this would show nothing
    assert after - before < 0.4 * (during - before)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_graph_whose_rows_are_parted_takes_little():
    before, during, _ = measure("fashion-dit")
    assert during - before < 60  # 286 with all rows at once
