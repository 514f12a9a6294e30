"""Engines of tiny diffusers pipelines generate what the pipelines generate."""

import re
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
from adagen_rt.engine.static_schedules import Constant
from adagen_rt.errors import InputError
from adagen_rt.export.diffusers import dry_export, export_pipeline, plan_pipeline
from adagen_rt.export.diffusers.folder import PipelineFolder
from adagen_rt.export.diffusers.graphs import pipeline_graphs
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


@pytest.mark.parametrize(
    ("steps", "guidance", "batch"),
    [
        *((4, 5.0, 3), (7, 5.0, 1), (4, 1.5, 1), (7, 1.5, 3)),
        *slow((4, 5.0, 1), (7, 5.0, 3), (4, 1.5, 3), (7, 1.5, 1)),
    ],
)
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
        assert tiny.name == "dit"
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


@pytest.mark.parametrize(
    "tiny", ["dit", *slow("sd3", "flux", "pixart", "sana")], indirect=True, scope="module"
)
def test_a_dry_run_makes_the_graphs_without_weights(tiny, monkeypatch):
    """They are those of the export, but no file of weights is read."""
    plan = plan_pipeline(tiny.folder, Extent.of(2 * SIDE))
    monkeypatch.setattr(PipelineFolder, "_read", lambda *_: pytest.fail("weights are read"))
    lines = list(dry_export(plan, "float32", lambda text: None))
    graphs = tiny.engine.manifest.graphs
    told = dict(line.split(": ", 1) for line in lines)
    assert told.keys() - graphs.keys() == {"engine", "this run"}
    for name, graph in graphs.items():
        parameters = int(re.search(r"([\d,]+) parameters", told[name])[1].replace(",", ""))
        # An export keeps the ones and zeros of fresh norms once.
        assert parameters == pytest.approx(graph.parameters, rel=0.1)
        for tensor in (*graph.inputs, *graph.outputs):
            shape = "x".join(map(str, tensor.shape))
            assert f"{tensor.name} {shape}" in told[name]


def random_policy(manifest):
    """A policy of random weights that sees the features.

    What it says is rounded: an embedded guidance becomes an angle of a thousand times its size, in
    which differences of single precision would become those of pictures.
    """
    width = manifest.family.width
    weights = np.random.default_rng(0).normal(size=(width, 2)).astype(np.float32)

    def ask(features, call):
        said = np.tanh(features["features"].mean(axis=1) @ weights) * np.float32(0.5)
        return np.round(said * 8) / np.float32(8)

    return ask


def test_a_random_policy_is_the_same_loop_in_pytorch(tiny):
    steps, asked, manifest = 5, tiny.asked, tiny.engine.manifest
    latents, _ = ours(tiny, asked, steps, policy=random_policy(manifest))
    expected = torch_loop(tiny, asked, steps, random_policy(manifest))
    static, _ = ours(tiny, asked, steps)
    assert np.abs(latents - expected).max() < 1e-3 * expected.std()
    assert np.abs(latents - static).max() > 0.1 * expected.std()


class Networks:
    """A pipeline's own networks in PyTorch, asked with a condition and with its null twin."""

    def __init__(self, tiny, asked):
        plan = plan_pipeline(tiny.folder, Extent.of(2 * SIDE))
        self.sampler = plan.sampler
        made = plan.source, plan.condition, plan.latents, plan.sampler.whole
        graphs = {graph.name: graph for graph in pipeline_graphs(*made)}
        self.backbone, self.inputs = graphs["backbone"].module, list(graphs["backbone"].inputs)
        condition = tiny.engine.manifest.condition.within(tiny.engine.path)
        self.embedded = condition.guidance == "embedded"
        rows = condition.parse(asked)
        twins = [rows] if condition.copies == 1 else [rows, condition.null(rows)]
        self.given = [self.arrays(graphs.get("condition"), twin) for twin in twins]

    def arrays(self, encoders, rows):
        if encoders is None:
            return {"labels": torch.from_numpy(rows["labels"])}
        given = [torch.from_numpy(rows[name]) for name in encoders.inputs]
        names = [name for name in self.inputs if name not in ("x", "t", "guidance")]
        return dict(zip(names, encoders.module(*given), strict=True))

    def predict(self, x, time, scale):
        """Predictions given the condition and given none, in float64, and the features."""
        found = []
        for given in self.given:
            arrays = {"x": x.float(), "t": time.float(), "guidance": scale.float(), **given}
            found.append(self.backbone(*(arrays[name] for name in self.inputs)))
        predictions = [prediction.double() for prediction, _ in found]
        return predictions[0], predictions[-1], found[0][1].numpy()


