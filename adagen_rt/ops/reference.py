"""The specification of every op, over the array API standard.

B is the batch, N the tokens of a sample, V the vocabulary. Parameters that a schedule chooses
have one float32 value a sample, shape (B,). Arrays of any one namespace and device may be
given; arithmetic is float32, whatever the logits' dtype. Nothing is changed in place.

A sample whose logits or parameters are not finite must not disturb the others: its results
are marked (see each op) and no exception is raised.
"""

from __future__ import annotations

import math

import numpy as np
from array_api_compat import array_namespace, device

from adagen_rt.ops.noise import Noise, normals
from adagen_rt.ops.philox import Purpose
from adagen_rt.ops.solver import solver_update
from adagen_rt.types import Array

__all__ = [
    "MIN_TEMPERATURE",
    "ReferenceOps",
    "guided_sample",
    "normal",
    "remask",
    "sample_top_k_top_p",
    "solver_update",
    "to_pixels",
]

# Non-finite input is reported in the results; NumPy need not warn of it as well.
_quiet = np.errstate(invalid="ignore", over="ignore")

# A temperature of 0 means "take the largest". Dividing by this instead makes a difference of
# 2e-5 between two logits outweigh the widest range that the Gumbel noise can span (19.5).
MIN_TEMPERATURE = 1e-6


@_quiet
def guided_sample(
    cond: Array,
    null: Array,
    guidance: Array,
    temperature: Array,
    confidence_temperature: Array,
    tokens: Array,
    mask_id: int,
    noise: Noise,
) -> tuple[Array, Array]:
    """Sample every masked token and say how confident the model is of it.

    MaskGIT's step (arXiv 2202.04200, section 3.2) with classifier-free guidance, as AdaGen
    (arXiv 2603.06993) runs it. With ``l = cond + guidance (cond - null)``, a token is
    ``argmax(l / temperature + gumbel)``, which samples ``softmax(l / temperature)``; its
    confidence is ``log_softmax(l)[token] + confidence_temperature * gumbel``, untempered.

    Args:
        cond: (B, N, V) logits given the class.
        null: (B, N, V) logits given no class.
        guidance: (B,) guidance scale; 0 is none.
        temperature: (B,) sampling temperature, at least ``MIN_TEMPERATURE`` in effect.
        confidence_temperature: (B,) scale of the confidence's noise.
        tokens: (B, N) int64, ``mask_id`` where still masked.
        mask_id: The token that stands for "masked"; not necessarily inside the vocabulary.
        noise: Gumbel noise (B, N, V) for tokens and (B, N) for confidences.

    Returns:
        ``sampled`` (B, N) int64, where tokens that were not masked are kept, and
        ``confidence`` (B, N) float32 in nats, +inf for the kept tokens. A masked position with
        a non-finite logit, guidance or temperature has confidence NaN and token 0, which is a
        valid index of every later table.
    """
    xp = array_namespace(cond)
    guided = _guide(cond, null, guidance)
    scores = guided / _clamped(temperature)[:, None, None] + noise.token_gumbel(guided.shape)
    usable = _usable(guided, guidance, temperature)
    drawn = xp.where(usable, xp.argmax(scores, axis=-1), 0)
    log_probability = _log_softmax(guided)
    confidence = xp.take_along_axis(log_probability, drawn[..., None], axis=-1)[..., 0]
    disturbance = noise.confidence_gumbel(tokens.shape)
    confidence = confidence + confidence_temperature[:, None] * disturbance
    confidence = xp.where(usable, confidence, math.nan)
    masked = tokens == mask_id
    return xp.where(masked, drawn, tokens), xp.where(masked, confidence, math.inf)


@_quiet
def remask(sampled: Array, confidence: Array, mask_ratio: Array, mask_id: int) -> Array:
    """Mask the least confident tokens again.

    With ``n = min(floor(N * mask_ratio), N - 1)``, positions whose confidence is below the
    (n + 1)-th smallest become masked: n of them, or fewer where confidences are equal.

    Args:
        sampled: (B, N) int64 tokens, none masked.
        confidence: (B, N) float32; NaN counts as +inf, so that it masks nothing itself.
        mask_ratio: (B,) share to mask, clamped to [0, 1]; NaN masks nothing.
        mask_id: The token to write.

    Returns:
        (B, N) int64 tokens.
    """
    xp = array_namespace(confidence)
    count = confidence.shape[-1]
    ratio = xp.clip(xp.where(xp.isnan(mask_ratio), 0.0, mask_ratio), 0.0, 1.0)
    masked = xp.astype(xp.floor(xp.astype(ratio, xp.float32) * count), xp.int64)
    masked = xp.clip(masked, 0, count - 1)
    ranked = xp.sort(xp.where(xp.isnan(confidence), math.inf, confidence), axis=-1)
    threshold = xp.take_along_axis(ranked, masked[:, None], axis=-1)
    return xp.where(confidence < threshold, mask_id, sampled)


