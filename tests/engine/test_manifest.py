import json

import pytest
from pydantic import ValidationError

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import shipped_engines
from adagen_rt.engine.manifest import Manifest


@pytest.fixture
def content(tiny_engine):
    return json.loads((tiny_engine / "manifest.json").read_text())


def with_section(content, section):
    """The same with a section `condition` in the place of the fields for classes."""
    rest = {key: value for key, value in content.items() if not key.startswith("class_")}
    return {**rest, "condition": section}


@pytest.mark.parametrize("name", shipped_engines())
def test_a_manifest_is_written_as_it_was_read(name):
    text = (shipped_engines()[name] / "manifest.json").read_text()
    written = Manifest.model_validate_json(text).model_dump_json(indent=2, exclude_none=True)
    assert written + "\n" == text


def test_a_section_says_the_same_as_the_fields_for_classes(content):
    section = {"kind": "class", "count": content["class_count"], "names": content["class_names"]}
    one, other = (Manifest.model_validate(c) for c in (content, with_section(content, section)))
    assert one == other
    assert isinstance(one.condition, ClassLabels)


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"kind": "text"}, "kind: got 'text', expected one of class"),
        ({"kind": []}, r"kind: got \[\], expected one of class"),
        (None, "kind: got None"),
        ({"kind": "class", "count": 0}, "count: .*, got 0"),
        ({"kind": "class", "count": 2, "names": ["one"]}, "names has 1 entries, count is 2"),
    ],
)
def test_a_wrong_section_is_named(content, section, named):
    with pytest.raises(ValidationError, match=f"(?s)condition.*{named}"):
        Manifest.model_validate(with_section(content, section))


def test_a_section_and_the_fields_for_classes_are_one_too_many(content):
    with pytest.raises(ValidationError, match="got a section and class_count"):
        Manifest.model_validate({**content, "condition": {"kind": "class", "count": 3}})
