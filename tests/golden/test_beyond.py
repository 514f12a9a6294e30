"""Trajectories under scripted policies: every file of a folder, found by its family's name.

`ADAGEN_GOLDEN_BEYOND` points at another folder of such files. Call t of the policy answers
`raw[t]` of the file, so that a case can go where no seeded policy leads. The number of steps and
the side of the grid are those of the file's arrays; a file of VAR may name its own `scales`.
"""

import os
import re
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("torch")

import numpy as np
from golden_data import DATA, deviation, gumbel_of, normal_of
from once import engine_once
from short_form import slow

from adagen_rt.ops import Injected
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.noise import Philox
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.params import SamplingParams
from golden.engines import chosen, export_golden, networks_sampler

TAG = "golden7"
FOLDER = Path(os.environ.get("ADAGEN_GOLDEN_BEYOND") or DATA / "beyond")
RECIPES = {"dit": "dit-xl-2", "sit": "sit-xl-2", "maskgit": "maskgit-l", "var": "var-d16"}
LABELS = np.array([0, 999, 5])

FILES = [path for family in RECIPES for path in sorted(FOLDER.glob(f"{family}_*.npz"))]
OPS = pytest.mark.parametrize("kind", [CpuOps, ReferenceOps])


def files_of(*families):
    chosen = [path for path in FILES if family_of(path) in families]
    return pytest.mark.parametrize("path", chosen, ids=[path.stem for path in chosen])


def family_of(path):
    return path.stem.partition("_")[0]


def test_there_are_files():
    assert FILES, f"no dit_*, sit_*, maskgit_* or var_* in {FOLDER}"


@cache
def content(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def grid_of(family, expected):
    """Sizes of the network that a file's arrays are of."""
    if family == "maskgit":
        return {"tokens": expected["sampled_ids"].shape[-1]}
    if family == "var":
        scales = tuple(int(side) for side in expected.get("scales", ()))
        return {"scales": scales} if scales else {}
    return {"size": expected["latent"].shape[-1]}


@pytest.fixture(scope="module", params=["networks", *slow("engine")])
def sampler(request, tmp_path_factory):
    """Give the sampler of a file's network, under the tag of these files; exported or not."""

    @cache
    def engine(recipe, **grid):
        sizes = "".join(f"-{name}-{size}" for name, size in grid.items())
        return engine_once(
            tmp_path_factory,
            f"{TAG}-{recipe}{re.sub('[^a-z0-9-]+', '-', sizes)}",
            lambda out: export_golden(recipe, out, tag=TAG, **grid),
        )

    def make(path, ops, noise=Philox):
        family = family_of(path)
        recipe, grid = RECIPES[family], grid_of(family, content(path))
        if request.param == "networks":
            return networks_sampler(recipe, ops, noise, TAG, **grid)
        return StepwisePipeline(engine(recipe, **grid), threads=2, ops=ops, noise=noise).sampler

    return make


def trajectory(sampler, expected):
    """Every state and decision of a scripted generation."""
    raw = expected["raw"]
    family = sampler.manifest.family
    steps = len(raw) - (family.calls(1) - 1)
    scripted = lambda features, call: raw[int(call[0])]  # noqa: E731
    params = SamplingParams(steps=steps, schedule="policy", fidelity=0.0, refine=1, best_of=1)
    loop = sampler.assembly.loop(params, policy=scripted)
    state, decisions = loop.start(np.arange(3), {"labels": LABELS}, np.arange(3))
    states = [state]
    for _ in range(steps):
        state, decision = loop.step(state)
        states.append(state)
        decisions.append(decision)
    for column, got in enumerate(np.moveaxis(chosen(decisions), -1, 0)):
        assert same_actions(got, expected["policy_action"][..., column])
    return states


def same_actions(got, expected):
    """Within 1e-4 of the deviation, or rounding where a schedule is constant."""
    return np.abs(got - expected).max() < max(1e-4 * expected.std(), 1e-6 * np.abs(expected).max())


@files_of("dit", "sit")
@OPS
def test_latents(sampler, path, kind):
    expected, family = content(path), family_of(path)
    noise = normal_of(f"{TAG}/{family}/z", expected["latent"].shape)
    ops = type("Started", (kind,), {"normal": lambda self, seeds, shape: noise.copy()})()
    states = trajectory(sampler(path, ops), expected)
    times = np.stack([state.time for state in states])
    for got, wanted in ((times[:-1], "eval_t"), (times[1:], "next_t")):
        assert np.abs(got - expected[wanted]).max() < 1e-5
    for state, name in ((1, "second_state"), (2, "third_state"), (-1, "latent")):
        assert name not in expected or deviation(states[state].x, expected[name]) < 1e-3, name


@files_of("maskgit")
@OPS
def test_tokens(sampler, path, kind):
    expected = content(path)
    shape = expected["sampled_ids"].shape[1:]

    def noise(seeds, steps):
        tag = f"{TAG}/maskgit"
        return Injected(
            gumbel_of(f"{tag}/token_gumbel/{steps[0]}", (*shape, 1024)),
            gumbel_of(f"{tag}/confidence_gumbel/{steps[0]}", shape),
        )

    states = trajectory(sampler(path, kind(), noise), expected)[1:]
    np.testing.assert_array_equal([s.sampled for s in states], expected["sampled_ids"])
    np.testing.assert_array_equal([s.tokens for s in states], expected["masked_ids"])


@files_of("var")
@OPS
def test_maps(sampler, path, kind):
    expected = content(path)
    tag = f"{TAG}/{path.stem}{int(expected['noise'])}"

    def noise(seeds, steps):
        scale = int(steps[0])
        area = made.manifest.family.scales[scale].area
        flat = gumbel_of(f"{tag}/token_gumbel/{scale}", (3 * area, 4096))
        return Injected(flat.reshape(3, -1, 4096))

    made = sampler(path, kind(), noise)
    last = trajectory(made, expected)[-1]
    np.testing.assert_array_equal(last.tokens, expected["indices"])
    assert deviation(last.f_hat[:, ::4], expected["f_hat"]) < 1e-3
