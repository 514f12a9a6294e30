"""A policy that ends samples early, from the recipe to every way of running it."""

import numpy as np
import pytest

pytest.importorskip("torch")

from once import engine_once
from program.host import program_of
from pydantic import ValidationError
from short_form import slow
from stopping import NEAR, STEPS, stop_at, stopping_recipe
from tiny_recipes import tiny_recipe
from trainers_loop import assert_alike, trainers_images

import adagen_rt
from adagen_rt.engine.schedule import STOP, ScheduleSpec
from adagen_rt.errors import RecipeError
from adagen_rt.export import export_engine
from adagen_rt.export.recipe import Recipe
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.serving import BatchEngine

COUNT = 12
LABELS, SEEDS = [place % 10 for place in range(COUNT)], [7 * place for place in range(COUNT)]


@pytest.fixture(scope="module", params=NEAR)
def engine(request, tmp_path_factory):
    def export(out):
        export_engine(stopping_recipe(request.param), out, seeded="tiny")

    return engine_once(tmp_path_factory, f"stopping-{request.param}", export)


@pytest.fixture(scope="module")
def made(engine):
    with adagen_rt.load(engine.path, threads=1) as pipeline:
        result = pipeline.generate(LABELS, SEEDS)
    counts = set(result.evaluations.tolist())
    assert len(counts) > 2
    assert min(counts) >= 1
    return result


def test_it_is_the_stop_that_ends_a_sample(made):
    stop, ahead = made.schedule[STOP], len(made.schedule[STOP]) - STEPS
    for place, count in enumerate(made.evaluations):
        own = stop[ahead:, place]
        assert np.isfinite(own[:count]).all()
        assert np.isnan(own[count:]).all()
        assert (own[: count - 1] <= 0.5).all()
        # A family may have an end of its own: MaskGIT's, that nothing is masked.
        assert own[count - 1] > 0.5 or count == STEPS or "mask_ratio" in made.schedule


def test_the_last_step_goes_to_the_end(engine, made):
    name, value = engine.manifest.family.ending
    ahead = len(made.schedule[STOP]) - STEPS
    for place, count in enumerate(made.evaluations):
        if made.schedule[STOP][ahead + count - 1, place] > 0.5:
            assert made.schedule[name][ahead + count - 1, place] == value
    assert not made.failures
    assert len({image.tobytes() for image in made.images}) == COUNT


def test_a_sample_alone_is_the_same(engine, made):
    with adagen_rt.load(engine.path, threads=1) as pipeline:
        for place in (0, 3, 7):
            alone = pipeline.generate([LABELS[place]], [SEEDS[place]])
            assert np.array_equal(alone.images[0], made.images[place])
            assert alone.evaluations[0] == made.evaluations[place]


@pytest.mark.parametrize("schedule", ["static"])
def test_a_static_schedule_never_stops(engine, schedule):
    with adagen_rt.load(engine.path, threads=1) as pipeline:
        result = pipeline.generate(LABELS, SEEDS, schedule=schedule)
    assert (result.evaluations == STEPS).all()


def test_a_program_makes_the_same_images(engine, made):
    assert_alike(*program_of(engine, LABELS, SEEDS), made)


def test_the_specification_makes_the_same_images(engine, made):
    result = StepwisePipeline(engine, ops=ReferenceOps()).generate(LABELS, SEEDS)
    assert_alike(result.images, result.schedule, made)


def test_the_trainers_loop_makes_the_same_images(engine, made):
    recipe = stopping_recipe(engine.manifest.family.family)
    assert_alike(*trainers_images(recipe, LABELS, SEEDS), made)


def test_a_server_frees_a_slot_when_its_sample_ends(engine, made):
    steps = []

    class Watch:
        def stepped(self, slots, seconds):
            steps.append(slots)

    with BatchEngine(engine.path, max_batch=3, max_queue=20, threads=1) as server:
        server.observers.append(Watch())
        jobs = [server.submit(*pair) for pair in zip(LABELS, SEEDS, strict=True)]
        images = [job.result(60) for job in jobs]
    for place, (job, image) in enumerate(zip(jobs, images, strict=True)):
        assert np.array_equal(image.pixels, made.images[place])
        assert image.evaluations == job.evaluations == made.evaluations[place]
    assert sum(steps) == made.evaluations.sum()


@pytest.mark.parametrize("form", ["unrolled", *slow("loop")])
def test_one_file_makes_the_same_images(engine, made, tmp_path, form):
    path = tmp_path / "stopping.onnx"
    write_bundle(engine, path, form=form)
    with adagen_rt.load(path, threads=1) as bundle:
        result = bundle.generate(LABELS, SEEDS)
    assert_alike(result.images, result.schedule, made)
    assert np.array_equal(result.evaluations, made.evaluations)


@pytest.mark.parametrize(("family", "solver"), [("sit", "euler"), *slow(("dit", "dpmpp_2m"))])
def test_every_solver_stops(tmp_path, family, solver):
    engine = export_engine(stopping_recipe(family, solver), tmp_path / "engine", seeded="tiny")
    with adagen_rt.load(engine.path, threads=1) as pipeline:
        made = pipeline.generate(LABELS, SEEDS)
    assert len(set(made.evaluations.tolist())) > 2
    assert_alike(*program_of(engine, LABELS, SEEDS), made)


def test_a_recipe_needs_no_more_than_the_word():
    content = tiny_recipe("sit").model_dump(mode="json", exclude_none=True)
    content["schedule"]["stopping"] = True
    spec = Recipe.model_validate(content).schedule
    assert spec.names[-1] == STOP
    again = ScheduleSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert "stopping" not in tiny_recipe("sit").schedule.model_dump()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (stop_at(0.6), "below 0.5"),
        (stop_at(0.0), "above 0"),
        ({**stop_at(0.4), "static": {"kind": "linear", "start": 0, "stop": 1}}, "constant"),
        ({**stop_at(0.4), "activation": "softplus"}, "sigmoid"),
        ({**stop_at(0.4), "scale": 2}, "scale 1"),
    ],
)
def test_a_stop_that_is_none_is_refused(change, told):
    schedule = stopping_recipe("sit").schedule.model_dump(mode="json", exclude_none=True)
    schedule["actions"][-1] = change
    with pytest.raises(ValidationError, match=told):
        ScheduleSpec.model_validate(schedule)


def test_a_stop_without_stopping_is_refused():
    schedule = stopping_recipe("sit").schedule.model_dump(mode="json", exclude_none=True)
    with pytest.raises(ValidationError, match="stopping: true"):
        ScheduleSpec.model_validate({**schedule, "stopping": False})


def test_a_family_that_needs_every_step_says_so():
    content = tiny_recipe("var").model_dump(mode="json", exclude_none=True)
    content["schedule"]["stopping"] = True
    with pytest.raises((ValidationError, RecipeError), match="var needs every step"):
        Recipe.model_validate(content)
