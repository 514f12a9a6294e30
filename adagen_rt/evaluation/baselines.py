"""What looking at the sample is worth: a policy's output without the sample in it.

A policy may only have learnt a better schedule, the same for all samples or for all of a class.
Three baselines tell: its outputs averaged over samples, averaged over the samples of a class (of
prompts: over those of the prompt), and exchanged among them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from adagen_rt.condition import ConditionSpec, Prompts
from adagen_rt.errors import InputError
from adagen_rt.evaluation.images import watched
from adagen_rt.evaluation.metrics import Gaussian, frechet_distance
from adagen_rt.progress import bar
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.playback import Outputs
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result
from adagen_rt.sampling.sampler import Sampler
from adagen_rt.types import Arrays

BASELINES = ("mean", "class-mean", "shuffled")
#: A raw output that no static schedule outweighs.
SURELY = 30.0
#: Bounds of the interval in which 95 % of the resampled sets lie.
BOUNDS = (2.5, 97.5)


def make_baselines(
    sampler: Sampler, request: Request, kinds: Sequence[str], batch_size: int
) -> Iterator[tuple[str, Result]]:
    """Make a policy's images, and those of its baselines of the same samples.

    Args:
        sampler: Makes the images.
        request: The samples, under the policy and without candidates.
        kinds: Some of `BASELINES`.
        batch_size: Images made together.

    Yields:
        ``"policy"`` and its result, then each baseline and its own.

    Raises:
        InputError: The request has candidates.
    """
    check_plain(request.params, *kinds)
    result, outputs = watched(sampler.record, request, batch_size, "policy")
    yield "policy", result
    groups = groups_of(sampler.manifest.condition, request.rows)
    for kind in kinds:
        played = without_sample(kind, outputs, groups)
        play = partial(sampler.play, outputs=played)
        yield kind, watched(play, request, batch_size, kind)


def check_plain(params: SamplingParams, *kinds: str) -> None:
    """Refuse candidates and reused evaluations, of which a recording would have to say more.

    Raises:
        InputError: There are some.
    """
    if kinds and (params.refine > 1 or params.best_of > 1 or params.reuse):
        raise InputError("schedule", kinds[0], "no --refine, --best-of or --reuse beside it")


def without_sample(kind: str, outputs: Outputs, groups: npt.NDArray[np.int64]) -> Outputs:
    """Replace a policy's outputs by ones that do not depend on the sample.

    Args:
        kind: One of `BASELINES`.
        outputs: What the policy put out, as `Sampler.record` gives it.
        groups: Class of each sample (B,).

    Returns:
        As many outputs. Calls that no sample needed have zeros; where the other sample of an
        exchange did not need a call, the mean of its class is played.
    """
    if kind == "mean":
        return np.broadcast_to(_everyone(outputs), outputs.shape).copy()
    means = _class_means(outputs, groups)
    if kind == "class-mean":
        return means
    given = outputs[:, exchanged(groups)]
    return np.where(np.isnan(given), means, given)


def with_evaluations(
    outputs: Outputs,
    counts: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    column: int,
    ahead: int,
) -> Outputs:
    """Let other numbers of evaluations be made than a policy that may stop has chosen.

    Args:
        outputs: What the policy put out, as `Sampler.record` gives it.
        counts: Evaluations of each sample (B,) int64, at least 1.
        groups: Class of each sample (B,).
        column: Column of the action that stops.
        ahead: Calls before the first evaluation.

    Returns:
        As many outputs; calls that a sample had not needed are the mean of its class.
    """
    played = np.where(np.isnan(outputs), _class_means(outputs, groups), outputs)
    last = np.arange(len(outputs))[:, None] == counts + ahead - 1
    played[..., column] = np.where(last, SURELY, -SURELY)
    return played


def class_counts(
    counts: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Give every sample the mean of its class's evaluations, rounded so that the mean stays."""
    shared = np.empty_like(counts)
    for places in members(groups):
        total, many = int(counts[places].sum()), len(places)
        shared[places] = total // many
        shared[places[: total % many]] += 1
    return shared


def exchanged(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give every sample the place of another one of its class (B,), each once."""
    others = np.empty_like(groups)
    for places in members(groups):
        others[places] = np.roll(places, 1)
    return others


def members(groups: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """List the places of each group's samples."""
    for group in np.unique(groups):
        yield np.flatnonzero(groups == group)


def groups_of(condition: ConditionSpec, rows: Arrays) -> npt.NDArray[np.int64]:
    """Number the classes of samples (B,) int64; of prompts, each text is a class."""
    if not isinstance(condition, Prompts):
        return np.asarray(rows["labels"], np.int64)
    texts = np.asarray(rows["prompt"], np.str_)
    return np.asarray(np.unique(texts, return_inverse=True)[1].ravel(), np.int64)


class PairedBootstrap:
    """Estimates how sure a ratio of distances is, by bootstrap over pairs of images.

    The policy's distances are computed once, for any number of schedules.

    Args:
        policy: Features (N, D) of the policy's images.
        reference: The real images'.
        times: How often images are drawn anew, with replacement.
    """

    def __init__(self, policy: npt.ArrayLike, reference: Gaussian, times: int) -> None:
        self._reference, self._times = reference, times
        self._policy = self._distances(policy)

    def interval(self, features: npt.ArrayLike) -> tuple[float, float]:
        """Bound 95 % of the ratios of a schedule's distance to the policy's.

        Args:
            features: Features (N, D) of its images of the same samples.
        """
        low, high = np.percentile(self._distances(features) / self._policy, BOUNDS)
        return float(low), float(high)

    def _distances(self, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Measure every draw: (times,). The draws are the same for any set of a size."""
        rows, rng, found = np.asarray(features), np.random.default_rng(0), []
        for _ in bar(range(self._times), desc="draws", leave=False):
            drawn = rows[rng.integers(len(rows), size=len(rows))]
            found.append(frechet_distance(Gaussian.of(drawn), self._reference))
        return np.array(found)


def _class_means(outputs: Outputs, groups: npt.NDArray[np.int64]) -> Outputs:
    """Average over the samples of each class, for every sample: (calls, B, A).

    Calls that none of a class needed have the mean of everyone.
    """
    everyone, means = _everyone(outputs), np.empty_like(outputs)
    for places in members(groups):
        own = _mean(outputs[:, places])
        means[:, places] = np.where(np.isnan(own), everyone, own)
    return means


def _everyone(outputs: Outputs) -> Outputs:
    """Average over all samples: (calls, 1, A), 0 where none needed the call."""
    return np.nan_to_num(_mean(outputs))


def _mean(outputs: Outputs) -> Outputs:
    """Average over samples: (calls, 1, A), NaN where none needed the call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing
        mean: Outputs = np.nanmean(outputs, axis=1, keepdims=True)
    return mean
