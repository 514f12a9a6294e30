"""Training of a schedule policy: play, score, learn, let the reward learn, keep.

Every random number is drawn from a generator keyed by (seed, update), or by a sample's own
seed, so that a checkpoint needs no generator's state: a run that was killed goes on bit for
bit (on the CPU, with as many threads) from networks, optimisers and counters.
"""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.errors import CheckpointError, InputError, TrainingError
from adagen_rt.models.policy import PolicyNetwork, make_critic
from adagen_rt.models.random import keyed_generator
from adagen_rt.progress import bar
from adagen_rt.training.checkpoint import load_checkpoint, save_checkpoint, save_weights
from adagen_rt.training.demo.loop import MAX_FAILURES
from adagen_rt.training.log import CsvLog
from adagen_rt.training.policy.environment import Environment, Tensors
from adagen_rt.training.policy.evaluator import Evaluator
from adagen_rt.training.policy.parallel import Workers
from adagen_rt.training.policy.ppo import PPO
from adagen_rt.training.policy.reward import Reward
from adagen_rt.training.policy.rollout import Exploration, Trajectories, rollout
from adagen_rt.training.policy.settings import PolicyTraining
from adagen_rt.training.policy.start import load_start
from adagen_rt.training.policy.step_cost import StepCost
from adagen_rt.training.records import CHECKPOINT, LOG
from adagen_rt.training.stopping import stopping

LOG_FIELDS = (
    *("update", "reward", "real", "fake", "entropy", "std", "clip_fraction", "divergence"),
    *("policy_loss", "value_loss", "discriminator_loss", "skipped", "failed"),
    *("evaluations", "step_cost", "fid", "accuracy", "seconds"),
)


