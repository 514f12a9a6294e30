"""Device programs of engines that take prompts, under every kind of guidance."""

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from adagen_rt.cuda.host import HostDriver
from adagen_rt.engine.folder import open_engine
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.program import Runner, build_program
from adagen_rt.program.setting import Setting
from adagen_rt.sampling.request import make_request
from program.host import HostGraphs

GUIDANCE = ("classifier-free", "embedded", "none")
PROMPTS, SEEDS = ["a red cat", "", "a dog runs on the sky"], [5, 2**63 - 1, 7]


@pytest.mark.parametrize("policies", [("policy",), ("policy", "fidelity_policy"), ()])
@pytest.mark.parametrize("guidance", GUIDANCE)
def test_a_program_generates_what_the_pipeline_does(prompt_engine, guidance, policies):
    engine = open_engine(prompt_engine(guidance, judges=True))
    manifest, driver = engine.manifest, HostDriver()
    shares = [0.0, 0.5, 1.0] if len(policies) == 2 else 0.0
    options = {"schedule": "policy" if policies else "static", "fidelity": shares}
    request = make_request(manifest, PROMPTS, SEEDS, options=options)
    setting = Setting(
        manifest, HostGraphs(engine, driver), driver, 1, len(SEEDS), request.steps, policies
    )
    outcome = Runner(build_program(setting), driver, 1).run(
        request.rows, request.seeds, request.fidelity
    )
    result = StepwisePipeline(engine).run(request)
    assert not outcome.failed.any()
    trace = dict(zip(result.schedule, np.moveaxis(outcome.trace, 1, 0), strict=True))
    for name, values in result.schedule.items():
        np.testing.assert_allclose(trace[name], values, rtol=1e-4, atol=1e-6)
    assert np.abs(outcome.images.astype(int) - result.images).max() <= 1