@_quiet
def sample_top_k_top_p(
    cond: Array,
    null: Array,
    guidance: Array,
    top_k: Array,
    top_p: Array,
    temperature: Array,
    noise: Noise,
) -> Array:
    """Sample every token from the guided distribution's head.

    VAR's rule (arXiv 2404.02905). With ``l = cond + guidance (cond - null)``, keep the
    ``int(top_k)`` largest and those equal to the smallest of them; of their ``softmax(l)``,
    summed from the least likely upwards (equal ones by index), drop entries while the sum is
    at most ``1 - top_p``; the last, most likely entry always stays. Then divide by the
    temperature and sample.

    Args:
        cond: (B, N, V) logits given the class.
        null: (B, N, V) logits given no class.
        guidance: (B,) guidance scale, already multiplied for the scale at hand.
        top_k: (B,) float32, truncated to an integer; all are kept if that is <= 0.
        top_p: (B,) probability to keep, clamped to [0, 1].
        temperature: (B,) sampling temperature, at least ``MIN_TEMPERATURE`` in effect.
        noise: Gumbel noise (B, N, V) for tokens.

    Returns:
        (B, N) int64 tokens; -1 at a position with a non-finite logit or parameter.
    """
    xp = array_namespace(cond)
    guided = _guide(cond, null, guidance)
    usable = _usable(guided, guidance, top_k, top_p, temperature)
    order = xp.argsort(guided, axis=-1, stable=True)
    ranked = xp.take_along_axis(guided, order, axis=-1)
    kept_ranks = _head(ranked, top_k, top_p)
    ranks = xp.argsort(order, axis=-1, stable=True)
    kept = xp.take_along_axis(kept_ranks, ranks, axis=-1)
    scores = guided / _clamped(temperature)[:, None, None] + noise.token_gumbel(guided.shape)
    return xp.where(usable, xp.argmax(xp.where(kept, scores, -math.inf), axis=-1), -1)


def normal(seeds: Array, shape: tuple[int, ...]) -> Array:
    """Draw standard normal noise for every sample by the Box-Muller transform.

    Args:
        seeds: (B,) int64 in [0, 2**63).
        shape: The shape of one sample.

    Returns:
        (B, *shape) float32.
    """
    xp = array_namespace(seeds)
    flat = normals(seeds, xp.zeros_like(seeds), Purpose.NORMAL, math.prod(shape))
    return xp.reshape(flat, (-1, *shape))


@_quiet
def to_pixels(image: Array, low: float, high: float) -> Array:
    """Convert a decoder's output to bytes, rounded half to even.

    Args:
        image: (B, C, H, W) float32; NaN, which no integer stands for, becomes 0.
        low: Value that becomes 0; smaller values become 0 too.
        high: Value that becomes 255; larger values become 255 too.

    Returns:
        (B, H, W, C) uint8.
    """
    xp = array_namespace(image)
    scaled = (xp.permute_dims(image, (0, 2, 3, 1)) - low) * (255 / (high - low))
    scaled = xp.clip(xp.where(xp.isnan(scaled), 0.0, scaled), 0.0, 255.0)
    return xp.astype(xp.round(scaled), xp.uint8)


class ReferenceOps:
    """The specification as an object that satisfies ``adagen_rt.ops.Ops``."""

    guided_sample = staticmethod(guided_sample)
    remask = staticmethod(remask)
    sample_top_k_top_p = staticmethod(sample_top_k_top_p)
    solver_update = staticmethod(solver_update)
    normal = staticmethod(normal)


def _column(values: Array, ndim: int) -> Array:
    """Give (B,) values trailing axes, to broadcast over a sample."""
    xp = array_namespace(values)
    return xp.reshape(values, (-1,) + (1,) * (ndim - 1))


def _guide(cond: Array, null: Array, guidance: Array) -> Array:
    """Return ``cond + guidance (cond - null)`` in float32."""
    xp = array_namespace(cond)
    cond, null = xp.astype(cond, xp.float32), xp.astype(null, xp.float32)
    return cond + _column(guidance, cond.ndim) * (cond - null)


def _clamped(temperature: Array) -> Array:
    xp = array_namespace(temperature)
    return xp.clip(temperature, MIN_TEMPERATURE, None)


def _usable(guided: Array, *parameters: Array) -> Array:
    """Return (B, N): whether a row's logits and its sample's parameters are all finite."""
    xp = array_namespace(guided)
    usable = xp.all(xp.isfinite(guided), axis=-1)
    for parameter in parameters:
        usable = usable & xp.isfinite(parameter)[:, None]
    return usable


def _log_softmax(logits: Array) -> Array:
    xp = array_namespace(logits)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def _head(ranked: Array, top_k: Array, top_p: Array) -> Array:
    """Return which of ascending logits (B, N, V) stay after top-k and then top-p."""
    xp = array_namespace(ranked)
    size = ranked.shape[-1]
    count = xp.where(xp.isfinite(top_k), xp.clip(top_k, 0, size), 0)
    count = xp.astype(count, xp.int64)
    count = xp.where(count > 0, count, size)
    smallest = xp.broadcast_to(_column(size - count, 3), (*ranked.shape[:-1], 1))
    kept = ranked >= xp.take_along_axis(ranked, smallest, axis=-1)
    weight = xp.where(kept, xp.exp(ranked - ranked[..., -1:]), 0.0)
    # Compared unnormalised: a share such as 1/28 would not sum to the exact boundary.
    limit = (1.0 - _column(xp.clip(top_p, 0.0, 1.0), 3)) * xp.sum(weight, axis=-1, keepdims=True)
    kept = kept & (xp.cumulative_sum(weight, axis=-1) > limit)
    return kept | (xp.arange(size, device=device(ranked)) == size - 1)
