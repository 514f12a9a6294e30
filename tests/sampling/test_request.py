import numpy as np
import pytest
from family_specs import family_spec
from tiny_engine import STEPS

from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError, InputError
from adagen_rt.sampling.params import SamplingParams, check_steps
from adagen_rt.sampling.request import MAX_COUNT, make_request


@pytest.fixture(scope="module")
def manifest(tiny_engine):
    return open_engine(tiny_engine).manifest


@pytest.fixture(scope="module")
def judged(judged_engine):
    return open_engine(judged_engine).manifest


def test_numbers_and_names_of_classes(manifest):
    request = make_request(manifest, [2, "circle", "Square", "1", np.int64(0)], range(5))
    np.testing.assert_array_equal(request.rows["labels"], [2, 0, 1, 1, 0])
    np.testing.assert_array_equal(request.seeds, range(5))
    assert request.steps == STEPS
    assert len(request) == 5


def test_drawn_seeds_differ_and_are_valid(manifest):
    seeds = make_request(manifest, [0] * 100).seeds
    assert len(set(seeds.tolist())) == 100
    assert (seeds >= 0).all()


@pytest.mark.parametrize("label", [-1, 3, 10**9, 1.0, True, None, "hat", "-1", "7", ""])
def test_bad_labels_are_refused(manifest, label):
    with pytest.raises(InputError, match="label"):
        make_request(manifest, [label], [0])


@pytest.mark.parametrize("labels", ["circle", 1, None, iter([0]), {}])
def test_what_is_no_list_of_labels_is_refused(manifest, labels):
    with pytest.raises(InputError, match="labels"):
        make_request(manifest, labels)


@pytest.mark.parametrize("seed", [-1, 1 << 63, 0.5, "0", None, False])
def test_bad_seeds_are_refused(manifest, seed):
    with pytest.raises(InputError, match="seeds"):
        make_request(manifest, [0], [seed])


@pytest.mark.parametrize("seeds", [0, "5"])
def test_what_is_no_list_of_seeds_is_refused(manifest, seeds):
    with pytest.raises(InputError, match="seeds"):
        make_request(manifest, [0], seeds)


@pytest.mark.parametrize("steps", [0, -2, 1001, 10**9, 4.0, "4", True])
def test_bad_steps_are_refused(manifest, steps):
    with pytest.raises(InputError, match="steps"):
        make_request(manifest, [0], [0], SamplingParams(steps=steps))


@pytest.mark.parametrize("count", [0, MAX_COUNT + 1])
def test_bad_counts_are_refused(manifest, count):
    with pytest.raises(InputError, match="labels"):
        make_request(manifest, range(count))


def test_every_label_has_its_seed(manifest):
    with pytest.raises(InputError, match=r"2 seeds.*3 labels"):
        make_request(manifest, [0, 1, 2], [0, 1])


def test_solvers_take_two_evaluations_a_step(manifest):
    diffusion = manifest.model_copy(update={"family": family_spec("dit")})
    assert check_steps(diffusion, 8) == 8
    with pytest.raises(InputError, match="even"):
        check_steps(diffusion, 7)


def test_scales_decide_the_steps_of_var(manifest):
    family = family_spec("var", scales=(1, 2, 3, 4), phi=(0, 0, 0, 0))
    var = manifest.model_copy(update={"family": family})
    assert check_steps(var, 4) == 4
    with pytest.raises(InputError, match="scale"):
        check_steps(var, 3)


def test_without_a_word_nothing_is_tried_or_blended(manifest):
    request = make_request(manifest, [0, 1], [0, 1])
    assert (request.params.refine, request.params.best_of) == (1, 1)
    assert request.fidelity.tolist() == [0, 0]


def test_fidelity_for_all_or_for_each(judged):
    def shares(fidelity):
        return make_request(judged, [0, 1], params=SamplingParams(fidelity=fidelity)).fidelity

    assert shares(1).tolist() == [1, 1]
    assert shares([0, 0.5]).tolist() == [0, 0.5]
    assert shares(np.array([0.25, 1], np.float16)).dtype == np.float32


@pytest.mark.parametrize(
    "fidelity",
    [-0.01, 1.5, np.nan, np.inf, "0.5", None, True, [0.5], [0, 0.5, 2], [0, 0, np.nan], [[0] * 3]],
)
def test_bad_fidelities_are_refused(judged, fidelity):
    expected = "fidelity: got .*, expected a number from 0 to 1, or one for each"
    with pytest.raises(InputError, match=expected):
        make_request(judged, [0, 1, 2], params=SamplingParams(fidelity=fidelity))


def test_ragged_fidelities_are_refused(judged):
    with pytest.raises(InputError, match="fidelity"):
        make_request(judged, [0, 1], params=SamplingParams(fidelity=[[0.5], 0.5]))


def test_so_many_fidelities_as_labels(judged):
    with pytest.raises(InputError, match=r"fidelity: got '2 values'.* each of 3 labels"):
        make_request(judged, [0, 1, 2], params=SamplingParams(fidelity=[0, 1]))


@pytest.mark.parametrize("field", ["refine", "best_of"])
@pytest.mark.parametrize("count", [0, -1, 65, 10**9, 1.0, "2", True])
def test_bad_numbers_of_candidates_are_refused(manifest, field, count):
    with pytest.raises(InputError, match=f"{field}: got .*, expected an integer from 1 to 64"):
        make_request(manifest, [0], options={field: count})


@pytest.mark.parametrize(
    ("choice", "graph"),
    [({"refine": 2}, "critic"), ({"best_of": 2}, "reward"), ({"fidelity": 1}, "fidelity_policy")],
)
def test_what_an_engine_lacks_is_named(manifest, judged, choice, graph):
    make_request(judged, [0], options=choice)
    field = next(iter(choice))
    with pytest.raises(EngineError, match=f"{field} needs the graph '{graph}'.*files.{graph}"):
        make_request(manifest, [0], options=choice)


@pytest.mark.parametrize("schedule", ["static", "tuned"])
def test_a_static_schedule_asks_no_policy(judged, schedule):
    tuned = tuple(action.static for action in judged.schedule.actions)
    spec = judged.schedule.model_copy(update={"tuned": tuned})
    judged = judged.with_schedule(spec)
    for choice, least in (({"refine": 2}, 1), ({"fidelity": 0.5}, 0)):
        with pytest.raises(InputError, match=f"expected {least} with a static schedule"):
            make_request(judged, [0], options={"schedule": schedule, **choice})
    request = make_request(judged, [0], options={"schedule": schedule, "best_of": 2})
    assert request.params.best_of == 2


def test_samples_are_taken_with_all_that_is_theirs(judged):
    params = SamplingParams(fidelity=[0, 0.5, 1])
    request = make_request(judged, [0, 1, 2], [7, 8, 9], params).take(np.array([2, 0, 2]))
    np.testing.assert_array_equal(request.rows["labels"], [2, 0, 2])
    np.testing.assert_array_equal(request.seeds, [9, 7, 9])
    np.testing.assert_array_equal(request.fidelity, [1, 0, 1])
