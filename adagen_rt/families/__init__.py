"""The step rules of the generator families, each written once for every caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adagen_rt.families.base import Arrays, Family, NoiseSource, State
from adagen_rt.families.diffusion import Diffusion
from adagen_rt.families.maskgit import MaskGIT
from adagen_rt.families.var import VAR
from adagen_rt.manifest import DiffusionSpec, Manifest, VARSpec
from adagen_rt.ops import Ops

__all__ = ["VAR", "Diffusion", "Family", "MaskGIT", "NoiseSource", "State", "make_family"]


def make_family(
    manifest: Manifest,
    steps: int,
    ops: Ops,
    noise: NoiseSource,
    graphs: Mapping[str, Callable[[Arrays], Arrays]],
) -> Family[Any]:
    """The step rule of an engine.

    Args:
        manifest: The engine's.
        steps: Backbone evaluations.
        ops: Where the numeric steps run.
        noise: Gives the noise of a step.
        graphs: The engine's graphs; VAR has two of its own.
    """
    spec, classes = manifest.family, manifest.class_count
    if isinstance(spec, VARSpec):
        return VAR(spec, classes, ops, noise, graphs["condition"], graphs["refine"])
    if isinstance(spec, DiffusionSpec):
        return Diffusion(spec, classes, steps, ops)
    return MaskGIT(spec, classes, steps, ops, noise)
