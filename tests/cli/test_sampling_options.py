"""The options of a command that say how images are made."""

from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from adagen_rt.cli.support.sampling_options import sampling_options
from adagen_rt.errors import InputError
from adagen_rt.sampling.params import ROWS, SamplingParams

NAMES = [option.name for option in fields(SamplingParams)]


def options_of(*names):
    """A command with sampling options, and a function that runs it and gives its parameters."""
    seen = []

    @click.command()
    @sampling_options(*names)
    def command(params):
        seen.append(params)

    def run(*arguments):
        result = CliRunner().invoke(command, [str(argument) for argument in arguments])
        if result.exception is not None:
            raise result.exception
        return seen.pop()

    return command, run


def test_they_are_the_sampling_parameters_and_two_short_forms():
    command, run = options_of()
    flags = [option.opts[0] for option in command.params]
    expected = [f"--{name.replace('_', '-')}" for name in NAMES]
    assert sorted(flags) == sorted([*expected, "--static", "--tuned"])
    assert run() == SamplingParams()
    numbers = ("--steps", 3, "--fidelity", 0.5, "--refine", 2, "--best-of", 4)
    assert run("--schedule", "tuned", *numbers) == SamplingParams(3, "tuned", 0.5, 2, 4)


def test_what_an_option_means_is_said_in_the_help():
    command, _ = options_of()
    told = {option.name: option.help for option in command.params}
    for name, row in ROWS.items():
        assert told[name] == row.text


def test_a_command_may_have_some_of_them():
    command, run = options_of("steps", "best_of")
    assert [option.opts[0] for option in command.params] == ["--steps", "--best-of"]
    assert run("--steps", "3") == SamplingParams(steps=3)


@pytest.mark.parametrize("schedule", ["static", "tuned"])
def test_short_forms_of_a_schedule(schedule):
    _, run = options_of("schedule")
    assert run(f"--{schedule}") == SamplingParams(schedule=schedule)
    with pytest.raises(InputError, match=f"schedule: got '--{schedule} and --schedule policy'"):
        run(f"--{schedule}", "--schedule", "policy")


def test_two_short_forms_contradict_each_other():
    _, run = options_of("schedule")
    with pytest.raises(InputError, match="schedule: got '--static and --tuned', expected one of"):
        run("--static", "--tuned")
