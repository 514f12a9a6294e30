import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

torch = pytest.importorskip("torch")

from adagen_rt.evaluation.choices import Choice

import adagen_rt
from adagen_rt.evaluation.sources import EngineSource, draw_requests

COUNT, SEED = 7, 3


def made_of(folder, choice=None):
    from quality_best_of import Candidates

    generator = adagen_rt.load(folder, threads=1)
    source = EngineSource(generator, batch_size=3)
    return generator, Candidates(source, choice or Choice(), COUNT, SEED)


@pytest.mark.parametrize("choice", [Choice(), Choice(refine=2, fidelity=0.5)])
def test_growing_candidates_are_what_users_get(judged_engine, choice):
    generator, candidates = made_of(judged_engine, choice)
    labels, seeds = (part.tolist() for part in draw_requests(COUNT, 3, SEED))
    for number in (1, 2, 5):
        made = candidates.best_of(number)
        expected = generator.generate(
            labels, seeds, fidelity=choice.fidelity, refine=choice.refine, best_of=number
        )
        np.testing.assert_array_equal(made.pixels(), expected.images)
        assert made.labels.tolist() == labels
        assert made.rows == expected.timings.backbone_rows


def test_a_candidate_is_made_once(judged_engine, monkeypatch):
    generator, candidates = made_of(judged_engine)
    made = []
    generate = generator.generate
    monkeypatch.setattr(
        generator, "generate", lambda *given, **more: made.append(1) or generate(*given, **more)
    )
    candidates.best_of(2)
    candidates.best_of(2)
    candidates.best_of(4)
    assert len(made) == 4 * 3  # batches


def test_failed_samples_are_marked(tmp_path):
    _, candidates = made_of(build_tiny_engine(tmp_path, Options(judges=True, nan_logits=1)))
    failed = candidates.best_of(3).failed
    assert failed.tolist() == [label == 1 for label in draw_requests(COUNT, 3, SEED)[0]]
