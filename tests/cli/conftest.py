"""Run commands in the test's own process."""

import pytest
from click.testing import CliRunner

from adagen_rt.cli import main


@pytest.fixture
def run():
    """Returns a function from arguments to click's result."""

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def refuse(run):
    """Returns a function that expects one line on stderr and status 2, and returns the line."""

    def invoke(*arguments):
        done = run(*arguments)
        assert done.exit_code == 2, done.output
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    return invoke
