"""Whole generations through the real cuda-python, over a stand-in for the driver's library."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cuda.bindings.driver", reason="cuda-python is not installed")

from driver.stub_library import SOURCE

SCRIPT = Path(__file__).with_name("generate_on_stub.py")
COMPILER = shutil.which("cc")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stub")
    (folder / "stub.c").write_text(SOURCE)
    path = folder / "libcuda.so.1"
    flags = ["-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-o", path, folder / "stub.c"]
    subprocess.run([COMPILER, *flags], check=True)
    return path


@pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="needs Linux and a C compiler as cc"
)
@pytest.mark.parametrize("engine", ["maskgit", "dit", "sit", "var"])
def test_an_engine_generates_what_it_does_on_the_cpu(library, engine, tmp_path):
    command = [sys.executable, SCRIPT, library, f"fashion-{engine}", tmp_path]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.pop("difference") <= 1
    # Two batches, one wait each; all memory and all graphs are given back.
    assert report == {"waits": 2, "memory": 0, "graphs": 0, "faults": []}
