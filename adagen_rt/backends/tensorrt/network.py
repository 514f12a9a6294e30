"""Building of one plan of one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adagen_rt.backends.tensorrt.modules import Module, last_errors, make_logger
from adagen_rt.backends.tensorrt.profiles import Shapes
from adagen_rt.errors import PlanError

#: Called with a phase of the build, the steps that are done, and the number of steps.
Monitor = Callable[[str, int, int], object]


@dataclass(frozen=True)
class PlanJob:
    """Inputs of one plan's build.

    Attributes:
        path: The ONNX file, whose dtypes the plan keeps: networks are strongly typed.
        label: Name of the graph in errors.
        profiles: Shapes of the inputs, for each optimisation profile.
        timings: An older timing cache, or nothing.
        monitor: Told about the progress.
    """

    path: Path
    label: str
    profiles: Sequence[Shapes]
    timings: bytes
    monitor: Monitor


def build_plan(module: Module, job: PlanJob) -> tuple[memoryview, bytes]:
    """Build one plan.

    Returns:
        The plan, and the timing cache, which is empty where the module has none.

    Raises:
        PlanError: TensorRT cannot read the graph, or build it.
    """
    monitor = make_monitor(module.load(), job.monitor)
    # On a thread of its own: on the main one, a signal's handler could raise in a callback, and
    # TensorRT drops what is raised there.
    with ThreadPoolExecutor(1) as thread:
        building = thread.submit(_build, module, job, monitor)
        try:
            return building.result()
        except BaseException as error:
            monitor.error = error
            raise


def _build(module: Module, job: PlanJob, monitor: Any) -> tuple[memoryview, bytes]:
    trt = module.load()
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = _parse(trt, builder, logger, job)
    config = builder.create_builder_config()
    # No TF32, which keeps only ten bits of a product's float32 inputs.
    config.clear_flag(trt.BuilderFlag.TF32)
    for shapes in job.profiles:
        config.add_optimization_profile(_profile(builder, shapes))
    # The portable module ignores timings, and requires a GPU if it gets any.
    if not module.portable:
        config.set_timing_cache(config.create_timing_cache(job.timings), False)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if monitor.error is not None:
        raise monitor.error
    if plan is None:
        raise PlanError(f"{job.label}: TensorRT cannot build it: {last_errors(logger.errors)}")
    timings = b"" if module.portable else bytes(config.get_timing_cache().serialize())
    return memoryview(plan), timings


def _parse(trt: Any, builder: Any, logger: Any, job: PlanJob) -> Any:
    # Version 11 has only strongly typed networks; the flag exists there without effect.
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, logger)
    read = parser.parse_from_file(str(job.path))
    if not read and parser.num_errors:
        raise PlanError(f"{job.label}: TensorRT cannot read {_describe(parser.get_error(0))}")
    if not read or not network.num_outputs:
        raise PlanError(f"{job.label}: TensorRT cannot read it: {last_errors(logger.errors)}")
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if tensor.is_shape_tensor:
            raise PlanError(
                f"{job.label}: input {tensor.name!r} decides the shape of another tensor, "
                "so that it cannot stay on the GPU"
            )
    return network


def _describe(error: Any) -> str:
    """Describe a parser's error, with its node if it has one."""
    name = error.node_name() or f"number {error.node()}"
    # Weights are read before any node, and count as node -1.
    subject = "it" if error.node() < 0 else f"node {name} ({error.node_operator()})"
    return f"{subject}: {error.code().name}: {last_errors([' '.join(error.desc().split())])}"


def _profile(builder: Any, shapes: Shapes) -> Any:
    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, shape, shape, shape)
    return profile


def make_monitor(trt: Any, report: Monitor) -> Any:
    """Make the object that TensorRT reports its progress to.

    An exception cannot pass through TensorRT, so the first one is kept in `error`, which stops
    the build.
    """

    class ProgressMonitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.error: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps
            self._report(phase, 0)

        def step_complete(self, phase: str, step: int) -> bool:
            self._report(phase, step + 1)
            return self.error is None

        def phase_finish(self, phase: str) -> None:
            self._report(phase, self._steps.pop(phase, 0))

        def _report(self, phase: str, done: int) -> None:
            try:
                if self.error is None:
                    report(phase, done, self._steps.get(phase, done))
            except BaseException as error:
                self.error = error

    return ProgressMonitor()
