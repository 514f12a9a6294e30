"""Reward and judge of a policy's training, and the images that they can score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adagen_rt.condition import ClassLabels, class_rows, take_rows
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.errors import InputError
from adagen_rt.models.known_images import KNOWN_IMAGES, are_known

if TYPE_CHECKING:
    from adagen_rt.data.captioned import Captioned
    from adagen_rt.evaluation.folder import FolderPixels
    from adagen_rt.evaluation.judge import Judge
    from adagen_rt.export.sections import RewardSection
    from adagen_rt.models.features import Features
    from adagen_rt.training.policy.environment import Environment, Tensors
    from adagen_rt.training.policy.parallel import Workers
    from adagen_rt.training.policy.reward import Reward, SumReward
    from adagen_rt.training.policy.settings import AdversaryConfig

#: Names the encoder of the generator's own tokenizer, in the place of a file of features.
TOKENIZER = "tokenizer"


def check_judged(field: str, image: ImageSpec) -> None:
    """Refuse images that the built-in networks were not trained on.

    Args:
        field: Name of the option with the generator.
        image: The images that it makes.
    """
    if not are_known(image):
        expected = (
            f"{KNOWN_IMAGES}, which the built-in rewards and scores judge; "
            "--features names another network to judge with"
        )
        raise InputError(field, str(image), expected)


@dataclass(frozen=True)
class Judging:
    """Settings of reward and judge.

    Attributes:
        environment: The generator.
        parts: Weights of the rewards by name.
        section: The discriminator's architecture.
        adversary: Settings of the discriminator's training.
        workers: The processes that train together.
        features: Weights of a vision transformer that computes the features, or `TOKENIZER`; None
            takes the built-in networks.
        data: Folder of the real images, if one was given.
        captioned: The real images of a generator of prompts.
        device: PyTorch's name of the device.
    """

    environment: Environment
    parts: Mapping[str, float]
    section: RewardSection
    adversary: AdversaryConfig
    workers: Workers
    features: Path | None
    data: Path | None
    captioned: Captioned | None
    device: str

    @property
    def manifest(self) -> Manifest:
        """The generator's."""
        return self.environment.manifest

    @property
    def real(self) -> Path:
        """Folder of the real images.

        Raises:
            InputError: None was given.
        """
        if self.data is None:
            raise InputError("--data", None, f"the real images, for {', '.join(self.parts)}")
        return self.data


def check_rewards(
    manifest: Manifest, parts: Mapping[str, float], features: Path | None, field: str
) -> None:
    """Refuse rewards that cannot score a generator's images, before its weights are read.

    Args:
        manifest: The generator.
        parts: Weights of the rewards by name.
        features: What `--features` names.
        field: Name of the option with the generator.

    Raises:
        InputError: One cannot.
    """
    from adagen_rt.training.policy.onnx_reward import PREFIX

    named = {name for name in parts if not name.startswith(PREFIX)}
    if named and features is not None and named != {"adversarial"}:
        expected = f"adversarial and {PREFIX}FILE alone, with --features"
        raise InputError("--reward", ", ".join(parts), expected)
    if not named or features is not None:
        return
    if not isinstance(manifest.condition, ClassLabels):
        expected = f"{PREFIX}FILE for prompts, or adversarial with --features"
        raise InputError("--reward", ", ".join(parts), expected)
    check_judged(field, manifest.image)


def make_judges(judging: Judging) -> tuple[Reward, Judge | None]:
    """Make the reward of a policy, and the judge of its evaluations, or None."""
    from adagen_rt.training.policy.reward import SumReward
    from adagen_rt.training.policy.rewards import onnx_rewards

    files = onnx_rewards(judging.parts, judging.environment).parts
    others = {n: weight for n, weight in judging.parts.items() if n not in files}
    if not others:
        return SumReward(files), None
    rest, features = replace(judging, parts=others), judging.features
    reward, judge = _demo(rest) if features is None else _over_features(rest, features)
    return SumReward({**reward.parts, **files}), judge


