import gzip
import struct

import numpy as np
import pytest

from adagen_rt.errors import InputError
from adagen_rt.evaluation.data import load_fashion_mnist, read_idx


def idx(array, kind=0x08):
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_split(folder, prefix="train", count=3, zipped=True):
    images = np.arange(count * 28 * 28).reshape(count, 28, 28) % 251
    labels = np.arange(count) % 10
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        path = folder / f"{prefix}-{name}-ubyte"
        if zipped:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx(array)))
        else:
            path.write_bytes(idx(array))
    return images, labels


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_images_are_padded_and_labels_kept(tmp_path, zipped, split, prefix):
    images, labels = write_split(tmp_path, prefix, zipped=zipped)
    data = load_fashion_mnist(tmp_path, split)
    assert data.pixels.shape == (3, 32, 32)
    assert data.pixels.dtype == np.uint8
    np.testing.assert_array_equal(data.pixels[:, 2:30, 2:30], images)
    assert data.pixels[:, :2].max() == 0
    np.testing.assert_array_equal(data.classes, labels)
    assert data.classes.dtype == np.int64


def test_a_missing_file_says_its_name_and_where_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.*dataset-fashion-mnist"):
        load_fashion_mnist(tmp_path, "train")


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(InputError, match="split: got 'val'"):
        load_fashion_mnist(tmp_path, "val")


def test_unequal_counts_are_refused(tmp_path):
    write_split(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(2))))
    with pytest.raises(InputError, match="train-labels: got 2"):
        load_fashion_mnist(tmp_path, "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "magic 00000803"),
        (b"\x00\x00\x08", "magic 00000803"),
        (idx(np.zeros((2, 2))), "magic 00000803"),
        (idx(np.zeros((2, 2, 2)), kind=0x0D), "magic 00000803"),
        (b"PNG" + bytes(40), "magic 00000803"),
        (idx(np.zeros((2, 2, 2)))[:-1], "got '7 bytes', expected 8 bytes"),
        (idx(np.zeros((2, 2, 2))) + b"x", "got '9 bytes', expected 8 bytes"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, f"expected {(2**32 - 1) ** 3} bytes"),
    ],
)
def test_what_is_no_complete_idx_file_is_refused(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(InputError, match="images: got") as caught:
        read_idx(path, dimensions=3)
    assert message in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"not gzip at all"])
def test_a_damaged_gzip_file_is_refused(tmp_path, damage):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(idx(np.zeros((2, 2, 2))))))
    with pytest.raises(InputError, match="a complete gzip file"):
        read_idx(path, dimensions=3)
