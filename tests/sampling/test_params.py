"""Every option of a generation: its range, its names, and where it is found again."""

from dataclasses import fields
from typing import get_type_hints

import numpy as np
import pytest

import adagen_rt
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.sampling.params import (
    ROWS,
    SCHEDULES,
    SamplingOptions,
    SamplingParams,
    make_params,
    schedule_names,
)
from adagen_rt.serving import BatchEngine

NAMES = [option.name for option in fields(SamplingParams)]
BOUNDS = [
    ("steps", 1, 1000, "an integer from 1 to 1000"),
    ("refine", 1, 64, "an integer from 1 to 64"),
    ("best_of", 1, 64, "an integer from 1 to 64"),
    ("fidelity", 0, 1, "a number from 0 to 1, or one for each sample"),
    ("reuse", 0, 1, "a number from 0 to 1"),
]


@pytest.fixture(scope="module")
def judged(judged_engine):
    """What an engine is that has every graph, and a tuned schedule."""
    manifest = open_engine(judged_engine).manifest
    tuned = tuple(action.static for action in manifest.schedule.actions)
    return manifest.with_schedule(manifest.schedule.model_copy(update={"tuned": tuned}))


@pytest.fixture
def able(judged, name):
    """What an engine is that has what a field is for."""
    return open_engine("fashion-dit").manifest if name == "reuse" else judged


@pytest.fixture(scope="module")
def bare(static_engine):
    """What an engine is that has a static schedule and nothing else."""
    return open_engine(static_engine).manifest


@pytest.mark.parametrize(("name", "low", "high", "expected"), BOUNDS)
def test_a_range_has_both_its_ends(able, name, low, high, expected):
    for value in (low, high):
        assert getattr(SamplingParams(**{name: value}).check(able), name) == value
    for value in (low - 1, high + 1):
        message = f"^{name}: got {value}(.0)?, expected {expected}$"
        with pytest.raises(InputError, match=message) as caught:
            SamplingParams(**{name: value}).check(able)
        assert caught.value.field == name


@pytest.mark.parametrize(("name", "low", "high", "expected"), BOUNDS)
@pytest.mark.parametrize("value", ["1", True, np.bool_(True), object, [[1]]])
def test_what_is_no_number_is_refused(able, name, low, high, expected, value):
    with pytest.raises(InputError, match=f"^{name}: got .*, expected {expected}$"):
        SamplingParams(**{name: value}).check(able)


@pytest.mark.parametrize("name", ["refine", "best_of", "fidelity", "reuse"])
def test_only_what_the_engine_chooses_may_be_left_to_it(able, name):
    with pytest.raises(InputError, match=f"^{name}: got None"):
        SamplingParams(**{name: None}).check(able)


def test_every_field_is_bounded_here_or_has_choices_or_is_a_size():
    assert {name for name, *_ in BOUNDS} | {"schedule", "size"} == set(NAMES) == set(ROWS)


@pytest.mark.parametrize("schedule", ["Tuned", "STATIC", "", True, 1, ["static"]])
def test_a_misspelt_schedule_is_refused(judged, schedule):
    with pytest.raises(
        InputError, match=r"schedule: got .*, expected one of policy, static, tuned"
    ):
        SamplingParams(schedule=schedule).check(judged)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_schedule_is_there_by_its_name(judged, schedule):
    assert SamplingParams(schedule=schedule).check(judged).schedule == schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("policy", "an engine with a policy"), ("tuned", "an engine whose static schedule was")],
)
def test_a_schedule_that_the_engine_lacks_is_refused(bare, schedule, expected):
    assert schedule_names(bare) == ("static",)
    with pytest.raises(InputError, match=f"schedule: got '{schedule}', expected {expected}"):
        SamplingParams(schedule=schedule).check(bare)


def test_what_is_not_given_is_the_engines_own_choice(judged, bare):
    assert SamplingParams().check(judged) == SamplingParams(steps=4, schedule="policy")
    assert SamplingParams().check(bare) == SamplingParams(steps=4, schedule="static")


