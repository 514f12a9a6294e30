"""Weights in files to an engine folder."""

import pytest

torch = pytest.importorskip("torch")

import shutil
from dataclasses import replace

import numpy as np
import yaml
from safetensors.torch import save_file
from short_form import slow
from tiny_recipes import judged_recipe, tiny_networks, tiny_recipe

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.condition import take_rows
from adagen_rt.engine.folder import open_engine
from adagen_rt.engine.manifest import SEEDED
from adagen_rt.errors import CheckpointError, ExportError, InputError, RecipeError
from adagen_rt.export import export_engine, verify
from adagen_rt.export.flops import count_flops
from adagen_rt.export.graphs import tabulate_steps
from adagen_rt.export.recipe import Recipe
from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.features import ClassifierFeatures
from adagen_rt.models.policy import PolicyConfig, PolicyNetwork
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.training.policy.adversarial import Adversary
from adagen_rt.training.policy.settings import AdversaryConfig

FILES = {"backbone": "backbone.pt", "decoder": "decoder.safetensors", "policy": "policy.pth"}


def saved(family, folder):
    """A recipe and its weight files, in the wrappers that published files come in."""
    recipe = tiny_recipe(family)
    networks = tiny_networks(recipe)
    torch.save({"ema": networks.backbone.state_dict(), "step": 7}, folder / FILES["backbone"])
    save_file(networks.decoder.state_dict(), folder / FILES["decoder"])
    torch.save({"model": networks.policy.state_dict()}, folder / FILES["policy"])
    content = recipe.model_dump() | {"files": FILES}
    return Recipe.model_validate(content)


def images(engine):
    return StepwisePipeline(engine).generate([0, 9], [1, 2]).images


@pytest.mark.parametrize("family", ["dit", *slow("maskgit", "var")])
def test_weights_from_files_give_the_images_of_the_networks(tmp_path, exported, family):
    recipe = saved(family, tmp_path)
    from_files = export_engine(recipe, tmp_path / "engine", weights=tmp_path)
    np.testing.assert_array_equal(images(from_files), images(exported(family)))
    assert all(graph.error < 1e-3 for graph in from_files.manifest.graphs.values())
    assert from_files.manifest.schedule == recipe.schedule


def test_a_recipe_without_a_policy_runs_its_static_schedule(tmp_path):
    recipe = tiny_recipe("maskgit").model_copy(update={"policy": None})
    engine = export_engine(recipe, tmp_path / "engine", seeded="tiny")
    assert engine.manifest.versions[SEEDED] == "tiny"
    generator = StepwisePipeline(engine)
    assert not generator.has_policy
    result = generator.generate([3], [4])
    want = recipe.schedule.actions[0].static.values(4, 4)
    np.testing.assert_allclose(result.schedule["mask_ratio"][:, 0], want, rtol=1e-5)


