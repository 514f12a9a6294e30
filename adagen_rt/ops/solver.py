"""The two kinds of diffusion process, and the common part of every solver step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from array_api_compat import array_namespace, device

from adagen_rt.types import Array

Kind = Literal["vp", "linear"]

# Classifier-free guidance of DiT and SiT acts on the first three of four latent channels.
GUIDED_CHANNELS: Final = 3

# A network is asked at the very time that a policy chooses, so that no time may be moved by what
# matters; but at either end the logarithm of alpha / sigma still has to be finite, and so does
# its exponential in float32.
TIME_FLOOR, SIGMA_FLOOR = 1e-30, 1e-7
# A noise scale below this is none: the step ends at data, where lambda says nothing any more.
NO_NOISE = 2e-7

# The noise rate of DiT rises linearly from BETA_0 to BETA_1 over time [0, 1].
BETA_0, BETA_1 = 0.1, 20.0
# Largest degree of a polynomial of log alpha; ``kDegree`` of cpp_ext/ops.h.
MAX_DEGREE: Final = 8


@dataclass(frozen=True)
class Process:
    """How data turn into noise over time.

    Attributes:
        kind: ``"vp"``: variance-preserving, from data at 0 to noise at 1; or ``"linear"``: the
            straight path from noise at 0 to data at 1.
        log_alpha: Coefficients of t, t^2, ... of the logarithm of a variance-preserving
            process's signal scale, `MAX_DEGREE` at most.
    """

    kind: Kind
    log_alpha: tuple[float, ...] = (-BETA_0 / 2, -(BETA_1 - BETA_0) / 4)


#: The processes of DiT and SiT, by kind.
PROCESSES: dict[Kind, Process] = {"vp": Process("vp"), "linear": Process("linear")}


def clamp_time(time: Array) -> Array:
    """Clamp times to [0, 1], to where the signal of a linear process is not 0; NaN stays NaN."""
    xp = array_namespace(time)
    return xp.clip(time, TIME_FLOOR, 1.0)


def scales(time: Array, process: Process) -> tuple[Array, Array]:
    """Return the signal scale alpha and the noise scale sigma at ``time``.

    ``"vp"``: ``log alpha`` is a polynomial, of DiT ``-t^2 (beta_1 - beta_0) / 4 - t beta_0 / 2``,
    and ``sigma = sqrt(1 - alpha^2)``. ``"linear"``: ``alpha = t``, ``sigma = 1 - t``.
    """
    xp = array_namespace(time)
    if process.kind == "linear":
        return time, xp.clip(1.0 - time, SIGMA_FLOOR, None)
    log_alpha = xp.zeros_like(time)
    for coefficient in reversed(process.log_alpha):
        log_alpha = (log_alpha + coefficient) * time
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
    if process.kind == "linear":
        return x + sigma * prediction
    return (x - sigma * prediction) / alpha


class Update(Protocol):
    """One evaluation's worth of a solver, as a pure function over the array API.

    Takes the arguments of ``solver_update`` with guidance done: ``prediction`` (B, C, H, W),
    and ``times`` (s, s1, t), clamped, and ``phase`` as columns (B, 1, 1, 1). Of a multistep
    solver s1 is the time of the evaluation before.
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
        multistep: Whether a step uses the data prediction of the step before, which
            ``anchor_data`` holds; then phase 0 is the first step, and 1 every later one.
    """

    name: str
    code: int
    evaluations: int
    update: Update
    multistep: bool = False

    @property
    def order(self) -> int:
        """Power of the step's length that the error falls with."""
        return 2 if self.multistep else self.evaluations


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
    guided: int = GUIDED_CHANNELS,
) -> tuple[Array, Array, Array]:
    """Advance latents by one network evaluation of a solver step from time s to t.

    A solver whose step takes a second evaluation makes it at a time s1 between them, at
    latents x_s1. Samples may be in any phase. A multistep solver takes one evaluation a step, and
    s1 is the time of the one before.

    Args:
        x: (B, C, H, W) float32 latents.
        anchor: (B, C, H, W) x_s of a sample in phase 1; not read in phase 0.
        anchor_data: (B, C, H, W) D_s of a sample in phase 1, of a multistep solver D_s1; not
            read in phase 0.
        cond: (B, C, H, W) prediction given the class: noise for ``"vp"``, velocity for
            ``"linear"``.
        null: (B, C, H, W) prediction given no class.
        guidance: (B,) scale; guided channels become ``cond + guidance (cond - null)``.
        times: (B, 3) float32 (s, s1, t), clamped as in ``clamp_time``.
        phase: (B,) int64, evaluations of the solver step so far; of a multistep solver 0 at the
            first step and 1 later.
        process: How data turn into noise.
        solver: The row of the solver.
        guided: Number of the channels, the first ones, that are guided.

    Returns:
        ``(x, anchor, anchor_data)``: the advanced latents, and x_s and D_s, the clean latents
        predicted there, which phase 0 sets and later ones keep; a multistep solver always sets
        them.
    """
    times = clamp_time(times)
    s, s1, t = (_column(times[:, i]) for i in range(3))
    prediction = _guide(cond, null, guidance, guided)
    return solver.update(x, anchor, anchor_data, prediction, (s, s1, t), _column(phase), process)


def _column(values: Array) -> Array:
    """Give (B,) values three trailing axes, to broadcast over latents."""
    return values[:, None, None, None]


def _guide(cond: Array, null: Array, guidance: Array, channels: int) -> Array:
    """Guide the first channels: ``cond + guidance (cond - null)``."""
    xp = array_namespace(cond)
    channel = xp.arange(cond.shape[1], device=device(cond))[None, :, None, None]
    guided = cond + _column(guidance) * (cond - null)
    return xp.where(channel < channels, guided, cond)
