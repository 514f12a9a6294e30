"""Results of a generation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.condition import ClassLabels, ConditionSpec, join_rows
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.sampling import display
from adagen_rt.sampling.loop import Decision, Timings
from adagen_rt.sampling.memory import Memory
from adagen_rt.sampling.origin import Numbers, Origin
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.rule import State, StepRule
from adagen_rt.types import Arrays

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Images and how they were made. A notebook shows them, and what was chosen.

    Two are equal where everything but the time taken and the maker is.

    Attributes:
        condition: What the engine can be conditioned on.
        images: (B, height, width, channels) uint8; black where a sample failed.
        rows: Conditions of the images: named arrays (B, ...).
        seeds: Seed of each image (B,) int64; with the same condition and parameters it gives the
            same image. With best-of, the seed of the candidate that was kept.
        schedule: Chosen actions by name: (calls, B) float32, NaN for steps that a sample did
            not need.
        evaluations: Backbone evaluations that each image needed (B,) int64; with best-of, the
            kept candidate.
        failures: Step at which each failed sample met a non-finite number, by its place.
        timings: Seconds by part (``backbone``, ``policy``, ``sampling``, ``decoder``; ``critic``
            and ``reward`` where they run), and the backbone rows evaluated.
        rewards: Reward of each image by the engine's reward model (B,) float32, NaN where a
            sample failed; None where the model did not run.
        made_by: How a pipeline made them, which their files say; None of others.
    """

    condition: ConditionSpec
    images: Images
    rows: Arrays
    seeds: npt.NDArray[np.int64]
    schedule: dict[str, npt.NDArray[np.float32]]
    evaluations: npt.NDArray[np.int64]
    failures: dict[int, int]
    timings: Timings
    rewards: npt.NDArray[np.float32] | None = None
    made_by: Origin | None = None

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class of each image (B,) int64, of an engine with class labels."""
        labels: npt.NDArray[np.int64] = self.rows["labels"]
        return labels

    @property
    def prompts(self) -> list[str]:
        """Prompt of each image, of an engine that takes prompts."""
        return [str(text) for text in self.rows["prompt"]]

    @property
    def good(self) -> list[int]:
        """Places of the images that did not fail."""
        return [i for i in range(len(self)) if i not in self.failures]

    @property
    def class_names(self) -> list[str]:
        """Class of each image by its name, or by its number where classes have no names."""
        names = self.condition.names if isinstance(self.condition, ClassLabels) else ()
        return [names[label] if names else str(label) for label in self.labels.tolist()]

    @property
    def origin(self) -> Origin:
        """How the images were made, as far as it is known."""
        return self.made_by or Origin.unknown(self.seeds)

    def numbered(self, numbers: Numbers) -> Result:
        """Return the same with the images' numbers in a whole run (B,)."""
        return replace(self, made_by=replace(self.origin, numbers=numbers))

    def save(
        self, path: str | Path, *, format: str | None = None, captions: bool = False
    ) -> list[Path]:
        """Write the images, but no failed ones, as ``adagen-rt generate`` writes them.

        Every file says how its images were made, and ``adagen-rt generate --repeat`` makes them
        again.

        Args:
            path: A name ending .png, .jpg or .webp (one grid) or .npz (arrays), or a folder (one
                picture an image).
            format: Format of the pictures in a folder: ``png`` (None is the same), ``jpg`` or
                ``webp``.
            captions: Whether class and seed stand under each image of a grid.

        Returns:
            The files written.

        Raises:
            InputError: The path is none of these, or cannot be written.
            SampleError: All samples have failed.
        """
        # Whoever takes the arrays does not wait for Pillow.
        from adagen_rt.sampling.facts import count_words
        from adagen_rt.sampling.saving import check_target, save_images

        path, pixels = Path(path), int(np.prod(self.images.shape[1:3]))
        words = count_words(self.condition, self.rows)
        check_target("path", path, len(self), pixels, format, words)
        return save_images(path, self, format, captions)

    def describe(self, place: int) -> str:
        """Tell what one image was made of, in a few words."""
        return f"{self.condition.title(self.rows, place)}, seed {self.seeds[place]}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        compared = (one.name for one in fields(self) if one.name not in ("timings", "made_by"))
        return all(_same(getattr(self, name), getattr(other, name)) for name in compared)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return display.one_line(self)

    def _repr_png_(self) -> bytes:
        return display.as_png(self)

    def _repr_html_(self) -> str:
        return display.as_html(self)


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a generation under way.

    Attributes:
        number: Steps done so far, 1 for the first.
        steps: Steps of a full generation.
        decisions: The policy's decisions since the last step.
        running: Places in the request that go on after this step.
        advanced: Sample steps done by this one, or found to be unnecessary.
        seconds: Seconds by part since the generation began.
        preview: Decodes the current state of every sample of the batch:
            (B, height, width, channels) uint8.
    """

    number: int
    steps: int
    decisions: tuple[Decision, ...]
    running: npt.NDArray[np.int64]
    advanced: int
    seconds: dict[str, float]
    preview: Callable[[], Images]


def _same(one: Any, other: Any) -> bool:
    """Whether values are equal, and NaN where the other is."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other) if type(one) is type(other) else False


