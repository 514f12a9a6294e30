"""The step rules of the generator families, each written once for every caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adagen_rt.engine.manifest import DiffusionSpec, Manifest, VARSpec
from adagen_rt.families.diffusion.rule import DiffusionRule
from adagen_rt.families.maskgit.rule import MaskGITRule
from adagen_rt.families.var.rule import VARRule
from adagen_rt.ops import Ops
from adagen_rt.sampling.rule import Arrays, NoiseSource, StepRule

__all__ = ["make_rule"]


def make_rule(
    manifest: Manifest,
    steps: int,
    ops: Ops,
    noise: NoiseSource,
    graphs: Mapping[str, Callable[[Arrays], Arrays]],
) -> StepRule[Any]:
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
        return VARRule(spec, classes, ops, noise, graphs["condition"], graphs["refine"])
    if isinstance(spec, DiffusionSpec):
        return DiffusionRule(spec, classes, steps, ops)
    return MaskGITRule(spec, classes, steps, ops, noise)
