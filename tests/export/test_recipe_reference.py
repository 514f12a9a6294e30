"""docs/recipes.md says what the code does."""

import pytest

pytest.importorskip("torch")

from export.recipe_reference import PAGE, split, tables

from adagen_rt.models.held import RULES
from adagen_rt.models.located import VARIANTS
from adagen_rt.models.pickled import INERT_GLOBALS


def test_the_page_is_current():
    _, within, _ = split(PAGE.read_text(encoding="utf-8"))
    assert within == tables(), "type: python tests/export/recipe_reference.py"


def test_the_page_names_every_rule():
    before, _, after = split(PAGE.read_text(encoding="utf-8"))
    assert all(f"| `{rule.prefix}` | {rule.whose} |" in before for rule in RULES)
    assert all(f"`{variant}`" in before for variant in VARIANTS)
    assert all(name.split(".")[-1] in before + after for name in INERT_GLOBALS[:3])