def count_evaluations(
    schedule: Mapping[str, npt.NDArray[np.float32]], steps: int
) -> npt.NDArray[np.int64]:
    """Count the evaluations that samples needed.

    Args:
        schedule: Chosen actions by name: (calls, ...) float32, NaN for calls without need.
        steps: Backbone evaluations of a full generation; calls beyond them come before the first.

    Returns:
        (...) int64.
    """
    chosen = np.stack(list(schedule.values()))
    needed = np.any(~np.isnan(chosen), axis=0)[chosen.shape[1] - steps :]
    counts: npt.NDArray[np.int64] = np.sum(needed, axis=0, dtype=np.int64)
    return counts


def blank_images(count: int, spec: ImageSpec) -> Images:
    """Make black images."""
    return np.zeros((count, *spec.size, spec.channels), np.uint8)


class Trace:
    """Collects decisions into one array per action."""

    def __init__(self, request: Request, names: tuple[str, ...], calls: int) -> None:
        shape = (calls, len(request))
        self.schedule = {name: np.full(shape, np.nan, np.float32) for name in names}

    def record(self, decision: Decision) -> None:
        """Add one policy call, of host arrays."""
        call, index = np.asarray(decision.call), np.asarray(decision.index)
        for name, values in decision.actions.items():
            self.schedule[name][call, index] = values


@dataclass(frozen=True)
class Snapshot:
    """Slots that only have to be decoded.

    Attributes:
        index: Places in the request (B,) int64, on the host.
        step: Backbone evaluations done (B,) int64, on the host.
        failed: Whether a non-finite number appeared (B,) bool, on the host.
        latents: The decoder's inputs, on the loop's device.
        reused: Evaluations that were left out (B,) int64, on the host.
    """

    index: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    latents: Arrays
    reused: npt.NDArray[np.int64]

    @classmethod
    def of(cls, state: State, rule: StepRule[Any], memory: Memory) -> Snapshot:
        """Keep the latents of slots, and drop the rest of the state."""
        index, step, failed = map(memory.get, (state.index, state.step, state.failed))
        reused = np.zeros_like(step) if state.past is None else memory.get(state.past.reused)
        return cls(index, step, failed, rule.latents(state), reused)

    @classmethod
    def join(cls, parts: list[Snapshot]) -> Snapshot:
        """Put the slots of ``parts`` one after the other."""
        return cls(
            index=np.concatenate([part.index for part in parts]),
            step=np.concatenate([part.step for part in parts]),
            failed=np.concatenate([part.failed for part in parts]),
            latents=join_rows([part.latents for part in parts]),
            reused=np.concatenate([part.reused for part in parts]),
        )

    def failures(self) -> dict[int, int]:
        """Step at which each failed slot met a non-finite number, by its place."""
        return {int(self.index[i]): int(self.step[i]) for i in np.flatnonzero(self.failed)}
