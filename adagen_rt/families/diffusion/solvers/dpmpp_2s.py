"""Singlestep DPM-Solver++(2S): second order, two evaluations a step.

Lu et al., "DPM-Solver++" (arXiv 2211.01095), algorithm 1.
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

# Floor of the solver's first half step, in units of lambda = log(alpha / sigma).
MIN_HALF_STEP = 0.01


def update(
    x: Array,
    anchor: Array,
    anchor_data: Array,
    prediction: Array,
    times: tuple[Array, Array, Array],
    phase: Array,
    process: Process,
) -> tuple[Array, Array, Array]:
    """Advance latents by half a solver step; samples may be in either half.

    In data prediction D, from time s through s1 to t with lambda = log(alpha / sigma):

        phase 0, x = x_s:
            x_s1 = (sigma_s1 / sigma_s) x - alpha_s1 expm1(-(lambda_s1 - lambda_s)) D_s
        phase 1, x = x_s1, with h = lambda_t - lambda_s:
            x_t  = (sigma_t / sigma_s) x_s - alpha_t expm1(-h) D_s
                   - 0.5 alpha_t expm1(-h) h / max(lambda_s1 - lambda_s, 0.01) (D_s1 - D_s)

    The last term is left out where t is at data, and h thus has no end.
    """
    xp = array_namespace(x)
    s, s1, t = times
    first = phase == 0
    data = predicted_data(x, prediction, xp.where(first, s, s1), process)
    anchor, anchor_data = xp.where(first, x, anchor), xp.where(first, data, anchor_data)
    half_step = half_log_snr(s1, process) - half_log_snr(s, process)
    end = xp.where(first, s1, t)
    step = half_log_snr(end, process) - half_log_snr(s, process)
    alpha, sigma = scales(end, process)
    decay = alpha * xp.expm1(-step)
    advanced = sigma / scales(s, process)[1] * anchor - decay * anchor_data
    ratio = step / xp.clip(half_step, MIN_HALF_STEP, None)
    correction = 0.5 * decay * ratio * (data - anchor_data)
    plain = first | (sigma < NO_NOISE)
    return advanced - xp.where(plain, 0.0, correction), anchor, anchor_data


DPMPP_2S = Solver("dpmpp_2s", code=0, evaluations=2, update=update)
