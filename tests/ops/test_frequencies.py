"""Samplers draw what the distribution says, at fixed seeds."""

import numpy as np
import pytest

from adagen_rt.ops import Philox
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from ops.cases import floats

DRAWS = 40_000
LOGITS = np.asarray([0.3, -1, 2, 0, -50, 1.2, 0.3], np.float32)


@pytest.fixture(params=[ReferenceOps(), CpuOps(threads=2)], ids=["reference", "cpu"])
def ops(request):
    return request.param


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def assert_drawn_from(tokens, probabilities):
    """Pearson's chi-square test; entries that cannot come must not."""
    counts = np.bincount(tokens.ravel(), minlength=len(probabilities))
    possible = probabilities > 1e-9
    assert not counts[~possible].any()
    expected = probabilities[possible] * counts.sum()
    statistic = np.sum((counts[possible] - expected) ** 2 / expected)
    freedom = possible.sum() - 1
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)


def repeated(logits=LOGITS):
    return np.broadcast_to(logits, (2, DRAWS // 2, len(logits))).copy()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", [0, 2**40 + 1])
def test_guided_sample(ops, temperature, seed):
    noise = Philox(np.asarray([seed, seed + 1]), np.asarray([3, 3]))
    cond, null = repeated(), repeated(0.5 * LOGITS)
    parameters = (floats(1, 1), floats(temperature, temperature), floats(1, 1))
    masked = np.full(cond.shape[:2], -1)
    sampled, _ = ops.guided_sample(cond, null, *parameters, masked, -1, noise)
    assert_drawn_from(sampled, softmax(1.5 * LOGITS / temperature))


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (0, 1, range(7)),
        (2, 1, (2, 5)),
        (3, 1, (0, 2, 5, 6)),
        (0, 0.7, (2, 5)),
        (4, 0.99, (0, 2, 5, 6)),
    ],
)
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_sample_top_k_top_p(ops, top_k, top_p, kept, temperature):
    noise = Philox(np.asarray([18, 19]), np.asarray([0, 1]))
    parameters = [floats(v, v) for v in (0, top_k, top_p, temperature)]
    tokens = ops.sample_top_k_top_p(repeated(), repeated(), *parameters, noise)
    left = np.isin(np.arange(7), list(kept))
    assert_drawn_from(tokens, softmax(np.where(left, LOGITS / temperature, -np.inf)))


def test_large_vocabulary_is_drawn_evenly(ops):
    noise = Philox(np.asarray([5]), np.asarray([0]))
    equal = np.zeros((1, 2000, 1001), np.float32)
    masked = np.full((1, 2000), -1)
    sampled, _ = ops.guided_sample(equal, equal, *[floats(1)] * 3, masked, -1, noise)
    assert_drawn_from(sampled // 91, np.full(11, 1 / 11))


def test_confidence_is_disturbed_by_gumbel_noise(ops):
    noise = Philox(np.asarray([5]), np.asarray([2]))
    equal, masked = np.zeros((1, DRAWS, 1), np.float32), np.full((1, DRAWS), -1)
    _, confidence = ops.guided_sample(equal, equal, *[floats(1)] * 2, floats(3), masked, -1, noise)
    assert confidence.mean() == pytest.approx(3 * np.euler_gamma, abs=0.05)
    assert confidence.std() == pytest.approx(3 * np.pi / np.sqrt(6), abs=0.06)
