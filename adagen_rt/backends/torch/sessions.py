"""PyTorch functions and modules as sessions: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adagen_rt.engine.manifest import Manifest
from adagen_rt.sampling.memory import Memory
from adagen_rt.types import Arrays

Function = Callable[..., Any]


@dataclass(frozen=True)
class TorchSession:
    """A function of named tensors.

    Attributes:
        function: Returns one tensor or a tuple of them.
        outputs: Names of the returned tensors, in order.
    """

    function: Function
    outputs: tuple[str, ...]

    @torch.no_grad()
    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name."""
        results = self.function(**inputs)
        tensors = tuple(results) if isinstance(results, tuple) else (results,)
        return dict(zip(self.outputs, tensors, strict=True))


def torch_sessions(
    manifest: Manifest, functions: Mapping[str, Function]
) -> dict[str, TorchSession]:
    """Make sessions of the graphs' functions, with the tensor names of the contracts."""
    contracts = manifest.contracts
    return {
        name: TorchSession(function, contracts[name].outputs)
        for name, function in functions.items()
    }


def frozen(module: nn.Module, device: torch.device | str) -> Any:
    """Move a network to a device, for nothing but its outputs."""
    return module.eval().requires_grad_(False).to(device)


def device_memory(device: torch.device | str) -> Memory:
    """Make the transfers of arrays to a PyTorch device and back."""

    def put(values: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    def get(values: Any) -> npt.NDArray[Any]:
        array: npt.NDArray[Any] = values.cpu().numpy()
        return array

    return Memory(put, get)
