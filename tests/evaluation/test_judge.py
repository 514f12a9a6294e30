import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.errors import CheckpointError
from adagen_rt.evaluation.data import Images
from adagen_rt.evaluation.examiner import FEATURES as EXAMINER_FEATURES
from adagen_rt.evaluation.examiner import WEIGHTS as EXAMINER
from adagen_rt.evaluation.examiner import load_examiner
from adagen_rt.evaluation.judge import Judge, to_unit
from adagen_rt.models.classifier import (
    FEATURES,
    WEIGHTS,
    Classifier,
    judge,
    load_classifier,
)
from adagen_rt.models.random import keyed_generator
from adagen_rt.training.demo.classifier import ClassifierTask, train_classifier


def bars(count=40, seed=0):
    """Noisy pictures whose bright bar says the class."""
    labels = np.arange(count) % 10
    pixels = np.random.default_rng(seed).integers(0, 40, (count, 32, 32)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[3 * label : 3 * label + 4] = 220
    return Images(pixels, labels)


def test_the_shipped_classifier_is_small_and_loads():
    assert WEIGHTS.stat().st_size < 1_000_000
    classes, features = judge(load_classifier(), torch.rand(3, 1, 32, 32))
    assert classes.shape == (3,)
    assert features.shape == (3, FEATURES)


def test_missing_or_foreign_weights_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        load_classifier(tmp_path / "none.safetensors")
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match="other"):
        load_classifier(path)


def test_a_classifier_learns_and_is_saved(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "classifier.safetensors"
    accuracy = train_classifier(
        ClassifierTask(Classifier(), bars(200)), bars(50, seed=1), path, steps=40
    )
    assert accuracy > 0.5
    again = load_classifier(path)
    classes, _ = judge(again, to_unit(bars(50, seed=1).pixels))
    assert (classes.numpy() == bars(50).classes).mean() == accuracy


def test_the_loss_depends_on_the_step_alone():
    torch.manual_seed(0)
    task = ClassifierTask(Classifier().train(), bars())
    losses = [task.loss(torch.arange(8), keyed_generator(key)).item() for key in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_real_images_are_nearest_to_themselves():
    judging = Judge(load_classifier(), bars())
    same = judging.score(judging.see(to_unit(bars().pixels), bars().classes))
    assert same.count == 40
    noise = judging.score(judging.see(torch.rand(40, 1, 32, 32), bars().classes))
    assert abs(same.fid) < 1e-4 * noise.fid
    # Unbiased, so that a set is a little nearer to itself than chance allows.
    assert -0.1 * noise.kid < same.kid < 0
    assert (same.precision, same.recall) == (1.0, 1.0)
    assert (noise.precision, noise.recall) == (0.0, 0.0)
    assert 0 <= noise.accuracy <= 1


def test_a_quick_score_is_a_part_of_the_whole():
    judging = Judge(load_classifier(), bars())
    seen = judging.see(to_unit(bars(30, seed=3).pixels), bars(30).classes)
    score = judging.score(seen)
    assert judging.quick_score(seen) == (score.fid, score.accuracy)


def test_a_description_tells_networks_and_real_sets_apart():
    known = Judge(load_classifier(), bars()).describe()
    assert known == Judge(load_classifier(), bars()).describe()
    assert "Classifier" in known
    assert "40 real images" in known
    assert known != Judge(load_classifier(), bars(seed=1)).describe()
    assert known != Judge(Classifier(), bars()).describe()


def test_the_shipped_examiner_is_another_network_than_the_classifier():
    examiner = load_examiner()
    assert EXAMINER.stat().st_size < 2_000_000
    classes, features = judge(examiner, torch.rand(3, 1, 32, 32))
    assert classes.shape == (3,)
    assert features.shape == (3, EXAMINER_FEATURES)
    with pytest.raises(CheckpointError, match="conv"):
        load_classifier(EXAMINER)
