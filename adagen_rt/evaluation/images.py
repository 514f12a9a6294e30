"""Images that are to be scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.schedule import ScheduleSpec
from adagen_rt.engine.solver_times import Shifted, Spaced
from adagen_rt.engine.static_schedules import Constant, Cosine, Linear, StaticSchedule
from adagen_rt.errors import InputError
from adagen_rt.progress import bar
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import Request, make_request
from adagen_rt.sampling.result import Result, Step
from adagen_rt.sampling.sampler import OnStep

T = TypeVar("T")


class Source(Protocol):
    """Makes images: a pipeline of any backend, or a sampler."""

    @property
    def manifest(self) -> Manifest:
        """Manifest of the engine: image, condition and schedules."""

    def run(
        self, request: Request, *, batch_size: int = 16, progress: OnStep | None = None
    ) -> Result:
        """Make the images of a checked request."""


def draw_request(
    manifest: Manifest,
    count: int,
    seed: int,
    params: SamplingParams | None = None,
    asked: Sequence[str] | None = None,
) -> Request:
    """Make the request of an evaluation: all conditions in turn, with seeds from a million on.

    Training and searching use small or random seeds, so that no policy has seen these.

    Args:
        manifest: The engine's.
        count: Number of images.
        seed: Number of the set; its first seed is 1,000,000 times ``seed + 1``.
        params: Sampling parameters; None takes the engine's own.
        asked: Prompts that take turns; fewer images are of evenly spread ones. None takes what
            shows what the engine does.

    Raises:
        AdagenError: The engine cannot do what the parameters say.
    """
    seeds = np.arange(count) + 1_000_000 * (seed + 1)
    samples: Sequence[Any] = manifest.condition.examples(count)
    if asked is not None:
        known = len(asked)
        spread = [i % known if count > known else i * known // count for i in range(count)]
        samples = [asked[place] for place in spread]
    return make_request(manifest, samples, seeds.tolist(), params)


def make_images(source: Source, request: Request, batch_size: int, title: str) -> Result:
    """Make the images of a request, with a progress bar of that title."""
    return watched(source.run, request, batch_size, title)


def watched(run: Callable[..., T], request: Request, batch_size: int, title: str) -> T:
    """Call something that makes the images of a request as `Source.run` does, with a bar."""
    total = len(request) * request.steps * request.params.best_of
    # leave=None: a bar inside of another goes when it is full.
    with bar(total=total, unit="step", desc=title, mininterval=1.0, leave=None) as progress:

        def tick(step: Step) -> None:
            progress.update(step.advanced)

        return run(request, batch_size=batch_size, progress=tick)


def guided(spec: ScheduleSpec, factor: float) -> ScheduleSpec:
    """Multiply the hand-made schedule's guidance.

    Raises:
        InputError: The guidance schedule has no number to multiply.
    """
    statics = [
        _scaled(action.static, factor) if action.name == "guidance_scale" else action.static
        for action in spec.actions
    ]
    return spec if factor == 1 else spec.under(statics)


def _scaled(static: StaticSchedule, factor: float) -> StaticSchedule:
    match static:
        case Constant():
            return Constant(value=static.value * factor)
        case Linear():
            return Linear(start=static.start * factor, stop=static.stop * factor)
        case Cosine() | Shifted() | Spaced():
            raise InputError("guidance", factor, "1: this schedule's height cannot be changed")
        case _:
            return static.model_copy(update={"scale": static.scale * factor})
