"""The training loop that every network of this package is trained with.

A run is a folder: `checkpoint.pt` (written atomically), `log.csv` and sample grids. All
randomness is drawn from generators keyed by (seed, step), so a resumed run continues bit for
bit without storing any generator's state.
"""

from __future__ import annotations

import copy
import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from adagen_rt.errors import CheckpointError, TrainingError
from adagen_rt.models.random import keyed_generator
from adagen_rt.progress import bar
from adagen_rt.system import has_bfloat16
from adagen_rt.training.checkpoint import load_checkpoint, save_checkpoint
from adagen_rt.training.demo.settings import LoopConfig
from adagen_rt.training.grid import save_grid
from adagen_rt.training.log import LossLog
from adagen_rt.training.records import CHECKPOINT, LOG
from adagen_rt.training.stopping import stopping

MAX_FAILURES = 5


class Task(Protocol):
    """A network to train, its examples and its loss."""

    @property
    def network(self) -> nn.Module:
        """The network to train."""

    @property
    def size(self) -> int:
        """Number of examples."""

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of the examples numbered `rows`."""

    def preview(self, network: nn.Module) -> Tensor | None:
        """Draw sample images (N, c, H, W) in [0, 1] with the averaged network."""


class Trainer:
    """A resumable run of one task.

    Everything happens on the device of the network's parameters; the task's examples have to
    be there.

    Args:
        task: The network, its examples and its loss.
        config: Settings of the training loop.
        folder: Folder of the run.
        resume: Whether to continue from the folder's checkpoint if there is one.
    """

    def __init__(self, task: Task, config: LoopConfig, folder: Path, resume: bool = False) -> None:
        self.task, self.config, self.folder = task, config, folder
        self.step = 0
        self.failures = 0
        self.device = next(task.network.parameters()).device
        self.order: tuple[int, Tensor] | None = None
        self._bf16 = config.bf16 and (self.device.type != "cpu" or has_bfloat16())
        self.average = copy.deepcopy(task.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            _decay_groups(task.network, config.weight_decay),
            lr=config.learning_rate,
            betas=(0.9, 0.96),
            fused=True,
        )
        if config.compile:
            task.network.compile()
        folder.mkdir(parents=True, exist_ok=True)
        if resume and (folder / CHECKPOINT).is_file():
            self._restore(load_checkpoint(folder / CHECKPOINT))

    def run(self, max_minutes: float | None = None) -> nn.Module:
        """Train until the last step or the time limit; return the averaged network.

        Ctrl-C and SIGTERM end the run after the current step, whose checkpoint is written.
        """
        started = time.monotonic()
        progress = bar(total=self.config.steps, initial=self.step, unit="step", mininterval=5.0)
        kept = LossLog(self.folder / LOG, keep_until=self.step)
        with stopping() as stop, progress, kept as log:
            while self.step < self.config.steps:
                loss = self._advance()
                speed = log.add(self.step, loss, self._rate(), self.config.batch_size)
                progress.set_postfix(loss=f"{loss:.4f}", images_s=f"{speed:.3g}", refresh=False)
                progress.update()
                self._keep()
                late = max_minutes is not None and time.monotonic() - started > 60 * max_minutes
                if late or stop:
                    break
            self._save()
        self._preview()
        return self.average

    def _advance(self) -> float:
        """Make one optimizer step, or none if the loss or its gradient is not finite."""
        config = self.config
        self.task.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.zero_grad(set_to_none=True)
        generator = keyed_generator(config.seed, self.step, device=self.device)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16)
        with _attention(self.device), autocast:
            loss = self.task.loss(self._rows(), generator)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.task.network.parameters(), config.clip)
        value, size = torch.stack([loss.detach().float(), norm]).tolist()
        self.step += 1
        if math.isfinite(value) and math.isfinite(size):
            self.failures = 0
            self.optimizer.step()
            self._update_average()
        else:
            self._fail()
        return float(value)

    def _fail(self) -> None:
        self.failures += 1
        if self.failures >= MAX_FAILURES:
            raise TrainingError(
                f"the loss was not finite {self.failures} times in a row, up to step {self.step}; "
                f"the last good checkpoint is {self.folder / CHECKPOINT}"
            )

    def _rows(self) -> Tensor:
        """Choose the examples of this step; every epoch is its own permutation."""
        config = self.config
        batch = min(config.batch_size, self.task.size)
        epoch, index = divmod(self.step, self.task.size // batch)
        if self.order is None or self.order[0] != epoch:
            generator = keyed_generator(config.seed, 1, epoch)
            order = torch.randperm(self.task.size, generator=generator)
            self.order = epoch, order.to(self.device)
        return self.order[1][index * batch : (index + 1) * batch]

    def _rate(self) -> float:
        """Return the learning rate: linear warm-up, then a cosine to a hundredth of the peak."""
        config = self.config
        warm = min(1.0, (self.step + 1) / max(1, config.warmup))
        progress = min(1.0, self.step / config.steps)
        return config.learning_rate * warm * (0.505 + 0.495 * math.cos(math.pi * progress))

    @torch.no_grad()
    def _update_average(self) -> None:
        # A small decay at first lets the average forget the random initial weights.
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        state, average = self.task.network.state_dict(), self.average.state_dict()
        averaged = [name for name, value in average.items() if value.is_floating_point()]
        move = get_ema_multi_avg_fn(decay)
        move([average[name] for name in averaged], [state[name] for name in averaged], None)
        for name in average.keys() - averaged:
            average[name].copy_(state[name])

    def _keep(self) -> None:
        if self.step % self.config.save_every == 0:
            self._save()
        if self.step % self.config.preview_every == 0:
            self._preview()

    def _save(self) -> None:
        state = {
            "step": self.step,
            "network": self.task.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_checkpoint(state, self.folder / CHECKPOINT)

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.task.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = int(state["step"])
        except (KeyError, RuntimeError, ValueError) as error:
            path = self.folder / CHECKPOINT
            raise CheckpointError(f"{path}: of another network or setting: {error}") from error

    @torch.no_grad()
    def _preview(self) -> None:
        images = self.task.preview(self.average.eval())
        if images is not None:
            save_grid(images, self.folder / f"samples_{self.step:06d}.png")


def _attention(device: torch.device) -> AbstractContextManager[None]:
    """Choose the attention kernel to train with.

    The CPU's fused attention takes longer for its bfloat16 gradient than the rest of a small
    network does; plain products do not.
    """
    plain: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return plain if device.type == "cpu" else nullcontext()


def _decay_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Decay matrices and convolutions; leave out biases, norms and frozen tensors."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
