import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image

from adagen_rt.errors import CheckpointError, InputError
from adagen_rt.training.classifier import (
    FEATURES,
    WEIGHTS,
    Classifier,
    ClassifierTask,
    judge,
    load_classifier,
    train_classifier,
)
from adagen_rt.training.data import Images
from adagen_rt.training.evaluation import Judge, read_images, to_unit
from adagen_rt.training.random import keyed_generator


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
    assert (classes.numpy() == bars(50).labels).mean() == accuracy


def test_the_loss_depends_on_the_step_alone():
    torch.manual_seed(0)
    task = ClassifierTask(Classifier().train(), bars())
    losses = [task.loss(torch.arange(8), keyed_generator(key)).item() for key in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_real_images_are_nearest_to_themselves():
    judging = Judge(load_classifier(), bars())
    same = judging.score(to_unit(bars().pixels), bars().labels)
    assert same.count == 40
    noise = judging.score(torch.rand(40, 1, 32, 32), bars().labels)
    assert abs(same.fid) < 1e-4 * noise.fid
    assert 0 <= noise.accuracy <= 1


def test_images_are_read_from_an_archive_or_a_folder(tmp_path):
    data = bars(12)
    np.savez(tmp_path / "a.npz", images=data.pixels[..., None], labels=data.labels)
    folder = tmp_path / "folder"
    folder.mkdir()
    for index, label in enumerate(data.labels):
        name = f"{index:02}-label{label}-seed{index}.png"
        Image.fromarray(data.pixels[index]).save(folder / name)
    for path in (tmp_path / "a.npz", folder):
        read = read_images(path)
        np.testing.assert_array_equal(read.labels, data.labels)
        np.testing.assert_array_equal(to_unit(read.pixels), to_unit(data.pixels))


def test_what_holds_no_images_is_refused(tmp_path):
    (tmp_path / "text.npz").write_bytes(b"text")
    np.savez(tmp_path / "keys.npz", pictures=np.zeros(3))
    np.savez(tmp_path / "size.npz", images=np.zeros((2, 28, 28, 1), np.uint8), labels=[1, 2])
    np.savez(tmp_path / "rgb.npz", images=np.zeros((2, 32, 32, 3), np.uint8), labels=[1, 2])
    for name in ("text.npz", "keys.npz", "size.npz", "rgb.npz", "", "none.npz"):
        with pytest.raises(InputError, match="images: got"):
            read_images(tmp_path / name)
