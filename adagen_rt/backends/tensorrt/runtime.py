"""A set of plans as device graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from adagen_rt.backends.gpu import compute_capability
from adagen_rt.backends.tensorrt.graph import PlanGraph
from adagen_rt.backends.tensorrt.jit_cache import JitCache
from adagen_rt.backends.tensorrt.modules import Module, find_module, last_errors, make_logger
from adagen_rt.backends.tensorrt.places import find_folder
from adagen_rt.backends.tensorrt.profiles import Shapes
from adagen_rt.backends.tensorrt.record import (
    Record,
    mismatches,
    read_plan,
    read_record,
)
from adagen_rt.cuda import Driver, open_driver
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import InputError, PlanError


def open_sessions(
    engine: EngineFolder, backend: str, plans: Path | None = None
) -> tuple[PlanGraphs, Driver, int]:
    """Open an engine's plans on this machine's GPU; see `adagen_rt.backends`."""
    find_module(backend).load()
    driver = open_driver(extra=backend)
    opened = Plans(engine, backend, plans)
    stream = driver.new_stream()
    return PlanGraphs(opened, driver, stream), driver, stream


class Plans:
    """The plans of an engine on this machine's GPU, whose CUDA context must be current.

    Every plan is checked against its record, the engine, the module and the GPU before it is
    deserialised. All graphs may share one block of scratch memory of `scratch_bytes`, as long as
    they run one after another.

    Args:
        engine: The engine.
        backend: ``tensorrt`` or ``tensorrt-rtx``.
        root: Folder with the plans of any number of engines; None looks beside the engine and
            in the user's cache.

    Raises:
        InputError: There is no such backend or folder.
        MissingExtraError: It is not installed.
        DeviceError: There is no GPU, or none that the backend supports.
        PlanError: There are no plans, or they are damaged or made for something else.
    """

    def __init__(self, engine: EngineFolder, backend: str, root: Path | None = None) -> None:
        self.backend = backend
        self._module = find_module(backend)
        self._trt = self._module.load()
        capability = compute_capability()
        self._module.check_capability(capability)
        self._engine = engine
        self._root = root
        self._folder = find_folder(engine, backend, root)
        self._logger = make_logger(self._trt)
        with self._advice():
            self._record = self._read_record(capability)
            self._runtime = self._trt.Runtime(self._logger)
            self._plans = {graph: self._deserialise(graph) for graph in self._record.plans}
        self._jit_cache = JitCache(self._folder.with_suffix(".kernels"))

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes that there are plans for, ascending."""
        return self._record.batches

    def profiles(self, graph: str) -> tuple[Shapes, ...]:
        """Return the shapes of the inputs that a graph was built for."""
        return self._record.plans[graph].profiles

    def graph(self, name: str, shapes: Mapping[str, tuple[int, ...]], stream: int) -> PlanGraph:
        """Make a graph at one set of shapes, with its own execution context.

        Args:
            name: The graph.
            shapes: Shapes of all its inputs.
            stream: CUDA stream on which the profile is selected and the graph is to run.

        Raises:
            InputError: There is no profile of these shapes.
            PlanError: TensorRT refuses.
        """
        profiles = self.profiles(name)
        if dict(shapes) not in profiles:
            raise InputError(
                "shapes", dict(shapes), f"the inputs of {name} for a batch in {list(self.batches)}"
            )
        plan, profile = self._plans[name], profiles.index(dict(shapes))
        context = make_context(self._module, plan, self._jit_cache)
        return PlanGraph(plan, context, profile, profiles[profile], stream, self._logger.errors)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of device memory that suffice for the intermediate results of any graph."""
        sizes = [
            int(plan.get_device_memory_size_for_profile_v2(profile))
            for name, plan in self._plans.items()
            for profile in range(len(self.profiles(name)))
        ]
        return max(sizes, default=0)

    def save_kernels(self) -> None:
        """Save the kernels compiled for this GPU; to be called when every graph has run once."""
        self._jit_cache.save()

    @contextmanager
    def _advice(self) -> Iterator[None]:
        """Add the command that helps to an error."""
        try:
            yield
        except PlanError as error:
            out = "" if self._root is None else f" --out {self._root}"
            raise PlanError(
                f"{error}; build the plans again with: adagen-rt build {self._engine.path} "
                f"--backend {self._module.name}{out}"
            ) from None

    def _read_record(self, capability: str) -> Record:
        record = read_record(self._folder)
        version = self._trt.__version__
        if faults := list(mismatches(record, self._engine.manifest, version, capability)):
            raise PlanError(f"{self._folder}: {'; '.join(faults)}")
        return record

    def _deserialise(self, graph: str) -> Any:
        # The checked bytes themselves: the file may have changed since.
        plan = self._runtime.deserialize_cuda_engine(read_plan(self._folder, self._record, graph))
        if plan is None:
            reason = last_errors(self._logger.errors)
            raise PlanError(f"{self._folder}: TensorRT refuses the plan of {graph}: {reason}")
        return plan


def make_context(module: Module, plan: Any, kernels: JitCache) -> Any:
    """Make a context of a deserialised plan, whose scratch memory is set later.

    Args:
        module: Whose plan it is.
        plan: The plan.
        kernels: Kernels that have been compiled for this GPU, and where new ones go.
    """
    trt = module.load()
    strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    if not module.portable:
        return plan.create_execution_context(strategy)
    config = plan.create_runtime_config()
    config.set_execution_context_allocation_strategy(strategy)
    # A captured graph would never use a kernel that is compiled later.
    config.dynamic_shapes_kernel_specialization_strategy = (
        trt.DynamicShapesKernelSpecializationStrategy.EAGER
    )
    kernels.attach(config)
    return plan.create_execution_context(config)


class PlanGraphs:
    """The plans of an engine on one stream, with scratch memory: a program's `DeviceSessions`.

    The graphs of all programs share the scratch memory, because one stream runs them one after
    another.

    Args:
        plans: The plans.
        driver: The driver that allocates the memory.
        stream: CUDA stream on which the graphs are to run.
    """

    def __init__(self, plans: Plans, driver: Driver, stream: int) -> None:
        self.plans = plans
        self.backend = plans.backend
        self.batches = plans.batches
        self._driver = driver
        self._stream = stream
        self._scratch_bytes = plans.scratch_bytes
        self._scratch = driver.allocate(self._scratch_bytes)

    def graph(self, name: str, shapes: Mapping[str, tuple[int, ...]]) -> PlanGraph:
        """Make the engine's graph ``name`` at these shapes, without inputs that it does not read.

        Raises:
            InputError: There is no profile of these shapes.
            PlanError: TensorRT refuses.
        """
        read = self.plans.profiles(name)[0]
        graph = self.plans.graph(name, {key: tuple(shapes[key]) for key in read}, self._stream)
        graph.set_scratch(self._scratch, self._scratch_bytes)
        return graph

    def keep_kernels(self) -> None:
        """Save compiled kernels; to be called when every graph has run once."""
        # An engine's folder may be read-only; then the next process compiles again.
        with suppress(OSError):
            self.plans.save_kernels()

    def close(self) -> None:
        """Give the scratch memory back; no graph runs after it."""
        self._driver.free(self._scratch)
