"""The tables of docs/recipes.md, made of the models that parse recipes.

python tests/export/recipe_reference.py     # writes them into the page
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

TESTS = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined
from tiny_recipes import FAMILIES, tiny_networks, tiny_recipe

from adagen_rt.engine import schedule, solver_times, static_schedules
from adagen_rt.engine.family import find_family
from adagen_rt.export import sections
from adagen_rt.export.recipe import Recipe
from adagen_rt.export.sources import Source
from adagen_rt.models.text import TextConfig
from adagen_rt.training.demo.settings import LoopConfig, TokenizerConfig
from adagen_rt.training.policy.settings import AdversaryConfig, PolicyTraining

PAGE = TESTS.parent / "docs" / "recipes.md"
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"
SECTIONS = {
    "The recipe": Recipe,
    "`policy`": sections.PolicySection,
    "`reward`": sections.RewardSection,
    "`text`": TextConfig,
    "`files`": sections.Files,
    "An entry of `sources`": Source,
    "`schedule`": schedule.ScheduleSpec,
    "An entry of `schedule.actions`": schedule.ActionSpec,
    "`training`": sections.TrainingSection,
    "`training.tokenizer`": TokenizerConfig,
    "`training.generator`": LoopConfig,
    "`training.policy`": PolicyTraining,
    "`training.discriminator`": AdversaryConfig,
}
#: Limits from here on only keep nonsense out.
MAX_TOLD = 1 << 20
STATICS = (
    *(static_schedules.Cosine, static_schedules.Decay, static_schedules.Ramp),
    *(static_schedules.Linear, static_schedules.Constant),
    *(solver_times.Shifted, solver_times.Spaced),
)


def meanings(model):
    """Read the descriptions of a class's fields from its docstrings."""
    found = {}
    for base in reversed(model.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        listed = re.search(r"^(?:Attributes|Args):\n((?: {4}.*\n?|\n)+)", text, re.M)
        entries = re.findall(r"^ {4}(\w+): ((?:.|\n {6,})+)", listed[1] if listed else "", re.M)
        found |= {name: " ".join(meaning.split()).replace("``", "`") for name, meaning in entries}
    return found


def defaults(model):
    """Give the default of each field as text; an empty text where there is none."""
    if is_dataclass(model):
        typed = get_type_hints(model, include_extras=True)
        pairs = {f.name: written(f.default, typed[f.name]) for f in fields(model)}
    else:
        pairs = {name: field.default for name, field in model.model_fields.items()}
    missing = (MISSING, PydanticUndefined)
    return {name: "" if value in missing else f"`{told(value)}`" for name, value in pairs.items()}


def written(value, typed):
    """Give a value as files have it."""
    return value if value is MISSING else TypeAdapter(typed).dump_python(value, mode="json")


def told(value):
    if hasattr(value, "model_dump"):
        return "{}"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return value


def kinds(model):
    """Give the type and the bounds of each field, as JSON Schema has them."""
    schema = TypeAdapter(model).json_schema()
    return {name: kind(entry) for name, entry in schema["properties"].items()}


def kind(entry):
    if "anyOf" in entry:
        parts = [kind(part) for part in entry["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "enum" in entry:
        return " or ".join(f"`{value}`" for value in entry["enum"])
    if "prefixItems" in entry and "description" in entry:
        return f"`{entry['description']}`"
    if "prefixItems" in entry:
        return f"list of {len(entry['prefixItems'])}"
    if entry.get("type") == "array":
        return f"list of {kind(entry.get('items', {}))}"
    words = [entry.get("type", "section")]
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    words += [
        f"{word} {entry[key]:g}"
        for key, word in limits.items()
        if entry.get(key, MAX_TOLD) < MAX_TOLD
    ]
    return " ".join(words).replace("object", "section")


def table(model):
    told_of, given, typed = meanings(model), defaults(model), kinds(model)
    rows = [
        f"| `{name}` | {typed[name].replace('|', '/')} | {default} | {told_of.get(name, '')} |"
        for name, default in given.items()
    ]
    return "\n".join(["| field | | default | |", "| --- | --- | --- | --- |", *rows])


def names(module):
    """List a network's tensors, with `N` for every number."""
    patterns = dict.fromkeys(re.sub(r"\.\d+(?=\.|$)", ".N", n) for n in module.state_dict())
    return ", ".join(f"`{pattern}`" for pattern in patterns)


def tables():
    """Make the generated part of the page."""
    parts = [f"### {title}\n\n{table(model)}" for title, model in SECTIONS.items()]
    rows = [
        f"| `{s.model_fields['kind'].default}` | {s.__doc__.splitlines()[0].replace('``', '`')} |"
        for s in STATICS
    ]
    parts.append(
        "### A `static` schedule, by `kind`\n\n| kind | |\n| --- | --- |\n" + "\n".join(rows)
    )
    shown = set()
    for family in FAMILIES:
        model = find_family(family).model()
        if model in shown:
            continue
        shown.add(model)
        same = " and ".join(f"`{f}`" for f in FAMILIES if find_family(f).model() is model)
        kind_name = model.decoder.name
        parts.append(f"### `backbone` of {same}\n\n{table(model.config)}")
        parts.append(
            f"### `decoder` of {same} (`kind: {kind_name}`)\n\n{table(model.decoder.config)}"
        )
        networks = tiny_networks(tiny_recipe(family))
        parts.append(f"### Tensors of {same}\n\nBackbone: {names(networks.backbone)}")
        parts.append(f"Decoder: {names(networks.decoder)}")
    embedder = "`x_embedder.weight`, `x_embedder.bias` (where `hidden` is not the features' width)"
    parts.append(f"### Tensors of a policy\n\n{embedder}, {names(networks.policy)}")
    return "\n\n".join(parts) + "\n"


def split(text):
    """Give the page before, within and after its generated part."""
    before, rest = text.split(BEGIN)
    within, after = rest.split(END)
    return before, within, after


if __name__ == "__main__":
    before, _, after = split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + BEGIN + tables() + END + after, encoding="utf-8")
