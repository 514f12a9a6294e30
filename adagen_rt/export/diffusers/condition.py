"""Class labels or prompts of a pipeline, and the tokenizers' files."""

from __future__ import annotations

from pathlib import Path

from adagen_rt.condition import ClassLabels, ConditionSpec
from adagen_rt.export.diffusers.folder import PipelineFolder


def describe_condition(source: PipelineFolder) -> ConditionSpec:
    """Describe what a pipeline is asked for."""
    return _labels(source)


def _labels(source: PipelineFolder) -> ClassLabels:
    """Read the classes' names; the first of a class's names that no earlier class has."""
    count = int(source.config.num_embeds_ada_norm)
    given = source.index.get("id2label") or {}
    names: dict[str, int] = {}
    for label in range(count):
        words = [word.strip() for word in str(given.get(str(label), "")).split(",")]
        free = [word for word in words if word and word not in names]
        names[free[0] if free else f"{words[0]} {label}".strip()] = label
    return ClassLabels(count=count, names=tuple(names) if given else ())


def write_tokenizers(source: PipelineFolder, folder: Path) -> None:
    """Write the tokenizers that the condition names."""
