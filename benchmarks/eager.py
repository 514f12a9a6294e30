"""The ops as one would write them in PyTorch: the baseline of ``ops.py``.

Straightforward eager code with the library's own generator, sort and multinomial.
"""

from __future__ import annotations

import torch

Tensor = torch.Tensor


def guided_sample(
    cond: Tensor,
    null: Tensor,
    guidance: Tensor,
    temperature: Tensor,
    confidence_temperature: Tensor,
    tokens: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    """Sample masked tokens by Gumbel noise and gather their log-probabilities."""
    logits = cond + guidance[:, None, None] * (cond - null)
    drawn = (logits / temperature[:, None, None] + _gumbel(logits)).argmax(-1)
    log_probability = torch.log_softmax(logits, -1).gather(-1, drawn[..., None])[..., 0]
    masked = tokens == mask_id
    confidence = torch.where(masked, log_probability, torch.inf)
    confidence = confidence + confidence_temperature[:, None] * _gumbel(confidence)
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
    return logits.softmax(-1).flatten(0, 1).multinomial(1).view(cond.shape[:2])


def _gumbel(like: Tensor) -> Tensor:
    uniform = torch.rand_like(like).clamp_(1e-7, 1 - 1e-7)
    return -torch.log(-torch.log(uniform))
