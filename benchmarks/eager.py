"""The ops as one would write them in PyTorch: the baseline of ``ops.py`` and ``published.py``.

Straightforward eager code with the library's own generator, sort and multinomial.
"""

from __future__ import annotations

from typing import Protocol

import torch

Tensor = torch.Tensor


class Noise(Protocol):
    """What is random in one step; a test puts the runtime's own numbers here."""

    def token_gumbel(self, shape: tuple[int, ...]) -> Tensor:
        """Gumbel noise to choose tokens with (B, N, V) float32."""

    def confidence_gumbel(self, shape: tuple[int, ...]) -> Tensor:
        """Gumbel noise to disturb confidences with (B, N) float32."""

    def choose(self, probabilities: Tensor) -> Tensor:
        """Draw from distributions (B, N, V): (B, N) int64."""


class TorchNoise:
    """The library's own generator."""

    def token_gumbel(self, shape: tuple[int, ...]) -> Tensor:
        """Gumbel noise of any shape, float32."""
        uniform = torch.rand(shape).clamp_(1e-7, 1 - 1e-7)
        return -torch.log(-torch.log(uniform))

    confidence_gumbel = token_gumbel

    def choose(self, probabilities: Tensor) -> Tensor:
        """Draw from distributions (B, N, V): (B, N) int64."""
        return probabilities.flatten(0, 1).multinomial(1).view(probabilities.shape[:2])


TORCH_NOISE = TorchNoise()


def guided_sample(
    cond: Tensor,
    null: Tensor,
    guidance: Tensor,
    temperature: Tensor,
    confidence_temperature: Tensor,
    tokens: Tensor,
    mask_id: int,
    noise: Noise = TORCH_NOISE,
) -> tuple[Tensor, Tensor]:
    """Sample masked tokens by Gumbel noise and gather their log-probabilities."""
    logits = cond + guidance[:, None, None] * (cond - null)
    drawn = (logits / temperature[:, None, None] + noise.token_gumbel(logits.shape)).argmax(-1)
    log_probability = torch.log_softmax(logits, -1).gather(-1, drawn[..., None])[..., 0]
    masked = tokens == mask_id
    confidence = torch.where(masked, log_probability, torch.inf)
    disturbance = noise.confidence_gumbel(confidence.shape)
    confidence = confidence + confidence_temperature[:, None] * disturbance
    return torch.where(masked, drawn, tokens), confidence


def remask(sampled: Tensor, confidence: Tensor, mask_ratio: Tensor, mask_id: int) -> Tensor:
    """Sort the confidences and compare with the one at the wanted rank."""
    count = confidence.shape[-1]
    rank = (mask_ratio * count).floor().long().clamp(0, count - 1)
    threshold = confidence.sort(-1).values.gather(-1, rank[:, None])
    return torch.where(confidence < threshold, mask_id, sampled)


def sample_top_k_top_p(
    cond: Tensor,
    null: Tensor,
    guidance: Tensor,
    top_k: int,
    top_p: float,
    temperature: Tensor,
    noise: Noise = TORCH_NOISE,
) -> Tensor:
    """Truncate by ``topk`` and by a sort with a cumulative sum; draw by ``multinomial``."""
    logits = cond + guidance[:, None, None] * (cond - null)
    smallest = logits.topk(top_k, -1).values[..., -1:]
    logits = logits.masked_fill(logits < smallest, -torch.inf)
    ranked, order = logits.sort(-1)
    dropped = ranked.softmax(-1).cumsum(-1) <= 1 - top_p
    dropped[..., -1] = False
    dropped = dropped.scatter(-1, order, dropped)
    logits = logits.masked_fill(dropped, -torch.inf) / temperature[:, None, None]
    return noise.choose(logits.softmax(-1))
