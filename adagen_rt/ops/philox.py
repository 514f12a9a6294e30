"""Philox 4x32-10, the counter-based generator of every random number of a sample.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A
counter and a key give four 32-bit words; nothing is carried from one call to the next, so a
sample's noise does not depend on its neighbours or on how the work is split.

Written over the array API in int64: a 32 x 32-bit product does not fit, so the multiplicand
is split into 16-bit halves, which NumPy and PyTorch then compute alike.
"""

from __future__ import annotations

from enum import IntEnum

from array_api_compat import array_namespace, device

from adagen_rt.types import Array

_WORD = 0xFFFFFFFF
_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)


class Purpose(IntEnum):
    """Use of a random number; a part of its counter, so that streams never overlap."""

    TOKEN = 0
    CONFIDENCE = 1
    NORMAL = 2
    ACTION = 3
    SEED = 4


def _product(multiplier: int, word: Array) -> tuple[Array, Array]:
    """Return the high and low 32 bits of ``multiplier * word`` for words in [0, 2**32)."""
    high_part = word * (multiplier >> 16)
    low_part = word * (multiplier & 0xFFFF)
    high = (high_part + (low_part >> 16)) >> 16
    low = (((high_part & 0xFFFF) << 16) + low_part) & _WORD
    return high, low


def philox4x32(
    counter: tuple[Array, Array, Array, Array], key: tuple[Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """Return the four output words of Philox 4x32-10.

    Args:
        counter: Four int64 arrays of 32-bit words; they and the key broadcast together.
        key: Two int64 arrays of 32-bit words.

    Returns:
        Four int64 arrays, each value in [0, 2**32).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = _product(_MULTIPLIERS[0], c0)
        high1, low1 = _product(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = (k0 + _KEY_INCREMENTS[0]) & _WORD
        k1 = (k1 + _KEY_INCREMENTS[1]) & _WORD
    return c0, c1, c2, c3


def words(seeds: Array, steps: Array, purpose: Purpose, count: int) -> Array:
    """Return the first ``count`` random words of every sample.

    Args:
        seeds: (B,) int64 in [0, 2**63), the key of each sample.
        steps: (B,) int64 in [0, 2**32), the step each sample is at.
        purpose: Use of the words.
        count: Words per sample.

    Returns:
        (B, count) int64, each value in [0, 2**32).
    """
    xp = array_namespace(seeds)
    blocks = xp.arange((count + 3) // 4, dtype=xp.int64, device=device(seeds))[None, :]
    zero = xp.zeros_like(blocks)
    seed, step = seeds[:, None], steps[:, None]
    lanes = philox4x32((blocks, zero + int(purpose), step, zero), (seed & _WORD, seed >> 32))
    return xp.reshape(xp.stack(lanes, axis=-1), (seeds.shape[0], -1))[:, :count]


def uniform(words: Array) -> Array:
    """Map random words to float32 strictly inside (0, 1).

    The top 23 bits and a half make every value exact in float32, so that no two
    implementations can round it differently.
    """
    xp = array_namespace(words)
    return (xp.astype(words >> 9, xp.float32) + 0.5) * 2.0**-23
