"""Abilities of a pipeline, and the refusal of options that it lacks."""

from __future__ import annotations

from dataclasses import dataclass

from adagen_rt.errors import InputError
from adagen_rt.sampling.params import SamplingParams


@dataclass(frozen=True)
class Capabilities:
    """Abilities of an implementation.

    Attributes:
        streams: Whether the host sees every step: previews, profiles, a server's slots.
        refines: Whether a policy call can try several actions.
        reuses: Whether a sample's evaluation can be left out.
        batches: Batch sizes that it runs, ascending; empty for any.
        sizes: Whether it makes images of other sizes than the engine's own, where the engine does.
    """

    streams: bool = True
    refines: bool = True
    reuses: bool = True
    batches: tuple[int, ...] = ()
    sizes: bool = True

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
        options = (
            ("refine", params.refine != 1 and not self.refines, "1"),
            ("reuse", params.reuse and not self.reuses, "0"),
            ("size", params.size is not None and not self.sizes, "none"),
        )
        for name, lacks, usual in options:
            if lacks:
                expected = f"{usual} with the backend {backend}; onnxruntime and openvino have it"
                raise InputError(name, getattr(params, name), expected)
