import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image

from adagen_rt.errors import InputError
from adagen_rt.evaluation.folder import cover, load_image_folder
from adagen_rt.extent import Extent


@pytest.fixture
def folder(tmp_path):
    """Two classes of single-coloured images of several shapes; the middle has a mark."""
    for label, name in enumerate(("n01", "n02")):
        (tmp_path / name).mkdir()
        for index, shape in enumerate(((20, 40), (30, 30))):
            pixels = np.full((*shape, 3), 100 * label + 10 * index, np.uint8)
            pixels[:, : shape[1] // 4] = 255  # cut away where the image is wide
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    (tmp_path / "n01" / "notes.txt").write_text("no image")
    return tmp_path


def test_images_come_scaled_cut_and_in_order(folder):
    pixels, rows = load_image_folder(folder, classes=2, size=Extent(10, 10))
    assert rows["labels"].tolist() == [0, 0, 1, 1]
    assert len(pixels) == 4
    some = pixels[torch.tensor([2, 0])]
    assert some.shape == (2, 3, 10, 10)
    assert some.dtype == torch.uint8
    # Bicubic weights overshoot beside an edge.
    assert (some[0, :, :, 3:] == 100).all()
    assert (some[1, :, :, 3:] == 0).all()
    assert some.max() < 150
    square = pixels[torch.tensor([1])]
    assert (square[0, :, :, 6:] == 10).all()
    assert (square[0, :, :, 0] > 240).all()


def test_grey_images_become_coloured(folder):
    Image.fromarray(np.full((12, 12), 7, np.uint8)).save(folder / "n02" / "9.png")
    pixels, rows = load_image_folder(folder, classes=2, size=Extent(6, 6))
    assert rows["labels"].tolist() == [0, 0, 1, 1, 1]
    assert (pixels[torch.tensor([4])] == 7).all()


def test_other_folders_are_refused(folder):
    with pytest.raises(InputError, match=r"2 folders', expected .* 1000 classes"):
        load_image_folder(folder, classes=1000, size=Extent(10, 10))
    (folder / "n03").mkdir()
    with pytest.raises(InputError, match=r"n03.*images \(.jpg"):
        load_image_folder(folder, classes=3, size=Extent(10, 10))


def test_a_damaged_image_is_named(folder):
    (folder / "n01" / "0.png").write_bytes(b"not an image")
    pixels, _ = load_image_folder(folder, classes=2, size=Extent(10, 10))
    with pytest.raises(InputError, match=r"0\.png.*expected an image"):
        pixels[torch.tensor([0])]


def test_large_images_are_halved_before_the_bicubic_rest():
    pixels = np.random.default_rng(0).integers(0, 256, (26, 44, 3)).astype(np.uint8)
    # 44 x 26 is halved once to 22 x 13, and is not twice 10 high any more.
    halved = pixels.reshape(13, 2, 22, 2, 3).mean(axis=(1, 3))
    once = Image.fromarray(np.floor(halved + 0.5).astype(np.uint8))
    wide = once.resize((17, 10), Image.Resampling.BICUBIC)
    got = np.asarray(cover(Image.fromarray(pixels), Extent(10, 10)), int)
    assert np.abs(got - np.asarray(wide, int)[:, 3:13]).max() <= 2
    small = Image.fromarray(pixels[:5, :7])
    assert cover(small, Extent(10, 12)).size == (12, 10)


@pytest.mark.parametrize("size", [Extent(8, 12), Extent(12, 8)])
def test_the_middle_is_cut_out_of_what_covers_any_size(size):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:30, 10:30] = 200  # a square in the middle
    got = np.asarray(cover(Image.fromarray(pixels), size), int)[..., 0]
    assert got.shape == size
    inside = got > 100
    # The longer side is scaled from 40 to 12 pixels, of which the square is half.
    assert (inside.any(axis=1).sum(), inside.any(axis=0).sum()) == (6, 6)
    np.testing.assert_array_equal(inside, inside[::-1, ::-1])
