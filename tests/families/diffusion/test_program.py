"""Device programs of every solver against the step rule."""

from functools import partial

import pytest

pytest.importorskip("torch")

import numpy as np
from program.host import HostGraphs

from adagen_rt.cuda.host import HostDriver
from adagen_rt.errors import InputError
from adagen_rt.families.diffusion.rule import DiffusionRule
from adagen_rt.families.diffusion.solvers import SOLVERS
from adagen_rt.pipeline.stepwise import Generator
from adagen_rt.program import Runner
from adagen_rt.program.builder import Setting

LABELS, SEEDS = [3, 0, 9], [5, 2**63 - 1, 7]


@pytest.fixture(scope="module", params=["dit", "sit"])
def engine(request, exported):
    return exported(request.param)


def make_program(engine, driver, solver, steps):
    # The module and the package program import each other; the package has to be first.
    from adagen_rt.families.diffusion.program import diffusion_program

    graphs = HostGraphs(engine, driver)
    setting = Setting(engine.manifest, graphs, driver, 1, len(LABELS), steps, ("policy",))
    return diffusion_program(setting, engine.manifest.family, SOLVERS[solver])


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_program_generates_what_the_rule_does(engine, solver, monkeypatch):
    rule = partial(DiffusionRule, solver=SOLVERS[solver])
    monkeypatch.setattr("adagen_rt.families.DiffusionRule", rule)
    expected = Generator(engine).generate(LABELS, SEEDS)
    driver = HostDriver()
    program = make_program(engine, driver, solver, engine.manifest.schedule.steps)
    outcome = Runner(program, driver, 1, "whole").run(np.array(LABELS), np.array(SEEDS))
    for place, values in enumerate(expected.schedule.values()):
        np.testing.assert_allclose(outcome.trace[:, place], values, rtol=1e-4, atol=1e-6)
    assert not outcome.failed.any()
    assert np.abs(outcome.images.astype(int) - expected.images).max() <= 1


def test_solvers_differ(engine, monkeypatch):
    images = []
    for solver in SOLVERS.values():
        monkeypatch.setattr(
            "adagen_rt.families.DiffusionRule", partial(DiffusionRule, solver=solver)
        )
        images.append(Generator(engine).generate(LABELS, SEEDS).images)
    assert not np.array_equal(*images)


def test_steps_must_be_whole_solver_steps(engine):
    with pytest.raises(InputError, match="steps: got 3, expected a multiple of 2"):
        make_program(engine, HostDriver(), "dpmpp_2s", 3)
