"""Where images to be scored come from: here an engine, in `network_source` PyTorch networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.evaluation.choices import Choice, ScheduleName, guided, schedule_names
from adagen_rt.pipeline.stepwise import Generator
from adagen_rt.sampling.best_of import Rewards
from adagen_rt.sampling.result import Images, Result

Tick = Callable[[int], object]
"""Told how many images have been made since the last call."""


@dataclass(frozen=True)
class Made:
    """Images, and what they cost.

    Attributes:
        images: (N, c, H, W) float32 in [0, 1], in steps of 1/255; black where a sample failed.
        labels: Classes (N,) int64.
        rows: Backbone rows that were evaluated.
        failed: (N,) bool, samples that met a non-finite number.
    """

    images: Tensor
    labels: Tensor
    rows: int
    failed: Tensor

    @classmethod
    def of(cls, results: Sequence[Result]) -> Made:
        """The samples of several generations, one after the other."""
        pixels = np.concatenate([result.images for result in results])
        return cls(
            images=torch.from_numpy(pixels).movedim(-1, 1).float() / 255,
            labels=torch.from_numpy(np.concatenate([result.labels for result in results])),
            rows=sum(result.timings.backbone_rows for result in results),
            failed=torch.cat([_failed(result) for result in results]),
        )

    def pixels(self) -> Images:
        """The images as bytes (N, H, W, c)."""
        bytes_ = (self.images.movedim(1, -1) * 255).round().to(torch.uint8)
        return bytes_.numpy()


class Source(Protocol):
    """Generates images.

    Attributes:
        manifest: What is generated, and with which schedules.
        schedules: Which of them there are.
    """

    manifest: Manifest
    schedules: tuple[ScheduleName, ...]

    def make(self, choice: Choice, labels: Tensor, seeds: Tensor, tick: Tick) -> Made:
        """One image for each of labels and seeds (N,) int64, made as `choice` says.

        Raises:
            AdagenError: The generator has no such schedule, or lacks a network.
        """

    def reward(self) -> Callable[[Made], Rewards]:
        """The reward model: scores (N,) of images.

        Raises:
            AdagenError: There is none.
        """


class EngineSource:
    """An engine as users run it.

    Args:
        generator: The engine, loaded.
        batch_size: Images made together.
    """

    def __init__(self, generator: Generator, batch_size: int = 50) -> None:
        self.generator, self.batch_size = generator, batch_size
        self.manifest = generator.manifest
        self.schedules = schedule_names(self.manifest, generator.has_policy)
        self._generators = {1.0: generator}

    def make(self, choice: Choice, labels: Tensor, seeds: Tensor, tick: Tick) -> Made:
        """See `Source`."""
        static: dict[ScheduleName, bool | Literal["tuned"]]
        static = {"policy": False, "static": True, "tuned": "tuned"}
        generator = self._guided(choice.guidance)

        def make(labels: Tensor, seeds: Tensor) -> Result:
            return generator.generate(
                labels.tolist(),
                seeds.tolist(),
                steps=choice.steps,
                static=static[choice.schedule],
                fidelity=choice.fidelity,
                refine=choice.refine,
                batch_size=self.batch_size,
            )

        return in_batches(make, labels, seeds, self.batch_size, tick)

    def reward(self) -> Callable[[Made], Rewards]:
        """See `Source`."""
        if "reward" not in self.manifest.graphs:
            raise InputError("reward", None, "an engine with a reward model")
        score, size = self.generator.score, self.batch_size
        return lambda made: score(made.pixels(), made.labels.numpy(), size)

    def _guided(self, factor: float) -> Generator:
        """The generator with the hand-made schedule's guidance so many times as strong."""
        if factor not in self._generators:
            engine = replace(self.generator.engine, manifest=guided(self.manifest, factor))
            self._generators[factor] = Generator(engine, threads=self.generator.threads)
        return self._generators[factor]


def _failed(result: Result) -> Tensor:
    failed = torch.zeros(len(result.labels), dtype=torch.bool)
    failed[list(result.failures)] = True
    return failed


def in_batches(
    make: Callable[[Tensor, Tensor], Result],
    labels: Tensor,
    seeds: Tensor,
    batch_size: int,
    tick: Tick,
) -> Made:
    """What `make` gives for the labels and seeds (N,) int64, a batch after the other."""
    results = []
    for rows in torch.arange(len(labels)).split(batch_size):
        results.append(make(labels[rows], seeds[rows]))
        tick(len(rows))
    return Made.of(results)


def draw_requests(count: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Labels and seeds of an evaluation: the classes in turn, seeds from `seed` million on.

    Training and searching use small seeds and random ones; these are new to a policy.
    """
    numbers = torch.arange(count)
    return numbers % classes, numbers + 1_000_000 * (seed + 1)


def make_samples(source: Source, choice: Choice, count: int, seed: int, title: str) -> Made:
    """The images of an evaluation, with a progress bar.

    Args:
        source: Makes them.
        choice: How.
        count: How many.
        seed: Which.
        title: Of the bar.
    """
    labels, seeds = draw_requests(count, source.manifest.class_count, seed)
    return make_images(source, choice, labels, seeds, title)


def make_images(source: Source, choice: Choice, labels: Tensor, seeds: Tensor, title: str) -> Made:
    """One image for each of labels and seeds (N,) int64, with a progress bar of that title."""
    # leave=None: a bar inside of another goes when it is full.
    with tqdm(total=len(labels), unit="image", desc=title, mininterval=1.0, leave=None) as bar:
        return source.make(choice, labels, seeds, bar.update)
