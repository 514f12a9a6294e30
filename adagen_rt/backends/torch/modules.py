"""PyTorch modules as device graphs: the engine of comparisons, and of GPUs without TensorRT.

Lies with the PyTorch half of the package: the runtime takes any `DeviceSessions` and never
imports this. Memory that a captured module allocates must stay its own for as long as the
graph is replayed, so every call allocates from one private pool; CUDA's own capture, started
by someone else on the stream, then finds all memory there already.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.backends.base import DeviceTensor
from adagen_rt.engine.contracts import KEEP_FLOAT32
from adagen_rt.engine.family import find_family
from adagen_rt.engine.manifest import Manifest

Call = Callable[..., Any]


class TorchGraphs:
    """The networks of one engine as `DeviceSessions`.

    Args:
        manifest: Manifest of the networks, as far as a recipe determines it.
        calls: Function of each graph by its name; called with the graph's inputs by name.
        dtype: Dtype of the networks.
        device: PyTorch's name of their device, such as ``cuda``.
        compiled: Names of the graphs to compile with ``torch.compile``.
    """

    def __init__(
        self,
        manifest: Manifest,
        calls: Mapping[str, Call],
        dtype: torch.dtype,
        device: str,
        compiled: frozenset[str] = frozenset(),
    ) -> None:
        self._contracts = manifest.contracts
        self._calls = {
            name: torch.compile(call) if name in compiled else call for name, call in calls.items()
        }
        self._dtypes = tensor_dtypes(manifest, dtype)
        self._place = Place(device)

    def graph(self, name: str, shapes: Mapping[str, tuple[int, ...]]) -> TorchGraph:
        """Make the graph at these shapes; it runs once to learn its outputs' shapes."""
        inputs = {key: DeviceTensor(shape, self._dtypes[key]) for key, shape in shapes.items()}
        names = self._contracts[name].outputs
        return TorchGraph(self._calls[name], inputs, self._specs(name, inputs, names), self._place)

    def _specs(
        self, name: str, inputs: Mapping[str, DeviceTensor], names: tuple[str, ...]
    ) -> dict[str, DeviceTensor]:
        results = self._place.try_out(self._calls[name], inputs)
        return {
            key: DeviceTensor(tuple(result.shape), self._dtypes[key])
            for key, result in zip(names, results, strict=True)
        }


class TorchGraph:
    """One module at one set of shapes; a `DeviceSession`."""

    def __init__(
        self,
        call: Call,
        inputs: Mapping[str, DeviceTensor],
        outputs: Mapping[str, DeviceTensor],
        place: Place,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._call = call
        self._place = place
        self._read: dict[str, Tensor] = {}
        self._written: list[Tensor] = []

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Bind inputs and outputs to the caller's memory."""
        view = self._place.view
        self._read = {name: view(addresses[name], spec) for name, spec in self.inputs.items()}
        self._written = [view(addresses[name], spec) for name, spec in self.outputs.items()]

    def enqueue(self, stream: int) -> None:
        """Run the module; its results are cast, where they have another dtype, and copied."""
        with self._place.running(stream):
            results = _as_tuple(self._call(**self._read))
            for target, result in zip(self._written, results, strict=True):
                target.copy_(result)


class Place:
    """Device, stream and memory pool of modules, which may run inside another's capture."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self._pool = torch.cuda.MemPool() if self.device.type == "cuda" else None

    @contextmanager
    def running(self, stream: int | None) -> Iterator[None]:
        """Run on a stream; None runs on PyTorch's own, outside of any capture."""
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            if stream is not None and self._pool is not None:
                outside = torch.cuda.ExternalStream(stream, device=self.device)
                stack.enter_context(torch.cuda.stream(outside))
                stack.enter_context(torch.cuda.use_mem_pool(self._pool))
            yield
            if stream is None and self._pool is not None:
                # This stream reads results of PyTorch's own stream, such as the weights' casts,
                # and would not wait for them by itself.
                torch.cuda.synchronize(self.device)

    def try_out(self, call: Call, inputs: Mapping[str, DeviceTensor]) -> tuple[Tensor, ...]:
        """Run a module on zeros to learn the outputs' shapes."""
        with self.running(None):
            zeros = {
                key: torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype), device=self.device)
                for key, spec in inputs.items()
            }
            return _as_tuple(call(**zeros))

    def view(self, address: int, spec: DeviceTensor) -> Tensor:
        """Make a tensor over the caller's memory."""
        dtype = getattr(torch, spec.dtype)
        if 0 in spec.shape:
            return torch.empty(spec.shape, dtype=dtype, device=self.device)
        size = math.prod(spec.shape) * dtype.itemsize
        flat: Tensor
        if self.device.type == "cuda":
            flat = torch.as_tensor(_Exposed(address, size), device=self.device)
        else:
            flat = torch.frombuffer(
                (ctypes.c_uint8 * size).from_address(address), dtype=torch.uint8
            )
        return flat.view(dtype).view(spec.shape)


