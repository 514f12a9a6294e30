"""A pipeline over one ONNX file that is a whole generation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from adagen_rt.backends import Execution
from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.bundle import BundleFile
from adagen_rt.errors import InputError
from adagen_rt.pipeline.base import OnStep, Pipeline
from adagen_rt.pipeline.capabilities import Capabilities
from adagen_rt.sampling.batches import Outcome, run_batches
from adagen_rt.sampling.loop import Timings
from adagen_rt.sampling.params import AS_WRITTEN, SamplingParams
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Images, Result
from adagen_rt.types import Arrays, Session


class WholeGeneration(Capabilities):
    """Abilities of a file that is one step for the host."""

    def check(self, backend: str, params: SamplingParams, *, streams: str | None = None) -> None:
        """See `Capabilities`."""
        refine, size = params.refine != 1, params.size is not None
        for name in (streams, "refine" if refine else None, "size" if size else None):
            if name is not None:
                expected = "an engine's folder, which goes step by step"
                raise InputError(name, "a whole generation in one file", expected)


class BundledPipeline(Pipeline):
    """One ONNX file on the CPU; every batch is one run of the model.

    Args:
        bundle: The file.
        threads: CPU threads of an operator.

    Attributes:
        bundle: What the file says of itself.
        model: The model: ``run`` takes arrays by name and gives arrays by name.
    """

    def __init__(self, bundle: BundleFile, threads: int) -> None:
        execution = Execution("onnxruntime", threads)
        super().__init__(bundle, execution, WholeGeneration(streams=False, refines=False))
        bundle.manifest.condition.load()
        self.bundle = bundle.facts
        self.model: Session = OnnxRuntime(threads).load(Path(bundle.path))

    def _run(self, request: Request, batch_size: int, progress: OnStep | None) -> Result:
        self._check(request)
        timings, candidates = Timings(), request.params.best_of
        calls = self.manifest.family.calls(request.steps)

        def run(part: Request) -> Outcome:
            with timings.measure("model"):
                found = self.model.run(self._inputs(part))
            rows = self.manifest.condition.copies * len(part) * candidates
            timings.backbone_rows += rows * request.steps
            kept = {"seeds": found.get("kept_seeds"), "rewards": found.get("rewards")}
            trace = found["schedule"][:, :calls].transpose(1, 2, 0)
            return Outcome(found["images"], found["failed"], trace, **kept)

        return run_batches(request, self.manifest, timings, batch_size, run, progress, candidates)

    def _check(self, request: Request) -> None:
        """Refuse parameters that are not those of the file.

        Raises:
            InputError: Which one it is.
        """
        asked, facts = request.params, self.bundle
        if facts.steps_input and request.steps > facts.steps:
            expected = f"at most {facts.steps}, {AS_WRITTEN}"
            raise InputError("steps", request.steps, expected)
        for name in ("best_of",) if facts.steps_input else ("steps", "best_of"):
            if getattr(asked, name) != getattr(facts, name):
                expected = f"{getattr(facts, name)}, {AS_WRITTEN}"
                raise InputError(name, getattr(asked, name), expected)
        if asked.blended and not facts.fidelity_input:
            raise InputError("fidelity", asked.fidelity, "0: this file has no such input")

    def _inputs(self, request: Request) -> Arrays:
        inputs = {**self.manifest.condition.inputs(request.rows), "seeds": request.seeds}
        if self.bundle.fidelity_input:
            inputs["fidelity"] = np.ascontiguousarray(request.fidelity)
        if self.bundle.steps_input:
            inputs["steps"] = np.full(len(request), request.steps)
        return inputs

    def _score_rows(self, images: Images, rows: Arrays, batch_size: int) -> npt.NDArray[np.float32]:
        raise InputError("score", self.manifest.name, "an engine's folder: this is one model")

    def _close(self) -> None:
        del self.model
