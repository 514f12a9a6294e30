"""An engine's graphs in PyTorch, as one CUDA graph: for GPUs without TensorRT."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch

from adagen_rt.backends.base import DeviceTensor
from adagen_rt.backends.torch.modules import Place, TorchGraph
from adagen_rt.backends.torch.onnx_module import OnnxModule
from adagen_rt.cuda import Driver, open_driver
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import DeviceError

#: Batch sizes that programs are captured for.
BATCHES = (1, 2, 4, 8, 16)


def open_sessions(engine: EngineFolder, backend: str) -> tuple[EngineGraphs, Driver, int]:
    """Open an engine's graphs on this machine's first GPU; see `adagen_rt.backends`.

    Args:
        engine: A checked engine folder, in float32 or half precision.
        backend: ``torch``.

    Raises:
        EngineError: An operator is not covered.
        MissingExtraError: No CUDA driver's bindings are installed.
        DeviceError: There is no GPU, or this PyTorch was built without CUDA.
    """
    driver = open_driver(extra="torch-cuda")
    if not torch.cuda.is_available():
        raise DeviceError("torch: this build of PyTorch cannot use the GPU")
    return EngineGraphs(engine, "cuda"), driver, driver.new_stream()


class EngineGraphs:
    """The graphs of an engine as PyTorch modules; see `GenerationSessions`.

    Args:
        engine: A checked engine folder.
        device: PyTorch's name of a device.
    """

    backend = "torch"
    batches: tuple[int, ...] = BATCHES

    def __init__(self, engine: EngineFolder, device: str) -> None:
        self._specs = engine.manifest.graphs
        self._modules = {
            name: OnnxModule(engine.graph_file(name)).to(device) for name in self._specs
        }
        self._place = Place(device)
        self._outputs = cache(self._output_specs)

    def graph(self, name: str, shapes: Mapping[str, tuple[int, ...]]) -> TorchGraph:
        """Make the engine's graph ``name`` at these shapes, without inputs that it does not read.

        Outputs are known when the graph has run once.
        """
        inputs = {t.name: DeviceTensor(shapes[t.name], t.dtype) for t in self._specs[name].inputs}
        outputs = self._outputs(name, tuple(inputs.items()))
        return TorchGraph(self._modules[name], inputs, outputs, self._place)

    def keep_kernels(self) -> None:
        """Do nothing, as PyTorch's kernels are compiled already."""

    def close(self) -> None:
        """Give the weights back; no graph runs after it."""
        self._modules.clear()

    def _output_specs(
        self, name: str, inputs: tuple[tuple[str, DeviceTensor], ...]
    ) -> dict[str, DeviceTensor]:
        results = self._place.try_out(self._modules[name], dict(inputs))
        tensors = zip(self._specs[name].outputs, results, strict=True)
        return {tensor.name: DeviceTensor(tuple(x.shape), tensor.dtype) for tensor, x in tensors}
