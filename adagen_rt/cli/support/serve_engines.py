"""The engines that `adagen-rt serve` is given, and where it finds them again."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adagen_rt.backends import Execution
from adagen_rt.cli.support.serve_options import check_numbers
from adagen_rt.engine.folder import EngineFolder, open_engine
from adagen_rt.errors import InputError
from adagen_rt.pipeline.load import check_threads, make_pipeline
from adagen_rt.serving import BatchEngine

#: Options that one engine may have for itself, as its file's names of them.
OWN = ("max-batch", "max-queue", "max-queue-cost", "max-side", "cache-mb", "threads")
#: Those that are arguments of its `BatchEngine`.
SIZES = ("max_batch", "max_queue", "max_queue_cost", "max_side", "cache_mb")
#: Name of an engine's place, beside these.
PLACE = "engine"


@dataclass
class GivenEngine:
    """An engine as the command was given it.

    Attributes:
        place: Its folder, its file, or the name of a shipped one.
        name: Name under which requests ask for it; None leaves it its own.
        sizes: Keyword arguments of its `BatchEngine`.
        execution: Who runs its graphs.
        opened: The engine as it was last opened.
    """

    place: str
    name: str | None
    sizes: dict[str, int]
    execution: Execution
    opened: EngineFolder

    def find(self) -> EngineFolder:
        """Open the engine that is there now; a damaged one is found out.

        Raises:
            InputError: Requests would have to ask for it by another name than before.
        """
        opened = open_engine(self.place).named(self.name)
        name, before = opened.manifest.name, self.opened.manifest.name
        if name != before:
            raise InputError("name", name, f"{before}, as before")
        self.opened = opened
        return opened

    def mark(self) -> Hashable:
        """Tell what would be loaded: its place and what is in it."""
        opened = self.find()
        return opened.path.resolve(), opened.hash

    def load(self) -> BatchEngine:
        """Load and warm up what was opened last."""
        return BatchEngine(make_pipeline(self.opened, self.execution), **self.sizes)


def read_engines(
    typed: Sequence[str], written: Any, common: Mapping[str, Any]
) -> dict[str, GivenEngine]:
    """Open the engines of the command line, or else those of its file, by name.

    Args:
        typed: ENGINE or NAME=ENGINE, each.
        written: A list of the same, or places, or options with a place, by name.
        common: Options of all engines, by their names as keywords.
    """
    given = typed or written
    if isinstance(given, Mapping):
        found = [_row(str(name), row, common) for name, row in given.items()]
    elif isinstance(given, (list, tuple)):
        found = [_make(*_split(str(one)), common) for one in given]
    else:
        raise InputError("engines", given, "a list, or engines by name")
    if not found:
        raise InputError("ENGINE", "none", "at least one")
    engines: dict[str, GivenEngine] = {}
    for engine in found:
        name = engine.opened.manifest.name
        if name in engines:
            raise InputError("ENGINE", name, "different names; NAME=ENGINE gives another one")
        engines[name] = engine
    return engines


def _split(given: str) -> tuple[str | None, str]:
    """Split NAME=ENGINE; a folder's name may have the sign too."""
    name, found, place = given.partition("=")
    return (None, given) if not found or Path(given).exists() else (name, place)


def _row(name: str, row: Any, common: Mapping[str, Any]) -> GivenEngine:
    """Read an engine of the file: its place, or that and its own options."""
    if isinstance(row, str):
        return _make(name, row, common)
    field = f"engines.{name}"
    if not isinstance(row, Mapping) or not isinstance(row.get(PLACE), str):
        raise InputError(field, row, f"an engine's place, or {PLACE} with options")
    own = {}
    for key, value in row.items():
        option = str(key).replace("_", "-")
        if option in OWN:
            own[option.replace("-", "_")] = value
        elif key != PLACE:
            raise InputError(field, key, f"{PLACE}, {', '.join(OWN)}")
    return _make(name, row[PLACE], {**common, **own})


def _make(name: str | None, place: str, options: Mapping[str, Any]) -> GivenEngine:
    check_numbers(options)
    sizes = {key: options[key] for key in SIZES}
    execution = execution_of(options)
    return GivenEngine(place, name, sizes, execution, open_engine(place).named(name))


def execution_of(options: Mapping[str, Any]) -> Execution:
    """Return who runs graphs by the options of their names."""
    check_threads(options["threads"])
    return Execution(**{name: options[name] for name in Execution.__dataclass_fields__})
