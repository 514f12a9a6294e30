"""Images from the PyTorch networks that an engine is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.evaluation.choices import Choice, guided, rescheduled, schedule_names
from adagen_rt.evaluation.sources import Made, Tick, in_batches
from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.policy import PolicyNetwork
from adagen_rt.models.reward_model import RewardModel
from adagen_rt.sampling.best_of import Rewards, score_images
from adagen_rt.sampling.loop import Array, Arrays, Fidelity, Loop, Network
from adagen_rt.sampling.refinement import RefinedLoop, Refinement
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result
from adagen_rt.training.policy.environment import Environment
from adagen_rt.training.policy.rollout import ask
from adagen_rt.training.policy.samples import no_change, run_loop


class NetworkSource:
    """A generator's networks in PyTorch, on any device: as the trainer runs them.

    Args:
        manifest: What they are.
        backbone: The generator.
        decoder: Makes the images.
        others: Those of `policy`, `fidelity_policy`, `critic` and `reward` (the discriminator)
            that there are.
        device: PyTorch's name of a device.
        batch_size: Images made together.
    """

    def __init__(
        self,
        manifest: Manifest,
        backbone: nn.Module,
        decoder: nn.Module,
        others: Mapping[str, nn.Module],
        device: str = "cpu",
        batch_size: int = 250,
    ) -> None:
        self.manifest, self.backbone, self.decoder = manifest, backbone, decoder
        self.others, self.device, self.batch_size = others, device, batch_size
        self.schedules = schedule_names(manifest, "policy" in others)

    def make(self, choice: Choice, labels: Tensor, seeds: Tensor, tick: Tick) -> Made:
        """See `Source`."""
        environment = self._environment(choice)

        def make(labels: Tensor, seeds: Tensor) -> Result:
            share = np.full(len(labels), choice.fidelity, np.float32)
            steps = environment.family.steps
            request = Request(labels.numpy(), seeds.numpy(), steps, share, choice.refine)
            return run_loop(environment, self._loop(environment, choice, share), request)

        return in_batches(make, labels, seeds, self.batch_size, tick)

    def reward(self) -> Callable[[Made], Rewards]:
        """See `Source`."""
        model = self._reward_model().to(self.device).eval()

        @torch.no_grad()
        def graph(feeds: Arrays) -> Arrays:
            tensors = {n: torch.from_numpy(value).to(self.device) for n, value in feeds.items()}
            return {"reward": model(**tensors).cpu().numpy()}

        size = self.batch_size
        return lambda made: score_images(graph, made.pixels(), made.labels.numpy(), size)

    def _reward_model(self) -> nn.Module:
        network = self._find("reward")
        assert isinstance(network, Discriminator)
        return RewardModel(network)

    def _environment(self, choice: Choice) -> Environment:
        own = self.manifest.schedule
        steps = own.steps if choice.steps is None else choice.steps
        if choice.schedule == "policy" and steps != own.steps:
            expected = f"the {own.steps} that the policy was trained for"
            raise InputError("steps", steps, expected)
        manifest = guided(self.manifest, choice.guidance)
        if choice.schedule == "tuned":
            manifest = rescheduled(manifest, manifest.schedule.tuned_spec())
        spec = manifest.schedule.model_copy(update={"steps": steps})
        return Environment(rescheduled(manifest, spec), self.backbone, self.decoder, self.device)

    def _loop(
        self, environment: Environment, choice: Choice, share: npt.NDArray[np.float32]
    ) -> Loop:
        if choice.schedule != "policy":
            return environment.loop(partial(no_change, environment.actions))
        loop = environment.loop(self._ask(environment, "policy"))
        if choice.fidelity:
            second = self._ask(environment, "fidelity_policy")
            loop.fidelity = Fidelity(second, torch.from_numpy(share).to(environment.device))
        if choice.refine == 1:
            return loop
        critic, std = self._ask(environment, "critic"), self.manifest.refinement_std
        assert std is not None  # there is a critic

        def value(features: Arrays, call: Array) -> Array:
            return critic(features, call)[:, 0]

        return RefinedLoop.of(loop, Refinement(choice.refine, std, value))

    def _ask(self, environment: Environment, name: str) -> Network:
        network = self._find(name)
        assert isinstance(network, PolicyNetwork)
        return partial(ask, environment.multi_scale(network))

    def _find(self, name: str) -> nn.Module:
        if name not in self.others:
            expected = f"a generator with a trained {name}"
            raise InputError(name, None, expected)
        return self.others[name]
