"""An engine's own graphs on any device: the networks that users run, judged on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.best_of import Rewards, score_images
from adagen_rt.engine import Engine
from adagen_rt.loop import Arrays, Network
from adagen_rt.manifest import Manifest
from adagen_rt.models.onnx_module import OnnxModule
from adagen_rt.training.environment import Environment
from adagen_rt.training.network_source import NetworkSource
from adagen_rt.training.rollout import ask
from adagen_rt.training.sources import Made


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
    """The only output of a graph; a critic's value (B,) as the column that a network gives."""

    def __init__(self, graph: OnnxModule) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, **inputs: Tensor) -> Tensor:
        """The output (B, A)."""
        (output,) = self.graph(**inputs)
        return output if output.ndim > 1 else output[:, None]


class GraphSource(NetworkSource):
    """As the trainer runs networks, but over an engine's graphs.

    Args:
        engine: Opened.
        manifest: Its own, or a changed one.
        device: PyTorch's name of a device.
        batch_size: Images made together.
    """

    def __init__(self, engine: Engine, manifest: Manifest, device: str, batch_size: int) -> None:
        # Convolutions would round their inputs to TensorFloat-32, which the CPU does not.
        torch.backends.cudnn.allow_tf32 = False
        graphs = {name: OnnxModule(engine.path / g.file) for name, g in manifest.graphs.items()}
        names = ("policy", "fidelity_policy", "critic", "reward")
        others: dict[str, nn.Module] = {
            name: First(graphs[name]).to(device) for name in names if name in graphs
        }
        networks = Backbone(graphs), Decoder(graphs)
        super().__init__(manifest, *networks, others, device, batch_size)

    def reward(self) -> Callable[[Made], Rewards]:
        """See `Source`."""
        network = self._find("reward")

        def graph(feeds: Arrays) -> Arrays:
            tensors = {n: torch.from_numpy(v).to(self.device) for n, v in feeds.items()}
            return {"reward": network(**tensors)[:, 0].cpu().numpy()}

        size = self.batch_size
        return lambda made: score_images(graph, made.pixels(), made.labels.numpy(), size)

    def _ask(self, environment: Environment, name: str) -> Network:
        network: Any = self._find(name)
        return partial(ask, network)
