"""A small classifier of Fashion-MNIST: what rewards and tokenizers look at images through."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.errors import CheckpointError
from adagen_rt.evaluation.data import CLASS_NAMES, Images
from adagen_rt.evaluation.metrics import class_accuracy
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.training.checkpoint import save_weights
from adagen_rt.training.demo.loop import LoopConfig, Trainer
from adagen_rt.training.random import integers, uniform

#: Weights of the classifier that every shipped model was trained with.
WEIGHTS = Path(__file__).parent / "assets" / "fashion_classifier.safetensors"
FEATURES = 64
BATCH = 500
N = TypeVar("N", bound=nn.Module)


class Classifier(nn.Module):
    """Four convolutions with batch normalisation, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 32, 64, 64, 96)
        pairs = pairwise(widths)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairs
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.hidden = nn.Linear(widths[-1] * 16, FEATURES)
        self.head = nn.Linear(FEATURES, len(CLASS_NAMES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images (N, 1, 32, 32) in [0, 1] to logits (N, 10) and features (N, 64)."""
        x = self.maps(images)[-1]
        features = F.relu(self.hidden(F.dropout(x.flatten(1), 0.3, self.training)))
        return self.head(F.dropout(features, 0.3, self.training)), features

    def maps(self, images: Tensor) -> list[Tensor]:
        """What each convolution makes of images: maps (N, C, h, w) of half the size or equal."""
        maps, x = [], images
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            x = F.relu(norm(convolution(x)))
            if index != 1:
                x = F.max_pool2d(x, 2)
            maps.append(x)
        return maps


class ClassifierTask:
    """Cross entropy over images shifted by up to two pixels and mirrored half of the time."""

    def __init__(self, network: nn.Module, images: Images, device: str = "cpu") -> None:
        self.network = network.to(device)
        self.pixels = torch.from_numpy(images.pixels)[:, None].to(device)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.size = len(images.labels)

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Mean cross entropy of the examples."""
        images = self.pixels[rows].float() / 255.0
        shift = (integers(5, (2,), generator) - 2).tolist()
        flip = uniform((len(rows), 1, 1, 1), generator) < 0.5
        images = torch.where(flip, images.flip(-1), images).roll(shift, dims=(-2, -1))
        # Dropout draws from the global generator; keyed by the step like everything else.
        torch.manual_seed(int(integers(2**31, (), generator)))
        logits, _ = self.network(images)
        return F.cross_entropy(logits.float(), self.labels[rows])

    def preview(self, network: nn.Module) -> None:
        """A classifier draws nothing."""


def train_classifier(
    task: ClassifierTask, test: Images, path: Path, steps: int, resume: bool = False
) -> float:
    """Trains a network that classifies images.

    Args:
        task: The network and its training set.
        test: Images to measure it with.
        path: Gets its weights; checkpoint and log lie beside it.
        steps: Optimizer steps.
        resume: Whether to continue an earlier run.

    Returns:
        Accuracy on `test`.
    """
    config = LoopConfig(steps, batch_size=128, learning_rate=3e-3, average=0.995)
    trained = Trainer(task, config, path.parent, resume).run()
    save_weights(trained.state_dict(), path)
    pixels = torch.from_numpy(test.pixels)[:, None].to(task.pixels.device).float() / 255.0
    return class_accuracy(judge(trained.eval(), pixels)[0].cpu(), test.labels)


def load_classifier(path: Path = WEIGHTS) -> Classifier:
    """The trained classifier, ready to judge.

    Raises:
        CheckpointError: The file is missing or is not of this network.
    """
    return load_network(Classifier(), path)


def load_network(network: N, path: Path) -> N:
    """Fills a network with the weights that `train_classifier` wrote, ready to judge."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; adagen-rt train classifier makes it")
    load_strict(network, load_state(path))
    return network.eval()


@torch.no_grad()
def judge(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Predicted classes (N,) and features (N, D) of images (N, 1, 32, 32) in [0, 1]."""
    outputs = [network(batch) for batch in images.split(BATCH)]
    logits = torch.cat([logits for logits, _ in outputs])
    return logits.argmax(dim=1), torch.cat([features for _, features in outputs])
