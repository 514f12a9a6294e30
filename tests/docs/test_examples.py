"""The examples of the documentation run."""

import re
from pathlib import Path

import pytest
from process import run_python

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/embedding.md")


def examples():
    for page in PAGES:
        path = ROOT / page
        blocks = re.finditer(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)
        for number, block in enumerate(blocks, 1):
            yield pytest.param(block[1], id=f"{path.stem}-{number}")


@pytest.mark.parametrize("code", list(examples()))
def test_it_runs(code, tmp_path):
    done = run_python(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_there_are_some():
    assert len(list(examples())) >= 7