def _demo(judging: Judging) -> tuple[SumReward, Judge | None]:
    """Make the built-in rewards and, in the process that writes the log, a judge."""
    import torch

    from adagen_rt.evaluation.data import load_fashion_mnist
    from adagen_rt.evaluation.examiner import load_examiner
    from adagen_rt.evaluation.judge import Judge
    from adagen_rt.models.classifier import load_classifier
    from adagen_rt.training.policy.rewards import RewardContext, make_reward

    images = load_fashion_mnist(judging.real, "train")
    rows = class_rows(torch.from_numpy(images.classes))
    real = torch.from_numpy(images.pixels)[:, None], rows
    where = judging.device, judging.workers
    settings = judging.section, judging.adversary
    context = RewardContext(load_classifier(), *real, *settings, *where)
    # Not `load_judge`, which would read the images again.
    judge = Judge(load_examiner(), images, judging.device) if judging.workers.leads else None
    return make_reward(judging.parts, context), judge


def _over_features(judging: Judging, named: Path) -> tuple[SumReward, Judge | None]:
    """Make an adversarial reward over frozen features of any image, and a judge over them."""
    from adagen_rt.condition import classes_of
    from adagen_rt.evaluation.features import PooledFeatures
    from adagen_rt.evaluation.judge import Judge
    from adagen_rt.export.reward import make_discriminator
    from adagen_rt.training.policy.adversarial import Adversary
    from adagen_rt.training.policy.reward import SumReward
    from adagen_rt.training.policy.rewards import AdversarialReward

    parts, environment = judging.parts, judging.environment
    section = judging.section
    features, plain = _features(judging, named)
    pixels, rows = _real_images(judging)
    prompts = judging.captioned is not None
    told = environment.pooled if prompts else classes_of
    width = (
        told(take_rows(rows, slice(1))).shape[-1] if prompts else judging.manifest.condition.variety
    )
    network, where = make_discriminator(section, features, width, prompts), (judging.device,)
    learner = Adversary(
        *(network, features, pixels, rows, judging.adversary),
        *(*where, judging.workers, told),
    )
    reward = SumReward({"adversarial": (parts["adversarial"], AdversarialReward(learner))})
    if not judging.workers.leads:
        return reward, None
    return reward, Judge(PooledFeatures(plain), pixels, *where)


def _features(judging: Judging, named: Path) -> tuple[Features, Features]:
    """Make the features that the discriminator looks through, and those of the scores.

    Scores are those of `evaluate`, whatever the discriminator looks at.
    """
    from adagen_rt.export.reward import load_reward_features
    from adagen_rt.models.features import EncoderFeatures, ViTFeatures

    if str(named) != TOKENIZER:
        features = load_reward_features(judging.section, named).to(judging.device)
        return features, ViTFeatures(features.network).to(judging.device)
    image, decoder = judging.manifest.image, judging.environment.networks.get("decoder")
    encoder = getattr(decoder, "encoder", None)
    if encoder is None:
        raise InputError("--features", TOKENIZER, "a generator whose decoder's file has an encoder")
    seen = EncoderFeatures(encoder, image.pixel_range, max(image.size))
    return seen, seen


def _real_images(judging: Judging) -> tuple[FolderPixels, Tensors]:
    """Open the real images, and their conditions."""
    from adagen_rt.evaluation.folder import load_image_folder

    captioned, manifest = judging.captioned, judging.manifest
    if captioned is not None:
        return captioned.pixels, judging.environment.parse(captioned.captions)
    image, classes = manifest.image, manifest.condition.variety
    return load_image_folder(judging.real, classes, image.size, image.channels)


def check_classes(field: str, manifest: Manifest) -> None:
    """Refuse a generator of prompts, of which the judges know nothing.

    Raises:
        InputError: It is one.
    """
    if not isinstance(manifest.condition, ClassLabels):
        expected = "a generator of classes: judges and rewards have no prompts of real images"
        raise InputError(field, manifest.name, expected)


def open_judge(
    field: str, manifest: Manifest, data: Path, features: Path | None, device: str = "cpu"
) -> Judge:
    """Open the judge of a command's scores: the built-in examiner, or one over given features.

    Args:
        field: Name of the option with the generator.
        manifest: The generator.
        data: Fashion-MNIST's folder, or with features what `load_real` opens.
        features: What `load_features` loads; None takes the built-in networks.
        device: PyTorch's name of the device.
    """
    if features is None:
        check_classes(field, manifest)
        check_judged(field, manifest.image)
    from adagen_rt.data.real import load_real
    from adagen_rt.evaluation.features import load_features
    from adagen_rt.evaluation.judge import Judge, load_judge

    if features is None:
        return load_judge(data, device)
    return Judge(load_features(features), load_real(data, manifest), device)
