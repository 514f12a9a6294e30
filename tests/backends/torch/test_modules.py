"""PyTorch modules take part in device programs."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np
from program.host import Submitted
from tiny_recipes import FAMILIES, tiny_environment, tiny_networks, tiny_recipe

from adagen_rt.backends.torch.modules import (
    TorchGraphs,
    cast_networks,
    network_calls,
    tensor_dtypes,
)
from adagen_rt.cuda.host import HostDriver
from adagen_rt.export.description import describe_model
from adagen_rt.program import Runner, build_program
from adagen_rt.program.setting import Setting

LABELS, SEEDS = np.array([3, 0, 9]), np.array([5, 2**63 - 1, 7])


def make_runner(family, dtype):
    recipe = tiny_recipe(family)
    networks = tiny_networks(recipe)
    environment = tiny_environment(recipe, networks)
    policy = environment.multi_scale(networks.policy)
    manifest, generator = environment.manifest, (networks.backbone, networks.decoder)
    cast_networks(manifest, *generator, dtype)
    calls = network_calls(manifest, *generator, policy, dtype)
    driver = HostDriver()
    graphs = Submitted(TorchGraphs(manifest, calls, dtype, "cpu"), driver)
    steps = recipe.schedule.steps
    manifest = manifest.with_graphs(calls)
    setting = Setting(manifest, graphs, driver, 1, len(LABELS), steps, ("policy",))
    return Runner(build_program(setting), driver, 1), environment, policy


def generate(environment, policy):
    def ask(features, call):
        with torch.no_grad():
            return policy(*features.values(), call)

    loop = environment.loop(ask)
    index, labels, seeds = (torch.from_numpy(a) for a in (np.arange(3), LABELS, SEEDS))
    state, decisions = loop.start(index, {"labels": labels}, seeds)
    for _ in range(loop.rule.steps):
        state, decision = loop.step(state)
        decisions.append(decision)
    images = environment.decode(loop.rule.latents(state)) * 255
    chosen = [torch.stack(list(d.actions.values())).numpy() for d in decisions]
    return images.movedim(1, -1).numpy(), np.stack(chosen)


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_is_what_the_trainer_generates(family):
    runner, environment, policy = make_runner(family, torch.float32)
    outcome = runner.run({"labels": LABELS}, SEEDS)
    images, chosen = generate(environment, policy)
    np.testing.assert_allclose(outcome.trace, chosen, rtol=1e-4, atol=1e-6)
    assert np.abs(outcome.images - images).max() < 1.01


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_generates(family, dtype):
    outcome = make_runner(family, dtype)[0].run({"labels": LABELS}, SEEDS)
    assert not outcome.failed.any()
    assert np.isfinite(outcome.trace).all()
    assert outcome.images.std() > 0


#: What has the networks' dtype; all else is float32, or whole numbers.
TYPED = {
    "maskgit": "logits image",
    "var": "logits image cache new_cache modulation head_modulation start",
    "dit": "prediction image",
    "sit": "prediction image",
}
INTEGERS = {
    "maskgit": "tokens labels step",
    "var": "tokens labels positions next_positions phi step",
    "dit": "labels step",
    "sit": "labels step",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_features_and_what_keeps_float32_are_float32(family):
    dtypes = tensor_dtypes(describe_model(tiny_recipe(family)), torch.bfloat16)
    assert {n for n, dtype in dtypes.items() if dtype == "bfloat16"} == set(TYPED[family].split())
    integers = set(INTEGERS[family].split())
    assert {n for n, dtype in dtypes.items() if dtype == "int64"} == integers
