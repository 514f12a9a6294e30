"""Engines of tiny diffusers pipelines generate what the pipelines generate."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import torch
from once import engine_once, shared_folder
from short_form import slow
from tiny_pipelines import SIDE, pipeline_run, save_pipeline

import adagen_rt
from adagen_rt.backends import make_backend
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.record import read_record
from adagen_rt.engine.schedule import Constant
from adagen_rt.errors import InputError
from adagen_rt.export.diffusers import export_pipeline
from adagen_rt.extent import Extent
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.sampling.assembly import Assembly
from adagen_rt.sampling.driver import drive
from adagen_rt.sampling.params import SamplingParams

pytestmark = pytest.mark.filterwarnings("ignore")
PROMPTS = ["a fox.", "the blue sea, a ship at night, and The Moon", ""]
LABELS = [3, 0, 7]


@pytest.fixture(scope="module", params=["dit", "sd3", *slow("flux", "pixart", "sana")])
def tiny(request, tmp_path_factory):
    """A pipeline's folder, its engine, and the engine's sessions."""
    name = request.param
    folder = shared_folder(tmp_path_factory) / f"pipeline-{name}"

    def export(target):
        save_pipeline(name, folder)
        export_pipeline(folder, target, size=Extent.of(2 * SIDE))

    engine = engine_once(tmp_path_factory, f"diffusers-{name}", export)
    backend = make_backend("onnxruntime", 1, None)
    sessions = {graph: backend.load(engine.graph_file(graph)) for graph in engine.manifest.graphs}
    asked = LABELS if name == "dit" else PROMPTS
    return SimpleNamespace(name=name, folder=folder, engine=engine, sessions=sessions, asked=asked)


def noise_of(engine, seeds, size=None):
    family = engine.manifest.at(size).family
    return CpuOps().normal(np.asarray(seeds), (family.channels, *family.size))


def ours(tiny, asked, steps, guidance=None, policy=None, size=None):
    """Latents and images of the engine, under a static schedule or a given policy."""
    manifest = tiny.engine.manifest
    spec = manifest.schedule
    if guidance is not None:
        own = guidance if manifest.condition.guidance == "embedded" else guidance - 1
        spec = spec.under([spec.actions[0].static, Constant(value=own)])
    condition = manifest.condition.within(tiny.engine.path)
    manifest = manifest.with_schedule(spec).model_copy(update={"condition": condition})
    assembly = Assembly(manifest, tiny.sessions, CpuOps())
    rows, seeds = condition.inputs(condition.parse(asked)), np.arange(len(asked))
    words = None if size is None else size.words
    params = SamplingParams(steps=steps, schedule="static", size=words)
    loop = assembly.loop(params, policy=policy)
    found = {}
    for stepped in drive(loop, np.arange(len(asked)), rows, seeds):
        latents = loop.rule.latents(stepped.ended)["latents"]
        found |= zip(stepped.ended.index.tolist(), latents, strict=True)
    latents = np.stack([found[place] for place in range(len(asked))])
    image = tiny.sessions["decoder"].run({"latents": latents})["image"]
    pixels = (np.clip(image / 2 + 0.5, 0, 1) * 255).round().transpose(0, 2, 3, 1)
    return latents, pixels


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("steps", "guidance"), [(4, 5.0), (7, 5.0), (4, 1.5), (7, 1.5)])
def test_the_static_schedule_is_the_pipeline(tiny, steps, guidance, batch):
    asked = tiny.asked[:batch]
    expected = pipeline_run(
        tiny.folder, noise_of(tiny.engine, range(batch)), asked, steps, guidance
    )
    latents, pixels = ours(tiny, asked, steps, guidance)
    error = np.abs(latents - expected.latents).max() / expected.latents.std()
    assert error < 1e-3
    assert np.abs(pixels - expected.images).max() <= 1
    assert expected.images.std() > 10


@pytest.mark.parametrize("words", ["20x12", *slow("12x20", "32x32")])
def test_another_size_is_the_pipeline_at_that_size(tiny, words):
    """20 x 12 pixels are 5 x 3 patches, of which halves are rounded."""
    manifest, size = tiny.engine.manifest, Extent.read(words)
    if manifest.sizes is None:
        assert tiny.name not in ("sd3", "flux")
        with pytest.raises(InputError, match=r"size: got '20x12', expected 16x16$"):
            manifest.at(Extent.read("20x12"))
        return
    noise, asked = noise_of(tiny.engine, range(2), size), tiny.asked[:2]
    expected = pipeline_run(tiny.folder, noise, asked, 4, 5.0)
    latents, pixels = ours(tiny, asked, 4, 5.0, size=size)
    assert latents.shape == noise.shape
    assert pixels.shape == (2, *size, 3)
    assert np.abs(latents - expected.latents).max() / expected.latents.std() < 1e-3
    assert np.abs(pixels - expected.images).max() <= 1


def test_what_is_asked_for_and_guidance_matter(tiny):
    plain, stronger = ours(tiny, tiny.asked, 4, 1.5)[0], ours(tiny, tiny.asked, 4, 5.0)[0]
    assert np.abs(plain - stronger).max() > 0.01 * plain.std()
    other = ours(tiny, [tiny.asked[1], *tiny.asked[1:]], 4, 1.5)[0]
    assert np.abs(other[0] - plain[0]).max() > 0.01 * plain.std()
    np.testing.assert_array_equal(other[1:], plain[1:])


def test_a_sample_alone_is_the_one_in_a_batch(tiny):
    together, alone = ours(tiny, tiny.asked, 4)[0], ours(tiny, tiny.asked[:1], 4)[0]
    np.testing.assert_allclose(alone[0], together[0], rtol=0, atol=1e-4 * together.std())


def test_one_model_has_the_whole_pipeline(tiny, tmp_path):
    pytest.importorskip("onnx_ir", reason="needs the extra bundle")
    from adagen_rt.onegraph import write_bundle

    params = SamplingParams(steps=2)
    out = tmp_path / "one.onnx"
    assert write_bundle(tiny.engine, out, params).checked["largest"] <= 1
    asked = {tiny.engine.manifest.condition.noun: tiny.asked}
    with adagen_rt.load(out, threads=1) as model, adagen_rt.load(tiny.engine.path) as runtime:
        got, expected = (
            one.generate(seeds=[1, 2, 3], params=params, **asked) for one in (model, runtime)
        )
    assert np.abs(got.images.astype(int) - expected.images.astype(int)).max() <= 1


def test_plans_build(tiny, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    folder = build_plans(tiny.engine, "tensorrt-rtx", batches=(1,), out=tmp_path)
    assert read_record(folder).plans.keys() == tiny.engine.manifest.graphs.keys()


def random_policy(manifest):
    """A policy of random weights that sees the features."""
    width = manifest.family.width
    weights = np.random.default_rng(0).normal(size=(width, 2)).astype(np.float32)

    def ask(features, call):
        return np.tanh(features["features"].mean(axis=1) @ weights) * np.float32(0.5)

    return ask


def test_a_random_policy_is_the_same_loop_in_pytorch(tiny):
    """Euler's steps written out; the transformer is called as the pipeline calls it."""
    if tiny.name != "sd3":
        pytest.skip("the loop is written out for one solver")
    steps, asked, manifest = 5, tiny.asked, tiny.engine.manifest
    latents, _ = ours(tiny, asked, steps, policy=random_policy(manifest))
    expected = torch_loop(tiny, asked, steps, random_policy(manifest))
    static, _ = ours(tiny, asked, steps)
    assert np.abs(latents - expected).max() < 1e-3 * expected.std()
    assert np.abs(latents - static).max() > 0.1 * expected.std()