class _Exposed:
    """Device memory in the CUDA array interface, as bytes because it has no bfloat16."""

    def __init__(self, address: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
            "strides": None,
        }


def tensor_dtypes(manifest: Manifest, dtype: torch.dtype) -> dict[str, str]:
    """Give the dtypes of all tensors that pass through the graphs, by name.

    The graphs' outputs have the networks' dtype, except the policies' inputs and the outputs of
    graphs that keep float32. An input that a graph extends has its output's dtype: ``cache`` and
    ``new_cache``. All other tensors are float32 or integers.

    Args:
        manifest: Manifest of the networks.
        dtype: Dtype that they compute in.
    """
    spec, condition, contracts = manifest.family, manifest.condition, manifest.contracts
    made = {t for n, graph in contracts.items() if n not in KEEP_FLOAT32 for t in graph.outputs}
    made -= set(spec.seen.split())
    made |= {name.removeprefix("new_") for name in made}
    integers = {*find_family(spec.family).model().integers, "step"}
    every = {t for graph in contracts.values() for t in (*graph.inputs, *graph.outputs)}
    dtypes = dict.fromkeys(every, "float32")
    dtypes |= dict.fromkeys(made, str(dtype).removeprefix("torch."))
    dtypes |= dict.fromkeys(integers, "int64")
    return dtypes | {name: row.dtype for name, row in condition.tensors.items()}


def cast_networks(manifest: Manifest, backbone: nn.Module, decoder: nn.Module, dtype: Any) -> None:
    """Cast networks in place, except the parts that compute graphs that keep float32.

    Args:
        manifest: Manifest of the networks.
        backbone: The generator.
        decoder: The autoencoder.
        dtype: Dtype to compute in.
    """
    backbone.to(dtype)
    decoder.to(dtype)
    functions: Any = find_family(manifest.family.family).model().functions(backbone, decoder)
    for name in functions.keys() & KEEP_FLOAT32:
        getattr(functions[name], "__self__", functions[name]).float()


def network_calls(
    manifest: Manifest,
    backbone: nn.Module,
    decoder: nn.Module,
    policy: nn.Module | None,
    dtype: torch.dtype,
) -> dict[str, Call]:
    """List the functions that compute the graphs of a generator.

    Args:
        manifest: Manifest of the generator.
        backbone: The generator.
        decoder: The autoencoder.
        policy: The policy network as the family's features need it, or None.
        dtype: Dtype that the decoder computes in.
    """
    model = find_family(manifest.family.family).model()
    calls: dict[str, Call] = dict(model.functions(backbone, decoder))
    decode = calls["decoder"]

    def cast_and_decode(**inputs: Tensor) -> Any:
        cast = {n: x.to(dtype) if x.is_floating_point() else x for n, x in inputs.items()}
        return decode(**cast)

    calls["decoder"] = cast_and_decode
    return calls if policy is None else {**calls, "policy": policy}


def _as_tuple(results: Any) -> tuple[Tensor, ...]:
    return tuple(results) if isinstance(results, tuple) else (results,)
