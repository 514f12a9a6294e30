"""Graphs that are traced once in a run of the tests, however many engines have them.

Tracing a graph of a few small layers takes PyTorch two to five seconds, and most engines that
tests export have the same backbone and decoder. A graph is the same if all of its module is: the
classes, the settings, every weight, and the example inputs.
"""

import hashlib
import os
from pathlib import Path

import onnx_ir as ir
import torch
from once import shared_folder
from torch.onnx._internal.exporter import _registration

from adagen_rt.export import writing

#: Numbers in the weights of the largest module that is kept.
MAX_WEIGHTS = 1 << 24


def trace_once(patch, factory):
    """Have the export look among the run's graphs before it traces one.

    Args:
        patch: pytest's `MonkeyPatch`.
        factory: pytest's `tmp_path_factory`.
    """
    patch.setattr(writing, "build_graph", _remembering(writing.build_graph, shared_folder(factory)))
    registry = _registration.ONNXRegistry
    patch.setattr(registry, "from_torchlib", staticmethod(_made_once(registry.from_torchlib)))


def _remembering(build, folder):
    def build_or_read(plan, dtype):
        key = fingerprint(plan, dtype)
        if key is None:
            return build(plan, dtype)
        path = Path(folder, f"{key}.onnx")
        if not path.is_file():
            own = path.with_suffix(f".{os.getpid()}")
            ir.save(build(plan, dtype), own, format="protobuf")
            own.replace(path)
        return ir.load(path, format="protobuf")

    return build_or_read


def _made_once(make):
    """Keep the exporter's table of operators, which it makes anew for every graph."""
    known = {}

    def from_torchlib(opset_version):
        if opset_version not in known:
            known[opset_version] = make(opset_version)
        return known[opset_version]

    return from_torchlib


def fingerprint(plan, dtype):
    """Hash all that a graph is made of; None for a module that is large or cannot be told apart."""
    parts = [plan.name, dtype, plan.outputs, sorted(plan.dynamic.items())]
    for name, value in plan.inputs.items():
        parts += [name, value]
    for name, module in plan.module.named_modules():
        kind = type(module)
        if "<locals>" in kind.__qualname__:
            return None  # its code may depend on variables around it
        parts += [name, kind.__module__, kind.__qualname__, module.training]
        for key, value in vars(module).items():
            if key in ("_parameters", "_buffers"):
                parts += [item for pair in value.items() for item in pair]
            elif not key.startswith("_"):
                parts += [key, value]
    weights = sum(part.numel() for part in parts if isinstance(part, torch.Tensor))
    if weights > MAX_WEIGHTS:
        return None
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            digest.update(f"{part.dtype} {tuple(part.shape)}".encode())
            digest.update(
                part.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            )
        else:
            # An object without a text of its own has its address there, and is traced anew.
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()
