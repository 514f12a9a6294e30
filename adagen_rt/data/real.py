"""The real images that generated ones are compared with."""

from __future__ import annotations

from pathlib import Path

from adagen_rt.condition import Prompts
from adagen_rt.data.captioned import load_captioned
from adagen_rt.engine.manifest import Manifest
from adagen_rt.evaluation.data import Images, load_fashion_mnist
from adagen_rt.evaluation.folder import FolderPixels, load_image_folder
from adagen_rt.models.known_images import are_known


def load_real(folder: str | Path, manifest: Manifest) -> Images | FolderPixels:
    """Open the real images for a generator's, of any kind.

    Args:
        folder: For prompts a captioned set; else a folder with a folder for each class, or
            Fashion-MNIST's IDX files for a generator of such images.
        manifest: The generator.

    Raises:
        InputError: It is none of these.
    """
    image, condition = manifest.image, manifest.condition
    if isinstance(condition, Prompts):
        return load_captioned(folder, image.size, image.channels).pixels
    if are_known(image) and not any(path.is_dir() for path in Path(folder).glob("*")):
        return load_fashion_mnist(folder, "train")
    return load_image_folder(folder, condition.variety, image.size, image.channels)[0]
