"""Data parallel training over torchrun's processes: averages, and nothing else.

Every process generates and learns from its own share of the samples; gradients and decisions
(is the loss finite?) are averaged, so that all processes take the same steps.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Workers:
    """This process among all that train together.

    Attributes:
        rank: Number of this process.
        count: Number of processes; with one, every method is the identity.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    @contextmanager
    def connected(cls) -> Iterator[Workers]:
        """Join the processes that torchrun started; a single process joins none."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            yield cls()
            return
        distributed.init_process_group("gloo")
        try:
            yield cls(distributed.get_rank(), count)
        finally:
            distributed.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """Return this process's part of rows (n, ...), n a multiple of `count`."""
        return rows[self.rank :: self.count]

    def mean(self, values: Tensor) -> Tensor:
        """Average a tensor, of the same shape everywhere, over the processes."""
        if self.count == 1:
            return values
        total = values.detach().cpu().clone()
        distributed.all_reduce(total)
        return (total / self.count).to(values.device)

    def mean_of(self, numbers: dict[str, float]) -> dict[str, float]:
        """Average every number over the processes."""
        values = self.mean(torch.tensor(list(numbers.values()), dtype=torch.float64))
        return dict(zip(numbers, values.tolist(), strict=True))

    def moments(self, values: Tensor, counted: Tensor) -> tuple[float, float]:
        """Compute mean and unbiased deviation of the counted values (B,) of all processes."""
        kept = torch.where(counted, values, 0.0).double()
        sums = torch.stack([counted.double().sum(), kept.sum(), kept.square().sum()])
        count, total, squares = self.mean(sums).tolist()
        mean = total / max(count, 1e-9)
        biased = max(squares / max(count, 1e-9) - mean**2, 0.0)
        all_of_them = count * self.count
        return mean, (biased * all_of_them / max(all_of_them - 1, 1)) ** 0.5

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by the processes' average, in one message."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(part.view_as(gradient))


def step_if_finite(
    optimizer: torch.optim.Optimizer, losses: Iterable[Tensor], max_norm: float, workers: Workers
) -> bool:
    """Make one optimiser step, unless the loss or its gradient is not finite in any process.

    Args:
        optimizer: Optimiser of the parameters that the loss depends on.
        losses: Scalars that add up to the loss; each is differentiated before the next is
            asked for.
        max_norm: Largest norm of the gradient of all parameters together; 0 for any.
        workers: The processes that average the gradient.

    Returns:
        Whether the step was made; if not, nothing has changed.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros(())
    for loss in losses:
        loss.backward()
        total = total + loss.detach().cpu()
    workers.average_gradients(parameters)
    norm = nn.utils.clip_grad_norm_(parameters, max_norm or math.inf).cpu()
    usable = bool(torch.isfinite(workers.mean(total) + norm))
    if usable:
        optimizer.step()
    return usable
