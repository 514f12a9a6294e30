"""Samplers over PyTorch: networks as the trainer runs them, or an engine's own graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from adagen_rt.backends.torch.onnx_module import OnnxModule
from adagen_rt.backends.torch.sessions import Function, device_memory, frozen, torch_sessions
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.models.policy import FirstColumn, PolicyNetwork
from adagen_rt.models.reward_model import RewardModel
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.sampling.assembly import Assembly
from adagen_rt.sampling.sampler import Sampler


def network_sampler(
    manifest: Manifest,
    backbone: nn.Module,
    decoder: nn.Module,
    others: Mapping[str, Any],
    device: str = "cpu",
    features: nn.Module | None = None,
) -> Sampler:
    """Make a sampler of the networks that an engine is made of, on any device.

    Args:
        manifest: The engine's manifest.
        backbone: The generator.
        decoder: Makes the images.
        others: Optional networks by name: `policy`, `fidelity_policy`, `critic` and `reward`
            (the discriminator).
        device: PyTorch's name of a device.
        features: Features that the discriminator judges; None takes the built-in classifier's.
    """
    model = manifest.plugin.model()
    functions = dict(model.functions(frozen(backbone, device), frozen(decoder, device)))
    for name, network in others.items():
        module: nn.Module
        if isinstance(network, PolicyNetwork):
            module = model.policy_module(network, manifest.family)
            module = FirstColumn(module) if name == "critic" else module
        else:
            module = RewardModel(network, features)
        functions[name] = frozen(module, device)
    return _sampler(manifest.with_graphs(functions), functions, device)


def graph_sampler(engine: EngineFolder, manifest: Manifest, device: str) -> Sampler:
    """Make a sampler that runs an engine's own graphs in PyTorch, as users run them on a GPU.

    Args:
        engine: The opened engine folder.
        manifest: The engine's manifest, or a changed copy.
        device: PyTorch's name of a device.
    """
    return _sampler(manifest, graph_functions(engine, manifest, device), device)


def graph_functions(engine: EngineFolder, manifest: Manifest, device: str) -> dict[str, Function]:
    """Load a manifest's graphs of an engine into PyTorch; arguments as for `graph_sampler`."""
    # By default, convolutions on a GPU round their inputs to TensorFloat-32; a CPU does not.
    torch.backends.cudnn.allow_tf32 = False
    return {name: frozen(OnnxModule(engine.graph_file(name)), device) for name in manifest.graphs}


def _sampler(manifest: Manifest, functions: Mapping[str, Function], device: str) -> Sampler:
    sessions = torch_sessions(manifest, functions)
    return Sampler(Assembly(manifest, sessions, ReferenceOps()), device_memory(device))
