"""The two diffusion processes of DiT and SiT, and the common part of every solver step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from array_api_compat import array_namespace, device

from adagen_rt.types import Array

Process = Literal["vp", "linear"]

# Classifier-free guidance acts on the first three of four latent channels.
GUIDED_CHANNELS = 3

# Families keep all times but SiT's first within [0.01, 0.99]. That one may be as early as a policy
# likes, and the network is asked at it, so it must not be moved; but at 0 the logarithm of
# alpha / sigma still has to be finite, and so does its exponential in float32.
TIME_FLOOR = 1e-30
TIME_CEILING = {"vp": 1.0, "linear": 1.0 - 1e-3}

# The variance-preserving noise rate rises linearly from BETA_0 to BETA_1 over time [0, 1].
BETA_0, BETA_1 = 0.1, 20.0


def clamp_time(time: Array, process: Process) -> Array:
    """Clamp times to where both scales of a process are positive; NaN stays NaN."""
    xp = array_namespace(time)
    return xp.clip(time, TIME_FLOOR, TIME_CEILING[process])


def scales(time: Array, process: Process) -> tuple[Array, Array]:
    """Return the signal scale alpha and the noise scale sigma at ``time``.

    ``"vp"`` (DiT): ``log alpha = -t^2 (beta_1 - beta_0) / 4 - t beta_0 / 2`` and
    ``sigma = sqrt(1 - alpha^2)``. ``"linear"`` (SiT): ``alpha = t``, ``sigma = 1 - t``.
    """
    xp = array_namespace(time)
    if process == "linear":
        return time, 1.0 - time
    log_alpha = -(time**2) * ((BETA_1 - BETA_0) / 4) - time * (BETA_0 / 2)
    # expm1 keeps the digits of 1 - alpha^2 when alpha is close to 1.
    return xp.exp(log_alpha), xp.sqrt(-xp.expm1(2 * log_alpha))


def half_log_snr(time: Array, process: Process) -> Array:
    """Return lambda = log(alpha / sigma), in which solvers measure their steps."""
    alpha, sigma = scales(time, process)
    xp = array_namespace(time)
    return xp.log(alpha) - xp.log(sigma)


def predicted_data(x: Array, prediction: Array, time: Array, process: Process) -> Array:
    """Return the clean latent that a network's prediction at ``time`` implies.

    ``"vp"`` networks predict the noise e: ``(x - sigma e) / alpha``. ``"linear"`` networks
    predict the velocity v; its noise ``x - t v`` put into the same formula leaves
    ``x + (1 - t) v``.
    """
    alpha, sigma = scales(time, process)
    if process == "linear":
        return x + sigma * prediction
    return (x - sigma * prediction) / alpha


class Update(Protocol):
    """One evaluation's worth of a solver, as a pure function over the array API.

    Takes the arguments of ``solver_update`` with guidance done: ``prediction`` (B, C, H, W),
    and ``times`` (s, s1, t), clamped, and ``phase`` as columns (B, 1, 1, 1).
    """

    def __call__(
        self,
        x: Array,
        anchor: Array,
        anchor_data: Array,
        prediction: Array,
        times: tuple[Array, Array, Array],
        phase: Array,
        process: Process,
    ) -> tuple[Array, Array, Array]:
        """Return ``(x, anchor, anchor_data)``."""
        ...


@dataclass(frozen=True)
class Solver:
    """A solver, which moves the latents from one evaluation of the network to the next.

    ``families/diffusion/solvers`` has the rows.

    Attributes:
        name: Name in the manifest.
        code: Number in ``Solver`` of ``cpp_ext/ops.h``.
        evaluations: Network evaluations of one solver step.
        update: Specification of the update, a pure function over the array API.
    """

    name: str
    code: int
    evaluations: int
    update: Update


@np.errstate(invalid="ignore", over="ignore")
def solver_update(
    x: Array,
    anchor: Array,
    anchor_data: Array,
    cond: Array,
    null: Array,
    guidance: Array,
    times: Array,
    phase: Array,
    process: Process,
    solver: Solver,
) -> tuple[Array, Array, Array]:
    """Advance latents by one network evaluation of a solver step from time s to t.

    A solver whose step takes a second evaluation makes it at a time s1 between them, at
    latents x_s1. Samples may be in any phase.

    Args:
        x: (B, C, H, W) float32 latents.
        anchor: (B, C, H, W) x_s of a sample in phase 1; not read in phase 0.
        anchor_data: (B, C, H, W) D_s of a sample in phase 1; not read in phase 0.
        cond: (B, C, H, W) prediction given the class: noise for ``"vp"``, velocity for
            ``"linear"``.
        null: (B, C, H, W) prediction given no class.
        guidance: (B,) scale; the first three channels become ``cond + guidance (cond - null)``.
        times: (B, 3) float32 (s, s1, t), clamped as in ``clamp_time``.
        phase: (B,) int64, evaluations of the solver step so far.
        process: ``"vp"`` (DiT) or ``"linear"`` (SiT).
        solver: The row of the solver.

    Returns:
        ``(x, anchor, anchor_data)``: the advanced latents, and x_s and D_s, the clean latents
        predicted there, which phase 0 sets and later ones keep.
    """
    times = clamp_time(times, process)
    s, s1, t = (_column(times[:, i]) for i in range(3))
    prediction = _guide(cond, null, guidance)
    return solver.update(x, anchor, anchor_data, prediction, (s, s1, t), _column(phase), process)


def _column(values: Array) -> Array:
    """Give (B,) values three trailing axes, to broadcast over latents."""
    return values[:, None, None, None]


def _guide(cond: Array, null: Array, guidance: Array) -> Array:
    """Guide the first three channels: ``cond + guidance (cond - null)``."""
    xp = array_namespace(cond)
    channel = xp.arange(cond.shape[1], device=device(cond))[None, :, None, None]
    guided = cond + _column(guidance) * (cond - null)
    return xp.where(channel < GUIDED_CHANNELS, guided, cond)
