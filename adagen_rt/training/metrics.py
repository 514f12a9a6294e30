"""Scores of generated images, in the feature space of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adagen_rt.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """Mean (D,) and covariance (D, D) of features."""

    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, features: npt.ArrayLike) -> Gaussian:
        """Fits features (N, D), N at least two, in double precision."""
        rows = np.asarray(features, np.float64)
        if rows.ndim != 2 or len(rows) < 2:
            raise InputError("features", rows.shape, "at least two rows of features")
        return cls(rows.mean(axis=0), np.atleast_2d(np.cov(rows, rowvar=False)))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Squared Frechet distance of two Gaussians (the FID when they fit image features).

    The trace of the root of `C1 C2` is taken from the symmetric product
    `C1^(1/2) C2 C1^(1/2)`, which has the same eigenvalues and, unlike `C1 C2`, an
    eigen-decomposition that is stable for singular covariances.
    """
    root = _symmetric_root(first.covariance)
    product = root @ second.covariance @ root
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    cross = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    shift = first.mean - second.mean
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2 * cross
    return float(shift @ shift + spread)


def frechet_influence(features: npt.ArrayLike, reference: Gaussian) -> Floats:
    """How fast the distance grows as a sample gains weight, (N,) for features (N, D).

    The derivative of `frechet_distance` at the empirical distribution towards one sample. With
    d the sample's distance from the mean and A the optimal transport from these features'
    Gaussian to the reference, `2 d . shift + d (1 - A) d`, centred: it averages to zero.
    """
    rows = np.asarray(features, np.float64)
    deviation = rows - rows.mean(axis=0)
    root = _symmetric_root(reference.covariance)
    values, vectors = np.linalg.eigh(root @ (deviation.T @ deviation / len(rows)) @ root)
    # Directions without any spread have no finite derivative; they are left alone.
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


def class_accuracy(predicted: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of predictions that are the label."""
    got, expected = np.asarray(predicted), np.asarray(labels)
    if got.shape != expected.shape or got.size == 0:
        raise InputError("predicted", got.shape, f"as many as labels, {expected.shape}")
    return float((got == expected).mean())


def _symmetric_root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root
