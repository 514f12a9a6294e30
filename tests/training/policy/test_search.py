import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_recipes import tiny_environment, tiny_networks, tiny_recipe

from adagen_rt.engine.static_schedules import Constant, Cosine
from adagen_rt.errors import InputError
from adagen_rt.evaluation.data import Images
from adagen_rt.evaluation.judge import Judge
from adagen_rt.models.classifier import Classifier
from adagen_rt.training.policy.search import SearchConfig, draw_candidate, search

CONFIG = SearchConfig(candidates=4, images=10, batch_size=10)


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    real = Images(rng.integers(0, 255, (40, 32, 32)).astype(np.uint8), np.arange(40) % 10)
    return Judge(Classifier(), real)


def environment(family):
    recipe = tiny_recipe(family)
    return tiny_environment(recipe, tiny_networks(recipe))


def lines(folder):
    with (folder / "search.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("family", ["maskgit", "var", "dit", "sit"])
def test_candidates_are_schedules_of_the_same_space_within_reach(family):
    spec = tiny_recipe(family).schedule
    calls = environment(family).calls
    assert draw_candidate(spec, 0, 0) == tuple(action.static for action in spec.actions)
    drawn = [draw_candidate(spec, 0, number) for number in range(1, 30)]
    assert len(set(drawn)) == 29
    assert drawn[3] == draw_candidate(spec, 0, 4) != draw_candidate(spec, 1, 4)
    for statics in drawn:
        for action, static in zip(spec.actions, statics, strict=True):
            assert type(static) is type(action.static)
            values = static.values(4, calls)
            low, high = action.range
            assert ((values >= low) & (values <= high)).all()
            if isinstance(static, Constant) and action.activation == "softplus":
                assert 0.25 <= static.value / action.static.value <= 4
            assert not isinstance(static, Cosine) or static == action.static


def test_the_winner_has_the_smallest_distance(judge, tmp_path):
    env = environment("maskgit")
    best = search(env, judge, CONFIG, tmp_path)
    rows = lines(tmp_path)
    assert [int(row["candidate"]) for row in rows] == [1, 2, 3, 4]
    winner = min(rows, key=lambda row: float(row["fid"]))
    assert best == draw_candidate(env.manifest.schedule, 0, int(winner["candidate"]) - 1)


def test_a_search_goes_on_where_it_stopped(judge, tmp_path):
    env = environment("sit")
    whole = search(env, judge, CONFIG, tmp_path / "whole")
    search(env, judge, SearchConfig(2, 10, 10), tmp_path / "parts")
    with (tmp_path / "parts" / "search.csv").open("a") as file:
        file.write('3,0.0,0.5,"[{')  # killed in the middle of a line
    assert search(env, judge, CONFIG, tmp_path / "parts", resume=True) == whole
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")


def test_a_generator_under_other_schedules_leaves_the_first_alone():
    env = environment("dit")
    statics = draw_candidate(env.manifest.schedule, 0, 1)
    before = env.static_images([1, 2]).clone()
    other = env.under(statics)
    assert (other.static_images([1, 2]) != before).any()
    assert (env.static_images([1, 2]) == before).all()
    assert tuple(a.static for a in other.manifest.schedule.actions) == statics


@pytest.mark.parametrize("field", ["candidates", "images", "batch_size"])
def test_settings_out_of_range_are_refused(field):
    with pytest.raises(InputError, match=field):
        SearchConfig(**{field: 0})
