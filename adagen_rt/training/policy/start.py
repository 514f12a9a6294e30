"""Where a policy's training starts, other than from the static schedule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from adagen_rt.engine.schedule import ScheduleSpec
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.misfit import State

#: The policy's last layer, a row an action.
LAST_LAYER = ("linear3.weight", "linear3.bias")


def load_start(folder: Path, networks: Mapping[str, nn.Module], schedule: ScheduleSpec) -> None:
    """Load the networks that another run left.

    A policy that may stop can start from one that could not, whose other actions it takes.
    Critic and discriminator are taken if they are there.

    Raises:
        CheckpointError: There is no policy, or a network does not fit.
    """
    for name, network in networks.items():
        path = folder / f"{name}.safetensors"
        if name == "policy" or path.is_file():
            state = load_state(path)
            load_strict(network, _widened(state, schedule) if name == "policy" else state)


def _widened(state: State, schedule: ScheduleSpec) -> State:
    """Add the row of `stop`, zeros, to a policy's weights if that is all they lack."""
    last = {name: state[name] for name in LAST_LAYER if name in state}
    lacking = all(len(rows) == len(schedule.actions) - 1 for rows in last.values())
    if schedule.stop is None or not lacking:
        return state
    stop = schedule.stop
    wider = {
        name: torch.cat([rows[:stop], torch.zeros_like(rows[:1]), rows[stop:]])
        for name, rows in last.items()
    }
    return {**state, **wider}
