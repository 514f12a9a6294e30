"""The baseline on a GPU: the same networks in PyTorch alone, eager or compiled.

The loop is the trainer's: conditional and null rows go through the backbone in one pass, and all
samples are sampled together. Noise is PyTorch's own, which costs a fraction of what it costs to
repeat a kernel's generator with tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import eager
import torch
from gpu_programs import Model
from torch import Tensor, nn

from adagen_rt.models.autoencoder import TokenDecoder
from adagen_rt.ops import Ops
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.sampling.rule import NoiseSource
from adagen_rt.training.policy.environment import Environment


class PlainOps(ReferenceOps):
    """The specification with PyTorch's own noise, and with one sort where that has three."""

    @staticmethod
    def sample_top_k_top_p(
        cond: Tensor,
        null: Tensor,
        guidance: Tensor,
        top_k: Tensor,
        top_p: Tensor,
        temperature: Tensor,
        noise: eager.Noise,
    ) -> Tensor:
        """As ``eager.sample_top_k_top_p``, for samples that are truncated differently."""
        logits = cond + guidance[:, None, None] * (cond - null)
        size = logits.shape[-1]
        ranked, order = logits.sort(-1)
        dropped = torch.arange(size) < (size - top_k.long())[:, None, None]
        ranked = ranked.masked_fill(dropped & (top_k >= 1)[:, None, None], -torch.inf)
        dropped = ranked.softmax(-1).cumsum(-1) <= (1 - top_p)[:, None, None]
        dropped[..., -1] = False
        ranked = ranked.masked_fill(dropped, -torch.inf) / temperature[:, None, None]
        drawn = (ranked + noise.token_gumbel(ranked.shape)).argmax(-1, keepdim=True)
        return order.gather(-1, drawn)[..., 0]

    @staticmethod
    def normal(seeds: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Initial latents."""
        return torch.randn(len(seeds), *shape)


class CastBackbone(nn.Module):
    """A backbone of any dtype that tells the loop's ops float32."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.wrapped = backbone
        self.condition = getattr(backbone, "condition", None)
        self.config = backbone.config

    def forward(self, **inputs: Any) -> Any:
        """Logits or prediction, features, and VAR's new cache as it is."""
        told, features, *cache = self.wrapped(**inputs)
        return (told.float(), features.float(), *cache)


class Lasting(nn.Module):
    """A compiled backbone whose outputs outlast the next replay of its CUDA graph."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.wrapped = _compiled(backbone)
        self.condition = backbone.condition
        self.config = backbone.config

    def forward(self, **inputs: Any) -> Any:
        """What the backbone gives, copied."""
        torch.compiler.cudagraph_mark_step_begin()
        return tuple(result.clone() for result in self.wrapped(**inputs))


class CastDecoder(nn.Module):
    """A decoder of any dtype between float32 latents and pixels."""

    def __init__(self, model: Model, *, compiled: bool) -> None:
        super().__init__()
        self.dtype = model.dtype
        self.quantize = getattr(model.decoder, "quantize", None)
        wrap = _compiled if compiled else _as_it_is
        self._decode = wrap(model.decoder.decode)
        if model.recipe.family == "maskgit":
            self._decode_tokens = wrap(TokenDecoder(model.decoder, model.recipe.backbone.tokens))

    def decode(self, latents: Tensor) -> Tensor:
        """Pixels of latents."""
        return self._decode(latents.to(self.dtype)).float()

    def decode_tokens(self, tokens: Tensor, size: Any) -> Tensor:
        """Pixels of tokens, whose map has the recipe's size."""
        return self._decode_tokens(tokens).float()


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, mode="reduce-overhead")


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def plain_noise(seeds: Tensor, steps: Tensor) -> Any:
    """PyTorch's own generator, whatever the samples' seeds and steps."""
    return eager.TORCH_NOISE


def baseline(
    model: Model,
    batch: int,
    *,
    compiled: bool,
    ops: Ops | None = None,
    noise: NoiseSource = plain_noise,
) -> Callable[[], Tensor]:
    """A whole generation, from labels on the device to images on the host.

    Args:
        model: Whose networks, cast once: autocast would convert weights at every call.
        batch: Samples.
        compiled: Whether ``torch.compile`` makes CUDA graphs of backbone, policy and decoder.
        ops: The numeric steps; ``PlainOps`` by default.
        noise: What they draw from.
    """
    device = model.place.torch_device
    backbone: nn.Module = CastBackbone(model.backbone)
    policy: Any = model.policy
    if compiled:
        backbone, policy = Lasting(backbone), _compiled(policy)
    environment = Environment.of_networks(
        model.manifest,
        backbone,
        CastDecoder(model, compiled=compiled),
        device,
        ops=ops or PlainOps(),
        noise=noise,
    )

    @torch.no_grad()
    def ask(features: dict[str, Any], call: Any) -> Any:
        return policy(*features.values(), call).clone()

    def run() -> Tensor:
        with torch.device(device):
            loop, numbers = environment.loop(ask), torch.arange(batch)
            state, _ = loop.start(numbers, {"labels": numbers % 10}, numbers)
            if hasattr(state, "cache"):
                # Kept as the backbone wants it, instead of cast at every scale.
                state = replace(state, cache=state.cache.to(model.dtype))
            for _ in range(loop.rule.steps):
                state, _ = loop.step(state)
            return environment.decode(loop.rule.latents(state)).cpu()

    return run
