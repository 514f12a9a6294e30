"""Conditions of samples, such as class labels.

A kind of condition is a section of the manifest, `ConditionSpec`. It parses the conditions that
callers ask for into named arrays with a row per sample, and makes the null twins that guidance
subtracts. A `Condition` holds the backbone's inputs that follow from them.
"""

from __future__ import annotations

from typing import Any

from adagen_rt.condition.condition import Condition, Conditioner
from adagen_rt.condition.labels import ClassLabels, class_rows, classes_of
from adagen_rt.condition.prompts import Prompt, Prompts
from adagen_rt.condition.rows import count_rows, join_rows, take_rows
from adagen_rt.condition.spec import Asked, ConditionSpec, Guidance, RowSpec
from adagen_rt.condition.text import TextTokens

__all__ = [
    "KINDS",
    "Asked",
    "ClassLabels",
    "Condition",
    "ConditionSpec",
    "Conditioner",
    "Guidance",
    "Prompt",
    "Prompts",
    "RowSpec",
    "TextTokens",
    "class_rows",
    "classes_of",
    "count_rows",
    "join_rows",
    "parse_condition",
    "take_rows",
]

#: Every kind by the name that manifests have for it.
KINDS: dict[str, type[ConditionSpec]] = {"class": ClassLabels, "prompt": Prompts}


def parse_condition(section: Any) -> ConditionSpec:
    """Parse the `condition` section of a manifest.

    Raises:
        ValueError: The kind is unknown, or a field is wrong.
    """
    kind = section.get("kind") if isinstance(section, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}")
    return KINDS[kind].model_validate(section)
