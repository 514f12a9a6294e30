"""What the built-in rewards and scores can judge."""

from __future__ import annotations

from adagen_rt.errors import InputError
from adagen_rt.manifest import ImageSpec

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
            "judge; adagen_rt.training.features says how to train against another network",
        )
