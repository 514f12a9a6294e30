"""The specification computes the same on PyTorch tensors as on NumPy arrays."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.families.diffusion.solvers import SOLVERS
from adagen_rt.ops import Injected, Philox
from adagen_rt.ops.reference import ReferenceOps
from ops.cases import (
    SHAPES,
    TOLERANCE,
    assert_drawn_alike,
    floats,
    guided_case,
    injected,
    philox,
    solver_case,
    truncated_case,
)

OPS = ReferenceOps()


def tensors(case):
    """Return a case with every array, those of the noise too, as a tensor."""
    converted = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in case.items()
    }
    noise = case.get("noise")
    if isinstance(noise, Philox):
        converted["noise"] = Philox(torch.from_numpy(noise.seeds), torch.from_numpy(noise.steps))
    elif isinstance(noise, Injected):
        converted["noise"] = Injected(*map(torch.from_numpy, (noise.token, noise.confidence)))
    return converted


@pytest.mark.parametrize("noise", [philox, injected])
@pytest.mark.parametrize("shape", SHAPES)
def test_sampling(shape, noise):
    case = guided_case(shape, noise=noise)
    expected, doubt = OPS.guided_sample(**case)
    sampled, confidence = OPS.guided_sample(**tensors(case))
    assert_drawn_alike(sampled.numpy(), expected, case)
    same = sampled.numpy() == expected
    np.testing.assert_allclose(confidence.numpy()[same], doubt[same], atol=TOLERANCE["float32"])
    case = truncated_case(shape, noise=noise)
    tokens = OPS.sample_top_k_top_p(**tensors(case))
    assert_drawn_alike(tokens.numpy(), OPS.sample_top_k_top_p(**case), case)


def test_remask():
    rng = np.random.default_rng(0)
    case = {
        "sampled": rng.integers(0, 9, (3, 20)),
        "confidence": rng.normal(size=(3, 20)).astype(np.float32),
        "mask_ratio": floats(0, 0.51, 1),
        "mask_id": 9,
    }
    assert np.array_equal(OPS.remask(**tensors(case)).numpy(), OPS.remask(**case))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("process", ["vp", "linear"])
def test_solver_update(process, solver):
    case = solver_case(process, solver=solver)
    ours = OPS.solver_update(**tensors(case))
    for result, expected in zip(ours, OPS.solver_update(**case), strict=True):
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6, atol=1e-4)


def test_normal():
    seeds = np.asarray([1, 2**62])
    ours = OPS.normal(torch.from_numpy(seeds), (4, 8, 8)).numpy()
    np.testing.assert_allclose(ours, OPS.normal(seeds, (4, 8, 8)), atol=TOLERANCE["float32"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_low_precision_logits_are_computed_in_float32(dtype):
    case = guided_case((2, 5, 64), noise=injected)
    sampled, exact = OPS.guided_sample(**case)
    rounded = tensors(case)
    rounded |= {name: rounded[name].to(getattr(torch, dtype)) for name in ("cond", "null")}
    tokens, confidence = OPS.guided_sample(**rounded)
    assert confidence.dtype == torch.float32
    same = (tokens.numpy() == sampled) & np.isfinite(exact)
    assert same.sum() > 3
    np.testing.assert_allclose(confidence.numpy()[same], exact[same], atol=TOLERANCE[dtype])


def meta(case):
    """Return a case without numbers: NumPy cannot touch such tensors, nor Python read them."""
    converted = tensors(case)
    moved = {k: v.to("meta") if isinstance(v, torch.Tensor) else v for k, v in converted.items()}
    if "noise" in case:
        noise = converted["noise"]
        moved["noise"] = type(noise)(*(array.to("meta") for array in vars(noise).values()))
    return moved


@pytest.mark.parametrize(
    ("op", "case", "shapes"),
    [
        ("guided_sample", guided_case((2, 5, 8)), [(2, 5), (2, 5)]),
        ("guided_sample", guided_case((2, 5, 8), noise=injected), [(2, 5), (2, 5)]),
        ("sample_top_k_top_p", truncated_case((2, 5, 8)), [(2, 5)]),
        *(
            ("solver_update", solver_case(process, solver=solver), [(4, 4, 5, 7)] * 3)
            for process in ("vp", "linear")
            for solver in SOLVERS
        ),
        ("normal", {"seeds": np.arange(3), "shape": (4, 2)}, [(3, 4, 2)]),
    ],
)
def test_ops_are_pure_functions_of_their_arrays(op, case, shapes):
    """What can be traced: nothing depends on a number, and nothing leaves the namespace."""
    results = getattr(OPS, op)(**meta(case))
    results = results if isinstance(results, tuple) else (results,)
    assert [tuple(result.shape) for result in results] == shapes
