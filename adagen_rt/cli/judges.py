"""Who judges a generator's images while its policy is trained, and which images they know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adagen_rt.errors import InputError
from adagen_rt.manifest import ImageSpec, Manifest

if TYPE_CHECKING:
    from adagen_rt.training.adversarial import AdversaryConfig
    from adagen_rt.training.evaluation import Judge
    from adagen_rt.training.parallel import Workers
    from adagen_rt.training.rewards import Reward

JUDGED_SIZE, JUDGED_CHANNELS = 32, 1


def check_judged(field: str, image: ImageSpec) -> None:
    """Refuse images that the built-in networks do not know.

    Args:
        field: What named the generator.
        image: The images that it makes.
    """
    if (image.size, image.channels) != (JUDGED_SIZE, JUDGED_CHANNELS):
        raise InputError(
            field,
            f"images of {image.size} x {image.size} in {image.channels} channels",
            f"{JUDGED_SIZE} x {JUDGED_SIZE} grey ones, which the built-in rewards and scores "
            "judge; train policy --features names another network to judge with",
        )


def make_judges(
    manifest: Manifest,
    parts: Mapping[str, float],
    adversary: AdversaryConfig,
    workers: Workers,
    options: Mapping[str, Any],
) -> tuple[Reward, Judge | None]:
    """What a policy is paid by, and who scores its images now and then, if anybody does.

    Args:
        manifest: The generator.
        parts: Weights of the rewards by name.
        adversary: How the discriminator learns.
        workers: The processes that train together.
        options: The command's `features`, `data` and `device`.
    """
    make = _vision_transformer if options["features"] else _demo
    return make(manifest, parts, adversary, workers, options)


def _demo(
    manifest: Manifest,
    parts: Mapping[str, float],
    adversary: AdversaryConfig,
    workers: Workers,
    options: Mapping[str, Any],
) -> tuple[Reward, Judge | None]:
    """The built-in rewards; the process that writes the log has images scored as well."""
    import torch

    from adagen_rt.training.classifier import load_classifier
    from adagen_rt.training.data import load_fashion_mnist
    from adagen_rt.training.evaluation import Judge
    from adagen_rt.training.examiner import load_examiner
    from adagen_rt.training.rewards import RewardContext, make_reward

    check_judged("--engine-recipe", manifest.image)
    device = options["device"]
    images = load_fashion_mnist(options["data"], "train")
    pixels, labels = torch.from_numpy(images.pixels)[:, None], torch.from_numpy(images.labels)
    context = RewardContext(load_classifier(), pixels, labels, adversary, device, workers)
    judge = Judge(load_examiner(), images, device) if workers.leads else None
    return make_reward(parts, context), judge


def _vision_transformer(
    manifest: Manifest,
    parts: Mapping[str, float],
    adversary: AdversaryConfig,
    workers: Workers,
    options: Mapping[str, Any],
) -> tuple[Reward, Judge | None]:
    """An adversarial reward through a vision transformer, and nobody who scores."""
    from adagen_rt.training.adversarial import Adversary
    from adagen_rt.training.features import load_vit_features
    from adagen_rt.training.folder import load_image_folder
    from adagen_rt.training.rewards import AdversarialReward, SumReward

    if set(parts) != {"adversarial"}:
        raise InputError("--reward", ", ".join(parts), "adversarial alone, with --features")
    if manifest.image.channels != 3:
        expected = "a generator of colour images, with --features"
        raise InputError("--engine-recipe", f"{manifest.image.channels} channels", expected)
    features = load_vit_features(options["features"]).to(options["device"])
    real = load_image_folder(options["data"], manifest.class_count, manifest.image.size)
    learner = Adversary(features, *real, adversary, options["device"], workers)
    return SumReward({"adversarial": (parts["adversarial"], AdversarialReward(learner))}), None
