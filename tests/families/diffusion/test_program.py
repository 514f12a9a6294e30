"""Device programs of every solver against the step rule."""

from dataclasses import replace
from itertools import combinations

import pytest

pytest.importorskip("torch")

import numpy as np
from program.host import HostGraphs

from adagen_rt.cuda.host import HostDriver
from adagen_rt.errors import InputError
from adagen_rt.families.diffusion.solvers import SOLVERS
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.program import Runner, build_program
from adagen_rt.program.setting import Setting

LABELS, SEEDS = [3, 0, 9], [5, 2**63 - 1, 7]


@pytest.fixture(scope="module", params=["dit", "sit"])
def engine(request, exported):
    return exported(request.param)


def under(engine, solver):
    """The engine with another solver in its manifest."""
    family = engine.manifest.family.model_copy(update={"solver": solver})
    return replace(engine, manifest=engine.manifest.model_copy(update={"family": family}))


def make_program(engine, driver, steps):
    graphs = HostGraphs(engine, driver)
    return build_program(
        Setting(engine.manifest, graphs, driver, 1, len(LABELS), steps, ("policy",))
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_program_generates_what_the_rule_does(engine, solver):
    engine = under(engine, solver)
    expected = StepwisePipeline(engine).generate(LABELS, SEEDS)
    driver = HostDriver()
    program = make_program(engine, driver, engine.manifest.schedule.steps)
    outcome = Runner(program, driver, 1).run({"labels": np.array(LABELS)}, np.array(SEEDS))
    for place, values in enumerate(expected.schedule.values()):
        np.testing.assert_allclose(outcome.trace[:, place], values, rtol=1e-4, atol=1e-6)
    assert not outcome.failed.any()
    assert np.abs(outcome.images.astype(int) - expected.images).max() <= 1


def test_solvers_differ(engine):
    images = [
        StepwisePipeline(under(engine, solver)).generate(LABELS, SEEDS).images for solver in SOLVERS
    ]
    assert not any(np.array_equal(*pair) for pair in combinations(images, 2))


def test_one_evaluation_a_step_takes_odd_numbers(engine):
    euler = StepwisePipeline(under(engine, "euler"))
    assert not euler.generate(LABELS, SEEDS, steps=3).failures
    with pytest.raises(InputError, match="steps: got 3, expected an even number"):
        StepwisePipeline(engine).generate(LABELS, SEEDS, steps=3)
