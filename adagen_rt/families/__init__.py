"""The step rules of the generator families, each written once for every caller."""

from __future__ import annotations

from adagen_rt.families.base import Family, NoiseSource, State
from adagen_rt.families.maskgit import MaskGIT
from adagen_rt.manifest import Manifest
from adagen_rt.ops import Ops

__all__ = ["Family", "MaskGIT", "NoiseSource", "State", "make_family"]


def make_family(manifest: Manifest, steps: int, ops: Ops, noise: NoiseSource) -> Family:
    """The step rule of an engine at ``steps`` backbone evaluations."""
    return MaskGIT(manifest.family, manifest.class_count, steps, ops, noise)
