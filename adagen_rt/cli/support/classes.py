"""Classes and seeds from the options of `generate`."""

from __future__ import annotations

import re
import secrets
from itertools import cycle, islice

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError, as_integer
from adagen_rt.sampling.request import SEED_LIMIT

#: A drawn seed is short enough to be typed again, and exact in JavaScript.
DRAWN_BITS = 48
RANGE = re.compile(r"(\d{1,9})-(\d{1,9})")


def choose_classes(manifest: Manifest, given: tuple[str, ...], count: int) -> list[int]:
    """Choose the class of each image: the given classes in turn, or all classes in turn.

    Args:
        manifest: The engine's.
        given: Class numbers, ranges such as ``0-9``, or names.
        count: Number of images.

    Raises:
        InputError: The engine has no such class.
    """
    return list(islice(cycle(expand_labels(manifest, given)), count))


def expand_labels(manifest: Manifest, given: tuple[str, ...]) -> list[int]:
    """List the classes that are named, or all where none is; arguments as above."""
    classes = manifest.condition
    if not isinstance(classes, ClassLabels):
        told = ", ".join(given) or None
        raise InputError("label", told, f"texts and no classes: {manifest.name} takes prompts")
    numbers = [number for label in given for number in expand_label(classes, label)]
    return numbers or list(range(classes.count))


def expand_label(classes: ClassLabels, label: str) -> range:
    """Return the classes that one ``--label`` names."""
    bounds = RANGE.fullmatch(label)
    # A class may be called "9-11"; names come first.
    if not bounds or classes.find(label) is not None:
        number = classes.number(label)
        return range(number, number + 1)
    first, last = (classes.number(int(end)) for end in bounds.groups())
    if first > last:
        raise InputError("label", label, "a range from the lower class to the higher")
    return range(first, last + 1)


def choose_seeds(seed: int | None, count: int) -> list[int]:
    """Consecutive seeds from ``seed`` on; from one that is drawn, where none is given."""
    if seed is None:
        seed = secrets.randbits(DRAWN_BITS)
    first = as_integer("seed", seed, 0, SEED_LIMIT - count)
    return list(range(first, first + count))
