"""Scores as papers print them: FID, sFID, Inception score, precision and recall.

FID: arXiv 1706.08500; sFID: arXiv 2103.03841; Inception score: arXiv 1606.03498; precision and
recall: arXiv 1904.06991. What the network sees of an image is a `Protocol`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adagen_rt.errors import InputError
from adagen_rt.evaluation.kept import fingerprint_pixels, fingerprint_weights, kept_features
from adagen_rt.evaluation.metrics import Gaussian, frechet_distance, precision_recall
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.inception import CLASSES, FEATURES, SPATIAL, Corners, Inception, enlarged

Arrays = Mapping[str, npt.NDArray[np.float32]]
#: Images that the network looks at together.
BATCH = 32
#: Splits whose Inception scores are averaged.
SPLITS = 10
#: Names of a reference file's numbers, of the pooled and of the spatial features.
MOMENTS = {"pooled": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}
WIDTHS = {"pooled": FEATURES, "spatial": SPATIAL, "logits": CLASSES}
IMAGES = "arr_0"


@dataclass(frozen=True)
class Protocol:
    """How bytes of an image come to the network.

    Attributes:
        corners: How they are resized.
        centre: What is subtracted from them.
        scale: What they are divided by then.
        shuffle: Seed of the order in which images are split for the Inception score; None
            takes them as they come.
    """

    corners: Corners
    centre: float
    scale: float
    shuffle: int | None


#: ADM's evaluator and torch-fidelity; and AdaNAT's and AdaGen's script.
PROTOCOLS = {
    "adm": Protocol("first", 128.0, 128.0, None),
    "adagen": Protocol("edges", 127.5, 127.5, 2020),
}


@dataclass(frozen=True)
class PublishedScore:
    """Scores of a set of images; None where the reference does not have what they need.

    Attributes:
        count: Number of images.
        fid: Frechet distance of pooled features.
        sfid: Frechet distance of spatial features.
        inception_score: Mean over the splits.
        precision: Share of the images within the manifold of the reference's.
        recall: Share of the reference's images within the manifold of these.
    """

    count: int
    fid: float
    sfid: float | None
    inception_score: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Reference:
    """What images are compared with.

    Attributes:
        moments: Gaussians of `pooled` and perhaps `spatial` features.
        pooled: Features (M, 2048) of its images, if it has any.
    """

    moments: Mapping[str, Gaussian]
    pooled: npt.NDArray[np.float32] | None


class Looker:
    """Computes what the network says of images.

    Args:
        network: The network.
        protocol: How bytes come to it.
        device: PyTorch's name of the device.
    """

    def __init__(self, network: Inception, protocol: Protocol, device: str = "cpu") -> None:
        self._network, self._protocol, self._device = network.to(device), protocol, device
        way = f"{protocol.corners}-{protocol.centre:g}"
        self._key = f"Inception-{fingerprint_weights(network)}-{way}"

    def look(
        self, images: npt.NDArray[np.uint8], tell: Callable[[int], object] = lambda count: None
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Look at images (N, H, W, 1 or 3): arrays `pooled`, `spatial` and `logits`.

        Args:
            images: The images.
            tell: Called with the number of images after every batch.
        """
        parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in WIDTHS}
        for first in range(0, len(images), BATCH):
            seen = self._network(self._prepared(images[first : first + BATCH]))
            for name, found in parts.items():
                found.append(getattr(seen, name).cpu().numpy())
            tell(len(images[first : first + BATCH]))
        empty = {name: [np.zeros((0, width), np.float32)] for name, width in WIDTHS.items()}
        return {name: np.concatenate(empty[name] + found) for name, found in parts.items()}

    def look_kept(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """Look at a reference's images: `pooled` and `spatial`, kept in the user's cache."""

        def see(part: range) -> npt.NDArray[np.float32]:
            seen = self.look(images[part.start : part.stop])
            return np.concatenate([seen[name] for name in MOMENTS], axis=1)

        found = kept_features(f"{self._key}-{fingerprint_pixels(images)}", len(images), see)
        pooled, spatial = np.split(found, [WIDTHS["pooled"]], axis=1)
        return {"pooled": pooled, "spatial": spatial}

    def _prepared(self, images: npt.NDArray[np.uint8]) -> Tensor:
        protocol = self._protocol
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(self._device).float()
        colour = pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels
        return (enlarged(colour, protocol.corners) - protocol.centre) / protocol.scale


def load_inception(path: Path) -> Inception:
    """Load the network.

    Raises:
        CheckpointError: The file is of no such network, or could run code.
    """
    network = Inception()
    # Counters of batches are in some files of it and not in others; nothing reads them.
    counters = {n: t for n, t in network.state_dict().items() if n.endswith("batches_tracked")}
    load_strict(network, counters | load_state(path))
    return network


def load_reference(path: Path, looker: Looker) -> Reference:
    """Read a reference: `mu` and `sigma`, ADM's four arrays, images in `arr_0`, or all of it.

    Args:
        path: An .npz.
        looker: Looks at the reference's images.

    Raises:
        InputError: It has none of that, or numbers of other shapes.
    """
    arrays = _read(path)
    moments = {
        feature: _moments(path, arrays, feature)
        for feature, (mean, _) in MOMENTS.items()
        if mean in arrays
    }
    pooled = None
    if IMAGES in arrays:
        images = arrays[IMAGES]
        shaped = images.ndim == 4 and len(images) > 1 and images.shape[-1] in (1, 3)
        if images.dtype != np.uint8 or not shaped:
            got = f"{IMAGES} {images.dtype} {images.shape}"
            raise InputError("reference", got, f"{IMAGES} uint8 (2 or more, height, width, 1 or 3)")
        seen = looker.look_kept(images)
        pooled = seen["pooled"]
        moments = {name: Gaussian.of(seen[name]) for name in MOMENTS} | moments
    if "pooled" not in moments:
        expected = f"an .npz with mu and sigma, or with images in {IMAGES}"
        raise InputError("reference", str(path), expected)
    return Reference(moments, pooled)


def score(seen: Arrays, reference: Reference, protocol: Protocol) -> PublishedScore:
    """Score images by what the network says of them."""
    distances = {
        name: frechet_distance(Gaussian.of(seen[name]), known)
        for name, known in reference.moments.items()
    }
    pair: tuple[float | None, float | None] = None, None
    if reference.pooled is not None:
        pair = precision_recall(seen["pooled"], reference.pooled)
    return PublishedScore(
        len(seen["pooled"]),
        distances["pooled"],
        distances.get("spatial"),
        inception_score(seen["logits"], protocol.shuffle),
        *pair,
    )


def inception_score(logits: npt.ArrayLike, shuffle: int | None = None) -> float:
    """Average over splits the exponential of how far each image's classes are from all images'.

    Args:
        logits: Logits (N, 1008).
        shuffle: Seed of the order; None takes the images as they come.
    """
    rows = np.asarray(logits, np.float64)
    if shuffle is not None:
        rows = rows[np.random.RandomState(shuffle).permutation(len(rows))]
    parts = np.array_split(rows, min(SPLITS, len(rows)))
    return float(np.mean([np.exp(_divergence(part)) for part in parts]))


def _divergence(logits: npt.NDArray[np.float64]) -> float:
    logs = logits - logits.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    shares = np.exp(logs)
    together = np.log(np.maximum(shares.mean(axis=0), np.finfo(float).tiny))
    return float((shares * (logs - together)).sum(axis=1).mean())


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(_entries(file))
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError("reference", str(path), f"an .npz of plain arrays ({error})") from None


def _entries(file: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    wanted = {IMAGES, *(name for pair in MOMENTS.values() for name in pair)}
    yield from ((name, file[name]) for name in file.files if name in wanted)


def _moments(path: Path, arrays: Mapping[str, npt.NDArray[Any]], feature: str) -> Gaussian:
    (mean_name, spread_name), width = MOMENTS[feature], WIDTHS[feature]
    mean, spread = arrays[mean_name], arrays.get(spread_name, np.zeros(0))
    if mean.shape != (width,) or spread.shape != (width, width):
        got = f"{path}: {mean_name} {mean.shape}, {spread_name} {spread.shape}"
        raise InputError("reference", got, f"({width},) and ({width}, {width})")
    return Gaussian(mean.astype(np.float64), spread.astype(np.float64))
