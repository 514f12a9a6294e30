"""Scores of generated images, in the feature space of a classifier.

Written out here: the library for all of them, torch-fidelity, cannot be imported without
torchvision, which no other part of this package needs and which has to match PyTorch's build.
The tests hold each score to closed forms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from adagen_rt.errors import InputError

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
#: Rank of the nearest neighbour that a ball of a manifold reaches to.
NEIGHBOURS = 3
#: Rows whose distances to all others are computed together.
BLOCK = 1000


@dataclass(frozen=True)
class Gaussian:
    """Mean (D,) and covariance (D, D) of features."""

    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, features: npt.ArrayLike) -> Gaussian:
        """Fit features (N, D), N at least two, in double precision."""
        rows = np.asarray(features, np.float64)
        if rows.ndim != 2 or len(rows) < 2:
            raise InputError("features", rows.shape, "at least two rows of features")
        return cls(rows.mean(axis=0), np.atleast_2d(np.cov(rows, rowvar=False)))

    @cached_property
    def root(self) -> Floats:
        """Symmetric root of the covariance, computed once."""
        values, vectors = np.linalg.eigh(self.covariance)
        root: Floats = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        return root


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Squared Frechet distance of two Gaussians (the FID when they fit image features).

    The trace of the root of `C1 C2` is taken from the symmetric product
    `C2^(1/2) C1 C2^(1/2)`, which has the same eigenvalues and, unlike `C1 C2`, an
    eigen-decomposition that is stable for singular covariances. The second's root is kept, so
    that distances of many sets to one take less time.
    """
    product = second.root @ first.covariance @ second.root
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    cross = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    shift = first.mean - second.mean
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2 * cross
    return float(shift @ shift + spread)


def frechet_influence(features: npt.ArrayLike, reference: Gaussian) -> Floats:
    """Derivative of the distance by each sample's weight, (N,) for features (N, D).

    This is the derivative of `frechet_distance` at the empirical distribution towards one
    sample. With d the sample's difference from the mean and A the optimal transport from these
    features' Gaussian to the reference, it is `2 d . shift + d (1 - A) d`, centred so that it
    averages to zero.
    """
    rows = np.asarray(features, np.float64)
    deviation = rows - rows.mean(axis=0)
    root = reference.root
    values, vectors = np.linalg.eigh(root @ (deviation.T @ deviation / len(rows)) @ root)
    # Directions without any spread have no finite derivative; they are skipped.
    usable = values > 1e-10 * values.max()
    inverse = np.where(usable, 1 / np.sqrt(np.where(usable, values, 1.0)), 0.0)
    transport = root @ (vectors * inverse) @ vectors.T @ root
    curved = deviation @ (np.eye(rows.shape[1]) - transport)
    influence = 2 * deviation @ (rows.mean(axis=0) - reference.mean)
    influence += (curved * deviation).sum(axis=1)
    centred: Floats = influence - influence.mean()
    return centred


def fid(features: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Frechet distance of two sets of features, each (N, D)."""
    return frechet_distance(Gaussian.of(features), Gaussian.of(reference))


def kernel_distance(features: npt.ArrayLike, reference: npt.ArrayLike, subset: int = 1000) -> float:
    """Squared maximum mean discrepancy under a cubic kernel (the KID when they fit images).

    Binkowski et al., "Demystifying MMD GANs" (arXiv 1801.01401), section 4: the unbiased
    estimator with the kernel `(x . y / D + 1)^3`, averaged over disjoint random subsets, the
    same in every call.

    Args:
        features: (N, D).
        reference: (M, D).
        subset: Rows of a subset, at most all.
    """
    rng = np.random.default_rng(0)
    first, second = (rng.permutation(np.asarray(x, np.float64)) for x in (features, reference))
    size = min(subset, len(first), len(second))
    starts = range(0, min(len(first), len(second)) - size + 1, size)
    pairs = ((first[i : i + size], second[i : i + size]) for i in starts)
    return float(np.mean([_discrepancy(*pair) for pair in pairs]))


def _discrepancy(first: Floats, second: Floats) -> float:
    def kernel(a: Floats, b: Floats) -> Floats:
        values: Floats = (a @ b.T / a.shape[1] + 1) ** 3
        return values

    count = len(first)
    own = sum(kernel(x, x).sum() - kernel(x, x).trace() for x in (first, second))
    return float(own / (count * (count - 1)) - 2 * kernel(first, second).mean())


def precision_recall(features: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[float, float]:
    """Share of generated images that are realistic, and share of the real set they cover.

    Kynkaanniemi et al., "Improved precision and recall metric" (arXiv 1904.06991), equation
    2: the share of one set that lies within the manifold of the other. The manifold is the union
    of balls around the set's members; each reaches to its member's third nearest neighbour.

    Args:
        features: (N, D) of generated images.
        reference: (M, D) of real ones.
    """
    fake, real = np.asarray(features, np.float32), np.asarray(reference, np.float32)
    if min(len(fake), len(real)) <= NEIGHBOURS:
        raise InputError("features", (len(fake), len(real)), f"more than {NEIGHBOURS} of each")
    return _inside(fake, real), _inside(real, fake)


def _inside(points: Single, members: Single) -> float:
    """Share of points in the union of the balls around the members."""
    # The nearest neighbour of each member is itself.
    reach = [np.partition(d, NEIGHBOURS)[:, NEIGHBOURS] for d in _distances(members, members)]
    radii = np.concatenate(reach)
    return float(
        np.mean(np.concatenate([(d <= radii).any(1) for d in _distances(points, members)]))
    )


def _distances(first: Single, second: Single) -> Iterator[Single]:
    """Yield the squared distances of rows to rows, a block of the first at a time."""
    norms = np.square(second).sum(axis=1)
    for start in range(0, len(first), BLOCK):
        part = first[start : start + BLOCK]
        squared = np.square(part).sum(axis=1)[:, None] + norms - 2 * part @ second.T
        yield np.maximum(squared, 0)


def class_accuracy(predicted: npt.ArrayLike, meant: npt.ArrayLike) -> float:
    """Share of predictions that equal the label."""
    got, expected = np.asarray(predicted), np.asarray(meant)
    if got.shape != expected.shape or got.size == 0:
        raise InputError("predicted", got.shape, f"as many as were meant, {expected.shape}")
    return float((got == expected).mean())
