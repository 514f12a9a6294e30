"""The interface of every pipeline, and its options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError, as_integer
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import MAX_BATCH, Request, make_request
from adagen_rt.sampling.result import Images, Result, Step
from adagen_rt.types import Arrays

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from adagen_rt.sampling.params import SamplingOptions
    from adagen_rt.sampling.sampler import Sampler

OnStep = Callable[[Step], object]


@dataclass(frozen=True)
class Capabilities:
    """Abilities of an implementation.

    Attributes:
        streams: Whether the host sees every step: previews, profiles, a server's slots.
        refines: Whether a policy call can try several actions.
        batches: Batch sizes that it runs, ascending; empty for any.
    """

    streams: bool = True
    refines: bool = True
    batches: tuple[int, ...] = ()

    def check(self, backend: str, params: SamplingParams, *, streams: str | None = None) -> None:
        """Refuse options that the implementation lacks; every check of them is here.

        Args:
            backend: The backend's name.
            params: The sampling parameters.
            streams: Name of the option that needs every step on the host, if any.

        Raises:
            InputError: The implementation lacks an ability that an option needs.
        """
        if streams is not None and not self.streams:
            expected = "the backend onnxruntime or openvino, which go step by step"
            raise InputError(streams, backend, expected)
        if params.refine != 1 and not self.refines:
            expected = f"1 with the backend {backend}; onnxruntime and openvino have it"
            raise InputError("refine", params.refine, expected)


class Pipeline(ABC):
    """An engine ready to generate.

    One thread at a time: calls share the graphs' buffers.

    Args:
        engine: A checked engine folder.
        backend: Name of the backend that executes the graphs.
        capabilities: Abilities of the implementation.

    Attributes:
        engine: The engine folder.
        manifest: The engine's manifest.
        backend: Name of the backend that executes the graphs.
        capabilities: Abilities of the implementation.
    """

    def __init__(self, engine: EngineFolder, backend: str, capabilities: Capabilities) -> None:
        self.engine = engine
        self.manifest: Manifest = engine.manifest
        self.backend = backend
        self.capabilities = capabilities

    @property
    def has_policy(self) -> bool:
        """Whether the engine has a policy, besides its static schedules."""
        return self.manifest.adaptive

    def generate(
        self,
        labels: Sequence[int | str],
        seeds: Sequence[int] | None = None,
        params: SamplingParams | None = None,
        *,
        batch_size: int = 16,
        progress: OnStep | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Result:
        """Generate one image for each label.

        Args:
            labels: Class numbers or names.
            seeds: One integer from 0 to 2**63 - 1 for each label; None draws them.
            params: Sampling parameters; None takes the engine's own.
            batch_size: Samples that are generated together, 1 to 4096.
            progress: Called after every step; where the host sees no step, after every batch.
            **options: Fields of `SamplingParams`, which win over those of ``params``.

        Raises:
            InputError: An argument is out of its range, or the backend lacks it.
            EngineError: The engine lacks a graph that an argument needs.
            DeviceError: A GPU fails, or has too little memory.
        """
        request = make_request(self.manifest, labels, seeds, params, options)
        return self.run(request, batch_size=batch_size, progress=progress)

    def stream(
        self,
        labels: Sequence[int | str],
        seeds: Sequence[int] | None = None,
        params: SamplingParams | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Iterator[Step]:
        """Generate one batch and yield after every step; arguments as for `generate`.

        Raises:
            InputError: As for `generate`; also for best-of, which keeps an image only when all
                are done, and for a backend whose steps the host does not see.
        """
        request = make_request(self.manifest, labels, seeds, params, options)
        self.capabilities.check(self.backend, request.params, streams="stream")
        if request.params.best_of != 1:
            expected = "1 in a stream: which image is kept is known at the end"
            raise InputError("best_of", request.params.best_of, expected)
        return self.sampler.stream(request)

    def run(
        self, request: Request, *, batch_size: int = 16, progress: OnStep | None = None
    ) -> Result:
        """Make the images of a request that `make_request` has checked against this engine."""
        as_integer("batch_size", batch_size, 1, MAX_BATCH)
        self.capabilities.check(self.backend, request.params)
        return self._run(request, batch_size, progress)

    @abstractmethod
    def _run(self, request: Request, batch_size: int, progress: OnStep | None) -> Result: ...

    @property
    def sampler(self) -> Sampler:
        """Return the graphs for callers that manage slots and steps themselves.

        Raises:
            InputError: The host does not see this backend's steps.
        """
        self.capabilities.check(self.backend, SamplingParams(), streams="backend")
        raise NotImplementedError

    def score(
        self, images: Images, labels: Sequence[int | str], batch_size: int = 16
    ) -> npt.NDArray[np.float32]:
        """Score images (B, height, width, channels) by the engine's reward model: (B,) float32."""
        return self.score_rows(images, self.manifest.condition.parse(labels), batch_size)

    @abstractmethod
    def score_rows(
        self, images: Images, rows: Arrays, batch_size: int = 16
    ) -> npt.NDArray[np.float32]:
        """Ask the same of images whose conditions have been parsed: named arrays (B, ...)."""

    def facts(self) -> dict[str, Any]:
        """Describe the backend and its limits for reports."""
        return {"backend": self.backend}

    def close(self) -> None:  # noqa: B027 (on the host there is nothing to give back)
        """Give memory back; nothing is generated after it."""
