"""What is to be made: which images a shard has, and how it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import as_integer
from adagen_rt.sampling.origin import Numbers
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import MAX_COUNT, SEED_LIMIT, Request, make_request

#: Largest number of images, and of shards, which are listed again and again.
MAX_IMAGES, MAX_SHARDS = 1_000_000_000, 1_000_000


@dataclass(frozen=True)
class Plan:
    """All images of a job: number i has seed ``seed + i`` and takes the conditions in turn.

    Attributes:
        asked: Conditions, as the engine reads them.
        count: Images in total.
        size: Images of a shard; the last may have fewer.
        seed: Seed of the first image.
        params: Sampling parameters, complete and checked.
    """

    asked: tuple[Any, ...]
    count: int
    size: int
    seed: int
    params: SamplingParams

    def __post_init__(self) -> None:
        as_integer("count", self.count, 1, MAX_IMAGES)
        as_integer("shard-size", self.size, 1, MAX_COUNT)
        as_integer("count", self.count, 1, MAX_SHARDS * self.size)
        as_integer("seed", self.seed, 0, SEED_LIMIT - self.count)

    @property
    def shards(self) -> range:
        """Numbers of all shards."""
        return range(-(-self.count // self.size))

    def numbers(self, shard: int) -> Numbers:
        """Give the numbers of a shard's images in the whole job."""
        first = shard * self.size
        return np.arange(first, min(first + self.size, self.count))

    def request(self, manifest: Manifest, shard: int) -> Request:
        """Make the request of a shard."""
        numbers = self.numbers(shard)
        asked = [self.asked[number % len(self.asked)] for number in numbers.tolist()]
        seeds: list[int] = (self.seed + numbers).tolist()
        return make_request(manifest, asked, seeds, self.params)

    def name(self, shard: int) -> str:
        """Name a shard, without an ending."""
        return f"shard-{shard:05}"
