"""PyTorch modules as device graphs: the engine of comparisons, and of GPUs without TensorRT.

Lies with the PyTorch half of the package: the runtime takes any ``DeviceGraphs`` and never
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

from adagen_rt.backends.base import TensorSpec

Call = Callable[..., Any]
#: Outputs of every graph, in the order in which the networks return them.
OUTPUTS = {
    "maskgit": ("logits", "features"),
    "dit": ("prediction", "features"),
    "sit": ("prediction", "features"),
    "var": ("logits", "features", "new_cache"),
}
_OTHERS = {
    "decoder": ("image",),
    "policy": ("raw",),
    "condition": ("modulation", "head_modulation", "start"),
    "refine": ("next_f_hat", "next_inputs"),
}
#: Tensors that have the networks' dtype; features are float32, as the policy is.
TYPED = frozenset(
    [
        "logits",
        "prediction",
        "image",
        "cache",
        "new_cache",
        "modulation",
        "head_modulation",
        "start",
    ]
)
INTEGERS = frozenset(["tokens", "labels", "positions", "next_positions", "phi", "step"])


class TorchGraphs:
    """The networks of one engine as ``DeviceGraphs``.

    Args:
        family: The step rule that they serve.
        calls: What computes each graph, by the names of the graph's inputs.
        dtype: Dtype of the networks.
        device: Where they are, such as ``cuda``.
        compiled: Names of the graphs to compile with ``torch.compile``.
    """

    def __init__(
        self,
        family: str,
        calls: Mapping[str, Call],
        dtype: torch.dtype,
        device: str,
        compiled: frozenset[str] = frozenset(),
    ) -> None:
        self._outputs = {"backbone": OUTPUTS[family], **_OTHERS}
        self._calls = {
            name: torch.compile(call) if name in compiled else call for name, call in calls.items()
        }
        self._dtype = dtype
        self._place = Place(device)

    def graph(self, name: str, shapes: Mapping[str, tuple[int, ...]]) -> TorchGraph:
        """The graph at these shapes; runs once to learn its outputs' shapes."""
        inputs = {key: TensorSpec(shape, self._dtype_of(key)) for key, shape in shapes.items()}
        names = self._outputs[name]
        return TorchGraph(self._calls[name], inputs, self._specs(name, inputs, names), self._place)

    def _specs(
        self, name: str, inputs: Mapping[str, TensorSpec], names: tuple[str, ...]
    ) -> dict[str, TensorSpec]:
        results = self._place.try_out(self._calls[name], inputs)
        return {
            key: TensorSpec(tuple(result.shape), self._dtype_of(key))
            for key, result in zip(names, results, strict=True)
        }

    def _dtype_of(self, name: str) -> str:
        if name in INTEGERS:
            return "int64"
        return str(self._dtype if name in TYPED else torch.float32).removeprefix("torch.")


class TorchGraph:
    """One module at one set of shapes; a ``DeviceGraph``."""

    def __init__(
        self,
        call: Call,
        inputs: Mapping[str, TensorSpec],
        outputs: Mapping[str, TensorSpec],
        place: Place,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._call = call
        self._place = place
        self._read: dict[str, Tensor] = {}
        self._written: list[Tensor] = []

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Tensors over memory that belongs to the caller."""
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
    """Where modules run, and what it takes to run there inside someone else's capture."""

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
                # What PyTorch's own stream has under way, the weights' casts for one, is read by
                # a stream that does not wait for it.
                torch.cuda.synchronize(self.device)

    def try_out(self, call: Call, inputs: Mapping[str, TensorSpec]) -> tuple[Tensor, ...]:
        """What a module gives for zeros; of use are the shapes."""
        with self.running(None):
            zeros = {
                key: torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype), device=self.device)
                for key, spec in inputs.items()
            }
            return _as_tuple(call(**zeros))

    def view(self, address: int, spec: TensorSpec) -> Tensor:
        """A tensor over memory that belongs to the caller."""
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
    """Device memory as the CUDA array interface describes it; it has no bfloat16, so bytes."""

    def __init__(self, address: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
            "strides": None,
        }


def network_calls(
    family: str,
    backbone: nn.Module,
    decoder: Any,
    policy: nn.Module | None,
    dtype: torch.dtype,
) -> dict[str, Call]:
    """What computes each graph of a family.

    Args:
        family: The step rule.
        backbone: The generator.
        decoder: The autoencoder.
        policy: The policy network as the family's features need it, or None.
        dtype: What the decoder computes in.
    """
    calls: dict[str, Call] = {"backbone": backbone}
    if policy is not None:
        calls["policy"] = policy
    if family == "maskgit":
        return {**calls, "decoder": lambda tokens: decoder.decode_tokens(tokens)}
    calls["decoder"] = lambda latents: decoder.decode(latents.to(dtype))
    if family == "var":
        condition: Any = backbone
        calls |= {"condition": condition.condition, "refine": decoder.quantize.refine}
    return calls


def _as_tuple(results: Any) -> tuple[Tensor, ...]:
    return tuple(results) if isinstance(results, tuple) else (results,)
