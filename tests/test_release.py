"""What is said of a release in several places is the same."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def found(pattern, path):
    return re.search(pattern, (ROOT / path).read_text("utf-8"), re.M)[1]


def test_the_version_is_one():
    assert found(r'^version = "(.+)"$', "pyproject.toml") == found(
        r"^version: (.+)$", "CITATION.cff"
    )


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_containers_have_extras_that_there_are(name):
    declared = set(re.findall(r"^([\w-]+) = \[", (ROOT / "pyproject.toml").read_text(), re.M))
    extras = found(r'"\.\[(.+)\]"', f"docker/{name}.Dockerfile").split(",")
    assert set(extras) <= declared


def test_nobody_else_s_user_runs_a_container():
    for path in (ROOT / "docker").glob("*.Dockerfile"):
        assert int(found(r"^USER (.+)$", path)) > 0


def test_every_python_that_a_wheel_is_made_for_is_allowed():
    lowest = found(r'^requires-python = ">=3\.(\d+)"$', "pyproject.toml")
    built = re.findall(r'"cp3(\d+)-\*"', (ROOT / "pyproject.toml").read_text())
    assert min(map(int, built)) == int(lowest)
    assert f"cp3{max(map(int, built))}" == found(r'^wheel\.py-api = "(.+)"$', "pyproject.toml")
