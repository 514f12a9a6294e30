"""What the oldest Python of all that are supported wants of a family's annotations."""

import pytest

from adagen_rt.engine.family import BUILT_IN, find_family


@pytest.mark.parametrize("name", BUILT_IN)
def test_class_variables_name_their_types(name):
    """On Python 3.10 pydantic refuses a class variable without a type."""
    annotations = find_family(name).Spec.__annotations__.values()
    assert any(str(annotation).startswith("ClassVar[") for annotation in annotations)
    assert "ClassVar" not in annotations
