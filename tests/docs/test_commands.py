"""The commands of the documentation are ones that there are, with options that they take."""

import re
import shlex
from pathlib import Path

import click
import pytest

from adagen_rt.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks").rglob("*.md"))]


def commands():
    """Every line of a page's code that calls the command, and the page."""
    call = r"^    (?! *->).*?((?:adagen-rt|-m adagen_rt) [a-z].*)$"
    for page in PAGES:
        text = page.read_text("utf-8").replace("\\\n", " ")
        for line in re.findall(call, text, re.M):
            yield pytest.param(line, id=f"{page.stem}: {' '.join(line.split())[:60]}")


def understood(arguments):
    """Parse arguments as far as names of commands and options go."""
    command = main
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        command = command.get_command(click.Context(command), name)
        assert command is not None, f"there is no command {name}"
    context = click.Context(command)
    return command.make_parser(context).parse_args(arguments)


@pytest.mark.parametrize("line", list(commands()))
def test_it_is_understood(line):
    if re.search(r" (train|export|evaluate) ", line):
        pytest.importorskip("torch")
    words = shlex.split(line, comments=True)
    arguments = words[words.index("adagen-rt" if "adagen-rt" in words else "adagen_rt") + 1 :]
    understood([word for word in arguments if word != "..."])


def test_what_is_not_there_is_found():
    with pytest.raises(click.NoSuchOption):
        understood(["generate", "--colour", "red"])


def test_there_are_some():
    assert len(list(commands())) >= 25
