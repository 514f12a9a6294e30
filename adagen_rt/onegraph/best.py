"""Best-of: an outer loop of the model makes the candidates, and keeps one of each sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adagen_rt.onegraph.looping import write_loop
from adagen_rt.onegraph.traced import Traced
from adagen_rt.ops.philox import Purpose, words

Outputs = dict[str, Traced]


def best_of(
    count: int,
    seeds: Traced,
    blank: Outputs,
    generate: Callable[[Traced], Outputs],
    score: Callable[[Traced], Traced],
) -> Outputs:
    """Make candidates of every sample and keep those that the reward model likes best.

    The highest reward wins, and of equal ones the first; a candidate that failed has none.

    Args:
        count: Candidates.
        seeds: Seeds of the first candidates (B,).
        blank: Arrays like those of a candidate.
        generate: Makes images from seeds.
        score: Gives rewards (B,) float32 of images.
    """
    xp = seeds.xp
    rewards = xp.full(seeds.shape, np.nan, dtype=np.float32)
    first = blank | {"rewards": rewards, "kept_seeds": xp.zeros_like(seeds)}

    def body(number: Traced, best: Outputs) -> tuple[Traced, Outputs]:
        own = _candidate_seeds(seeds, number)
        made = generate(own)
        reward = xp.where(made["failed"] == 0, score(made["images"]), np.nan)
        made |= {"rewards": reward, "kept_seeds": own}
        wins = (number == 0) | (_ranked(reward) > _ranked(best["rewards"]))
        return xp.constant(np.array(True)), {
            name: xp.where(wins.column(new.ndim), new, best[name]) for name, new in made.items()
        }

    return write_loop(xp, count, first, body)


def _candidate_seeds(seeds: Traced, number: Traced) -> Traced:
    """Return a candidate's seeds (B,), as `adagen_rt.sampling.best_of.candidate_seeds` does."""
    xp = seeds.xp
    random = words(seeds, xp.broadcast_to(number, seeds.shape), Purpose.SEED, 2)
    drawn = (random[:, 0] << 31) | (random[:, 1] >> 1)
    return xp.where(number == 0, seeds, drawn)


def _ranked(rewards: Traced) -> Traced:
    xp = rewards.xp
    return xp.where(xp.isnan(rewards), -np.inf, rewards)
