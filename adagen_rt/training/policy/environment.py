"""The environment of a policy: a frozen generator under the runtime's own step rules."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.backends.torch.sessions import (
    Function,
    TorchSession,
    device_memory,
    frozen,
    torch_sessions,
)
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.static_schedules import StaticSchedule
from adagen_rt.evaluation.judge import to_unit
from adagen_rt.models.policy import PolicyNetwork
from adagen_rt.ops import Ops, Philox
from adagen_rt.ops.reference import ReferenceOps, to_pixels
from adagen_rt.sampling.assembly import Assembly
from adagen_rt.sampling.loop import Loop, Network
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request
from adagen_rt.sampling.rule import NoiseSource
from adagen_rt.sampling.sampler import Sampler
from adagen_rt.types import Session

Tensors = dict[str, Tensor]

PER_CONDITION = 6
MAX_CONDITIONS = 10


class Environment:
    """A frozen generator: the runtime's own rules, loop and schedule, on tensors.

    Smoothing belongs to the schedule and so to the environment (AdaGen, arXiv 2603.06993):
    a policy chooses raw actions, and the environment turns them into parameters.

    Args:
        manifest: The family, the condition, the image and the schedule; its steps are used.
        sessions: The generator's graphs, over tensors of the device.
        device: PyTorch's name of the device.
        ops: Implementation of the numeric steps; the specification by default.
        noise: Noise of a step; by default the noise that an engine's kernels draw.
        asked: Conditions that samples are made of, as `ConditionSpec.parse` reads them; by
            default those that show what the generator does.
        networks: Networks that the graphs are made of, by name, where they are known.
    """

    def __init__(
        self,
        manifest: Manifest,
        sessions: Mapping[str, Session],
        device: str = "cpu",
        *,
        ops: Ops | None = None,
        noise: NoiseSource = Philox,
        asked: Sequence[Any] | None = None,
        networks: Mapping[str, nn.Module] = MappingProxyType({}),
    ) -> None:
        self.manifest = manifest
        self.device = torch.device(device)
        self.networks = networks
        self._model = manifest.plugin.model()
        self.assembly = Assembly(manifest, sessions, ops or ReferenceOps(), noise)
        spec = manifest.condition
        self.asked = spec.examples(spec.variety) if asked is None else asked
        self.params = SamplingParams(schedule="static").check(manifest)

    @classmethod
    def of_networks(
        cls,
        manifest: Manifest,
        backbone: nn.Module,
        decoder: nn.Module,
        device: str = "cpu",
        *,
        bf16: bool = False,
        text: tuple[nn.Module, tuple[str, ...]] | None = None,
        **others: Any,
    ) -> Environment:
        """Make the environment of a generator's networks.

        Args:
            manifest: See the class.
            backbone: The generator.
            decoder: Makes the images.
            device: See the class.
            bf16: Whether the backbone computes in bfloat16 where autocast finds it safe: faster,
                and no longer exactly what an engine of another precision generates.
            text: What encodes prompts, where the generator takes them, and the names of what it
                gives the backbone.
            others: See the class.
        """
        networks = {"backbone": backbone, "decoder": decoder}
        networks = {name: frozen(network, device) for name, network in networks.items()}
        functions = dict(manifest.plugin.model().functions(**networks))
        if bf16:
            functions["backbone"] = _in_bfloat16(functions["backbone"], device)
        sessions = torch_sessions(manifest, functions)
        if text is not None:
            encoder = partial(_encode, frozen(text[0], device))
            sessions["condition"] = TorchSession(encoder, text[1])
        return cls(manifest, sessions, device, networks=networks, **others)

    @property
    def actions(self) -> int:
        """Columns of a policy's output."""
        return len(self.manifest.schedule.actions)

    @property
    def calls(self) -> int:
        """Policy calls of a sample."""
        return self.manifest.calls

    @property
    def sampler(self) -> Sampler:
        """Sampler of images under the static schedule."""
        return Sampler(self.assembly, device_memory(self.device))

    def under(self, statics: Sequence[StaticSchedule]) -> Environment:
        """Copy it with other static schedules, one an action."""
        other = copy.copy(self)
        other.assembly = self.assembly.under(self.manifest.schedule.under(statics))
        other.manifest = other.assembly.manifest
        return other

    def loop(self, policy: Network) -> Loop:
        """Make the runtime's loop under a policy, from features and call (B,) to raw (B, A)."""
        return self.assembly.loop(self.params, policy=policy)

    def rows(self, order: Tensor) -> Tensors:
        """Choose conditions for samples: all kinds in turn, in an order (B,) int64."""
        kinds = self.turns(len(order))
        return self.parse([kinds[place] for place in order.tolist()])

    def turns(self, count: int) -> list[Any]:
        """List conditions for samples: all kinds in turn, or as many evenly spread ones."""
        known = len(self.asked)
        spread = range(count) if count >= known else [i * known // count for i in range(count)]
        return [self.asked[place % known] for place in spread]

    def drawn(self, count: int, generator: torch.Generator) -> Tensors:
        """Choose conditions at random, with replacement; the generator is the CPU's."""
        places = torch.randint(len(self.asked), (count,), generator=generator)
        return self.parse([self.asked[place] for place in places.tolist()])

    def parse(self, asked: Sequence[Any]) -> Tensors:
        """Parse conditions, as `ConditionSpec.parse` reads them, to tensors (B, ...)."""
        spec = self.manifest.condition
        rows = spec.inputs(spec.parse(asked))
        return {name: torch.from_numpy(values) for name, values in rows.items()}

    def told(self, rows: Tensors) -> Tensors:
        """Compute what the backbone is told of samples (B, ...), without their null twins."""
        own = {name: rows[name].to(self.device) for name in self.manifest.condition.tensors}
        graph = self.assembly.sessions.get("condition")
        return own if graph is None else graph.run(own)

    def pooled(self, rows: Tensors) -> Tensor:
        """Summarise what the backbone is told of prompts: `pooled`, or the mean of `context`.

        Returns:
            (B, D) float32.
        """
        told = self.told(rows)
        if "pooled" in told:
            return told["pooled"]
        context, mask = told["context"], told.get("context_mask")
        if mask is None:
            return context.mean(dim=1)
        mask = mask[..., None].to(context.dtype)
        return (context * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)

    def multi_scale(self, network: PolicyNetwork) -> nn.Module:
        """Fit a policy network to this family's features; its parameters stay the same."""
        return self._model.policy_module(network, self.manifest.family).to(self.device)

    def decode(self, latents: Tensors) -> Tensor:
        """Decode to images (B, c, H, W) in [0, 1], in steps of 1/255 as the runtime gives them.

        Real images have those steps too, so that a discriminator cannot tell the two apart
        by them. A sample that failed may hold NaN, which becomes black.
        """
        image = self.assembly.sessions["decoder"].run(latents)["image"]
        return to_unit(to_pixels(image, *self.manifest.image.pixel_range))

    def static_images(self, samples: Sequence[Any], batch_size: int = 250) -> Tensor:
        """Make images (B, c, H, W) in [0, 1] under the static schedule, of seeds 0, 1, ..."""
        request = make_request(self.manifest, samples, range(len(samples)), self.params)
        return to_unit(self.sampler.run(request, batch_size=batch_size).images)

    def preview_images(self) -> Tensor:
        """Make the same few samples every time, a column a condition."""
        spec = self.manifest.condition
        samples = spec.examples(min(spec.variety, MAX_CONDITIONS))
        return self.static_images(samples * PER_CONDITION)


def _in_bfloat16(evaluate: Function, device: str) -> Function:
    def evaluate_so(**inputs: Tensor) -> Any:
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            return evaluate(**inputs)

    return evaluate_so


def _encode(encoder: nn.Module, **rows: Tensor) -> Any:
    """Encode prompts; an encoder takes ids and masks in the order of `ConditionSpec.tensors`."""
    return encoder(*rows.values())
