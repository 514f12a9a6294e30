"""An engine's own graphs on any device: the networks that users run, judged on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adagen_rt.backends.torch.onnx_module import OnnxModule
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.evaluation.network_source import NetworkSource
from adagen_rt.sampling.loop import Network
from adagen_rt.training.policy.environment import Environment, Tensors
from adagen_rt.training.policy.rollout import ask


class Backbone(nn.Module):
    """The backbone and, for VAR, what the labels decide."""

    def __init__(self, graphs: dict[str, OnnxModule]) -> None:
        super().__init__()
        self.graph, self.condition = graphs["backbone"], graphs.get("condition")

    def forward(self, **inputs: Tensor) -> tuple[Tensor, ...]:
        """The graph's outputs."""
        return self.graph(**inputs)


class Decoder(nn.Module):
    """The decoder and, for VAR, the refinement of its maps."""

    def __init__(self, graphs: dict[str, OnnxModule]) -> None:
        super().__init__()
        self.graph, self.quantize = graphs["decoder"], nn.Module()
        if "refine" in graphs:
            self.quantize.refine = graphs["refine"]

    def decode(self, latents: Tensor) -> Tensor:
        """Pixels of latents."""
        return self.graph(latents=latents)[0]

    def decode_tokens(self, tokens: Tensor) -> Tensor:
        """Pixels of tokens."""
        return self.graph(tokens=tokens)[0]


class First(nn.Module):
    """The only output of a graph."""

    def __init__(self, graph: OnnxModule) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, **inputs: Tensor) -> Tensor:
        """The output: (B, A), or (B,) of a critic or reward model."""
        (output,) = self.graph(**inputs)
        return output


class GraphSource(NetworkSource):
    """As the trainer runs networks, but over an engine's graphs.

    Args:
        engine: Opened.
        manifest: Its own, or a changed one.
        device: PyTorch's name of a device.
        batch_size: Images made together.
    """

    def __init__(self, engine: EngineFolder, manifest: Manifest, device: str, batch_size: int) -> None:
        # The judge's convolutions would round their inputs to TensorFloat-32, as no CPU does.
        torch.backends.cudnn.allow_tf32 = False
        graphs = {name: OnnxModule(engine.path / g.file) for name, g in manifest.graphs.items()}
        names = ("policy", "fidelity_policy", "critic", "reward")
        others: dict[str, nn.Module] = {
            name: First(graphs[name]).to(device) for name in names if name in graphs
        }
        networks = Backbone(graphs), Decoder(graphs)
        super().__init__(manifest, *networks, others, device, batch_size)

    def _reward_model(self) -> nn.Module:
        return self._find("reward")

    def _ask(self, environment: Environment, name: str) -> Network:
        network = self._find(name)

        def run(features: Tensors, call: Tensor) -> Tensor:
            raw = ask(network, features, call)
            # A critic's network gives its value as a column.
            return raw if raw.ndim > 1 else raw[:, None]

        return run
