"""ONNX Runtime, on the CPU or through another of its execution providers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from adagen_rt.backends.execution import PRECISIONS
from adagen_rt.backends.forks import survive_forks
from adagen_rt.backends.onnxruntime.attention import fuse_attention
from adagen_rt.backends.onnxruntime.bfloat16 import widen_products
from adagen_rt.backends.onnxruntime.buffers import Buffers, Outputs, run_into, run_new
from adagen_rt.backends.onnxruntime.int8 import integer_products
from adagen_rt.backends.onnxruntime.providers import CPU, find_provider
from adagen_rt.backends.onnxruntime.rows import RowSession, is_small, split_inputs
from adagen_rt.errors import AdagenError, EngineError, InputError, MissingExtraError
from adagen_rt.system import has_vnni, installed_versions, return_freed_memory
from adagen_rt.types import Arrays, Session

#: Packages that install into the same folder, so that the last one overwrites parts of the other.
PACKAGES = ("onnxruntime", "onnxruntime-gpu")


def installed_packages() -> dict[str, str]:
    """Return the version of each ONNX Runtime package that is installed."""
    return installed_versions(*PACKAGES)


def import_onnxruntime() -> Any:
    """Import the module, if exactly one package provides it.

    Raises:
        MissingExtraError: No package is installed.
        AdagenError: Both packages are installed and have overwritten parts of each other.
    """
    found = installed_packages()
    if not found:
        raise MissingExtraError("onnxruntime", "cpu")
    if len(found) > 1:
        raise AdagenError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; type: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'adagen-rt[cpu]' "
            "(or 'adagen-rt[cuda]')"
        )
    import onnxruntime

    return onnxruntime


def make_backend(threads: int, provider: str | None, precision: str | None) -> OnnxRuntime:
    """Make the backend; ``provider`` None is the CPU.

    Raises:
        InputError: The precision is not that of the graphs.
    """
    if precision not in (None, PRECISIONS[0]):
        expected = f"{PRECISIONS[0]} with the backend onnxruntime; openvino has {PRECISIONS[1]}"
        raise InputError("precision", precision, expected)
    return OnnxRuntime(threads, provider=provider or CPU, by_rows=True)


class OnnxRuntime:
    """Loads graphs into ONNX Runtime sessions.

    Arrays are on the CPU with every provider, because the steps between the graphs run there.

    Args:
        threads: Threads for one operator.
        provider: Name of the execution provider, see ``providers.py``.
        prepack: Whether to copy weights into the kernels' fastest layout: faster to run, slower
            to load, and twice the memory while loading.
        by_rows: Whether rows of the graphs do not depend on each other, as those of an engine do
            not, so that threads may take different rows of small ones; see ``rows.py``.
    """

    name = "onnxruntime"

    def __init__(
        self, threads: int, *, provider: str = CPU, prepack: bool = True, by_rows: bool = False
    ) -> None:
        self._ort = import_onnxruntime()
        self._threads = threads
        self._prepack = prepack
        self._provider = provider
        self._by_rows = by_rows and provider == CPU
        self._pool = ThreadPoolExecutor(threads, "adagen-rt-rows")
        find_provider(self._ort, self._ort.SessionOptions(), provider)

    def load(self, path: Path) -> Session:
        """Load an ONNX file that has been checked already.

        Raises:
            EngineError: ONNX Runtime does not accept the file.
            DeviceError: The provider does not work on this machine.
        """
        try:
            graph = self._load(path)
        except AdagenError:
            raise
        except Exception as error:  # pybind exceptions without a common base
            reason = str(error).splitlines()[0]
            raise EngineError(f"{path}: ONNX Runtime cannot load it: {reason}") from None
        # Reading and rearranging weights leaves as much freed memory as the weights take.
        return_freed_memory()
        return graph

    def _load(self, path: Path) -> Session:
        model = onnx.load(path, load_external_data=False)
        rewritten = self._provider == CPU and _rewrite(model)
        source = model.SerializeToString() if rewritten else str(path)
        return self._graph(source, path.parent, model)

    def load_model(self, model: onnx.ModelProto, folder: Path) -> Session:
        """Load a graph from memory, which it may change; large weights are in ``folder``."""
        _rewrite(model)
        return self._graph(model.SerializeToString(), folder, model)

    def _graph(self, source: str | bytes, folder: Path, model: onnx.ModelProto) -> Session:
        split = split_inputs(model) if self._by_rows and is_small(model) else frozenset()
        options = self._options(folder, _sizes(model), 1 if split else self._threads)
        provider = find_provider(self._ort, options, self._provider)
        session = self._ort.InferenceSession(source, options, **provider.arguments)
        survive_forks(session)
        provider.check(session)
        shrink = self._ort.RunOptions()
        shrink.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        if split:
            return RowSession(session, shrink, split, self._pool, self._threads)
        return OnnxSession(session, shrink)

    def _options(self, folder: Path, sizes: int, threads: int) -> Any:
        """Make the options of a graph with large weights in ``folder`` and ``sizes`` open sizes."""
        options = self._ort.SessionOptions()
        # A memory plan is kept for every shape, which pays only if the batch alone changes.
        options.enable_mem_pattern = sizes < 2
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A session's idle spinning thread would take the core from the next session.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if not has_vnni():
            # Fast sums of two products of unsigned and signed bytes overflow; slow ones do not.
            options.add_session_config_entry("session.x64quantprecision", "1")
        # A graph in memory has no folder of its own.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder.resolve())
        )
        if not self._prepack:
            options.add_session_config_entry("session.disable_prepacking", "1")
        return options


def _rewrite(model: onnx.ModelProto) -> bool:
    """Fit a graph to the kernels that the CPU has, in place; tell whether that changed it."""
    return any([integer_products(model), widen_products(model), fuse_attention(model)])


def _sizes(model: onnx.ModelProto) -> int:
    """Count the open sizes of a graph's inputs, such as the batch."""
    shapes = (value.type.tensor_type.shape.dim for value in model.graph.input)
    return len({size.dim_param for shape in shapes for size in shape if size.dim_param})


class OnnxSession:
    """A session that writes into its own buffers, which are as large as recent batches want.

    ONNX Runtime keeps the memory of its largest run, and so do the buffers. Both give it back after
    a new shape, and after a run of at most half the rows (the first axis of the first output).

    Args:
        session: ONNX Runtime's session.
        shrink: Options of a run after which ONNX Runtime gives back memory that is not in use.
    """

    def __init__(self, session: Any, shrink: Any) -> None:
        self._session, self._shrink = session, shrink
        self._inputs = [node.name for node in session.get_inputs()]
        self._shapes: dict[tuple[tuple[int, ...], ...], Outputs] = {}
        self._buffers = Buffers()

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name; they stay valid until the next call."""
        arrays = {name: np.ascontiguousarray(inputs[name]) for name in self._inputs}
        shapes = tuple(array.shape for array in arrays.values())
        if shapes not in self._shapes:
            return self._first_run(arrays, shapes)
        expected = self._shapes[shapes]
        options = self._shrink if self._buffers.fit(expected) else None
        outputs = self._buffers.views(expected)
        run_into(self._session, arrays, outputs, options)
        return outputs

    def _first_run(self, arrays: Arrays, shapes: tuple[tuple[int, ...], ...]) -> Arrays:
        """Learn the outputs' shapes; ONNX Runtime should not keep the memory of this one run."""
        outputs = run_new(self._session, arrays, self._shrink)
        self._shapes[shapes] = {name: (array.shape, array.dtype) for name, array in outputs.items()}
        self._buffers.fit(self._shapes[shapes])
        return outputs
