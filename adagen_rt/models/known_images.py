"""The images that the built-in networks were trained on: Fashion-MNIST's, with a border."""

from __future__ import annotations

from adagen_rt.engine.sections import ImageSpec

CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)
# 28 x 28 images do not halve three times; a border of two black pixels makes them 32 x 32.
BORDER = 2
SIDE, CHANNELS = 28 + 2 * BORDER, 1
#: Description of the images that these networks support.
KNOWN_IMAGES = f"{SIDE} x {SIDE} grey ones"


def are_known(image: ImageSpec) -> bool:
    """Tell whether networks that were trained on these images support a generator's images."""
    return (image.size, image.channels) == ((SIDE, SIDE), CHANNELS)
