"""Training of the networks that classify Fashion-MNIST."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.evaluation.data import Images
from adagen_rt.evaluation.metrics import class_accuracy
from adagen_rt.models.classifier import judge
from adagen_rt.models.random import integers, uniform
from adagen_rt.training.checkpoint import save_weights
from adagen_rt.training.demo.loop import Trainer
from adagen_rt.training.demo.settings import LoopConfig


class ClassifierTask:
    """Cross entropy over images shifted by up to two pixels and mirrored half of the time."""

    def __init__(self, network: nn.Module, images: Images, device: str = "cpu") -> None:
        self.network = network.to(device)
        self.pixels = torch.from_numpy(images.pixels)[:, None].to(device)
        self.classes = torch.from_numpy(images.classes).to(device)
        self.size = len(images.classes)

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean cross entropy of the examples."""
        images = self.pixels[rows].float() / 255.0
        shift = (integers(5, (2,), generator) - 2).tolist()
        flip = uniform((len(rows), 1, 1, 1), generator) < 0.5
        images = torch.where(flip, images.flip(-1), images).roll(shift, dims=(-2, -1))
        # Dropout draws from the global generator; keyed by the step like everything else.
        torch.manual_seed(int(integers(2**31, (), generator)))
        logits, _ = self.network(images)
        return F.cross_entropy(logits.float(), self.classes[rows])

    def preview(self, network: nn.Module) -> None:
        """Return None: a classifier draws no images."""


def train_classifier(
    task: ClassifierTask, test: Images, path: Path, steps: int, resume: bool = False
) -> float:
    """Train a network that classifies images.

    Args:
        task: The network and its training set.
        test: Images to measure it with.
        path: File for its weights; checkpoint and log lie beside it.
        steps: Optimizer steps.
        resume: Whether to continue an earlier run.

    Returns:
        Accuracy on `test`.
    """
    config = LoopConfig(steps, batch_size=128, learning_rate=3e-3, average=0.995)
    trained = Trainer(task, config, path.parent, resume).run()
    save_weights(trained.state_dict(), path)
    pixels = torch.from_numpy(test.pixels)[:, None].to(task.pixels.device).float() / 255.0
    return class_accuracy(judge(trained.eval(), pixels)[0].cpu(), test.classes)
