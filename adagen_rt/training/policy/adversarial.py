"""Training of the discriminator that adversarial rewards come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adagen_rt.condition import classes_of, count_rows, take_rows
from adagen_rt.errors import InputError
from adagen_rt.models.discriminator import Discriminator, mean_probability
from adagen_rt.models.features import Features
from adagen_rt.models.random import integers
from adagen_rt.training.policy.environment import Tensors
from adagen_rt.training.policy.folder import FolderPixels
from adagen_rt.training.policy.parallel import Workers, step_if_finite

#: Real images, of all classes, that the heads' input statistics are taken from.
CALIBRATION_IMAGES = 1000


@dataclass(frozen=True)
class AdversaryConfig:
    """Settings of the discriminator's training.

    Attributes:
        width: Channels inside each head.
        learning_rate: Adam's; betas are (0, 0.99), as is usual against a moving opponent.
        batch_size: Generated images a step, and as many real ones.
        epochs: Passes over an update's generated images.
        max_norm: Largest norm of the gradient.
    """

    width: int = 64
    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 1
    max_norm: float = 10.0

    def __post_init__(self) -> None:
        for name in ("width", "batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "at least 1")
        if not self.learning_rate > 0:
            raise InputError("learning_rate", self.learning_rate, "a number above 0")


class Adversary:
    """A discriminator between generated and real images, and its optimiser.

    Args:
        features: Frozen, on `device`.
        pixels: Real images (N, c, H, W) uint8.
        rows: Conditions of the real images, named tensors (N, ...).
        config: Settings of the discriminator's training.
        device: PyTorch's name of the device.
        workers: The processes that learn together.
    """

    def __init__(
        self,
        features: Features,
        pixels: Tensor | FolderPixels,
        rows: Tensors,
        config: AdversaryConfig,
        device: str = "cpu",
        workers: Workers = Workers(),  # noqa: B008 (frozen)
    ) -> None:
        self.features = features
        self.pixels, self.rows = pixels.to(device), _to(rows, device)
        self.config, self.workers, self.device = config, workers, device
        count, classes = count_rows(rows), int(classes_of(rows).max()) + 1
        self.network = Discriminator(features.widths, classes, config.width).to(device)
        spread = torch.linspace(0, count - 1, min(CALIBRATION_IMAGES, count)).long()
        self.network.calibrate(features(self._real(spread)))
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, betas=(0.0, 0.99)
        )

    @torch.no_grad()
    def realness(self, images: Tensor, rows: Tensors) -> Tensor:
        """Return the mean probability (B,) of being real, over all heads and places."""
        # In training mode, spectral normalisation would take another power iteration.
        self.network.eval()
        places = torch.arange(len(images), device=images.device).split(self.config.batch_size)
        logits = (self._logits(images[part], take_rows(rows, part)) for part in places)
        return torch.cat([mean_probability(one) for one in logits])

    def learn(self, images: Tensor, rows: Tensors, generator: torch.Generator) -> dict[str, float]:
        """Make one or more passes over generated images, each beside a random real one.

        Returns:
            `real` and `fake`, the mean probabilities of real and of generated images before each
            step, the mean loss, and the share of steps skipped because the loss was not finite.
        """
        self.network.train()
        config, batches, real = self.config, [], count_rows(self.rows)
        for _ in range(config.epochs):
            batches += torch.randperm(len(images), generator=generator).split(config.batch_size)
        results = [
            self._step(
                images[part.to(self.device)],
                take_rows(rows, part.to(self.device)),
                integers(real, part.shape, generator).to(self.device),
            )
            for part in batches
        ]
        names = ("real", "fake", "discriminator_loss", "discriminator_skipped")
        averages = torch.tensor(results, dtype=torch.float64).mean(dim=0).tolist()
        return dict(zip(names, averages, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The discriminator and its optimiser."""
        return {
            "discriminator": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with a saved discriminator and optimiser."""
        self.network.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _step(
        self, images: Tensor, rows: Tensors, places: Tensor
    ) -> tuple[float, float, float, bool]:
        """Make one step of binary cross-entropy: real images to 1, generated ones to 0."""
        real = self._logits(self._real(places), take_rows(self.rows, places))
        fake = self._logits(images, rows)
        losses = [
            _cross_entropy(r, 1.0) + _cross_entropy(f, 0.0) for r, f in zip(real, fake, strict=True)
        ]
        loss = torch.stack(losses).mean()
        made = step_if_finite(self.optimizer, loss, self.config.max_norm, self.workers)
        scores = [mean_probability(logits).mean().item() for logits in (real, fake)]
        return scores[0], scores[1], loss.item(), not made

    def _logits(self, images: Tensor, rows: Tensors) -> list[Tensor]:
        return self.network(self.features(images), classes_of(rows))

    def _real(self, places: Tensor) -> Tensor:
        return self.pixels[places].float() / 255


def _to(rows: Tensors, device: str) -> Tensors:
    return {name: values.to(device) for name, values in rows.items()}


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
