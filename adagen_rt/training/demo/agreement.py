"""Training of the judge that tells whether a picture shows what a text says."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.models.agreement import Agreement
from adagen_rt.models.random import integers
from adagen_rt.training.checkpoint import save_weights
from adagen_rt.training.demo.loop import Trainer
from adagen_rt.training.demo.settings import LoopConfig


class AgreementTask:
    """Cross entropy of finding each picture's caption in the batch, and each caption's picture.

    Args:
        network: The networks.
        features: Features (N, 1280) of the pictures.
        ids: Token ids (N, 24) of their captions.
    """

    def __init__(self, network: Agreement, features: Tensor, ids: Tensor) -> None:
        self.network, self.features, self.ids = network, features, ids
        self.size = len(ids)

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean cross entropy of the examples."""
        # Dropout draws from the global generator; keyed by the step like everything else.
        torch.manual_seed(int(integers(2**31, (), generator)))
        logits = self.network(self.features[rows], self.ids[rows])
        target = torch.arange(len(rows), device=logits.device)
        return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))

    def preview(self, network: nn.Module) -> None:
        """Return None: nothing is drawn."""


def train_agreement(task: AgreementTask, path: Path, steps: int, resume: bool = False) -> Agreement:
    """Train the networks and write their averaged weights; checkpoint and log lie beside them."""
    config = LoopConfig(steps, batch_size=256, learning_rate=1e-3, average=0.99, weight_decay=0.1)
    trained = Trainer(task, config, path.parent, resume).run()
    assert isinstance(trained, Agreement)
    save_weights(trained.state_dict(), path)
    return trained
