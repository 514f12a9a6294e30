"""Trajectories: observations, actions and images of a stochastic policy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.condition import take_rows
from adagen_rt.sampling.driver import drive
from adagen_rt.sampling.loop import Decision, Loop
from adagen_rt.training.policy.environment import Environment, Tensors


@dataclass(frozen=True, eq=False)
class Exploration:
    """Gaussian noise around a policy's output, in pre-activation space.

    Attributes:
        std: Standard deviation; 0 follows the policy.
        noise: Standard normal numbers (calls, B, A). They are drawn for all samples at once,
            so that a trajectory does not depend on how samples are batched.
    """

    std: float
    noise: Tensor

    @classmethod
    def draw(
        cls, environment: Environment, count: int, std: float, generator: torch.Generator
    ) -> Exploration:
        """Draw noise for `count` samples; the generator is the CPU's on any device."""
        shape = (environment.calls, count, environment.actions)
        return cls(std, torch.randn(shape, generator=generator).to(environment.device))

    @classmethod
    def none(cls, environment: Environment, count: int) -> Exploration:
        """Return no noise, so that the policy is followed."""
        shape = (environment.calls, count, environment.actions)
        return cls(0.0, torch.zeros(shape, device=environment.device))


@dataclass(frozen=True, eq=False)
class Trajectories:
    """B samples over T policy calls, as recorded.

    Attributes:
        observations: The policy's inputs at each call: `features` (B, n, C), where n
            may differ between calls, and VAR's `positions` (n,).
        raw: Raw actions (T, B, A): unsmoothed, before residual and activation.
        mean: The policy's output (T, B, A), around which `raw` was drawn.
        log_prob: Log-density of `raw` (T, B); 0 without exploration.
        actions: Actions given to the generator (T, B, A); NaN where it needed none.
        valid: Whether the call was made (T, B); False for every call of a failed sample.
        rows: Conditions of the samples, named tensors (B, ...).
        seeds: Seeds (B,) int64.
        latents: The decoder's inputs.
        images: (B, c, H, W) in [0, 1].
        failed: Samples that met a non-finite number (B,) bool.
    """

    observations: tuple[Tensors, ...]
    raw: Tensor
    mean: Tensor
    log_prob: Tensor
    actions: Tensor
    valid: Tensor
    rows: Tensors
    seeds: Tensor
    latents: Tensors
    images: Tensor
    failed: Tensor

    def __len__(self) -> int:
        return len(self.seeds)

    def observation(self, calls: range, rows: Tensor) -> Tensors:
        """Return the policy's inputs, float32, for some samples at calls of one `group`.

        Rows of the first call come first, then rows of the second, and so on.
        """
        seen = self.observations[calls[0]]
        features = torch.cat([self.observations[call]["features"][rows] for call in calls])
        return {**seen, "features": features.float()}

    def groups(self) -> list[range]:
        """List runs of calls whose observations have the same shapes and positions.

        A network computes all calls of a group in one batch. VAR's maps grow, so that each of
        its calls is a group of its own.
        """
        if any("positions" in seen for seen in self.observations):
            return [range(call, call + 1) for call in range(len(self.observations))]
        return [range(len(self.observations))]


def gaussian_log_prob(raw: Tensor, mean: Tensor, std: float) -> Tensor:
    """Return the log-density of actions (..., A) under independent normals, summed over A."""
    deviation = (raw - mean) / std
    constant = math.log(std) + 0.5 * math.log(2 * math.pi)
    return -(0.5 * deviation.square() + constant).sum(dim=-1)


def gaussian_entropy(std: float, actions: int) -> float:
    """Return the entropy, in nats, of as many independent normals as there are actions."""
    return actions * (0.5 + 0.5 * math.log(2 * math.pi) + math.log(std))


def ask(policy: nn.Module, observation: Tensors, call: Tensor) -> Tensor:
    """Return a policy's output for an observation at the calls (B,)."""
    raw: Tensor = policy(**observation, step=call)
    return raw


