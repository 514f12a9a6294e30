"""The sheets of an engine of prompts, whose pictures are looked at by stand-in features."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner
from PIL import Image

from adagen_rt.evaluation import agreement, features
from adagen_rt.evaluation.agreement import AgreementJudge
from adagen_rt.models.agreement import Agreement
from adagen_rt.training.demo.prompts import learn_words


class Means(torch.nn.Module):
    """Looks at nothing but how bright each channel is."""

    def __init__(self):
        super().__init__()
        self.spread = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        return None, images.mean(dim=(2, 3)).repeat(1, 1280)[:, :1280]


@pytest.fixture
def captioned(tmp_path):
    """Four grey pictures and their captions."""
    folder, lines = tmp_path / "set", []
    folder.mkdir()
    for number, word in enumerate(("cat", "dog", "bird", "sky")):
        Image.fromarray(np.full((32, 32), 60 * number, np.uint8)).save(folder / f"{word}.png")
        lines.append(json.dumps({"file_name": f"{word}.png", "prompt": f"flat style: {word}"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def test_nearest_is_what_all_distances_say():
    from prompts import nearest

    rng = np.random.default_rng(0)
    own, known = rng.random((7, 5), np.float32), rng.random((9, 5), np.float32)
    gaps = np.linalg.norm(own[:, None] - known, axis=2)
    distances, places = nearest(own, known, block=3)
    np.testing.assert_allclose(distances, gaps.min(axis=1), rtol=1e-3)
    assert places.tolist() == gaps.argmin(axis=1).tolist()


def test_sheets_are_drawn_and_captions_counted(prompt_engine, captioned, tmp_path, monkeypatch):
    import prompts

    learn_words(["flat style: cat dog bird sky"], 64, tmp_path / "tokenizer.json")
    torch.manual_seed(0)
    judge = AgreementJudge(Agreement(), tmp_path)
    monkeypatch.setattr(agreement, "load_agreement", lambda folder: judge)
    monkeypatch.setattr(features, "load_features", lambda path: Means())
    out = tmp_path / "out"
    given = [prompt_engine(), "--data", captioned, "--train", captioned, "--agreement", tmp_path]
    done = CliRunner().invoke(prompts.main, [str(part) for part in (*given, "--out", out)])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout.splitlines()[-1])["results"]
    assert row["pictures"] == 4
    assert 0 <= row["copies"] <= 1
    names = sorted(path.name.rpartition("-")[2] for path in out.iterdir())
    assert names == ["nearest.png", "prompts.png", "worst.png"]
    for path in out.iterdir():
        with Image.open(path) as sheet:
            assert sheet.size[0] > 400
