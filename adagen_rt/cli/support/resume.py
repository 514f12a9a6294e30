"""`generate --resume`: which images of a folder are there, and whether this run would make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.sampling.facts import SHARED, read_facts
from adagen_rt.sampling.formats import PICTURES
from adagen_rt.sampling.origin import Facts, Numbers
from adagen_rt.sampling.request import Request


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder, by name; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


class Earlier:
    """Images that an interrupted run left in a folder.

    Args:
        folder: The folder.
        suffix: How the files of this run's format end.

    Raises:
        InputError: There are pictures that no run left.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self._facts: dict[Path, Facts] = {}
        for path in pictures_in(folder):
            if (facts := read_facts(path)) is None:
                expected = f"a folder of images that adagen-rt made, unlike {path.name}"
                raise InputError("resume", str(folder), expected)
            if path.suffix.lower() != suffix:
                raise InputError("format", suffix[1:], f"{path.suffix[1:]}, as {path} has it")
            self._facts[path] = {**facts, **facts["samples"][0]}

    @property
    def first_seed(self) -> int | None:
        """The seed that the run began with; None where it left nothing."""
        for facts in self._facts.values():
            return int(_asked_seed(facts)) - int(facts["index"])
        return None

    def missing(self, manifest: Manifest, request: Request, common: Facts) -> Numbers:
        """Give the numbers of the images of a run that are not there yet.

        Args:
            manifest: The engine's.
            request: All that the run is asked for.
            common: What all its images have in common.

        Raises:
            InputError: An image that is there is not what this run would make.
        """
        there = set()
        for path, facts in self._facts.items():
            number = facts["index"]
            if number < len(request):
                own = common | manifest.condition.describe(request.rows, number)
                own |= {"seed": int(request.seeds[number])}
                own |= {"fidelity": float(request.fidelity[number])}
                _compare(path, facts | {"seed": _asked_seed(facts)}, own)
            there.add(number)
        return np.array([i for i in range(len(request)) if i not in there], np.int64)


def _compare(path: Path, there: Facts, own: Facts) -> None:
    names = [*SHARED, *(own.keys() - {*SHARED, "adagen_rt", "engine"})]
    for name in names:
        if there.get(name) != own.get(name):
            expected = f"{there.get(name)!r}, as {path} has it; or another folder"
            raise InputError(name, own.get(name), expected)


def _asked_seed(facts: Facts) -> int:
    """The seed before best-of chose another."""
    return int(facts["asked_seed"] if "asked_seed" in facts else facts["seed"])