@torch.no_grad()
def rollout(
    environment: Environment,
    policy: nn.Module,
    rows: Tensors,
    seeds: Tensor,
    exploration: Exploration,
    *,
    batch_size: int = 128,
    dtype: torch.dtype = torch.float32,
) -> Trajectories:
    """Generate one sample for each condition, exploring.

    The generator's randomness is Philox by the sample's seed, as at run time. Without
    exploration, the images are those of an exported engine.

    Args:
        environment: The frozen generator.
        policy: A policy of `environment.multi_scale`.
        rows: Conditions of the samples, named tensors (B, ...).
        seeds: Seeds (B,) int64 in [0, 2**63).
        exploration: Noise for the B samples.
        batch_size: Samples that are generated together.
        dtype: Dtype of the recorded features; float16 halves the memory.
    """
    device = environment.device
    rows = {name: values.to(device) for name, values in rows.items()}
    seeds = seeds.to(device)
    recorder = _Recorder(policy, exploration, dtype)
    loop = environment.loop(recorder)
    for index in torch.arange(len(seeds), device=device).split(batch_size):
        _play(loop, recorder, index, take_rows(rows, index), seeds[index])
    parts = [environment.decode(part) for part in _split(recorder.latents, batch_size)]
    return recorder.trajectories(rows, seeds, torch.cat(parts))


@dataclass(eq=False)
class _Recorder:
    """A stochastic policy that records its inputs and actions.

    Attributes:
        policy: Computes the mean of the actions.
        exploration: The noise around the mean.
        dtype: Dtype of the recorded features.
        asked: Samples of the next policy call; the driver updates this.
    """

    policy: nn.Module
    exploration: Exploration
    dtype: torch.dtype
    asked: Tensor = field(init=False)
    seen: list[Tensors] = field(default_factory=list)
    latents: Tensors = field(default_factory=dict)

    def __post_init__(self) -> None:
        noise = self.exploration.noise
        self.raw, self.mean = torch.zeros_like(noise), torch.zeros_like(noise)
        self.actions = torch.full_like(noise, torch.nan)
        self.valid = torch.zeros(noise.shape[:2], dtype=torch.bool, device=noise.device)
        self.failed = self.valid.new_zeros(noise.shape[1])

    def __call__(self, features: Tensors, call: Any) -> Tensor:
        """Return raw actions (n, A) for `asked`, all of which are at the same call."""
        now = int(call[0])
        mean = ask(self.policy, features, call)
        raw = mean + self.exploration.std * self.exploration.noise[now, self.asked]
        self._keep(now, features)
        self.mean[now, self.asked], self.raw[now, self.asked] = mean, raw
        self.valid[now, self.asked] = True
        return raw

    def note(self, decision: Decision) -> None:
        """Keep the actions given to the generator."""
        values = torch.stack(list(decision.actions.values()), dim=-1)
        self.actions[int(decision.call[0]), decision.index] = values

    def finish(self, ended: Any, latents: Tensors) -> None:
        """Keep the latents of slots that are done."""
        self.failed[ended.index] = ended.failed
        for name, value in latents.items():
            if name not in self.latents:
                self.latents[name] = value.new_zeros(len(self.failed), *value.shape[1:])
            self.latents[name][ended.index] = value

    def trajectories(self, rows: Tensors, seeds: Tensor, images: Tensor) -> Trajectories:
        """Return the records; calls that no sample needed are left out."""
        calls, std = len(self.seen), self.exploration.std
        valid = self.valid[:calls] & ~self.failed
        # A failed sample's numbers must not reach a sum, not even times zero.
        raw, mean = (values[:calls].clone() for values in (self.raw, self.mean))
        raw[~valid], mean[~valid] = 0.0, 0.0
        return Trajectories(
            observations=tuple(self.seen),
            raw=raw,
            mean=mean,
            log_prob=gaussian_log_prob(raw, mean, std) if std else torch.zeros_like(raw[..., 0]),
            actions=self.actions[:calls],
            valid=valid,
            rows=rows,
            seeds=seeds,
            latents=self.latents,
            images=images,
            failed=self.failed,
        )

    def _keep(self, now: int, features: Tensors) -> None:
        values = features["features"]
        if now == len(self.seen):
            empty = values.new_zeros(len(self.failed), *values.shape[1:], dtype=self.dtype)
            self.seen.append({**features, "features": empty})
        self.seen[now]["features"][self.asked] = torch.nan_to_num(values).to(self.dtype)


def _play(loop: Loop, recorder: _Recorder, index: Tensor, rows: Tensors, seeds: Tensor) -> None:
    """Run one batch to its end; slots that end earlier cost nothing more."""
    recorder.asked = index
    for stepped in drive(loop, index, rows, seeds):
        for decision in stepped.decisions:
            recorder.note(decision)
        recorder.finish(stepped.ended, loop.rule.latents(stepped.ended))
        running: Any = stepped.running.index
        recorder.asked = running


def _split(latents: Tensors, size: int) -> list[Tensors]:
    """Split the decoder's inputs into batches."""
    (name, value), *_ = latents.items()
    return [{name: part} for part in value.split(size)]
