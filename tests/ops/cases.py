"""Random inputs of the ops, and how their results are compared."""

from __future__ import annotations

import numpy as np

from adagen_rt.families.diffusion.solvers import SOLVERS
from adagen_rt.ops import Injected, Philox
from adagen_rt.ops.reference import MIN_TEMPERATURE
from adagen_rt.ops.solver import PROCESSES

# Batch, tokens, vocabulary: vector widths, odd sizes, rows that straddle Philox blocks of four.
SHAPES = [(1, 1, 1), (3, 5, 3), (2, 9, 63), (2, 16, 256), (3, 7, 1001), (2, 8, 1024), (1, 6, 4096)]

# Largest absolute difference of a log-probability or a latent, by what made it.
TOLERANCE = {"float32": 1e-5, "float16": 2e-2, "bfloat16": 2e-1, "latents": 2e-5}


def floats(*values):
    return np.asarray(values, np.float32)


def philox(rng, batch):
    return Philox(rng.integers(0, 2**63, batch), rng.integers(0, 100, batch))


def injected(rng, shape):
    token = rng.gumbel(size=shape).astype(np.float32)
    return Injected(token, rng.gumbel(size=shape[:2]).astype(np.float32))


def logits(rng, shape, spread=3.0):
    """Return conditional and null logits that resemble each other, as a network's do."""
    shared = rng.normal(size=shape)
    pair = [spread * (shared + 0.3 * rng.normal(size=shape)) for _ in range(2)]
    return pair[0].astype(np.float32), pair[1].astype(np.float32)


def uniform(rng, batch, low, high):
    return rng.uniform(low, high, batch).astype(np.float32)


def guided_case(shape, seed=0, noise=philox):
    """Return arguments of ``guided_sample`` with some 70% of tokens masked."""
    rng = np.random.default_rng(seed)
    batch, count, vocabulary = shape
    tokens = rng.integers(0, vocabulary, (batch, count))
    tokens[rng.random((batch, count)) < 0.7] = vocabulary
    return {
        **dict(zip(("cond", "null"), logits(rng, shape), strict=True)),
        "guidance": uniform(rng, batch, 0, 3),
        "temperature": uniform(rng, batch, 0.2, 1.5),
        "confidence_temperature": uniform(rng, batch, 0, 4),
        "tokens": tokens,
        "mask_id": vocabulary,
        "noise": noise(rng, batch if noise is philox else shape),
    }


def truncated_case(shape, seed=0, noise=philox):
    """Return arguments of ``sample_top_k_top_p``, top_k <= 0 among them."""
    rng = np.random.default_rng(seed)
    batch, _, vocabulary = shape
    return {
        **dict(zip(("cond", "null"), logits(rng, shape), strict=True)),
        "guidance": uniform(rng, batch, 0, 3),
        "top_k": uniform(rng, batch, -0.2 * vocabulary, 1.2 * vocabulary),
        "top_p": uniform(rng, batch, 0, 1),
        "temperature": uniform(rng, batch, 0.2, 1.5),
        "noise": noise(rng, batch if noise is philox else shape),
    }


def solver_case(process, batch=4, shape=(4, 5, 7), seed=0, solver="dpmpp_2s"):
    """Return arguments of ``solver_update`` with all of a solver's phases in the batch."""
    rng = np.random.default_rng(seed)
    names = ("x", "anchor", "anchor_data", "cond", "null")
    times = np.sort(uniform(rng, (batch, 3), 0.01, 0.99), axis=1)
    times = times if process == "linear" else times[:, ::-1]
    # In the middle, a multistep solver has the time of the step before.
    times = times[:, [1, 0, 2]] if SOLVERS[solver].multistep else times
    return {
        **{name: rng.normal(size=(batch, *shape)).astype(np.float32) for name in names},
        "guidance": uniform(rng, batch, 0, 3),
        "times": np.ascontiguousarray(times),
        "phase": np.arange(batch) % (SOLVERS[solver].evaluations + SOLVERS[solver].multistep),
        "process": PROCESSES[process],
        "solver": SOLVERS[solver],
    }


def row_of(case, index):
    """Return the arguments of one sample of a batch."""
    noise = case["noise"]
    one = {k: v[index : index + 1] if isinstance(v, np.ndarray) else v for k, v in case.items()}
    one["noise"] = Philox(noise.seeds[index : index + 1], noise.steps[index : index + 1])
    return one


def assert_drawn_alike(drawn, expected, case):
    """Hold tokens equal, but where two scores are so close that rounding may choose."""
    guidance, temperature = (case[name][:, None, None] for name in ("guidance", "temperature"))
    guided = case["cond"] + guidance * (case["cond"] - case["null"])
    scores = guided / np.maximum(temperature, MIN_TEMPERATURE)
    scores = scores + case["noise"].token_gumbel(guided.shape)
    pick = lambda tokens: np.take_along_axis(scores, tokens[..., None], axis=-1)[..., 0]  # noqa: E731
    differ = drawn != expected
    assert differ.mean() < 0.01
    ours, theirs = pick(np.where(differ, drawn, 0)), pick(np.where(differ, expected, 0))
    np.testing.assert_allclose(ours[differ], theirs[differ], rtol=1e-5, atol=1e-5)
