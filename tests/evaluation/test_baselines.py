"""A policy's outputs without the sample in them."""

from dataclasses import replace

import numpy as np
import pytest

import adagen_rt
from adagen_rt.condition import ClassLabels, Prompts, TextTokens
from adagen_rt.errors import InputError
from adagen_rt.evaluation.baselines import (
    PairedBootstrap,
    class_counts,
    groups_of,
    make_baselines,
    with_evaluations,
    without_sample,
)
from adagen_rt.evaluation.metrics import Gaussian, fid
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request


@pytest.fixture(scope="module")
def tiny_pipeline(tiny_engine):
    return adagen_rt.load(tiny_engine, threads=1)


GROUPS = np.array([0, 1, 0, 1, 0])


def outputs():
    """Two calls of five samples; the second call is one that the last sample does not need."""
    made = np.arange(20, dtype=np.float32).reshape(2, 5, 2)
    made[1, 4] = np.nan
    return made


def test_a_mean_is_that_of_all_samples_that_needed_the_call():
    played = without_sample("mean", outputs(), GROUPS)
    assert played[0].tolist() == [[4, 5]] * 5
    assert played[1].tolist() == [[13, 14]] * 5


def test_a_class_mean_is_that_of_the_class():
    played = without_sample("class-mean", outputs(), GROUPS)
    assert played[0, :, 0].tolist() == [4, 4, 4, 4, 4]
    assert played[1, :, 0].tolist() == [12, 14, 12, 14, 12]
    lone = without_sample("class-mean", outputs(), np.arange(5))
    assert lone[0].tolist() == outputs()[0].tolist()
    assert lone[1, 4].tolist() == [13, 14]  # its class says nothing, so all do


def test_an_exchange_stays_in_the_class():
    played = without_sample("shuffled", outputs(), GROUPS)
    assert played[0, :, 0].tolist() == [8, 6, 0, 2, 4]
    assert played[1, 0].tolist() == [12, 13]  # what it was given had not needed the call
    assert np.isfinite(played).all()


def test_calls_that_no_sample_needs_are_finite():
    nothing = np.full((1, 2, 1), np.nan, np.float32)
    for kind in ("mean", "class-mean", "shuffled"):
        assert without_sample(kind, nothing, np.zeros(2, int)).tolist() == [[[0], [0]]]


def test_classes_are_labels_or_texts():
    assert groups_of(ClassLabels(count=3), {"labels": np.array([2, 0])}).tolist() == [2, 0]
    tokens = TextTokens(name="text", file="t.json", length=4, padding_id=0)
    rows = {"prompt": np.array(["b", "a", "b"], object)}
    assert groups_of(Prompts(encoders=(tokens,)), rows).tolist() == [1, 0, 1]


def test_an_interval_holds_the_ratio_and_narrows():
    rng = np.random.default_rng(0)
    real, good, bad = (rng.normal(shift, 1, (400, 2)) for shift in (0, 1, 2))
    low, high = PairedBootstrap(good, Gaussian.of(real), 50).interval(bad)
    assert low < fid(bad, real) / fid(good, real) < high
    many = PairedBootstrap(np.tile(good, (9, 1)), Gaussian.of(real), 50)
    narrow = many.interval(np.tile(bad, (9, 1)))
    assert narrow[1] - narrow[0] < high - low
    assert PairedBootstrap(good, Gaussian.of(real), 5).interval(good) == (1, 1)


def test_a_policy_of_one_output_is_its_own_baseline(tiny_pipeline):
    """What is played back as it was recorded gives the same images."""
    sampler = tiny_pipeline.sampler
    request = make_request(tiny_pipeline.manifest, [0, 1, 0, 1], range(4), SamplingParams())
    result, recorded = sampler.record(request, batch_size=3)
    assert recorded.shape == (
        tiny_pipeline.manifest.calls,
        4,
        len(tiny_pipeline.manifest.schedule.actions),
    )
    assert (result.images == sampler.run(request).images).all()
    assert (sampler.play(request, recorded, batch_size=2).images == result.images).all()
    other = sampler.play(request, recorded + 1)
    assert not np.array_equal(other.schedule["guidance_scale"], result.schedule["guidance_scale"])
    made = dict(make_baselines(sampler, request, ["mean", "shuffled"], 4))
    assert list(made) == ["policy", "mean", "shuffled"]
    chosen = made["mean"].schedule["guidance_scale"]
    np.testing.assert_allclose(chosen, np.broadcast_to(chosen[:, :1], chosen.shape), rtol=1e-6)


def test_candidates_are_refused(tiny_pipeline):
    request = make_request(tiny_pipeline.manifest, [0], [0], SamplingParams())
    several = replace(request, params=replace(request.params, best_of=2))
    with pytest.raises(InputError, match="best-of"):
        list(make_baselines(tiny_pipeline.sampler, several, ["mean"], 1))


def test_evaluations_are_dealt_out_by_class():
    counts = np.array([2, 8, 3, 7, 2])
    shared = class_counts(counts, GROUPS)
    assert shared.tolist() == [3, 8, 2, 7, 2]
    assert shared.sum() == counts.sum()


def test_other_numbers_of_evaluations_are_made():
    played = with_evaluations(outputs(), np.array([1, 2, 2, 1, 2]), GROUPS, column=1, ahead=0)
    assert (played[..., 1] > 0).tolist() == [[1, 0, 0, 1, 0], [0, 1, 1, 0, 1]]
    assert played[..., 0].tolist() == [[0, 2, 4, 6, 8], [10, 12, 14, 16, 12]]
    later = with_evaluations(outputs(), np.ones(5, int), GROUPS, column=1, ahead=1)
    assert (later[..., 1] > 0).tolist() == [[False] * 5, [True] * 5]