def scales_of(sampler, time):
    """Signal and noise at times (B, 1, 1, 1)."""
    if sampler.log_alpha is None:
        return time, 1 - time
    log = sum(value * time**power for power, value in enumerate(sampler.log_alpha, 1))
    return log.exp(), torch.expm1(2 * log).abs().sqrt()  # abs: no negative zero at time 0


@torch.no_grad()
def torch_loop(tiny, asked, steps, policy):
    """The solvers' steps written out in float64."""
    networks = Networks(tiny, asked)
    sampler, spec = networks.sampler, tiny.engine.manifest.family
    flow, residuals = sampler.family == "flow", []
    for action in tiny.engine.manifest.schedule.actions:
        residuals.append(action.inverse(action.static.values(steps, steps + 1)))

    def choose(features, call):
        raw = policy({"features": features}, call)
        time = 1 / (1 + np.exp(-(raw[:, 0] + residuals[0][call])))
        scale = np.logaddexp(0, raw[:, 1] + residuals[1][call])
        near = np.where(time > 1 - 2e-6, 1, np.where(time < 2e-6, 0, time))
        return (torch.from_numpy(np.float64(values)) for values in (near, scale))

    x = torch.from_numpy(noise_of(tiny.engine, range(len(asked)))).double()
    time, scale = choose(np.zeros((len(asked), spec.tokens, spec.width), np.float32), 0)
    data_before = before = None
    for call in range(1, steps + 1):
        cond, null, features = networks.predict(x, time, scale)
        after, scale = choose(features, call)
        after = torch.maximum(after, time) if flow else torch.minimum(after, time)
        guided = cond + scale[:, None, None, None] * (cond - null)
        alpha, sigma = scales_of(sampler, time[:, None, None, None])
        alpha_after, sigma_after = scales_of(sampler, after[:, None, None, None])
        data = x + sigma * guided if flow else (x - sigma * guided) / alpha
        noise = x - alpha * guided if flow else guided
        if sampler.solver == "euler":
            x = alpha_after * data + sigma_after * noise
        else:
            step = (alpha_after / sigma_after).log() - (alpha / sigma).log()
            decay = alpha_after * torch.expm1(-step)
            x = sigma_after / sigma * x - decay * data
            if data_before is not None:
                change = 0.5 * decay * step / before * (data - data_before)
                x = torch.where((sigma_after < 1e-3) | (before < 1e-4), x, x - change)
            data_before, before = data, step
        time = after
    return x.numpy()


def test_evaluations_may_be_left_out_alone_and_together(tiny):
    with adagen_rt.load(tiny.engine.path, threads=1) as pipeline:
        noun, seeds = pipeline.manifest.condition.noun, [4, 5, 6]
        steps = 2 * pipeline.manifest.family.solver_row.evaluations * 6
        every = pipeline.generate(**{noun: tiny.asked}, seeds=seeds, steps=steps)
        fewer = pipeline.generate(**{noun: tiny.asked}, seeds=seeds, steps=steps, reuse=0.5)
        alone = pipeline.generate(**{noun: tiny.asked[:1]}, seeds=[4], steps=steps, reuse=0.5)
    assert every.evaluations.tolist() == [steps] * 3
    assert fewer.evaluations.min() < steps
    apart = np.abs(alone.images[0].astype(int) - fewer.images[0])
    assert apart.max() <= 1
    assert alone.evaluations[0] == fewer.evaluations[0]
