"""docs/models.md says what exports."""

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from export.pipelines_table import PAGE, page


def test_the_page_has_the_adapters():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "type: python tests/export/pipelines_table.py"
