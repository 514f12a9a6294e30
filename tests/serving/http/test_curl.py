"""The commands of the documentation, by curl itself."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")

PAGE = Path(__file__).parents[3] / "docs" / "serving.md"
COMMANDS = re.findall(r"^    (curl (?:.*\\\n)*.*)$", PAGE.read_text(encoding="utf-8"), re.M)
NAMES = {"127.0.0.1:8000": "127.0.0.1:{}", "fashion-maskgit": "tiny", "sneaker": "circle"}


def test_they_are_found():
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.rpartition("/")[2])
def test_they_are_answered(service, command):
    for name, here in NAMES.items():
        command = command.replace(name, here.format(service.port))
    command = command.replace("\\\n", "")
    words = [*shlex.split(command), "--silent", "--show-error", "--fail", "--max-time", "60"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    data = re.findall(r"^data: (.*)$", done.stdout, re.M) or [done.stdout]
    last = json.loads(data[-1])
    assert "image" in last or last["data"][0]["b64_json"]
    assert len(data) > 1 or "-N" not in words