@torch.no_grad()
def torch_loop(tiny, asked, steps, policy):
    import diffusers

    pipeline = diffusers.StableDiffusion3Pipeline.from_pretrained(tiny.folder)
    cond, null, pooled, null_pooled = pipeline.encode_prompt(
        asked, None, None, negative_prompt="", do_classifier_free_guidance=True
    )
    x = torch.from_numpy(noise_of(tiny.engine, range(len(asked))))
    seen = []
    pipeline.transformer.norm_out.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )

    def velocity(time, context, pool):
        out = pipeline.transformer(x, context, pool, (1 - time) * 1000, return_dict=False)[0]
        return -out

    actions, residuals = tiny.engine.manifest.schedule.actions, []
    for action in actions:
        residuals.append(action.inverse(action.static.values(steps, steps + 1)))

    def choose(features, call):
        raw = policy({"features": features}, call)
        time = 1 / (1 + np.exp(-(raw[:, 0] + residuals[0][call])))
        scale = np.logaddexp(0, raw[:, 1] + residuals[1][call])
        near = np.where(time > 1 - 2e-6, 1, np.where(time < 2e-6, 0, time))
        return (torch.from_numpy(values).float() for values in (near, scale))

    features = np.zeros((len(asked), tiny.engine.manifest.family.tokens, 16), np.float32)
    time, _ = choose(features, 0)
    for call in range(1, steps + 1):
        guided = velocity(time, cond, pooled)
        features = seen[-1].numpy()
        after, scale = choose(features, call)
        after = torch.maximum(after, time)
        guided = guided + scale[:, None, None, None] * (guided - velocity(time, null, null_pooled))
        x = x + (after - time)[:, None, None, None] * guided
        time = after
    return x.numpy()
