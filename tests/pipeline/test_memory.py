"""Memory of a large batch."""

import sys

import pytest
from process import run_python

CODE = """
from pathlib import Path
import adagen_rt
from adagen_rt.backends.onnxruntime import session

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 / 1024

def generate(count):
    pipeline.generate([0] * count, range(count), batch_size=count)
    return resident()

if {whole}:
    session.is_small = lambda model: False
pipeline = adagen_rt.load("fashion-dit", threads=1)
generate(1)
print(*(generate(count) for count in (1, 64, 1)))
"""


def measure(whole: bool) -> tuple[float, float, float]:
    """Return the megabytes before, after and again after a batch of 64.

    Args:
        whole: Whether graphs compute all rows at once, as large ones do.
    """
    done = run_python(CODE.replace("{whole}", str(whole)))
    assert done.returncode == 0, done.stderr
    before, during, after = map(float, done.stdout.split())
    return before, during, after


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_batch_leaves_little():
    before, during, after = measure(whole=True)
    assert during - before > 100  # MB; else this would show nothing
    assert after - before < 0.4 * (during - before)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_graph_whose_rows_are_parted_takes_little():
    before, during, _ = measure(whole=False)
    assert during - before < 60  # 286 with all rows at once
