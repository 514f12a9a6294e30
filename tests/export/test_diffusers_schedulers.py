"""Whatever a scheduler's options are: it is refused by name, or its steps are ours."""

import json
import random
from itertools import pairwise

import numpy as np
import pytest

diffusers = pytest.importorskip("diffusers")

import torch

from adagen_rt.errors import RecipeError
from adagen_rt.export.diffusers.schedulers import Grid, read_sampler
from adagen_rt.families.diffusion.solvers import SOLVERS
from adagen_rt.ops.solver import Process, solver_update

pytestmark = pytest.mark.filterwarnings("ignore")
BETAS = {
    "num_train_timesteps": [1000, 1000, 500],
    "beta_start": [0.0001, 0.00085, 1e-5],
    "beta_end": [0.02, 0.012, 0.03],
    "beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2"],
    "steps_offset": [0, 1, 3],
}
OPTIONS = {
    "FlowMatchEulerDiscreteScheduler": {
        "shift": [1.0, 3.0, 0.3, 12.5],
        "use_dynamic_shifting": [False, True],
        "base_shift": [0.5, -1.0],
        "max_shift": [1.15, 0.9],
        "base_image_seq_len": [16, 256],
        "max_image_seq_len": [1024, 4096],
        "time_shift_type": ["exponential", "linear"],
        "shift_terminal": [None, None, 0.1],
        "use_karras_sigmas": [False, False, True],
    },
    "DPMSolverMultistepScheduler": {
        **BETAS,
        "solver_order": [1, 2, 2, 3],
        "prediction_type": ["epsilon", "flow_prediction"],
        "use_flow_sigmas": [False, True],
        "flow_shift": [1.0, 3.0],
        "lower_order_final": [True, False],
        "euler_at_final": [True, False],
        "timestep_spacing": ["linspace", "leading", "trailing"],
        "lambda_min_clipped": [-float("inf"), -10.0, -3.0],
        "final_sigmas_type": ["zero", "zero", "sigma_min"],
    },
    "DDIMScheduler": {
        **BETAS,
        "clip_sample": [False],
        "set_alpha_to_one": [True, False],
        "timestep_spacing": ["leading", "leading", "trailing"],
        "sample_max_value": [1.0, 2.0],
    },
}
STEPS = [1, 2, 3, 7, 14, 20, 50, 333]
TOKENS = 64


def network(x, told):
    """What a network that is told a time of 0 to 1000 says."""
    told = torch.as_tensor(told)
    return torch.sin(1.3 * x + told / 300) + 0.3 * x * torch.cos(told / 500)


def their_steps(scheduler, steps, own, x):
    told = {}
    if own or scheduler.config.get("use_dynamic_shifting"):
        ends = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
        low, high, least, most = (scheduler.config[name] for name in ends)
        told["mu"] = least + (TOKENS - low) * (most - least) / (high - low)
    if own:
        told["sigmas"] = np.linspace(1, 1 / steps, steps)
    scheduler.set_timesteps(steps, **told)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t.double()), t, x, return_dict=False)[0]
    return x.numpy()


def our_steps(sampler, steps, x):
    times = sampler.time.values(steps, steps + 1)
    flow, multistep = sampler.family == "flow", SOLVERS[sampler.solver].multistep
    process = Process("linear") if flow else Process("vp", sampler.log_alpha)
    x = anchor = data = x.numpy()
    for place, (now, after) in enumerate(pairwise(times)):
        told = (1 - now) * 1000 if flow else now * 1000 - 1
        told = np.floor(told + 1e-3) if sampler.whole else told
        said = network(torch.from_numpy(x), told).numpy() * (-1 if flow else 1)
        between = times[max(place - 1, 0)] if multistep else after
        span, phase = np.array([[now, between, after]]), np.array([min(place, 1) * multistep])
        state = x, anchor, data, said, said, np.zeros(1), span, phase
        x, anchor, data = solver_update(*state, process, SOLVERS[sampler.solver], x.shape[1])
    return x


def read(folder, name, own):
    """The sampler, or what is said against it."""
    try:
        return read_sampler(folder, name, Grid(TOKENS, own=own)), None
    except RecipeError as error:
        return None, str(error)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("seed", range(24))
def test_its_steps_are_ours_or_it_is_refused(tmp_path, name, seed):
    draw = random.Random(seed)
    options = {key: draw.choice(values) for key, values in OPTIONS[name].items()}
    options = {key: value for key, value in options.items() if draw.random() < 0.4}
    options |= {"clip_sample": False} if name == "DDIMScheduler" else {}
    steps, own = draw.choice(STEPS), name.startswith("Flow") and draw.random() < 0.5
    content = {"_class_name": name, **options}
    (tmp_path / "scheduler_config.json").write_text(json.dumps(content))
    sampler, refused = read(tmp_path, name, own)
    if sampler is None:
        assert any(key in refused for key in options)
        return
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 4, 4, 4)))
    theirs = their_steps(getattr(diffusers, name)(**options), steps, own, noise)
    error = np.abs(our_steps(sampler, steps, noise) - theirs).max() / theirs.std()
    assert error < 1e-3, (options, steps, own)
