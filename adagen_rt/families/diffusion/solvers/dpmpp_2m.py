"""Multistep DPM-Solver++(2M): second order, one evaluation a step.

Lu et al., "DPM-Solver++" (arXiv 2211.01095), algorithm 2, with the midpoint's coefficients.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from adagen_rt.ops.solver import (
    NO_NOISE,
    Process,
    Solver,
    half_log_snr,
    predicted_data,
    scales,
)
from adagen_rt.types import Array

# A step before that is shorter, in units of lambda = log(alpha / sigma), tells nothing of the way
# that data predictions go: a policy may choose none.
MIN_STEP = 1e-4


def update(
    x: Array,
    anchor: Array,
    anchor_data: Array,
    prediction: Array,
    times: tuple[Array, Array, Array],
    phase: Array,
    process: Process,
) -> tuple[Array, Array, Array]:
    """Advance latents by a whole solver step, from s to t; r is the time of the step before.

    With the data predictions D_s and D_r and h = lambda_t - lambda_s:

        x_t = (sigma_t / sigma_s) x - alpha_t expm1(-h) D_s
              - 0.5 alpha_t expm1(-h) h / (lambda_s - lambda_r) (D_s - D_r)

    The last term is left out in the first step, after a step of no length, and where t is at data,
    and h thus has no end.
    """
    xp = array_namespace(x)
    s, r, t = times
    data = predicted_data(x, prediction, s, process)
    step = half_log_snr(t, process) - half_log_snr(s, process)
    before = half_log_snr(s, process) - half_log_snr(r, process)
    alpha, sigma = scales(t, process)
    decay = alpha * xp.expm1(-step)
    advanced = sigma / scales(s, process)[1] * x - decay * data
    plain = (phase == 0) | (sigma < NO_NOISE) | (before < MIN_STEP)
    change = data - xp.where(plain, data, anchor_data)
    correction = 0.5 * decay * (step / xp.clip(before, MIN_STEP, None)) * change
    return advanced - correction, x, data


DPMPP_2M = Solver("dpmpp_2m", code=2, evaluations=1, update=update, multistep=True)
