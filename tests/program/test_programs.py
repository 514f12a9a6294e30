"""Device programs on the host's stand-in generate what ``StepwisePipeline`` generates."""

from dataclasses import replace

import pytest

pytest.importorskip("torch")

import numpy as np
from tiny_recipes import FAMILIES

from adagen_rt.cuda.host import HostDriver
from adagen_rt.errors import DeviceError
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.program import Runner, build_program
from adagen_rt.program.setting import Setting
from program.host import HostGraphs

LABELS, SEEDS = [3, 0, 9], [5, 2**63 - 1, 7]


@pytest.fixture(scope="module", params=FAMILIES)
def engine(request, exported):
    return exported(request.param)


def make_runner(engine, driver, *, policies=("policy",), capture=True):
    manifest = engine.manifest
    graphs = HostGraphs(engine, driver)
    steps = manifest.schedule.steps
    setting = Setting(manifest, graphs, driver, 1, len(LABELS), steps, policies)
    return Runner(build_program(setting), driver, 1, capture=capture)


def run(runner, labels=LABELS, seeds=SEEDS):
    return runner.run({"labels": np.array(labels)}, np.array(seeds))


def expected(engine, schedule="policy"):
    return StepwisePipeline(engine).generate(LABELS, SEEDS, schedule=schedule)


def assert_alike(outcome, result):
    trace = dict(zip(result.schedule, np.moveaxis(outcome.trace, 1, 0), strict=True))
    for name, values in result.schedule.items():
        np.testing.assert_allclose(trace[name], values, rtol=1e-4, atol=1e-6)
    assert not outcome.failed.any()
    difference = np.abs(outcome.images.astype(int) - result.images)
    assert difference.max() <= 1


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize("schedule", ["policy", "static"])
def test_a_program_generates_what_the_pipeline_does(engine, schedule, capture):
    policies = ("policy",) if schedule == "policy" else ()
    runner = make_runner(engine, HostDriver(), policies=policies, capture=capture)
    assert_alike(run(runner), expected(engine, schedule))


@pytest.mark.parametrize("schedule", ["policy", "static"])
def test_a_policy_without_residual_leaves_the_static_schedule_alone(engine, schedule):
    spec = engine.manifest.schedule.model_copy(update={"residual": False})
    other = replace(engine, manifest=engine.manifest.with_schedule(spec))
    result = expected(other, schedule)
    policies = ("policy",) if schedule == "policy" else ()
    assert_alike(run(make_runner(other, HostDriver(), policies=policies)), result)
    same = [
        np.array_equal(values, result.schedule[name], equal_nan=True)
        for name, values in expected(engine, schedule).schedule.items()
    ]
    assert all(same) if schedule == "static" else not any(same)


def test_a_second_request_is_not_touched_by_the_first(engine):
    runner = make_runner(engine, HostDriver())
    run(runner, [1, 2, 4], [11, 12, 13])
    assert_alike(run(runner), expected(engine))


def test_the_host_waits_once(engine):
    driver = HostDriver()
    runner = make_runner(engine, driver)
    driver.calls.clear()
    run(runner)
    assert driver.calls == ["activate", "upload", "replay", *["download"] * 3, "synchronize"]


@pytest.mark.parametrize(
    "call",
    [
        lambda driver: driver.allocate(4),
        lambda driver: driver.free(0),
        lambda driver: driver.synchronize(1),
        lambda driver: driver.upload(0, np.zeros(1), 1),
        lambda driver: driver.download(np.zeros(1), 0, 1),
    ],
    ids=["allocate", "free", "synchronize", "upload", "download"],
)
def test_a_capture_refuses(call):
    driver = HostDriver()
    driver.begin_capture(1)
    with pytest.raises(DeviceError, match="during a capture"):
        call(driver)


def test_null_twins_stand_behind_the_conditional_rows(engine):
    runner = make_runner(engine, HostDriver())
    run(runner)
    null = engine.manifest.condition.count
    np.testing.assert_array_equal(runner._request["labels"], [*LABELS, null, null, null])
    np.testing.assert_array_equal(runner._request["seeds"], SEEDS)
    assert "fidelity" not in runner._request


def test_a_runner_that_is_closed_has_given_everything_back(engine):
    driver = HostDriver()
    runner = make_runner(engine, driver)
    run(runner)
    runner.close()
    assert not driver._memory
    assert not driver._graphs
