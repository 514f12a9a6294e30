"""Images of the trainer's loop, to compare those of exported engines with."""

import numpy as np
import torch
from tiny_recipes import tiny_environment, tiny_networks

from adagen_rt.models.random import keyed_generator
from adagen_rt.training.policy.rollout import Exploration, rollout


def trainers_images(recipe, labels, seeds):
    """Make images (B, H, W, c) uint8 and the schedule with a recipe's tiny networks in PyTorch."""
    networks = tiny_networks(recipe)
    environment = tiny_environment(recipe, networks)
    policy = environment.multi_scale(networks.policy)
    drawn = Exploration.draw(environment, len(labels), 0.0, keyed_generator(0))
    rows = {"labels": torch.tensor(labels)}
    played = rollout(environment, policy, rows, torch.tensor(seeds), Exploration(0.0, drawn.noise))
    pixels = (255 * played.images).round().byte().movedim(1, -1).numpy()
    columns = played.actions.movedim(-1, 0).numpy()
    return pixels, dict(zip(recipe.schedule.names, columns, strict=True))


def assert_alike(images, schedule, made):
    """Compare images and schedule with a result."""
    assert images.shape == made.images.shape
    assert np.abs(images.astype(int) - made.images).max() <= 1
    for name, values in made.schedule.items():
        np.testing.assert_allclose(schedule[name], values, rtol=1e-3, atol=1e-5, err_msg=name)