@pytest.mark.parametrize("fault", ["missing", "shape", "absent"])
def test_wrong_weights_leave_the_older_engine(tmp_path, exported, fault):
    recipe = saved("maskgit", tmp_path)
    out = shutil.copytree(exported("maskgit").path, tmp_path / "engine")
    before = open_engine(out).manifest
    state = tiny_networks(recipe).backbone.state_dict()
    if fault == "missing":
        del state["norm.weight"]
    else:
        state["norm.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / FILES["backbone"])
    if fault == "absent":
        (tmp_path / FILES["backbone"]).unlink()
    with pytest.raises(CheckpointError, match="backbone.pt" if fault == "absent" else "norm"):
        export_engine(recipe, out, weights=tmp_path)
    assert open_engine(out).manifest == before
    assert not list(tmp_path.glob(".engine*"))


def test_a_graph_that_disagrees_is_not_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(
        verify, "TOLERANCE", dict.fromkeys(verify.TOLERANCE, verify.Tolerance(1e-12, 1e-12))
    )
    with pytest.raises(ExportError, match="differs from PyTorch"):
        export_engine(tiny_recipe("maskgit"), tmp_path / "engine", seeded="tiny")
    assert not (tmp_path / "engine").exists()


def test_weights_or_a_seed_but_not_both(tmp_path):
    for given in ({}, {"weights": tmp_path, "seeded": "tag"}):
        with pytest.raises(InputError, match="weights"):
            export_engine(tiny_recipe("maskgit"), tmp_path / "engine", **given)
    given = {"seeded": "tag", "fidelity_from": tmp_path}
    with pytest.raises(InputError, match="fidelity-from"):
        export_engine(tiny_recipe("maskgit"), tmp_path / "engine", **given)


def test_step_tables_are_exact():
    torch.manual_seed(0)
    policy = PolicyNetwork(PolicyConfig(actions=3, features=8, grid=4, hidden=16))
    torch.nn.init.normal_(policy.linear3.weight)
    features, step = torch.randn(5, 16, 8), torch.arange(5)
    with torch.no_grad():
        want = policy(features, step)
        tabulate_steps(policy, calls=5)
        np.testing.assert_allclose(policy(features, step), want, rtol=1e-5, atol=1e-6)


def test_flops_count_every_product():
    class Attention(torch.nn.Module):
        def forward(self, q):
            return torch.nn.functional.scaled_dot_product_attention(q, q, q)

    assert count_flops(torch.nn.Linear(8, 16), [torch.zeros(4, 8)]) == 2 * 4 * 8 * 16
    # Two products of 6 x 6 by 8, for 2 samples of 3 heads.
    assert count_flops(Attention(), [torch.zeros(2, 3, 6, 8)]) == 2 * 3 * 2 * (2 * 6 * 6 * 8)


def test_graphs_do_not_tell_where_they_were_made(exported):
    paths = list(exported("maskgit").path.glob("*.onnx"))
    assert len(paths) == 3
    for path in paths:
        assert b"site-packages" not in path.read_bytes()
        assert b".py" not in path.read_bytes()


def trained(folder, family="maskgit", **changes):
    """What a policy training leaves: weights of everything, and a recipe."""
    recipe = judged_recipe(family)
    networks = tiny_networks(recipe)
    folder.mkdir(parents=True)
    for name in ("backbone", "decoder", *networks.optional()):
        save_file(getattr(networks, name).state_dict(), folder / f"{name}.safetensors")
    recipe = recipe.model_copy(update=changes)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    return networks, recipe


def test_every_optional_graph_comes_from_its_file(tmp_path):
    networks, recipe = trained(tmp_path / "run")
    engine = export_engine(recipe, tmp_path / "engine", weights=tmp_path / "run")
    graphs = engine.manifest.graphs
    assert {"policy", "critic", "fidelity_policy", "reward"} < graphs.keys()
    assert all(graph.error < 1e-3 for graph in graphs.values())
    features, step = torch.rand(3, 64, 16), torch.tensor([0, 3, 1])
    feeds = {"features": features.numpy(), "step": step.numpy()}
    with torch.no_grad():
        for name, output in (("critic", "value"), ("fidelity_policy", "raw")):
            want = getattr(networks, name)(features, step).numpy()
            got = OnnxRuntime(1).load(engine.graph_file(name)).run(feeds)[output]
            np.testing.assert_allclose(got, want[:, 0] if name == "critic" else want, atol=1e-5)


@pytest.mark.parametrize("network", ["projected", "convolutional"])
def test_the_reward_graph_gives_what_the_adversary_pays(network, tmp_path):
    recipe = tiny_recipe("maskgit")
    files = recipe.files.model_copy(update={"reward": "reward.safetensors"})
    reward = recipe.reward.model_copy(update={"network": network})
    recipe = recipe.model_copy(update={"files": files, "reward": reward})
    networks = tiny_networks(recipe)
    features = ClassifierFeatures(load_classifier())
    pixels = torch.randint(256, (20, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    rows = {"labels": torch.arange(20) % 10}
    if network == "projected":
        networks.reward.fix()  # an engine's reward does not depend on the images beside it
    adversary = Adversary(networks.reward, features, pixels.byte(), rows, AdversaryConfig())
    want = adversary.realness(pixels[:3] / 255, take_rows(rows, slice(3)))
    engine = export_engine(recipe, tmp_path / "engine", seeded="tiny")
    graph = OnnxRuntime(1).load(engine.graph_file("reward"))
    got = graph.run({"image": (pixels[:3] / 255).numpy(), "labels": rows["labels"][:3].numpy()})
    np.testing.assert_allclose(got["reward"], want, atol=1e-5)
    assert b"parametrizations" not in engine.graph_file("reward").read_bytes()


def test_the_reward_judges_no_other_images(tmp_path):
    recipe = judged_recipe("maskgit")
    decoder = replace(recipe.decoder, image_channels=3)
    other = recipe.model_copy(update={"decoder": decoder})
    with pytest.raises(RecipeError, match=r"files\.reward: got images of 32 x 32 in 3 channels"):
        export_engine(other, tmp_path / "engine", seeded="tiny")


def test_the_fidelity_policy_may_come_from_another_run(tmp_path):
    networks, recipe = trained(tmp_path / "main")
    trained(tmp_path / "other")
    networks.policy.linear3.bias.data += 1
    save_file(networks.policy.state_dict(), tmp_path / "other" / "policy.safetensors")
    (tmp_path / "main" / "fidelity_policy.safetensors").unlink()
    engine = export_engine(
        recipe, tmp_path / "engine", weights=tmp_path / "main", fidelity_from=tmp_path / "other"
    )
    feeds = {"features": np.ones((1, 64, 16), np.float32), "step": np.zeros(1, np.int64)}
    main, other = (
        OnnxRuntime(1).load(engine.graph_file(name)).run(feeds)["raw"]
        for name in ("policy", "fidelity_policy")
    )
    np.testing.assert_allclose(other - main, 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("schedule.steps", lambda r: {"schedule": r.schedule.model_copy(update={"steps": 6})}),
        ("policy.hidden", lambda r: {"policy": r.policy.model_copy(update={"hidden": 8})}),
        ("files.policy", lambda r: {"files": r.files.model_copy(update={"policy": None})}),
    ],
)
def test_policies_that_cannot_be_blended_are_refused(tmp_path, field, change):
    _, recipe = trained(tmp_path / "main")
    trained(tmp_path / "other", **change(recipe))
    with pytest.raises(RecipeError, match=rf"other.recipe\.yaml: {field}"):
        export_engine(
            recipe, tmp_path / "engine", weights=tmp_path / "main", fidelity_from=tmp_path / "other"
        )
    assert not (tmp_path / "engine").exists()


def test_integer_weights_are_made_of_the_float_engine(tmp_path):
    pytest.importorskip("onnx_ir")
    recipe = tiny_recipe("dit")
    said = []
    options = {"seeded": "t", "progress": said.append}
    exact = export_engine(recipe, tmp_path / "float32", **options)
    integers = export_engine(recipe, tmp_path / "int8", dtype="int8", **options)
    assert (exact.manifest.dtype, integers.manifest.dtype) == ("float32", "int8")
    assert any(line.startswith("measuring backbone") for line in said)
    assert {path.name for path in tmp_path.iterdir()} == {"float32", "int8"}
    assert exact.manifest.files["decoder.onnx"] == integers.manifest.files["decoder.onnx"]


def test_what_must_not_be_overwritten_is_seen_before_anything_is_exported(tmp_path):
    pytest.importorskip("onnx_ir")
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InputError, match="out"):
        export_engine(tiny_recipe("dit"), tmp_path, seeded="t", dtype="int8", progress=pytest.fail)
