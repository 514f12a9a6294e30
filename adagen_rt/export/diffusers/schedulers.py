"""Schedulers of diffusers as solvers and static schedules.

Every option of a scheduler is either honoured here, or one that changes nothing, or has to have
the one value that changes nothing: the others are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
from pydantic import ValidationError

from adagen_rt.engine.solver_times import DynamicShift, Shifted, Spaced
from adagen_rt.engine.static_schedules import StaticSchedule
from adagen_rt.engine.validation import describe_faults
from adagen_rt.errors import RecipeError, shown
from adagen_rt.export.diffusers.objects import read_object
from adagen_rt.ops.solver import MAX_DEGREE

#: Steps of the training that the networks are told times in.
TRAINED = 1000
#: Largest relative error of a fitted log alpha.
FIT = 1e-7
#: Smallest slope of log alpha at data: one that rises there has no noise scale.
NOISELESS = -1e-6


@dataclass(frozen=True)
class Sampler:
    """What a scheduler is in an engine.

    Attributes:
        family: ``diffusion`` or ``flow``.
        solver: Name of the solver.
        time: Static schedule of the times.
        log_alpha: Noise schedule of a diffusion.
        whole: Whether the network is asked at whole steps of the training only.
    """

    family: str
    solver: str
    time: StaticSchedule
    log_alpha: tuple[float, ...] | None = None
    whole: bool = False


@dataclass(frozen=True)
class Grid:
    """What a pipeline tells its scheduler.

    Attributes:
        tokens: Patches of the latents, which dynamic shifts depend on.
        own: Whether the noise scales are the pipeline's: from 1 to one over the number of steps.
        told: Whether the scheduler is told of the patches; pipelines that do not fail at a dynamic
            shift.
    """

    tokens: int
    own: bool = False
    told: bool = True


@dataclass(frozen=True)
class Row:
    """One scheduler.

    Attributes:
        read: Makes a sampler of its complete configuration.
        honoured: Options that `read` reads.
        fixed: Options that have to have this value.
        idle: Options that change nothing beside those.
    """

    read: Callable[[Any, Grid], Sampler]
    honoured: str
    fixed: Mapping[str, Any]
    idle: str = ""

    def faults(self, config: Mapping[str, Any]) -> list[str]:
        """Tell of every option that this cannot honour."""
        known = {*self.honoured.split(), *self.idle.split(), *self.fixed}
        faults = [
            f"{name}: got {config[name]!r:.60}, expected {value!r}"
            for name, value in self.fixed.items()
            if name in config and config[name] != value
        ]
        unknown = sorted(name for name in config if name not in known and name[0] != "_")
        return faults + [f"{name}: unknown option" for name in unknown]


def read_sampler(folder: Path, name: str, grid: Grid) -> Sampler:
    """Read a pipeline's scheduler.

    Args:
        folder: The scheduler's folder.
        name: Class of the scheduler that the pipeline's index names.
        grid: What the pipeline tells it.

    Raises:
        RecipeError: It is of another class, or an option is unknown; the message tells of each.
    """
    path = folder / "scheduler_config.json"
    given = read_object(path, "scheduler")
    if (kind := given.get("_class_name")) != name:
        expected = f"{name}, as in the pipeline's index"
        raise RecipeError(f"{path}: _class_name: got {shown(kind, 80)}, expected {expected}")
    row = SCHEDULERS[name]
    # Before the class sees them, which would drop what it does not know.
    if faults := row.faults(given):
        raise RecipeError(f"{path}: {'; '.join(faults)}")
    try:
        scheduler = getattr(diffusers, name).from_config(given)
    except Exception as error:  # the library raises nothing more exact
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from None
    if faults := row.faults(scheduler.config):
        raise RecipeError(f"{path}: {'; '.join(faults)}")
    try:
        return row.read(scheduler, grid)
    except ValidationError as error:
        raise RecipeError(f"{path}: {describe_faults(error)}") from None
    except ValueError as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from None


def _flow_euler(scheduler: Any, grid: Grid) -> Sampler:
    config = scheduler.config
    shift, dynamic = config.shift, None
    if config.use_dynamic_shifting:
        if not grid.told:
            raise ValueError("use_dynamic_shifting: got True, expected False of this pipeline")
        names = (*_SHIFTS, "time_shift_type")
        dynamic = DynamicShift(**{name: config[name] for name in names})
        shift = dynamic.shift(grid.tokens)
    if grid.own:
        return Sampler("flow", "euler", Shifted(shift=shift, dynamic=dynamic))
    # These have the shift already, which is then made once more.
    first, last = scheduler.sigma_max, scheduler.sigma_min
    time = Shifted(shift=shift, first=first, last=last, dynamic=dynamic)
    return Sampler("flow", "euler", time)


def _ddim(scheduler: Any, grid: Grid) -> Sampler:
    config = scheduler.config
    count = config.num_train_timesteps
    end = 0.0 if config.set_alpha_to_one else 1 / count
    time = Spaced(spacing="leading", count=count, offset=config.steps_offset, end=end)
    return Sampler("diffusion", "euler", time, _log_alpha(scheduler))


def _dpm_multistep(scheduler: Any, grid: Grid) -> Sampler:
    config = scheduler.config
    if config.solver_order not in (1, 2):
        raise ValueError(f"solver_order: got {config.solver_order}, expected 1 or 2")
    solver = "euler" if config.solver_order == 1 else "dpmpp_2m"
    flow = config.prediction_type == "flow_prediction"
    if config.prediction_type not in ("epsilon", "flow_prediction"):
        expected = "'epsilon' or 'flow_prediction'"
        raise ValueError(f"prediction_type: got {config.prediction_type!r}, expected {expected}")
    if flow != config.use_flow_sigmas:
        expected = f"{flow} with the prediction_type {config.prediction_type!r}"
        raise ValueError(f"use_flow_sigmas: got {config.use_flow_sigmas}, expected {expected}")
    count = config.num_train_timesteps
    if flow:
        time = Shifted(shift=config.flow_shift, first=1 - 1 / count)
        return Sampler("flow", solver, time, whole=True)
    if bool((scheduler.lambda_t < config.lambda_min_clipped).any()):
        raise ValueError(f"lambda_min_clipped: got {config.lambda_min_clipped}, expected '-inf'")
    spacing, offset = config.timestep_spacing, config.steps_offset
    spaced = Spaced(spacing=spacing, count=count, offset=offset, spare=spacing != "trailing")
    return Sampler("diffusion", solver, spaced, _log_alpha(scheduler))


def _log_alpha(scheduler: Any) -> tuple[float, ...]:
    """Fit a polynomial without a constant to log alpha of a scheduler's steps.

    Raises:
        ValueError: No polynomial is close.
    """
    betas = scheduler.betas.double().numpy()
    exact = np.cumsum(np.log1p(-betas)) / 2
    times = (np.arange(len(betas)) + 1) / len(betas)
    for degree in range(2, MAX_DEGREE + 1):
        powers = np.stack([times**power for power in range(1, degree + 1)], axis=1)
        relative = powers / exact[:, None]
        fitted, *_ = np.linalg.lstsq(relative, np.ones(len(betas)), rcond=None)
        if np.abs(relative @ fitted - 1).max() < FIT:
            if fitted[0] > NOISELESS:
                start = scheduler.config.beta_start
                raise ValueError(f"beta_start: got {start}, expected more noise at the first step")
            return tuple(map(float, fitted))
    kind = "trained_betas" if scheduler.config.trained_betas is not None else "beta_schedule"
    expected = "one whose log alpha is a polynomial, as of 'linear' and 'scaled_linear'"
    raise ValueError(f"{kind}: got {scheduler.config[kind]!r:.60}, expected {expected}")


_SHIFTS = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")
_DYNAMIC = " ".join(("use_dynamic_shifting", *_SHIFTS))
_BETAS = "beta_start beta_end beta_schedule trained_betas steps_offset"
_THRESHOLDS = "dynamic_thresholding_ratio sample_max_value"
_SIGMAS = dict.fromkeys(("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"), False)
_STEPS = {"num_train_timesteps": TRAINED}
_PLAIN = {**_STEPS, "thresholding": False, "rescale_betas_zero_snr": False}

#: Rows of the schedulers, by class name.
SCHEDULERS: dict[str, Row] = {
    "FlowMatchEulerDiscreteScheduler": Row(
        _flow_euler,
        f"shift {_DYNAMIC} time_shift_type",
        {
            **_STEPS,
            "invert_sigmas": False,
            "shift_terminal": None,
            "stochastic_sampling": False,
            **_SIGMAS,
        },
    ),
    "DDIMScheduler": Row(
        _ddim,
        f"{_BETAS} set_alpha_to_one",
        {
            **_PLAIN,
            "clip_sample": False,
            "prediction_type": "epsilon",
            "timestep_spacing": "leading",
        },
        f"clip_sample_range {_THRESHOLDS}",
    ),
    "DPMSolverMultistepScheduler": Row(
        _dpm_multistep,
        f"{_BETAS} timestep_spacing solver_order prediction_type use_flow_sigmas flow_shift "
        "lambda_min_clipped",
        {
            **_PLAIN,
            **_SIGMAS,
            "use_lu_lambdas": False,
            "algorithm_type": "dpmsolver++",
            "solver_type": "midpoint",
            "final_sigmas_type": "zero",
            "variance_type": None,
            "use_dynamic_shifting": False,
        },
        # The last step is of the first order anyway where it ends without noise.
        f"lower_order_final euler_at_final time_shift_type {_THRESHOLDS}",
    ),
}
