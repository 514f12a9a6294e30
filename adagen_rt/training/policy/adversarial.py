"""Training of the discriminator that adversarial rewards come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adagen_rt.condition import classes_of, count_rows, take_rows
from adagen_rt.evaluation.folder import FolderPixels
from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.features import Features
from adagen_rt.models.random import integers
from adagen_rt.training.policy.environment import Tensors
from adagen_rt.training.policy.parallel import Workers, step_if_finite
from adagen_rt.training.policy.settings import AdversaryConfig

#: Real images, of all classes, that the heads' input statistics are taken from.
CALIBRATION_IMAGES = 1000

#: Makes images (n, c, H, W) of the current policy, and their conditions.
Fresh = Callable[[int, torch.Generator], tuple[Tensor, Tensors]]


class Adversary:
    """A discriminator between generated and real images, and its optimiser.

    Args:
        network: The discriminator, which is trained in place.
        features: Frozen, on `device`.
        pixels: Real images (N, c, H, W) uint8.
        rows: Conditions of the real images, named tensors (N, ...).
        config: Settings of the discriminator's training.
        device: PyTorch's name of the device.
        workers: The processes that learn together.
        told: Gives what the network is told of rows (B, ...): classes (B,), or vectors (B, D).
    """

    def __init__(
        self,
        network: Discriminator,
        features: Features,
        pixels: Tensor | FolderPixels,
        rows: Tensors,
        config: AdversaryConfig,
        device: str = "cpu",
        workers: Workers = Workers(),  # noqa: B008 (frozen)
        told: Callable[[Tensors], Tensor] = classes_of,
    ) -> None:
        self.features, self.told = features, told
        self.pixels, self.rows = pixels.to(device), _to(rows, device)
        self.config, self.workers, self.device = config, workers, device
        self.network = network.to(device)
        if network.calibrated:
            count = count_rows(rows)
            spread = torch.linspace(0, count - 1, min(CALIBRATION_IMAGES, count)).long()
            self.network.calibrate(features(self._real(spread)))
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, betas=config.betas
        )

    @torch.no_grad()
    def realness(
        self, images: Tensor, rows: Tensors, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return rewards (B,) in (0, 1); without a generator, no batch is cropped."""
        self.network.eval()
        places = torch.arange(len(images), device=images.device).split(self.config.batch_size)
        logits = (self._logits(images[part], take_rows(rows, part), generator) for part in places)
        return torch.cat([self.network.reward(one) for one in logits])

    def learn(
        self, images: Tensor, rows: Tensors, generator: torch.Generator, fresh: Fresh
    ) -> dict[str, float]:
        """Make an update's steps, each with generated images beside as many random real ones.

        Args:
            images: Images that were rewarded, (B, c, H, W) in [0, 1].
            rows: Their conditions.
            generator: Chooses images, real ones and views.
            fresh: Makes new images of the updated policy.

        Returns:
            `real` and `fake`, the mean rewards of real and of generated images before each
            step, the mean loss, and the share of steps skipped because the loss was not finite.
        """
        self.network.train()
        results = [
            self._step(*batch, generator) for batch in self._batches(images, rows, generator, fresh)
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

    def _batches(
        self, images: Tensor, rows: Tensors, generator: torch.Generator, fresh: Fresh
    ) -> Iterator[tuple[Tensor, Tensors]]:
        """Give the generated images of each step: new ones, or those of an update in parts."""
        config = self.config
        if config.fresh:
            yield from (fresh(config.batch_size, generator) for _ in range(config.steps))
            return
        for _ in range(config.epochs):
            order = torch.randperm(len(images), generator=generator).to(self.device)
            yield from (
                (images[part], take_rows(rows, part)) for part in order.split(config.batch_size)
            )

    def _step(
        self, images: Tensor, rows: Tensors, generator: torch.Generator
    ) -> tuple[float, float, float, bool]:
        """Make one step of binary cross-entropy: real images to 1, generated ones to 0."""
        places = integers(count_rows(self.rows), (len(images),), generator).to(self.device)
        pixels = self._mirrored(self._real(places), generator)
        real = self._logits(pixels, take_rows(self.rows, places), generator)
        fake = self._logits(images, rows, generator)
        losses = [(F.softplus(-r) + F.softplus(f)).mean() for r, f in zip(real, fake, strict=True)]
        loss = torch.stack(losses).mean()
        made = step_if_finite(self.optimizer, [loss], self.config.max_norm, self.workers)
        scores = [self.network.reward(logits).mean().item() for logits in (real, fake)]
        return scores[0], scores[1], loss.item(), not made

    def _logits(
        self, images: Tensor, rows: Tensors, generator: torch.Generator | None
    ) -> list[Tensor]:
        viewed = self._cropped(images, generator)
        return self.network(self.features(viewed), self.told(rows))

    def _cropped(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Cut a random square of the features' size out of a share of the batches."""
        side = self.features.side
        room = [size - side for size in images.shape[-2:]]
        if generator is None or min(room) < 0 or max(room) == 0 or not self.config.crops:
            return images
        if torch.rand((), generator=generator) >= self.config.crops:
            return images
        top, left = (int(integers(space + 1, (), generator)) for space in room)
        return images[..., top : top + side, left : left + side]

    def _mirrored(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Mirror half of the images (N, c, H, W), chosen at random."""
        if not self.config.mirror:
            return images
        chosen = torch.rand(len(images), generator=generator).to(images.device) < 0.5
        return torch.where(chosen[:, None, None, None], images.flip(-1), images)

    def _real(self, places: Tensor) -> Tensor:
        return self.pixels[places].float() / 255


def _to(rows: Tensors, device: str) -> Tensors:
    return {name: values.to(device) for name, values in rows.items()}
