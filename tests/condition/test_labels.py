import unicodedata

import numpy as np
import pytest
from pydantic import ValidationError

from adagen_rt.cli.support.classes import expand_label
from adagen_rt.condition import ClassLabels
from adagen_rt.errors import InputError

NAMES = ("circle", "square", "T-bar")


@pytest.fixture
def labels():
    return ClassLabels(count=3, names=NAMES)


def test_numbers_and_names_in_any_case(labels):
    rows = labels.parse([2, "circle", "SQUARE", "t-Bar", "1", np.int64(0), np.uint8(2)])
    np.testing.assert_array_equal(rows["labels"], [2, 0, 1, 2, 1, 0, 2])
    assert rows.keys() == {"labels"}
    assert rows["labels"].dtype == np.int64


def test_an_array_of_numbers_is_read_too(labels):
    np.testing.assert_array_equal(labels.parse(np.array([1, 2]))["labels"], [1, 2])


def test_what_is_parsed_is_what_graphs_are_told(labels):
    rows = labels.parse([0, 1])
    for name, row in labels.tensors.items():
        assert (str(rows[name].dtype), rows[name].shape[1:]) == (row.dtype, row.shape)


@pytest.mark.parametrize("label", [-1, 3, 1 << 70])
def test_numbers_out_of_range_are_refused(labels, label):
    with pytest.raises(InputError, match=f"label: got {label}, expected an integer from 0 to 2"):
        labels.parse([0, label])


@pytest.mark.parametrize("label", [1.0, True, None, np.bool_(True), [1]])
def test_what_is_no_number_is_refused(labels, label):
    with pytest.raises(InputError, match=r"label: got .*, expected an integer from 0 to 2"):
        labels.parse([label])


@pytest.mark.parametrize("label", ["hat", "", "-1", "1.0", "9" * 5000])
def test_an_unknown_name_lists_those_that_there_are(labels, label):
    with pytest.raises(InputError, match="expected 0 to 2 or a name: circle, square, T-bar"):
        labels.parse([label])


def test_classes_without_names_have_numbers_alone():
    labels = ClassLabels(count=1000)
    np.testing.assert_array_equal(labels.parse(["999", 0])["labels"], [999, 0])
    with pytest.raises(InputError, match=r"expected 0 to 999 or a name: .* no names"):
        labels.parse(["circle"])


@pytest.mark.parametrize("names", ["NFC", "NFD"])
@pytest.mark.parametrize("given", ["NFC", "NFD"])
def test_names_are_found_in_any_normal_form(names, given):
    """macOS and some editors write an accent as a letter of its own, which looks the same."""
    known = [unicodedata.normalize(names, name) for name in ("Bär", "Échelle", "\u1e9b\u0323")]
    labels = ClassLabels(count=3, names=tuple(known))
    asked = [unicodedata.normalize(given, name) for name in ("bär", "éCHELLE", "\u1e9b\u0323")]
    np.testing.assert_array_equal(labels.parse(asked)["labels"], [0, 1, 2])


def test_a_text_that_is_one_class_s_name_and_another_s_number_is_refused():
    labels = ClassLabels(count=3, names=("2", "1", "20"))
    np.testing.assert_array_equal(labels.parse([2, "1", "20", 0])["labels"], [2, 1, 2, 0])
    line = r"label: got '2', .*name of class 0 and the number of class 2; .*0-0 or 2-2"
    with pytest.raises(InputError, match=line):
        labels.parse(["2"])
    assert [*expand_label(labels, "2-2")] == [2]
    assert [*expand_label(labels, "0-0")] == [0]


def test_the_null_twin_is_one_past_the_classes(labels):
    rows = labels.parse([2, 0])
    null = labels.null(rows)
    np.testing.assert_array_equal(null["labels"], [3, 3])
    assert null["labels"].dtype == np.int64
    np.testing.assert_array_equal(rows["labels"], [2, 0])


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [0]), (4, [0, 2, 5, 7]), (10, [*range(10)]), (12, [*range(10), 0, 1])],
)
def test_examples_are_spread_over_the_classes(count, expected):
    labels = ClassLabels(count=10)
    assert labels.examples(count) == expected
    labels.parse(labels.examples(count))


def test_what_is_told_of_them(labels):
    assert labels.facts() == {"class_count": 3, "class_names": list(NAMES)}
    assert labels.describe(labels.parse(["square", 2]), 1) == {"label": 2}
    assert labels.variety == 3
    assert labels.summary == "3 classes: circle, square, T-bar"


def test_a_summary_does_not_list_a_thousand_names():
    assert ClassLabels(count=1000).summary == "1000 classes"
    many = ClassLabels(count=40, names=tuple(map(str, range(40))))
    assert many.summary.endswith("10, 11, ...")


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"count": 0}, "count"),
        ({"count": (1 << 20) + 1}, "count"),
        ({"count": 2, "names": ["one"]}, "names has 1 entries, count is 2"),
        ({"count": 2, "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_section_is_refused(section, named):
    with pytest.raises(ValidationError, match=named):
        ClassLabels.model_validate(section)
