"""Policies as others trained and saved them: without a residual, and on another grid."""

import pytest

torch = pytest.importorskip("torch")

from argparse import Namespace

import numpy as np
from program.host import HostGraphs
from safetensors.torch import save_file
from short_form import slow
from tiny_recipes import tiny_networks, tiny_recipe

from adagen_rt.cuda.host import HostDriver
from adagen_rt.export import export_engine
from adagen_rt.export.sections import PolicySection
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.program import Runner, build_program
from adagen_rt.program.setting import Setting

#: What the last layer answers, whatever it is given.
ANSWER = np.array([-1.0, 0.5, 0.0, 2.0], np.float32)
SAMPLES = ([0, 9], [1, 2])


def adanat_file(actor):
    """As AdaNAT's training script saves a policy; evaluation uses the old one's actor."""
    other = {name: torch.zeros_like(value) for name, value in actor.items()}
    parts = {"policy.actor.": other, "policy.critic.": other, "policy_old.actor.": actor}
    model = {prefix + name: value for prefix, part in parts.items() for name, value in part.items()}
    return {"model": model, "discriminator": {}, "args": Namespace(steps=8), "iteration": 1}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with a policy of AdaNAT, whose output stands alone and is not smoothed."""
    folder, recipe = tmp_path_factory.mktemp("adanat"), tiny_recipe("maskgit")
    networks = tiny_networks(recipe)
    actor = networks.policy.state_dict()
    actor["linear3.weight"] = torch.zeros_like(actor["linear3.weight"])
    actor["linear3.bias"] = torch.from_numpy(ANSWER)
    torch.save(adanat_file(actor), folder / "policy.pth")
    for name in ("backbone", "decoder"):
        save_file(getattr(networks, name).state_dict(), folder / f"{name}.safetensors")
    schedule = recipe.schedule.model_copy(update={"smoothing": 0.0, "residual": False})
    files = recipe.files.model_copy(update={"policy": "policy.pth"})
    changed = recipe.changed(schedule=schedule, files=files)
    return export_engine(changed, folder / "engine", weights=folder)


def test_a_policy_without_a_residual_chooses_alone(engine):
    chosen = StepwisePipeline(engine).generate(*SAMPLES).schedule
    softplus = np.log1p(np.exp(ANSWER[1:]))
    expected = [1 / (1 + np.exp(-ANSWER[0])), *softplus]
    for values, wanted in zip(chosen.values(), expected, strict=True):
        assert np.isfinite(values).any()
        np.testing.assert_allclose(values[np.isfinite(values)], wanted, rtol=1e-5)


def test_its_static_schedule_is_the_recipe_s_all_the_same(engine):
    chosen = StepwisePipeline(engine).generate(*SAMPLES, schedule="static").schedule
    action = engine.manifest.schedule.actions[0]
    np.testing.assert_allclose(
        chosen["mask_ratio"][:, 0], action.static.values(4, 4), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("schedule", ["policy", "static"])
def test_a_device_program_has_no_residual_either(engine, schedule):
    driver, policies = HostDriver(), ("policy",) if schedule == "policy" else ()
    setting = Setting(engine.manifest, HostGraphs(engine, driver), driver, 1, 2, 4, policies)
    outcome = Runner(build_program(setting), driver, 1).run(
        {"labels": np.array(SAMPLES[0])}, np.array(SAMPLES[1])
    )
    expected = StepwisePipeline(engine).generate(*SAMPLES, schedule=schedule)
    assert np.abs(outcome.images.astype(int) - expected.images).max() <= 1


@pytest.mark.parametrize("family", ["dit", *slow("var")])
def test_a_policy_may_see_another_grid_than_the_features(tmp_path, family):
    recipe = tiny_recipe(family)
    own = recipe.model.feature_grid(recipe)
    changed = recipe.changed(policy=PolicySection(hidden=16, grid=[side // 2 for side in own]))
    network, plain = (tiny_networks(one).policy for one in (changed, recipe))
    assert network.linear1.in_features == plain.linear1.in_features // 4
    engine = export_engine(changed, tmp_path / "engine", seeded="tiny")
    chosen = StepwisePipeline(engine).generate(*SAMPLES).schedule
    assert max(np.nanstd(values, axis=1).max() for values in chosen.values()) > 0
