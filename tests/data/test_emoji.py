from collections import Counter

import pytest
from emoji_packages import ENTRIES, write_archive, write_packages

from adagen_rt.data.emoji.make import make_emoji, plan
from adagen_rt.data.emoji.packages import CAPTIONS, PACKAGES, Package
from adagen_rt.data.emoji.pictures import render
from adagen_rt.data.emoji.split import part_of
from adagen_rt.errors import InputError
from adagen_rt.npm import archive_name


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return write_packages(tmp_path_factory.mktemp("packages"))


def test_every_style_of_every_emoji_has_a_caption(packages):
    entries = plan({name: Package(packages, name) for name in PACKAGES})
    assert Counter(entry.caption.label for entry in entries) == {"red half": 4, "waving hand": 4}
    assert {entry.prompt for entry in entries if entry.caption.label == "red half"} == {
        f"{style} style: red half" for style in ("noto", "twemoji", "flat", "glossy")
    }


def test_drawings_of_any_shape_are_in_the_middle_of_a_square():
    pytest.importorskip("resvg_py")
    for width, height, inside, outside in ((8, 4, (2, 16), (16, 2)), (4, 8, (16, 2), (2, 16))):
        body = f'<path d="M0 0h{width}v{height}H0z"/>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{body}</svg>'
        pixels = render(svg, 32)
        assert pixels.shape == (32, 32, 3)
        assert pixels[16, 16].max() == pixels[inside[::-1]].max() == 0
        assert pixels[outside[::-1]].min() == 255


def test_a_damaged_package_is_named(packages, tmp_path):
    for path in packages.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / archive_name(CAPTIONS, PACKAGES[CAPTIONS])
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(InputError, match=damaged.name):
        make_emoji(tmp_path / "set", tmp_path)
    write_archive(tmp_path, CAPTIONS, {"en/data.json": ENTRIES})
    with pytest.raises(InputError, match=r"meta/groups\.json"):
        make_emoji(tmp_path / "set", tmp_path)
    assert not (tmp_path / "set").exists()


def test_parts_have_their_shares_and_keep_a_style_for_training():
    styles = ("noto", "twemoji", "flat", "glossy")
    concepts = [f"{number:05x}" for number in range(4000)]
    parts = {c: {s: part_of(c, s, styles) for s in styles} for c in concepts}
    seen = [found for found in parts.values() if "held-out-concepts" not in found.values()]
    assert 1 - len(seen) / len(parts) == pytest.approx(0.05, abs=0.01)
    assert all(set(f.values()) == {"held-out-concepts"} for f in parts.values() if f not in seen)
    assert all("train" in found.values() for found in seen)
    counts = Counter(part for found in seen for part in found.values())
    assert counts["held-out-pairs"] / counts.total() == pytest.approx(0.10, abs=0.01)
    assert counts["validation"] / counts.total() == pytest.approx(0.05, abs=0.01)
    assert part_of(next(c for c in concepts if parts[c] in seen), "noto", ("noto",)) == "train"
