"""Euler's method on the data prediction: first order, one evaluation a step.

The exponential integrator of order one, DPM-Solver++(1) of Lu et al. (arXiv 2211.01095,
section 4): exact where the data prediction is constant. In the variance-preserving process it
is DDIM without noise (Song et al., arXiv 2010.02502, equation 12); in the linear one it is
Euler's method on the velocity.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from adagen_rt.ops.solver import Process, Solver, half_log_snr, predicted_data, scales
from adagen_rt.types import Array


def update(
    x: Array,
    anchor: Array,
    anchor_data: Array,
    prediction: Array,
    times: tuple[Array, Array, Array],
    phase: Array,
    process: Process,
) -> tuple[Array, Array, Array]:
    """Advance latents by a whole solver step, from s to t; the middle time is not read.

    With the data prediction D and h = lambda_t - lambda_s:

        x_t = (sigma_t / sigma_s) x_s - alpha_t expm1(-h) D

    In the linear process D = x_s + (1 - s) v, and since alpha_t expm1(-h) = (s - t) / (1 - s),
    the divisions by 1 - s cancel: x_t = x_s + (t - s) v.
    """
    s, _, t = times
    data = predicted_data(x, prediction, s, process)
    if process.kind == "linear":
        return x + (t - s) * prediction, x, data
    xp = array_namespace(x)
    step = half_log_snr(t, process) - half_log_snr(s, process)
    alpha, sigma = scales(t, process)
    advanced = sigma / scales(s, process)[1] * x - alpha * xp.expm1(-step) * data
    return advanced, x, data


EULER = Solver("euler", code=1, evaluations=1, update=update)
