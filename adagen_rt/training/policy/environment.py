"""What a policy acts on: a frozen generator under the runtime's own step rules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.engine.manifest import Manifest, VARSpec
from adagen_rt.engine.schedule import Schedule, StaticSchedule
from adagen_rt.families import make_rule
from adagen_rt.models.policy import MultiScalePolicy, PolicyNetwork
from adagen_rt.ops import Ops, Philox
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.sampling.loop import Loop
from adagen_rt.sampling.request import check_steps
from adagen_rt.sampling.rule import NoiseSource

Tensors = dict[str, Tensor]
Graph = Callable[[Tensors], Tensors]

#: What each family's networks return, by the names of the exported graphs.
OUTPUTS = {
    "maskgit": ("logits", "features"),
    "dit": ("prediction", "features"),
    "sit": ("prediction", "features"),
    "var": ("logits", "features", "new_cache"),
}
CONDITION = ("modulation", "head_modulation", "start")
REFINEMENT = ("next_f_hat", "next_inputs")


class Environment:
    """A frozen generator: the same families, loop and schedule as at run time, on tensors.

    Smoothing belongs to the schedule and so to the environment (AdaGen, arXiv 2603.06993):
    a policy chooses raw actions, and what becomes of them is the generator's business.

    Args:
        manifest: The family, the classes, the image and the schedule; its steps are used.
        backbone: The generator.
        decoder: Makes the images.
        device: Where everything runs.
        bf16: Whether the backbone computes in bfloat16 where autocast finds it safe: faster,
            and no longer exactly what an engine of another precision generates.
        ops: Where the numeric steps run; the specification by default.
        noise: Gives the noise of a step; by default what an engine's kernels draw.
    """

    def __init__(
        self,
        manifest: Manifest,
        backbone: nn.Module,
        decoder: nn.Module,
        device: str = "cpu",
        *,
        bf16: bool = False,
        ops: Ops | None = None,
        noise: NoiseSource = Philox,
    ) -> None:
        self.manifest = manifest
        self.bf16 = bf16
        self.device = torch.device(device)
        self.backbone = backbone.eval().requires_grad_(False).to(self.device)
        self.decoder = decoder.eval().requires_grad_(False).to(self.device)
        steps = check_steps(manifest, manifest.schedule.steps)
        graphs = self._own_graphs()
        self.family = make_rule(manifest, steps, ops or ReferenceOps(), noise, graphs)
        self.schedule = Schedule(manifest.schedule, steps, self.family.calls)

    @property
    def actions(self) -> int:
        """Columns of a policy's output."""
        return len(self.manifest.schedule.actions)

    def under(self, statics: Sequence[StaticSchedule]) -> Environment:
        """The same generator with other static schedules, one an action."""
        other = copy.copy(self)
        spec = self.manifest.schedule.under(statics)
        other.manifest = self.manifest.model_copy(update={"schedule": spec})
        other.schedule = Schedule(spec, self.family.steps, self.family.calls)
        return other

    def loop(self, policy: Callable[[Tensors, Tensor], Tensor]) -> Loop:
        """The runtime's loop under a policy, from features and call (B,) to raw (B, A)."""
        outputs = OUTPUTS[self.manifest.family.family]
        return Loop(self.family, self.schedule, as_graph(self._evaluate, outputs), policy)

    def multi_scale(self, network: PolicyNetwork) -> nn.Module:
        """A policy network fit for this family's features; its parameters stay the same."""
        spec = self.manifest.family
        module = MultiScalePolicy(network, spec.scales) if isinstance(spec, VARSpec) else network
        return module.to(self.device)

    @torch.no_grad()
    def decode(self, latents: Tensors) -> Tensor:
        """Images (B, c, H, W) in [0, 1], in steps of 1/255 as the runtime gives them.

        Real images have those steps too, so that a discriminator cannot tell the two apart
        by them. A sample that failed may hold NaN, which becomes black.
        """
        decoder: Any = self.decoder
        if "tokens" in latents:
            pixels = decoder.decode_tokens(latents["tokens"])
        else:
            pixels = decoder.decode(latents["latents"])
        low, high = self.manifest.image.pixel_range
        scaled = torch.nan_to_num((pixels - low) * (255 / (high - low))).clamp(0, 255)
        return scaled.round() / 255

    def _evaluate(self, **inputs: Tensor) -> Any:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.backbone(**inputs)

    def _own_graphs(self) -> dict[str, Graph]:
        """VAR's two graphs beside its backbone."""
        if not isinstance(self.manifest.family, VARSpec):
            return {}
        backbone: Any = self.backbone
        decoder: Any = self.decoder
        return {
            "condition": as_graph(backbone.condition, CONDITION),
            "refine": as_graph(decoder.quantize.refine, REFINEMENT),
        }


def as_graph(function: Callable[..., Any], outputs: tuple[str, ...]) -> Graph:
    """A module or method as a callable from named tensors to named tensors, like a graph."""

    @torch.no_grad()
    def run(inputs: Tensors) -> Tensors:
        return dict(zip(outputs, function(**inputs), strict=True))

    return run