class PolicyTrainer:
    """A resumable run.

    Args:
        environment: The frozen generator.
        policy: The policy, trained in place.
        reward: Scores the policy's images.
        config: Settings of the run.
        folder: Folder for the weights of policy, critic and, where the reward has one,
            discriminator; its subfolder `policy/` gets the checkpoint, logs and pictures.
        evaluator: Scores the policy now and then, without exploration.
        resume: Whether to continue from the folder's checkpoint if there is one.
        workers: The processes that train together.
    """

    def __init__(
        self,
        environment: Environment,
        policy: PolicyNetwork,
        reward: Reward,
        config: PolicyTraining,
        folder: Path,
        *,
        evaluator: Evaluator | None = None,
        resume: bool = False,
        workers: Workers = Workers(),  # noqa: B008 (frozen)
    ) -> None:
        if config.trajectories % workers.count:
            expected = f"a multiple of the {workers.count} processes"
            raise InputError("trajectories", config.trajectories, expected)
        self.environment, self.policy, self.reward = environment, policy, reward
        self.config, self.folder, self.workers = config, folder, workers
        self.step_cost = StepCost(environment.manifest, config, workers)
        self.evaluator = evaluator or Evaluator(environment)
        self.critic = make_critic(policy)
        self.actor = environment.multi_scale(policy)
        self.ppo = PPO(self.actor, environment.multi_scale(self.critic), config, workers)
        self.update = self.failures = 0
        self.records = folder / "policy"
        self.records.mkdir(parents=True, exist_ok=True)
        if resume and (self.records / CHECKPOINT).is_file():
            self._restore(load_checkpoint(self.records / CHECKPOINT))

    def run(self, max_minutes: float | None = None) -> None:
        """Train until the last update or the time limit.

        Ctrl-C and SIGTERM end the run after the current update, whose checkpoint is written.

        Raises:
            TrainingError: Several updates in a row gave no finite result.
        """
        started, leads = time.monotonic(), self.workers.leads
        total = self.config.updates
        progress = bar(total=total, initial=self.update, unit="update", hidden=not leads)
        with stopping() as stop, progress, self._log() as log:
            if self.update == 0 and log is not None:
                log.write(_line({"update": 0, **self._evaluate()}))
            while self.update < self.config.updates:
                begun = time.monotonic()
                numbers = self._advance()
                if log is not None:
                    numbers |= self._evaluate()
                    numbers |= {"update": self.update, "seconds": time.monotonic() - begun}
                    log.write(_line(numbers))
                progress.set_postfix(_summary(numbers), refresh=False)
                progress.update()
                if self.update % self.config.save_every == 0:
                    self._save()
                if self._over(started, max_minutes, bool(stop)):
                    break
            self._save()

    def _advance(self) -> dict[str, float]:
        """Make one update; return numbers for the log."""
        std = self.config.std_at(self.update)
        played = self._play(std)
        shuffle = keyed_generator(self.config.seed, self.update, 1 + self.workers.rank)
        rewards = self.reward.score(played.images, played.rows, shuffle)
        counted = rewards[~played.failed]
        numbers = {"std": std, "reward": counted.mean().item() if len(counted) else math.nan}
        numbers["failed"] = played.failed.float().mean().item()
        usable = math.isfinite(self.workers.mean(counted.sum()).item())
        if usable and self.update >= self.config.warmup:
            paid, costs = self.step_cost.apply(played, rewards)
            numbers |= costs | self.ppo.update(played, paid, std, shuffle)
        self.update += 1
        numbers |= self.reward.learn(played.images, played.rows, shuffle, self._fresh)
        numbers = self.workers.mean_of(numbers)
        lost = numbers.get("skipped", 0.0) + numbers.get("discriminator_skipped", 0.0)
        self._count_failure(not usable or lost > 0)
        return numbers

    def _play(self, std: float) -> Trajectories:
        """Play this process's share of the trajectories."""
        workers, count = self.workers, self.config.trajectories
        generator = keyed_generator(self.config.seed, self.update)
        rows = self._conditions(count, generator)
        seeds = torch.randint(2**62, (count,), generator=generator)
        drawn = Exploration.draw(self.environment, count, std, generator)
        noise = workers.share(drawn.noise.transpose(0, 1)).transpose(0, 1).contiguous()
        rows = {name: workers.share(values) for name, values in rows.items()}
        return self._roll(rows, workers.share(seeds), Exploration(std, noise))

    def _fresh(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensors]:
        """Make images of the current policy, which explores; and their conditions."""
        rows = self._conditions(count, generator)
        seeds = torch.randint(2**62, (count,), generator=generator)
        std = self.config.std_at(self.update)
        drawn = Exploration.draw(self.environment, count, std, generator)
        played = self._roll(rows, seeds, drawn)
        return played.images, played.rows

    def _conditions(self, count: int, generator: torch.Generator) -> Tensors:
        """Choose conditions: all kinds in turn, mixed, or each at random."""
        if self.config.balanced:
            return self.environment.rows(torch.randperm(count, generator=generator))
        return self.environment.drawn(count, generator)

    def _roll(self, rows: Tensors, seeds: Tensor, exploration: Exploration) -> Trajectories:
        config = self.config
        dtype = torch.float16 if config.half else torch.float32
        batch = config.batch_size
        return rollout(
            *(self.environment, self.actor, rows, seeds, exploration),
            batch_size=batch,
            dtype=dtype,
        )

    def _count_failure(self, failed: bool) -> None:
        self.failures = self.failures + 1 if failed else 0
        if self.failures >= MAX_FAILURES:
            raise TrainingError(
                f"rewards or losses were not finite {self.failures} times in a row, up to update "
                f"{self.update}; the last good checkpoint is {self.records / CHECKPOINT}"
            )

    def _evaluate(self) -> dict[str, float]:
        """Score the current policy, if an evaluation is due."""
        due = self.update % self.config.evaluate_every == 0 or self.update == self.config.updates
        return self.evaluator(self.actor, self.records, self.update) if due else {}

    def _log(self) -> AbstractContextManager[CsvLog | None]:
        if not self.workers.leads:
            return nullcontext()
        return CsvLog(self.records / LOG, LOG_FIELDS, keep_until=self.update)

    def _over(self, started: float, max_minutes: float | None, asked: bool) -> bool:
        """Tell whether any process has to stop, so that all stop together."""
        late = max_minutes is not None and time.monotonic() - started > 60 * max_minutes
        return self.workers.mean(torch.tensor(float(late or asked))).item() > 0

    def _save(self) -> None:
        """Write checkpoint and policy, unless the last update failed."""
        if self.failures or not self.workers.leads:
            return
        state = {
            "update": self.update,
            "policy": self.policy.state_dict(),
            "critic": self.critic.state_dict(),
            "optimizer": self.ppo.optimizer.state_dict(),
            "reward": self.reward.state_dict(),
            "step_cost": self.step_cost.state_dict(),
        }
        save_checkpoint(state, self.records / CHECKPOINT)
        for name, network in self.networks().items():
            save_weights(network.state_dict(), self.folder / f"{name}.safetensors")

    def networks(self) -> dict[str, nn.Module]:
        """Networks that the run trains, by the names of their weight files."""
        found: dict[str, nn.Module] = {"policy": self.policy, "critic": self.critic}
        discriminator = self.reward.discriminator()
        return found if discriminator is None else {**found, "discriminator": discriminator}

    def begin_from(self, folder: Path) -> None:
        """Start from the networks of another run; see `load_start`.

        A run that has been resumed stays where it is.
        """
        if not self.update:
            load_start(folder, self.networks(), self.environment.manifest.schedule)

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.policy.load_state_dict(state["policy"])
            self.critic.load_state_dict(state["critic"])
            self.ppo.optimizer.load_state_dict(state["optimizer"])
            self.reward.load_state_dict(state["reward"])
            if "step_cost" in state:  # not of versions whose policies did not stop
                self.step_cost.load_state_dict(state["step_cost"])
            self.update = int(state["update"])
        except (KeyError, RuntimeError, ValueError) as error:
            path = self.records / CHECKPOINT
            raise CheckpointError(f"{path}: of another network or setting: {error}") from error


def _summary(numbers: dict[str, float]) -> dict[str, str]:
    """Choose the numbers of the progress bar."""
    shown = ("reward", "real", "fake", "evaluations", "clip_fraction", "fid")
    return {name: f"{numbers[name]:.3f}" for name in shown if name in numbers}


def _line(numbers: dict[str, float]) -> dict[str, str]:
    """Format numbers for the log."""
    return {name: f"{value:.6g}" for name, value in numbers.items()}
