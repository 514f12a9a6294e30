"""The environment of a policy that is trained for an exported engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.backends.torch.sessions import torch_sessions
from adagen_rt.engine.contracts import CHOOSERS
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.evaluation.networks import graph_functions
from adagen_rt.training.policy.environment import Environment
from adagen_rt.types import Arrays, Session


@dataclass(frozen=True)
class HostSession:
    """A graph of ONNX Runtime over tensors of the CPU.

    Attributes:
        session: The graph over arrays.
    """

    session: Session

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name."""
        outputs = self.session.run({name: tensor.numpy() for name, tensor in inputs.items()})
        # The session's next run overwrites its arrays.
        return {name: torch.from_numpy(array.copy()) for name, array in outputs.items()}


def without_choosers(manifest: Manifest) -> Manifest:
    """Copy an engine's manifest without policies and critic, and with images of one size."""
    graphs = {name: graph for name, graph in manifest.graphs.items() if name not in CHOOSERS}
    changed = {"graphs": graphs, "refinement_std": None, "sizes": None}
    return manifest.model_copy(update=changed)


def engine_environment(
    engine: EngineFolder, manifest: Manifest, device: str, asked: Sequence[Any] | None
) -> Environment:
    """Make the environment of an engine's own graphs: by ONNX Runtime, on a GPU by PyTorch.

    Args:
        engine: The opened engine folder.
        manifest: Its manifest by `without_choosers`, perhaps under another schedule.
        device: PyTorch's name of the device.
        asked: See `Environment`.
    """
    manifest.condition.load()
    return Environment(manifest, _sessions(engine, manifest, device), device, asked=asked)


def _sessions(engine: EngineFolder, manifest: Manifest, device: str) -> Mapping[str, Session]:
    if torch.device(device).type != "cpu":
        return torch_sessions(manifest, graph_functions(engine, manifest, device))
    runtime = OnnxRuntime(torch.get_num_threads())
    return {name: HostSession(runtime.load(engine.graph_file(name))) for name in manifest.graphs}
