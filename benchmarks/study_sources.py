"""Images under the choices that a study compares, from an engine or from PyTorch networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from adagen_rt.best_of import keep_best, score_images
from adagen_rt.engine import open_engine
from adagen_rt.errors import EngineError
from adagen_rt.export.description import describe_model
from adagen_rt.export.networks import load_networks
from adagen_rt.export.pipeline import with_fidelity
from adagen_rt.export.recipe import load_recipe
from adagen_rt.export.reward import RewardModel
from adagen_rt.generator import Generator
from adagen_rt.loop import Fidelity, Loop, Network
from adagen_rt.manifest import Manifest
from adagen_rt.models.policy import PolicyNetwork
from adagen_rt.refinement import RefinedLoop, Refinement
from adagen_rt.request import Request
from adagen_rt.result import Result
from adagen_rt.schedule import Constant, Linear, ScheduleSpec, StaticSchedule
from adagen_rt.training.classifier import load_classifier
from adagen_rt.training.environment import Environment
from adagen_rt.training.features import ClassifierFeatures
from adagen_rt.training.rollout import ask
from adagen_rt.training.samples import no_change


@dataclass(frozen=True)
class Choice:
    """One line of a table.

    Attributes:
        kind: The curve that it is a point of.
        value: Where on it.
        refine: Actions tried at every policy call.
        best_of: Images made of each sample.
        fidelity: Share of the fidelity policy.
        guidance: Instead of a policy, the static schedule with its guidance times this.
    """

    kind: str
    value: float
    refine: int = 1
    best_of: int = 1
    fidelity: float = 0.0
    guidance: float | None = None


class Source(Protocol):
    """Makes images as a choice says."""

    manifest: Manifest

    def make(self, choice: Choice, labels: Tensor, seeds: Tensor) -> Result:
        """One image a label and seed (N,) int64."""


def scale_guidance(spec: ScheduleSpec, factor: float) -> ScheduleSpec:
    """The same static schedules, but for the guidance, which is ``factor`` times as strong."""

    def scaled(static: StaticSchedule) -> StaticSchedule:
        match static:
            case Constant():
                return Constant(value=static.value * factor)
            case Linear():
                return Linear(start=static.start * factor, stop=static.stop * factor)
            case _:
                return static.model_copy(update={"scale": static.scale * factor})

    statics = [
        scaled(action.static) if action.name == "guidance_scale" else action.static
        for action in spec.actions
    ]
    return spec.under(statics)


def scaled_manifest(manifest: Manifest, factor: float) -> Manifest:
    """A manifest whose static schedule guides ``factor`` times as strongly."""
    return manifest.model_copy(update={"schedule": scale_guidance(manifest.schedule, factor)})


class EngineSource:
    """An engine as users run it.

    Args:
        name: A shipped engine's, or a folder.
        threads: CPU threads.
        batch_size: Images made together.
        std: Of the refinement's candidates; None leaves the engine's.
    """

    def __init__(self, name: str, threads: int, batch_size: int, std: float | None) -> None:
        engine = open_engine(name)
        self.manifest = _with_std(engine.manifest, std)
        self._engine = replace(engine, manifest=self.manifest)
        self._generator = Generator(self._engine, threads=threads)
        self._batch_size = batch_size

    def make(self, choice: Choice, labels: Tensor, seeds: Tensor) -> Result:
        """See `Source`."""
        generator, static = self._generator, choice.guidance is not None
        if choice.guidance is not None:
            scaled = scaled_manifest(self.manifest, choice.guidance)
            engine = replace(self._engine, manifest=scaled)
            generator = Generator(engine, threads=generator.threads)
        return generator.generate(
            labels.tolist(),
            seeds.tolist(),
            static=static,
            fidelity=choice.fidelity,
            refine=choice.refine,
            best_of=choice.best_of,
            batch_size=self._batch_size,
        )


class NetworkSource:
    """The networks that an engine is made of, in PyTorch on any device.

    Args:
        folder: What `adagen-rt train policy` left; FOLDER-fidelity beside it may hold the
            training of the fidelity policy.
        device: PyTorch's name of a device.
        batch_size: Images made together.
        std: Of the refinement's candidates; None takes the recipe's.
    """

    def __init__(self, folder: Path, device: str, batch_size: int, std: float | None) -> None:
        recipe = load_recipe(folder / "recipe.yaml")
        other = folder.with_name(f"{folder.name}-fidelity")
        if other.is_dir():
            recipe = with_fidelity(recipe, other)
        self._networks = load_networks(recipe, folder, other if other.is_dir() else None)
        self.manifest = _with_std(describe_model(recipe), std)
        self._device, self._batch_size = device, batch_size

    def make(self, choice: Choice, labels: Tensor, seeds: Tensor) -> Result:
        """See `Source`."""
        request = Request(
            labels.numpy(),
            seeds.numpy(),
            self.manifest.schedule.steps,
            np.full(len(labels), choice.fidelity, np.float32),
            choice.refine,
            choice.best_of,
        )
        manifest = self.manifest
        if choice.guidance is not None:
            manifest = scaled_manifest(manifest, choice.guidance)
        parts = self._networks.backbone, self._networks.decoder, self._device
        environment = Environment(manifest, *parts)
        loop = self._loop(environment, choice, request)
        make = partial(self._run, environment, loop)
        if request.best_of == 1:
            return make(request)
        return keep_best(request, make, self._reward())

    def _loop(self, environment: Environment, choice: Choice, request: Request) -> Loop:
        if choice.guidance is not None:
            return environment.loop(partial(no_change, environment.actions))
        networks = self._networks
        loop = environment.loop(_policy(environment, "policy", networks.policy))
        if choice.fidelity:
            share = torch.from_numpy(request.fidelity).to(environment.device)
            second = _policy(environment, "fidelity_policy", networks.fidelity_policy)
            loop.fidelity = Fidelity(second, share)
        if choice.refine == 1:
            return loop
        critic = _policy(environment, "critic", networks.critic)
        std = self.manifest.refinement_std
        assert std is not None  # there is a critic
        refinement = Refinement(choice.refine, std, lambda seen, call: critic(seen, call)[:, 0])
        return RefinedLoop.of(loop, refinement)

    @torch.no_grad()
    def _run(self, environment: Environment, loop: Loop, request: Request) -> Result:
        """One image of every sample."""
        images, failures = [], {}
        for rows in torch.arange(len(request)).split(self._batch_size):
            labels, seeds = (
                torch.from_numpy(values)[rows].to(environment.device)
                for values in (request.labels, request.seeds)
            )
            done, state = [], loop.start(rows.to(environment.device), labels, seeds)[0]
            while len(state):
                ended, state = loop.split(loop.step(state)[0])
                done.append((ended, environment.decode(loop.family.latents(ended))))
            index = torch.cat([ended.index for ended, _ in done])
            images.append(torch.cat([part for _, part in done])[index.argsort()].cpu())
            for ended, _ in done:
                pairs = zip(ended.index.tolist(), ended.step.tolist(), strict=True)
                failed = ended.failed.tolist()
                failures |= {p: s for (p, s), bad in zip(pairs, failed, strict=True) if bad}
        pixels = (torch.cat(images) * 255).round().byte().movedim(1, -1).numpy()
        return Result(pixels, request.labels, request.seeds, {}, failures, loop.timings)

    def _reward(self) -> Callable[[Result], Any]:
        network = self._networks.reward
        if network is None:
            raise EngineError(f"{self.manifest.name}: files.reward: missing; best-of needs it")
        model = RewardModel(ClassifierFeatures(load_classifier()), network)
        model = model.to(self._device).eval()

        @torch.no_grad()
        def graph(feeds: dict[str, Any]) -> dict[str, Any]:
            tensors = (torch.from_numpy(value).to(self._device) for value in feeds.values())
            return {"reward": model(*tensors).cpu().numpy()}

        return lambda result: score_images(graph, result, self._batch_size)


def _policy(environment: Environment, name: str, network: PolicyNetwork | None) -> Network:
    if network is None:
        raise EngineError(f"{environment.manifest.name}: files.{name}: missing in the recipe")
    return partial(ask, environment.multi_scale(network))


def _with_std(manifest: Manifest, std: float | None) -> Manifest:
    return manifest if std is None else manifest.model_copy(update={"refinement_std": std})