def test_checked_parameters_are_what_they_are_checked_to(judged):
    once = SamplingParams(steps=3, refine=2, fidelity=0.5, best_of=2).check(judged)
    assert once.check(judged) == once


def test_what_differs_from_the_defaults():
    assert SamplingParams().changed() == {}
    assert SamplingParams(refine=1, fidelity=0).changed() == {}
    params = SamplingParams(steps=4, fidelity=[0, 0.5])
    assert params.changed() == {"steps": 4, "fidelity": [0, 0.5]}


@pytest.mark.parametrize(
    ("fidelity", "blended"), [(0.0, False), ([0, 0], False), (0.1, True), ([0, 1], True)]
)
def test_whether_anybody_follows_the_second_policy(fidelity, blended):
    assert SamplingParams(fidelity=fidelity).blended == blended


def test_a_keyword_wins_over_the_object():
    params = SamplingParams(steps=8, refine=4)
    assert make_params(params, {"refine": 2}) == SamplingParams(steps=8, refine=2)
    assert make_params(params, {}) == params
    assert make_params(None, {"steps": 8}) == SamplingParams(steps=8)


def test_an_unknown_keyword_lists_those_that_there_are():
    expected = "colour: got 'red', expected one of the options steps, schedule, fidelity, refine"
    with pytest.raises(InputError, match=expected):
        make_params(None, {"steps": 8, "colour": "red"})


@pytest.mark.parametrize("params", [{"steps": 4}, 4, "static"])
def test_what_is_no_object_of_parameters_is_refused(params):
    with pytest.raises(InputError, match=r"params: got .*, expected SamplingParams"):
        make_params(params, {})


def generate(pipeline, **options):
    return pipeline.generate([0, 1], [5, 6], **options)


@pytest.fixture(scope="module")
def pipeline(judged_engine):
    return adagen_rt.load(judged_engine, threads=1)


@pytest.mark.parametrize(("static", "schedule"), [(True, "static"), (False, None)])
def test_the_old_keyword_still_works_and_says_what_is_new(pipeline, static, schedule):
    with pytest.warns(DeprecationWarning, match="use schedule='static'") as caught:
        old = generate(pipeline, static=static)
    assert caught[0].filename == __file__  # the line that has to change
    new = generate(pipeline, schedule=schedule)
    np.testing.assert_array_equal(old.images, new.images)


@pytest.mark.filterwarnings("ignore:static= is deprecated:DeprecationWarning")
def test_the_old_keywords_values(judged):
    assert make_params(None, {"static": "tuned"}) == SamplingParams(schedule="tuned")
    assert make_params(None, {"static": np.bool_(True)}) == SamplingParams(schedule="static")
    static = SamplingParams(schedule="static")
    assert make_params(static, {"static": False}) == SamplingParams()
    # Who writes both has moved on.
    both = {"static": True, "schedule": "policy"}
    assert make_params(None, both) == SamplingParams(schedule="policy")


@pytest.mark.filterwarnings("ignore:static= is deprecated:DeprecationWarning")
@pytest.mark.parametrize("static", ["Tuned", "static", 1, 0, None, "", [True]])
def test_the_old_keyword_misspelt_is_refused(pipeline, static):
    with pytest.raises(InputError, match=r"static: got .*, expected True, False or 'tuned'"):
        generate(pipeline, static=static)


def test_a_stream_and_a_server_take_the_old_keyword_too(pipeline, judged_engine):
    with pytest.warns(DeprecationWarning, match="static=") as caught:
        steps = list(pipeline.stream([0], [5], static=True))
    assert caught[0].filename == __file__
    expected = pipeline.generate([0], [5], schedule="static").images[0]
    np.testing.assert_array_equal(steps[-1].preview()[0], expected)
    with BatchEngine(judged_engine, threads=1) as engine:
        with pytest.warns(DeprecationWarning, match="static=") as caught:
            job = engine.submit(0, 5, static=True)
        assert caught[0].filename == __file__
        np.testing.assert_array_equal(job.result(60).pixels, expected)


def test_the_keywords_are_the_fields_and_the_old_one():
    assert list(get_type_hints(SamplingOptions)) == [*NAMES, "static"]
