"""The fields of a request's body that say how images are made."""

from dataclasses import fields

import pytest
from pydantic import ValidationError

pytest.importorskip("fastapi")

from adagen_rt.sampling.params import ROWS, SamplingParams
from adagen_rt.serving.http.options import Options

NAMES = [option.name for option in fields(SamplingParams)]


def test_they_are_the_sampling_parameters_and_the_old_one():
    assert sorted(Options.model_fields) == sorted([*NAMES, "static", "negative_prompt", "strict"])
    assert Options().params() == SamplingParams()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.kind is not str])
def test_the_ranges_are_the_same(name):
    row = ROWS[name]
    for value in (row.low, row.high):
        assert getattr(Options(**{name: value}).params(), name) == value
    for value in (row.low - 1, row.high + 1):
        with pytest.raises(ValidationError, match=name):
            Options(**{name: value})


def test_what_a_field_means_is_said_in_the_schema():
    told = Options.model_json_schema()["properties"]
    for name, row in ROWS.items():
        assert told[name]["description"] == row.text


@pytest.mark.parametrize("size", [None, "auto", "768x512"])
def test_a_size_is_a_text(size):
    assert Options(size=size).params().size == (None if size == "auto" else size)
    with pytest.raises(ValidationError, match="size"):
        Options(size=768)


@pytest.mark.parametrize("schedule", ["Tuned", "", True, 1])
def test_a_misspelt_schedule_is_refused(schedule):
    with pytest.raises(ValidationError, match="schedule"):
        Options(schedule=schedule)


@pytest.mark.parametrize("static", ["Tuned", "static", 1])
def test_the_old_field_misspelt_is_refused(static):
    with pytest.raises(ValidationError, match="static"):
        Options(static=static)


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        ({"static": True}, "static"),
        ({"static": False}, None),
        ({"static": "tuned"}, "tuned"),
        ({"schedule": "policy", "static": True}, "policy"),
        ({"schedule": "tuned"}, "tuned"),
    ],
)
def test_the_old_field_is_taken_too(given, schedule):
    assert Options(**given).params().schedule == schedule
    # The schema says that it is old; the server's log need not at every request.
    assert Options.model_json_schema()["properties"]["static"]["deprecated"]
